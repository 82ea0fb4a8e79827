"""The `slices` threshold: its twin, the budget, the caps, the guard, and what keys may not do to each other."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from naive.slices import NaiveSlices

from clipdetect.components import Params, Rows, State, Threshold, full_spec
from clipdetect.detector import Detector
from clipdetect.jit import Engine, EngineName, available
from clipdetect.testing import _maker, laws
from clipdetect.thresholds.confidence import Confidence
from clipdetect.thresholds.fixed import Fixed
from clipdetect.thresholds.slices import COUNTED, HELD, POINT, USUAL, Slices
from clipdetect.thresholds.tail import Tail

FAST: EngineName = "numba" if available() else "python"
ENGINES: tuple[EngineName, ...] = ("python", "numba")
slow_interpreted = pytest.mark.skipif(not available(), reason="too slow interpreted")


class Given(Threshold):
    """Takes the raw score for -log10 of a probability; raw scores from 90 on for an abstention."""

    abstains = True

    def step(self, state: State, slots: np.ndarray, raw: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        return raw.copy(), np.where(raw >= 90.0, 2, 0).astype(np.int8)

    def limits(self, state: State, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.full(len(slots), np.nan), np.full(len(slots), -np.log10(self.params.rate))


class Run:
    """A threshold with its state for `keys` keys."""

    def __init__(
        self, threshold: Threshold, keys: int, rate: float = 0.01, engine: EngineName = FAST, warmup: int = 0
    ) -> None:
        self.threshold = threshold
        self.rebind(rate, engine, warmup)
        spec = full_spec(threshold, 1)
        self.state: State = {name: np.zeros((keys, *shape), dtype) for name, (shape, dtype) in spec.items()}
        spec = full_spec(threshold, 1, True)
        self.state |= {name: np.zeros(shape, dtype) for name, (shape, dtype) in spec.items()}

    def rebind(self, rate: float, engine: EngineName = FAST, warmup: int = 0) -> None:
        params = Params(engine=Engine(engine), rate=rate, warmup=warmup, raw_kind="level")
        self.threshold.check(params)
        self.threshold.bind(["x"], params)

    def step(self, raw: Any, slots: Any = 0, learn: Any = True) -> np.ndarray:
        """Flags (n,)."""
        values = np.array(raw, np.float64)
        n = len(values)
        empty = np.full(n, np.nan)
        rows = Rows(np.zeros((n, 1)), empty, empty.copy(), np.array(np.broadcast_to(learn, n)), np.zeros(n, bool))
        slots = np.array(np.broadcast_to(slots, n), np.int64)
        self.score, flag = self.threshold.step(self.state, slots, values, rows)
        return flag

    def news(self) -> str:
        return "; ".join(self.threshold.news(self.state))

    def bytes(self) -> list[bytes]:
        return [array.tobytes() for array in self.state.values()]


def on_tail(**parameters: Any) -> Slices:
    """`slices` of the default threshold."""
    return Slices(of=Tail(), **parameters)


def decades(rng: np.random.Generator, n: int) -> np.ndarray:
    """-log10 of uniform probabilities."""
    return -np.log10(rng.random(n))


def traffic(n: int, keys: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores and slots (n,), shares (keys,) over two and a half decades."""
    rng = np.random.default_rng(seed)
    share = np.logspace(0, -2.5, keys)
    share /= share.sum()
    return decades(rng, n), rng.choice(keys, n, p=share), share


