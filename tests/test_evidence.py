"""The estimator `evidence` and the threshold `counted`: one-sided evidence in decades, and its share by counting."""

from __future__ import annotations

import numpy as np
import pytest
from naive.counted import counted as slow_counted
from naive.evidence import evidence as slow_evidence
from naive.runs import nasty, run, same

from clipdetect.components import Params
from clipdetect.detector import Detector
from clipdetect.estimators.evidence import Evidence
from clipdetect.jit import Engine
from clipdetect.thresholds.counted import Counted


def counts(n=1200, seed=0):
    """(n, 3): mostly zero, heavy-tailed, and how busy the source is."""
    rng = np.random.default_rng(seed)
    return np.column_stack(
        [rng.poisson(0.05, n) * rng.pareto(1.5, n), np.round(rng.lognormal(1, 1, n)), np.ceil(rng.pareto(1.0, n) * 5)]
    )


@pytest.mark.parametrize("counter", ["", "c"])
def test_kernel_agrees_with_the_slow_twin(counter):
    X = counts()
    X[np.random.default_rng(1).random(X.shape) < 0.05] = np.nan
    estimator = Evidence(counter=counter)
    detector = Detector(estimator, "counted", fields=["a", "b", "c"], engine="python")
    raw = detector.step(X).raw
    np.testing.assert_allclose(raw, slow_evidence(X.tolist(), 2 if counter else -1), rtol=1e-9, atol=1e-12)


def test_compiled_and_interpreted_are_bit_identical():
    pytest.importorskip("numba")
    for X in (nasty(2000, 3), counts()):
        assert same(run(Evidence(), X, "python"), run(Evidence(), X, "numba"))


def test_a_positive_unit_changes_nothing():
    X = counts()
    plain = run(Evidence(), X)[0]
    for a, b in ((2.0**20, 0.0), (1e-6, 0.0), (1.0, 1000.0)):
        np.testing.assert_allclose(run(Evidence(), X * a + b)[0], plain, rtol=1e-6, atol=1e-6)


def test_usual_and_low_values_are_no_evidence():
    rng = np.random.default_rng(2)
    X = rng.normal(100, 5, (2000, 1))
    X[1990] = -1e6
    raw = run(Evidence(), X)[0]
    assert raw[1990] == 0.0
    assert (raw[100:1990] == 0.0).mean() == pytest.approx(0.75, abs=0.04)


def test_a_column_of_zeros_keeps_its_quantile_at_zero():
    """So the many zeros never count, and the few others do."""
    rng = np.random.default_rng(3)
    X = np.where(rng.random((5000, 1)) < 0.05, rng.exponential(1.0, (5000, 1)), 0.0)
    raw = run(Evidence(), X)[0]
    assert (raw[40:][X[40:, 0] == 0.0] == 0.0).all()
    assert (raw[40:][X[40:, 0] > 1.0] > 0.5).mean() > 0.99


def test_a_busy_source_cannot_make_itself_normal():
    """100 quiet records, then 3,000 of one source at 50; its last record still counts, with its count as counter."""
    X = np.concatenate([np.column_stack([np.random.default_rng(4).poisson(1.0, 100), np.ones(100)])] * 5)
    burst = np.column_stack([np.full(3000, 50.0), 1.0 + np.arange(3000)])
    both = np.concatenate([X, burst])
    own = Detector(Evidence(counter="n"), "counted", fields=["x", "n"]).step(both).raw[-1]
    without = Detector(Evidence(), "counted", fields=["x"]).step(both[:, :1]).raw[-1]
    assert own > 1.5
    assert without < 0.5


def test_a_counter_that_is_no_column_is_refused():
    with pytest.raises(ValueError, match="counter must be one of the columns a, got 'b'"):
        Detector(Evidence(counter="b"), fields=["a"])


# -- counted --------------------------------------------------------------------------------------


def scores(raw, **params):
    threshold = Counted(**params)
    threshold.bind(["x"], Params(engine=Engine("python"), raw_kind="distance"))
    state = {name: np.zeros((1, *shape), dtype) for name, (shape, dtype) in threshold.state_spec(1).items()}
    n = len(raw)
    rows = type("Rows", (), {"learn": np.ones(n, bool)})
    return threshold.step(state, np.zeros(n, np.int64), np.asarray(raw, float), rows)[0]


@pytest.mark.parametrize("params", [{}, {"prior": 50.0, "horizon": 200.0}])
def test_counts_agree_with_the_slow_twin(params):
    rng = np.random.default_rng(5)
    raw = np.concatenate([rng.exponential(0.5, 600), [np.nan, 0.0, 39.99, 45.0, 3.0]])
    np.testing.assert_allclose(scores(raw, **params), slow_counted(raw.tolist(), **params), rtol=1e-5, atol=1e-6)


def test_counts_are_brought_back_before_they_overflow():
    raw = np.random.default_rng(6).exponential(0.5, 4000)
    assert np.isfinite(scores(raw, horizon=2.0)).all()
    np.testing.assert_allclose(
        scores(raw, horizon=20.0)[-50:], slow_counted(raw.tolist()[-800:], horizon=20.0)[-50:], atol=1e-4
    )


@pytest.mark.parametrize("law", ["exponential", "lognormal", "mostly zero", "two columns"])
def test_the_flag_rate_is_kept_whatever_the_law(law):
    rng = np.random.default_rng(7)
    n = 200_000
    raw = {
        "exponential": lambda: rng.exponential(1.0, n),
        "lognormal": lambda: np.exp(rng.normal(size=n)),
        "mostly zero": lambda: np.where(rng.random(n) < 0.02, rng.exponential(2.0, n), 0.0),
        "two columns": lambda: rng.exponential(1 / np.log(10), n) + rng.exponential(1 / np.log(10), n),
    }[law]()
    threshold = Counted()
    threshold.bind(["x"], Params(engine=Engine("auto"), raw_kind="distance", rate=1e-2))
    state = {name: np.zeros((1, *shape), dtype) for name, (shape, dtype) in threshold.state_spec(1).items()}
    rows = type("Rows", (), {"learn": np.ones(n, bool)})
    score, flag = threshold.step(state, np.zeros(n, np.int64), raw, rows)
    assert flag[20_000:].mean() == pytest.approx(1e-2, rel=0.25)
    assert (score[20_000:] >= 3.0).mean() == pytest.approx(1e-3, rel=0.6)


def test_a_burst_costs_its_own_count_and_no_more():
    """50 gross records among the 10,000 remembered: what lies below them is one in 200, the body as before."""
    rng = np.random.default_rng(8)
    raw = rng.exponential(0.4, 20_000)
    burst = scores(np.concatenate([raw, np.full(50, 5.0), [3.0, 0.5]]))[-2:]
    calm = scores(np.concatenate([raw, rng.exponential(0.4, 50), [3.0, 0.5]]))[-2:]
    assert -np.log10(70 / 10_000) < burst[0] < calm[0]
    assert burst[1] == pytest.approx(calm[1], abs=0.02)
