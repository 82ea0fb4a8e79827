"""The estimator `extremes`: evidence of a new extreme."""

from __future__ import annotations

import math

import numpy as np
import pytest
from naive.extremes import NaiveExtremes
from naive.runs import block, fresh, nasty, same

from clipdetect import Detector
from clipdetect.components import Rows
from clipdetect.estimators.extremes import Extremes
from clipdetect.jit import EngineName

START = 68


def rows_of(X: np.ndarray, time: np.ndarray | None = None, restart: tuple[int, ...] = ()) -> Rows:
    rows = block(X, restart=restart)
    if time is not None:
        rows.time = time
    return rows


def run(
    X: np.ndarray,
    time: np.ndarray | None = None,
    engine: EngineName = "python",
    restart: tuple[int, ...] = (),
    estimator: Extremes | None = None,
) -> tuple[np.ndarray, ...]:
    """raw, expected, scale, share of one fresh key."""
    estimator = estimator or Extremes()
    rows = rows_of(X, time, restart)
    return estimator.step(fresh(estimator, rows.X.shape[1], engine=engine), np.zeros(len(rows.X), np.int64), rows)


def daily(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A day's wave in noise, one record in five minutes."""
    time = 1.7e9 + 300.0 * np.arange(n)
    return 10 * np.sin(2 * np.pi * time / 86400) + np.random.default_rng(seed).normal(size=n), time


@pytest.mark.parametrize("params", [{}, {"memory": 200.0, "clip": 0.5}])
def test_kernel_agrees_with_the_slow_twin(params: dict[str, float]) -> None:
    x, time = daily(1500)
    x[700:] += 30.0
    x[1000:1010] *= 40.0
    x[1200:1300] = 3.0
    time[::7] = np.nan
    time[900] = 0.0
    twin = NaiveExtremes(**params)
    expected = [twin.step(float(a), float(t)) for a, t in zip(x, time, strict=True)]
    np.testing.assert_allclose(run(x, time, estimator=Extremes(**params))[0], expected, rtol=1e-7, atol=1e-7)


def test_kernel_agrees_with_the_slow_twin_from_a_constant_on() -> None:
    x = np.append(np.zeros(100), np.random.default_rng(1).integers(0, 3, 300))
    twin = NaiveExtremes()
    np.testing.assert_allclose(run(x)[0], [twin.step(float(a)) for a in x], rtol=1e-7, atol=1e-7)


def test_compiled_and_interpreted_are_bit_identical() -> None:
    pytest.importorskip("numba")
    X, time = nasty(1500, 3), np.random.default_rng(3).choice([np.nan, 1e13, -5.0, 1.7e9, 1.7e9 + 899], 1500)
    assert same(run(X, time, "python"), run(X, time, "numba"))


def test_nasty_values_give_nothing_infinite() -> None:
    for d in (1, 4):
        for array in run(nasty(2000, d, 1)):
            assert not np.isinf(array).any()


def test_evidence_is_between_0_and_3() -> None:
    X = nasty(3000, 2, 6)
    raw = run(X)[0]
    assert np.nanmin(raw) == 0.0
    assert np.nanmax(raw) <= 3.0


def test_no_opinion_at_first() -> None:
    x = np.random.default_rng(0).normal(size=100)
    raw, expected, scale, share = run(x)
    for array in (raw, expected[:, 0], scale[:, 0], share[:, 0]):
        assert np.isnan(array[:START]).all()
        assert np.isfinite(array[START:]).all()


def test_most_records_are_no_evidence() -> None:
    raw = run(np.random.default_rng(0).normal(size=5000))[0]
    assert (raw[1000:] > 0.0).mean() < 0.02


def test_a_new_extreme_counts_the_more_the_farther_it_is() -> None:
    x = np.random.default_rng(2).uniform(size=2000)
    found = [run(np.append(x, last))[0][-1] for last in (0.5, 1.01, 1.1, 1.5, 3.0, 1e9)]
    assert found[0] == 0.0
    assert np.diff(found).min() > 0.0


def test_one_outlier_does_not_own_the_range() -> None:
    x = np.random.default_rng(2).uniform(size=4000)
    x[1500] = 1e6
    x[3500] = 8.0
    assert run(x)[0][3500] > 0.5


def test_the_hour_matters_only_with_times() -> None:
    x, time = daily(5000)
    at = 4000 + int(np.argmax(x[4000:4288]))
    x[at] = 0.0  # usual at other hours
    with_times, without = run(x, time)[0], run(x)[0]
    assert with_times[at] - without[at] > 0.1


def test_a_shift_within_the_range_is_evidence() -> None:
    rng = np.random.default_rng(4)
    x = rng.uniform(-10, 10, 3000)
    x[2500:] = rng.uniform(5, 10, 500)
    assert run(x)[0][2500:2600].max() > 0.43


def test_a_shift_that_only_the_hour_gives_away_is_evidence() -> None:
    x, time = daily(6000)
    quiet = int(np.argmin(x[5000:5288])) + 5000
    x[quiet - 20 : quiet + 20] += 10.0  # still within the range of the day, and slower than its own swing
    with_times, without = run(x, time)[0], run(x)[0]
    part = slice(quiet - 20, quiet + 20)
    assert with_times[part].max() > 0.36
    assert with_times[part].max() > without[part].max() + 0.3


def test_a_short_range_counts_less() -> None:
    x = np.arange(4000) % 2.0
    found = [run(np.append(x[:n], 1.5))[0][-1] / run(np.append(x, 1.5))[0][-1] for n in (100, 1000)]
    assert found == pytest.approx([0.5 * 1.025, 0.91 * 1.025], rel=0.05)


def test_a_look_at_a_record_is_what_learning_it_says() -> None:
    x, time = daily(900)
    time[::5] = np.nan
    estimator = Extremes()
    state = fresh(estimator, 1)
    for i in range(900):
        rows = rows_of(x[i : i + 1], time[i : i + 1])
        learned = {name: array.copy() for name, array in state.items()}
        rows.learn = np.zeros(1, bool)
        look = estimator.step(state, np.zeros(1, np.int64), rows)
        state = learned
        rows.learn = np.ones(1, bool)
        assert same(look, estimator.step(state, np.zeros(1, np.int64), rows)), i


def test_a_burst_of_noise_is_evidence() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=3000) + np.repeat([0.0, 40.0, 0.0], 1000)  # so that the range has room
    x[2500:2550] += rng.choice([-1.0, 1.0], 50) * 15.0
    assert run(x)[0][2500:2550].max() > 0.3


