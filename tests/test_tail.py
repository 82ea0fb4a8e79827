"""The `tail` threshold: its twin, the laws, and whether it keeps its word."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from naive.judging import fresh, nasty, same, step
from naive.tail import NaiveTail, NaiveUnit

from clipdetect.components import Params, RawKind
from clipdetect.jit import Engine, EngineName, available
from clipdetect.numerics.combine import NEVER_MOVED
from clipdetect.numerics.tail_fit import NODES, refit
from clipdetect.thresholds.tail import Tail

FAST: EngineName = "numba" if available() else "python"
ENGINES: tuple[EngineName, ...] = ("python", "numba")
ONE = np.zeros(1, np.int64)


def make(
    engine: EngineName = FAST,
    kind: RawKind = "residual",
    rate: float = 1e-3,
    warmup: int = 32,
    steady: bool = False,
    **own: int,
) -> Tail:
    tail = Tail(**own)
    tail.bind(["x"], Params(engine=Engine(engine), rate=rate, warmup=warmup, raw_kind=kind, steady=steady))
    return tail


def streams(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    t3 = rng.standard_t(3, n)
    return {
        "heavy": t3,
        "gross": np.where(rng.random(n) < 0.05, t3 + 30, t3),
        "zeros": np.where(rng.random(n) < 0.95, 0.0, rng.exponential(size=n)),
        "growing": rng.normal(size=n) * np.where(np.arange(n) < n // 2, 1.0, 100.0),
        "shrinking": rng.normal(size=n) * np.where(np.arange(n) < n // 2, 1.0, 0.001),
        "late": np.where(np.arange(n) < 100, 0.0, rng.normal(size=n)),
        "one side": rng.gamma(2, size=n),
        "bounded below": rng.lognormal(size=n) - 1.6,
        "turned heavy": np.where(np.arange(n) < n // 2, rng.normal(size=n), t3 * np.abs(rng.standard_cauchy(n))),
        "turned light": np.where(np.arange(n) < n // 2, t3, rng.uniform(-1, 1, n)),
        "values": np.where(rng.random(n) < 0.9, -0.1, 5.0) + 0.001 * rng.normal(size=n),
        "rare ones": np.where(rng.random(n) < 0.02, 0.76, 0.0),
    }


def constants(n: int) -> np.ndarray:
    """A constant's first change, its next ones in the unit of that, and a jump of ten."""
    x = np.zeros(n)
    x[n // 3], x[n // 3 + 1 : n // 3 + 12], x[2 * n // 3] = NEVER_MOVED, 0.76, 7.6
    return x


@pytest.mark.parametrize("name", [*streams(1), "constants", "constants, mirrored"])
def test_scores_equal_those_of_the_twin(name: str) -> None:
    x = {**streams(3000), "constants": constants(3000), "constants, mirrored": -constants(3000)}[name]
    tail, twin = make(), NaiveTail()
    score, _ = step(tail, fresh(tail), x)
    expected = []
    for e in x.tolist():
        value = twin.score(e)
        expected.append(np.nan if value is None else value)
        twin.learn(e)
    np.testing.assert_allclose(score, expected, rtol=2e-5, atol=1e-12)  # six digits, and the order of sums


def test_scores_without_a_natural_zero_equal_those_of_the_twin() -> None:
    noise = 5 + 0.01 * np.random.default_rng(2).normal(size=3000)
    late, moved = np.where(np.arange(3000) < 300, 5.0, noise), np.abs(constants(3000))
    for x in (noise, late, moved):
        tail, unit, twin = make(kind="level"), NaiveUnit(), NaiveTail(rate=0.03, signed=False)
        score, _ = step(tail, fresh(tail), x)
        expected = []
        for value in x.tolist():
            e = unit.step(value)
            probability = twin.score(e)
            expected.append(np.nan if probability is None else probability)
            twin.learn(e, 3.0 if unit.new else None)  # one spread above a location of 2
        np.testing.assert_allclose(score, expected, rtol=2e-5, atol=1e-12)


def bursts(n: int, length: int, seed: int = 3) -> np.ndarray:
    """Scores in a narrow band, and a burst of high ones every 5,000."""
    x = 0.6 + 0.1 * np.random.default_rng(seed).gamma(2, size=n)
    return np.where(np.arange(n) % 5000 >= 5000 - length, x + 1.5, x)


def test_scores_of_a_steady_estimator_equal_those_of_the_twin() -> None:
    x = bursts(12_000, 300)
    tail = make(kind="level", steady=True, patience=100)
    unit, twin = NaiveUnit(pace=0.00005), NaiveTail(rate=0.0001, patience=100, horizon=20_000, signed=False)
    score, _ = step(tail, fresh(tail), x)
    expected = []
    for value in x.tolist():
        e = unit.step(value, not twin.held())
        probability = twin.score(e)
        expected.append(np.nan if probability is None else probability)
        twin.learn(e, 3.0 if unit.new else None)
    np.testing.assert_allclose(score, expected, rtol=2e-5, atol=1e-12)


def test_burst_of_a_steady_estimator_stays_flagged_until_patience_ends() -> None:
    x = bursts(15_000, 1000)
    flag = step(tail := make(kind="level", steady=True), fresh(tail), x)[1] == 1
    high = np.arange(len(x)) % 5000 >= 4000
    assert flag[high].mean() > 0.97
    assert flag[~high].mean() < 0.003
    hasty = make(kind="level", steady=True, patience=0)
    assert (step(hasty, fresh(hasty), x)[1][high] == 1).mean() < 0.5
    x = np.where(np.arange(20_000) < 8000, bursts(20_000, 0), bursts(20_000, 0) + 1.5)  # for good
    flag = step(tail := make(kind="level", steady=True), fresh(tail), x)[1] == 1
    assert flag[8000:10_900].mean() > 0.97 and flag[13_000:].mean() < 0.02


def test_bursts_that_fill_the_stream_are_learned() -> None:
    x = np.where(np.arange(60_000) // 500 % 2 == 1, bursts(60_000, 0) + 1.5, bursts(60_000, 0))
    x[:10_000] = bursts(10_000, 0)
    flag = step(tail := make(kind="level", steady=True), fresh(tail), x)[1] == 1
    assert flag[10_500:11_000].mean() > 0.9
    assert flag[50_000:].mean() < 0.01


def test_peaks_of_a_rhythm_are_learned_as_they_come_back() -> None:
    n = 40_000
    day = np.maximum(np.sin(2.0 * np.pi * np.arange(n) / 1440.0), 0.0)
    x = bursts(n, 0) + np.where(np.arange(n) < 6000, 0.0, 1.5 * day)  # it begins late
    flag = step(tail := make(kind="level", steady=True), fresh(tail), x)[1] == 1
    assert flag[6000:12_000].mean() > 0.05
    assert flag[25_000:].mean() < 0.005


@pytest.mark.skipif(not available(), reason="needs numba")
@pytest.mark.parametrize("kind", ["residual", "distance", "level"])
def test_compiled_and_interpreted_agree_bit_for_bit(kind: RawKind) -> None:
    cases = [
        nasty(3, 1500),
        np.full(200, 7.0),
        np.tile([1.0, -1.0], 100),
        np.zeros(200),
        *streams(600).values(),
        constants(900),
    ]
    cases += [np.random.default_rng(4).choice([5e-324, 1e-323, -1e-310, 0.0], 300)]
    for x in cases:
        results = []
        for engine in ENGINES:
            tail = make(engine, kind, steady=kind != "residual", patience=50)
            state = fresh(tail)
            score, flag = step(tail, state, x)
            results.append((score.tobytes(), flag.tobytes(), [array.tobytes() for array in state.values()]))
        assert results[0] == results[1]


@pytest.mark.parametrize("kind", ["residual", "level"])
def test_scores_of_nasty_values_are_finite_and_not_negative(kind: RawKind) -> None:
    tail = make(kind=kind)
    score, flag = step(tail, fresh(tail), nasty(5, 4000))
    assert np.all(np.isnan(score) | ((score >= 0) & np.isfinite(score)))
    assert np.all(flag[np.isnan(score)] == 0)


@pytest.mark.parametrize("kind", ["residual", "level"])
def test_cuts_and_other_keys_change_nothing(kind: RawKind) -> None:
    tail, rng = make(kind=kind), np.random.default_rng(6)
    x, slots = nasty(6, 4000), rng.integers(0, 3, 4000)
    whole, parts = fresh(tail, 3), fresh(tail, 3)
    score, flag = step(tail, whole, x, slots)
    cuts = [0, *sorted(rng.integers(0, 4000, 30).tolist()), 4000]
    pieces = [step(tail, parts, x[a:b], slots[a:b].copy()) for a, b in pairwise(cuts)]
    assert score.tobytes() == np.concatenate([piece[0] for piece in pieces]).tobytes()
    assert flag.tobytes() == np.concatenate([piece[1] for piece in pieces]).tobytes()
    assert same(whole, parts)
    for key in range(3):
        alone, _ = step(tail, fresh(tail), x[slots == key])
        assert score[slots == key].tobytes() == alone.tobytes()


@pytest.mark.parametrize("kind", ["residual", "level"])
def test_without_learn_the_state_is_bit_equal_and_the_score_the_same(kind: RawKind) -> None:
    tail = make(kind=kind)
    for head in (0, 5, 31, 40, 1000):
        for x in (nasty(7, 1500), np.zeros(1500)):
            state = fresh(tail)
            step(tail, state, x[:head])
            before = {name: array.copy() for name, array in state.items()}
            frozen, _ = step(tail, state, [3.0, 0.0, np.nan, -1e300], learn=False)
            assert same(before, state)
            learned, _ = step(tail, state, [3.0])
            assert frozen[:1].tobytes() == learned.tobytes()


def test_missing_value_is_neither_scored_nor_learned() -> None:
    tail = make()
    x = streams(500)["heavy"]
    plain, gaps = fresh(tail), fresh(tail)
    score, _ = step(tail, plain, x)
    spaced = np.full(1000, np.nan)
    spaced[::2] = x
    with_gaps, flag = step(tail, gaps, spaced)
    assert with_gaps[::2].tobytes() == score.tobytes()
    assert np.isnan(with_gaps[1::2]).all()
    assert not flag[1::2].any()
    assert same(plain, gaps)


@pytest.mark.parametrize(("warmup", "first"), [(8, 8), (20, 20), (32, 32), (500, 32)])
def test_first_score_comes_after_the_warm_up_but_at_most_32_residuals(warmup: int, first: int) -> None:
    tail = make(warmup=warmup)
    score, _ = step(tail, fresh(tail), streams(600)["heavy"])
    assert np.isnan(score[:first]).all()
    assert np.isfinite(score[first:]).all()


@pytest.mark.parametrize("name", [*streams(1), "alternating"])
def test_score_strictly_rises_with_the_raw_score_on_each_side(name: str) -> None:
    tail = make()
    state = fresh(tail)
    step(tail, state, {**streams(3000), "alternating": np.tile([1.0, -1.0], 20_000)}[name])
    probe = np.concatenate([[0.0], np.logspace(-9, 290, 3000)])
    for sign in (1.0, -1.0):
        score, _ = step(tail, state, sign * probe, learn=False)
        assert np.all(np.diff(score) > 0)


def test_fitted_table_strictly_rises_across_empty_bins() -> None:
    counts, table = np.zeros((1, 2, NODES)), np.zeros((1, NODES))
    counts[0, 0, [10, 16]] = 500.0
    refit(0, 1000, 0.0, np.zeros(NODES), counts, table, np.zeros((3, NODES)))
    assert table[0, 0] > 0.0
    assert np.all(np.diff(table[0]) > 0.0)


def test_only_the_upper_side_of_a_raw_score_without_zero_is_strange() -> None:
    tail = make(kind="level")
    state = fresh(tail)
    step(tail, state, 5 + 0.01 * np.random.default_rng(8).normal(size=3000))
    score, flag = step(tail, state, [-1e9, 0.0, 4.9, 4.99, 5.0, 5.01, 5.1, 9.0, 1e9], learn=False)
    assert np.all(np.diff(score) > 0)
    assert flag.tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1]


FAMILIES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "Gaussian": lambda rng, n: rng.normal(size=n),
    "Laplace": lambda rng, n: rng.laplace(size=n),
    "t(3)": lambda rng, n: rng.standard_t(3, n),
    "lognormal": lambda rng, n: rng.lognormal(size=n) - 1,
    "gamma(2)": lambda rng, n: rng.gamma(2, size=n) - 1.68,
    "narrow, one-sided": lambda rng, n: np.sqrt(rng.chisquare(4, n)),
}


