"""Slow, obvious `fields` of one key: one object a field, sorted lists, sums over lists."""

from __future__ import annotations

import math

NAN = math.nan


def clip(value: float, most: float) -> float:
    return min(max(value, -most), most)


def stretch(t: float) -> float:
    """exp of a small number."""
    return 1 + t + t * t / 2


def lesson(t: float) -> float:
    """What t scales teach a scale."""
    if t < 1:
        return t - 1
    return 2 * (t - 1) if t <= 2.5 else 1.5 * max(0.5, 2 - 1.5 * (t / 2.5 - 1))


class Field:
    """Centre and two scales of one field, and those of what directions leave of it."""

    def __init__(self) -> None:
        self.seen = self.moves = 0
        self.middle = self.up = self.down = self.wide = 0.0
        self.residual, self.spread = 0.0, 1.0

    def unit(self, above: bool) -> float:
        own = self.up if above else self.down
        return max(own, 0.5 * self.wide, 1e-15 * abs(self.middle), 1e-300) if own > 0 else 0.0

    def deviation(self, x: float) -> float:
        d = x - self.middle
        unit = self.unit(d >= 0)
        if unit > 0:
            return clip(d / unit, 100)
        return math.copysign(100.0, d) if d != 0 and self.seen > 20 else 0.0

    def learn(self, x: float, left: float | None, base: float) -> None:
        """left: what directions leave of the deviation, None where there are none."""
        rate = max(base, 1 / (self.seen + 1))
        d = x - self.middle
        if self.seen == 0:
            self.middle = x
        else:
            if left is not None and self.up > 0:
                unit = max(self.spread, 0.05)
                t = (left - self.residual) / unit
                self.residual += rate * unit * clip(t, 2.5)
                self.spread = unit * stretch(0.5 * min(rate, 0.1) * (min(abs(t), 2.5) - 1))
            if self.moves > 0:
                if self.moves < 8 and abs(d) > 3 * self.wide:
                    self.up = self.down = self.wide = min(abs(d) / 3, 9 * self.wide)
                self.move(d, rate, base)
            elif d != 0:
                self.up = self.down = self.wide = abs(d)
                self.middle += rate * d
            self.moves += d != 0
        self.seen += 1

    def move(self, d: float, rate: float, base: float) -> None:
        above, below = self.unit(True), self.unit(False)
        least = min(above, below)
        self.middle += rate * clip(d, least)
        slow = min(rate, 0.1)
        if d > 0:
            self.up = above * stretch(slow * lesson(d / above))
        elif d < 0:
            self.down = below * stretch(slow * lesson(-d / below))
        else:
            self.up, self.down = above * stretch(-0.5 * slow), below * stretch(-0.5 * slow)
        top = max(self.up, self.down)
        self.wide = top if top > self.wide else self.wide + 0.5 * base * (top - self.wide)


class Rarity:
    """A column of decades: what is usual of it is its clipped mean."""

    def __init__(self) -> None:
        self.seen, self.middle = 0, 0.0

    def learn(self, x: float, left: float | None, base: float) -> None:
        self.middle = x if self.seen == 0 else self.middle + max(base, 1 / (self.seen + 1)) * clip(x - self.middle, 1)
        self.seen += 1


class Direction:
    """One main direction; its length is the variance along it."""

    def __init__(self, d: int) -> None:
        self.v = [0.0] * d

    def exists(self) -> bool:
        return sum(v * v for v in self.v) > 1e-9

    def along(self, u: dict[int, float]) -> float:
        if not self.exists():
            return 0.0
        whole = sum(v * v for v in self.v)
        present = sum(self.v[j] ** 2 for j in u)
        return sum(u[j] * self.v[j] for j in u) / max(present, 0.25 * whole)

    def learn(self, u: dict[int, float], rate: float) -> None:
        h = self.along(u) * math.sqrt(sum(v * v for v in self.v))
        for j in u:
            self.v[j] += rate * (u[j] * h - self.v[j])


def top(sizes: dict[int, float], k: int) -> dict[int, float]:
    """The logarithms of the k largest, by field; of equal ones those of the first fields."""
    order = sorted(sizes, key=lambda j: (-sizes[j], j))[:k]
    return {j: math.log1p(sizes[j]) for j in order}


