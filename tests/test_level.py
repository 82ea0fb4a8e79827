"""The estimator `level`: the ladder of clipped SGD around a window median."""

from __future__ import annotations

import numpy as np
import pytest
from naive.level import level as slow_level
from naive.runs import block, fresh, nasty, run, same

from clipdetect.estimators.level import Level


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n)


def settled(error: np.ndarray, limit: float = 1.0) -> int:
    """First index from which 30 in a row are under the limit."""
    good = np.convolve(error < limit, np.ones(30), "valid") == 30
    return int(np.argmax(good)) if good.any() else len(error)


@pytest.mark.parametrize("patience", [5, 8, 20, 21])
@pytest.mark.parametrize("reject", [True, False])
def test_kernel_agrees_with_the_slow_twin(patience: int, reject: bool) -> None:
    rng = np.random.default_rng(patience)
    X = rng.standard_t(3, (700, 2))
    X[200:] += [10.0, 0.0]
    X[300:340, 1] = 2.5
    X[400:, 0] *= 20.0
    X[rng.random(X.shape) < 0.05] = np.nan
    X[rng.random(X.shape) < 0.03] = 30.0
    actual = run(Level(patience=patience, reject=reject), X)
    twin = slow_level(X.tolist(), patience, reject)
    for a, b in zip(actual, twin, strict=True):  # sums in another order: rounding only
        np.testing.assert_allclose(a, np.array(b), rtol=1e-7, atol=1e-9)


def test_one_field_agrees_with_the_slow_twin_under_strong_autocorrelation() -> None:
    w = noise(1500, 3)
    x = np.zeros(1500)
    for i in range(1, 1500):
        x[i] = 0.9 * x[i - 1] + w[i]
    for a, b in zip(run(Level(), x), slow_level(x[:, None].tolist()), strict=True):
        np.testing.assert_allclose(a, np.array(b), rtol=1e-7, atol=1e-9)


def test_compiled_and_interpreted_are_bit_identical() -> None:
    pytest.importorskip("numba")
    X = nasty(3000, 3)
    assert same(run(Level(), X, "python"), run(Level(), X, "numba"))


@pytest.mark.parametrize("patience", [5, 21, 64])
def test_nasty_values_give_finite_raws_and_predictions(patience: int) -> None:
    for d in (1, 4):
        raw, expected, scale = run(Level(patience=patience), nasty(2000, d, 1))
        for array in (raw, expected, scale):
            assert not np.isinf(array).any()
        assert not np.isnan(expected[100:]).any()


def test_not_learning_leaves_the_state_bit_equal() -> None:
    estimator = Level()
    state = fresh(estimator, 2)
    slots = np.zeros(300, np.int64)
    estimator.step(state, slots, block(nasty(300, 2)))
    before = {name: array.copy() for name, array in state.items()}
    frozen = estimator.step(state, slots, block(nasty(300, 2, 5), learn=np.zeros(300, bool), restart=[7]))
    assert not np.isnan(frozen[0]).all()
    for name, array in state.items():
        assert array.tobytes() == before[name].tobytes(), name


def test_a_column_never_seen_adds_no_bit() -> None:
    for d in (1, 3):
        X = nasty(400, d, 4)
        padded = np.concatenate([X, np.full((400, 2), np.nan)], axis=1)
        raw, expected, scale = run(Level(), padded)
        assert same(run(Level(), X), (raw, expected[:, :d], scale[:, :d]))
        assert np.isnan(expected[:, d:]).all()


def test_a_restart_is_a_fresh_key() -> None:
    X = nasty(500, 2, 7)
    raw, expected, scale = run(Level(), X, restart=[200])
    assert same(run(Level(), X[200:]), (raw[200:], expected[200:], scale[200:]))
    assert same(run(Level(), X[:200]), (raw[:200], expected[:200], scale[:200]))


def test_first_eight_values_of_a_field_have_no_opinion() -> None:
    raw, expected, scale = run(Level(), noise(20))
    for array in (raw, expected[:, 0], scale[:, 0]):
        assert np.isnan(array[:8]).all()
        assert not np.isnan(array[8:]).any()


def test_missing_value_is_skipped() -> None:
    x = noise(300)
    gaps = np.insert(x, [3, 50, 51, 200], [np.nan, np.nan, np.inf, 1e150])
    there = np.abs(gaps) < 1e150
    raw, expected, scale = run(Level(), gaps)
    assert np.isnan(raw[~there]).all()
    assert same(run(Level(), x), (raw[there], expected[there], scale[there]))


