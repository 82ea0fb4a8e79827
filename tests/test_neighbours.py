"""The estimator `neighbours`: distances to the most similar recent records."""

from __future__ import annotations

import numpy as np
import pytest
from naive.neighbours import neighbours as slow_neighbours
from naive.neighbours import projected as slow_projected
from naive.runs import block, fresh, nasty, run, same

from clipdetect.detector import Detector
from clipdetect.estimators.neighbours import Neighbours
from clipdetect.numerics.projection import signs
from clipdetect.testing import check_component


def rough(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Heavy tails, units far apart, a shift, gaps, a column that comes late, and one that stays constant."""
    rng = np.random.default_rng(seed)
    X = rng.standard_t(3, (n, d)) * np.logspace(0, 4, d)
    X[n // 2 :] += 5.0
    X[rng.random(X.shape) < 0.05] = np.nan
    X[rng.random(X.shape) < 0.01] = 1e9
    if d > 1:
        X[: n // 3, 1] = np.nan
    if d > 2:
        X[:, 2] = 7.0
    return X


def pictures(n: int, d: int = 120, seed: int = 0) -> np.ndarray:
    """Rows of two patterns and their noise, no value below 0, brightness at random; other patterns from n/2 on."""
    rng = np.random.default_rng(seed)
    patterns = np.maximum(rng.normal(size=(4, d)), 0.0)
    kind = rng.integers(0, 2, n) + 2 * (np.arange(n) >= n // 2)
    noisy = np.maximum(patterns[kind] + rng.normal(0.0, 0.2, (n, d)), 0.0)
    return 100.0 * noisy * rng.uniform(0.7, 1.4, (n, 1))


def close(a, b) -> None:
    """Equal but for rounding: sums in another order, values less an origin."""
    for x, y in zip(a, b, strict=True):
        y = np.array(y)
        np.testing.assert_array_equal(np.isnan(x), np.isnan(y))
        np.testing.assert_allclose(x, y, rtol=1e-7, atol=1e-9 * np.nanmax(np.abs(y), initial=0.0))


@pytest.mark.parametrize("params", [{}, {"metric": "shape"}, {"k": 1, "window": 10}, {"metric": "level", "tau": 20.0}])
@pytest.mark.parametrize("d", [1, 5])
def test_kernel_agrees_with_the_slow_twin(params: dict, d: int) -> None:
    X = rough(300, d)
    close(run(Neighbours(**params), X), slow_neighbours(X.tolist(), **params))


def test_kernel_agrees_with_the_slow_twin_on_many_columns() -> None:
    X = pictures(130)
    X[np.random.default_rng(1).random(X.shape) < 0.02] = np.nan
    close(run(Neighbours(window=50), X), slow_neighbours(X.tolist(), window=50))


def test_compiled_and_interpreted_are_bit_identical() -> None:
    pytest.importorskip("numba")
    for X, metric in ((nasty(600, 3), "level"), (nasty(600, 3, 1), "shape"), (pictures(100), "auto")):
        assert same(run(Neighbours(metric=metric), X, "python"), run(Neighbours(metric=metric), X, "numba"))


@pytest.mark.parametrize("metric", ["level", "shape"])
def test_nasty_values_give_finite_raws_and_predictions(metric: str) -> None:
    for d in (1, 4):
        X = nasty(800, d, 1)
        raw, expected, scale = run(Neighbours(metric=metric), X)
        readable = (np.abs(X) < 1e150).any(axis=1)[100:]
        for array in (raw, expected, scale):
            assert not np.isinf(array).any()
        assert (raw[100:][readable] >= 0.0).all()  # so none is NaN


def test_many_columns_of_like_range_are_compared_by_shape_others_by_level() -> None:
    chosen = []
    for X in (pictures(70), pictures(70, 99), pictures(70) * np.logspace(0, 6, 120)):
        estimator = Neighbours()
        state = fresh(estimator, X.shape[1])
        estimator.step(state, np.zeros(70, np.int64), block(X))
        chosen.append(int(state["chosen"][0]))
    assert chosen == [2, 1, 1]


@pytest.mark.parametrize("metric", ["level", "shape"])
def test_an_unseen_pattern_is_far_and_a_normal_of_two_forms_near(metric: str) -> None:
    X = pictures(200)
    raw, _, _ = run(Neighbours(metric=metric), X, "python")
    assert raw[100] > 2.0 * np.nanmax(raw[40:100])  # the first of the new patterns
    assert np.median(raw[140:]) < 1.5 * np.median(raw[60:100])


def test_shape_hardly_minds_brightness() -> None:
    X = pictures(100)
    plain, bright, other = X.copy(), X.copy(), X.copy()
    bright[-1] *= 1.5
    other[-1] = X[-1, ::-1]
    a, b, c = (run(Neighbours(metric="shape"), each)[0][-1] ** 0.25 for each in (plain, bright, other))
    assert b < 1.3 * a
    assert c > 3.0 * a


def test_fewer_than_k_copies_of_an_outlier_cannot_vouch_for_themselves() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    X[150:160] = 20.0
    raw, _, _ = run(Neighbours(k=5), X)
    assert (raw[150:155] > 1.5 * np.nanmax(raw[50:150])).all()
    assert raw[155] == 0.0


def test_recency_lets_a_change_pass_more_quickly() -> None:
    rng = np.random.default_rng(0)
    old, new = rng.normal(0.0, 1.0, (100, 2)), rng.normal(1.0, 1.0, (100, 2))
    X = np.vstack([old, new])
    x = np.array([[2.0, 2.0]])
    near = [run(Neighbours(tau=tau), np.vstack([X, x]))[1][-1] for tau in (1e9, 5.0)]
    assert np.isfinite(near).all()
    late = [run(Neighbours(tau=tau), np.vstack([X[:103], x]))[0][-1] for tau in (1e9, 5.0)]
    assert late[1] > late[0]  # the old records are farther now


def test_a_repeated_record_is_at_distance_0_and_the_first_change_of_a_constant_is_far() -> None:
    X = np.full((40, 2), 3.0)
    X[39, 1] = 3.5
    raw, expected, scale = run(Neighbours(), X)
    assert (raw[10:39] == 0.0).all()
    assert raw[39] == 100.0
    assert (expected[39] == 3.0).all()
    assert (scale[39] == 0.0).all()


def test_a_level_of_a_billion_costs_no_digits() -> None:
    X = np.random.default_rng(0).normal(size=(150, 2))
    for metric in ("level", "shape"):
        near, far = run(Neighbours(metric=metric), X), run(Neighbours(metric=metric), X + 2.0**30)
        np.testing.assert_allclose(near[0], far[0], rtol=1e-5)


@pytest.mark.parametrize("metric", ["level", "shape"])
def test_mirrored_records_are_as_strange(metric: str) -> None:
    X = pictures(150)
    a, b = run(Neighbours(metric=metric), X)[0], run(Neighbours(metric=metric), -2.0 * X + 5.0)[0]
    np.testing.assert_allclose(a, b, rtol=1e-6)


def test_a_record_without_a_shared_column_has_no_score_and_one_with_half_has() -> None:
    X = np.random.default_rng(0).normal(size=(100, 4))
    X[:, 3] = np.nan
    X[98] = [np.nan, np.nan, np.nan, 5.0]
    X[99, :2] = np.nan
    raw, _, _ = run(Neighbours(), X)
    assert np.isnan(raw[98])
    assert raw[99] < 2.0 * np.nanmax(raw[:98])


@pytest.mark.parametrize("metric", ["level", "shape"])
def test_restart_is_a_fresh_start(metric: str) -> None:
    X = rough(260, 3)
    again = run(Neighbours(metric=metric), X, restart=[130])
    assert same([each[130:] for each in again], run(Neighbours(metric=metric), X[130:]))


def test_it_names_the_field_that_did_it() -> None:
    X = np.random.default_rng(0).normal(size=(200, 5))
    X[-1, 3] = 12.0
    _, expected, scale = run(Neighbours(), X)
    deviation = np.abs((X[-1] - expected[-1]) / scale[-1])
    assert int(np.argmax(deviation)) == 3
    pixels = pictures(100)
    pixels[-1, 17] += 900.0
    _, expected, scale = run(Neighbours(), pixels)
    assert int(np.argmax(np.abs((pixels[-1] - expected[-1]) / scale[-1]))) == 17


def test_beyond_256_columns_it_expects_nothing() -> None:
    X = pictures(40, 257)
    assert np.isnan(run(Neighbours(), X)[1]).all()
    X[:, 256] = np.nan
    assert np.isfinite(run(Neighbours(), X)[1][20:, :256]).all()


def test_a_record_outside_the_bands_is_flagged() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 1))
    X[::50] *= 4.0
    scored = Detector(Neighbours(), rate=0.01, bands=True).step(X)
    outside = (scored.low > X) | (scored.high < X)
    assert outside.sum() > 10
    assert (scored.flag[outside[:, 0]] == 1).all()


def test_shape_has_no_bands() -> None:
    low, high = Neighbours(metric="shape").multiples({}, np.zeros(1, np.int64), np.zeros(1), np.ones(1))
    assert np.isnan([low, high]).all()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"k": 0}, "k must be auto or at least 1, got 0"),
        ({"window": 9}, "window must be at least 10 records, got 9"),
        ({"k": 30, "window": 20}, "window must be at least 30 records, got 20"),
        ({"tau": 0.0}, "tau must be > 0 and finite, got 0"),
        ({"metric": "cosine"}, "metric must be auto, level or shape, got 'cosine'"),
    ],
)
def test_bad_parameters_are_refused(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Neighbours(**params)


def test_k_is_a_number_or_auto_in_a_spec() -> None:
    assert Detector("neighbours:k=7").estimator.k == 7
    assert Detector("neighbours:k=auto").estimator.k == "auto"
    with pytest.raises(ValueError, match="k: must be"):
        Detector("neighbours:k=few")


@pytest.mark.parametrize("params", [{}, {"metric": "shape"}, {"k": 2, "window": 30, "tau": 20.0}])
@pytest.mark.parametrize("make", [rough, pictures])
def test_projections_agree_with_their_slow_twin(params: dict, make) -> None:
    X = make(150, 20 if make is rough else 120)
    X[np.random.default_rng(1).random(X.shape) < 0.02] = np.nan
    raw, expected, scale = run(Neighbours(project=8, **params), X)
    close([raw], [slow_projected(X.tolist(), 8, **params)])
    assert np.isnan([expected, scale]).all()


@pytest.mark.parametrize("metric", ["level", "shape"])
def test_projections_keep_the_laws(metric: str) -> None:
    if metric == "shape":
        check_component(Neighbours, compiled=False, project=8, metric=metric)
    X = rough(200, 20)
    wide = np.hstack([X, np.full((200, 5), np.nan)])
    again = run(Neighbours(project=8, metric=metric), wide, restart=[90])[0]
    np.testing.assert_array_equal(again[:90], run(Neighbours(project=8, metric=metric), X[:90])[0])
    np.testing.assert_array_equal(again[90:], run(Neighbours(project=8, metric=metric), X[90:])[0])


@pytest.mark.parametrize("metric", ["level", "shape", "auto"])
def test_projections_of_nasty_values_are_finite_and_alike_in_both_engines(metric: str) -> None:
    X = nasty(600, 20, 1)
    raw, _, _ = run(Neighbours(project=8, metric=metric), X)
    assert np.isfinite(raw[100:]).all()
    assert (raw[100:] >= 0.0).all()
    pytest.importorskip("numba")
    for made in (X, pictures(100)):
        pair = [run(Neighbours(project=8, metric=metric), made, engine)[0] for engine in ("python", "numba")]
        np.testing.assert_array_equal(*pair)


def test_a_column_that_opens_late_leaves_the_signs_of_the_others_alone() -> None:
    few, many = signs(5, 100), signs(300, 100)
    assert (few == many[:5]).all()
    assert (np.abs(many) == 0.1).all()
    assert np.abs(np.corrcoef(many)[np.triu_indices(300, 1)]).max() < 0.5  # of 45,000 pairs, each within 0.1 or so


def test_projections_keep_distances_and_need_little_room() -> None:
    X = pictures(100, 200)
    raw = [run(Neighbours(project=n), X)[0] for n in (0, 128)]
    assert raw[1][50] > 2.0 * np.nanmax(raw[1][30:50])  # the first of the new patterns
    assert np.nanmedian(raw[1] / raw[0]) == pytest.approx(1.0, abs=0.35)
    sizes = [sum(each.nbytes for each in fresh(Neighbours(project=n), 784).values()) for n in (0, 64, 128)]
    assert sizes[2] < sizes[0] / 4 < sizes[0] / 3
    assert sizes[1] < sizes[0] / 6


@pytest.mark.parametrize("project", [-1, 3, 7])
def test_too_few_projected_columns_are_refused(project: int) -> None:
    with pytest.raises(ValueError, match=f"project must be 0 or at least 8 columns, got {project}"):
        Neighbours(project=project)
    assert np.isnan(Neighbours(project=8).multiples({"chosen": np.ones(1)}, np.zeros(1, int), *np.ones((2, 1)))).all()
