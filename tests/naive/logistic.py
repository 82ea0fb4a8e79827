"""Slow, obvious `logistic`: one key, numpy vectors, every quantile and median from a sort.

Written from the description in the docstrings: columns in units, experts, replay. The projection of
the cosine features and the geometry of a reference are taken from the component; its generator is
the minimal standard of Park and Miller.
"""

from __future__ import annotations

from collections import deque
from functools import cache

import numpy as np
from scipy.linalg import hadamard

FAR, BEYOND = 2.0, 1.2


@cache
def walsh() -> np.ndarray:
    return hadamard(1024).astype(float)


def sigmoid(m: float) -> float:
    return float(1 / (1 + np.exp(-m)))


class Columns:
    """Origins, ranges, means and units of d columns; all but the origin relative to it."""

    def __init__(self, d: int, started: np.ndarray | None) -> None:
        self.started = started
        self.seen = np.zeros(d, int)
        self.origin, self.low, self.high, self.mean, self.centre, self.inverse = np.zeros((6, d))
        self.typical, self.large, self.run, self.arrived = 0.0, 0.0, 0, 0

    def row(self, x: np.ndarray) -> np.ndarray:
        """Relative to the origins; the centre where missing or never seen."""
        there = (np.abs(x) < 1e150) & (self.seen > 0)
        return np.where(there, np.where(there, x, 0.0) - self.origin, self.centre)

    def norm(self, v: np.ndarray) -> float:
        return float(np.linalg.norm(np.clip((v - self.centre) * self.inverse, -FAR, FAR)))

    def unit(self, v: np.ndarray) -> np.ndarray:
        norm = self.norm(v)
        z = np.clip((v - self.centre) * self.inverse, -FAR, FAR)
        if self.typical == 0:
            return z / norm if norm > 0 else 0 * z
        return z / self.typical / max(1.0, norm / (BEYOND * self.large))

    def learn(self, x: np.ndarray, share: float) -> bool:
        """Whether a column is new."""
        fresh = False
        for j in np.flatnonzero(np.abs(x) < 1e150):
            if self.seen[j] == 0:
                if self.started is not None:
                    if self.started[4, j] == 0:
                        continue
                    self.origin[j], self.low[j], self.high[j], self.mean[j], weight = self.started[:, j]
                    self.centre[j], self.seen[j] = self.mean[j], int(weight)
                else:
                    self.origin[j], self.seen[j] = x[j], 1
                fresh = True
                continue
            gap = x[j] - self.origin[j] - self.centre[j]
            if share < 1 and self.inverse[j] > 0:
                gap = share * np.clip(gap, -FAR / self.inverse[j], FAR / self.inverse[j])
            v = self.centre[j] + gap
            size = self.high[j] - self.low[j]
            if self.started is None:
                if size > 0:
                    self.high[j] += min(v - self.high[j], size) if v > self.high[j] else -size / 1000
                    self.low[j] -= min(self.low[j] - v, size) if v < self.low[j] else -size / 1000
                else:
                    self.low[j], self.high[j] = min(self.low[j], v), max(self.high[j], v)
            size = self.high[j] - self.low[j]
            self.seen[j] += 1
            self.mean[j] += max(0.01, 1 / self.seen[j]) * np.clip(v - self.mean[j], -size, size)
        return fresh

    def renew(self) -> None:
        size = self.high - self.low
        moved = np.sort(size[(self.seen > 0) & (size > 1e-300)])
        median = moved[len(moved) // 2] if len(moved) else 0.0
        own = np.where(size > 1e-300, np.maximum(np.minimum(median, size * 10), size / 10), median)
        self.inverse = np.where(self.seen > 0, np.where(own > 0, 1 / np.where(own > 0, own, 1), 0.0), self.inverse)

    def follow(self, norm: float) -> None:
        if self.typical == 0:
            self.typical = self.large = norm
        elif norm > 0:
            rate = max(0.01, 1 / (self.arrived + 2))
            if norm != self.large:
                self.large *= np.exp(1.8 * rate if norm > self.large else -0.2 * rate)
            if norm != self.typical:
                up = norm > self.typical
                self.run = (max(self.run, 0) + 1) if up else (min(self.run, 0) - 1)
                if abs(self.run) > 8:
                    rate = min(0.25, rate * (abs(self.run) - 7))
                self.typical *= np.exp(rate if up else -rate)
            self.large = max(self.large, self.typical)


class Model:
    """The key's model. reference: rows (p, d) less their origins, and `started` (5, d)."""

    def __init__(self, d, seed, replay=4, memory=30, step=1.0, clip=0.9, projection=None, reference=None, started=None):
        self.columns = Columns(d, started)
        self.reference, self.projection = reference, projection
        self.replay, self.step, self.clip = replay, step, clip
        self.random = 1 + seed % 2147483646
        k = 1 if reference is not None else 5
        m = d if projection is None else 1024
        self.w, self.b, self.credit = np.zeros((k + 1, m)), np.zeros(k + 1), np.full(k, 1 / k)
        self.memory = [deque(maxlen=memory), deque(maxlen=memory)]  # (when it came, row)
        self.size = memory
        self.taken = [0, 0]
        self.norms = [deque(maxlen=128) for _ in range(4)]
        self.share = 0.5

    def draw(self, n: int) -> int:
        self.random = self.random * 48271 % 2147483647
        return self.random * n // 2147483647

    def features(self, v: np.ndarray) -> np.ndarray:
        z = self.columns.unit(v)
        if self.projection is None:
            return z
        signs, phases = self.projection
        a = np.zeros(1024)
        a[: len(z)] = z
        for sign in signs:
            a = walsh() @ (a * sign)
        return 2 / np.sqrt(1024) * np.cos(a / (1024 * 0.8) + phases)

    def margins(self, x: np.ndarray) -> np.ndarray:
        return self.w @ x + self.b

    def score(self, x: np.ndarray) -> float:
        v = self.columns.row(x)
        readable = ((np.abs(x) < 1e150) & (self.columns.seen > 0)).any()
        if not readable or self.taken[0] == 0 or (self.reference is None and self.taken[1] == 0):
            return np.nan
        return float(np.exp(self.credit @ self.margins(self.features(v))[1:] / 2))

    def learn(self, x: np.ndarray, label: float) -> None:
        c = self.columns
        if not (np.abs(x) < 1e150).any():
            return
        norm = c.norm(c.row(x))
        gross = c.arrived >= 16 and norm > BEYOND * c.large
        fresh = c.learn(x, BEYOND * c.large / norm if gross else 1.0)
        if not (c.seen[np.abs(x) < 1e150] > 0).any():
            return
        often = self.reference is None and (c.arrived < 64 or (self.projection is None and c.arrived % 16 == 0))
        if often:
            moved, c.centre = (c.mean - c.centre) * c.inverse, c.mean.copy()
            if self.projection is None and c.typical > 0:
                self.b += self.w @ moved / c.typical
        first = self.reference is None and (c.high > c.low).any() and not c.inverse.any()
        if often or fresh or first:
            c.renew()
        if self.reference is not None:
            label = 0.0
        if not np.isnan(label):
            self.learn_row(c.row(x), int(label))
        c.arrived += 1

    def remembered(self, c: int, i: int) -> np.ndarray:
        """Place i of a ring in which row number n stands at n % size."""
        return next(v for n, v in self.memory[c] if n % self.size == i)

    def learn_row(self, v: np.ndarray, own: int) -> None:
        both = min(self.taken) > 0
        self.memory[own].append((self.taken[own], v))
        self.taken[own] += 1
        for r in range(self.replay + 1):
            for c in (own, 1 - own):
                if self.reference is not None and c == 1:
                    seen = self.columns.seen > 0
                    row = np.where(seen, self.reference[self.draw(len(self.reference))], self.columns.centre)
                elif r == 0 and c == own:
                    row = v
                elif self.taken[c] == 0:
                    continue
                else:
                    row = self.remembered(c, self.draw(min(self.taken[c], self.size)))
                x = self.features(row)
                size = np.sqrt(0.25 + x @ x)
                if r == 0:
                    if c == 1 or self.reference is None:
                        self.columns.follow(self.columns.norm(row))
                    if both and c == own and self.reference is None:
                        self.judge(x, own)
                    if self.reference is None:
                        odds = self.share / (1 - self.share)
                        part = 1.0 if c == own else max(0.0, 1 - (odds if c == 1 else 1 / odds))
                        self.follow(x, size, c, self.step * part)
                error = sigmoid(self.margins(x)[0]) - c
                channel = 0 if self.reference is not None else c
                by = self.step * self.clipped(error, size, channel)
                self.norms[channel].append(abs(error) * size)
                self.w[0] = (1 - 1e-4 * self.step) * self.w[0] - by * x
                self.b[0] -= by / 4
        if self.reference is None:
            self.share += max(0.01, 1 / (sum(self.taken) + 1)) * (own - self.share)
            self.share = min(max(self.share, 1e-3), 1 - 1e-3)
        self.settle()

    def clipped(self, error: float, size: float, channel: int) -> float:
        norms = self.norms[channel]
        most = np.quantile(norms, self.clip) if len(norms) >= 8 else np.inf
        return error * min(1.0, most / max(abs(error) * size, 1e-300))

    def judge(self, x: np.ndarray, label: int) -> None:
        odds = self.share / (1 - self.share)
        loss = np.log1p(np.exp((1 - 2 * label) * self.margins(x)[1:]))
        self.credit = self.credit * np.exp(-min(1.0, 1 / odds if label else odds) * np.minimum(loss, 3.0))
        self.credit = 0.999 * self.credit / self.credit.sum() + 0.001 / len(self.credit)

    def follow(self, x: np.ndarray, size: float, label: int, step: float) -> None:
        margins = self.margins(x)
        for e in range(2, 6):
            by = step / 4 ** (e - 2) * self.clipped(sigmoid(margins[e]) - label, size, 2 + label)
            self.w[e] -= by * x
            self.b[e] -= by / 4
        self.norms[2 + label].append(abs(sigmoid(self.credit @ margins[1:]) - label) * size)

    def settle(self) -> None:
        self.w[1] += 0.2 * (self.w[0] - self.w[1])
        self.b[1] += 0.2 * (self.b[0] - self.b[1])
        w, b = self.credit @ self.w[1:], self.credit @ self.b[1:]
        for e in range(2, len(self.w)):
            if self.credit[e - 1] < 0.05 / len(self.credit):
                self.w[e], self.b[e] = w, b


def logistic(X: np.ndarray, labels: np.ndarray, seed: int, delay: int = 0, **settings) -> np.ndarray:
    """raw (n,) of one fresh key. Rows that wait for their label are kept as they were read on arrival."""
    model = Model(X.shape[1], seed, **settings)
    raw = []
    waiting: deque = deque()
    for x, label in zip(X, labels, strict=True):
        raw.append(model.score(x))
        if delay == 0:
            model.learn(x, label)
            continue
        arrived = model.columns.arrived
        model.learn(x, np.nan)
        if model.columns.arrived == arrived:
            continue
        model.columns.arrived -= 1
        waiting.append((model.columns.row(x), label))
        if len(waiting) > delay:
            row, known = waiting.popleft()
            if not np.isnan(known):
                model.learn_row(row, int(known))
        model.columns.arrived += 1
    return np.array(raw)
