"""The estimator `fields`: many fields in one score."""

from __future__ import annotations

import math

import numpy as np
import pytest
from naive.fields import fields as slow_fields
from naive.runs import block, fresh, nasty, run, same

from clipdetect.components import Params, full_spec
from clipdetect.detector import Detector
from clipdetect.estimators.fields import Fields
from clipdetect.jit import Engine
from clipdetect.numerics.geometry import select
from clipdetect.numerics.largest import mean_log_of_largest


def rough(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Heavy tails, common parts, units far apart, gaps, a late column, a constant one, gross values."""
    rng = np.random.default_rng(seed)
    X = (rng.standard_t(3, (n, d)) + 2.0 * rng.normal(size=(n, 1))) * np.logspace(0, 4, d)
    X[n // 2 :] += 5.0
    X[rng.random(X.shape) < 0.05] = np.nan
    X[rng.random(X.shape) < 0.01] = 1e9
    X[n // 5] = np.nan
    if d > 1:
        X[: n // 3, 1] = np.nan
    if d > 2:
        X[:, 2] = 7.0
        X[2 * n // 3, 2] = 8.0
    return X


def normal(n: int, d: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


def close(a, b) -> None:
    """Equal but for the order of summation."""
    for x, y in zip(a, b, strict=True):
        y = np.array(y)
        np.testing.assert_array_equal(np.isnan(x), np.isnan(y))
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12 * np.nanmax(np.abs(y), initial=1e-300))


@pytest.mark.parametrize(
    "params", [{}, {"directions": 0}, {"patience": 50, "directions": 4, "memory": 1.0}, {"memory": 40.0}]
)
@pytest.mark.parametrize("d", [1, 2, 3, 12])
def test_kernel_agrees_with_the_slow_twin(params, d):
    X = rough(400, d)
    close(run(Fields(**params), X), slow_fields(X.tolist(), **params))


def with_decades(X: np.ndarray, names: list[str], decades: list[str]):
    estimator = Fields()
    estimator.bind(names, Params(engine=Engine("python"), decades=decades))
    d = X.shape[1]
    state = {name: np.zeros((1, *shape), dtype) for name, (shape, dtype) in full_spec(estimator, d).items()}
    return estimator.step(state, np.zeros(len(X), np.int64), block(X))


def test_rarities_agree_with_the_slow_twin():
    X = rough(300, 5)
    X[:, 3:] = np.abs(np.random.default_rng(1).standard_t(3, (300, 2)))
    X[7, 3] = X[40, 4] = np.nan
    names = ["a", "b", "c", "rare(x)", "rare(y)"]
    close(with_decades(X, names, ["rare(x)", "rare(y)"]), slow_fields(X.tolist(), decades=(3, 4)))


def test_a_rarity_counts_by_itself_and_not_by_its_spread():
    X = np.column_stack([normal(400, 1), np.full(400, 0.3)])
    X[:, 1] += 1e-6 * normal(400, 1, 1)[:, 0]
    X[399, 1] = 0.5  # thousands of its own spreads, and no rarity to speak of
    raw = with_decades(X, ["a", "r"], ["r"])[0]
    X[399, 1] = 3.3
    rare = with_decades(X, ["a", "r"], ["r"])
    assert rare[0][399] - raw[399] > 0.5
    assert rare[3][399, 1] > 0.5


def test_a_column_of_nothing_but_new_values_does_not_count():
    n = 4000
    ids = np.log10((np.minimum(np.arange(n), 1000) + 1.0) / 0.5)  # of counts that are forgotten in 1000 records
    X = np.column_stack([normal(n, 1), ids])
    share = with_decades(X, ["a", "id"], ["id"])[3]
    assert np.nanmean(share[3800:, 1]) < 0.15


def test_engines_agree_on_hostile_values():
    for X in (nasty(300, 3), rough(300, 9, 2)):
        assert same(run(Fields(), X), run(Fields(), X, "numba"))


def test_hostile_values_leave_no_trace():
    X = nasty(400, 3)
    state = fresh(Fields(), 3)
    estimator = Fields()
    estimator.bind(["a", "b", "c"], Params(engine=Engine("python")))
    estimator.step(state, np.zeros(400, np.int64), block(X))
    assert all(np.isfinite(array).all() for array in state.values())
    raw = estimator.step(state, np.zeros(400, np.int64), block(normal(400, 3)))[0]
    assert np.isfinite(raw).all()


def test_one_record_has_no_opinion_and_nothing_missing_is_scored():
    assert np.isnan(run(Fields(), normal(1, 3))[0]).all()
    X = normal(50, 2)
    X[40] = np.nan
    raw, expected, scale, share = run(Fields(), X)
    assert np.isnan(raw[40])
    assert np.isnan([expected[40], scale[40], share[40]]).all()
    assert np.isfinite(raw[41:]).all()


def test_a_constant_record_is_not_strange_and_its_first_change_is():
    X = np.full((100, 4), 7.0)
    X[80, 2] = 7.5
    raw, _, _, share = run(Fields(), X)
    assert (raw[8:80] == 0.0).all()
    assert raw[80] > 0.5
    assert share[80].argmax() == 2
    np.testing.assert_allclose(share[8:].sum(axis=1), 1.0)


def test_shares_name_the_field_and_sum_to_one():
    X = normal(600, 20)
    X[500, 13] = 30.0
    X[501, 4] = np.nan
    share = run(Fields(), X)[3]
    assert share[500].argmax() == 13
    assert np.isnan(share[501, 4])
    np.testing.assert_allclose(np.nansum(share[8:], axis=1), 1.0)


def test_fields_that_part_are_strange_though_each_is_usual():
    rng = np.random.default_rng(3)
    common = rng.normal(size=(3000, 1))
    X = common + 0.05 * rng.normal(size=(3000, 6))
    X[2500, 5] = -1.2 * np.sign(X[2500, 0])
    X[2500, :5] = 1.2 * np.sign(X[2500, 0])
    raw, expected, _, share = run(Fields(), X, "numba")
    alone = run(Fields(directions=0), X, "numba")[0]
    assert (raw[300:] < raw[2500]).mean() > 0.999
    assert (alone[300:] < alone[2500]).mean() < 0.95
    assert share[2500].argmax() == 5
    assert abs(expected[2500, 5] - X[2500, 0]) < 0.8  # what the others say, not the middle of the range


def test_a_small_deviation_of_all_adds_up():
    X = normal(3000, 30)
    X[2000] = 2.2 * np.sign(X[2000])
    raw = run(Fields(), X, "numba")[0]
    assert (raw[300:] < raw[2000]).mean() > 0.999


def test_sides_have_scales_of_their_own():
    X = np.random.default_rng(0).lognormal(size=(4000, 1))
    _, _, scale, _ = run(Fields(), np.vstack([X, [[50.0], [-50.0]]]), "numba")
    assert scale[4000, 0] > 1.5 * scale[4001, 0]


def test_a_burst_does_not_make_itself_normal_and_a_lasting_shift_is_adopted():
    X = normal(6000, 8)
    X[2000:3000, :4] += 20.0
    raw = run(Fields(), X, "numba")[0]
    assert (raw[2000:3000] > np.quantile(raw[200:2000], 0.99)).all()
    X = normal(6000, 8)
    X[2000:, :4] += 5.0
    raw = run(Fields(), X, "numba")[0]
    usual = np.quantile(raw[200:2000], 0.95)
    assert np.median(raw[2000:2200]) > usual
    assert np.median(raw[3800:4000]) < usual


def test_patience_sets_how_long_a_burst_must_last():
    X = normal(3000, 8)
    X[1500:, :4] += 8.0
    soon, late = (run(Fields(patience=p), X, "numba")[0] for p in (100, 1000))
    assert np.median(soon[1800:2000]) < np.quantile(soon[200:1500], 0.95)
    assert np.median(late[1800:2000]) > np.quantile(late[200:1500], 0.99)


def test_a_field_that_returns_or_comes_late_raises_no_storm():
    X = normal(6000, 6)
    plain = run(Fields(), X, "numba")[0]
    limit = np.quantile(plain[200:3000], 0.99)
    for start, stop in ((3000, 4000), (0, 4000)):
        Y = X.copy()
        Y[start:stop, 2] = np.nan
        raw = run(Fields(), Y, "numba")[0]
        assert (raw[stop : stop + 1000] > limit).mean() < 0.03
        assert (raw[max(start, 200) : stop] > limit).mean() < 0.03


def test_gaps_cost_little():
    X = normal(4000, 12)
    bad = np.random.default_rng(1).random(4000) < 0.02
    X[bad, :3] += 5.0
    X[np.random.default_rng(2).random(X.shape) < 0.2] = np.nan
    raw = run(Fields(memory=1.0), X, "numba")[0]
    assert (raw[bad][5:] > np.quantile(raw[~bad][200:], 0.9)).mean() > 0.93


def test_a_first_deviation_of_next_to_nothing_does_not_set_the_scale():
    X = normal(3000, 1)
    X[0], X[1] = 0.0, 1e-6
    _, _, scale, _ = run(Fields(), X, "numba")
    assert 0.5 < scale[500:, 0].mean() < 1.5


def test_a_scale_that_drifts_is_followed_and_a_burst_hardly_widens_it():
    X = normal(20_000, 2)
    size = np.exp(0.5 * np.sin(2 * np.pi * np.arange(20_000) / 18_000))
    scale = run(Fields(), X * size[:, None], "numba")[2][3000:, 0]
    ratio = scale / size[3000:]
    assert ratio.max() / ratio.min() < 2.2
    X[6000:6300] += 30.0
    scale = run(Fields(), X, "numba")[2][:, 0]
    assert scale[6300] < 1.5 * scale[5999]


def test_directions_do_not_begin_as_rounding_errors():
    X = np.column_stack([normal(400, 1), np.full(400, 3.0), np.full(400, 5.0)])
    state = fresh(Fields(), 3)
    estimator = Fields()
    estimator.bind(["a", "b", "c"], Params(engine=Engine("python")))
    estimator.step(state, np.zeros(400, np.int64), block(X))
    assert (state["directions"][0, 1] == 0.0).all()


def test_restart_adopts_another_level_at_once_and_keeps_the_scales():
    X = normal(2400, 4)
    X[2000:] += 50.0
    plain = run(Fields(), X, "numba")[0]
    again, expected, _, _ = run(Fields(), X, "numba", restart=[2000])
    usual = np.quantile(plain[200:2000], 0.95)
    assert np.median(plain[2100:2400]) > usual
    assert np.median(again[2100:2400]) < usual
    assert np.isnan(again[2000:2008]).all()
    assert np.isfinite(again[2008:]).all()
    assert abs(expected[2399] - 50.0).max() < 1.0


def test_bands_are_what_all_fields_share():
    X = normal(1500, 3)
    names = ["a", "b", "c"]
    scored = Detector("fields", "tail", fields=names, rate=0.01, bands=True, engine="numba").step(X)
    assert (scored.high[200:] >= scored.expected[200:]).all()
    far = 1.01 * (scored.high[-1] - scored.expected[-1]) / scored.scale[-1]
    assert (far > 1.0).all()


@pytest.mark.parametrize(("n", "k"), [(1, 1), (7, 3), (50, 11), (300, 26), (300, 300)])
def test_the_kth_largest_is_that_of_a_sorted_list(n, k):
    rng = np.random.default_rng(n)
    for values in (rng.normal(size=n), np.zeros(n), np.sort(rng.integers(0, 5, n) * 1.0), np.arange(n, 0, -1.0)):
        assert select(values.copy(), n, n - k) == np.sort(values)[::-1][k - 1]


def test_of_equal_sizes_the_first_count():
    size = np.array([1.0, 2.0, -1.0, 1.0, 1.0])
    for guess in (0.0, 0.9, 1.0, 1.5, 9.0):
        chosen = np.empty(5)
        mean, least = mean_log_of_largest(size, 2, guess, chosen, np.empty(5))
        assert chosen.tolist() == [math.log(2.0), math.log(3.0), 0.0, 0.0, 0.0]
        assert mean == (math.log(2.0) + math.log(3.0)) / 2
        assert least == 1.0


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"patience": 9}, "patience must be at least 10 records, got 9"),
        ({"directions": -1}, "directions must be at least 0, got -1"),
        ({"memory": 0.5}, "memory must be at least 1 record and finite, got 0.5"),
        ({"memory": math.inf}, "memory must be at least 1 record and finite, got inf"),
    ],
)
def test_bad_parameters_are_refused(params, message):
    with pytest.raises(ValueError, match=message):
        Fields(**params)
