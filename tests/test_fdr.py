"""The `fdr` threshold: its twin, and whether the share of false alarms is the one asked for."""

from __future__ import annotations

import numpy as np
import pytest
from naive.fdr import NaiveFdr, gamma
from naive.judging import fresh, step
from naive.runs import nasty

from clipdetect import registry
from clipdetect.components import Params, RawKind, Threshold
from clipdetect.jit import Engine, EngineName, available
from clipdetect.testing import check_component
from clipdetect.thresholds.fdr import Fdr

FAST: EngineName = "numba" if available() else "python"
ONE = np.zeros(1, np.int64)


class Given(Threshold):
    """Takes the raw score for -log10 p; NaN where it is negative."""

    takes = ("distance",)

    def step(self, state, slots, raw, rows):
        return np.where(raw >= 0, raw, np.nan), np.zeros(len(raw), np.int8)

    def limits(self, state, slots):
        high = np.full(len(slots), -np.log10(self.params.rate))
        return np.full(len(slots), np.nan), high


def made(spec: object, engine: EngineName = FAST, kind: RawKind = "residual", rate: float = 1e-3) -> Fdr:
    threshold = spec if isinstance(spec, Fdr) else registry.build("threshold", spec)
    assert isinstance(threshold, Fdr)
    params = Params(engine=Engine(engine), rate=rate, raw_kind=kind)
    threshold.check(params)
    threshold.bind(["x"], params)
    return threshold


