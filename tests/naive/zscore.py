"""Slow, obvious `zscore`: the whole past kept, weighted mean and variance from scratch for every value."""

from __future__ import annotations

import math

from naive.combine import Record


def weights(n: int, half_life: float) -> list[float]:
    """Weights of n values, oldest first, that sum to 1: each new one gets max(rate, 1 / n) of the whole."""
    rate = 1 - 0.5 ** (1 / half_life)
    shares: list[float] = []
    for i in range(n):
        new = max(rate, 1 / (i + 1))
        shares = [share * (1 - new) for share in shares] + [new]
    return shares


def prediction(past: list[float], half_life: float) -> tuple[float, float]:
    """Weighted mean and standard deviation; the first change after eight or more equal values is one deviation."""
    shares = weights(len(past), half_life)
    mean = math.fsum(w * x for w, x in zip(shares, past, strict=True))
    variance = math.fsum(w * (x - mean) ** 2 for w, x in zip(shares, past, strict=True))
    first = next((i for i, x in enumerate(past) if x != past[0]), 0)
    if first >= 8:
        share = weights(first + 1, half_life)[-1]
        kept = shares[first] / share  # of a weight given then
        variance += kept * (1 - share * (1 - share)) * (past[first] - past[0]) ** 2
    return mean, math.sqrt(variance)


def deviation(x: float, mean: float, sigma: float) -> float:
    """In standard deviations; 100 for the first change of a constant."""
    if sigma == 0.0:
        return math.copysign(100.0, x - mean) if x != mean else 0.0
    return (x - mean) / sigma


def zscore(rows: list[list[float]], half_life: float = 200.0) -> tuple[list, list, list]:
    """raw (n,), expected (n, d), scale (n, d) of one key's records, each before it is learned."""
    pasts: list[list[float]] = [[] for _ in rows[0]]
    record = Record()
    raw, expected, scale = [], [], []
    for row in rows:
        readable = [abs(x) < 1e150 for x in row]
        known = [prediction(past, half_life) if len(past) >= 8 else (math.nan, math.nan) for past in pasts]
        expected.append([mean for mean, _ in known])
        scale.append([sigma for _, sigma in known])
        z = [
            deviation(x, m, s) if ok and s == s else math.nan
            for x, ok, (m, s) in zip(row, readable, known, strict=True)
        ]
        raw.append(record.judge(z, sum(bool(p) or ok for p, ok in zip(pasts, readable, strict=True))))
        for past, x, ok in zip(pasts, row, readable, strict=True):
            if ok:
                past.append(x)
    return raw, expected, scale