def test_a_constant_says_nothing_until_it_changes() -> None:
    raw = run(np.append(np.full(300, 7.0), [8.0]))[0]
    assert (raw[START:-1] == 0.0).all()
    assert raw[-1] > 1.0


def test_of_several_fields_the_one_with_most_evidence_counts() -> None:
    X = np.random.default_rng(6).normal(size=(1000, 3))
    X[-1] = [0.0, 12.0, 5.0]
    raw, _, _, share = run(X)
    alone = run(X[:, 1])[0]
    assert raw[-1] == alone[-1]
    assert share[-1].argmax() == 1
    assert share[-1].sum() == pytest.approx(1.0)
    with_gap = X.copy()
    with_gap[-1, 1] = np.nan
    raw, _, _, share = run(with_gap)
    assert raw[-1] == run(X[:, 2])[0][-1]
    assert math.isnan(share[-1, 1])


def test_a_restart_is_a_fresh_key() -> None:
    X, time = nasty(600, 2, 7), 1.7e9 + 1000.0 * np.arange(600)
    whole = run(X, time, restart=(300,))
    assert same(run(X[300:], time[300:]), [array[300:] for array in whole])


def test_missing_value_is_skipped() -> None:
    x = np.random.default_rng(0).standard_normal(300)
    gaps = np.insert(x, [3, 150], [np.nan, np.inf])
    there = np.isfinite(gaps)
    found = run(gaps)
    assert np.isnan(found[0][~there]).all()
    assert same(run(x), [array[there] for array in found])


@pytest.mark.parametrize(("a", "b"), [(1e6, 0.0), (1e-6, 0.0), (-1.0, 0.0), (1.0, 1e6)])
def test_units_do_not_matter(a: float, b: float) -> None:
    x, time = daily(1500)
    x[1000:] += 40.0
    np.testing.assert_allclose(run(a * x + b, time)[0], run(x, time)[0], rtol=1e-4, atol=1e-4)


def test_bands_are_where_a_value_alone_is_flagged() -> None:
    x = np.random.default_rng(8).uniform(size=600)
    detector = Detector("extremes", "budget", bands=True)
    detector.step(x)
    now = detector.step(np.array([0.5]), learn=False)
    assert now.low is not None and now.high is not None
    low, high = float(now.low[0, 0]), float(now.high[0, 0])
    assert low < x.min() and high > x.max()
    shares = [detector.step(np.array([edge]), learn=False) for edge in (low - 1e-6, high + 1e-6)]
    assert [int(each.flag[0]) for each in shares] == [1, 1]


@pytest.mark.parametrize("params", [{"memory": 99}, {"memory": math.inf}, {"clip": 0.0}, {"clip": math.inf}])
def test_bad_parameters_are_refused(params: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(params))):
        Extremes(**params)
