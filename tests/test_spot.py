"""The `spot` threshold: its twin, its refusals, and whether it keeps its word."""

from __future__ import annotations

import numpy as np
import pytest
from naive.spot import NaiveSpot

from clipdetect import testing
from clipdetect.components import Params, Rows
from clipdetect.jit import Engine, available
from clipdetect.numerics.gpd import by_likelihood, mean_of
from clipdetect.testing import check_component
from clipdetect.thresholds.spot import Spot

FAST = "numba" if available() else "python"
TEXTBOOK = {"initial": 500, "every": 1, "peaks": 500, "scaled": False, "patience": 0, "reject": 1.0}


def make(kind="residual", rate=1e-3, engine=FAST, **params):
    spot = Spot(**params)
    bound = Params(engine=Engine(engine), rate=rate, raw_kind=kind)
    spot.check(bound)
    spot.bind(["x"], bound)
    return spot, {name: np.zeros((1, *shape), dtype) for name, (shape, dtype) in spot.state_spec(1).items()}


def step(spot, state, raw, learn=True):
    raw = np.array(raw, np.float64)
    rows = rows_of(len(raw), learn)
    return spot.step(state, np.zeros(len(raw), np.int64), raw, rows)


def rows_of(n, learn):
    empty = np.full(n, np.nan)
    return Rows(np.zeros((n, 1)), empty, empty.copy(), np.full(n, learn), np.zeros(n, bool))


def test_laws():
    check_component(Spot, compiled=False)
    check_component(Spot, compiled=False, initial=100, level=0.9, patience=20)


@pytest.mark.skipif(not available(), reason="needs numba")
@pytest.mark.parametrize("kind", ["residual", "distance", "level"])
@pytest.mark.parametrize("params", [{}, {"depth": 10}, {**TEXTBOOK, "initial": 250}])
def test_compiled_and_interpreted_agree_bit_for_bit(kind, params):
    rng = np.random.default_rng(3)
    for x in (
        rng.standard_t(3, 900),
        np.where(rng.random(900) < 0.3, rng.choice(testing.NASTY, 900), 1.0),
        [0.0] * 400,
    ):
        found = []
        for engine in ("python", "numba"):
            spot, state = make(kind, engine=engine, **params)
            score, flag = step(spot, state, x)
            found.append((score.tobytes(), flag.tobytes(), [a.tobytes() for a in state.values()]))
        assert found[0] == found[1]


def clipped_fit(y):
    xi, sigma = by_likelihood(y, len(y))
    return (xi, sigma) if xi >= -0.5 else (-0.5, 1.5 * mean_of(y, len(y)))


def test_textbook_form_equals_the_twin():
    x = 5.0 + np.random.default_rng(1).standard_t(4, 2500)
    spot, state = make("level", **TEXTBOOK)
    score, _ = step(spot, state, x)
    twin = NaiveSpot(x[:500], 0.98, 1e-3, clipped_fit)
    expected = [twin.step(v) for v in x[500:]]
    beyond = np.array([e is not None for e in expected])
    assert np.isnan(score[:500]).all() and beyond.sum() > 20
    np.testing.assert_allclose(score[500:][beyond], [e for e in expected if e is not None], rtol=1e-5)
    assert (score[500:][~beyond] <= 1.75).all()


@pytest.mark.parametrize("name", ["gaussian", "t(3)", "gamma"])
@pytest.mark.skipif(not available(), reason="too slow interpreted")
def test_share_of_flags_is_the_rate_asked_for(name):
    rng = np.random.default_rng(9)
    n = 100_000
    x = {"gaussian": rng.normal(size=n), "t(3)": rng.standard_t(3, n), "gamma": rng.gamma(2, size=n) - 1.7}[name]
    for rate, factor in ((0.01, 1.3), (0.001, 2.3)):
        score, flag = step(*make(rate=rate), x)
        assert 1 / factor < np.mean(flag == 1) / rate < factor
        assert np.array_equal(flag > 0, score >= -np.log10(rate))


@pytest.mark.skipif(not available(), reason="too slow interpreted")
def test_textbook_leaves_out_more_and_more():
    x = np.abs(np.random.default_rng(9).normal(size=100_000))
    _, own = step(*make("level"), x)
    _, textbook = step(*make("level", **TEXTBOOK), x)
    assert np.mean(own > 0) < np.mean(textbook > 0)


@pytest.mark.skipif(not available(), reason="too slow interpreted")
@pytest.mark.parametrize("factor", [100.0, 0.01])
def test_a_scale_that_changes_for_good_does_not_freeze_it(factor):
    x = np.random.default_rng(4).normal(size=60_000)
    x[20_000:] *= factor
    for params in ({}, {"scaled": False}):
        _, flag = step(*make(**params), x)
        assert 0.2e-3 < np.mean(flag[45_000:] == 1) < 4e-3
    _, frozen = step(*make(**TEXTBOOK), x)
    assert np.mean(frozen[45_000:] == 1) > 0.3 if factor > 1 else not frozen[45_000:].any()


@pytest.mark.skipif(not available(), reason="too slow interpreted")
def test_five_percent_gross_records_are_flagged_and_the_rest_is_not():
    rng = np.random.default_rng(10)
    x, gross = rng.normal(size=50_000), rng.random(50_000) < 0.05
    x[gross] += 30.0
    _, flag = step(*make(), x)
    assert np.mean(flag[500:][gross[500:]] == 1) > 0.99
    assert np.mean(flag[500:][~gross[500:]] == 1) < 0.003


def test_depth_follows_a_level():
    x = np.random.default_rng(5).normal(size=1500) + 0.2 * np.arange(1500)
    _, still = step(*make("level", scaled=False), x)
    _, following = step(*make("level", scaled=False, depth=20), x)
    assert still.sum() > 10 * max(1, following.sum())


@pytest.mark.parametrize("kind", ["residual", "level"])
@pytest.mark.parametrize("params", [{}, {"scaled": False}])
def test_scores_rise_and_limits_are_where_the_flag_flips(kind, params):
    spot, state = make(kind, **params)
    step(spot, state, 1000.0 * (kind == "level") + np.random.default_rng(6).standard_t(3, 2000))
    low, high = spot.limits(state, np.zeros(1, np.int64))
    base = 1000.0 if kind == "level" else 0.0
    inside, outside = base + (high[0] - base) * 0.998, base + (high[0] - base) * 1.002
    assert step(spot, state, [inside, outside], learn=False)[1].tolist() == [0, 1]
    assert np.isnan(low[0]) if kind == "level" else low[0] == -high[0]
    score, _ = step(spot, state, base + np.geomspace(1e-6, 1e200, 500), learn=False)
    assert (np.diff(score[np.isfinite(score)]) > 0).sum() >= 400 and (np.diff(score) >= 0).all()


def test_refusals_say_what_to_do():
    make(rate=1e-4, peaks=400)  # what the message for 1e-4 asks for is accepted
    with pytest.raises(ValueError, match=r"rate 1e-05 cannot be resolved with peaks=200 .* give peaks=4000"):
        make(rate=1e-5)
    with pytest.raises(ValueError, match=r"rate 0.05 .* level=0.5"):
        make(rate=0.05)
    for bad in (
        {"level": 0.2},
        {"initial": 60},
        {"peaks": 3},
        {"every": 0},
        {"depth": -1},
        {"patience": 5},
        {"reject": 0},
    ):
        with pytest.raises(ValueError, match=next(iter(bad))):
            Spot(**bad)
