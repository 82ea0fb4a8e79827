"""The threshold `budget`: few alarms, one an episode."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import ArrayLike

from clipdetect import Detector
from clipdetect.components import Params, RawKind, Rows, State
from clipdetect.jit import Engine, EngineName, available
from clipdetect.thresholds.budget import Budget


def make(kind: RawKind = "distance", rate: float = 0.001, engine: EngineName = "python", **params: float) -> Budget:
    budget = Budget(**params)
    given = Params(engine=Engine(engine), raw_kind=kind, rate=rate)
    budget.check(given)
    budget.bind(["x"], given)
    return budget


def blank(budget: Budget) -> State:
    return {name: np.zeros((1, *shape), dtype) for name, (shape, dtype) in budget.state_spec(1).items()}


def step(
    budget: Budget, raw: ArrayLike, state: State | None = None, learn: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    values = np.array(raw, dtype=np.float64)
    n = len(values)
    rows = Rows(np.zeros((n, 1)), np.full(n, np.nan), np.full(n, np.nan), np.full(n, learn), np.zeros(n, bool))
    return budget.step(blank(budget) if state is None else state, np.zeros(n, np.int64), values, rows)


def naive(evidence: list[float], rate: float = 0.001, limit: float = 0.3) -> tuple[list[float], list[int]]:
    """From the description: the reports and the flags so far are kept, and looked through at every record."""
    reports: list[tuple[int, float]] = []
    alarms: list[int] = []
    scores, flags = [], []
    for i, e in enumerate(evidence):
        held = reports[-1][1] * math.exp(-(i - reports[-1][0]) / 100) if reports else 0.0
        remembered = math.fsum(math.exp(-(i - at) * rate / 2) for at in alarms)
        score = 1 - math.exp(-e / (1 + 0.1 * remembered)) if e > 1.5 * held else 0.0
        if score > 0:
            reports.append((i, e))
        scores.append(score)
        flags.append(int(score >= limit))
        if flags[-1]:
            alarms.append(i)
    return scores, flags


@pytest.mark.parametrize("rate", [0.001, 0.02])
def test_kernel_agrees_with_the_slow_twin(rate: float) -> None:
    rng = np.random.default_rng(0)
    evidence = np.where(rng.random(4000) < 0.1, rng.exponential(0.7, 4000), 0.0)
    score, flag = step(make(rate=rate), evidence)
    expected, flags = naive(evidence.tolist(), rate)
    np.testing.assert_allclose(score, expected, rtol=1e-5, atol=1e-9)
    assert flag.tolist() == flags


@pytest.mark.skipif(not available(), reason="needs numba")
@pytest.mark.parametrize("kind", ["residual", "distance"])
def test_compiled_and_interpreted_agree_bit_for_bit(kind: RawKind) -> None:
    raw = np.concatenate([[1e300, np.inf, -np.inf, np.nan, 5e-324], np.random.default_rng(2).standard_cauchy(500)])
    one, other = step(make(kind=kind, engine="python"), raw), step(make(kind=kind, engine="numba"), raw)
    assert one[0].tobytes() == other[0].tobytes()
    assert one[1].tobytes() == other[1].tobytes()


def test_scores_are_between_0_and_1() -> None:
    score, _ = step(make(), [0.0, 0.2, 3.0, 1e9, np.inf])
    assert score[0] == 0.0
    assert score.max() <= 1.0


def test_an_episode_is_flagged_once_in_forty_records() -> None:
    for episode, flags in ((slice(300, 341), [300]), (slice(300, 400), [300, 341, 382])):
        evidence = np.zeros(1000)
        evidence[episode] = 1.0
        _, flag = step(make(), evidence)
        assert np.flatnonzero(flag).tolist() == flags


def test_more_evidence_is_news() -> None:
    _, flag = step(make(), [1.0, 1.0, 1.4, 1.6, 2.0])
    assert flag.tolist() == [1, 0, 0, 1, 0]


def test_what_was_reported_fades() -> None:
    for gap, news in ((40, 0), (41, 1)):  # exp(-.405) is a 1.5th
        evidence = np.zeros(200)
        evidence[[20, 20 + gap]] = 1.0
        assert step(make(), evidence)[1].sum() == 1 + news


def test_each_alarm_makes_the_next_dearer_and_is_forgotten() -> None:
    evidence = np.zeros(20_000)
    evidence[0:3000:150] = 1.0
    evidence[-1] = 1.0
    score, _ = step(make(), evidence)
    given = score[0:3000:150]
    assert (np.diff(given[:8]) < 0.0).all()
    assert score[-1] == pytest.approx(given[0], rel=0.01)


def test_a_smaller_rate_gives_fewer_flags() -> None:
    evidence = np.zeros(100_000)
    evidence[::200] = np.random.default_rng(3).exponential(0.6, 500)
    flags = [int(step(make(rate=rate, engine="auto"), evidence)[1].sum()) for rate in (0.01, 0.001, 0.0001)]
    assert flags[0] > 1.1 * flags[1] > 1.5 * flags[2] > 0


def test_a_residual_counts_by_its_size_in_deviations() -> None:
    for raw, flagged in ((4.2, 0), (4.3, 1), (-4.2, 0), (-4.3, 1)):
        assert step(make("residual"), [raw])[1].tolist() == [flagged]
    assert step(make("residual", unit=1.0), [0.44])[1].tolist() == [1]


def test_raw_scores_that_start_nowhere_are_refused() -> None:
    with pytest.raises(ValueError, match="start nowhere"):
        make("level")


def test_missing_score_stays_missing_and_teaches_nothing() -> None:
    budget = make()
    state = blank(budget)
    step(budget, [1.0, 0.0], state)
    before = {name: array.tobytes() for name, array in state.items()}
    score, flag = step(budget, [np.nan, np.nan], state)
    assert np.isnan(score).all() and not flag.any()
    assert {name: array.tobytes() for name, array in state.items()} == before


@pytest.mark.parametrize("kind", ["residual", "distance"])
def test_limits_are_where_the_flag_flips(kind: RawKind) -> None:
    budget = make(kind)
    state = blank(budget)
    for raw in ([], [20.0], [0.0] * 120, [5.0]):
        step(budget, raw, state)
        low, high = budget.limits(state, np.zeros(1, np.int64))
        found = [int(step(budget, [high[0] * part], state, learn=False)[1][0]) for part in (0.9999, 1.0001)]
        assert found == [0, 1]
        assert math.isnan(low[0]) if kind == "distance" else low[0] == -high[0]


@pytest.mark.parametrize("estimator", ["level", "zscore", "extremes"])
def test_it_runs_with_other_estimators(estimator: str) -> None:
    x = np.random.default_rng(5).normal(size=2000)
    x[1500] = 40.0
    scored = Detector(estimator, "budget").step(x)
    assert scored.flag[1500] == 1
    assert 1 <= scored.flag.sum() < 30


def test_a_constant_gives_no_flag() -> None:
    assert not Detector("extremes", "budget").step(np.full(2000, 3.0)).flag.any()


@pytest.mark.parametrize("params", [{"limit": 0.0}, {"limit": 1.0}, {"unit": -1.0}, {"unit": math.inf}])
def test_bad_parameters_are_refused(params: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(params))):
        Budget(**params)
