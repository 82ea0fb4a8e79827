"""The change-point detector `clipped_mean`."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from naive import clipped_mean as slow
from naive.runs import block, nasty

from clipdetect.changepoints.clipped_mean import GUARANTEED, PRINTED, ClippedMean, limit
from clipdetect.components import ChangePointDetector, Params
from clipdetect.jit import Engine, EngineName, available
from clipdetect.numerics.clipped_descent import Descent, radius
from clipdetect.numerics.clipped_scores import surprise
from clipdetect.numerics.splits import PLACES, due, place
from clipdetect.testing import check_component

FAST: EngineName = "numba" if available() else "python"


def run(detector: ChangePointDetector, X: Any, engine: EngineName = "python", learn: Any = None, state: Any = None):
    """changed, since of one key."""
    rows = block(np.asarray(X, float), learn)
    d = rows.X.shape[1]
    detector.bind([f"f{j}" for j in range(d)], Params(engine=Engine(engine)))
    if state is None:
        state = {name: np.zeros((1, *shape), dtype) for name, (shape, dtype) in detector.state_spec(d).items()}
    return detector.step(state, np.zeros(len(rows.X), np.int64), rows)


def shifted(n: int = 300, at: int = 200, by: float = 3.0, d: int = 1, seed: int = 0) -> np.ndarray:
    X = np.random.default_rng(seed).normal(size=(n, d))
    X[at:] += by
    return X


# -- twins ------------------------------------------------------------------------------------


def streams() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    gaps = shifted(260, 150, 2.0, 2)
    gaps[rng.random(gaps.shape) < 0.2] = np.nan
    late = shifted(260, 200, 3.0, 2)
    late[:60, 1] = np.nan
    return {
        "normal": shifted(),
        "twice": np.concatenate([shifted(150, 90, 4.0), shifted(120, 80, -2.0)]),
        "skewed": 1.0 + rng.pareto(2.1, (250, 1)) + 2.0 * (np.arange(250)[:, None] >= 180),
        "two values": 1.0 * (rng.random((250, 1)) < np.where(np.arange(250) < 150, 0.3, 0.9)[:, None]),
        "constant": np.where(np.arange(120) < 60, 5.0, 6.0)[:, None],
        "two fields": shifted(260, 200, 1.5, 2),
        "gaps": gaps,
        "late": late,
        "nasty": nasty(250, 2, 3),
    }


@pytest.mark.parametrize("name", streams())
def test_calibrated_agrees_with_the_slow_twin(name: str) -> None:
    X = streams()[name]
    changed, since = run(ClippedMean(0.2), X)
    assert (changed.tolist(), since.tolist()) == slow.calibrated(X.tolist(), limit(0.2))
    if name not in ("nasty", "gaps"):
        assert changed.any()


@pytest.mark.parametrize("d", [1, 2])
def test_algorithm_1_agrees_with_the_slow_twin(d: int) -> None:
    X = 10.0 + 2.0 * shifted(110, 60, 2.5, d)
    X[30] = 500.0
    sigma = 2.0 * math.sqrt(d)
    changed, since = run(ClippedMean(0.1, "printed", sigma, 6.0 * sigma, 10.0), X)
    twin = slow.theorem(X.tolist(), 0.1, sigma, 6.0 * sigma, 10.0, slow.PRINTED, False)
    assert changed.any()
    assert (changed.tolist(), since.tolist()) == twin


@pytest.mark.parametrize("constants", ["guaranteed", "printed"])
def test_the_bound_is_the_papers(constants: str) -> None:
    ours, theirs = (GUARANTEED, slow.GUARANTEED) if constants == "guaranteed" else (PRINTED, slow.PRINTED)
    for t, sigma, diameter in ((1, 1.0, 12.0), (400, 1.0, 12.0), (50_000, 0.5, 3.0), (1_000_000, 2.0, 1.0)):
        gamma = slow.gamma(sigma, diameter, theirs)
        found = radius(1.0 * t, math.log(1 / 0.01), Descent(sigma, diameter, 2.0 * diameter, gamma, ours))
        assert found == pytest.approx(slow.radius(t, 0.01, sigma, diameter, theirs), rel=1e-12)


def test_equation_9_as_printed_cannot_see_the_change_of_its_own_experiment() -> None:
    """Change of 1 after 400 records, sigma 1, diameter 12: without its square the first term alone is too large."""
    gamma, level = slow.gamma(1.0, 12.0, slow.PRINTED), math.log(2.0 * 400**2 * 401 / (0.1 / (2.0 * 800 * 801)))
    c = max(0.5 / (12.0**2 * 24.0**2), 24.0 * math.sqrt(level) / (gamma**2 * 12.0))
    assert c * gamma**2 * 12.0**2 / 401 > 1.0
    assert c * gamma**2 * 12.0**2 / 401**2 < 0.05


def test_the_grid_is_the_slow_twins() -> None:
    split_at = [0] * PLACES
    for n in range(1, 3000):
        levels, wide, found = due(n), 1, []
        for level in range(levels):
            base = n // wide
            for back in range(4 if level else 1, min(8, base)):
                s = (base - back) * wide
                assert split_at[place(base - back, level)] == s
                found.append(s)
            wide *= 2
        assert sorted(found) == sorted(slow.due(n))
        assert {s for s in split_at if s} == set(slow.kept(n))
        split_at[place(n, 0)] = n


def test_surprise_is_a_tail_of_chi_squared() -> None:
    # -ln P(N(0, 1)^2 > 25) and -ln P(chi2(2) > 40); the saddlepoint is off by less than .3
    assert surprise(25.0, 1.0) == pytest.approx(-math.log(math.erfc(5.0 / math.sqrt(2.0))), abs=0.3)
    assert surprise(40.0, 2.0) == pytest.approx(20.0, abs=0.2)


# -- facts ------------------------------------------------------------------------------------


def test_a_shift_is_found_and_placed() -> None:
    changed, since = run(ClippedMean(), shifted(400, 300, 3.0))
    (at,) = np.flatnonzero(changed)
    assert 300 <= at < 310
    assert abs(at - since[at] - 300) <= 1
    assert (since[~changed] == 0).all()


def test_outliers_and_heavy_tails_raise_no_alarm() -> None:
    X = np.random.default_rng(1).standard_t(2.1, 3000)
    X[::50] += 1e6
    assert not run(ClippedMean(), X, FAST)[0].any()


def test_a_change_in_one_field_of_many_is_found_without_its_unit() -> None:
    X = np.random.default_rng(2).normal(size=(500, 6)) * 10.0 ** np.arange(-3, 3)
    X[400:, 0] += 3e-3
    changed, _ = run(ClippedMean(), X, FAST)
    assert 400 <= np.flatnonzero(changed)[0] < 420


def test_fields_that_go_together_count_once() -> None:
    common = np.random.default_rng(3).normal(size=(3000, 1))
    assert not run(ClippedMean(), np.repeat(common, 8, axis=1), FAST)[0].any()


def test_autocorrelated_noise_raises_few_alarms() -> None:
    x = np.random.default_rng(4).normal(size=3000)
    for i in range(1, len(x)):
        x[i] += 0.7 * x[i - 1]
    assert run(ClippedMean(), x, FAST)[0].sum() <= 1


def test_a_constant_field_that_changes_its_value_is_found() -> None:
    X = np.append(np.full(1000, 5.0), np.full(40, 6.0))
    changed, since = run(ClippedMean(), X, FAST)
    (at,) = np.flatnonzero(changed)
    assert at - since[at] == 1000
    assert not run(ClippedMean(), np.insert(np.full(1000, 5.0), 700, 6.0), FAST)[0].any()


def test_missing_records_are_skipped() -> None:
    X = shifted(400, 300, 3.0)
    gaps = np.insert(X, [10, 150, 302], [[np.nan], [np.inf], [1e200]], axis=0)
    readable = np.isfinite(gaps[:, 0]) & (np.abs(gaps[:, 0]) < 1e150)
    changed, since = run(ClippedMean(), gaps)
    assert not changed[~readable].any()
    assert np.array_equal(since[readable], run(ClippedMean(), X)[1])


@pytest.mark.parametrize("constants", ["calibrated", "printed"])
def test_what_is_not_learned_is_not_judged(constants: Any) -> None:
    X = shifted(200, 100, 5.0)
    assert run(ClippedMean(constants=constants), X, FAST)[0].any()
    changed, _ = run(ClippedMean(constants=constants), X, FAST, learn=np.arange(200) < 100)
    assert not changed.any()


def test_guaranteed_is_slow_and_silent_and_finds_what_it_must() -> None:
    pytest.importorskip("numba")
    X = np.random.default_rng(6).standard_normal(24_000)
    assert not run(ClippedMean(0.05, "guaranteed", 1.0, 6.0, 0.0), X, FAST)[0].any()
    X[16_000:] += 2.9
    changed, _ = run(ClippedMean(0.05, "guaranteed", 1.0, 6.0, 0.0), X, FAST)
    assert 16_000 < np.flatnonzero(changed)[0] < 20_000


@pytest.mark.parametrize("parameters", [{}, {"constants": "printed"}, {"constants": "printed", "sigma": 1.5}])
def test_units_do_not_matter_but_for_a_given_sigma(parameters: dict[str, Any]) -> None:
    X = shifted(700, 400, 3.0)
    moved = dict(parameters)
    if "sigma" in moved:
        moved["sigma"] *= 2.0**20
    plain, scaled = run(ClippedMean(**parameters), X, FAST), run(ClippedMean(**moved), X * 2.0**20, FAST)
    assert plain[0].any()
    assert np.array_equal(plain[1], scaled[1])


# -- laws and refusals ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parameters",
    [{}, {"constants": "guaranteed"}, {"constants": "printed"}],
    ids=lambda each: each.get("constants", "calibrated"),
)
def test_it_keeps_the_laws(parameters: dict[str, Any]) -> None:
    check_component(ClippedMean, compiled=available(), **parameters)


@pytest.mark.parametrize("constants", ["calibrated", "printed"])
def test_compiled_and_interpreted_are_bit_identical(constants: Any) -> None:
    pytest.importorskip("numba")
    for X in (nasty(1500, 3), shifted(400, 200, 2.0, 3)):
        both = [run(ClippedMean(0.5, constants), X, engine) for engine in ("python", "numba")]
        assert all(np.array_equal(a, b) for a, b in zip(*both, strict=True))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"delta": 0.0}, "delta must be between 0 and 1, got 0.0"),
        ({"delta": 1.0}, "delta must be between 0 and 1, got 1.0"),
        ({"constants": "exact"}, "constants must be calibrated, guaranteed or printed, got 'exact'"),
        ({"sigma": 1.0}, "sigma, diameter and centre are for constants=guaranteed or printed"),
        ({"constants": "printed", "sigma": -1.0}, "sigma must be > 0, got -1.0"),
        ({"constants": "printed", "sigma": 1.0, "diameter": math.inf}, "diameter must be > 0"),
        ({"constants": "guaranteed", "diameter": 3.0}, "need sigma"),
    ],
)
def test_bad_parameters_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        ClippedMean(**parameters)
