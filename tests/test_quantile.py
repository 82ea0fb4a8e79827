"""The `quantile` threshold: its twin, the share it holds, and what a plain quantile cannot do."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from naive.judging import fresh, nasty, same, step
from naive.quantile import NaiveQuantile

from clipdetect.components import Params, RawKind
from clipdetect.jit import Engine, EngineName, available
from clipdetect.thresholds.quantile import Quantile

FAST: EngineName = "numba" if available() else "python"
ONE = np.zeros(1, np.int64)
KINDS = ("residual", "distance", "level")


def make(engine: EngineName = FAST, kind: RawKind = "residual", rate: float = 1e-3, gamma: float = 0.05) -> Quantile:
    made = Quantile(gamma)
    params = Params(engine=Engine(engine), rate=rate, raw_kind=kind)
    made.check(params)
    made.bind(["x"], params)
    return made


def streams(n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "heavy": rng.standard_t(3, n),
        "uniform": rng.random(n) - 0.5,
        "zeros": np.where(rng.random(n) < 0.95, 0.0, rng.exponential(size=n)),
        "two values": rng.integers(0, 2, n) * 1.0,
        "growing": rng.normal(size=n) * np.where(np.arange(n) < n // 2, 1.0, 100.0),
        "late": np.where(np.arange(n) < 100, 0.0, rng.normal(size=n)),
    }


@pytest.mark.parametrize("rate", [0.3, 0.01, 0.001])
@pytest.mark.parametrize("name", list(streams(1)))
def test_scores_equal_those_of_the_twin(name: str, rate: float) -> None:
    x = streams(3000)[name]
    made, twin = make(rate=rate), NaiveQuantile(rate)
    score, _ = step(made, fresh(made), x)
    np.testing.assert_allclose(score, [twin.step(e) for e in x.tolist()], rtol=2e-5, atol=1e-12)  # six digits


@pytest.mark.skipif(not available(), reason="needs numba")
@pytest.mark.parametrize("kind", KINDS)
def test_compiled_and_interpreted_agree_bit_for_bit(kind: RawKind) -> None:
    for x in [nasty(3, 1500), np.full(200, 7.0), np.zeros(100), *streams(600).values()]:
        results = []
        for engine in ("python", "numba"):
            made = make(engine, kind)  # type: ignore[arg-type]
            state = fresh(made)
            score, flag = step(made, state, x)
            results.append((score.tobytes(), flag.tobytes(), [array.tobytes() for array in state.values()]))
        assert results[0] == results[1]


@pytest.mark.parametrize("name", ["heavy", "uniform", "zeros", "two values"])
@pytest.mark.parametrize("rate", [0.03, 0.01, 0.001])
def test_share_of_flags_is_the_rate(name: str, rate: float) -> None:
    made = make(rate=rate)
    _, flag = step(made, fresh(made), streams(200_000)[name])
    assert 0.8 < np.mean(flag) / rate < 1.1


@pytest.mark.parametrize("kind", KINDS)
def test_share_of_flags_is_the_rate_for_every_kind(kind: RawKind) -> None:
    made = make(kind=kind, rate=0.01)
    x = np.random.default_rng(2).gamma(2.0, size=100_000)
    _, flag = step(made, fresh(made), 0.01 * x if kind != "level" else 5.0 + 0.01 * x)
    assert np.mean(flag) == pytest.approx(0.01, rel=0.1)


def test_gross_records_beyond_the_rate_are_taken_for_normal() -> None:
    rng = np.random.default_rng(3)
    bad = rng.random(100_000) < 0.01
    made = make()
    _, flag = step(made, fresh(made), rng.normal(size=100_000) + 30.0 * bad)
    assert flag[bad].mean() < 0.2
    assert flag[~bad].mean() < 1e-4


def test_rare_gross_records_are_found() -> None:
    x = np.random.default_rng(4).normal(size=40_000)
    x[20_000::5000] = 30.0
    made = make()
    _, flag = step(made, fresh(made), x)
    assert flag[20_000::5000].all()


def test_first_records_are_quiet() -> None:
    keys, n = 100, 500
    x = np.random.default_rng(5).standard_t(2.1, keys * n)
    made = make()
    _, flag = step(made, fresh(made, keys), x, np.tile(np.arange(keys), n))
    assert flag.sum() <= keys


def test_constant_stream_is_silent_and_its_first_change_is_flagged() -> None:
    made = make()
    score, flag = step(made, fresh(made), [*[0.0] * 2000, 5.0])
    assert not flag[:-1].any()
    assert flag[-1] == 1
    assert score[-1] == pytest.approx(np.log10(2 * 2001), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_of_nasty_values_are_finite_and_not_negative(kind: RawKind) -> None:
    made = make(kind=kind)
    score, flag = step(made, fresh(made), nasty(5, 4000))
    assert np.all(np.isnan(score) | ((score >= 0) & np.isfinite(score)))
    assert np.array_equal(flag == 1, score >= 3.0)


@pytest.mark.parametrize("kind", KINDS)
def test_cuts_and_other_keys_change_nothing(kind: RawKind) -> None:
    made, rng = make(kind=kind), np.random.default_rng(6)
    x, slots = nasty(6, 3000), rng.integers(0, 3, 3000)
    whole, parts = fresh(made, 3), fresh(made, 3)
    score, flag = step(made, whole, x, slots)
    cuts = [0, *sorted(rng.integers(0, 3000, 30).tolist()), 3000]
    pieces = [step(made, parts, x[a:b], slots[a:b].copy()) for a, b in pairwise(cuts)]
    assert score.tobytes() == np.concatenate([piece[0] for piece in pieces]).tobytes()
    assert flag.tobytes() == np.concatenate([piece[1] for piece in pieces]).tobytes()
    assert same(whole, parts)
    for key in range(3):
        assert score[slots == key].tobytes() == step(made, fresh(made), x[slots == key])[0].tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_without_learn_the_state_is_bit_equal_and_the_score_the_same(kind: RawKind) -> None:
    made = make(kind=kind)
    for head in (0, 5, 40, 1000):
        for x in (nasty(7, 1500), np.zeros(1500)):
            state = fresh(made)
            step(made, state, x[:head])
            before = {name: array.copy() for name, array in state.items()}
            frozen, _ = step(made, state, [3.0, 0.0, np.nan, -1e300], learn=False)
            assert same(before, state)
            assert frozen[:1].tobytes() == step(made, state, [3.0])[0].tobytes()


@pytest.mark.parametrize("name", list(streams(1)))
def test_score_strictly_rises_with_the_raw_score_on_each_side(name: str) -> None:
    made = make()
    state = fresh(made)
    step(made, state, streams(3000)[name])
    probe = np.concatenate([[0.0], np.logspace(-9, 290, 3000)])
    for sign in (1.0, -1.0):
        assert np.all(np.diff(step(made, state, sign * probe, learn=False)[0]) > 0)


@pytest.mark.parametrize("factor", [2.0**40, -1.0, 2.0**-40])
def test_scores_are_bit_equal_in_other_units(factor: float) -> None:
    for x in streams(2000).values():
        made = make()
        assert step(made, fresh(made), x)[0].tobytes() == step(made, fresh(made), factor * x)[0].tobytes()


@pytest.mark.parametrize("rate", [0.3, 0.01, 0.001, 1e-6])
@pytest.mark.parametrize("kind", KINDS)
def test_limits_are_where_the_flag_flips(kind: RawKind, rate: float) -> None:
    made = make(kind=kind, rate=rate)
    state = fresh(made)
    step(made, state, streams(3000)["heavy"])
    low, high = made.limits(state, ONE)
    base = state["location"][0, 0]
    for limit in [low[0], high[0]] if kind == "residual" else [high[0]]:
        inside, outside = base + (limit - base) * 0.999, base + (limit - base) * 1.001
        assert step(made, state, [inside, outside], learn=False)[1].tolist() == [0, 1]
    assert np.isnan(low[0]) == (kind != "residual")


def test_there_are_no_limits_before_the_first_score() -> None:
    made = make()
    state = fresh(made)
    for n in (0, 10):
        step(made, state, np.ones(n))
        assert np.isnan(made.limits(state, ONE)).all()


@pytest.mark.parametrize("gamma", [0.0, -1.0, np.inf, np.nan])
def test_step_that_is_none_is_refused(gamma: float) -> None:
    with pytest.raises(ValueError, match="gamma must be > 0"):
        Quantile(gamma)