@pytest.mark.skipif(not available(), reason="too slow interpreted")
@pytest.mark.parametrize("name", FAMILIES)
def test_share_of_flags_is_the_rate_asked_for(name: str) -> None:
    x = FAMILIES[name](np.random.default_rng(9), 60_000)
    for rate, low, high in ((0.01, 0.75, 1.15), (0.001, 0.4, 1.8)):  # 50 flags at .001: a deviation is .14
        tail = make(rate=rate)
        score, flag = step(tail, fresh(tail), x)
        assert low < np.mean(flag) / rate < high
        assert np.array_equal(flag == 1, score >= -np.log10(rate))


@pytest.mark.skipif(not available(), reason="too slow interpreted")
@pytest.mark.parametrize("name", ["Gaussian", "Laplace", "t(3)", "gamma(2)"])
def test_five_percent_gross_records_are_flagged_and_the_rest_is_not(name: str) -> None:
    rng = np.random.default_rng(10)
    x = FAMILIES[name](rng, 60_000)
    unit = np.median(np.abs(x - np.median(x))) / 0.6745
    gross = rng.random(len(x)) < 0.05
    for sign in (1, -1, np.where(rng.random(len(x)) < 0.5, 1, -1)):
        tail = make()
        _, flag = step(tail, fresh(tail), np.where(gross, x + 30 * unit * sign, x))
        assert np.mean(flag[500:][gross[500:]]) >= 0.99
        assert np.mean(flag[500:][~gross[500:]]) <= 0.003


