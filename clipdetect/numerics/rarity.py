"""How rare a category is: decayed counts of values in a table of bounded size, and the surprise they give."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.jit import kernel

WAYS = 4  # places in each of the two sets that a value may stand in
REBASE = 1e6  # weight of a new record at which all counts are brought back to the unit of now


class RarityRows(NamedTuple):
    """A block of values whose rarity is asked for."""

    values: np.ndarray  # (n,) int64, -1 missing
    contexts: np.ndarray  # (n,) int64 among the records of which, -1 missing
    slots: np.ndarray  # (n,) int64, the table
    learn: np.ndarray  # (n,) bool, whether the value may be counted


class RarityState(NamedTuple):
    """The tables: axis 0 the key. A tag is the value and 1, 0 = free."""

    tags: np.ndarray  # (K, buckets) int64, the values
    counts: np.ndarray  # (K, buckets) their records, in the unit of `weight`
    weight: np.ndarray  # (K,) what a record counts for by now, 0 = fresh
    known: np.ndarray  # (K, places) int64, tags of the contexts
    totals: np.ndarray  # (K, places) their records, in the unit of `weight`


@kernel
def place(k: int, value: int, tags: np.ndarray) -> int:
    """Where the table of key k has a value, or -1. tags: (K, buckets) int64, value + 1, 0 = free."""
    sets = tags.shape[1] // WAYS
    for first in (value % sets * WAYS, value // sets % sets * WAYS):
        for i in range(first, first + WAYS):
            if tags[k, i] == value + 1:
                return i
    return -1


@kernel
def room(k: int, value: int, tags: np.ndarray, counts: np.ndarray) -> int:
    """A place for a value that has none: in the emptier of its sets, else that of the smallest count in both."""
    sets = tags.shape[1] // WAYS
    most = 0
    best = -1
    smallest = value % sets * WAYS
    for first in (value % sets * WAYS, value // sets % sets * WAYS):
        free = 0
        at = -1
        for i in range(first, first + WAYS):
            if tags[k, i] == 0:
                free += 1
                at = i
            elif counts[k, i] < counts[k, smallest]:
                smallest = i
        if free > most:
            most = free
            best = at
    return best if best >= 0 else smallest


@kernel
def driven_out(k: int, value: int, tags: np.ndarray, counts: np.ndarray) -> float:
    """The most that a value without a place may have counted before it was driven out, 0 where both sets have room.

    It stood in a full set and was the smallest there; since then no count of that set has become smaller.
    """
    sets = tags.shape[1] // WAYS
    most = 0.0
    for first in (value % sets * WAYS, value // sets % sets * WAYS):
        smallest = counts[k, first]  # 0 at a free place
        for i in range(first, first + WAYS):
            smallest = min(smallest, counts[k, i])
        most = max(most, smallest)
    return most


@kernel
def rarities(rows: RarityRows, growth: float, state: RarityState, out: np.ndarray) -> None:
    """Into out (n,) -log10 of the share of each value in the records of its context before it.

    growth: by how much each record weighs more than the one before it.
    A value that drives out another starts from what it may have counted before (space saving), so no count is too
    small; a total starts from 0, so none is too large: no value is taken to be rarer than it is.
    """
    values, contexts, slots, learn = rows.values, rows.contexts, rows.slots, rows.learn
    tags, counts, known, totals, weight = state.tags, state.counts, state.known, state.totals, state.weight
    for i in range(values.shape[0]):
        out[i] = math.nan
        if values[i] < 0 or contexts[i] < 0:
            continue
        k = slots[i]
        unit = weight[k] if weight[k] > 0.0 else 1.0
        at = place(k, values[i], tags)
        count = counts[k, at] if at >= 0 else driven_out(k, values[i], tags, counts)
        within = place(k, contexts[i], known)
        total = totals[k, within] if within >= 0 else 0.0
        out[i] = max(0.0, math.log10((total / unit + 1.0) / (count / unit + 0.5)))
        if not learn[i]:
            continue
        if at < 0:
            at = room(k, values[i], tags, counts)
            tags[k, at] = values[i] + 1
        if within < 0:
            within = room(k, contexts[i], known, totals)
            known[k, within] = contexts[i] + 1
        unit *= growth
        counts[k, at] = count + unit
        totals[k, within] = total + unit
        weight[k] = unit
        if unit > REBASE:
            for each in range(tags.shape[1]):
                counts[k, each] /= unit
            for each in range(known.shape[1]):
                totals[k, each] /= unit
            weight[k] = 1.0


def growth(half_life: float) -> float:
    """By how much each record weighs more than the one before it; 1 where nothing is forgotten."""
    return float(2.0 ** (1.0 / half_life)) if half_life > 0 else 1.0


def one_in(value: float) -> str:
    """A surprise in words: `1 in 4,000`."""
    odds = 10.0 ** min(value, 300.0)
    return f"1 in {float(f'{odds:.1e}'):,.0f}" if odds < 1e15 else f"1 in {odds:.0e}"
