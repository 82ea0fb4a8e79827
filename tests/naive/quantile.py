"""The running quantile, slow and obvious: one key, numpy, one line per step of the description."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats


def levels_of(rate: float) -> np.ndarray:
    """(9,) tail levels: six from .4 down, the rate, and two more half decades."""
    first = max(0.4, math.sqrt(rate))
    return np.array([*np.geomspace(first, rate, 7), rate * 0.1**0.5, rate * 0.1])


class NaiveQuantile:
    """One key. `step(e)` is -log10 of the share beyond |e|, NaN during the start; then e is learned."""

    def __init__(self, rate: float = 0.001, gamma: float = 0.05, start: int = 32) -> None:
        self.rate, self.start = rate, start
        self.levels = levels_of(rate)
        self.steps = gamma * np.minimum(1, np.sqrt(rate / self.levels))
        self.prior = np.log(stats.t(4).isf(self.levels / 2) / 0.95)  # a unit of the clipped mean is .95
        self.unit, self.seen, self.sized, self.zeros = 0.0, 0, 0, 0

    def read(self, y: float) -> float:
        """Linear in ln y between the levels, in proportion below them, straight on beyond."""
        scores = -np.log10(self.levels)
        if y <= 0:
            return 0.0
        g = math.log(y)
        if g < self.places[0]:
            return float(scores[0] * y / math.exp(self.places[0]))
        if g >= self.places[8]:
            slope = 1 / (self.places[8] - self.places[6])
            return float(scores[8] + np.clip(slope, 0.3, 15) * (g - self.places[8]))
        return float(np.interp(g, self.places, scores))

    def step(self, e: float) -> float:
        size = abs(e)
        if self.unit == 0:
            score = -math.log10(0.5 / (self.zeros + 1)) if size else 0.0
            score = score if self.seen >= self.start else math.nan
            self.seen += 1
            self.zeros += size == 0
            if size:
                self.unit, self.sized, self.seen = 1.0 if size == 100 else size, 1, min(self.seen, self.start)
                self.places = self.prior.copy()
            return score
        y = size / self.unit
        score = self.read(y)
        given = score if self.seen >= self.start else math.nan
        self.seen += 1
        g = np.clip(math.log(y), math.log(0.01), math.log(1e6)) if y else math.log(0.01)
        beyond = g >= self.places
        beyond[6] = float(f"{score:.6g}") >= -math.log10(self.rate)
        pace = np.maximum(self.steps, np.minimum(0.5, 0.5 / self.levels / (self.seen + 1)))
        self.places = np.maximum(self.places + pace * (beyond - self.levels), math.log(0.01))
        self.hold_young()
        self.put_in_order()
        if size:
            self.sized += 1
            pace_of_unit = max(0.02, min(0.5, 1.5 / (self.sized + 1)))
            self.unit *= math.exp(pace_of_unit * (min(y, 2) - 1))
        return given

    def hold_young(self) -> None:
        ripe = np.flatnonzero(self.levels * self.seen >= 4)
        last = int(ripe[-1]) if len(ripe) else 0
        back = max(last - 2, 0)
        stretch = 1.0
        if last:
            found = (self.places[last] - self.places[back]) / (self.prior[last] - self.prior[back])
            stretch = float(np.clip(found, 0.3, 3))
        held = self.places[last] + stretch * (self.prior - self.prior[last])
        self.places[last + 1 :] = np.maximum(self.places, held)[last + 1 :]

    def put_in_order(self) -> None:
        for j in range(5, -1, -1):
            self.places[j] = min(self.places[j], self.places[j + 1] - 0.001)
        for j in (7, 8):
            self.places[j] = max(self.places[j], self.places[j - 1] + 0.001)
