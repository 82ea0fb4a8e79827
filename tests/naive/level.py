"""Slow, obvious `level`: one key, plain lists, the window sorted anew for every value.

Written from the description in the docstring of `Level`: a median of the last values as anchor, six
clipped averages, Lepski's choice among them. Combination of several fields is `naive.combine`.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import median

from naive.combine import Record

LEAST = [1 / 16 / 2**e for e in range(6)]


class Field:
    """The ladder of one field; `expected` and `unit` are the prediction for the next value."""

    def __init__(self, patience: int = 21, reject: bool = True) -> None:
        self.size, self.reject = max(patience, 8), reject
        self.seen = 0
        self.scale = 0.0
        self.smallest = math.inf
        self.run = 0
        self.product = self.power = self.previous = 0.0

    def deviation(self, x: float) -> float:
        """(x - expected) in standard deviations, NaN in the first 8 values."""
        if self.seen < 8:
            return math.nan
        residual = (x - self.origin) - self.expected
        if residual == 0:
            return 0.0
        if self.unit() == 0:
            return math.copysign(100.0, residual)
        spacing = 1e-15 * abs(self.origin + self.expected)
        return residual / (1.31 * max(self.unit(), spacing))

    def unit(self) -> float:
        """The scale, not below half the smallest step between two values."""
        return max(self.scale, 0.5 * self.smallest if self.smallest < math.inf else 0.0)

    def learn(self, x: float) -> None:
        if self.seen == 0:
            self.origin = x
            self.window: deque[float] = deque(maxlen=self.size)
            self.expected = 0.0
        x -= self.origin
        if self.window and x != self.window[-1]:
            self.smallest = min(self.smallest, abs(x - self.window[-1]))
        residual = x - self.expected
        off = x - median(self.window) if self.window else 0.0
        self.window.append(x)
        self.seen += 1
        values = sorted(self.window)
        anchor = median(values)
        quarter = len(values) // 4
        if self.seen <= 8:
            self.expected = anchor
            self.experts, self.rates = [anchor] * 6, [1 / (self.seen + 1)] * 6
            if self.seen == 8:
                self.scale = 0.545 * (values[5] - values[2])
            return
        if off != 0:
            self.follow_scale(abs(off))
        if values[quarter] == values[-1 - quarter]:
            self.expected = anchor
            self.experts, self.rates = [anchor] * 6, [1 / (self.size / 1.6 + 1)] * 6
            return
        unit = self.unit()
        for e in range(6):
            gap = x - self.experts[e]
            if not (self.reject and abs(gap) > 5.2 * unit):
                self.experts[e] += self.rates[e] * max(-1.75 * unit, min(1.75 * unit, gap))
            self.rates[e] = max(LEAST[e], self.rates[e] / (1 + self.rates[e]))
        rho = self.follow_correlation(max(-1.75 * unit, min(1.75 * unit, residual)))
        self.choose(anchor, unit * math.sqrt((1 + rho) / (1 - rho)))

    def follow_scale(self, size: float) -> None:
        if self.scale == 0:
            self.scale = size
            return
        y = min(size / self.scale, 1e9)
        if y > 2:
            self.run = self.run + 1 if self.run > 0 else 1
        elif y < 1 / 8:
            self.run = self.run - 1 if self.run < 0 else -1
        else:
            self.run = 0
        rate = max(0.01, 1 / (self.seen + 1))
        beyond = abs(self.run) - self.size
        if beyond > 0:
            rate = min(0.25, rate * (1 + beyond / 8))
        step = rate * (min(y, 2) - 1)
        self.scale *= 1 + step + step**2 / 2

    def follow_correlation(self, error: float) -> float:
        rate = max(0.002, 1 / self.seen)
        self.product += rate * (error * self.previous - self.product)
        self.power += rate * (error**2 - self.power)
        self.previous = error
        if self.seen < 60 or self.power == 0:
            return 0.0
        return min(0.95, max(0.0, self.product / self.power))

    def choose(self, anchor: float, noise: float) -> None:
        """The slowest expert up to which all agree; those beyond that clearly disagree start again there."""
        best = 0
        while best < 6 and self.disagreement(best, anchor, noise) <= 3.89:
            best += 1
        if best == 0:
            self.expected, rate = anchor, 1 / 4
        else:
            self.expected, rate = self.experts[best - 1], self.rates[best - 1] / (1 + self.rates[best - 1])
        for e in range(best, 6):
            if self.disagreement(e, anchor, noise) > 4.39:
                self.experts[e], self.rates[e] = self.expected, max(LEAST[e], rate)

    def disagreement(self, e: int, anchor: float, noise: float) -> float:
        """The largest distance of expert e from the anchor and every faster expert, in standard errors."""
        a = self.rates[e]
        worst = abs(self.experts[e] - anchor) / math.sqrt(1.6 / self.size + a / (2 - a))
        for f in range(e):
            b = self.rates[f]
            variance = a / (2 - a) + b / (2 - b) - 2 * a * b / (a + b - a * b)
            if variance >= 0.02 * b:
                worst = max(worst, abs(self.experts[e] - self.experts[f]) / math.sqrt(variance))
        return worst / noise if noise > 0 else (math.inf if worst > 0 else 0.0)


def level(rows: list[list[float]], patience: int = 21, reject: bool = True) -> tuple[list, list, list]:
    """raw (n,), expected (n, d), scale (n, d) of one key's records, each before it is learned."""
    fields = [Field(patience, reject) for _ in rows[0]]
    record = Record()
    raw, expected, scale = [], [], []
    for row in rows:
        readable = [abs(x) < 1e150 for x in row]
        ready = [f.seen >= 8 for f in fields]
        expected.append([f.origin + f.expected if r else math.nan for f, r in zip(fields, ready, strict=True)])
        scale.append([1.31 * f.unit() if r else math.nan for f, r in zip(fields, ready, strict=True)])
        z = [f.deviation(x) if ok else math.nan for f, x, ok in zip(fields, row, readable, strict=True)]
        columns = sum(f.seen > 0 or ok for f, ok in zip(fields, readable, strict=True))
        raw.append(record.judge(z, columns))
        for f, x, ok in zip(fields, row, readable, strict=True):
            if ok:
                f.learn(x)
    return raw, expected, scale
