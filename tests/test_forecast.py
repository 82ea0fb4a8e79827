"""The estimator `forecast`: eight clipped forecasters, their mixture, and the evidence of level shifts."""

from __future__ import annotations

import numpy as np
import pytest
from naive.forecast import forecast as slow_forecast
from naive.runs import block, fresh, nasty, run, same

from clipdetect import Detector
from clipdetect.components import Rows
from clipdetect.estimators.forecast import Forecast
from clipdetect.numerics.forecasting import BINS, bin_of

FIVE_MINUTES = 1.7e9 + 300.0 * np.arange(10_000)


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n)


def timed(X: np.ndarray, time: np.ndarray, shifts: bool = True, engine: str = "python") -> tuple[np.ndarray, ...]:
    estimator = Forecast(shifts=shifts)
    rows = block(X)
    rows.time[:] = time
    return estimator.step(fresh(estimator, rows.X.shape[1], engine=engine), np.zeros(len(time), np.int64), rows)


def made(n: int = 900, seed: int = 0) -> np.ndarray:
    """(n, 2) with shifts, a constant stretch, another scale, gaps and gross values."""
    rng = np.random.default_rng(seed)
    X = rng.standard_t(3, (n, 2))
    X[200:] += [10.0, 0.0]
    X[300:340, 1] = 2.5
    X[400:, 0] *= 20.0
    X[600:640, 1] += 40.0
    X[rng.random(X.shape) < 0.05] = np.nan
    X[rng.random(X.shape) < 0.03] = 30.0
    return X


@pytest.mark.parametrize("shifts", [True, False])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("two", [True, False])
def test_kernel_agrees_with_the_slow_twin(shifts: bool, seed: int, two: bool) -> None:
    X, rng = made(seed=seed), np.random.default_rng(seed)
    X = X if two else np.exp(0.3 * X[:, :1])  # one field is treated otherwise, most so where it is skewed
    time = 1.7e9 + 600.0 * np.arange(len(X)) - 5000.0 * (rng.random(len(X)) < 0.05)
    time[rng.random(len(X)) < 0.1] = np.nan
    for times in (time, np.full(len(X), np.nan)):
        actual = timed(X, times, shifts)
        for a, b in zip(actual, slow_forecast(X, times, shifts), strict=True):
            # exp is a short series in the kernel; arcsinh, as far shifts of a field that is all gaps reach 1e12
            np.testing.assert_allclose(np.arcsinh(a), np.arcsinh(np.array(b)), rtol=2e-4, atol=2e-4)


def test_compiled_and_interpreted_are_bit_identical() -> None:
    pytest.importorskip("numba")
    X = nasty(3000, 3)
    assert same(run(Forecast(), X, "python"), run(Forecast(), X, "numba"))
    time = FIVE_MINUTES[:3000].copy()
    time[::7] = np.nan
    time[::11] = 1e300
    assert same(timed(X, time), timed(X, time, engine="numba"))


@pytest.mark.parametrize("shifts", [True, False])
def test_nasty_values_give_finite_raws_and_forecasts(shifts: bool) -> None:
    for d in (1, 4):
        raw, expected, scale = timed(nasty(2000, d, 1), FIVE_MINUTES[:2000], shifts)
        for array in (raw, expected, scale):
            assert not np.isinf(array).any()
        assert not np.isnan(expected[100:]).any()


def test_nasty_values_poison_nothing_that_follows() -> None:
    x = np.concatenate([nasty(600, 1, 3)[:, 0], noise(4000, 2)])
    raw, expected, scale = run(Forecast(), x)
    assert np.isfinite(raw[600:]).all()
    assert np.abs(expected[2500:, 0]).mean() < 0.5
    assert 0.5 < np.median(scale[2500:]) < 2.0


def test_a_restart_is_a_fresh_key() -> None:
    X = nasty(500, 2, 7)
    raw, expected, scale = run(Forecast(), X, restart=[200])
    assert same(run(Forecast(), X[200:]), (raw[200:], expected[200:], scale[200:]))
    assert same(run(Forecast(), X[:200]), (raw[:200], expected[:200], scale[:200]))


def test_not_learning_leaves_the_state_bit_equal() -> None:
    estimator = Forecast()
    state = fresh(estimator, 2)
    slots = np.zeros(300, np.int64)
    estimator.step(state, slots, block(nasty(300, 2)))
    before = {name: array.copy() for name, array in state.items()}
    estimator.step(state, slots, block(nasty(300, 2, 5), learn=np.zeros(300, bool), restart=[7]))
    for name, array in state.items():
        assert array.tobytes() == before[name].tobytes(), name


