"""Events, which are runs of anomalous records, and how flags meet them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

EXISTENCE = 0.2  # weight of having met an event at all, in range recall


class Runs(NamedTuple):
    """First and last position (m,) of each run."""

    first: np.ndarray
    last: np.ndarray


def runs(inside: np.ndarray, begins: np.ndarray | None = None) -> Runs:
    """The runs of true in (n,) bool; begins (n,) bool: where a key begins, so that no run crosses it."""
    n = len(inside)
    if not n:
        return Runs(np.zeros(0, np.int64), np.zeros(0, np.int64))
    before = np.concatenate(([False], inside[:-1]))
    after = np.concatenate((inside[1:], [False]))
    if begins is not None:
        before &= ~begins
        after[:-1] &= ~begins[1:]
    return Runs(np.flatnonzero(inside & ~before), np.flatnonzero(inside & ~after))


def borders(positions: np.ndarray, n: int, begins: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """First and last position of the key that each position belongs to."""
    if begins is None:
        return np.zeros(len(positions), np.int64), np.full(len(positions), n - 1)
    starts = np.flatnonzero(begins)
    own = np.searchsorted(starts, positions, "right") - 1
    return starts[own], np.append(starts[1:], n)[own] - 1


def widened(events: Runs, slack: int, n: int, begins: np.ndarray | None = None) -> Runs:
    """The events with `slack` records on both sides, as far as their key goes."""
    low, high = borders(events.first, n, begins)
    return Runs(np.maximum(events.first - slack, low), np.minimum(events.last + slack, high))


def covered(zones: Runs, n: int) -> np.ndarray:
    """(n,) bool: inside any zone; zones may overlap."""
    steps = np.zeros(n + 1, np.int64)
    np.add.at(steps, zones.first, 1)
    np.add.at(steps, zones.last + 1, -1)
    return np.cumsum(steps[:n]) > 0


def first_flags(flag: np.ndarray, zones: Runs) -> np.ndarray:
    """(m,) position of the first flag in each zone, -1 where none."""
    places = np.append(np.flatnonzero(flag), len(flag))
    found = places[np.searchsorted(places[:-1], zones.first)]
    return np.where(found <= zones.last, found, -1)


def episodes(flag: np.ndarray, join: int, begins: np.ndarray | None = None) -> np.ndarray:
    """First positions of the runs of flags that follow each other by at most `join` records of one key."""
    places = np.flatnonzero(flag)
    if not len(places):
        return places
    apart = np.diff(places) > join
    if begins is not None:
        key = np.cumsum(begins)
        apart |= np.diff(key[places]) > 0
    return places[np.concatenate(([True], apart))]


class RangeMeasures(NamedTuple):
    """Range-based precision, recall and their harmonic mean; NaN where there is none."""

    precision: float
    recall: float
    f1: float


def range_measures(flag: np.ndarray, truth: np.ndarray, begins: np.ndarray | None = None) -> RangeMeasures:
    """Of (n,) bool flags and truth [1]_: flat bias, cardinality 1 / (number of ranges met).

    Recall gives EXISTENCE for having met an event at all and the rest for its share that was met;
    precision has no such part.

    References
    ----------
    .. [1] N. Tatbul, T. J. Lee, S. Zdonik, M. Alam, J. Gottschlich, "Precision and recall for time
       series", NeurIPS 2018, equations 1 to 8.
    """
    precision = _overlap(flag, truth, begins, 0.0)
    recall = _overlap(truth, flag, begins, EXISTENCE)
    if math.isnan(precision) or math.isnan(recall):
        return RangeMeasures(precision, recall, math.nan)
    total = precision + recall
    return RangeMeasures(precision, recall, 2.0 * precision * recall / total if total else 0.0)


def _overlap(of: np.ndarray, by: np.ndarray, begins: np.ndarray | None, existence: float) -> float:
    """Mean over the runs of `of` of what they are met by `by`."""
    ranges, others = runs(of, begins), runs(by, begins)
    if not len(ranges.first):
        return math.nan
    total = np.concatenate(([0], np.cumsum(by)))
    share = (total[ranges.last + 1] - total[ranges.first]) / (ranges.last - ranges.first + 1)
    # the other runs that end in or after this one's first record, less those that begin after its last one
    met = np.searchsorted(others.first, ranges.last, "right") - np.searchsorted(others.last, ranges.first)
    return float(np.mean(existence * (met > 0) + (1.0 - existence) * share / np.maximum(met, 1)))
