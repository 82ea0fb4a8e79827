"""The estimator `horizons`: a slow estimator for what lasts, a fast one for what sticks out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from naive.combine import Unit
from naive.runs import block, fresh, nasty, run

from clipdetect import Detector, registry
from clipdetect.components import Params, Rows
from clipdetect.estimators.fields import Fields
from clipdetect.estimators.horizons import CONSTANTS, Horizons
from clipdetect.estimators.level import Level
from clipdetect.estimators.zscore import Zscore
from clipdetect.jit import Engine, EngineName, available

FAST: EngineName = "numba" if available() else "python"


def merged(a: np.ndarray, b: np.ndarray, handicap: float) -> list[float]:
    """The raw scores, slow and obvious."""
    slow, fast = Unit(CONSTANTS.slow), Unit(CONSTANTS.fast)
    found = []
    for x, y in zip(a.tolist(), np.log1p(np.abs(b)).tolist(), strict=True):
        if math.isnan(x) or math.isnan(y):
            found.append(x)
            continue
        raw = x
        if slow.seen >= 8 and slow.spread > 0 and fast.spread > 0:
            u = (y - fast.location) / fast.spread
            raw = max(x, slow.location + slow.spread * (u - handicap))
        found.append(raw)
        slow.learn(x)
        fast.learn(y)
    return found


@pytest.mark.parametrize("handicap", [0.0, 2.0, 6.0])
def test_raw_scores_are_those_of_the_twin(handicap: float) -> None:
    X = np.random.default_rng(0).standard_t(3, (600, 3))
    X[200:240] += 30.0
    X[np.random.default_rng(1).random(X.shape) < 0.05] = np.nan
    found = run(Horizons(Fields(), Level(), handicap), X)
    expected = merged(run(Fields(), X)[0], run(Level(), X)[0], handicap)
    np.testing.assert_allclose(found[0], expected, rtol=1e-9)


def test_not_learning_leaves_the_state_bit_equal() -> None:
    estimator = registry.build("estimator", "horizons")
    assert isinstance(estimator, Horizons)
    state, slots = fresh(estimator, 2), np.zeros(100, np.int64)
    estimator.step(state, slots, block(nasty(100, 2)))
    before = {name: array.copy() for name, array in state.items()}
    estimator.step(state, slots, block(nasty(100, 2, 5), learn=np.zeros(100, bool), restart=[7]))
    assert all(array.tobytes() == before[name].tobytes() for name, array in state.items())


def rhythm(n: int = 8000) -> np.ndarray:
    """Three measures with the rhythm of a day of 1,000 records, far wider than their noise."""
    rng = np.random.default_rng(3)
    day = np.sin(2 * np.pi * np.arange(n) / 1000.0)
    return np.stack([30.0 * day, 20.0 * day + 100.0, -10.0 * day], axis=1) + rng.normal(size=(n, 3))


def test_lone_spikes_within_a_wide_rhythm_and_long_bursts_are_both_flagged() -> None:
    X = rhythm(20_000)
    spikes = np.arange(8000, 17_000, 500)
    X[spikes, 1] += 40.0
    X[18_000:18_600] += np.array([300.0, -200.0, 90.0])
    flags = {name: Detector(name, "tail", engine=FAST).step(X).flag == 1 for name in ("horizons", "level")}
    burst = slice(18_010, 18_600)
    assert flags["horizons"][spikes].mean() > 0.7 and flags["horizons"][burst].mean() > 0.95
    assert flags["level"][burst].mean() < 0.5
    rest = np.ones(len(X), bool)
    rest[spikes], rest[:3000], rest[17_990:] = False, False, False  # the rhythm is new at first
    assert flags["horizons"][rest].mean() < 0.003


def test_shares_sum_to_one_and_name_the_field_of_a_spike() -> None:
    X = rhythm(3000)
    X[2500, 2] += 60.0
    estimator, *given = _bound(X)
    _, expected, scale, share = estimator.step(*given)
    assert np.allclose(np.nansum(share[200:], axis=1), 1.0)
    assert share[2500, 2] > 0.9
    assert abs(X[2500, 2] - expected[2500, 2]) > 20.0 * scale[2500, 2]


def _bound(X: np.ndarray) -> tuple[Horizons, dict, np.ndarray, Rows]:
    estimator = Horizons(Fields(), Level())
    estimator.bind([f"f{j}" for j in range(X.shape[1])], Params(Engine(FAST)))
    return estimator, fresh(estimator, X.shape[1]), np.zeros(len(X), np.int64), block(X)


def test_rarities_are_for_the_slow_one_only() -> None:
    rng = np.random.default_rng(5)
    X = np.column_stack([rng.normal(size=2000), np.full(2000, 0.1)])
    X[1500, 1] = 3.5
    estimator = Horizons(Fields(), Level())
    state = fresh(estimator, 2)
    estimator.bind(["x", "rare(y)"], Params(Engine(FAST), decades=["rare(y)"]))
    raw, _, _, share = estimator.step(state, np.zeros(2000, np.int64), block(X))
    assert raw[1500] > np.nanmax(raw[100:1500])
    assert share[1500, 1] > 0.5
    assert list(estimator.fast.fields) == ["x"]


def test_bands_are_those_at_which_the_flag_flips() -> None:
    detector = Detector("horizons", "tail", bands=True, engine=FAST)
    X = rhythm(1500)
    scored = detector.step(X)
    assert np.isfinite(scored.high[-1]).all() and (scored.high[-1] > scored.expected[-1]).all()
    inside = (scored.low[1000:] <= X[1000:]) & (X[1000:] <= scored.high[1000:])
    assert inside.mean() > 0.98


@pytest.mark.parametrize(
    ("params", "problem"),
    [({"handicap": -1.0}, "handicap must be at least 0"), ({"slow": "fields"}, "an estimator expected")],
)
def test_bad_parameters_are_refused(params, problem) -> None:
    with pytest.raises(ValueError, match=problem):
        Horizons(**{"slow": Fields(), "fast": Level(), **params})


def test_kinds_follow_the_slow_one() -> None:
    assert Horizons(Fields(), Level()).steady and Horizons(Fields(), Level()).takes_decades
    assert not Horizons(Zscore(), Level()).steady and Horizons(Zscore(), Level()).raw_kind == "distance"