@pytest.mark.skipif(not available(), reason="too slow interpreted")
@pytest.mark.parametrize("name", FAMILIES)
def test_fresh_keys_do_not_storm(name: str) -> None:
    keys, n = 200, 500
    tail = make()
    x = FAMILIES[name](np.random.default_rng(11), keys * n)
    _, flag = step(tail, fresh(tail, keys), x, np.tile(np.arange(keys), n))
    assert flag.reshape(n, keys).sum(axis=0).mean() <= 1.5


def test_mostly_zero_residuals_do_not_storm() -> None:
    tail = make()
    _, flag = step(tail, fresh(tail), streams(20_000)["zeros"])
    assert np.mean(flag) <= 0.003


@pytest.mark.parametrize("raw", [[0.0], [7.0], [1.0, -1.0], [1.0, 2.0, 1.0]])
def test_repeating_residuals_are_never_flagged(raw: list[float]) -> None:
    tail = make()
    _, flag = step(tail, fresh(tail), np.resize(raw, 3000))
    assert not flag.any()


def test_first_residual_after_zeros_scores_by_how_many_zeros_there_were() -> None:
    tail = make()
    for zeros, flagged in ((100, 0), (500, 1), (30_000, 1)):
        state = fresh(tail)
        score, flag = step(tail, state, [*[0.0] * zeros, 5.0])
        assert score[-1] == pytest.approx(np.log10(2 * (zeros + 1)), rel=1e-5)
        assert flag[-1] == flagged
        assert not score[32:-1].any()


