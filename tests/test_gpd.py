"""The generalised Pareto law: against scipy, a grid of likelihoods and the twins."""

from __future__ import annotations

import numpy as np
import pytest
from naive.spliced import gross
from naive.spot import log_likelihood, log_tail, moments

from clipdetect.jit import available
from clipdetect.numerics import gpd, peaks

SHAPES = (-0.8, -0.3, 0.0, 0.2, 0.5, 1.0)


def sample(xi: float, n: int, seed: int = 0) -> np.ndarray:
    u = np.random.default_rng(seed).random(n)
    return np.sort(2.5 * (-np.log(u) if xi == 0 else np.expm1(-xi * np.log(u)) / xi))


@pytest.mark.parametrize("xi", SHAPES)
def test_tail_and_quantile_are_those_of_scipy(xi):
    stats = pytest.importorskip("scipy.stats")
    y = np.linspace(0.0, 2.5 / -xi * 0.999 if xi < 0 else 40.0, 50)
    expected = -stats.genpareto.logsf(y, xi, scale=2.5)
    np.testing.assert_allclose([gpd.log_tail(v, xi, 2.5) for v in y], expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose([gpd.excess(a, xi, 2.5) for a in expected], y, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("xi", [-1.0, -0.5, -1e-5, 0.0, 0.5, 4.0])
def test_tail_strictly_rises_and_stays_finite_beyond_its_end(xi):
    y = np.concatenate([[0.0], np.logspace(-9, 290, 2000)])
    found = np.array([gpd.log_tail(v, xi, 2.0) for v in y])
    assert np.isfinite(found).all() and (np.diff(found) > 0).all()
    np.testing.assert_allclose(found, [log_tail(v, xi, 2.0) for v in y], rtol=1e-9)


@pytest.mark.parametrize("xi", SHAPES)
@pytest.mark.parametrize("n", [5, 20, 200])
def test_likelihood_is_at_least_that_of_every_place_of_a_fine_grid(xi, n):
    for seed in range(3):
        y = sample(xi, n, seed)
        own = log_likelihood(y, *gpd.by_likelihood(y, n))
        grid = [
            log_likelihood(y, a, s * y.mean()) for a in np.linspace(-1, 2.5, 71) for s in np.geomspace(0.05, 6.0, 71)
        ]
        assert own >= max(grid) - 1e-6


@pytest.mark.parametrize("xi", [-0.3, 0.0, 0.3])
def test_likelihood_fit_is_that_of_scipy(xi):
    stats = pytest.importorskip("scipy.stats")
    y = sample(xi, 300, 7)
    found = gpd.by_likelihood(y, 300)
    shape, _, scale = stats.genpareto.fit(y, floc=0)
    assert log_likelihood(y, *found) >= log_likelihood(y, shape, scale) - 1e-4
    np.testing.assert_allclose(found, (shape, scale), rtol=0.01, atol=0.01)


@pytest.mark.parametrize("xi", SHAPES)
def test_moments_equal_those_of_the_twin_and_find_the_law(xi):
    y = sample(xi, 2000, 3)
    np.testing.assert_allclose(gpd.by_moments(y, 2000), moments(y), rtol=1e-9)
    if xi < 0.5:
        np.testing.assert_allclose(gpd.by_moments(y, 2000), (xi, 2.5), atol=0.2)


@pytest.mark.parametrize("fit", [gpd.by_likelihood, gpd.by_moments])
@pytest.mark.parametrize("y", [[0.0, 0.0], [1.0] * 5, [0.0, 0.0, 1.0], [1e-300, 1.0, 1e290], [5e-324, 1e-323]])
def test_fits_of_nasty_excesses_are_finite(fit, y):
    xi, sigma = fit(np.array(y), len(y))
    assert np.isfinite(xi) and np.isfinite(sigma) and sigma > 0


@pytest.mark.skipif(not available(), reason="needs numba")
def test_compiled_and_interpreted_fits_agree_bit_for_bit():
    for xi in SHAPES:
        y = sample(xi, 100, 1)
        for fit in (gpd.by_likelihood, gpd.by_moments):
            assert fit(memoryview(y), 100) == fit.compiled(y, 100)


def test_order_sorts():
    for n in (0, 1, 2, 7, 100, 201):
        y = np.random.default_rng(n).choice([1.0, 2.0, 0.0, 5.5], n)
        expected = np.sort(y)
        peaks.order(y, n)
        assert y.tolist() == expected.tolist()


def test_first_scale_is_where_the_clipped_mean_is_one():
    y = np.sort(np.abs(np.random.default_rng(1).standard_t(2, 500)))
    assert np.minimum(y / peaks.first_scale(y, 500), 2.0).mean() == pytest.approx(1.0, abs=1e-3)
    assert peaks.first_scale(np.zeros(5), 5) == 0.0


def test_gross_sizes_are_found_as_the_twin_finds_them():
    rng = np.random.default_rng(2)
    for share, index in ((0.0, 0.0), (0.05, 0.0), (0.05, 3.0), (0.1, 2.0), (0.3, 2.0)):
        y = np.abs(rng.standard_t(4, 400)) / 0.9
        y[rng.random(400) < share] += 40.0
        y.sort()
        found = peaks.gross_from(y, 400, 60, index)
        assert found == gross(y, 60, index)
        assert found == (int((y < 30).sum()) if 0.0 < share < 0.15 else 400)
