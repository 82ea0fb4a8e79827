"""The estimator `clipped_sgd`: the published algorithm, the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from naive.clipped_sgd import Regression, mean
from naive.runs import block, fresh, nasty, run, same

from clipdetect.components import Params, Rows
from clipdetect.detector import Detector
from clipdetect.estimators.clipped_sgd import ClippedSgd
from clipdetect.registry import build


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n)


def labelled(X: np.ndarray, label: np.ndarray) -> Rows:
    rows = block(X)
    rows.label[:] = label
    return rows


def dirty(n: int, d: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    X = rng.standard_t(3, (n, d))
    X[n // 2 :, 0] += 6.0
    X[rng.random(X.shape) < 0.05] = np.nan
    X[rng.random(X.shape) < 0.03] = 30.0
    return X


def classes(n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n, d) records, labels of which some are wrong, some are missing, and the weights (d,)."""
    rng = np.random.default_rng(seed)
    X, weights = rng.standard_normal((n, d)), rng.standard_normal(d)
    label = (rng.random(n) < 1 / (1 + np.exp(-3 * X @ weights / np.linalg.norm(weights)))).astype(float)
    flipped = rng.random(n) < 0.05
    label[flipped] = 1 - label[flipped]
    label[rng.random(n) < 0.1] = np.nan
    return X, label, weights


SCHEDULES: list[dict[str, Any]] = [
    {},
    {"horizon": 400},
    {"alpha": 0.5, "clip": "oracle:1.5"},
    {"alpha": 0.0, "clip": "none", "radius": 2.5, "horizon": 50},
    {"alpha": 1.0, "clip": "none"},
]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("d", [1, 3])
def test_mean_agrees_with_the_slow_twin(schedule: dict[str, Any], d: int) -> None:
    X = dirty(500, d, d)
    for a, b in zip(run(ClippedSgd(**schedule), X), mean(X.tolist(), **schedule), strict=True):
        np.testing.assert_allclose(a, np.array(b), rtol=1e-8, atol=1e-10)


def twin_of_regression(X: np.ndarray, label: np.ndarray, **more: Any) -> np.ndarray:
    schedule: dict[str, Any] = {"alpha": 2 / 3, "horizon": None, "clip": "auto", "radius": None, **more}
    slow = Regression(X.shape[1], **schedule)
    return np.array([slow.judge(row, y) for row, y in zip(X.tolist(), label.tolist(), strict=True)])