# -- twin, engines, laws ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_decisions_equal_those_of_the_twin(seed: int) -> None:
    n, keys, rng = 4000, 5, np.random.default_rng(seed)
    score, slots, _ = traffic(n, keys, seed)
    score[1200:2200] += 1.5 if seed else -3.0  # a broken child, and a deaf one
    score[2900:3500] += -3.0 if seed == 2 else 1.5
    score[rng.random(n) < 0.02] = np.nan
    learn = rng.random(n) > 0.05
    run = Run(Slices(of=Given(), cap=0.3, burst=3, horizon=1000, patience=1000), keys, 0.05, warmup=8)
    twin = NaiveSlices(rate=0.05, cap=0.3, burst=3, horizon=1000, patience=1000, warmup=8)
    flag = run.step(score, slots, learn)
    expected = [
        not np.isnan(s) and twin.step(k, s, bool(a))
        for k, s, a in zip(slots.tolist(), score.tolist(), learn, strict=True)
    ]
    assert flag.tolist() == expected
    assert run.state["levels"][POINT] == pytest.approx(twin.level, rel=1e-9)
    assert run.state["levels"][USUAL] == pytest.approx(twin.usual, rel=1e-9)
    assert run.state["levels"][COUNTED] == pytest.approx(sum(twin.recent), rel=1e-9, abs=1e-12)
    assert run.state["tally"][HELD] == (twin.state == "held")
    assert len(twin.told) >= 2  # the guard had something to do


@pytest.mark.skipif(not available(), reason="needs numba")
def test_compiled_and_interpreted_agree_bit_for_bit() -> None:
    score, slots, _ = traffic(6000, 20)
    score[2000:3500] += 2.0
    score[::13] = np.random.default_rng(1).choice([np.nan, 0.0, 1e300, 99.0, 5e-324], len(score[::13]))
    results = []
    for engine in ENGINES:
        run = Run(Slices(of=Given(), burst=2, patience=1000), 20, 0.05, engine)
        results.append((run.step(score, slots).tobytes(), run.bytes(), run.news()))
    assert results[0] == results[1]


@pytest.mark.parametrize("law", laws(Slices), ids=lambda law: law.__name__)
def test_laws_are_kept(law: Any) -> None:
    law(_maker(on_tail, {}))


def test_cuts_change_nothing() -> None:
    score, slots, _ = traffic(5000, 10)
    score[1000:2000] += 2.0
    whole, parts = (Run(Slices(of=Given()), 10, 0.05) for _ in range(2))
    flag = whole.step(score, slots)
    cuts = [0, *sorted(np.random.default_rng(3).integers(0, 5000, 40).tolist()), 5000]
    assert np.concatenate([parts.step(score[a:b], slots[a:b]) for a, b in pairwise(cuts)]).tolist() == flag.tolist()
    assert whole.bytes() == parts.bytes()


def test_slot_numbers_do_not_matter() -> None:
    score, slots, _ = traffic(5000, 10)
    score[1000:2000] += 2.0
    order = np.random.default_rng(4).permutation(10)
    one, other = (Run(Slices(of=Given()), 10, 0.05) for _ in range(2))
    assert one.step(score, slots).tolist() == other.step(score, order[slots]).tolist()


def test_scores_are_the_childs_and_do_not_depend_on_other_keys() -> None:
    rng = np.random.default_rng(5)
    raw, slots = rng.standard_t(3, 3000), rng.integers(0, 3, 3000)
    together = Run(on_tail(), 3, warmup=32)
    together.step(raw, slots)
    for key in range(3):
        alone, child = Run(on_tail(), 1, warmup=32), Run(Tail(), 1, warmup=32)
        alone.step(raw[slots == key])
        child.step(raw[slots == key])
        assert together.score[slots == key].tobytes() == alone.score.tobytes() == child.score.tobytes()


@pytest.mark.parametrize("head", [0, 10, 3000])
def test_without_learn_the_state_is_bit_equal_and_no_cap_is_counted(head: int) -> None:
    score, slots, _ = traffic(3000, 10)
    run = Run(Slices(of=Given(), burst=1), 10, 0.05)
    run.step(score[:head], slots[:head])
    before = run.bytes()
    assert run.step(np.full(50, 20.0), 3, learn=False).all()
    assert run.step([np.nan, 0.0, np.nan], 3, learn=False).tolist() == [0, 0, 0]
    assert run.bytes() == before


def test_missing_value_is_neither_flagged_nor_learned() -> None:
    run = Run(Slices(of=Given()), 2)
    run.step([1.0, 2.0, 3.0], [0, 1, 0])
    before = run.bytes()
    assert run.step([np.nan, np.nan], [0, 1]).tolist() == [0, 0]
    assert run.bytes() == before


