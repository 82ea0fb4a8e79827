"""Estimators in plain Python: the adapter gives them state, keys, fields and the laws; and what a broken law prints."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest

from clipdetect import Detector
from clipdetect.plain import PlainEstimator
from clipdetect.testing import check_component


class Steps(PlainEstimator):
    """How large a step is, in usual steps."""

    FAST = 100
    last = usual = 0.0

    def score(self, x):
        return (x - self.last) / self.usual if self.usual else None

    def learn(self, x):
        if self.count:
            size = abs(x - self.last)
            self.usual += (min(size, 2.0 * self.usual or size) - self.usual) / min(self.count, self.FAST)
        self.last = x

    def expects(self):
        return self.last, self.usual


class Rank(PlainEstimator):
    """How many of the last values are nearer to their mean.

    Parameters
    ----------
    start : values before there is an opinion.
    """

    raw_kind = "distance"
    recent = [0.0] * 20
    at = 0

    def __init__(self, start: int = 10) -> None:
        self.start = start

    def score(self, x):
        known = self.recent[: min(self.count, 20)]
        if self.count < self.start:
            return None
        mean = sum(known) / len(known)
        spread = sum(abs(each - mean) for each in known)
        return abs(x - mean) / spread if spread else None

    def learn(self, x):
        self.recent[self.at] = x
        self.at = (self.at + 1) % 20


@pytest.mark.parametrize("component", [Steps, Rank])
def test_a_plain_estimator_keeps_every_law(component):
    check_component(component)


def test_a_plain_estimator_is_what_the_same_lines_give_by_themselves():
    x = np.random.default_rng(0).normal(size=300).cumsum()
    found = Detector(Steps(), engine="python").step(x)
    model, expected = Steps(), []
    model.count = 0
    for value in x.tolist():
        told = model.score(value)
        expected.append(math.nan if told is None else told)
        model.learn(value)
        model.count += 1
    assert found.raw.tobytes() == np.array(expected).tobytes()


def test_each_key_and_field_has_a_model_of_its_own():
    rng = np.random.default_rng(1)
    X, keys = rng.normal(size=(200, 2)), rng.choice(["a", "b"], 200).tolist()
    mixed = Detector(Steps(), engine="python").step(X, keys).raw
    for key in "ab":
        own = np.array([each == key for each in keys])
        fields = [Detector(Steps(), engine="python").step(X[own, j]).raw for j in (0, 1)]
        farthest = np.where(np.abs(fields[0]) >= np.abs(fields[1]), *fields)
        assert mixed[own].tobytes() == farthest.tobytes()


def test_it_remembers_only_numbers_and_lists_of_numbers():
    assert Steps.memory() == {"last": 0.0, "usual": 0.0}
    assert Rank.memory() == {"recent": [0.0] * 20, "at": 0}
    spec = Rank().state_spec(3)
    assert spec["recent"] == ((20, 3), np.float64) and spec["at"] == ((3,), np.int64)


def test_a_saved_state_goes_on():
    X = np.random.default_rng(2).normal(size=(100, 2))
    whole, first, second = (Detector(Rank(start=5), engine="python") for _ in range(3))
    expected = whole.step(X)
    first.step(X[:50])
    head, keys, arrays = first.dump()
    second.load(json.loads(json.dumps(head)), keys, arrays)
    assert second.step(X[50:]).raw.tobytes() == expected.raw[50:].tobytes()


def test_a_number_that_is_not_finite_is_not_learned():
    class Squares(Steps):
        """Overflows."""

        def learn(self, x):
            self.last = x * x * x

    detector = Detector(Squares(), engine="python")
    detector.step([[2.0], [1e140], [3.0]])
    state = next(array for name, array in detector.dump()[2].items() if name.endswith("last"))
    assert 27.0 in state.ravel()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"usual": 0, "learn": lambda self, x: setattr(self, "usual", 0.5)}, "begins as a whole number and became 0.5"),
        ({"recent": [0.0], "learn": lambda self, x: self.recent.append(x)}, "has another length than in the class: 2"),
    ],
)
def test_what_cannot_be_kept_is_refused(body, problem):
    made = type("Odd", (PlainEstimator,), {"score": lambda self, x: None, **body})
    state = {name: np.zeros((1, *shape), kind) for name, (shape, kind) in made().state_spec(1).items()}
    made_one = made()
    made_one._load(state, 0, 0)
    made_one.learn(1.0)
    with pytest.raises(ValueError, match=re.escape(problem)):
        made_one._save(state, 0, 0)


def test_the_name_of_the_count_is_taken():
    made = type("Odd", (PlainEstimator,), {"count": 3})
    with pytest.raises(TypeError, match=r"Odd\.count: the adapter counts"):
        made().state_spec(1)


# -- what a broken law says -------------------------------------------------------------------


def test_a_broken_law_is_named_with_the_row_and_both_values():
    class Blocks(Steps):
        """Knows where blocks begin."""

        def step(self, state, slots, rows):
            raw, *rest = super().step(state, slots, rows)
            raw[0] = 5.0
            return raw, *rest

    with pytest.raises(AssertionError) as caught:
        check_component(Blocks, compiled=False)
    pattern = r"cuts_change_nothing: a cut of the stream changed the result: \w+ differs: in row \d+ \S+ for 5\.0"
    found = re.match(pattern.replace(r" \S+ for 5\.0", r" (\S+) for (\S+)"), str(caught.value))
    assert found and found[1] != found[2]


def test_a_state_that_differs_is_named():
    class Forgets(Steps):
        """Remembers how many blocks there were."""

        blocks = 0

        def step(self, state, slots, rows):
            found = super().step(state, slots, rows)
            state["blocks"][slots[0]] += 1
            return found

    with pytest.raises(
        AssertionError, match=r"cuts_change_nothing: a cut of the stream changed the state: \S*blocks: in row"
    ):
        check_component(Forgets, compiled=False)
