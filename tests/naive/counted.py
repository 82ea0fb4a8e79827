"""Slow, obvious `counted`: every record kept with its weight, the share counted from scratch."""

from __future__ import annotations

import math


def counted(raw: list[float], prior: float = 1000.0, horizon: float = 10000.0) -> list[float]:
    """Scores (n,), not rounded; NaN where raw is."""
    past: list[tuple[float, float]] = []  # bin, weight at the time
    growth, unit, scores = 1 + 1 / horizon, 1.0, []
    for each in raw:
        if not math.isfinite(each):
            scores.append(math.nan)
            continue
        x = max(each, 0.0)
        place = x / 0.1
        above = sum(w * min(1.0, max(0.0, b + 1 - place)) for b, w in past) / unit
        seen = sum(w for _, w in past) / unit
        worth = prior * prior / (prior + seen)
        whole = worth + seen
        expected = worth * 10.0**-x * (1 + x * math.log(10))
        scores.append(max(0.0, -math.log10((expected + above) / whole)) + 0.01 * math.log10(1 + x))
        unit *= growth
        past.append((min(int(place), 399), unit))
    return scores
