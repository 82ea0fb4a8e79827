"""Slow, obvious `neighbours`: one key, records in a plain list, every distance from its definition.

Written from the docstrings of `Neighbours` and of `numerics.nearest`. A record is a list of values,
None where missing.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import mean, median_high

import numpy as np

Row = list[float | None]


class Column:
    """Range by clipped growth, and clipped mean."""

    def __init__(self, first: float) -> None:
        self.low = self.high = self.middle = self.first = first
        self.count = 1

    @property
    def size(self) -> float:
        return self.high - self.low

    def learn(self, x: float) -> None:
        size = self.size
        if size == 0:
            self.low, self.high = min(self.low, x), max(self.high, x)
        else:
            grown = min(x - self.high, size) if x > self.high else -size / 20000
            self.low -= min(self.low - x, size) if x < self.low else -size / 20000
            self.high += grown
        self.count += 1
        rate = max(0.002, 1 / self.count)
        self.middle += rate * max(-self.size, min(self.size, x - self.middle))

    def bound(self, x: float, size: float) -> float:
        """x at most 10,000 sizes outside the range; x where the size is 0."""
        return max(self.low - 1e4 * size, min(self.high + 1e4 * size, x)) if size > 0 else x


class Columns:
    """All columns of a key and their units."""

    def __init__(self, d: int) -> None:
        self.of: list[Column | None] = [None] * d
        self.median = 0.0
        self.unit = [math.nan] * d

    def read(self, x: list[float]) -> Row:
        """The readable values of columns seen before."""
        return [
            c.bound(v, c.size or self.median) if c and abs(v) < 1e150 else None for c, v in zip(self.of, x, strict=True)
        ]

    def learn(self, x: list[float]) -> Row:
        kept: Row = [None] * len(x)
        for j, v in enumerate(x):
            if abs(v) < 1e150:
                column = self.of[j]
                if column is None:
                    column = self.of[j] = Column(v)
                else:
                    column.learn(v)
                kept[j] = column.bound(v, column.size)
        return kept

    def measure(self, factor: float) -> None:
        sizes = [c.size for c in self.of if c and c.size > 0]
        self.median = median_high(sizes) if sizes else 0.0
        for j, c in enumerate(self.of):
            if c:
                near = self.median / factor <= c.size <= self.median * factor or c.size == 0
                self.unit[j] = self.median if near else c.size * factor if c.size < self.median else c.size / factor
                self.unit[j] = self.unit[j] or 1.0

    def first_move(self) -> bool:
        """Whether something has moved, and there is no unit yet."""
        return self.median == 0 and any(c.size > 0 for c in self.of if c)

    def seen(self) -> int:
        return sum(c is not None for c in self.of)

    def look_alike(self) -> bool:
        sizes = [c.size for c in self.of if c and c.size > 0]
        near = [size for size in sizes if self.median / 10 <= size <= self.median * 10]
        return self.seen() >= 100 and bool(sizes) and len(near) >= 0.8 * len(sizes)

    def ends(self) -> list[float]:
        """The quiet end of each column: all low or all high."""
        moved = [c for c in self.of if c and c.size > 0]
        high = sum((c.middle - c.low) / c.size for c in moved) > 0.5 * len(moved)
        return [math.nan if c is None else c.high if high else c.low for c in self.of]


def level_distance(a: Row, b: Row, unit: list[float]) -> float:
    """Root mean square over the columns both have, NaN where there is none."""
    gaps = [((u - v) / s) ** 2 for u, v, s in zip(a, b, unit, strict=True) if u is not None and v is not None]
    return math.sqrt(sum(gaps) / len(gaps)) if gaps else math.nan


class Shape:
    """Directions and sizes, above fixed ends and in fixed units."""

    def __init__(self, ends: list[float], unit: list[float], columns: int, typical: float) -> None:
        self.ends, self.unit, self.columns, self.typical = ends, unit, columns, typical

    def norm(self, row: Row) -> float:
        squares = [((v - e) / s) ** 2 for v, e, s in zip(row, self.ends, self.unit, strict=True) if v is not None]
        return math.sqrt(sum(squares) * self.columns / len(squares))

    def radius(self, row: Row) -> float:
        return math.hypot(0.5 * self.typical, self.norm(row))

    def distance(self, a: Row, p: float, b: Row, q: float) -> float:
        """p and q: the radii."""
        gaps = [
            ((u - e) / s / p - (v - e) / s / q) ** 2
            for u, v, e, s in zip(a, b, self.ends, self.unit, strict=True)
            if u is not None and v is not None
        ]
        if not gaps:
            return math.nan
        return math.hypot(math.sqrt(sum(gaps) * self.columns / len(gaps)), 0.5 * math.log(p / q))


def place(m: int, entered: int, length: int, window: int) -> int:
    """Where number m of the records kept stands in a ring; it decides between equal distances."""
    return (entered - length + m) % window


def neighbours(
    X: list[list[float]], k: int | str = "auto", window: int = 100, tau: float = 500.0, metric: str = "auto"
) -> tuple[list[float], list[list[float]], list[list[float]]]:
    """raw, expected and scale of each record."""
    d = len(X[0])
    columns, chosen, entered = Columns(d), metric, 0
    kept: deque[Row] = deque(maxlen=window)
    radii: deque[float] = deque(maxlen=window)
    shape = Shape([], [], 0, 1.0)
    raws, centres, scales = [], [], []
    for x in X:
        raw, centre, scale = math.nan, [math.nan] * d, [math.nan] * d
        wanted = k if isinstance(k, int) else 3 if chosen == "shape" else 10
        row = columns.read(x)
        if entered >= max(wanted, 8) and len(kept) >= wanted and any(v is not None for v in row):
            if chosen == "shape":
                own = shape.radius(row)
                far = [shape.distance(row, own, other, q) for other, q in zip(kept, radii, strict=True)]
            else:
                own, far = 1.0, [level_distance(row, other, columns.unit) for other in kept]
            aged = [(f * (1 + (len(kept) - m) / tau), m) for m, f in enumerate(far) if not math.isnan(f)]
            nearest = sorted(aged, key=lambda each: (each[0], place(each[1], entered, len(kept), window)))[:wanted]
            if nearest:
                raw = mean(f for f, _ in nearest)
                if columns.median == 0:
                    raw = 100.0 if raw > 0 else 0.0
                elif chosen == "shape":
                    raw **= 4
                for j in range(d) if columns.seen() <= 256 else ():
                    have = [(kept[m][j], m) for _, m in nearest if kept[m][j] is not None]
                    if have and chosen == "shape":
                        end = shape.ends[j]
                        centre[j] = mean(end + (v - end) / radii[m] * own for v, m in have)
                    elif have:
                        centre[j] = mean(v for v, _ in have)
                    if have:
                        scale[j] = columns.unit[j] if columns.median > 0 else 0.0
        raws.append(raw)
        centres.append(centre)
        scales.append(scale)
        before = columns.seen()
        row = columns.learn(x)
        if all(v is None for v in row):
            continue
        kept.append(row)
        entered += 1
        if columns.seen() > before or entered <= 64 or entered % 16 == 0 or columns.first_move():
            columns.measure(10.0)
            if metric == "auto" and entered <= 64:
                chosen = "shape" if columns.look_alike() else "level"
            if chosen == "shape":
                columns.measure(1000.0)
                shape = Shape(columns.ends(), list(columns.unit), columns.seen(), 1.0)
                shape.typical = median_high([shape.norm(each) for each in kept]) or 1.0
                radii = deque((shape.radius(each) for each in kept), maxlen=window)
        elif chosen == "shape":
            radii.append(shape.radius(row))
    return raws, centres, scales


def sign(j: int, c: int) -> int:
    """What column j counts for in projected column c: bit c of what PCG64 gives for the seed j."""
    word = int(np.random.PCG64(j).random_raw(c // 64 + 1)[c // 64])
    return 1 if word >> c % 64 & 1 else -1


def projected(
    X: list[list[float]],
    project: int,
    k: int | str = "auto",
    window: int = 100,
    tau: float = 500.0,
    metric: str = "auto",
) -> list[float]:
    """raw of each record with `project` columns; a place is (point, norm), the point None where left out."""
    d = len(X[0])
    columns, chosen, entered, typical = Columns(d), metric if metric != "auto" else "level", 0, 1.0
    signs = [[sign(j, c) / math.sqrt(project) for c in range(project)] for j in range(d)]
    kept: deque[tuple[list[float] | None, float]] = deque(maxlen=window)
    ends: list[float] = []

    def scaled(row: Row) -> tuple[list[float], float]:
        """In units, what is missing at the centre; and the norm."""
        values, squares = [0.0] * d, []
        for j, c in enumerate(columns.of):
            if c is None:
                continue
            v, end = row[j], ends[j] if chosen == "shape" else 0.0
            origin = 0.0 if chosen == "shape" else c.first
            at = v if v is not None else end if chosen == "shape" else c.middle
            values[j] = max(-1e140, min(1e140, (at - end - origin) / columns.unit[j]))
            if v is not None:
                squares.append(values[j] ** 2)
        return values, math.sqrt(sum(squares) * columns.seen() / len(squares))

    def point(values: list[float], length: float) -> list[float]:
        q = math.hypot(0.5 * typical, length) if chosen == "shape" else 1.0
        return [sum(v / q * signs[j][c] for j, v in enumerate(values)) for c in range(project)] + [0.5 * math.log(q)]

    raws = []
    for x in X:
        raw = math.nan
        wanted = k if isinstance(k, int) else 3 if chosen == "shape" else 10
        row = columns.read(x)
        if entered >= max(wanted, 8) and any(v is not None for v in row):
            own = point(*scaled(row))
            aged = []
            for m, (other, _) in enumerate(kept):
                if other is not None:
                    square = sum((a - b) ** 2 for a, b in zip(own, other, strict=True))
                    far = math.sqrt(square if chosen == "shape" else square / columns.seen())
                    aged.append(far * (1 + (len(kept) - m) / tau))
            if len(aged) >= wanted:
                raw = mean(sorted(aged)[:wanted])
                if columns.median == 0:
                    raw = 100.0 if raw > 0 else 0.0
                elif chosen == "shape":
                    raw **= 4
        raws.append(raw)
        before = columns.seen()
        row = columns.learn(x)
        if all(v is None for v in row):
            continue
        entered += 1
        renew = columns.seen() > before or entered <= 64 or entered % 16 == 0 or columns.first_move()
        if renew:
            columns.measure(10.0)
            if metric == "auto" and entered <= 64:
                last, chosen = chosen, "shape" if columns.look_alike() else "level"
                if chosen != last:
                    kept = deque(((None, norm) for _, norm in kept), maxlen=window)
            if chosen == "shape":
                columns.measure(1000.0)
                ends = columns.ends()
        values, norm = scaled(row)
        if renew and chosen == "shape":
            others = list(kept)[-(window - 1) :]
            typical = median_high([norm, *(length for there, length in others if there is not None)]) or 1.0
        kept.append((point(values, norm) if entered > 8 else None, norm))
    return raws