def test_flags_stop_after_the_scale_has_grown_for_good() -> None:
    tail = make()
    _, flag = step(tail, fresh(tail), streams(20_000)["growing"])
    assert flag[10_000:10_020].sum() >= 15
    assert np.mean(flag[12_000:]) <= 0.002


@pytest.mark.parametrize("factor", [2.0**40, -1.0, 2.0**-40])
def test_scores_are_bit_equal_in_other_units(factor: float) -> None:
    for x in streams(2000).values():
        tail = make()
        assert step(tail, fresh(tail), x)[0].tobytes() == step(tail, fresh(tail), factor * x)[0].tobytes()


@pytest.mark.parametrize("factor", [1e6, 1e-6])
def test_scores_are_equal_up_to_rounding_in_decimal_units(factor: float) -> None:
    for x in streams(2000).values():
        one, other = make(), make()
        np.testing.assert_allclose(
            step(one, fresh(one), x)[0], step(other, fresh(other), factor * x)[0], rtol=2e-5, atol=1e-12
        )


@pytest.mark.parametrize("rate", [0.3, 0.01, 0.001, 1e-6])
@pytest.mark.parametrize("kind", ["residual", "level"])
def test_limits_are_where_the_flag_flips(kind: RawKind, rate: float) -> None:
    tail = make(kind=kind, rate=rate)
    state = fresh(tail)
    step(tail, state, streams(3000)["heavy"])
    low, high = tail.limits(state, ONE)
    base = state["location"][0, 0] if kind == "level" else 0.0
    for limit in [high[0]] if kind == "level" else [low[0], high[0]]:
        inside, outside = base + (limit - base) * 0.999, base + (limit - base) * 1.001
        assert step(tail, state, [inside, outside], learn=False)[1].tolist() == [0, 1]
    assert np.isnan(low[0]) == (kind == "level")


