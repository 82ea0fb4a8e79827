"""The estimator `linear`: one field predicted from the others."""

from __future__ import annotations

import numpy as np
import pytest
from naive.linear import Linear as SlowLinear
from naive.runs import block, fresh, nasty, run, same

from clipdetect.components import Params
from clipdetect.estimators.linear import Linear
from clipdetect.registry import build


def line(n: int, d: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(n, d + 1) records, the target first, and its slopes (d,)."""
    rng = np.random.default_rng(seed)
    X, slopes = rng.standard_normal((n, d)), rng.standard_normal(d) * 2.0
    return np.column_stack([X @ slopes + rng.standard_normal(n), X]), slopes


def dirty(n: int, d: int, seed: int) -> np.ndarray:
    """Jumps of the line, outliers, gaps, drift and a change of unit of a regressor."""
    rng = np.random.default_rng(seed)
    X = rng.standard_t(4, (n, d))
    X[:, -1] += np.arange(n) * 0.02
    X[n // 2 :, 0] *= 7.0
    slopes = np.where(np.arange(n)[:, None] < n // 3, 1.0, -2.0)
    y = (X * slopes).sum(axis=1) + rng.standard_t(3, n)
    y[rng.random(n) < 0.04] += 40.0
    Z = np.column_stack([X[:, :1], y, X[:, 1:]])
    Z[rng.random(Z.shape) < 0.04] = np.nan
    return Z


def slopes_of(Z: np.ndarray, at: list[int]) -> list[np.ndarray]:
    """Slopes (d,) learned from the records up to each of these places; the target is the first field."""
    estimator = Linear()
    state = fresh(estimator, Z.shape[1])
    found = []
    for part in np.split(Z, at)[:-1]:
        estimator.step(state, np.zeros(len(part), np.int64), block(part))
        found.append(estimator.coefficients(state, np.zeros(1, np.int64))[1][0, 1:])
    return found


@pytest.mark.parametrize("d", [1, 2, 4])
def test_kernel_agrees_with_the_slow_twin(d: int) -> None:
    Z = dirty(500, d, d)
    actual = run(Linear(target="f1"), Z)
    slow = SlowLinear(d + 1, target=1)
    twin = np.array([slow.judge(row) for row in Z.tolist()])
    found = np.column_stack([actual[0], actual[1][:, 1], actual[2][:, 1]])
    np.testing.assert_allclose(found, twin, rtol=1e-5, atol=1e-6)  # sums in another order, in a recursion


def test_a_target_alone_agrees_with_the_slow_twin() -> None:
    y = dirty(400, 1, 5)[:, 1]
    raw, expected, scale = run(Linear(), y)
    slow = SlowLinear(1)
    twin = np.array([slow.judge([v]) for v in y.tolist()])
    np.testing.assert_allclose(np.column_stack([raw, expected, scale]), twin, rtol=1e-6, atol=1e-8)


def test_a_column_that_comes_late_agrees_with_the_slow_twin() -> None:
    Z = dirty(300, 2, 7)
    Z[:120, 2] = np.nan
    slow = SlowLinear(3, target=1)
    twin = np.array([slow.judge(row) for row in Z.tolist()])
    np.testing.assert_allclose(run(Linear(target="f1"), Z)[0], twin[:, 0], rtol=1e-5, atol=1e-6)


def test_compiled_and_interpreted_are_bit_identical() -> None:
    pytest.importorskip("numba")
    for Z in (nasty(800, 3), dirty(500, 3, 1)):
        assert same(run(Linear(), Z, "python"), run(Linear(), Z, "numba"))


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_nasty_values_give_finite_answers(d: int, seed: int) -> None:
    estimator = Linear()
    state = fresh(estimator, d)
    Z = nasty(1500, d, seed)
    raw, expected, scale = estimator.step(state, np.zeros(1500, np.int64), block(Z))
    assert np.array_equal(np.isnan(raw[60:]), ~(np.abs(Z[60:, 0]) < 1e150))
    for array in (raw, expected, scale, *state.values()):
        assert not np.isinf(array).any()
    assert not np.isnan(expected[60:, 0]).any()
    for name, array in state.items():
        assert not np.isnan(array).any(), name


def test_the_line_is_found() -> None:
    Z, slopes = line(600)
    estimator = Linear()
    state = fresh(estimator, 4)
    raw, expected, scale = estimator.step(state, np.zeros(600, np.int64), block(Z + np.array([5.0, 0.0, 100.0, 0.0])))
    intercept, found = estimator.coefficients(state, np.zeros(1, np.int64))
    np.testing.assert_allclose(found[0, 1:], slopes, atol=0.2)
    assert abs(intercept[0] - (5.0 - 100.0 * found[0, 2])) < 0.2
    assert np.isnan(expected[:, 1:]).all()
    assert np.isnan(scale[:, 1:]).all()
    assert 0.8 < np.std(raw[100:]) < 1.3


def test_before_the_start_there_is_no_opinion() -> None:
    estimator = Linear()
    state = fresh(estimator, 4)
    raw, _, _ = estimator.step(state, np.zeros(12, np.int64), block(line(12)[0]))
    assert np.array_equal(np.isnan(raw), np.arange(12) < 8)
    intercept, slopes = estimator.coefficients(fresh(estimator, 4), np.zeros(1, np.int64))
    assert np.isnan(intercept).all()
    assert np.isnan(slopes).all()


def test_gross_outliers_hardly_move_the_line() -> None:
    Z, slopes = line(3000, 5)
    bad = np.random.default_rng(1).random(3000) < 0.05
    Z[bad, 0] = 30.0
    for found in slopes_of(Z, [1000, 2000, 3000]):
        assert np.linalg.norm(found - slopes) < 0.3


def test_a_jump_of_the_line_is_followed_within_fifty_records() -> None:
    for seed in range(2):
        before, after = line(1000, 5, seed)[0], line(1060, 5, seed + 100)
        _, then, later = slopes_of(np.concatenate([before, after[0]]), [1000, 1050, 2000])
        assert np.linalg.norm(then - after[1]) < 1.0
        assert np.linalg.norm(later - after[1]) < 0.25


@pytest.mark.parametrize("d", [1, 5])
def test_four_outliers_in_a_row_leave_almost_no_trace(d: int) -> None:
    Z, slopes = line(500, d)
    Z[450:454, 0] = 50.0
    (found,) = slopes_of(Z, [456])
    assert np.linalg.norm(found - slopes) < 0.5


def test_an_outlier_in_a_regressor_does_not_freeze_its_slope() -> None:
    Z, slopes = line(1000, 2)
    Z[500, 1] = 1e9
    Z[700:, 0] -= 3.0 * Z[700:, 1]
    then, later = slopes_of(Z, [700, 900])
    assert abs(then[0] - slopes[0]) < 0.3
    assert abs(later[0] - (slopes[0] - 3.0)) < 0.4


def test_a_broken_relation_is_strange_where_each_field_is_usual() -> None:
    Z, _ = line(1000, 1)
    Z[:, 0] = 3.0 * Z[:, 1] + 0.1 * (Z[:, 0] - Z[:, 1])
    Z[900] = [2.0, -1.0]
    raw, _, _ = run(Linear(), Z)
    assert np.nanargmax(np.abs(raw[100:])) == 800


def test_an_exact_relation_has_no_false_surprise() -> None:
    Z, slopes = line(500)
    Z[:, 0] = Z[:, 1:] @ slopes
    Z[450, 0] += 1.0
    raw, _, _ = run(Linear(), Z)
    assert np.nanargmax(np.abs(raw[50:])) == 400
    assert np.nanmax(np.abs(raw[50:450])) < 100.0 < abs(raw[450])


@pytest.mark.parametrize("value", [0.0, 0.3, -1e6])
def test_a_constant_target_is_expected_exactly_and_its_first_change_is_strange(value: float) -> None:
    Z, _ = line(200, 1)
    Z[:, 0] = value
    Z[-1, 0] += max(abs(value), 1.0)
    raw, _, _ = run(Linear(), Z)
    assert np.abs(raw[8:-1]).max() < 1e-3
    assert raw[-1] > 50.0


@pytest.mark.parametrize("column", [np.zeros(600), np.arange(600) * 1e4, np.arange(600) % 2.0])
def test_constant_trending_and_binary_regressors_do_no_harm(column: np.ndarray) -> None:
    Z, slopes = line(600, 2)
    (found,) = slopes_of(np.column_stack([Z, column]), [600])
    np.testing.assert_allclose(found[:2], slopes, atol=0.4)


def test_equal_regressors_share_their_slope() -> None:
    Z, slopes = line(600, 1)
    (found,) = slopes_of(np.column_stack([Z, Z[:, 1]]), [600])
    assert abs(found.sum() - slopes[0]) < 0.3


@pytest.mark.parametrize(("a", "b"), [(2.0**20, 0.0), (1e-6, 0.0), (-1.0, 0.0), (1.0, 1e5)])
def test_units_of_every_field_do_not_matter(a: float, b: float) -> None:
    Z = line(800)[0]
    Z[::50, 0] += 20.0
    raw = run(Linear(), Z)[0]
    for j in range(4):
        moved = Z.copy()
        moved[:, j] = a * moved[:, j] + b
        sign = np.sign(a) if j == 0 else 1.0
        np.testing.assert_allclose(sign * run(Linear(), moved)[0], raw, rtol=1e-4, atol=1e-4)


def test_a_record_without_target_is_neither_scored_nor_learned() -> None:
    Z = line(300)[0]
    gaps = np.insert(Z, [5, 50, 200], [np.nan, 1.0, 2.0, 3.0], axis=0)
    there = ~np.isnan(gaps[:, 0])
    raw = run(Linear(), gaps)[0]
    assert np.isnan(raw[~there]).all()
    assert same([run(Linear(), Z)[0]], [raw[there]])


def test_a_restart_is_a_fresh_key() -> None:
    Z = nasty(400, 3, 7)
    raw = run(Linear(), Z, restart=[200])[0]
    assert same([run(Linear(), Z[200:])[0]], [raw[200:]])


def test_a_target_that_is_no_field_gives_no_opinion_and_says_so() -> None:
    estimator = Linear(target="y")
    state = fresh(estimator, 2)
    raw, _, _ = estimator.step(state, np.zeros(50, np.int64), block(line(50, 1)[0]))
    assert np.isnan(raw).all()
    assert estimator.lacks() == "no field 'y' to predict; there are: f0, f1"
    assert Linear().lacks() == ""


def test_too_many_fields_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 64 fields, got 65"):
        Linear().bind([f"f{j}" for j in range(65)], Params())


def test_target_is_read_from_a_spec() -> None:
    built = build("estimator", "linear:target=load")
    assert isinstance(built, Linear)
    assert built.target == "load"