def evidence(seed: int, n: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Exact -log10 p of uniform p-values, and gross ones among them."""
    rng = np.random.default_rng(seed)
    bad = rng.random(n) < share
    return np.where(bad, 20.0, -np.log10(1 - rng.random(n))), bad


@pytest.mark.parametrize("settings", [{}, {"lag": 0, "trust": 1.0}, {"level": 0.3, "memory": 2000.0, "smoothing": 5.0}])
def test_alarms_are_those_of_the_twin(settings: dict[str, float]) -> None:
    score, _ = evidence(1, 4000, 0.01)
    score[::7] = -1.0  # no opinion
    fdr = Fdr(of=Given(), **settings)  # type: ignore[arg-type]
    _, flag = step(made(fdr, kind="distance"), fresh(fdr), score)
    twin = NaiveFdr(fdr.level, fdr.memory, fdr.smoothing, fdr.lag, fdr.resolved, fdr.trust)
    expected = [twin.alarm(s if s >= 0 else np.nan) for s in score.tolist()]
    assert flag.astype(bool).tolist() == expected
    assert sum(expected) > 20


def test_gamma_sums_to_one_and_falls() -> None:
    values = [gamma(lag) for lag in range(1, 20_000)]
    assert sum(values) == pytest.approx(1.0, abs=1e-6)
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.05])
@pytest.mark.parametrize("level", [0.05, 0.2])
def test_false_alarms_with_exact_p_values_keep_the_promise(share: float, level: float) -> None:
    n = 100_000 if FAST == "numba" else 20_000
    score, bad = evidence(2, n, share)
    fdr = Fdr(of=Given(), level=level, trust=1.0)
    _, flag = step(made(fdr, kind="distance"), fresh(fdr), score)
    false, alarms = int(np.sum(flag[~bad])), int(np.sum(flag))
    expected = level * (alarms + n / fdr.memory)
    assert false <= expected + 3.0 * np.sqrt(expected)  # three deviations of a Poisson count
    assert np.mean(flag[bad]) == 1.0 if share else True


@pytest.mark.skipif(not available(), reason="too slow interpreted")
@pytest.mark.parametrize("share", [0.001, 0.01, 0.05])
def test_behind_tail_the_share_of_false_alarms_is_at_most_the_level(share: float) -> None:
    rng = np.random.default_rng(3)
    bad = rng.random(100_000) < share
    x = rng.normal(size=100_000) + 30.0 * bad
    fdr = made("fdr")
    _, flag = step(fdr, fresh(fdr), x)
    assert np.sum(flag[~bad]) / np.sum(flag) <= 0.1
    assert np.mean(flag[bad]) >= 0.98


def test_few_clean_records_are_flagged_whatever_the_rate() -> None:
    x = np.random.default_rng(4).standard_t(3, 20_000)
    one, other = made("fdr", rate=0.1), made("fdr", rate=1e-3)
    _, flag = step(one, fresh(one), x)
    assert flag.sum() <= 2
    assert flag.tolist() == step(other, fresh(other), x)[1].tolist()


def test_score_is_that_of_the_threshold_inside() -> None:
    x = np.random.default_rng(5).standard_t(3, 2000)
    fdr = made("fdr:level=.2")
    tail = registry.build("threshold", "tail")
    assert isinstance(tail, Threshold)
    tail.bind(["x"], fdr.params)
    assert step(fdr, fresh(fdr), x)[0].tobytes() == step(tail, fresh(tail), x)[0].tobytes()


def test_an_alarm_raises_alpha_after_the_lag_and_for_a_while() -> None:
    fdr = Fdr(of=Given(), level=0.1, lag=5, trust=1.0)
    made(fdr, kind="distance")
    for wait, found in ((1, 0), (5, 0), (6, 1), (100, 1), (9000, 0)):
        state = fresh(fdr)
        score = np.zeros(wait + 1)
        score[0], score[wait] = 20.0, 3.9
        assert step(fdr, state, score)[1][[0, wait]].tolist() == [1, found]


@pytest.mark.skipif(not available(), reason="needs numba")
def test_compiled_and_interpreted_agree_bit_for_bit() -> None:
    for x in (nasty(1500, 1)[:, 0], np.random.default_rng(6).normal(size=1500) + 30.0 * (np.arange(1500) % 50 == 0)):
        results = []
        for engine in ("python", "numba"):
            fdr = made("fdr", engine)  # type: ignore[arg-type]
            state = fresh(fdr)
            results.append([a.tobytes() for a in (*step(fdr, state, x), *state.values())])
        assert results[0] == results[1]


def test_without_learn_the_state_is_bit_equal() -> None:
    fdr = made("fdr")
    state = fresh(fdr)
    step(fdr, state, np.random.default_rng(7).normal(size=300))
    before = {name: array.copy() for name, array in state.items()}
    _, flag = step(fdr, state, np.full(5, 1e6), learn=False)
    assert flag.all()
    assert all(state[name].tobytes() == before[name].tobytes() for name in state)


@pytest.mark.parametrize("kind", ["residual", "level"])
@pytest.mark.parametrize("after", [0, 20])
def test_limits_are_where_the_flag_flips(kind: RawKind, after: int) -> None:
    fdr = made("fdr", kind=kind)
    state = fresh(fdr)
    x = np.random.default_rng(8).normal(size=3000)
    x[2990 - after] = 1e4
    step(fdr, state, x)
    low, high = fdr.limits(state, ONE)
    base = state["of/location"][0, 0] if kind == "level" else 0.0
    for limit in [high[0]] if kind == "level" else [low[0], high[0]]:
        both = np.array([base + (limit - base) * 0.999, base + (limit - base) * 1.001])
        assert step(fdr, state, both, learn=False)[1].tolist() == [0, 1]
    assert fdr.of.params is fdr.params


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("fdr:level=0", "level must be in"),
        ("fdr:memory=10", "memory must be from 2000"),
        ("fdr:smoothing=0", "smoothing must be > 0"),
        ("fdr:lag=61", "lag must be from 0 to 60"),
        ("fdr:resolved=1", "resolved must be > 1"),
        ("fdr:trust=2", "trust must be in"),
        ("fdr:of=nothing", "unknown threshold"),
    ],
)
def test_bad_parameters_are_refused(spec: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        registry.build("threshold", spec)


def test_only_a_threshold_can_be_wrapped() -> None:
    with pytest.raises(ValueError, match="a threshold expected"):
        Fdr()


def test_laws() -> None:
    check_component(Fdr, compiled=False, of=registry.build("threshold", "tail"))
