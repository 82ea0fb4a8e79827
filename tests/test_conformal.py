"""The `conformal` threshold: its twin, and the bound on the number of flags against streams that try to break it."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from naive.conformal import conformal
from naive.judging import fresh, step
from naive.runs import same as same_outputs

from clipdetect import registry, testing
from clipdetect.components import Params, RawKind, Rows, State, Threshold
from clipdetect.jit import Engine, EngineName, available
from clipdetect.thresholds.conformal import Conformal
from clipdetect.thresholds.fixed import Fixed

FAST: EngineName = "numba" if available() else "python"
ONE = np.zeros(1, np.int64)
N = 20_000
T = np.arange(N)
NOISE = np.random.default_rng(1).normal(size=N)
STREAMS = {
    "storms": NOISE * np.where(T // 700 % 2, 50.0, 0.01),
    "constant": np.full(N, 9.0),
    "zeros": np.zeros(N),
    "half zeros": np.where(T % 2, NOISE, 0.0),
    "growing": np.exp(T / 40.0),
    "shrinking": NOISE * np.exp(-T / 60.0),
    "tiny": 1e-9 * NOISE,
    "huge": 1e9 * NOISE,
    "heavy": np.random.default_rng(2).standard_cauchy(N),
    "zeros, then noise": np.where(T < N // 2, 0.0, NOISE),
}


class Given(Threshold):
    """Raw scores as scores; abstains on 7."""

    abstains = True

    def step(self, state: State, slots: np.ndarray, raw: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        return raw.copy(), np.where(raw == 7.0, 2, 0).astype(np.int8)


def bound(made: Conformal, engine: EngineName = FAST, kind: RawKind = "residual", rate: float = 1e-3) -> Conformal:
    made.bind(["x"], Params(engine=Engine(engine), rate=rate, raw_kind=kind))
    return made


def make(of: str, engine: EngineName = FAST, kind: RawKind = "residual", rate: float = 1e-3) -> Conformal:
    made = registry.build("threshold", {"conformal": {"of": of}})
    assert isinstance(made, Conformal)
    return bound(made, engine, kind, rate)


def inner_scores(made: Conformal, raw: np.ndarray) -> np.ndarray:
    n = len(raw)
    empty = np.full(n, np.nan)
    rows = Rows(np.zeros((n, 1)), empty, empty.copy(), np.ones(n, bool), np.zeros(n, bool))
    state = {name[3:]: array for name, array in fresh(made).items() if name.startswith("of/")}
    return made.of.step(state, np.zeros(n, np.int64), made.prepared(raw), rows)[0]


@pytest.mark.parametrize("rate", [0.3, 0.01, 0.001])
@pytest.mark.parametrize("name", ["storms", "half zeros", "growing", "tiny", "heavy", "zeros, then noise"])
@pytest.mark.parametrize("of", ["tail", "fixed"])
def test_scores_and_flags_equal_those_of_the_twin(of: str, name: str, rate: float) -> None:
    x, made = STREAMS[name][:5000], make(of, rate=rate)
    score, flag = step(made, fresh(made), x)
    expected = conformal(inner_scores(made, x).tolist(), rate)
    assert [bool(each) for each in flag] == [flagged for _, flagged in expected]
    np.testing.assert_allclose(score, [value for value, _ in expected], rtol=2e-5, atol=1e-12)  # six digits


@pytest.mark.parametrize("rate", [0.3, 0.01, 0.001])
@pytest.mark.parametrize("name", list(STREAMS))
@pytest.mark.parametrize("of", ["tail", "quantile", "fixed", "counted"])
def test_number_of_flags_keeps_within_its_bound_at_every_moment(of: str, name: str, rate: float) -> None:
    x, made = STREAMS[name], make(of, rate=rate)
    score, flag = step(made, fresh(made), x)
    there = ~np.isnan(score)
    flags, records = np.cumsum(flag[there] == 1), np.arange(1, there.sum() + 1)
    zero = np.cumsum(inner_scores(made, x)[there] == 0.0)
    limit = -math.log10(rate)
    assert np.all(flags <= rate * records + made.rise / made.gamma + 1.0)
    assert np.all(flags >= rate * (records - zero) - limit / made.gamma - 1.0)
    assert np.array_equal(flag == 1, score >= limit)


def test_wrong_inner_threshold_is_put_right() -> None:
    x = np.random.default_rng(3).normal(size=100_000)  # `fixed` flags |x| >= 3 of them, 2.7 in a thousand
    made = bound(Conformal(Fixed(3.0)))
    _, flag = step(made, fresh(made), x)
    assert flag[20_000:].mean() == pytest.approx(1e-3, rel=0.1)


def test_records_exactly_as_expected_are_never_flagged_and_a_long_silence_ends_without_a_flood() -> None:
    made = bound(Conformal(Given()))
    _, flag = step(made, fresh(made), [*[0.0] * 100_000, *[2.75] * 50])
    assert not flag[:100_000].any()
    assert flag.sum() == 3  # half a decade below the limit, and a tenth of a decade back for each flag


def test_burst_is_flagged_at_its_start_only() -> None:
    made = bound(Conformal(Given()))
    _, flag = step(made, fresh(made), [1.0] * 100 + [50.0] * 500)
    assert flag[100:121].all()
    assert not flag[121:].any()


def test_true_anomalies_spend_the_budget() -> None:
    rng = np.random.default_rng(4)
    bad = rng.random(100_000) < 0.01
    made = make("tail")
    _, flag = step(made, fresh(made), rng.normal(size=100_000) + 30.0 * bad)
    assert 0.05 < flag[bad].mean() < 0.2


def test_abstained_records_are_passed_on_and_move_nothing() -> None:
    made = bound(Conformal(Given()))
    state = fresh(made)
    assert step(made, state, [7.0])[1].tolist() == [2]
    assert state["moved"][0] == 0.0
    assert made.abstains


def test_missing_and_unlearned_records_move_nothing() -> None:
    made = make("tail")
    state = fresh(made)
    step(made, state, STREAMS["heavy"][:500])
    before = {name: array.copy() for name, array in state.items()}
    score, flag = step(made, state, [np.nan, 3.0, 1e9, 0.0], learn=np.array([True, False, False, False]))
    assert np.isnan(score[0])
    assert flag[0] == 0
    assert all(state[name].tobytes() == before[name].tobytes() for name in state)


@pytest.mark.skipif(not available(), reason="needs numba")
@pytest.mark.parametrize("kind", ["residual", "distance", "level"])
def test_compiled_and_interpreted_agree_bit_for_bit(kind: RawKind) -> None:
    odd = np.array([0.0, 5e-324, -1e-320, 1e300, 1.7e308, np.inf, -np.inf, np.nan])
    x = np.where(np.arange(600) % 5 == 0, np.tile(odd, 75), NOISE[:600])
    results = []
    for engine in ("python", "numba"):
        made = make("fixed", engine, kind, 0.01)  # type: ignore[arg-type]
        state = fresh(made)
        results.append((*step(made, state, x), state["moved"]))
    assert same_outputs(results[0], results[1])


@pytest.mark.parametrize("moved", [-2.9, -0.3, 0.0, 1.5, 2.05])
@pytest.mark.parametrize("rate", [0.3, 0.002, 0.001])
def test_scores_rise_strictly_wherever_the_limit_is(moved: float, rate: float) -> None:
    made = bound(Conformal(Given()), rate=rate)
    state = fresh(made)
    state["moved"][0] = max(moved, math.log10(rate))
    probe = np.concatenate([[0.0], np.geomspace(1e-3, 1e3, 300)])
    score, _ = step(made, state, probe, learn=False)
    assert np.all(np.diff(score) > 0.0)
    assert np.all((score >= 0.0) & np.isfinite(score))


@pytest.mark.parametrize("of", ["tail", "quantile", "fixed"])
@pytest.mark.parametrize("kind", ["residual", "distance", "level"])
def test_limits_are_where_the_flag_flips(kind: RawKind, of: str) -> None:
    made = make(of, kind=kind, rate=0.01)
    state = fresh(made)
    step(made, state, 0.5 * np.random.default_rng(5).standard_t(3, 3000) + (1.0 if kind == "level" else 0.0))
    low, high = made.limits(state, ONE)
    for limit in [low[0], high[0]] if kind == "residual" else [high[0]]:
        inside, outside = limit * (1.0 - 1e-4), limit * (1.0 + 1e-4)
        assert step(made, state, [inside, outside], learn=False)[1].tolist() == [0, 1]
    assert np.isnan(low[0]) == (kind != "residual")


def test_there_are_no_limits_before_the_first_score_or_when_overdrawn() -> None:
    made = make("tail")
    state = fresh(made)
    assert np.isnan(made.limits(state, ONE)).all()
    step(made, state, NOISE[:100])
    assert np.isfinite(made.limits(state, ONE)).all()
    state["moved"][0] = made.rise + 0.01
    assert np.isnan(made.limits(state, ONE)).all()


@pytest.mark.parametrize("of", ["quantile", "fixed"])
def test_laws_hold_over_other_thresholds(of: str) -> None:
    factory = testing._maker(partial(registry.build, "threshold", {"conformal": {"of": of}}), {})
    for law in testing.laws(Conformal):
        law(factory)


def test_inner_threshold_is_asked_whether_it_can_give_the_rate() -> None:
    class Coarse(Given):
        def check(self, params: Params) -> None:
            raise ValueError(f"rate {params.rate:g} cannot be resolved")

    with pytest.raises(ValueError, match="rate 1e-05 cannot be resolved"):
        Conformal(Coarse()).check(Params(rate=1e-5))


def test_bad_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="gamma must be > 0, got 0"):
        Conformal(Fixed(), gamma=0.0)
    with pytest.raises(ValueError, match="rise must be > 0, got -1"):
        Conformal(Fixed(), rise=-1.0)
    with pytest.raises(ValueError, match="of must be a threshold"):
        Conformal("tail")  # type: ignore[arg-type]