def test_abstentions_of_the_child_stay_and_cost_nothing() -> None:
    run = Run(Slices(of=Given(), burst=1), 1)
    assert run.step([95.0, 95.0, 20.0, 95.0]).tolist() == [2, 2, 1, 2]
    assert run.threshold.abstains
    assert not on_tail().abstains


def test_no_record_is_flagged_in_the_warm_up_and_none_of_it_is_charged() -> None:
    run = Run(Slices(of=Given(), burst=5), 1, warmup=32)
    assert run.step(np.full(40, 20.0)).tolist() == [0] * 32 + [1] * 5 + [0] * 3


# -- the budget -------------------------------------------------------------------------------


@slow_interpreted
@pytest.mark.parametrize(("rate", "n"), [(0.01, 200_000), (0.001, 1_000_000)])
def test_the_budget_is_spent_and_each_key_gets_an_equal_part(rate: float, n: int) -> None:
    score, slots, share = traffic(n, 100)
    flag = Run(Slices(of=Given()), 100, rate).step(score, slots)
    assert np.mean(flag) == pytest.approx(rate, rel=0.1)  # 1,000 or 2,000 flags: a deviation is 3%
    counts = np.bincount(slots, flag, 100)
    large = 10 * rate * share * n > 2 * rate * n / 100  # the rest are at their cap
    assert large.sum() > 30
    fair = counts[large]
    assert fair.std() / fair.mean() < 0.4  # a Poisson spread of some 15 flags is .26
    assert np.corrcoef(share[large], fair)[0, 1] < 0.5


@slow_interpreted
def test_operating_points_are_the_water_filling_of_the_budget() -> None:
    score, slots, share = traffic(400_000, 50)
    run = Run(Slices(of=Given(), cap=0.05), 50, 0.01)
    run.step(score, slots)
    points = 10.0 ** -run.threshold.limits(run.state, np.arange(50))[1]
    low, high = 1e-9, 1.0
    for _ in range(60):  # bisection for the common level
        level = (low * high) ** 0.5
        low, high = (low, level) if (share * np.minimum(0.05, level / share)).sum() > 0.01 else (level, high)
    expected = np.minimum(0.05, level / share)
    assert (expected == 0.05).sum() > 5
    np.testing.assert_allclose(points, expected, rtol=0.35)  # the smallest shares come from some 100 records
    assert (share * points).sum() == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.2])
def test_one_key_is_flagged_as_by_the_child(rate: float) -> None:
    raw = np.random.default_rng(6).normal(size=4000)
    run, child = Run(on_tail(burst=1000), 1, rate, warmup=32), Run(Tail(), 1, rate, warmup=32)
    assert run.step(raw).tolist() == child.step(raw).tolist()


@slow_interpreted
def test_a_storm_in_one_key_changes_no_flag_of_another() -> None:
    score, slots, _ = traffic(60_000, 50)
    calm, stormy = (Run(Slices(of=Given()), 50, 0.01) for _ in range(2))
    hit = (slots == 20) & (np.arange(60_000) > 20_000)
    expected, flag = calm.step(score, slots), stormy.step(np.where(hit, score + 10.0, score), slots)
    assert flag[slots != 20].tolist() == expected[slots != 20].tolist()
    assert stormy.state["levels"][POINT] == calm.state["levels"][POINT]
    assert "hold" not in stormy.news()


def test_an_evicted_key_starts_afresh_and_disturbs_nobody() -> None:
    score, slots, _ = traffic(4000, 10)
    run = Run(Slices(of=Given(), burst=2), 10, 0.01)
    run.step(np.where(slots == 4, 20.0, score), slots)
    assert run.step([20.0] * 4, 4).sum() <= 1
    for name, _ in run.threshold.state_spec(1).items():
        run.state[name][4] = 0
    assert run.step([20.0] * 4, 4).tolist() == [1, 1, 0, 0]


