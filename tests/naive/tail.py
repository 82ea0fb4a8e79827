"""The calibrated tail, slow and obvious: one key, numpy, one function per step of the description."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

GRID = math.log(0.5) + 0.1 * np.arange(48)  # ln y at the nodes
T4 = 0.95 * np.exp(GRID) / np.sqrt(4 + (0.95 * np.exp(GRID)) ** 2)
PRIOR = 1 - 1.5 * T4 + 0.5 * T4**3  # upper tail of |t(4)|


def clipped_scale(sizes: np.ndarray) -> float:
    """The s at which the mean of min(size / s, 2) is 1, by 20 steps from the median."""
    s = 1.2 * np.sort(sizes)[len(sizes) // 2]
    for _ in range(20):
        s *= math.exp(0.7 * (np.minimum(sizes / s, 2).mean() - 1))
    return float(s)


def gap(sides: np.ndarray, total: float) -> tuple[int, float, float]:
    """First node of the gross records (48: none), their share, and a bound of the true tail's there.

    sides: (2, 48) counts at or beyond each node, of positive and of negative residuals.
    """
    beyond = sides[0] + sides[1]
    found = []
    for m in (9, 5):
        d = 0.1 * m
        for t in range(m + 1, 48):
            B = beyond[t]
            if B < 2.9:
                break

            def steepest_of(C: np.ndarray, t: int = t, m: int = m, d: float = d) -> float:
                inner = [i for i in range(2 * m + 1, t + 1) if C[i - m] >= 2.9]
                return max([0.0, *[math.log(C[i - 2 * m] / C[i - m]) / d for i in inner]])

            having = [C for C in sides if C[t] >= 0.2 * B]
            steepest = min([steepest_of(beyond), *[1.5 * steepest_of(C) for C in having]])
            theta = max(0.4, steepest / 2)
            W = beyond[t - m] - B
            X = B * (math.exp(theta * d) - 1)
            allowed = 0.1 * beyond[0] >= B and (m == 9 or GRID[t - m] >= 0.95)
            if allowed and W + 2 * math.sqrt(max(W, 0.0)) + 1 < X:
                bound = W / ((math.exp(max(theta, steepest) * d) - 1) * total)
                found.append(((W + 1) / X, t, B / total, bound))
    if not found:
        return 48, 0.0, 0.0
    _, node, share, bound = min(found, key=lambda each: each[0])
    return node, share, bound


def fit(counts: np.ndarray, seen: int, alike: float) -> tuple[np.ndarray, int]:
    """(48,) -log10 of the tail probability at the nodes, and the first node of the gross records.

    Where one value repeats, on which no more than 12% lie half a scale or more to the other side, nothing is gross;
    and where nothing was ever counted the curve is drawn towards the law assumed at the start.
    """
    sides = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
    beyond = sides[0] + sides[1]
    weight = 50 * 500 / (500 + seen)
    total = beyond[0] + weight
    repeats = alike >= 0.45 and sides[:, 1].min() < 0.12 * beyond[0]
    node, gross, bound = (48, 0.0, 0.0) if repeats else gap(sides, total)
    middle = beyond - counts.sum(axis=0) / 2
    middle[47] = beyond[47]
    share = ((middle + weight * PRIOR) / total - gross) / (1 - gross)
    logs = np.where((share > 1e-12) & (np.arange(48) < node), np.log(np.maximum(share, 1e-300)), -1e9)

    def last(level: float) -> int:
        below = np.flatnonzero(logs < level)
        return max(int(below[0]) - 1 if len(below) else 47, 0)

    j1 = last(math.log(0.05))
    j3 = last(math.log(max(0.001, 16 / total, min(bound, 0.03))))
    if j3 <= j1:
        j3 = j1 + 1 if j1 < 47 and logs[j1 + 1] > -1e9 else j1
    curvature, slope = 0.0, -8.0
    if j3 == j1 + 1:
        slope = (logs[j3] - logs[j1]) / 0.1
    elif j3 > j1 + 1:
        half = (logs[j1] + logs[j3]) / 2
        j2 = max(j for j in range(j1, j3 + 1) if logs[j] >= half)
        j2 = min(max(j2, j1 + 1), j3 - 1)
        inner = (logs[j2] - logs[j1]) / (0.1 * (j2 - j1))
        outer = (logs[j3] - logs[j2]) / (0.1 * (j3 - j2))
        curvature = (outer - inner) / (0.05 * (j3 - j1))
        slope = outer + curvature * 0.1 * (j3 - j2) / 2
        if curvature >= 0:
            curvature, slope = 0.0, (logs[j3] - logs[j1]) / (0.1 * (j3 - j1))
    slope, curvature = min(max(slope, -30.0), -0.7), max(curvature, -60.0)
    D = 0.1 * (np.arange(48) - j3)
    table = -np.where(D <= 0, logs, logs[j3] + slope * D + curvature * D * D) / math.log(10)
    if repeats:
        assumed = -np.log10((beyond + weight * PRIOR) / total)
        drawn = table + 0.5 * weight / 50 * np.maximum(assumed - table, 0)
        table = np.where((D > 0) & (beyond <= 0.01), drawn, table)
    for j in range(48):  # strictly rising, by at least .001 a node
        table[j] = max(table[j], (table[j - 1] if j else 0.0) + 0.001)
    return table, node


class NaiveTail:
    """One key. `score(e)` is -log10 p or None during the start; `learn(e)` learns.

    limit: the score that flags. A residual of 100 is the first change of a constant, and is learned as one of 1.
    """

    def __init__(
        self,
        start: int = 32,
        horizon: int = 10_000,
        rate: float = 0.01,
        patience: int | None = None,
        limit: float = 3.0,
        signed: bool = True,
    ) -> None:
        self.start, self.horizon, self.rate = start, horizon, rate
        self.limit, self.signed = limit, signed
        self.patience, self.busy, self.lasting = patience, 0.0, 0  # patience: of a steady estimator's
        self.idle = 0.0  # share of late records that were held
        self.onset: list[float] = []  # sizes of the last 16 records that surely were rare, nan for others
        self.first: list[float] = []
        self.zeros = self.seen = self.since = 0
        self.alike = self.before = 0.0
        self.surprised = False
        self.watched = self.low = self.high = 0.0

    def score(self, e: float) -> float | None:
        if len(self.first) < self.start:
            return None
        if self.zeros:
            return -math.log10(0.5 / (self.zeros + 1)) if e else 0.0
        y = abs(e) / self.scale[int(e < 0)]
        if y < 0.5:
            return float(self.table[0] * y / 0.5)
        at = (math.log(y) - GRID[0]) / 0.1
        if at >= 47:
            return float(self.table[47] + (at - 47) * (self.table[47] - self.table[46]))
        return float(np.interp(at, np.arange(48), self.table))

    def held(self) -> bool:
        steady = self.patience is not None and self.busy > 0.3
        return steady and self.lasting <= (self.patience or 0) and self.idle < 0.4

    def learn(self, e: float, like: float | None = None) -> None:
        """like: the size that is learned in its place."""
        if len(self.first) < self.start:
            self.first.append(math.copysign(self.size(e), e) if like is None else like)
            if len(self.first) == self.start:
                self.begin(np.array(self.first))
        elif self.zeros and e == 0:
            self.zeros += 1
        elif self.zeros:
            self.counts = np.zeros((2, 48))
            self.counts[0, 0], self.counts[int(e < 0), 6] = min(self.zeros, self.horizon), 1
            self.alike = 1.0
            self.scale, self.values, self.run = [self.size(e)] * 2, [4, 4], [0, 0]
            self.zeros = 0
            self.seen += 1
            self.table, self.node = fit(self.counts, self.seen, self.alike)
        else:
            self.learn_one(e, self.size(e) if like is None else like)

    def size(self, e: float) -> float:
        return 1.0 if self.signed and abs(e) == 100 else abs(e)

    def near(self, e: float) -> bool:
        return abs(e - self.before) <= 0.05 * max(abs(e), abs(self.before))

    def begin(self, first: np.ndarray) -> None:
        self.seen = self.start
        if not first.any():
            self.zeros = self.start
            return
        both = np.abs(first[first != 0])
        sides = [first[first > 0], -first[first < 0]]
        self.scale = [clipped_scale(side if len(side) >= 5 else both) for side in sides]
        self.values, self.run = [len(side) for side in sides], [0, 0]
        self.counts = np.zeros((2, 48))
        for e in first:
            self.count(abs(e) / self.scale[int(e < 0)], int(e < 0))
        if self.signed:
            pairs = [abs(b - a) <= 0.05 * max(abs(a), abs(b)) for a, b in pairwise(first.tolist())]
            self.alike, self.before = sum(pairs) / self.start, float(first[-1])
        self.table, self.node = fit(self.counts, self.seen, self.alike)

    def count(self, y: float, side: int, by: float = 1.0) -> None:
        at = min(max((math.log(y) - GRID[0]) / 0.1, 0.0), 47.0) if y > 0 else 0.0
        j = min(int(at), 46)
        for node, share in ((j, 1 - (at - j)), (j + 1, at - j)):
            self.counts[side, node] = max(self.counts[side, node] + by * share, 0.0)

    def learn_one(self, e: float, size: float) -> None:
        side = int(e < 0)
        y = size / self.scale[side]
        held, score = self.held(), self.score(e) or 0.0
        self.watch(score, y)
        self.count(y, side, 0.02 if held else 1.0)
        was = self.busy
        self.busy += ((score >= 1.30103) - self.busy) / 32
        patience = self.patience or 0
        self.lasting = self.lasting + 1 if self.busy > 0.3 else 0
        self.idle += (held - self.idle) / min(self.horizon, self.seen + 1)
        if self.patience is not None:
            self.onset = [*self.onset, y if score >= 4 and not held else math.nan][-16:]
            if was <= 0.3 < self.busy and patience > 0 and self.idle < 0.4:
                for each in self.onset:
                    if not math.isnan(each):
                        self.count(each, 0, -1.0)
                self.onset = []
                self.table, self.node = fit(self.counts, self.seen, self.alike)
        self.alike += (self.near(e) - self.alike) / (min(500, self.seen + 1) if self.signed else 500)
        self.before = e
        if e and not held:
            self.values[side] += 1
            before = self.run[side]
            self.run[side] = max(before, 0) + 1 if y > 2 else min(before, 0) - 1 if y < 1 / 8 else 0
            rate = max(self.rate, 1 / (self.values[side] + 1))
            if abs(self.run[side]) > 64:
                rate = min(0.25, rate * (1 + (abs(self.run[side]) - 64) / 8))
            self.scale[side] *= math.exp(rate * (min(y, 2) - 1))
        self.seen += 1
        self.since += 1
        new = self.signed and score >= self.limit and not self.gross(y)  # a flag, though no gross record
        if self.since >= min(128, max(16, self.seen // 8)) or new:
            late = self.high > 0.03 * self.watched + 6
            quiet = self.watched > 500 and self.low < 0.0125 * self.watched
            outdated = self.patience is None and self.alike < 0.25 and (late or quiet)
            self.counts *= min(1, 150 / self.counts.sum()) if outdated else 1 - self.since / self.horizon
            fade = 0 if outdated else 1 - self.since / 1000
            self.watched, self.low, self.high = fade * self.watched, fade * self.low, fade * self.high
            self.since = 0
            self.table, self.node = fit(self.counts, self.seen, self.alike)

    def gross(self, y: float) -> bool:
        return y > 0 and (math.log(y) - GRID[0]) / 0.1 >= self.node

    def watch(self, score: float, y: float) -> None:
        """Count what the scores promised of records that are not gross."""
        if self.gross(y):
            return
        self.watched += 1
        self.low += score >= 1.30103
        self.high += score >= 2 and not self.surprised
        self.surprised = score >= 2


class NaiveUnit:
    """Clipped location and spread; `step` gives the positive form of a raw score without a natural zero.

    The first change of a constant is `new`; a raw score of 100 says so itself, and then has a spread of 1.
    """

    def __init__(self, pace: float = 0.002) -> None:
        self.n, self.location, self.spread, self.pace = 0, 0.0, 0.0, pace
        self.last = math.nan

    def step(self, value: float, learn: bool = True) -> float:
        """Centred and made positive; then learns."""
        d = value - self.location
        self.new = bool(self.n and not self.spread and d)  # the first change of a constant
        u = d / self.spread if self.spread else float(np.sign(d)) * 100
        if self.n < 8:  # too early for more than one spread
            u = max(-1.0, min(1.0, u)) if self.n > 0 and self.spread else 0.0
        if not learn:
            return u + 2 if u > -1 else -1 / u
        rate = max(self.pace, 1 / (self.n + 1))
        if self.n == 0:
            self.location = value
        elif value == self.last:
            pass  # a repeated value says nothing of the spread
        elif self.spread:
            z = d / self.spread
            self.location += rate * self.spread * min(max(z, -2.5), 2.5)
            self.spread *= math.exp(0.5 * min(rate, 0.1) * (min(abs(z), 2.5) - 1))
        elif d == 100:
            self.spread = 1.0
        elif d:
            self.spread, self.location = abs(d), self.location + d / 2
        self.n, self.last = self.n + 1, value
        return u + 2 if u > -1 else -1 / u
