"""The estimator `mean`: one clipped mean of all fields, or that of the most similar records."""

from __future__ import annotations

import numpy as np
import pytest
from naive.mean import mean as slow_mean
from naive.runs import nasty, run, same
from test_neighbours import close, pictures, rough

from clipdetect.detector import Detector
from clipdetect.estimators.mean import Mean


@pytest.mark.parametrize("params", [{}, {"half_life": 100.0}, {"similar": 5, "window": 30}, {"similar": 14}])
@pytest.mark.parametrize("d", [1, 5])
def test_kernel_agrees_with_the_slow_twin(params: dict, d: int) -> None:
    X = rough(300, d)
    close(run(Mean(**params), X), slow_mean(X.tolist(), **params))


def test_compiled_and_interpreted_are_bit_identical() -> None:
    pytest.importorskip("numba")
    for similar in (0, 5):
        X = nasty(600, 3)
        assert same(run(Mean(similar=similar), X, "python"), run(Mean(similar=similar), X, "numba"))


@pytest.mark.parametrize("similar", [0, 14])
def test_nasty_values_give_finite_raws_and_predictions(similar: int) -> None:
    for d in (1, 4):
        X = nasty(800, d, 1)
        readable = (np.abs(X) < 1e150).any(axis=1)[100:]
        for array in run(Mean(similar=similar), X):
            assert not np.isinf(array).any()
            assert not np.isnan(array[100:][readable]).any()


def test_the_raw_score_is_the_root_mean_square_of_the_deviations() -> None:
    X = np.random.default_rng(0).normal(size=(100, 4))
    raw, expected, scale = run(Mean(), X)
    own = np.sqrt((((X - expected) / scale) ** 2).mean(axis=1))
    np.testing.assert_allclose(raw[8:], own[8:], rtol=1e-9)


def test_an_outlier_moves_the_mean_by_a_bounded_step() -> None:
    X = np.random.default_rng(0).normal(size=(300, 1))
    rate = 1.0 - 0.5 ** (1.0 / 14.0)
    for gross in (1e3, 1e6, 1e12):
        X[-2] = gross
        _, expected, scale = run(Mean(), X)
        step = expected[-1, 0] - expected[-2, 0]
        assert 0.0 < step <= rate * 0.25 * 2.0 * scale[-2, 0]  # one record doubles the range at most


def test_similar_records_describe_a_normal_of_two_forms() -> None:
    X = pictures(100, 12)
    X[-1] = X[:-1].mean(axis=0)  # between the two, like none
    plain, similar = run(Mean(), X)[0], run(Mean(similar=5), X)[0]
    assert plain[-1] < np.median(plain[40:-1])
    assert similar[-1] > np.median(similar[40:-1])


def test_a_single_outlier_cannot_vouch_for_itself() -> None:
    X = np.random.default_rng(0).normal(size=(200, 3))
    X[150] = X[152] = X[154] = 20.0
    raw, _, _ = run(Mean(similar=8), X)
    assert raw[[150, 152, 154]].min() > 3.0 * np.nanmax(raw[50:150])


def test_the_first_change_of_a_constant_is_far() -> None:
    X = np.full((40, 2), 3.0)
    X[39, 1] = 3.5
    for similar in (0, 5):
        raw, _, _ = run(Mean(similar=similar), X)
        assert (raw[10:39] == 0.0).all()
        assert raw[39] == 100.0


@pytest.mark.parametrize("similar", [0, 6])
def test_restart_is_a_fresh_start(similar: int) -> None:
    X = rough(260, 3)
    again = run(Mean(similar=similar), X, restart=[130])
    assert same([each[130:] for each in again], run(Mean(similar=similar), X[130:]))


def test_bands_of_one_field_are_where_flags_begin() -> None:
    X = np.random.default_rng(0).standard_t(3, (3000, 1))
    scored = Detector(Mean(), rate=0.01, bands=True).step(X)
    outside = ((scored.low > X) | (scored.high < X))[:, 0]
    assert outside.sum() > 10
    assert np.mean(outside == (scored.flag == 1)) > 0.999


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"half_life": 0.0}, "half_life must be > 0, got 0"),
        ({"similar": -1}, "similar must be 0 or more records, got -1"),
        ({"window": 5}, "window must be at least 10 records, got 5"),
        ({"similar": 50, "window": 20}, "window must be at least 50 records, got 20"),
    ],
)
def test_bad_parameters_are_refused(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mean(**params)
