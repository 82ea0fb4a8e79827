"""Every component keeps every law; and for every law there is a plug-in that breaks it and is caught."""

from __future__ import annotations

import os
from functools import partial

import numpy as np
import pytest

from clipdetect import registry, testing
from clipdetect.components import Estimator, Spec, State, Threshold
from clipdetect.jit import kernel

KINDS = ("feature", "changepoint", "estimator", "threshold")
COMPONENTS = [(kind, name) for kind in KINDS for name in registry.names(kind)]
CASES = [(kind, name, law) for kind, name in COMPONENTS for law in testing.laws(registry.get(kind, name))]


@pytest.mark.parametrize(("kind", "name", "law"), CASES, ids=[f"{name}-{law.__name__}" for _, name, law in CASES])
def test_component_keeps_the_law(kind, name, law):
    law(testing._maker(partial(registry.build, kind, name), {}))


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_component_documents_its_parameters(kind, name):
    testing.parameters_are_documented(registry.get(kind, name))


def test_there_are_components_to_test():
    assert {"level", "zscore", "tail", "fixed"} <= {name for _, name in COMPONENTS}


# -- a plug-in that keeps them all, and its broken brothers -----------------------------------


class Running(Estimator):
    """Deviation from the running mean in running standard deviations; keeps every law.

    Parameters
    ----------
    start : values a column must have given before there is an opinion.
    """

    raw_kind = "residual"

    def __init__(self, start: int = 8) -> None:
        self.start = start

    def state_spec(self, n_features: int) -> Spec:
        d = n_features
        return {
            "mean": ((d,), np.float64),
            "squares": ((d,), np.float64),
            "count": ((d,), np.int64),
            "spare": ((), np.float64),
        }

    def step(self, state: State, slots: np.ndarray, rows):
        X = rows.X
        raw, expected, scale = np.full(len(X), np.nan), np.full(X.shape, np.nan), np.full(X.shape, np.nan)
        for i, k in enumerate(slots.tolist()):
            for j in range(X.shape[1]):
                raw[i] = self.larger(raw[i], self.judge(state, k, j, float(X[i, j]), expected, scale, i))
                if self.learns(rows, i) and self.readable(X[i, j]):
                    self.learn(state, k, j, float(X[i, j]))
        return raw, expected, scale

    def readable(self, x):
        return abs(x) < 1e150

    def learns(self, rows, i):
        return bool(rows.learn[i])

    def larger(self, a, b):
        return b if np.isnan(a) or abs(b) > abs(a) else a

    def judge(self, state, k, j, x, expected, scale, i):
        n = state["count"][k, j]
        if n < self.start or not self.readable(x):
            return np.nan
        expected[i, j] = state["mean"][k, j]
        scale[i, j] = (state["squares"][k, j] / n) ** 0.5
        return (x - expected[i, j]) / scale[i, j] if scale[i, j] > 0.0 else np.nan

    def learn(self, state, k, j, x):
        state["count"][k, j] += 1
        d = x - state["mean"][k, j]
        state["mean"][k, j] += d / state["count"][k, j]
        state["squares"][k, j] += d * (x - state["mean"][k, j])


class BlockMean(Running):
    """Compares with the mean of the block, so that it matters where the stream is cut."""

    def step(self, state, slots, rows):
        raw, expected, scale = super().step(state, slots, rows)
        return raw - np.nanmean(np.append(raw, 0.0)), expected, scale


class Forgetful(Running):
    """Keeps part of its state in the object, where no checkpoint finds it."""

    def __init__(self) -> None:
        self.start = 8
        self.hidden = 0.0

    def step(self, state, slots, rows):
        raw, expected, scale = super().step(state, slots, rows)
        for i in range(len(raw)):
            if not np.isnan(raw[i]) and rows.learn[i]:
                raw[i] += self.hidden
                self.hidden += 0.01
        return raw, expected, scale


class Gossip(Running):
    """Every key learns into the first slot."""

    def step(self, state, slots, rows):
        return super().step(state, np.zeros_like(slots), rows)


class SlotCounts(Running):
    """The score depends on the slot's number."""

    def step(self, state, slots, rows):
        raw, expected, scale = super().step(state, slots, rows)
        return raw + 3.0 * slots, expected, scale


class MissingIsZero(Running):
    """Takes a missing value for zero."""

    def step(self, state, slots, rows):
        rows.X = np.where(np.isnan(rows.X), 0.0, rows.X)
        return super().step(state, slots, rows)


class SpreadsNan(Running):
    """Learns missing values too, and has no opinion ever after."""

    def readable(self, x):
        return abs(x) < 1e150 or x != x


class AlwaysLearns(Running):
    """Learns where it must not."""

    def learns(self, rows, i):
        return True


class CountsAnyway(Running):
    """Learns nothing it must not, but counts it."""

    def step(self, state, slots, rows):
        for k in slots.tolist():
            state["spare"][k] += 1.0
        return super().step(state, slots, rows)