class Key:
    """All fields of one key."""

    def __init__(self, d: int, patience: int, directions: int, memory: float, decades: tuple[int, ...]) -> None:
        self.base, self.memory, self.wanted = 1 / patience, 1 / memory, directions
        self.fields: list[Field | Rarity] = [Rarity() if j in decades else Field() for j in range(d)]
        self.directions = [Direction(d) for _ in range(directions)]
        self.clock = self.told = 0
        self.kept = 0.0

    def step(self, row: list[float]) -> tuple[float, list[float], list[float], list[float]]:
        """raw, expected, scale and share of a record, which is then learned."""
        d = len(row)
        there = [j for j in range(d) if abs(row[j]) < 1e150]
        judged = [j for j in there if self.fields[j].seen >= 8]
        numbers = sum(isinstance(f, Field) and f.seen > 0 for f in self.fields)
        active = self.directions[: min(self.wanted, max(numbers - 1, 0))]
        z = {j: f.deviation(row[j]) for j in judged if isinstance(f := self.fields[j], Field)}
        y = {j: clip(each, 3.0) for j, each in z.items()} | {j: 0.0 for j in judged if j not in z}
        parts = [direction.along(y) for direction in active]
        left = {j: z[j] - sum(a.v[j] * part for a, part in zip(active, parts, strict=True)) for j in z}
        answer = self.judge(row, judged, z, left if active else {})
        for p, direction in enumerate(active):
            if not direction.exists():
                if self.clock > p and sum(each * each for each in y.values()) > 1e-9:
                    direction.v = [y.get(j, 0.0) for j in range(len(row))]
                break
            direction.learn(y, max(self.base, 1 / (self.clock + 5)))
            part = direction.along(y)  # 0 where it has shrunk to nothing
            y = {j: y[j] - part * direction.v[j] for j in y}
        for j in there:
            self.fields[j].learn(row[j], left[j] if active and j in left else None, self.base)
        self.clock += bool(there)
        return answer

    def judge(
        self, row: list[float], judged: list[int], z: dict[int, float], left: dict[int, float]
    ) -> tuple[float, list[float], list[float], list[float]]:
        nothing = [NAN] * len(row)
        if not judged:
            return NAN, nothing, nothing, nothing
        alone, both = {}, {}
        for j in judged:
            field = self.fields[j]
            if isinstance(field, Rarity):
                alone[j] = both[j] = math.exp(clip(max(row[j] - field.middle, 0.0), 300)) - 1
            else:
                alone[j] = both[j] = abs(z[j])
                if j in left:
                    both[j] = max(both[j], min(abs(left[j] - field.residual) / max(field.spread, 0.05), 100.0))
        k = min(len(judged), math.ceil(1.5 * math.sqrt(len(judged))))
        a, b = top(alone, k), top(both, k)
        q = (sum(a.values()) + sum(b.values())) / (2 * k)
        self.kept += max(self.memory, 1 / (self.told + 1)) * (q - self.kept)
        self.told += 1
        expected, scale, share = nothing[:], nothing[:], nothing[:]
        for j in judged:
            field = self.fields[j]
            share[j] = (a.get(j, 0.0) + b.get(j, 0.0)) / (2 * k * q) if q > 0 else 1 / len(judged)
            expected[j] = field.middle
            if isinstance(field, Field):
                scale[j] = field.unit(row[j] >= field.middle)
                if both[j] > alone[j]:
                    expected[j] += scale[j] * (z[j] - left[j] + field.residual)
                    scale[j] *= max(field.spread, 0.05)
            else:
                scale[j] = 0.0
        return 0.5 * (q + self.kept), expected, scale, share


def fields(
    rows: list[list[float]], patience: int = 1000, directions: int = 2, memory: float = 20.0,
    decades: tuple[int, ...] = (),
) -> tuple[list, list, list, list]:  # fmt: skip
    """raw (n,), expected, scale and share (n, d) of one key; decades: the columns that are -log10 of a probability."""
    key = Key(len(rows[0]), patience, directions, memory, decades)
    given = [key.step(row) for row in rows]
    return tuple([each[part] for each in given] for part in range(4))  # type: ignore[return-value]