def test_a_column_never_seen_adds_no_bit() -> None:
    for d in (1, 3):
        X = nasty(400, d, 4)
        padded = np.concatenate([X, np.full((400, 2), np.nan)], axis=1)
        raw, expected, scale = run(Forecast(), padded)
        assert same(run(Forecast(), X), (raw, expected[:, :d], scale[:, :d]))
        assert np.isnan(expected[:, d:]).all()


def test_first_eight_values_of_a_field_have_no_opinion() -> None:
    raw, expected, scale = run(Forecast(), noise(20))
    for array in (raw, expected[:, 0], scale[:, 0]):
        assert np.isnan(array[:8]).all()
        assert not np.isnan(array[8:]).any()


def test_missing_value_is_skipped() -> None:
    x = noise(300)
    gaps = np.insert(x, [3, 50, 51, 200], [np.nan, np.nan, np.inf, 1e150])
    there = np.abs(gaps) < 1e150
    raw, expected, scale = run(Forecast(), gaps)
    assert np.isnan(raw[~there]).all()
    assert same(run(Forecast(), x), (raw[there], expected[there], scale[there]))


@pytest.mark.parametrize("value", [0.0, 0.3, -1e6, 1e-12, 1e149])
def test_a_constant_is_expected_exactly_and_its_first_change_is_strange(value: float) -> None:
    x = np.full(301, value)
    x[-1] = value + max(abs(value), 1.0)
    raw, expected, _ = run(Forecast(), x)
    assert (raw[8:-1] == 0.0).all()
    assert (expected[8:, 0] == value).all()
    assert 50.0 <= raw[-1] < np.inf


def test_zeros_among_rare_values_are_expected_exactly() -> None:
    rng = np.random.default_rng(0)
    x = np.where(rng.random(4000) < 0.05, rng.exponential(size=4000), 0.0)
    raw, expected, scale = run(Forecast(shifts=False), x)
    zero = x[50:] == 0.0
    assert np.mean(expected[50:, 0] == 0.0) > 0.99
    assert np.mean(raw[50:][zero] == 0.0) > 0.99
    assert 0.3 < np.median(scale[500:]) < 3.0


def test_one_record_is_no_opinion() -> None:
    raw, expected, scale = run(Forecast(), np.array([3.0]))
    assert np.isnan(raw).all() and np.isnan(expected).all() and np.isnan(scale).all()
    assert np.isnan(run(Forecast(), np.full(20, np.nan))[0]).all()


def test_deviations_are_in_standard_deviations() -> None:
    for scale in (1e-9, 1.0, 1e9):
        raw, _, width = run(Forecast(shifts=False), scale * noise(6000, 1))
        assert 0.9 < np.std(raw[500:]) < 1.2
        assert 0.9 < np.median(width[500:]) / scale < 1.15


def test_an_autoregression_is_learned() -> None:
    w = noise(6000, 3)
    x = np.zeros(6000)
    for i in range(2, 6000):
        x[i] = 1.2 * x[i - 1] - 0.6 * x[i - 2] + w[i]
    error = np.abs(x - run(Forecast(), x, "numba")[1][:, 0])[3000:]
    assert error.mean() < 1.15 * np.abs(w[3000:]).mean()  # the best possible forecast misses by w


