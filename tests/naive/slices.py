"""One budget for all keys, slow and obvious: traffic from the list of all records, one object per key."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Key:
    """What is known of one key."""

    records: list[int] = field(default_factory=list)  # their numbers among all records
    debt: float = 0.0  # flags given beyond what the cap has earned since
    credit: float = 0.0  # what its next strange record counts for in the guard's eyes
    part: float = 0.0  # earned in the present hold
    hold: int = 0


class NaiveSlices:
    """Decides on one record after another; `scores` are -log10 of the child's probabilities."""

    def __init__(self, rate: float, cap: float, burst: int, horizon: int, patience: int, warmup: int) -> None:
        self.rate, self.cap, self.burst, self.horizon = rate, cap, burst, horizon
        self.patience, self.warmup = patience, warmup
        self.window = math.ceil(30 / rate)
        self.keys: dict[int, Key] = {}
        self.now, self.scored, self.level = 0, 0, 1.0
        self.recent: list[float] = []  # of the window: what each scored record counts for
        self.usual = 0.0
        self.state, self.since, self.holds, self.accepted = "normal", 0, 0, False
        self.told: list[str] = []

    def share(self, key: Key) -> float:
        """Of the recent traffic, with the record at hand."""
        own = self.now + 1 - np.array([*key.records, self.now + 1])
        return float(np.exp(-own / self.horizon).sum() / np.exp(-np.arange(self.now + 1) / self.horizon).sum())

    def step(self, name: int, score: float, learn: bool) -> bool:
        """Whether the record is flagged; score NaN where the child has none."""
        key = self.keys.setdefault(name, Key())
        p = min(self.cap, self.level * self.rate / self.share(key))
        scored = len(key.records) >= self.warmup and math.isfinite(score)
        strange = scored and score >= -math.log10(p)
        if not learn:
            return strange
        self.now += 1
        key.records.append(self.now)
        key.debt = max(0.0, key.debt - self.cap)
        if not scored:
            return False
        self.scored += 1
        step = max(min(10 / self.horizon, self.rate / self.cap), min(self.rate / self.cap, 1 / self.scored))
        self.level = min(1.0, self.level * math.exp(step * (1 - p / self.rate)))
        key.credit = min(1.0, key.credit + 50 * p)
        self.recent.append(key.credit if strange else 0.0)
        if strange:
            key.credit = 0.0
        flagged = strange and self.granted(key, p)
        if not strange:
            self.granted(key, p, ask=False)
        self.guard()
        return flagged

    def granted(self, key: Key, p: float, ask: bool = True) -> bool:
        """Room under the cap, and in a hold in ten times the key's part; a refusal costs nothing."""
        if self.state == "held":
            if key.hold != self.holds:
                key.hold, key.part = self.holds, 0.0
            key.part = min(1.0, key.part + 10 * p)
        elif key.hold:
            if self.accepted:
                key.debt = max(key.debt, self.burst - 1.0)
            key.hold = 0
        if not ask or key.debt + 1 > self.burst or (self.state == "held" and key.part < 1):
            return False
        key.debt += 1
        key.part = 0.0
        return True

    def guard(self) -> None:
        """Begin and end holds and silences."""
        share = math.fsum(self.recent) / (self.rate * self.window)
        long = self.now - self.since >= self.patience
        if self.state != "held" and share > 10 * max(self.usual, 1):
            self.state, self.since, self.holds = "held", self.now, self.holds + 1
            self.told.append(f"held {self.now}")
        elif len(self.recent) < self.window:
            return
        elif self.state == "held":
            if share <= 5 * max(self.usual, 1):
                self.state, self.accepted = "normal", False
                self.told.append(f"free {self.now}")
            elif long:
                self.state, self.accepted, self.usual = "normal", True, share
                self.told.append(f"accepted {self.now}")
        elif self.state == "quiet":
            if share >= min(self.usual, 1) / 2:
                self.state = "normal"
                self.told.append(f"loud {self.now}")
            elif long:
                self.state, self.usual = "normal", share
                self.told.append(f"loud {self.now}")
        elif self.usual >= 0.3 and share < min(self.usual, 1) / 10:
            self.state, self.since = "quiet", self.now
            self.told.append(f"quiet {self.now}")
        else:
            self.usual = self.usual + 0.2 * (share - self.usual) if self.usual else share
        self.recent = []
