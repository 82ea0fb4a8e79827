"""Why a record was flagged, and whether the deviation is one that the user cares about."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from clipdetect.records import Reason

MOST_REASONS = 5
Direction = Literal["both", "up", "down"]


def reasons(fields: Sequence[str], x: np.ndarray, expected: np.ndarray, scale: np.ndarray) -> list[Reason]:
    """The fields of one record (d,) that did it: those of at least half the largest |deviation|, at most five."""
    found = []
    for j, name in enumerate(fields):
        value, centre, unit = float(x[j]), float(expected[j]), float(scale[j])
        difference = value - centre
        if math.isnan(difference) or math.isnan(unit):
            continue
        if unit > 0.0:
            deviation = difference / unit
        else:
            deviation = math.copysign(math.inf, difference) if difference else 0.0
        found.append(Reason(name, value, centre, deviation))
    found.sort(key=lambda reason: -abs(reason.deviation))  # stable: ties stay in field order
    if not found or found[0].deviation == 0.0:
        return found[:1]
    least = abs(found[0].deviation) / 2.0
    return [reason for reason in found[:MOST_REASONS] if abs(reason.deviation) >= least]


def matters(why: Sequence[Reason], direction: Direction, absolute: float, percent: float) -> bool:
    """Whether a flag stands under `--direction` and `--min-change`, judged by the first reason."""
    if not why:
        return True
    first = why[0]
    change = first.value - first.expected
    if (direction == "up" and change < 0.0) or (direction == "down" and change > 0.0):
        return False
    return abs(change) >= absolute and abs(change) >= percent / 100.0 * abs(first.expected)