@pytest.mark.parametrize("schedule", [{}, {"horizon": 300, "clip": "oracle:1"}, {"alpha": 0.9, "radius": 1.0}])
def test_linear_agrees_with_the_slow_twin(schedule: dict[str, Any]) -> None:
    X = dirty(400, 3, 4)
    raw, expected, scale = run(ClippedSgd(loss="linear", target="f1", **schedule), X)
    found = np.column_stack([raw, expected[:, 1], scale[:, 1]])
    twin = twin_of_regression(X, np.full(400, np.nan), target=1, **schedule)
    np.testing.assert_allclose(found, twin, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("delay", [0, 1, 17])
@pytest.mark.parametrize("schedule", [{}, {"horizon": 12, "clip": "oracle:0.3"}, {"clip": "none", "radius": 0.7}])
def test_logistic_agrees_with_the_slow_twin(schedule: dict[str, Any], delay: int) -> None:
    X, label, _ = classes(400, 3, 5)
    X[np.random.default_rng(1).random(X.shape) < 0.05] = np.nan
    X[30] = np.nan
    estimator = ClippedSgd(loss="logistic", label_delay=delay, **schedule)
    raw, expected, _ = estimator.step(fresh(estimator, 3), np.zeros(400, np.int64), labelled(X, label))
    twin = twin_of_regression(X, label, target=None, delay=delay, **schedule)
    np.testing.assert_allclose(raw, twin[:, 0], rtol=1e-8, atol=1e-10)
    assert np.isnan(expected).all()


@pytest.mark.parametrize("loss", ["mean", "linear", "logistic"])
def test_compiled_and_interpreted_are_bit_identical(loss: Any) -> None:
    pytest.importorskip("numba")
    X, label = nasty(1500, 3), (noise(1500) > 0).astype(float)
    answers = []
    for engine in ("python", "numba"):
        estimator = ClippedSgd(loss=loss, label_delay=5 if loss == "logistic" else 0)
        state = fresh(estimator, 3, engine=engine)  # type: ignore[arg-type]
        answers.append([*estimator.step(state, np.zeros(1500, np.int64), labelled(X, label)), *state.values()])
    assert same(*answers)


@pytest.mark.parametrize("loss", ["mean", "linear", "logistic"])
@pytest.mark.parametrize("clip", ["auto", "none"])
@pytest.mark.parametrize("d", [1, 4])
def test_nasty_values_give_finite_answers(loss: Any, clip: str, d: int) -> None:
    estimator = ClippedSgd(loss=loss, clip=clip, label_delay=3 if loss == "logistic" else 0)
    state = fresh(estimator, d)
    X = nasty(1500, d, 1)
    raw, expected, scale = estimator.step(state, np.zeros(1500, np.int64), labelled(X, (noise(1500) > 0) * 1.0))
    judged = np.abs(X[:, :1] if loss == "linear" else X) < 1e150
    assert np.array_equal(np.isnan(raw[60:]), ~judged[60:].any(axis=1))
    for array in (raw, expected, scale, *state.values()):
        assert not np.isinf(array).any()
    for name, array in state.items():
        assert not np.isnan(array).any(), name


def test_the_step_is_the_published_one() -> None:
    x = noise(40)
    moved = np.diff(run(ClippedSgd(clip="none", horizon=1000), x)[1][8:, 0])
    gap = (x - run(ClippedSgd(clip="none", horizon=1000), x)[1][:, 0])[8:-1]
    np.testing.assert_allclose(moved, 1000 ** (-2 / 3) * gap)


def test_without_a_horizon_the_step_falls_with_every_doubling() -> None:
    x = noise(300)
    expected = run(ClippedSgd(clip="none"), x)[1][:, 0]
    steps = np.diff(expected[8:]) / (x - expected)[8:-1]
    number = np.arange(9, 300)  # of the record that moved it
    np.testing.assert_allclose(steps, (2.0 ** np.floor(np.log2(number))) ** (-2 / 3))


def test_no_record_moves_the_mean_by_more_than_step_times_clip() -> None:
    X = np.random.default_rng(0).standard_t(1, (2000, 2))
    expected = run(ClippedSgd(clip="oracle:1.5", horizon=500), X)[1][8:]
    moved = np.linalg.norm(np.diff(expected, axis=0), axis=1)
    limit = 500 ** (-2 / 3) * 3.0
    assert moved.max() <= limit * (1 + 1e-9)
    assert np.isclose(moved, limit).mean() > 0.1


def test_the_first_value_does_not_matter_much() -> None:
    x = noise(100)
    x[0] = -1000.0
    assert abs(run(ClippedSgd(), x)[1][8, 0]) < 1.5


def test_clipping_keeps_outliers_from_dragging_the_mean() -> None:
    x = np.random.default_rng(3).standard_t(2.1, 5000)
    x[np.random.default_rng(4).random(5000) < 0.05] = 30.0
    clipped = np.abs(run(ClippedSgd(), x)[1][1000:, 0]).mean()
    assert clipped < 0.3 < 1.0 < np.abs(run(ClippedSgd(clip="none"), x)[1][1000:, 0]).mean()


def test_after_a_jump_it_is_slow() -> None:
    """What the published step costs, and why `level` exists."""
    x = noise(5000)
    x[3000:] += 50.0
    expected = run(ClippedSgd(clip="oracle:1", horizon=5000), x)[1][:, 0]
    assert expected[-1] < 20.0


def test_the_radius_holds_theta_near_its_start() -> None:
    X = np.random.default_rng(0).standard_normal((1000, 2)) + np.arange(1000)[:, None] * 0.1
    expected = run(ClippedSgd(radius=3.0), X)[1][8:]
    far = np.linalg.norm(expected - expected[0], axis=1)
    assert far.max() <= 3.0 + 1e-9
    assert far[-1] > 2.99


def test_the_clip_level_needs_no_scale() -> None:
    x = np.random.default_rng(3).standard_t(2.1, 1000)
    raw = run(ClippedSgd(), x)[0]
    np.testing.assert_allclose(run(ClippedSgd(), -1e6 * x)[0], -raw, rtol=1e-7, atol=1e-7)


def test_logistic_learns_the_weights_in_spite_of_wrong_labels() -> None:
    X, label, weights = classes(6000, 4, 8)
    estimator = ClippedSgd(loss="logistic", alpha=0.4)
    state = fresh(estimator, 4)
    raw, _, _ = estimator.step(state, np.zeros(6000, np.int64), labelled(X, label))
    found = state["theta"][0, 1:]
    assert found @ weights / np.linalg.norm(found) / np.linalg.norm(weights) > 0.98
    assert estimator.raw_kind == "level"
    assert np.array_equal(np.isnan(raw[:8]), np.ones(8, bool))


def test_a_label_is_used_after_its_delay_only() -> None:
    X, label, _ = classes(200, 2, 9)
    estimator, other = (ClippedSgd(loss="logistic", label_delay=50) for _ in range(2))
    raw = estimator.step(fresh(estimator, 2), np.zeros(200, np.int64), labelled(X, label))[0]
    changed = label.copy()
    changed[100:] = 1 - changed[100:]
    late = other.step(fresh(other, 2), np.zeros(200, np.int64), labelled(X, changed))[0]
    assert same([raw[:151]], [late[:151]])  # the label of record 100 is learned with record 150
    assert not np.isclose(raw[151:], late[151:]).any()


def test_logistic_without_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="--label"):
        ClippedSgd(loss="logistic").check(Params())
    ClippedSgd(loss="logistic").check(Params(labelled=True))
    with pytest.raises(ValueError, match="--label"):
        Detector(ClippedSgd(loss="logistic"), "tail")