class WritesInput(Running):
    """Clears its input where it does not learn."""

    def step(self, state, slots, rows):
        answer = super().step(state, slots, rows)
        if not rows.learn.any():
            rows.X[:] = 0.0
        return answer


class Dice(Running):
    """Draws from a generator of its own."""

    def step(self, state, slots, rows):
        raw, expected, scale = super().step(state, slots, rows)
        return raw * np.random.default_rng().uniform(0.9, 1.1, len(raw)), expected, scale


class CountsColumns(Running):
    """Adds the number of open columns, in some of which the key has seen nothing."""

    def step(self, state, slots, rows):
        raw, expected, scale = super().step(state, slots, rows)
        return raw + rows.X.shape[1], expected, scale


class Hoarder(Running):
    """Keeps every value it has seen."""

    def __init__(self) -> None:
        self.start = 8
        self.seen: list[float] = []

    def learn(self, state, k, j, x):
        super().learn(state, k, j, x)
        self.seen.append(x)


@kernel
def wrapping(raw, k):
    """Whole numbers have no end in Python, and wrap round in 64 bits."""
    for i in range(raw.shape[0]):
        raw[i] += k * k * 1e-37


class Wraps(Running):
    """Its kernel means something else once compiled."""

    def step(self, state, slots, rows):
        raw, expected, scale = super().step(state, slots, rows)
        self.run(wrapping, len(raw), raw, 2**63 - 1)
        return raw, expected, scale


class Absolute(Running):
    """Never takes a scale below one unit."""

    def judge(self, state, k, j, x, expected, scale, i):
        z = super().judge(state, k, j, x, expected, scale, i)
        return z * scale[i, j] / max(scale[i, j], 1.0)


class Signed(Running):
    """Judges one side twice as hard."""

    def judge(self, state, k, j, x, expected, scale, i):
        z = super().judge(state, k, j, x, expected, scale, i)
        return z * 2.0 if z > 0.0 else z


class Step(Threshold):
    """Scores by the raw score's size. Broken ones below."""

    top = np.inf

    def step(self, state, slots, raw, rows):
        score = np.minimum(np.abs(raw) * 0.1, self.top)
        return score, (score >= 3.0).astype(np.int8)


class Capped(Step):
    """Gives all that is strange the same score."""

    top = 4.0


class Negative(Step):
    """Gives scores below zero."""

    def step(self, state, slots, raw, rows):
        score, flag = super().step(state, slots, raw, rows)
        return score - 1e9, flag


class Undocumented(Running):
    """Says nothing of its second parameter.

    start : values before there is an opinion.
    """

    def __init__(self, start: int = 8, secret: int = 1) -> None:
        self.start, self.secret = start, secret


class WithoutDefault(Running):
    """start : of no default value."""

    def __init__(self, start: int) -> None:
        self.start = start


BROKEN = {
    BlockMean: "a cut of the stream changed",
    Forgetful: "the score differs after a restore",
    Gossip: "among others",
    SlotCounts: "among others",
    MissingIsZero: "a record without numbers",
    SpreadsNan: "a record without numbers|a missing value spread",
    AlwaysLearns: "must not be learned|without numbers",
    CountsAnyway: "changed the state",
    Dice: "changed the result",
    CountsColumns: "a column never seen changed the score",
    Hoarder: "grew with the stream",
    Wraps: "the engines differ",
    Absolute: "x -> ",
    Signed: "x -> ",
    Capped: "a stranger record got no higher score",
    Negative: "a score is negative or infinite",
    Undocumented: "parameter secret is not in the docstring",
}


def test_a_component_that_keeps_the_laws_passes():
    testing.check_component(Running)
    testing.check_component(Step)


@pytest.mark.parametrize("component", BROKEN, ids=lambda each: each.__name__)
def test_a_component_that_breaks_a_law_is_caught(component):
    if component is Wraps and os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        pytest.skip("without the compiler there is one engine, which cannot differ from itself")
    with pytest.raises(AssertionError, match=BROKEN[component]):
        testing.check_component(component)


def test_a_parameter_without_default_is_caught():
    with pytest.raises(AssertionError, match="parameter start has no default"):
        testing.check_component(WithoutDefault, start=8)


def test_a_component_that_writes_into_its_input_is_caught():
    with pytest.raises(AssertionError, match="the input was modified"):
        testing.not_learning_changes_nothing(testing._maker(WritesInput, {}))


def test_a_component_may_say_that_it_is_not_scale_free():
    class Honest(Absolute):
        """Says so."""

        scale_free = False

    names = {law.__name__ for law in testing.laws(Honest)}
    assert "units_do_not_matter" not in names
    assert "cuts_change_nothing" in names


def test_what_is_no_component_is_refused():
    with pytest.raises(AssertionError, match="is no component"):
        testing.check_component(dict)
