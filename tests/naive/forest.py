"""Slow, obvious isolation forest on a reservoir: nested dictionaries and lists, one object a key."""

from __future__ import annotations

import math
from collections.abc import Sequence

NAN = math.nan


def usual(n: int) -> float:
    """Mean depth at which one of n records is alone."""
    return 2 * math.fsum(1 / i for i in range(1, n)) - 2 * (n - 1) / n if n > 1 else 0.0


class Clipped:
    """Clipped location and spread of one number."""

    def __init__(self, first: float, start: float) -> None:
        self.n, self.location, self.spread, self.start = 1, first, 0.0, start

    def learn(self, value: float, spread_too: bool = True) -> None:
        rate = max(0.002, 1 / (self.n + 1))
        self.n += 1
        gap = value - self.location
        if self.spread > 0:
            z = gap / self.spread
            self.location += rate * self.spread * max(-2.5, min(2.5, z))
            if spread_too:
                self.spread *= math.exp(0.5 * min(rate, 0.1) * (min(abs(z), 2.5) - 1))
        elif gap != 0:
            self.spread = abs(gap)
            self.location += (self.start or rate) * gap


class Key:
    """One key's forest."""

    def __init__(self, d: int, trees: int, sample: int, reservoir: int, horizon: int, patience: int, seed: int) -> None:
        self.d, self.trees, self.sample, self.size, self.horizon = d, trees, sample, reservoir, horizon
        self.patience, self.random = patience, seed
        self.begin()

    def begin(self) -> None:
        self.records, self.due, self.next = 0, 0.0, 0
        self.age, self.stale = 0, 0.0
        self.rows: list[list[float]] = []
        self.forest: list[dict] = []
        self.score: Clipped | None = None
        self.recent = 0.0
        self.fields: dict[int, Clipped] = {}
        self.turn, self.origin, self.last = {}, {}, {}
        self.constant: dict[int, float] = {}

    def draw(self) -> int:
        self.random = self.random * 48271 % (2**31 - 1)
        return self.random

    def below(self, n: int) -> int:
        return self.draw() * n // (2**31 - 1)

    def chance(self) -> float:
        return self.draw() / (2**31 - 1)

    def value(self, j: int, x: float) -> float:
        if not abs(x) < 1e150:
            return NAN
        if j not in self.fields:
            return 0.0
        turn = self.turn.get(j, 0)
        return (x - self.origin[j]) * turn if turn else abs(x - self.origin[j])

    def strays(self, v: Sequence[float]) -> list[int]:
        return [j for j, c in self.constant.items() if abs(v[j] - c) > 0]

    def find_constant(self) -> None:
        self.constant, self.moving = {}, []
        for j in range(self.d):
            if j in self.fields:
                have = [row[j] for row in self.rows if row[j] == row[j]]
                if len(set(have)) > 1:
                    self.moving.append(j)
                elif len(have) >= 8:
                    self.constant[j] = have[0]

    def tree(self) -> dict:
        """Breadth first, as the random numbers are drawn in this order."""
        places = list(range(len(self.rows)))
        wanted = min(self.sample, len(places))
        for r in range(wanted):
            other = r + self.below(len(places) - r)
            places[r], places[other] = places[other], places[r]
        root = {"rows": [self.rows[p] for p in places[:wanted]], "level": 0}
        others = [self.rows[p] for p in places[wanted:]]
        fields = list(self.moving)
        most = (self.sample - 1).bit_length()
        queue = [root]
        while queue:
            node = queue.pop(0)
            node["n"] = len(node["rows"])
            if node["n"] < 2 or node["level"] == most:
                continue
            left = len(fields)
            while left > 0:
                at = self.below(left)
                j = fields[at]
                have = [row[j] for row in node["rows"] if row[j] == row[j]]
                if have and min(have) < max(have):
                    break
                left -= 1
                fields[at], fields[left] = fields[left], fields[at]
            else:
                continue
            low, high = min(have), max(have)
            at = low + self.chance() * (high - low)
            if not low < at <= high:
                at = high
            sides = [[row for row in node["rows"] if row[j] < at], [row for row in node["rows"] if row[j] >= at]]
            most_at = 0 if len(sides[0]) >= len(sides[1]) else 1
            sides[most_at] = sides[most_at] + [row for row in node["rows"] if row[j] != row[j]]
            children = [{"rows": side, "level": node["level"] + 1} for side in sides]
            node.update(field=j, low=low, high=high, at=at, most=most_at, children=children)
            queue += children
        depths = [self.depth(root, row, [], 0.0, [0.0] * self.d) for row in others]
        root["home"] = math.fsum(depths) / len(depths) if depths else NAN
        return root

    def depth(self, root: dict, v: Sequence[float], strays: list[int], fresh: float, blame: list[float]) -> float:
        node, total, alive = root, 0.0, 1.0
        while "field" in node:
            total += alive
            for j in strays:
                blame[j] += alive * fresh / len(strays)
            alive *= 1 - fresh
            x = v[node["field"]]
            if x != x:
                node = node["children"][node["most"]]
                continue
            child = node["children"][0 if x < node["at"] else 1]
            gap = max(node["low"] - x, x - node["high"], 0.0)
            width = node["high"] - node["low"]
            near = width / (width + gap)
            blame[node["field"]] += alive * max(-math.log(max(2 * near * child["n"] / node["n"], 1e-6)), 0.0)
            alive *= near
            node = child
        if node["n"] > 1:
            for j in strays:
                blame[j] += alive * fresh / len(strays)
            total += alive * (fresh + (1 - fresh) * usual(node["n"]))
        return total / usual(root["n"])

    def judge(self, v: Sequence[float]) -> tuple[float, list[float]]:
        strays = self.strays(v)
        known = [j for j in self.fields if j in self.constant or j in self.moving]
        fresh = len(strays) / (len(strays) + len([j for j in known if j in self.moving])) if strays else 0.0
        blame = [0.0] * self.d
        mean = math.fsum(self.depth(tree, v, strays, fresh, blame) for tree in self.forest) / self.trees
        whole = math.fsum(blame)
        present = sum(x == x for x in v)
        share = [NAN if v[j] != v[j] else blame[j] / whole if whole > 0 else 1 / present for j in range(self.d)]
        return 2.0**-mean, share

    def grow_old(self, q: float, n: int) -> None:
        """Young again once records are stranger than those held back from each tree, for long."""
        at_home = 2.0 ** -(sum(tree["home"] for tree in self.forest) / self.trees)
        if n >= 8 and self.score and self.score.spread > 0 and at_home == at_home:
            z = max(-2.5, min(2.5, (q - at_home) / self.score.spread))
            self.stale += (z - self.stale) / self.patience
            if self.stale > 1.25:
                self.stale, self.age = 0.0, min(self.age, self.patience / 3)

    def step(self, x: Sequence[float]) -> tuple[float, list[float], list[float], list[float]]:
        expected = [
            self.origin[j] + f.location if (f := self.fields.get(j)) and f.n >= 8 else NAN for j in range(self.d)
        ]
        scale = [f.spread if (f := self.fields.get(j)) and f.n >= 8 else NAN for j in range(self.d)]
        v = [self.value(j, a) for j, a in enumerate(x)]
        raw, share = NAN, [NAN] * self.d
        if all(a != a for a in v):
            return raw, expected, scale, share
        enters = min(1.0, self.size / min(self.age + 1, self.horizon))
        if self.forest:
            q, share = self.judge(v)
            n = self.score.n if self.score else 0
            if self.score and n >= 8 and self.score.spread > 0 and q > self.score.location:
                enters *= min(1.0, 2 * self.score.spread / (q - self.score.location)) ** 2
            self.recent = q if n == 0 else self.recent + max(0.1, 1 / (n + 1)) * (q - self.recent)
            raw = -1.0 / math.log2(0.5 * q + 0.5 * self.recent)
            self.grow_old(q, n)
            if self.score:
                self.score.learn(q)
            else:
                self.score = Clipped(q, 0.5)
        for j, a in enumerate(x):
            if v[j] != v[j]:
                continue
            if j not in self.fields:
                self.fields[j], self.origin[j] = Clipped(0.0, 0.0), a
            else:
                moved = a - self.origin[j]
                if not self.turn.get(j) and moved != 0:
                    self.turn[j] = math.copysign(1.0, moved)
                self.fields[j].learn(moved, a != self.last[j])
            self.last[j] = a
        if self.chance() < enters:
            if len(self.rows) < self.size:
                self.rows.append(v)
            else:
                self.rows[self.below(self.size)] = v
            for j in self.strays(v):
                del self.constant[j]
                self.moving.append(j)
        self.records += 1
        self.age += 1
        if self.records in (32, 64, 128, 200):
            self.find_constant()
            self.forest = [self.tree() for _ in range(self.trees)]
            self.next = 0
        elif self.forest:
            self.due += self.trees / min(self.age, self.horizon)
            if self.due >= 1:
                self.due = min(self.due - 1, 1.0)
                self.find_constant()
                self.forest[self.next] = self.tree()
                self.next = (self.next + 1) % self.trees
        return raw, expected, scale, share


def forest(
    X: Sequence[Sequence[float]],
    restart: Sequence[int] = (),
    trees: int = 64,
    sample: int = 128,
    reservoir: int = 256,
    horizon: int = 10_000,
    patience: int = 3000,
    seed: int = 1,
) -> tuple[list, list, list, list]:
    """raw, expected, scale, share of one key's records."""
    key = Key(len(X[0]), trees, sample, reservoir, horizon, patience, seed)
    made = []
    for i, x in enumerate(X):
        if i in restart:
            key.begin()
        made.append(key.step(x))
    return tuple(list(each) for each in zip(*made, strict=True))  # type: ignore[return-value]