@slow_interpreted
def test_many_new_keys_at_once_do_not_break_the_budget() -> None:
    rng = np.random.default_rng(7)
    slots = np.concatenate([rng.integers(0, 20, 50_000), rng.integers(0, 1000, 100_000)])
    run = Run(Slices(of=Given()), 1000, 0.01, warmup=32)
    flag = run.step(decades(rng, len(slots)), slots)
    assert np.mean(flag[50_000:]) < 0.015
    assert np.mean(flag[50_000:60_000]) < 0.03
    assert "hold" not in run.news()


def test_another_rate_moves_all_operating_points_at_once() -> None:
    score, slots, _ = traffic(5000, 10)
    run = Run(Slices(of=Given()), 10, 0.01)
    run.step(score, slots)
    before = run.threshold.limits(run.state, np.arange(10))[1]
    run.rebind(0.001)
    np.testing.assert_allclose(run.threshold.limits(run.state, np.arange(10))[1], before + 1.0, rtol=1e-12)


# -- the cap ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("cap", "burst"), [(0.01, 1), (0.01, 10), (0.1, 3)])
def test_no_stretch_of_a_key_has_more_flags_than_its_cap_allows(cap: float, burst: int) -> None:
    rng = np.random.default_rng(8)
    slots = rng.integers(0, 3, 9000)
    score = np.where((slots == 1) & (rng.random(9000) < 0.7), 20.0, decades(rng, 9000))
    run = Run(Slices(of=Given(), cap=cap, burst=burst), 3, 0.01)
    flag = run.step(score, slots)
    for key in range(3):
        taken = np.concatenate([[0], np.cumsum(flag[slots == key])]) - cap * np.arange((slots == key).sum() + 1)
        assert (taken - np.minimum.accumulate(taken)).max() <= burst + 1e-9
    assert flag[slots == 1].sum() >= cap * (slots == 1).sum() * 0.9
    assert "flags withheld beyond a key's cap" in run.news()


def test_the_cap_is_ten_times_the_rate_unless_given() -> None:
    for rate, cap in ((0.001, 0.01), (0.2, 0.5), (0.7, 0.7)):
        assert Run(on_tail(), 1, rate).threshold._cap == pytest.approx(cap)  # type: ignore[attr-defined]


# -- the guard --------------------------------------------------------------------------------


def guarded(parts: list[tuple[int, float]], keys: int = 50, **more: Any) -> tuple[Run, list[float], list[str]]:
    """A run over stretches of records with scores off by some decades: its share of flags in each, and its news."""
    run, shares, told = Run(Slices(of=Given(), **more), keys, 0.01), [], []
    rng = np.random.default_rng(9)
    for n, wrong in parts:
        score, slots = np.maximum(decades(rng, n) + wrong, 0.0), rng.integers(0, keys, n)
        shares.append(float(np.mean(run.step(score, slots))) / 0.01)
        told.append(run.news())
    return run, shares, told


@slow_interpreted
def test_a_broken_child_is_held_at_ten_times_the_rate_and_said() -> None:
    _, shares, told = guarded([(20_000, 0.0), (1000, 1.6), (20_000, 1.6), (10_000, 0.0), (20_000, 0.0)])
    assert "hold 1" in told[1]
    assert shares[2] < 10.5  # it would be 40
    assert "hold 1 ended" in told[3]
    assert "no longer" in told[3]
    assert shares[4] == pytest.approx(1.0, abs=0.25)
    assert "hold 2" not in told[4]


@slow_interpreted
def test_a_moved_world_is_accepted_after_patience_without_an_outburst() -> None:
    _, shares, told = guarded([(20_000, 0.0), (48_000, 1.6), (20_000, 1.6), (20_000, 0.0)], patience=50_000)
    assert "ended" not in told[1]
    assert "taken as usual now" in told[2]
    assert shares[2] < 11.0
    assert shares[3] == pytest.approx(1.0, abs=0.35)
    assert "hold 2" not in told[3]
    assert "silence" not in told[3]


