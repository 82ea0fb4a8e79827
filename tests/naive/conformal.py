"""A limit that moves with every flag, slow and obvious: one key, from the scores of the inner threshold."""

from __future__ import annotations

import math
from collections.abc import Iterable


def conformal(
    inner: Iterable[float], rate: float = 0.001, gamma: float = 0.1, rise: float = 2.0
) -> list[tuple[float, bool]]:
    """Score, not rounded, and flag of each record; the score is NaN where the inner one is."""
    wanted, moved = -math.log10(rate), 0.0
    found = []
    for s in inner:
        if math.isnan(s):
            found.append((math.nan, False))
            continue
        limit, overdrawn = wanted + moved, moved > rise
        flag = s >= limit and s > 0 and not overdrawn
        if s == 0:
            score = 0.0
        elif overdrawn:
            score = wanted * math.log(1 + s) / (math.log(1 + s) + 3)
        else:
            score = wanted + s - limit if flag else wanted * s / limit
        found.append((score, flag))
        if flag:
            moved += gamma * (1 - rate)
        elif s > 0 or moved > -min(0.5, wanted):
            moved -= gamma * rate
    return found
