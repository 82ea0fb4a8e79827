"""Windows of records of few numbers each: random projections of many columns, compared as they entered.

The sum of a record's columns, each times a fixed row of signs over sqrt(N), has N numbers, and the
squared distance of two such sums is on average that of the records, with a relative deviation of sqrt(2 / N).

`ring` (K, N + 1, W): the N numbers of each record and, last, half the logarithm of its size; NaN in the
first marks a place that is left out.
"""

from __future__ import annotations

import math

import numpy as np

from clipdetect.jit import kernel
from clipdetect.numerics.geometry import SHAPE, select
from clipdetect.numerics.nearest import SIZE

MOST = 1e140  # larger values count as this one: sums of their squares stay finite


def signs(d: int, n: int) -> np.ndarray:
    """(d, n) float64 of +-1 / sqrt(n). Row j depends on j only, and is the same everywhere."""
    words = -(-n // 64)
    bits = np.empty((d, 64 * words), np.uint64)
    for j in range(d):
        drawn = np.random.PCG64(j).random_raw(words)
        bits[j] = ((drawn[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)).ravel()
    return np.ascontiguousarray((2.0 * bits[:, :n] - 1.0) / math.sqrt(n))


@kernel
def embed(
    k: int, columns: int, metric: int, count: np.ndarray, middle: np.ndarray, ends: np.ndarray, inverse: np.ndarray,
    z: np.ndarray,
) -> float:  # fmt: skip
    """Bring z (d,), values less the origins, NaN missing, to units. Returns the norm, as if it had all `columns`.

    Missing becomes the centre: in `shape` the quiet end, which is 0, in `level` the clipped mean; 0 where never seen.
    """
    total = 0.0
    present = 0
    for j in range(z.shape[0]):
        if count[k, j] == 0:
            z[j] = 0.0
            continue
        v = z[j]
        there = not math.isnan(v)
        if metric == SHAPE:
            v = v - ends[k, j] if there else 0.0
        elif not there:
            v = middle[k, j]
        v = min(max(v * inverse[k, j], -MOST), MOST)
        z[j] = v
        if there:
            total += v * v
            present += 1
    return math.sqrt(total * columns / present) if present > 0 else 0.0


@kernel
def project(z: np.ndarray, q: float, size: bool, matrix: np.ndarray, point: np.ndarray) -> None:
    """Into point (N + 1,): z (d,) / q times matrix (d, N), then half the logarithm of q if `size`, else 0."""
    last = point.shape[0] - 1
    for c in range(last):
        point[c] = 0.0
    for j in range(z.shape[0]):
        if z[j] != 0.0:
            v = z[j] / q
            for c in range(last):
                point[c] += v * matrix[j, c]
    point[last] = SIZE * math.log(q) if size else 0.0


@kernel
def projected_distances(k: int, n: int, share: float, point: np.ndarray, ring: np.ndarray, squares: np.ndarray) -> None:
    """Squared Euclidean distances of point (N + 1,) to the first n places, times `share`; inf if left out."""
    for w in range(n):
        squares[w] = 0.0
    for c in range(ring.shape[1]):
        v = point[c]
        for w in range(n):
            gap = v - ring[k, c, w]
            squares[w] += gap * gap
    for w in range(n):
        squares[w] = math.inf if math.isnan(squares[w]) else squares[w] * share


@kernel
def leave_out(k: int, n: int, ring: np.ndarray) -> None:
    """The first n places of the window are compared no more."""
    for w in range(n):
        ring[k, 0, w] = math.nan


@kernel
def median_norm(k: int, n: int, at: int, ring: np.ndarray, norms: np.ndarray, spare: np.ndarray) -> float:
    """Median of norms (K, W) at the first n places that are not left out, and at `at`; 1 if it is 0. spare: (W,)."""
    m = 0
    for w in range(n):
        if w == at or not math.isnan(ring[k, 0, w]):
            spare[m] = norms[k, w]
            m += 1
    median = select(spare, m, m // 2)
    return median if median > 0.0 else 1.0
