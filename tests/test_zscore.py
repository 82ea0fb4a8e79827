"""The estimator `zscore`: the plain weighted mean and deviation."""

from __future__ import annotations

import numpy as np
import pytest
from naive.runs import block, fresh, nasty, run, same
from naive.zscore import zscore as slow_zscore

from clipdetect.estimators.zscore import Zscore


@pytest.mark.parametrize("half_life", [0.5, 20.0, 1000.0])
def test_kernel_agrees_with_the_slow_twin(half_life: float) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 2)) + np.array([5.0, -3.0])
    X[100:] += 4.0
    X[rng.random(X.shape) < 0.05] = np.nan
    twin = slow_zscore(X.tolist(), half_life)
    for a, b in zip(run(Zscore(half_life=half_life), X), twin, strict=True):
        np.testing.assert_allclose(a, np.array(b), rtol=1e-9, atol=1e-9)


def test_nasty_values_give_no_infinity() -> None:
    for d in (1, 4):
        for array in run(Zscore(), nasty(2000, d, 1)):
            assert not np.isinf(array).any()


def test_not_learning_leaves_the_state_bit_equal() -> None:
    estimator = Zscore()
    state = fresh(estimator, 2)
    slots = np.zeros(100, np.int64)
    estimator.step(state, slots, block(nasty(100, 2)))
    before = {name: array.copy() for name, array in state.items()}
    estimator.step(state, slots, block(nasty(100, 2, 5), learn=np.zeros(100, bool), restart=[7]))
    for name, array in state.items():
        assert array.tobytes() == before[name].tobytes(), name


def test_a_column_never_seen_adds_no_bit() -> None:
    for d in (1, 3):
        X = nasty(300, d, 4)
        raw, expected, scale = run(Zscore(), np.concatenate([X, np.full((300, 2), np.nan)], axis=1))
        assert same(run(Zscore(), X), (raw, expected[:, :d], scale[:, :d]))


def test_a_restart_is_a_fresh_key() -> None:
    X = nasty(300, 2, 7)
    whole = run(Zscore(), X, restart=[150])
    assert same(run(Zscore(), X[150:]), [array[150:] for array in whole])


def test_missing_value_is_skipped() -> None:
    x = np.random.default_rng(0).standard_normal(100)
    gaps = np.insert(x, [3, 50], [np.nan, np.inf])
    there = np.isfinite(gaps)
    raw, expected, scale = run(Zscore(), gaps)
    assert np.isnan(raw[~there]).all()
    assert same(run(Zscore(), x), (raw[there], expected[there], scale[there]))


@pytest.mark.parametrize("value", [0.0, 0.3, -1e6])
def test_a_constant_is_expected_exactly_and_its_first_change_is_strange(value: float) -> None:
    raw, expected, _ = run(Zscore(), np.append(np.full(300, value), value + 1.0))
    assert np.isnan(raw[:8]).all()
    assert (raw[8:-1] == 0.0).all()
    assert (expected[8:, 0] == value).all()
    assert 50.0 <= raw[-1] < np.inf


@pytest.mark.parametrize(("a", "b"), [(1e6, 0.0), (1e-6, 0.0), (-1.0, 0.0), (1.0, 1e6)])
def test_units_do_not_matter(a: float, b: float) -> None:
    x = np.random.default_rng(1).standard_normal(800)
    np.testing.assert_allclose(np.sign(a) * run(Zscore(), a * x + b)[0], run(Zscore(), x)[0], rtol=1e-6, atol=1e-7)


def test_half_life_must_be_positive() -> None:
    with pytest.raises(ValueError, match="half_life"):
        Zscore(half_life=0.0)