def test_there_are_no_limits_before_the_first_fit() -> None:
    tail = make()
    state = fresh(tail)
    for n in (0, 10):
        step(tail, state, np.ones(n))
        assert np.isnan(tail.limits(state, ONE)).all()


def test_inputs_are_not_modified() -> None:
    tail = make()
    raw, slots = nasty(12, 300), np.zeros(300, np.int64)
    kept = raw.copy()
    step(tail, fresh(tail), raw, slots)
    assert raw.tobytes() == kept.tobytes()
    assert not slots.any()


def test_a_key_costs_under_a_kibibyte_and_a_half() -> None:
    spec = make().state_spec(1)
    assert sum(int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in spec.values()) < 1536


def test_horizon_too_short_is_refused() -> None:
    with pytest.raises(ValueError, match="horizon"):
        Tail(horizon=10)


@pytest.mark.parametrize(("rate", "horizon"), [(1e-5, 10_000), (1e-3, 1000), (1e-6, 100_000)])
def test_rate_that_the_horizon_resolves_is_taken(rate: float, horizon: int) -> None:
    Tail(horizon).check(Params(rate=rate))


def test_rate_that_the_horizon_does_not_resolve_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"rate 1e-06 cannot .* horizon=10000 records: .* horizon=100000, .* 1e-05 on"):
        Tail().check(Params(rate=1e-6))


@pytest.mark.skipif(not available(), reason="too slow interpreted")
def test_silence_after_a_law_turned_light_ends() -> None:
    rng = np.random.default_rng(13)
    tail = make(rate=0.01)
    _, flag = step(tail, fresh(tail), np.concatenate([rng.standard_t(2.1, 20_000), rng.normal(size=20_000)]))
    assert flag[25_000:].mean() > 0.005


@pytest.mark.skipif(not available(), reason="too slow interpreted")
def test_flood_after_a_law_turned_heavy_ends() -> None:
    rng = np.random.default_rng(14)
    tail = make(rate=0.01)
    _, flag = step(tail, fresh(tail), np.concatenate([rng.normal(size=20_000), rng.standard_t(2.1, 20_000)]))
    assert flag[22_000:25_000].mean() < 0.02


@pytest.mark.skipif(not available(), reason="too slow interpreted")
def test_long_side_beside_a_bounded_one_is_not_taken_for_gross() -> None:
    x = np.random.default_rng(15).lognormal(size=100_000) - 1.65
    tail = make()
    _, flag = step(tail, fresh(tail), x)
    assert flag.mean() < 0.002


@pytest.mark.skipif(not available(), reason="too slow interpreted")
def test_rare_value_beside_one_that_repeats_is_not_taken_for_gross() -> None:
    rng = np.random.default_rng(16)
    x = np.where(rng.random(60_000) < 0.95, -0.05, 0.95) * (1 + 0.001 * rng.normal(size=60_000))
    tail = make()
    _, flag = step(tail, fresh(tail), x)
    assert flag[1000:].mean() < 0.002


@pytest.mark.skipif(not available(), reason="too slow interpreted")
def test_gross_records_on_a_smooth_course_are_flagged() -> None:
    rng = np.random.default_rng(17)
    x = np.sin(np.arange(60_000) / 150) + 0.01 * rng.normal(size=60_000)
    gross = rng.random(len(x)) < 0.02
    tail = make()
    _, flag = step(tail, fresh(tail), np.where(gross, x + rng.choice([-40.0, 40.0], len(x)), x))
    assert flag[1000:][gross[1000:]].mean() > 0.99
