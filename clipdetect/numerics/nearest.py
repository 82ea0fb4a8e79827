"""The last records of a key, kept column by column, and the distances from a new one to all of them.

Record number n stands at place n % W of its window. Distances are in the units of now, whatever they
were at entry.

`level` distance: root mean square difference, in units, over the columns that both records have.

`shape` distance: each record is a direction and a size. With v its values in units above the quiet
end of each column's range, n their norm and q = sqrt((M / 2)^2 + n^2), M the median n of the window,
it is the distance between points (v / q, log(q) / 2). So records much smaller than M have hardly a
direction, and twice the size is a difference too, but a smaller one than another shape.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.components import UNREADABLE
from clipdetect.jit import kernel
from clipdetect.numerics.geometry import select

SOFT = 0.5  # of the median norm: below it a direction counts less and less
SIZE = 0.5  # weight of the logarithm of the size against the direction


class Window(NamedTuple):
    """The last records of all keys."""

    ring: np.ndarray  # (K, d, W) values less the column's origin, NaN where missing
    holes: np.ndarray  # (K, d) int64, how many of them are missing, so that full columns need no test
    entered: np.ndarray  # (K,) int64, records that have come
    inverse: np.ndarray  # (K, d) 1 / unit of the column


class Shapes(NamedTuple):
    """What a `shape` distance needs besides."""

    ends: np.ndarray  # (K, d) the quiet end of each column's range, less its origin
    typical: np.ndarray  # (K,) median norm of the window
    radii: np.ndarray  # (K, W) 1 / q of each place


class Distances(NamedTuple):
    """Room for the distances to a window."""

    squares: np.ndarray  # (W,)
    shared: np.ndarray  # (W,) columns with gaps that both records have


@kernel
def open_columns(X: np.ndarray, i: int, k: int, count: np.ndarray, window: Window) -> int:
    """Columns that row i is the first to have were missing in every record of the window. How many there are."""
    ring, holes, entered = window.ring, window.holes, window.entered
    n = min(entered[k], ring.shape[2])
    opened = 0
    for j in range(ring.shape[1]):
        if count[k, j] == 0 and abs(X[i, j]) < UNREADABLE:
            opened += 1
            holes[k, j] = n
            for w in range(n):
                ring[k, j, w] = math.nan
    return opened


@kernel
def enter(k: int, z: np.ndarray, count: np.ndarray, window: Window) -> int:
    """Put a record, z (d,) with NaN missing, in place of the oldest. Returns its place."""
    ring, holes, entered = window.ring, window.holes, window.entered
    at = entered[k] % ring.shape[2]
    leaves = entered[k] >= ring.shape[2]
    for j in range(ring.shape[1]):
        if count[k, j] > 0:
            if leaves and math.isnan(ring[k, j, at]):
                holes[k, j] -= 1
            if math.isnan(z[j]):
                holes[k, j] += 1
            ring[k, j, at] = z[j]
    entered[k] += 1
    return at


@kernel
def level_distances(k: int, n: int, z: np.ndarray, window: Window, distances: Distances) -> None:
    """Squared `level` distances from z (d,) to the first n places, inf where no column is shared."""
    ring, holes, inverse = window.ring, window.holes, window.inverse
    squares, shared = distances.squares, distances.shared
    full = 0
    waits = -1
    for w in range(n):
        squares[w] = 0.0
        shared[w] = 0.0
    for j in range(ring.shape[1]):
        v = z[j]
        s = inverse[k, j]
        if math.isnan(v):
            continue
        if holes[k, j] == 0:
            full += 1
            if waits < 0:  # full columns go two by two, which halves the traffic
                waits = j
                continue
            other = z[waits]
            t = inverse[k, waits]
            for w in range(n):
                gap = (v - ring[k, j, w]) * s
                second = (other - ring[k, waits, w]) * t
                squares[w] += gap * gap + second * second
            waits = -1
        else:
            for w in range(n):
                if not math.isnan(ring[k, j, w]):
                    gap = (v - ring[k, j, w]) * s
                    squares[w] += gap * gap
                    shared[w] += 1.0
    if waits >= 0:
        for w in range(n):
            gap = (z[waits] - ring[k, waits, w]) * inverse[k, waits]
            squares[w] += gap * gap
    for w in range(n):
        both = full + shared[w]
        squares[w] = squares[w] / both if both > 0.0 else math.inf


@kernel
def norm(k: int, columns: int, z: np.ndarray, ends: np.ndarray, inverse: np.ndarray) -> float:
    """Norm of z (d,) in units above the quiet ends (K, d), as if it had all `columns`."""
    total = 0.0
    present = 0
    for j in range(z.shape[0]):
        if not math.isnan(z[j]):
            v = (z[j] - ends[k, j]) * inverse[k, j]
            total += v * v
            present += 1
    return math.sqrt(total * columns / present) if present > 0 else 0.0


@kernel
def radius(length: float, typical: float) -> float:
    """q of a record of norm `length` where the median norm is `typical` > 0."""
    soft = SOFT * typical
    return math.sqrt(soft * soft + length * length)


@kernel
def renew_radii(
    k: int, n: int, columns: int, count: np.ndarray, window: Window, shapes: Shapes, distances: Distances
) -> None:
    """1 / q of the first n places, and M."""
    ring, holes, inverse = window.ring, window.holes, window.inverse
    ends, typical, radii = shapes.ends, shapes.typical, shapes.radii
    squares, shared = distances.squares, distances.shared
    full = 0
    for w in range(n):
        squares[w] = 0.0
        shared[w] = 0.0
    for j in range(ring.shape[1]):
        if count[k, j] == 0:
            continue
        end = ends[k, j]
        s = inverse[k, j]
        if holes[k, j] == 0:
            full += 1
            for w in range(n):
                v = (ring[k, j, w] - end) * s
                squares[w] += v * v
        else:
            for w in range(n):
                if not math.isnan(ring[k, j, w]):
                    v = (ring[k, j, w] - end) * s
                    squares[w] += v * v
                    shared[w] += 1.0
    for w in range(n):
        length = math.sqrt(squares[w] * columns / (full + shared[w]))
        squares[w] = length
        radii[k, w] = length
    typical[k] = select(squares, n, n // 2)
    if not typical[k] > 0.0:
        typical[k] = 1.0
    for w in range(n):
        radii[k, w] = 1.0 / radius(radii[k, w], typical[k])


@kernel
def shape_distances(
    k: int, n: int, columns: int, q: float, z: np.ndarray, window: Window, shapes: Shapes, distances: Distances
) -> None:
    """Squared `shape` distances from z (d,), whose radius is q. The rest as `level_distances`."""
    ring, holes, inverse = window.ring, window.holes, window.inverse
    ends, radii = shapes.ends, shapes.radii
    squares, shared = distances.squares, distances.shared
    full = 0
    waits = -1
    for w in range(n):
        squares[w] = 0.0
        shared[w] = 0.0
    for j in range(ring.shape[1]):
        if math.isnan(z[j]):
            continue
        end = ends[k, j]
        s = inverse[k, j]
        v = (z[j] - end) / q
        if holes[k, j] == 0:
            full += 1
            if waits < 0:
                waits = j
                continue
            start = ends[k, waits]
            t = inverse[k, waits]
            other = (z[waits] - start) / q
            for w in range(n):
                gap = (v - (ring[k, j, w] - end) * radii[k, w]) * s
                second = (other - (ring[k, waits, w] - start) * radii[k, w]) * t
                squares[w] += gap * gap + second * second
            waits = -1
        else:
            for w in range(n):
                if not math.isnan(ring[k, j, w]):
                    gap = (v - (ring[k, j, w] - end) * radii[k, w]) * s
                    squares[w] += gap * gap
                    shared[w] += 1.0
    if waits >= 0:
        start = ends[k, waits]
        for w in range(n):
            gap = ((z[waits] - start) / q - (ring[k, waits, w] - start) * radii[k, w]) * inverse[k, waits]
            squares[w] += gap * gap
    for w in range(n):
        both = full + shared[w]
        size = SIZE * math.log(q * radii[k, w])
        squares[w] = squares[w] * columns / both + size * size if both > 0.0 else math.inf


@kernel
def closest(
    k: int, n: int, wanted: int, tau: float, entered: np.ndarray, squares: np.ndarray, best: np.ndarray,
    places: np.ndarray,
) -> int:  # fmt: skip
    """The `wanted` nearest of the first n places, nearest first; a distance counts 1 + age / tau fold.

    squares: (W,) squared distances, inf to be left out. Into best, places (wanted,): distances, places.
    How many there are.
    """
    size = squares.shape[0]
    found = 0
    for w in range(n):
        if math.isinf(squares[w]):
            continue
        age = (entered[k] - 1 - w) % size + 1
        weight = 1.0 + age / tau
        value = squares[w] * weight * weight
        if found < wanted:
            at = found
            found += 1
        elif value < best[found - 1]:
            at = found - 1
        else:
            continue
        while at > 0 and best[at - 1] > value:
            best[at] = best[at - 1]
            places[at] = places[at - 1]
            at -= 1
        best[at] = value
        places[at] = w
    for m in range(found):
        best[m] = math.sqrt(best[m])
    return found
