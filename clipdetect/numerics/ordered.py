"""A few numbers kept in ascending order: insertion, sorting, the median."""

from __future__ import annotations

import numpy as np

from clipdetect.jit import kernel


@kernel
def insert(value: float, filled: int, ordered: np.ndarray) -> None:
    """Put `value` in its place among the first `filled` of the ascending `ordered` (m,)."""
    at = filled
    while at > 0 and ordered[at - 1] > value:
        ordered[at] = ordered[at - 1]
        at -= 1
    ordered[at] = value


@kernel
def sort(n: int, ordered: np.ndarray) -> None:
    """Sort the first n of `ordered` (m,) in place."""
    for i in range(1, n):
        insert(ordered[i], i, ordered)


@kernel
def median(filled: int, ordered: np.ndarray) -> float:
    """Median of the first `filled` > 0 of the ascending `ordered` (m,)."""
    if filled % 2 == 1:
        return ordered[filled // 2]
    return 0.5 * (ordered[filled // 2 - 1] + ordered[filled // 2])
