"""Calls a threshold on raw scores, for tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from clipdetect.components import Rows, State, Threshold, full_spec


def fresh(threshold: Threshold, keys: int = 1) -> State:
    """The arrays of fresh keys, of nested thresholds too."""
    return {name: np.zeros((keys, *shape), dtype) for name, (shape, dtype) in full_spec(threshold, 1).items()}


def step(
    threshold: Threshold,
    state: State,
    raw: ArrayLike,
    slots: np.ndarray | None = None,
    learn: bool | np.ndarray = True,
) -> tuple[np.ndarray, np.ndarray]:
    """score and flag of raw scores, of one key where no slots are given."""
    values = threshold.prepared(np.array(raw, dtype=np.float64))
    n = len(values)
    empty = np.full(n, np.nan)
    rows = Rows(np.zeros((n, 1)), empty, empty.copy(), np.array(np.broadcast_to(learn, n)), np.zeros(n, bool))
    return threshold.step(state, np.zeros(n, np.int64) if slots is None else slots, values, rows)


def same(one: State, other: State) -> bool:
    """Whether two states are bit-equal."""
    return all(one[name].tobytes() == other[name].tobytes() for name in one)


def nasty(seed: int, n: int) -> np.ndarray:
    """Noise among zeros, the smallest and largest numbers, and what is no number."""
    rng = np.random.default_rng(seed)
    odd = np.array([0.0, 5e-324, -1e-320, 1e300, -1e300, 1.7e308, np.inf, -np.inf, np.nan, 1.0, -1.0])
    return np.where(rng.random(n) < 0.3, rng.choice(odd, n), rng.normal(size=n))
