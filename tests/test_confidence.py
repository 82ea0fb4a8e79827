"""The `confidence` threshold: its twin, whether it is ever wrong, and what it refuses."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from naive.confidence import NaiveConfidence, fewest_and_most
from naive.judging import fresh, step
from naive.runs import nasty

from clipdetect import registry
from clipdetect.components import Params, RawKind
from clipdetect.jit import Engine, EngineName, available
from clipdetect.numerics.confidence_sequence import first_times, most_above, records_needed
from clipdetect.testing import check_component
from clipdetect.thresholds.confidence import Confidence

FAST: EngineName = "numba" if available() else "python"
ONE = np.zeros(1, np.int64)


def made(
    spec: str = "confidence", engine: EngineName = FAST, kind: RawKind = "residual", rate: float = 0.05
) -> Confidence:
    threshold = registry.build("threshold", spec)
    assert isinstance(threshold, Confidence)
    threshold.bind(["x"], Params(engine=Engine(engine), rate=rate, raw_kind=kind))
    return threshold


def streams() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    t3 = rng.standard_t(3, 1500)
    return {
        "heavy": t3,
        "up": t3 * np.where(np.arange(1500) < 600, 1.0, 5.0),
        "down": t3 * np.where(np.arange(1500) < 600, 1.0, 0.2),
        "lattice": np.round(2 * t3),
        "constant": np.full(300, 7.0),
        "zeros": np.where(np.arange(300) < 200, 0.0, t3[:300]),
    }


@pytest.mark.parametrize("name", list(streams()))
@pytest.mark.parametrize("spec", ["confidence:kept=60,patience=1", "confidence:bound=paper,kept=400,patience=5"])
def test_scores_and_flags_equal_those_of_the_twin(name: str, spec: str) -> None:
    threshold = made(spec, rate=0.1)
    twin = NaiveConfidence(
        0.1, threshold.alpha, threshold.bound, threshold.kept, threshold._half, threshold._block_times.lengths.tolist(),
        threshold.patience,
    )  # fmt: skip
    x = np.abs(streams()[name])[: 1500 if threshold.bound == "binomial" else 400]
    state = fresh(threshold)
    score, flag = step(threshold, state, x)
    expected = []
    for value in x.tolist():
        expected.append(twin.judge(value))
        twin.learn(value)
    np.testing.assert_allclose(score, [each[0] for each in expected], rtol=2e-5, atol=1e-12)  # six digits
    assert flag.tolist() == [each[1] for each in expected]
    assert (twin.restarts > 0) == (name in ("up", "down", "zeros") and threshold.bound == "binomial")


@pytest.mark.parametrize("bound", ["binomial", "paper"])
@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
def test_first_times_say_what_counts_are_possible(bound: str, rate: float) -> None:
    many, few = first_times(bound, rate, 0.01, 260, 1000)
    for n in range(1, 250, 7):
        fewest, most = fewest_and_most(n, rate, 0.01, bound)
        assert np.sum(few <= n) == fewest
        assert np.sum(many[: n + 1] <= n) == most + 1
        assert most_above(bound, rate, 0.01, n) == most
    needed = records_needed(bound, rate, 0.01)
    if needed < 5000:
        assert fewest_and_most(needed - 1, rate, 0.01, bound)[0] == 0
        assert fewest_and_most(needed, rate, 0.01, bound)[0] >= 1


@pytest.mark.skipif(not available(), reason="too slow interpreted")
def test_a_count_of_the_true_rate_is_ever_impossible_less_often_than_alpha() -> None:
    alpha, n, rate = 0.2, 2000, 0.05
    many, few = first_times("binomial", rate, alpha, 300, n)
    counts = np.cumsum(np.random.default_rng(2).random((2000, n)) < rate, axis=1)
    times = np.arange(1, n + 1)
    wrong = ((many[counts] > times) | (few[counts] <= times)).any(axis=1)
    assert 0.02 < wrong.mean() < alpha


@pytest.mark.skipif(not available(), reason="too slow interpreted")
@pytest.mark.parametrize("kind", ["distance", "level"])
def test_nothing_is_decided_wrongly_and_little_is_abstained(kind: RawKind) -> None:
    keys, n, rate = 100, 4000, 0.01
    noise = np.random.default_rng(3).exponential(size=(keys, n))
    threshold = made(kind=kind, rate=rate)
    score, flag = step(threshold, fresh(threshold, keys), noise.ravel(), np.repeat(np.arange(keys), n))
    flag, bad = flag.reshape(keys, n), noise > -np.log(rate)
    known = np.isfinite(score.reshape(keys, n))
    wrong = ((flag == 1) & ~bad) | ((flag == 0) & bad & known)
    assert wrong.sum() == 0
    assert np.mean(flag == 2) < 0.03
    assert np.mean(flag[:, 2000:][bad[:, 2000:]] == 1) > 0.3


@pytest.mark.skipif(not available(), reason="too slow interpreted")
@pytest.mark.parametrize("kind", ["residual", "level"])
@pytest.mark.parametrize("law", ["normal", "t3", "uniform"])
def test_score_is_the_probability(kind: RawKind, law: str) -> None:
    rng = np.random.default_rng(4)
    x = {"normal": rng.normal, "t3": lambda size: rng.standard_t(3, size), "uniform": rng.random}[law](size=100_000)
    threshold = made(kind=kind, rate=0.01)
    score, _ = step(threshold, fresh(threshold), x - 0.5 * (law == "uniform"))
    for decades, least, most in ((2.0, 0.9, 1.1), (3.0, 0.7, 1.3)):  # 100 at .001: a deviation is .1
        assert least < np.nanmean(score >= decades) * 10**decades < most


def test_after_a_shift_everything_is_learned_afresh_and_scores_go_on() -> None:
    rng = np.random.default_rng(5)
    threshold = made("confidence:patience=1", rate=0.1)
    state = fresh(threshold)
    step(threshold, state, rng.exponential(size=1000))
    score, flag = step(threshold, state, 50 + rng.exponential(size=400))
    restart = np.flatnonzero(flag == 2)[0]
    assert restart <= 20
    assert (flag[:restart] == 1).all()
    assert np.isfinite(score).all()
    assert 0 < np.mean(flag[200:] == 1) < 0.1


def test_a_burst_shorter_than_patience_restarts_nothing() -> None:
    rng = np.random.default_rng(6)
    threshold = made(rate=0.01)
    state = fresh(threshold)
    step(threshold, state, rng.exponential(size=2000))
    _, flag = step(threshold, state, 50 + rng.exponential(size=40))
    assert (flag == 1).sum() > 5
    assert state["given"][0, state["lead"][0]] == 2040
    for patience, restarted in ((1, True), (1000, False)):
        threshold = made(f"confidence:patience={patience}", rate=0.01)
        state = fresh(threshold)
        step(threshold, state, rng.exponential(size=2000))
        step(threshold, state, np.full(40, 50.0))
        assert (state["given"][0, state["lead"][0]] < 100) == restarted


def test_generations_take_over_and_forget() -> None:
    threshold = made("confidence:kept=60", rate=0.1)
    state = fresh(threshold)
    x = np.random.default_rng(7).exponential(size=5 * threshold._half)
    for a, b in pairwise([*range(0, len(x), 50), len(x)]):
        step(threshold, state, x[a:b])
        lead = state["lead"][0]
        assert state["given"][0, lead] < 2 * threshold._half
        kept = np.sort(x[b - state["given"][0, lead] : b])[::-1][:60]
        assert state["top"][0, lead][: len(kept)].tolist() == kept.tolist()


@pytest.mark.skipif(not available(), reason="needs numba")
@pytest.mark.parametrize("kind", ["residual", "distance", "level"])
def test_compiled_and_interpreted_agree_bit_for_bit(kind: RawKind) -> None:
    for x in (nasty(1200, 1)[:, 0], *streams().values()):
        results = []
        for engine in ("python", "numba"):
            threshold = made("confidence:kept=60,patience=1", engine, kind, 0.1)  # type: ignore[arg-type]
            state = fresh(threshold)
            results.append([a.tobytes() for a in (*step(threshold, state, x), *state.values())])
        assert results[0] == results[1]


@pytest.mark.parametrize("kind", ["residual", "level"])
def test_scores_of_nasty_values_are_finite_and_rise(kind: RawKind) -> None:
    threshold = made(kind=kind)
    state = fresh(threshold)
    score, flag = step(threshold, state, nasty(3000, 1)[:, 0])
    assert np.all(np.isnan(score) | ((score >= 0) & np.isfinite(score)))
    assert not flag[np.isnan(score)].any()
    state = fresh(threshold)
    step(threshold, state, streams()["heavy"])
    score, _ = step(threshold, state, np.geomspace(1e-2, 1e12, 200), learn=False)
    assert np.all(np.diff(score) > 0)


@pytest.mark.parametrize("kind", ["residual", "level"])
@pytest.mark.parametrize("rate", [0.5, 0.1, 0.02])
def test_limits_are_where_the_flag_flips(kind: RawKind, rate: float) -> None:
    threshold = made(kind=kind, rate=rate)
    state = fresh(threshold)
    step(threshold, state, streams()["heavy"])
    low, high = threshold.limits(state, ONE)
    for limit in [high[0]] if kind == "level" else [low[0], high[0]]:
        _, flag = step(threshold, state, [limit - 1e-6 * np.sign(limit), limit, limit * 1.000001], learn=False)
        assert flag[2] == 1
        assert flag[0] != 1
        assert flag[1] != 1
    assert np.isnan(low[0]) == (kind == "level")


def test_there_is_no_limit_and_no_flag_before_the_records_needed() -> None:
    threshold = made(rate=0.01)
    needed = records_needed("binomial", 0.01, 0.001)
    state = fresh(threshold)
    step(threshold, state, np.random.default_rng(8).exponential(size=needed - 1))
    assert np.isnan(threshold.limits(state, ONE)).all()
    assert step(threshold, state, [1e6], learn=False)[1].tolist() == [2]
    step(threshold, state, [1.0])
    assert step(threshold, state, [1e6], learn=False)[1].tolist() == [1]


@pytest.mark.parametrize(("a", "b"), [(2.0**20, 0.0), (1e-6, 0.0), (1.0, 1e3)])
def test_flags_are_the_same_in_other_units(a: float, b: float) -> None:
    for x in streams().values():
        one, other = made(kind="level"), made(kind="level")
        x = np.round(x, 9) if b else x
        assert step(one, fresh(one), x)[1].tolist() == step(other, fresh(other), a * x + b)[1].tolist()


@pytest.mark.parametrize(
    ("spec", "rate", "problem"),
    [
        ("confidence", 1e-5, r"rate 1e-05 cannot be decided with horizon=1000000.*give horizon=\d+, or a rate from"),
        ("confidence:bound=paper", 0.001, "bound=binomial needs far fewer"),
        ("confidence:kept=16", 0.001, "give kept=3"),
        ("confidence:horizon=1000", 0.01, "nothing can be flagged before 8"),
    ],
)
def test_a_rate_that_can_never_be_decided_is_refused(spec: str, rate: float, problem: str) -> None:
    threshold = registry.build("threshold", spec)
    with pytest.raises(ValueError, match=problem):
        threshold.check(Params(rate=rate))


@pytest.mark.parametrize("rate", [0.5, 0.1, 0.01, 0.001, 1e-4])
def test_a_usual_rate_is_taken(rate: float) -> None:
    registry.build("threshold", "confidence").check(Params(rate=rate))


def test_what_a_refusal_asks_for_is_enough() -> None:
    Confidence(horizon=2 * records_needed("binomial", 1e-5, 1e-3)).check(Params(rate=1e-5))
    Confidence(kept=38).check(Params(rate=1e-3))


@pytest.mark.parametrize("spec", ["alpha=0", "bound=other", "kept=3", "horizon=3", "patience=0"])
def test_bad_parameters_are_refused(spec: str) -> None:
    with pytest.raises(ValueError, match=spec.split("=")[0]):
        registry.build("threshold", f"confidence:{spec}")


def test_laws() -> None:
    check_component(Confidence, compiled=False)