def test_a_target_that_is_no_field_gives_no_opinion_and_says_so() -> None:
    estimator = ClippedSgd(loss="linear", target="y")
    raw, _, _ = estimator.step(fresh(estimator, 1), np.zeros(50, np.int64), block(noise(50)))
    assert np.isnan(raw).all()
    assert estimator.lacks() == "no field 'y' to predict; there are: f0"


@pytest.mark.parametrize("loss", ["mean", "linear", "logistic"])
def test_a_restart_is_a_fresh_key(loss: Any) -> None:
    X, label = nasty(400, 2, 7), (noise(400) > 0) * 1.0
    rows = labelled(X, label)
    rows.restart[200] = True
    estimator, other = ClippedSgd(loss=loss), ClippedSgd(loss=loss)
    raw = estimator.step(fresh(estimator, 2), np.zeros(400, np.int64), rows)[0]
    alone = other.step(fresh(other, 2), np.zeros(200, np.int64), labelled(X[200:], label[200:]))[0]
    assert same([alone], [raw[200:]])


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("loss=lasso", "loss"),
        ("alpha=1.5", "alpha must be in"),
        ("horizon=0", "horizon must be at least 1"),
        ("radius=0", "radius must be > 0"),
        ("clip=3", "clip must be auto, none or oracle:S"),
        ("clip=oracle", "clip must be auto, none or oracle:S"),
        ("clip=oracle:-1", "clip must be auto, none or oracle:S"),
        ("clip=oracle:nan", "clip must be auto, none or oracle:S"),
        ("target=y", "target is for loss=linear"),
        ("label_delay=-1", "label_delay must be >= 0"),
        ("label_delay=3", "label_delay is for loss=logistic"),
    ],
)
def test_bad_parameters_are_refused(spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build("estimator", f"clipped_sgd:{spec}")


def test_an_oracle_scale_is_read_from_a_spec() -> None:
    built = build("estimator", "clipped_sgd:horizon=20000,clip=oracle:2.5,alpha=0.5")
    assert isinstance(built, ClippedSgd)
    assert (built.clip, built.horizon, built.alpha) == ("oracle:2.5", 20000, 0.5)
