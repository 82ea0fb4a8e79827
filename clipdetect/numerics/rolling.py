"""The last values of something, kept in order: quantiles of a sliding window without a sort.

ring, ordered: (K, C, W) float64, by key and channel, in order of arrival and of size; count: (K, C)
int64, how many values have come.
"""

from __future__ import annotations

import numpy as np

from clipdetect.jit import kernel

SMALLEST = 5e-324  # above 0


@kernel
def place(value: float, k: int, c: int, filled: int, ordered: np.ndarray) -> int:
    """How many of the `filled` ordered values are smaller than `value`."""
    low = 0
    high = filled
    while low < high:
        middle = (low + high) // 2
        if ordered[k, c, middle] < value:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def push(value: float, k: int, c: int, ring: np.ndarray, ordered: np.ndarray, count: np.ndarray) -> None:
    """Take `value` (finite) in, in place of the oldest where the window is full: a search and W moves at most."""
    size = ring.shape[2]
    n = count[k, c]
    at = n % size
    filled = min(n, size)
    hole = filled
    if n >= size:
        hole = place(ring[k, c, at], k, c, filled, ordered)
    ring[k, c, at] = value
    while hole > 0 and ordered[k, c, hole - 1] > value:
        ordered[k, c, hole] = ordered[k, c, hole - 1]
        hole -= 1
    last = min(filled, size - 1)
    while hole < last and ordered[k, c, hole + 1] < value:
        ordered[k, c, hole] = ordered[k, c, hole + 1]
        hole += 1
    ordered[k, c, hole] = value
    count[k, c] = n + 1


@kernel
def quantile(k: int, c: int, q: float, ordered: np.ndarray, count: np.ndarray) -> float:
    """The q-quantile, q in [0, 1], between neighbours on a straight line; 0 of an empty window."""
    filled = min(count[k, c], ordered.shape[2])
    if filled == 0:
        return 0.0
    where = q * (filled - 1)
    low = int(where)
    if low + 1 >= filled:
        return ordered[k, c, filled - 1]
    return ordered[k, c, low] + (where - low) * (ordered[k, c, low + 1] - ordered[k, c, low])


@kernel
def median_but_zeros(k: int, c: int, ordered: np.ndarray, count: np.ndarray) -> float:
    """The median of the values above 0, for an exact 0 says nothing of the size of the rest; 0 where there is none."""
    filled = min(count[k, c], ordered.shape[2])
    zeros = place(SMALLEST, k, c, filled, ordered)
    if zeros == filled:
        return 0.0
    middle = (filled - zeros - 1) // 2
    if (filled - zeros) % 2 == 1:
        return ordered[k, c, zeros + middle]
    low = ordered[k, c, zeros + middle]
    return low + 0.5 * (ordered[k, c, zeros + middle + 1] - low)
