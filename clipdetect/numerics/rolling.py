"""The last values of something, kept in order: quantiles of a sliding window without a sort.

ring, ordered: (K, C, W) float64, by key and channel, in order of arrival and of size; count: (K, C)
int64, how many values have come.
"""

from __future__ import annotations

from clipdetect.jit import kernel


@kernel
def place(value, k, c, filled, ordered):
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
def push(value, k, c, ring, ordered, count):
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
def quantile(k, c, q, ordered, count):
    """The q-quantile, q in [0, 1], between neighbours on a straight line; 0 of an empty window."""
    filled = min(count[k, c], ordered.shape[2])
    if filled == 0:
        return 0.0
    where = q * (filled - 1)
    low = int(where)
    if low + 1 >= filled:
        return ordered[k, c, filled - 1]
    return ordered[k, c, low] + (where - low) * (ordered[k, c, low + 1] - ordered[k, c, low])