@pytest.mark.parametrize("shape", ["waves", "blocks"])
def test_the_time_of_day_is_learned_where_there_are_times(shape: str) -> None:
    hour = np.arange(1440)
    rhythm = 8.0 * np.sin(2 * np.pi * hour / 24) if shape == "waves" else np.where(hour % 24 // 2 % 3 == 1, 20.0, 0.0)
    x = rhythm + (2.0 if shape == "waves" else 1.0) * noise(1440, 4)
    time = 1.7e9 + 3600.0 * hour
    with_times, without = np.abs(x - timed(x, time)[1][:, 0]), np.abs(x - run(Forecast(), x)[1][:, 0])
    assert with_times[720:].mean() < 0.85 * without[720:].mean()


def test_the_first_time_may_come_late() -> None:
    x = 1e3 + noise(2000, 6)
    time = FIVE_MINUTES[:2000].copy()
    time[:1000] = np.nan
    error = np.abs(x - timed(x, time)[1][:, 0])
    assert error[1000:].mean() < 1.1 * error[500:1000].mean()


@pytest.mark.parametrize("jump", [5.0, 50.0, -5000.0])
def test_a_jump_is_followed(jump: float) -> None:
    for seed in range(5):
        x = noise(1200, seed)
        x[800:] += jump
        _, expected, _ = run(Forecast(), x)
        assert np.median(np.abs(expected[830:860, 0] - jump)) < 1.0


def test_gross_outliers_hardly_move_the_forecast() -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal(5000)
    calm = np.abs(run(Forecast(), x)[1][500:, 0]).mean()
    x[10:][rng.random(4990) < 0.02] = 300.0
    assert np.abs(run(Forecast(), x)[1][500:, 0]).mean() < calm + 0.2


def test_level_shifts_are_flagged_that_single_deviations_do_not_show() -> None:
    found = {True: 0, False: 0}
    for shifts in found:
        for seed in range(10):
            x = np.random.default_rng(seed).laplace(size=4000)
            x[3000:] += 6.0
            flag = Detector(Forecast(shifts=shifts), "tail", fields=["x"], engine="numba").step(x[:, None]).flag
            found[shifts] += bool((flag[3000:3020] == 1).any())
    assert found[True] == 10
    assert found[False] < 8


@pytest.mark.parametrize(("a", "b", "tolerance"), [(1e6, 0, 1e-9), (1e-6, 0, 1e-9), (-1, 0, 1e-9), (1, 1e6, 1e-5)])
def test_units_do_not_matter(a: float, b: float, tolerance: float) -> None:
    X = np.random.default_rng(3).standard_t(3, (1500, 3))
    X[700:] += 8.0
    for d in (1, 3):
        raw = run(Forecast(), X[:, :d])[0]
        sign = np.sign(a) if d == 1 else 1.0
        np.testing.assert_allclose(sign * run(Forecast(), a * X[:, :d] + b)[0], raw, rtol=tolerance, atol=tolerance)


def test_a_power_of_two_as_unit_changes_no_bit() -> None:
    x = noise(1000) * 3.0
    raw, expected, _ = run(Forecast(), x * 2.0**40)
    assert same((raw, expected), (run(Forecast(), x)[0], run(Forecast(), x)[1] * 2.0**40))


@pytest.mark.parametrize("skewed", [False, True])
def test_bands_hold_what_is_not_flagged(skewed: bool) -> None:
    x = np.exp(noise(3000, 8)) if skewed else noise(3000, 8)
    x[2000:2990:90] += 9.0
    x[2045:2990:90] -= 9.0
    scored = Detector(Forecast(shifts=False), "tail", fields=["x"], bands=True, engine="numba").step(x[:, None])
    late = slice(500, None)
    inside = (x >= scored.low[:, 0]) & (x <= scored.high[:, 0])
    assert (scored.flag[late] == 1).sum() > 10
    assert (inside[late] == (scored.flag[late] != 1)).mean() > 0.999


def test_both_sides_of_skewed_noise_are_judged_by_their_own_tail() -> None:
    x = np.exp(noise(6000, 5))
    raw = run(Forecast(shifts=False), x, "numba")[0][1000:]
    far = {side: np.quantile(side * raw[side * raw > 0.0], 0.99) for side in (1.0, -1.0)}
    _, expected, scale = run(Forecast(shifts=False), x, "numba")
    z = ((x - expected[:, 0]) / scale[:, 0])[1000:]
    plain = {side: np.quantile(side * z[side * z > 0.0], 0.99) for side in (1.0, -1.0)}
    assert plain[1.0] > 4.0 * plain[-1.0]
    assert far[1.0] < 2.0 * far[-1.0]


@pytest.mark.parametrize("time", [0.0, 1.7e9, -1e9, 86399.999, 900.0, 1e11])
def test_a_time_has_a_bin(time: float) -> None:
    assert 0.0 <= bin_of(time) < BINS


def test_no_time_has_no_bin() -> None:
    assert [bin_of(t) for t in (float("nan"), float("inf"), 1e300)] == [-1.0] * 3


def test_constants_are_the_instances_own() -> None:
    one, other = Forecast(), Forecast()
    one.constants.rates[:] *= 2.0
    assert other.constants.rates.tolist() == [0.5, 0.2, 0.06, 0.02, 0.005]


def test_times_that_step_back_repeat_or_leap_change_only_the_day() -> None:
    x = noise(2000, 9)
    time = 1.7e9 + 300.0 * np.random.default_rng(1).integers(0, 2000, 2000)
    raw, expected, _ = timed(x, time)
    assert np.isfinite(raw[8:]).all() and np.abs(expected[100:]).max() < 3.0
    rows: Rows = block(x)
    assert np.isnan(rows.time).all()
