"""The estimator `logistic`: clipped steps with replay, from labels and against a reference."""

from __future__ import annotations

import numpy as np
import pytest
from naive.logistic import logistic as slow_logistic
from naive.runs import nasty, same
from sklearn.metrics import roc_auc_score

from clipdetect import testing
from clipdetect.components import Params, Rows, State, Table
from clipdetect.detector import Detector
from clipdetect.estimators.logistic import Logistic
from clipdetect.explain import reasons
from clipdetect.jit import Engine, EngineName


def fields(d: int) -> list[str]:
    return [f"f{j}" for j in range(d)]


def table(X: np.ndarray) -> Table:
    return Table(tuple(fields(X.shape[1])), X)


def fresh(estimator: Logistic, d: int, seed: int = 7, engine: EngineName = "python") -> State:
    estimator.bind(fields(d), Params(Engine(engine), labelled=True))
    state = {name: np.zeros((1, *shape), dtype) for name, (shape, dtype) in estimator.state_spec(d).items()}
    estimator.reset(state, np.zeros(1, np.int64), np.array([seed]))
    return state


def block(X: np.ndarray, labels: np.ndarray | None, learn: bool = True, restart: int | None = None) -> Rows:
    n = len(X)
    begins = np.zeros(n, bool)
    if restart is not None:
        begins[restart] = True
    known = np.full(n, np.nan) if labels is None else labels.astype(float)
    return Rows(np.ascontiguousarray(X), np.full(n, np.nan), known, np.full(n, learn), begins)


