"""Slow, obvious `mean`: one key, plain lists, written from the docstring of `Mean`."""

from __future__ import annotations

import math
from collections import deque
from statistics import mean as average

from naive.neighbours import Columns, Row, level_distance, place


def mean(
    X: list[list[float]], half_life: float = 14.0, similar: int = 0, window: int = 200
) -> tuple[list[float], list[list[float]], list[list[float]]]:
    """raw, expected and scale of each record."""
    d = len(X[0])
    rate = 1 - 0.5 ** (1 / half_life)
    columns, entered = Columns(d), 0
    means = [math.nan] * d
    kept: deque[Row] = deque(maxlen=window)
    raws, centres, scales = [], [], []
    for x in X:
        raw, centre, scale = math.nan, [math.nan] * d, [math.nan] * d
        row = columns.read(x)
        if entered >= max(8, similar) and any(v is not None for v in row):
            centre = list(means)
            if similar:
                far = [level_distance(row, other, columns.unit) for other in kept]
                order = sorted(range(len(kept)), key=lambda m: (far[m], place(m, entered, len(kept), window)))
                nearest = [m for m in order if not math.isnan(far[m])][:similar]
                for j in range(d):
                    have = [v for v in (kept[m][j] for m in nearest) if v is not None]
                    centre[j] = average(have) if have else means[j]
            gaps = [(v - c) / s for v, c, s in zip(row, centre, columns.unit, strict=True) if v is not None]
            raw = math.sqrt(average([gap * gap for gap in gaps]))
            scale = [math.nan if c is None else s for c, s in zip(columns.of, columns.unit, strict=True)]
            if columns.median == 0:
                raw = 100.0 if raw > 0 else 0.0
                scale = [s * 0 for s in scale]
        raws.append(raw)
        centres.append(centre)
        scales.append(scale)
        before = columns.seen()
        row = columns.learn(x)
        if all(v is None for v in row):
            continue
        for j, v in enumerate(row):
            column = columns.of[j]
            if v is not None and column is not None:
                if column.count == 1:
                    means[j] = v
                limit = 0.25 * column.size
                means[j] += max(rate, 1 / column.count) * max(-limit, min(limit, v - means[j]))
        kept.append(row)
        entered += 1
        if columns.seen() > before or entered <= 64 or entered % 16 == 0 or columns.first_move():
            columns.measure(10.0)
    return raws, centres, scales