@pytest.mark.parametrize("value", [0.0, 0.3, -1e6, 1e-12, 1e149])
def test_a_constant_is_expected_exactly_and_its_first_change_is_strange(value: float) -> None:
    x = np.full(301, value)
    x[-1] = value + max(abs(value), 1.0)
    raw, expected, _ = run(Level(), x)
    assert (raw[8:-1] == 0.0).all()
    assert (expected[8:, 0] == value).all()
    assert 50.0 <= raw[-1] < np.inf


def test_zeros_among_rare_values_are_expected_exactly() -> None:
    rng = np.random.default_rng(0)
    x = np.where(rng.random(4000) < 0.05, rng.exponential(size=4000), 0.0)
    raw, expected, scale = run(Level(), x)
    zero = x[50:] == 0.0
    assert np.mean(raw[50:][zero] == 0.0) > 0.999
    assert 0.3 < np.median(scale[500:]) < 3.0
    assert np.isfinite(raw[8:]).all()
    assert np.isfinite(expected[8:]).all()


@pytest.mark.parametrize("x", [np.round(noise(2000)), np.round(noise(2000) * 0.4), noise(2000) > 0, noise(2000) > 1.6])
def test_coarse_values_give_modest_raws(x: np.ndarray) -> None:
    raw, _, scale = run(Level(), x * 1.0)
    assert np.isfinite(raw[8:]).all()
    assert (scale[100:] > 0.1).all()
    assert np.quantile(np.abs(raw[100:]), 0.999) < 12.0


@pytest.mark.parametrize("jump", [5.0, 50.0, -5000.0])
def test_a_jump_is_followed_within_patience_records(jump: float) -> None:
    for seed in range(5):
        x = noise(1200, seed)
        x[800:] += jump
        _, expected, _ = run(Level(), x)
        assert settled(np.abs(expected[800:, 0] - jump)) <= 30


@pytest.mark.parametrize("change", [0.01, 0.1, 10.0, 100.0])
def test_a_shift_with_another_scale_is_not_locked_out(change: float) -> None:
    x = noise(3500, 1)
    x[1000:] = 50.0 + change * x[1000:]
    _, expected, scale = run(Level(), x)
    assert np.median(np.abs(expected[1600:, 0] - 50.0)) < 0.3 * change
    assert 0.5 * change < np.median(scale[2500:]) < 2.0 * change


def test_a_burst_of_a_quarter_of_the_patience_leaves_almost_no_trace() -> None:
    for seed in range(5):
        x = noise(1200, seed)
        x[800:805] = 30.0
        assert np.abs(run(Level(), x)[1][800:, 0]).max() < 1.0
        x[800:810] = 30.0
        assert np.abs(run(Level(patience=41), x)[1][800:, 0]).max() < 1.0


def test_gross_outliers_hardly_move_the_level() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal(5000)
    x[10:][rng.random(4990) < 0.05] = 30.0
    error = np.abs(run(Level(), x)[1][500:, 0])
    clipped = np.abs(run(Level(reject=False), x)[1][500:, 0])
    assert error.mean() < 0.08 < clipped.mean() < 0.3


@pytest.mark.parametrize(("a", "b", "tolerance"), [(1e6, 0, 1e-9), (1e-6, 0, 1e-9), (-1, 0, 1e-9), (1, 1e6, 1e-6)])
def test_units_do_not_matter(a: float, b: float, tolerance: float) -> None:
    X = np.random.default_rng(3).standard_t(3, (1500, 3))
    X[700:] += 8.0
    for d in (1, 3):
        raw = run(Level(), X[:, :d])[0]
        sign = np.sign(a) if d == 1 else 1.0
        np.testing.assert_allclose(sign * run(Level(), a * X[:, :d] + b)[0], raw, rtol=tolerance, atol=tolerance)


def test_a_power_of_two_as_unit_changes_no_bit() -> None:
    x = noise(1000) * 3.0
    raw, expected, _ = run(Level(), x * 2.0**40)
    assert same((raw, expected), (run(Level(), x)[0], run(Level(), x)[1] * 2.0**40))


def test_one_field_far_out_or_many_a_little_are_the_strangest_records() -> None:
    X = np.random.default_rng(5).standard_normal((1000, 8))
    X[700, 3] = 40.0
    X[800] = 4.0
    raw = run(Level(), X)[0]
    assert np.nanmin(raw) > 0.0
    assert set(np.argsort(np.nan_to_num(raw))[-2:]) == {700, 800}


def test_patience_below_five_is_refused() -> None:
    with pytest.raises(ValueError, match="patience"):
        Level(patience=4)