def run(
    estimator: Logistic, X: np.ndarray, labels: np.ndarray | None = None, engine: EngineName = "python", **more: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """raw, expected, scale of one fresh key."""
    state = fresh(estimator, X.shape[1], engine=engine)
    return estimator.step(state, np.zeros(len(X), np.int64), block(X, labels, **more))


def rough(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows (n, 3) in three units with gaps, gross values and a shift, labels with gaps, and a reference with gaps."""
    rng = np.random.default_rng(seed)
    X = rng.standard_t(3, (n, 3)) * [1, 30, 900] + 5
    labels = np.where(X[:, 0] + rng.normal(size=n) > 6, 1.0, 0.0)
    labels[rng.random(n) < 0.1] = np.nan
    X[n // 2 :, 1] += 100
    X[rng.random(X.shape) < 0.05] = np.nan
    X[rng.random(X.shape) < 0.02] = 1e4
    X[n // 3] = np.nan
    pool = rng.standard_t(3, (80, 3)) * [2, 50, 900] + 5
    pool[rng.random(pool.shape) < 0.05] = np.nan
    return X, labels, pool


def contrasted(seed: int = 0, n: int = 500, d: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of ten kinds, one of them normal until n / 2, another after; 5% of the others; and a reference of all."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(10, d)) * 3
    normal = np.where(np.arange(n) < n // 2, 0, 1)
    strange = rng.random(n) < 0.05
    kind = np.where(strange, (normal + rng.integers(1, 10, n)) % 10, normal)
    X = centres[kind] + rng.normal(size=(n, d))
    pool = centres[rng.integers(0, 10, 400)] + rng.normal(size=(400, d))
    return X, strange.astype(float), pool


def labelled_stream(seed: int, n: int = 1500, flips: float = 0.05) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, revealed labels and true probabilities of a logistic law that changes once, in the middle."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5))
    directions = rng.normal(size=(2, 5))
    directions *= 3 / np.linalg.norm(directions, axis=1, keepdims=True)
    p = 1 / (1 + np.exp(-(X * directions[(np.arange(n) >= n // 2).astype(int)]).sum(axis=1)))
    labels = np.where(rng.random(n) < p, 1.0, 0.0)
    wrong = rng.random(n) < flips
    return X, np.where(wrong, 1 - labels, labels), p


def auc(truth: np.ndarray, raw: np.ndarray) -> float:
    return float(roc_auc_score(truth, np.nan_to_num(raw)))


# -- twins and engines ------------------------------------------------------------------------


def against_twin(n: int, delay: int = 0, reference: bool = False, cosine: bool = False, **settings: float) -> None:
    X, labels, pool = rough(n)
    given = {("step_size" if name == "step" else name): value for name, value in settings.items()}
    estimator = Logistic(
        reference=table(pool) if reference else None,
        features="cosine" if cosine else "linear",
        label_delay=delay,
        **given,  # type: ignore[arg-type]
    )
    raw, _, _ = run(estimator, X, labels)
    twin = slow_logistic(
        X,
        labels,
        7,
        delay,
        projection=(estimator._signs, estimator._phases) if cosine else None,
        reference=estimator._pool if reference else None,
        started=estimator._started if reference else None,
        **settings,
    )
    assert np.isfinite(raw).any()
    np.testing.assert_allclose(raw, twin, rtol=1e-8)  # sums in another order: rounding only


def test_labelled_kernel_agrees_with_the_slow_twin() -> None:
    against_twin(400)


def test_late_labels_agree_with_the_slow_twin() -> None:
    against_twin(200, delay=5)


def test_other_parameters_agree_with_the_slow_twin() -> None:
    against_twin(200, replay=1, memory=7, step=0.5, clip=0.7)


def test_contrast_agrees_with_the_slow_twin() -> None:
    against_twin(300, reference=True)


@pytest.mark.parametrize("reference", [False, True])
def test_cosine_features_agree_with_the_slow_twin(reference: bool) -> None:
    against_twin(20, reference=reference, cosine=True)


@pytest.mark.parametrize("settings", [{}, {"reference": 1}, {"label_delay": 3}])
def test_compiled_and_interpreted_are_bit_identical(settings: dict) -> None:
    pytest.importorskip("numba")
    X = nasty(600, 3)
    labels = np.where(np.isnan(X[:, 0]), np.nan, X[:, 0] > 1)
    if "reference" in settings:
        settings = {"reference": table(nasty(100, 3, 5))}
    both = [run(Logistic(**settings), X, labels, engine) for engine in ("python", "numba")]
    assert same(*both)
    raw = both[0][0]
    assert not np.isinf(raw).any()
    assert np.isfinite(raw[100:]).mean() > 0.9


def test_cosine_features_are_bit_identical_in_both_engines() -> None:
    pytest.importorskip("numba")
    X, labels, _ = rough(20)
    assert same(*[run(Logistic(features="cosine"), X, labels, engine) for engine in ("python", "numba")])


# -- laws in the mode with a reference, and what they do not cover -----------------------------


@pytest.mark.parametrize("law", testing.laws(Logistic), ids=lambda law: law.__name__)
def test_law_is_kept_with_a_reference(law) -> None:
    if law in (testing.units_do_not_matter, testing.equal_values_have_no_unit, testing.engines_agree):
        pytest.skip("tested apart: the reference must change its units, too")
    pool = np.random.default_rng(0).standard_t(3, (300, 2)) * 6 + 8
    reference = Table(("c1", "c2", "a", "b"), np.column_stack([pool, pool]))
    law(testing._maker(Logistic, {"reference": reference}))


@pytest.mark.parametrize(("a", "b"), [(2.0**20, 0.0), (-1.0, 0.0), (1.0, 1e6), (1e-6, 3.0)])
def test_units_do_not_matter_when_the_reference_has_them_too(a: float, b: float) -> None:
    X, _, pool = contrasted(n=250)
    plain = run(Logistic(reference=table(pool)), X)[0]
    np.testing.assert_allclose(run(Logistic(reference=table(pool * a + b)), X * a + b)[0], plain, rtol=1e-5)


def test_a_power_of_two_as_unit_changes_no_bit() -> None:
    X, labels, _ = rough(300)
    plain, _, _ = run(Logistic(), X, labels)
    assert same([plain], [run(Logistic(), X * 2.0**30, labels)[0]])


@pytest.mark.parametrize("reference", [False, True])
def test_columns_never_seen_add_no_bit(reference: bool) -> None:
    X, labels, pool = rough(200)
    wide = np.column_stack([X, np.full((len(X), 4), np.nan)])
    more = np.column_stack([pool, np.random.default_rng(1).normal(size=(len(pool), 4))])
    narrow = run(Logistic(reference=table(pool) if reference else None), X, labels)
    padded = run(Logistic(reference=table(more) if reference else None), wide, labels)
    assert same(narrow, (padded[0], padded[1][:, :3], padded[2][:, :3]))


@pytest.mark.parametrize("reference", [False, True])
def test_a_restart_is_a_fresh_key(reference: bool) -> None:
    X, labels, pool = rough(300)
    make = lambda: Logistic(reference=table(pool) if reference else None)  # noqa: E731
    whole = run(make(), X, labels, restart=120)
    assert same([array[:120] for array in whole], run(make(), X[:120], labels[:120]))
    assert same([array[120:] for array in whole], run(make(), X[120:], labels[120:]))


def test_columns_that_the_reference_lacks_are_not_looked_at() -> None:
    X, _, pool = rough(150)
    reference = Table(("f0", "f2"), pool[:, [0, 2]])
    raw, expected, _ = run(Logistic(reference=reference), X)
    X[:, 1] = np.random.default_rng(3).normal(size=len(X))
    assert np.array_equal(raw, run(Logistic(reference=reference), X)[0], equal_nan=True)
    assert np.isnan(expected[:, 1]).all()


# -- labels -----------------------------------------------------------------------------------


def test_no_opinion_before_both_classes_were_seen() -> None:
    X = np.random.default_rng(0).normal(size=(40, 2))
    labels = np.zeros(40)
    labels[20] = 1.0
    raw = run(Logistic(), X, labels)[0]
    assert np.isnan(raw[:21]).all()
    assert np.isfinite(raw[21:]).all()


@pytest.mark.parametrize("delay", [0, 1, 6])
def test_a_label_counts_after_its_delay_and_not_before(delay: int) -> None:
    X, labels, _ = labelled_stream(0, 80)
    other = labels.copy()
    other[50] = 1.0 - other[50]
    a, b = (run(Logistic(label_delay=delay), X, each)[0] for each in (labels, other))
    differ = np.flatnonzero(~((a == b) | (np.isnan(a) & np.isnan(b))))
    assert differ[0] == 50 + delay + 1


def test_unlabelled_records_are_scored_and_teach_no_class() -> None:
    X, labels, _ = labelled_stream(0, 200)
    labels[100:] = np.nan
    estimator = Logistic()
    state = fresh(estimator, 5)
    raw = estimator.step(state, np.zeros(200, np.int64), block(X, labels))[0]
    assert np.isfinite(raw[150:]).all()
    assert state["taken"].sum() == 100


def test_a_logistic_law_is_learned_and_its_change_followed() -> None:
    found, recovered = [], []
    for seed in range(3):
        X, labels, p = labelled_stream(seed)
        q = 1 / (1 + 1 / np.nan_to_num(run(Logistic(), X, labels)[0], nan=1.0) ** 2)
        divergence = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
        found.append(divergence[300:750].mean())
        after = np.convolve(divergence[750:], np.ones(30) / 30, "valid") < 0.1
        recovered.append(int(np.argmax(after)))
    assert np.mean(found) < 0.03
    assert np.median(recovered) < 70


def test_a_rare_class_is_learned_although_a_fifth_of_the_labels_is_wrong() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1200, 6))
    truth = (rng.random(1200) < 0.05).astype(float)
    X[truth == 1] += [2.0, -2.0, 0.0, 0.0, 1.0, 0.0]
    wrong = rng.random(1200) < 0.2
    assert auc(truth[200:], run(Logistic(), X, truth)[0][200:]) > 0.97
    assert auc(truth[200:], run(Logistic(), X, np.where(wrong, 1 - truth, truth))[0][200:]) > 0.8


def test_gross_records_with_wrong_labels_do_little_harm() -> None:
    X, labels, p = labelled_stream(4, 900, flips=0.0)
    rng = np.random.default_rng(1)
    gross = rng.random(900) < 0.03
    X[gross] *= 100.0
    labels[gross] = 1.0 - labels[gross]
    raw = run(Logistic(), X, labels)[0]
    judged = ~gross & (np.arange(900) % 450 > 150)
    assert auc(p[judged] > 0.5, raw[judged]) > 0.93


def test_a_jump_of_all_columns_is_survived() -> None:
    found = []
    for seed in range(3):
        X, labels, p = labelled_stream(seed, 1500, flips=0.0)
        X[900:] += 100.0
        raw = run(Logistic(), X, labels)[0]
        assert np.isfinite(raw[100:]).all()
        found.append(auc(p[1200:] > 0.5, raw[1200:]))
    assert np.mean(found) > 0.9


# -- contrast ---------------------------------------------------------------------------------


def test_anomalies_stand_out_against_a_reference_without_any_label() -> None:
    for seed in range(3):
        X, strange, pool = contrasted(seed)
        raw = run(Logistic(reference=table(pool)), X)[0]
        assert np.isfinite(raw[1:]).all()
        assert auc(strange[50:], raw[50:]) > 0.9


def test_replay_follows_a_switch_of_the_normal_sooner() -> None:
    def told_apart(**settings: float) -> float:
        """Odds of a normal record in those of an anomaly, 20 to 60 records after the switch; mean of seeds."""
        found = []
        for seed in range(4):
            X, strange, pool = contrasted(seed, 320)
            raw = run(Logistic(table(pool), **settings), X)[0][180:220]  # type: ignore[arg-type]
            after = strange[180:220]
            found.append(np.median(raw[after == 0]) / np.median(raw[after == 1]))
        return float(np.mean(found))

    replayed = told_apart()
    assert replayed < 0.2
    assert replayed < told_apart(replay=0)
    assert told_apart(replay=0, step_size=0.05) > 0.4


def test_labels_are_not_looked_at_with_a_reference() -> None:
    X, strange, pool = contrasted(n=120)
    a, b = (run(Logistic(reference=table(pool)), X, labels)[0] for labels in (strange, None))
    assert np.array_equal(a, b, equal_nan=True)


def test_cosine_features_see_a_ring_around_the_normal() -> None:
    pytest.importorskip("numba")
    rng = np.random.default_rng(0)

    def ring(n: int) -> np.ndarray:
        angle = rng.uniform(0, 2 * np.pi, n)
        return 4 * np.column_stack([np.cos(angle), np.sin(angle)]) + 0.3 * rng.normal(size=(n, 2))

    X = rng.normal(size=(400, 2))
    strange = rng.random(400) < 0.05
    X[strange] = ring(int(strange.sum()))
    pool = np.concatenate([ring(150), rng.normal(size=(150, 2))])
    linear, cosine = (run(Logistic(table(pool), features=kind), X, None, "numba")[0] for kind in ("linear", "cosine"))
    assert auc(strange[50:], linear[50:]) < 0.8
    assert auc(strange[50:], cosine[50:]) > 0.95


def test_why_names_the_fields_that_set_a_record_apart() -> None:
    rng = np.random.default_rng(2)
    X = rng.normal(size=(300, 4)) + 10.0
    pool = rng.normal(size=(300, 4)) + 10.0
    pool[:, 2] += 8.0 * rng.random(300)
    X[-1] = [10.0, 10.0, 17.0, 10.0]
    raw, expected, scale = run(Logistic(reference=table(pool)), X)
    assert raw[-1] > np.quantile(raw[1:-1], 0.99)
    first = reasons(fields(4), X[-1], expected[-1], scale[-1])[0]
    assert first.field == "f2"
    assert abs(first.expected - 10.0) < 0.5
    assert first.deviation > 0.0


# -- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("replay", -1, "replay must be at least 0"),
        ("memory", 0, "memory must be at least 1"),
        ("step_size", 0.0, "step_size must be > 0"),
        ("clip", 0.0, r"clip must be in \(0, 1\]"),
        ("clip", 1.1, r"clip must be in \(0, 1\]"),
        ("features", "square", "features must be linear or cosine"),
        ("label_delay", -1, "label_delay must be at least 0"),
    ],
)
def test_a_bad_parameter_is_refused(name: str, value: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Logistic(**{name: value})  # type: ignore[arg-type]


def test_a_delay_of_labels_is_refused_with_a_reference() -> None:
    with pytest.raises(ValueError, match="label_delay has no meaning with a reference"):
        Logistic(reference=table(np.ones((3, 2))), label_delay=4)


def test_a_run_without_labels_and_reference_is_refused_and_told_what_to_give() -> None:
    with pytest.raises(ValueError, match=r"give --label NAME.* or -e logistic:reference=FILE"):
        Detector(Logistic())
    Detector(Logistic(), labelled=True)
    Detector(Logistic(reference=table(np.ones((3, 2)))))


def test_more_fields_than_cosine_features_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 1024 fields"):
        Logistic(features="cosine").bind(fields(1025), Params(labelled=True))


def test_a_reference_with_none_of_the_fields_is_named() -> None:
    estimator = Logistic(reference=Table(("x",), np.ones((3, 1))))
    estimator.bind(["y", "z"], Params())
    assert "none of the fields y, z" in estimator.lacks()
    estimator.bind(["y", "z", "x"], Params())
    assert estimator.lacks() == ""
    assert np.isnan(run(Logistic(reference=Table(("x",), np.ones((3, 1)))), np.ones((5, 2)))[0]).all()
