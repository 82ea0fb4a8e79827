"""Slow, obvious `focus`: the convex hulls of the sums drawn anew at every value."""

from __future__ import annotations

import math
from itertools import accumulate

from naive.clipped_mean import FIRST, corrected, describe, reference, score, squared, surprise


def hull(points: list[tuple[int, float]], sign: int) -> list[int]:
    """Corners of the lower (1) or upper (-1) hull: points that no chord between others passes on their side."""
    corners = []
    for i, (x, y) in enumerate(points):
        earlier, later = points[:i], points[i + 1 :]
        hidden = earlier and later and (
            max(sign * (y - v) / (x - u) for u, v in earlier) >= min(sign * (v - y) / (u - x) for u, v in later)
        )  # fmt: skip
        if not hidden:
            corners.append(x)
    return corners


def focus(rows: list[list[float]], one_test: float) -> tuple[list[bool], list[int]]:
    """changed and since of one key's records; one_test: limit on -ln p of a single field."""
    d = len(rows[0])
    changed, since = [], []
    first: list[list[float]] = [[] for _ in range(d)]
    scores: list[list[float]] = [[] for _ in range(d)]
    clocks: list[list[int]] = [[] for _ in range(d)]  # record number of each score
    n = 0
    for row in rows:
        changed.append(False)
        since.append(0)
        if not any(abs(x) < 1e150 for x in row):
            continue
        n += 1
        limit = one_test + math.log(max(1, sum(len(values) == FIRST for values in first)))
        best = 0.0
        for j, x in enumerate(row):
            if not abs(x) < 1e150:
                continue
            if len(first[j]) < FIRST:
                first[j].append(x)
                clocks[j].append(n)
                if len(first[j]) == FIRST:
                    scores[j] = [score(v, *reference(first[j])) for v in first[j]]
                continue
            sums = list(accumulate(scores[j]))
            points = [(s, sums[s - 1]) for s in range(FIRST, len(sums) + 1)]
            scores[j].append(score(x, *reference(first[j])))
            clocks[j].append(n)
            about = describe(scores[j])
            if about[0] <= 0:
                continue
            likely = {}
            for s in hull(points, 1) + hull(points, -1):
                square = squared(scores[j], s, about[0], about[3])
                own = surprise(corrected(scores[j], s, *about), 1.0)
                if square >= 1 + limit / 2 and own > limit:
                    likely[s] = (square, own)
            top = max((own for _, own in likely.values()), default=0.0)
            if top > best:
                best = top
                since[-1] = n - clocks[j][max(likely, key=lambda s: likely[s][0])]
        if best > 0:
            changed[-1] = True
            n = 0
            first, scores, clocks = ([[] for _ in range(d)] for _ in range(3))
    return changed, since