@slow_interpreted
def test_a_deaf_child_is_said_and_its_recovery_too() -> None:
    _, _, told = guarded([(20_000, 0.0), (10_000, -4.0), (10_000, 0.0)])
    assert "silence" not in told[0]
    assert "silence 1, from" in told[1]
    assert "ended" not in told[1]
    assert "silence 1 ended" in told[2]


@slow_interpreted
def test_a_silence_that_stays_is_said_once() -> None:
    run, _, _ = guarded([(20_000, 0.0), (100_000, -4.0)], patience=20_000)
    assert "silence 1 ended, or taken as usual" in run.news()
    assert "silence 2" not in run.news()


@slow_interpreted
def test_good_days_are_not_news() -> None:
    for keys in (1, 10, 300):
        run, _, _ = guarded([(300_000, 0.0)], keys)
        assert "hold" not in run.news()
        assert "silence" not in run.news()


def test_news_reads_only() -> None:
    run, _, _ = guarded([(2000, 2.0)], keys=2)
    before = run.bytes()
    assert run.news() == run.news() != ""
    assert run.bytes() == before


# -- limits, refusals -------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.1, 0.01])
def test_limits_are_where_the_flag_flips(rate: float) -> None:
    rng = np.random.default_rng(10)
    slots = rng.choice(3, 5000, p=[0.9, 0.09, 0.01])
    run = Run(on_tail(), 3, rate, warmup=32)
    run.step(rng.normal(size=5000), slots)
    low, high = run.threshold.limits(run.state, np.arange(3))
    assert high[0] > high[1] > high[2]
    for key in range(3):
        assert run.step([high[key] - 1e-3, high[key] + 1e-3], key, learn=False).tolist() == [0, 1]
    assert np.isnan(low).all()
    assert run.threshold.of.params is run.threshold.params  # type: ignore[attr-defined]


class AtTheRate(Given):
    """Gives the limit at a rate of its own, whatever it is told."""

    def limits(self, state: State, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.full(len(slots), np.nan), np.full(len(slots), 2.0)


def test_limits_that_the_childs_scores_do_not_confirm_are_not_given() -> None:
    score, slots, _ = traffic(3000, 10)
    for child, known in ((Given(), True), (AtTheRate(), False)):
        run = Run(Slices(of=child), 10, 0.01)
        run.step(score, slots)
        before = run.bytes()
        assert np.isfinite(run.threshold.limits(run.state, np.arange(10))[1]).all() == known
        assert run.bytes() == before


def test_there_are_no_limits_before_the_warm_up() -> None:
    run = Run(on_tail(), 1, warmup=200)
    run.step(np.random.default_rng(11).normal(size=199))
    assert np.isnan(run.threshold.limits(run.state, np.zeros(1, np.int64))[1]).all()
    run.step([0.0])
    assert np.isfinite(run.threshold.limits(run.state, np.zeros(1, np.int64))[1]).all()


@pytest.mark.parametrize(
    "bad", [{"cap": -0.1}, {"cap": 1.0}, {"burst": 0}, {"horizon": 10}, {"patience": 10}, {"of": on_tail()}, {"of": 3}]
)
def test_bad_parameters_are_refused_by_name(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="threshold" if "of" in bad else next(iter(bad))):
        Slices(**{"of": Tail(), **bad})


def test_a_cap_below_the_rate_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"cap 0\.001 is below the rate 0\.01.*give cap=0\.01 or more"):
        Detector("level", "slices:cap=.001", rate=0.01)


def test_it_takes_what_its_child_takes() -> None:
    assert on_tail().takes == Tail.takes
    assert Slices(of=Confidence()).takes == Confidence.takes


def test_a_score_that_is_no_probability_cannot_be_divided() -> None:
    with pytest.raises(ValueError, match="of must be a threshold whose score is a probability, got fixed"):
        Slices(of=Fixed())


def test_the_state_is_small() -> None:
    spec = {**on_tail().state_spec(1), **on_tail().shared_spec(1)}
    assert sum(int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in spec.values()) == 7 * 8 + 18 * 8
