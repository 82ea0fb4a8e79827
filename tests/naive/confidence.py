"""The quantile's confidence sequence, slow and obvious: one key, whole lists, exact binomial mixtures."""

from __future__ import annotations

import math

import numpy as np


def log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def possible(k: int, n: int, rate: float, alpha: float, bound: str) -> bool:
    """Whether k of n may lie above the quantile that each exceeds with probability `rate`."""
    if n == 0:
        return True
    if bound == "paper":
        u = 0.85 * math.sqrt((math.log(math.log(math.e * n)) + 0.8 * math.log(1612 / alpha)) / n)
        return abs(k / n - rate) <= 2 * u
    a, b = 0.5, 0.5 * (1 - rate) / rate
    mixture = log_beta(a + k, b + n - k) - log_beta(a, b)
    return mixture - k * math.log(rate) - (n - k) * math.log(1 - rate) < math.log(1 / alpha)


def fewest_and_most(n: int, rate: float, alpha: float, bound: str) -> tuple[int, int]:
    """Least and largest possible count after n records, nothing being more possible than the expected count."""
    fewest = most = math.floor(rate * n)
    while fewest > 0 and possible(fewest - 1, n, rate, alpha, bound):
        fewest -= 1
    while most < n and possible(most + 1, n, rate, alpha, bound):
        most += 1
    return fewest, most


class NaiveConfidence:
    """One key. `judge(x)` gives score and flag before `learn(x)`.

    half: records at which the next generation begins; lengths: records of the blocks.
    """

    def __init__(
        self, rate: float, alpha: float, bound: str, kept: int, half: int, lengths: list[int], patience: int
    ) -> None:
        self.rate, self.alpha, self.bound, self.kept = rate, alpha, bound, kept
        self.half, self.lengths, self.patience = half, lengths, patience
        self.lead: list[float] = []
        self.other: list[float] = []
        self.blocks: list[dict[str, float]] = [{} for _ in lengths]
        self.restarts = 0

    def interval(self) -> tuple[float, float]:
        """Smallest and largest value that can be the quantile."""
        values = sorted(self.lead, reverse=True)
        fewest, most = fewest_and_most(len(values), self.rate, self.alpha, self.bound)
        low = values[most] if most < min(len(values), self.kept) else -math.inf
        return low, values[fewest - 1] if fewest else math.inf

    def judge(self, x: float) -> tuple[float, int]:
        source = self.lead if len(self.lead) >= 32 else self.other
        if len(source) < 32:
            return math.nan, 0
        low, high = self.interval()
        return self.score(x, source), 1 if x > high else 2 if x > low else 0

    def score(self, x: float, source: list[float]) -> float:
        """-log10 of the share at or above x; only the `kept` largest are known."""
        known = np.sort(source)[::-1][: self.kept]
        total = len(source) + 1
        knots = np.unique(known)  # rising
        decades = np.array([math.log10(total / np.sum(known >= v)) for v in knots])
        logs = np.log(np.maximum(knots, 1e-300))
        if x < knots[0]:
            return float(decades[0] * x / knots[0])
        if x <= knots[-1]:
            return float(np.interp(math.log(max(x, 1e-300)), logs, decades))
        if knots[-1] == 0:
            return math.log10(total + 1)
        m = min(len(known), 16) - 1
        width = math.log(known[0]) - math.log(max(known[m], 1e-300))
        slope = min(max(math.log10(m + 1) / width, 0.3), 100) if width > 0 else 100
        return float(decades[-1] + slope * (math.log(x) - math.log(known[0])))

    def learn(self, x: float) -> None:
        if self.shifted(x):
            self.other, self.lead = self.lead, []
            self.blocks = [{} for _ in self.lengths]
            self.restarts += 1
            return
        self.lead.append(x)
        if len(self.lead) == self.half:
            self.other = []
        elif len(self.lead) > self.half:
            self.other.append(x)
            if len(self.lead) == 2 * self.half:
                self.lead, self.other = self.other, []

    def shifted(self, x: float) -> bool:
        low, high = self.interval()
        found = False
        for b, length in enumerate(self.lengths):
            block = self.blocks[b]
            if not block:
                if math.isinf(low) or math.isinf(high):
                    continue
                block.update(low=low, high=high, n=0, over=0, under=0)
            block["n"] += 1
            block["over"] += x > block["high"]
            block["under"] += x < block["low"]
            n = int(block["n"])
            alpha = self.alpha * length / (len(self.lengths) * self.lengths[-1])
            fewest, most = fewest_and_most(n, self.rate, alpha, self.bound)
            if (block["over"] > most and block["over"] >= self.patience) or n - block["under"] < fewest:
                found = True
            if n == length:
                block.clear()
        return found
