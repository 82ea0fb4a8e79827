"""Slow, obvious `evidence`: one object a column, the first values kept in a list and sorted anew each time."""

from __future__ import annotations

import math


class Column:
    """One column of one key."""

    def __init__(self) -> None:
        self.first: list[float] = []
        self.seen = 0
        self.quantile = self.share = self.excess = 0.0

    def evidence(self, x: float) -> float:
        """Decades of evidence in x; NaN before there is an opinion."""
        if self.seen < 8:
            return math.nan
        if x <= self.quantile:
            return 0.0
        z = (x - self.quantile) / self.excess if self.excess > 0 else 9.0
        return math.log10(1 + z) - 0.5 * math.log10(self.share)

    def learn(self, x: float, weight: float) -> None:
        self.seen += 1
        if self.seen <= 32:
            self.first.append(x)
            ordered = sorted(self.first)
            self.quantile = ordered[int(0.75 * (self.seen - 1))]
            over = [each - self.quantile for each in ordered if each > self.quantile]
            self.share = (len(over) + 1) / (self.seen + 1)
            self.excess = sum(over) / len(over) if over else 0.0
            return
        full = max(0.002, 1 / self.seen)
        rate = weight * full
        above = x > self.quantile
        self.share = max(self.share + rate * (above - self.share), 0.0005)
        q = self.quantile
        if above:
            if self.excess == 0:
                self.excess = x - q
            else:
                size = min((x - q) / self.excess, 3.0) - 0.95
                self.excess *= math.exp(min(0.25, rate / max(self.share, full)) * size)
            self.quantile = min(x, q + 2 * rate * self.excess * 0.75)
        elif x < q:
            self.quantile = max(x, q - 2 * rate * self.excess * 0.25)


def evidence(rows: list[list[float]], counter: int = -1) -> list[float]:
    """raw (n,) of one key's records; `counter` is the column of counts, or -1."""
    columns = [Column() for _ in rows[0]]
    raw = []
    for row in rows:
        readable = [j for j, x in enumerate(row) if abs(x) < 1e150 and j != counter]
        own = [columns[j].evidence(row[j]) for j in readable]
        own = [each for each in own if not math.isnan(each)]
        raw.append(sum(own) if own else math.nan)
        count = row[counter] if counter >= 0 else 1.0
        for j in readable:
            columns[j].learn(row[j], 1 / max(count, 1.0) if abs(count) < 1e150 else 1.0)
    return raw
