"""The estimator `sum`: components calibrated apart and added."""

from __future__ import annotations

import numpy as np
import pytest
from naive.runs import block, fresh, nasty, run, same
from naive.sum import added

from clipdetect import Detector, registry
from clipdetect.components import Estimator
from clipdetect.estimators.level import Level
from clipdetect.estimators.sum import Sum
from clipdetect.estimators.zscore import Zscore


class Margin(Estimator):
    """The first field itself, as a score of any location."""

    raw_kind = "level"

    def step(self, state, slots, rows):
        nothing = np.full(rows.X.shape, np.nan)
        return np.where(np.abs(rows.X[:, 0]) < 1e150, rows.X[:, 0], np.nan), nothing, nothing.copy()


def test_kernel_agrees_with_the_slow_twin() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_t(3, (400, 2)) + 5.0
    X[rng.random(X.shape) < 0.05] = np.nan
    X[100:140] = 7.0  # exactly as expected, after a while
    parts = [Level(), Zscore(), Margin()]
    columns = [run(part, X)[0].tolist() for part in parts]
    found = run(Sum(*parts), X)
    np.testing.assert_allclose(found[0], added(columns, [part.raw_kind for part in parts]), rtol=1e-9, atol=1e-9)
    assert same(found[1:], run(parts[0], X)[1:])  # expected and scale are the first one's


def test_compiled_and_interpreted_are_bit_identical() -> None:
    pytest.importorskip("numba")
    X = nasty(1000, 2)
    assert same(run(Sum(Level(), Margin()), X, "python"), run(Sum(Level(), Margin()), X, "numba"))


def test_not_learning_leaves_the_state_bit_equal() -> None:
    estimator = Sum(Level(), Zscore())
    state = fresh(estimator, 2)
    slots = np.zeros(100, np.int64)
    estimator.step(state, slots, block(nasty(100, 2)))
    before = {name: array.copy() for name, array in state.items()}
    estimator.step(state, slots, block(nasty(100, 2, 5), learn=np.zeros(100, bool), restart=[7]))
    assert all(array.tobytes() == before[name].tobytes() for name, array in state.items())


def test_two_weak_models_of_different_kinds_are_better_together() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random(4000) < 0.05
    evidence = rng.normal(size=(4000, 2)) + 2.0 * truth[:, None]

    class Half(Estimator):
        """One of the columns, times a unit of its own."""

        raw_kind = "level"

        def __init__(self, column: int, unit: float) -> None:
            self.column, self.unit = column, unit

        def step(self, state, slots, rows):
            nothing = np.full(rows.X.shape, np.nan)
            return self.unit * rows.X[:, self.column] + 100.0, nothing, nothing.copy()

    from clipdetect.metrics import roc_auc

    alone = [roc_auc(run(Half(c, unit), evidence)[0], truth) for c, unit in ((0, 1.0), (1, 1e6))]
    together = roc_auc(run(Sum(Half(0, 1.0), Half(1, 1e6)), evidence)[0], truth)
    assert together > max(alone) + 0.02


def test_components_come_from_names_and_nested_parameters() -> None:
    made = registry.build("estimator", {"sum": {"first": {"level": {"patience": 41}}, "second": "zscore"}})
    assert isinstance(made, Sum) and isinstance(made.first, Level) and made.first.patience == 41
    assert registry.spelled(made)["sum"]["second"] == {"zscore": {"half_life": 200.0}}
    assert isinstance(registry.build("estimator", "sum:second=zscore").first, Level)
    with pytest.raises(ValueError, match=r"estimator\.sum\.second: unknown estimator 'zscor', did you mean 'zscore'"):
        registry.build("estimator", "sum:second=zscor")
    with pytest.raises(ValueError, match="an estimator expected, got 'level'"):
        Sum("level", Zscore())


def test_a_component_that_needs_labels_refuses_from_inside() -> None:
    class Needy(Margin):
        """Wants labels."""

        def check(self, params):
            if not params.labelled:
                raise ValueError("no labels")

    with pytest.raises(ValueError, match="no labels"):
        Detector(Sum(Level(), Needy()))
    Detector(Sum(Level(), Needy()), labelled=True)
