"""Slow, obvious `clipped_mean`: the segment's whole past kept, every sum and every SGD from scratch."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import fmean, median

FIRST = 32


# -- scores, shared with focus ----------------------------------------------------------------


def reference(values: list[float]) -> tuple[float, float]:
    """Median and scale: 1.4826 median absolute deviations, of the non-zero ones where half are zero."""
    middle = median(values)
    gaps = sorted(abs(x - middle) for x in values)
    size = median(gaps)
    others = [gap for gap in gaps if gap > 0]
    if size == 0 and others:
        size = others[len(others) // 2]
    return middle, 1.4826 * size


def score(x: float, middle: float, size: float) -> float:
    gap = x - middle
    if size > 0:
        return max(-3.0, min(3.0, gap / size))
    return 3.0 * ((gap > 0) - (gap < 0))


def describe(scores: list[float]) -> tuple[float, float, float, float]:
    """Variance, skewness, excess kurtosis, lag-one correlation less twice its error; variance 0 if constant."""
    n, mean = len(scores), fmean(scores)
    square, cube, fourth = (fmean((z - mean) ** power for z in scores) for power in (2, 3, 4))
    if square <= 1e-9:
        return 0.0, 0.0, 0.0, 0.0
    lagged = sum(a * b for a, b in pairwise(scores)) / (n - 1) - mean**2
    kurtosis = (fourth / square**2 - 3) * n / (n + 100)
    return square, cube / square**1.5, kurtosis, lagged / square - 2 / math.sqrt(n)


def squared(scores: list[float], before: int, variance: float, correlation: float) -> float:
    """Squared difference of the means after and before in its own variance; correlation beyond the change widens it."""
    a, b = scores[before:], scores[:before]
    square = (fmean(a) - fmean(b)) ** 2 / (variance * (1 / len(a) + 1 / len(b)))
    explained = square / len(scores)  # share of the variance
    if correlation <= max(0.0, explained):
        return square
    rho = min((correlation - explained) / (1 - explained), 0.95)
    return square * (1 - rho) / (1 + rho)


def corrected(
    scores: list[float], before: int, variance: float, skewness: float, excess: float, correlation: float
) -> float:
    """The same, had the scores been normal."""
    a, b = len(scores) - before, before
    square = squared(scores, before, variance, correlation)
    width = 1 / a + 1 / b
    lean = skewness * (1 / a**2 - 1 / b**2) / width**1.5
    fourth = excess * (1 / a**3 + 1 / b**3) / width**2
    t = math.copysign(math.sqrt(square), fmean(scores[before:]) - fmean(scores[:before]))
    u = max(lean * t / 2, -0.5)
    factor = 1.0
    if abs(u) > 1e-3:
        factor = 2 * (u - math.log(1 + u)) / u**2
        fourth -= 1.5 * lean**2
    return square * factor * min(max(1 - fourth * (square - 3) / 12, 0.75), 1.25)


def surprise(q: float, h: float) -> float:
    """-ln P(chi-squared with h degrees of freedom > q), Lugannani-Rice without its constant term."""
    if q <= h + 1:
        return 0.0
    theta = (1 - h / q) / 2
    exponent = theta * q + h / 2 * math.log(1 - 2 * theta)
    return exponent + math.log(theta * math.sqrt(2 * math.pi * 2 * q**2 / h))


def surprise_of_sum(total: float, m: int, trace: float) -> float:
    """The same for a sum of m squared normals with tr(R^2) = trace: one large eigenvalue, the others equal."""
    if m == 1:
        return surprise(total, 1)
    most = 1 + math.sqrt((m - 1) * (trace / m - 1))
    eigenvalues = [most] + [(m - most) / (m - 1)] * (m - 1)
    square, cube = (sum(e**power for e in eigenvalues) for power in (2, 3))
    scale, h = cube / square, square**3 / cube**2
    return surprise((total - m) / scale + h, h)


# -- the grid ---------------------------------------------------------------------------------


def due(n: int) -> list[int]:
    """Splits looked at with record n: multiples of 2^c aged 4 to 8 times that, every quarter of it."""
    found = list(range(max(1, n - 7), n))
    for c in range(1, 18):
        wide = 2**c
        if n % max(1, wide // 4) == 0:
            found += [(n // wide - back) * wide for back in range(4, 8) if n // wide > back]
    return found


def kept(n: int) -> list[int]:
    """Splits known before record n: the last four of those that 2^c divides and 2^(c + 1) does not."""
    found = []
    for c in range(18):
        found += list(range(2**c, n, 2 ** (c + 1)))[-4:]
    return found


# -- calibrated -------------------------------------------------------------------------------


class Segment:
    """All records since the last alarm."""

    def __init__(self, d: int) -> None:
        self.first: list[list[float]] = [[] for _ in range(d)]
        self.scores: list[list[float]] = [[] for _ in range(d)]
        self.counts: list[list[int]] = []  # scores of each field after record 1, 2, ...
        self.products: list[float] = []
        self.lengths: list[float] = []

    def learn(self, row: list[float]) -> None:
        fresh: dict[int, float] = {}
        for j, x in enumerate(row):
            if not abs(x) < 1e150:
                continue
            if len(self.first[j]) == FIRST:
                fresh[j] = score(x, *reference(self.first[j]))
                continue
            self.first[j].append(x)
            if len(self.first[j]) == FIRST:
                self.scores[j] = [score(v, *reference(self.first[j])) for v in self.first[j]]
        longest = math.sqrt(len(fresh) + 8 * math.sqrt(len(fresh)))
        length = math.sqrt(sum(z * z for z in fresh.values()))
        if length > longest:
            fresh = {j: z * longest / length for j, z in fresh.items()}
        self.about = [describe(scores) if scores else (0.0,) * 4 for scores in self.scores]
        fields = sum(about[0] > 0 for about in self.about)
        known = [j for j in fresh if self.about[j][0] > 0]
        if len(known) > 1:
            means, roots = [fmean(self.scores[j]) for j in known], [math.sqrt(self.about[j][0]) for j in known]
            now = [(fresh[j] - m) / r for j, m, r in zip(known, means, roots, strict=True)]
            last = [(self.scores[j][-1] - m) / r for j, m, r in zip(known, means, roots, strict=True)]
            self.products.append(sum(a * b for a, b in zip(now, last, strict=True)) ** 2)
            self.lengths.append((sum(a * a for a in now) * fields / len(known)) ** 2)
        for j, z in fresh.items():
            self.scores[j].append(z)
        self.counts.append([len(scores) for scores in self.scores])

    def parts(self, s: int) -> list:
        """Scores, number of them before the split, moments; of the fields that can be compared."""
        return [
            (self.scores[j], self.counts[s - 1][j], self.about[j])
            for j in range(len(self.scores))
            if self.about[j][0] > 0 and FIRST <= self.counts[s - 1][j] < len(self.scores[j])
        ]

    def difference(self, s: int) -> float:
        return sum(squared(z, b, about[0], about[3]) for z, b, about in self.parts(s))

    def evidence(self, s: int, limit: float) -> float:
        n, fields = len(self.counts), sum(about[0] > 0 for about in self.about)
        if fields == 0 or (fields > 1 and len(self.products) < 32):
            return 0.0
        trace, common = 1.0, 0.0
        if fields > 1:
            trace = min(max(fmean(self.products), fields), fields**2)
            tails = sum(about[2] for about in self.about if about[0] > 0)
            common = max(0.0, (fmean(self.lengths) - fields**2 - tails) / 2 - trace)
        if self.difference(s) < trace / fields * (limit - 7) + fields:
            return 0.0
        total = sum(corrected(z, b, *about) for z, b, about in self.parts(s))
        short = (1 / s**3 + 1 / (n - s) ** 3) / (1 / s + 1 / (n - s)) ** 2
        own = surprise_of_sum(total, fields, min(trace + common * short, fields**2))
        return own + min(math.log(s * (n - s) / n), 7.0)


def calibrated(rows: list[list[float]], limit: float) -> tuple[list[bool], list[int]]:
    """changed and since of one key's records; limit on -ln p + ln(length)."""
    segment = Segment(len(rows[0]))
    changed, since = [], []
    for row in rows:
        changed.append(False)
        since.append(0)
        if not any(abs(x) < 1e150 for x in row):
            continue
        segment.learn(row)
        n = len(segment.counts)
        if any(segment.evidence(s, limit) > limit for s in due(n)):
            changed[-1] = True
            since[-1] = n - max(kept(n), key=segment.difference) - 1
            segment = Segment(len(row))
    return changed, since


# -- theorem ----------------------------------------------------------------------------------

GUARANTEED = (120, 320, 1024, 8, 16, 4, 96)
PRINTED = (4, 8, 0.5, 1, 2, 1, 2)


def gamma(sigma: float, diameter: float, constants: tuple[float, ...]) -> float:
    return max(constants[0] * 2 * diameter * sigma * (sigma + 1), constants[1] * sigma**2 + 1)


def radius(t: int, delta: float, sigma: float, diameter: float, constants: tuple[float, ...]) -> float:
    """B(t, delta), theorem 3.1 with m = 1 and lambda = 2 G."""
    lam, start = 2 * diameter, gamma(sigma, diameter, constants)
    level = math.log(2 * t**2 * (t + 1) / delta)
    c = max(
        constants[2] * sigma**4 / (diameter**2 * lam**2), constants[3] * lam * math.sqrt(level) / (start**2 * diameter)
    )
    return c * (
        start**2 * diameter**2 / (t + 1) ** 2
        + (constants[4] * sigma**2 / lam + constants[5] * sigma**2) / (2 * (t + 1))
        + constants[6] * lam**2 * level * sigma * (sigma + 1) / ((t + start) * math.sqrt(t + 1))
    )


def sgd(
    values: list[list[float]], sigma: float, diameter: float, constants: tuple[float, ...], project: bool
) -> list[float]:
    """Clipped SGD from the centre over values in units of sigma about it."""
    theta = [0.0] * len(values[0])
    for t, value in enumerate(values, 1):
        gap = [x - m for x, m in zip(value, theta, strict=True)]
        length = math.sqrt(sum(g * g for g in gap))
        share = 2 / (t + gamma(sigma, diameter, constants)) * min(1, 2 * diameter / length if length > 0 else 1)
        theta = [m + share * g for m, g in zip(theta, gap, strict=True)]
        far = math.sqrt(sum(m * m for m in theta))
        if project and far > diameter / 2:
            theta = [m * diameter / 2 / far for m in theta]
    return theta


def theorem(
    rows: list[list[float]], delta: float, sigma: float, diameter: float, centre: float, constants: tuple, project: bool
) -> tuple[list[bool], list[int]]:
    """Algorithm 1 on the grid, everything given; complete records."""
    scaled = [[(x - centre) / sigma for x in row] for row in rows]
    changed, since, start = [], [], 0

    def excess(s: int, n: int) -> float:
        if s < 2 or n - s < 2:
            return -math.inf
        past = scaled[start : start + n]
        known = 1.0, diameter / sigma, constants
        before, after = sgd(past[:s], *known, project), sgd(past[s:], *known, project)
        budget = delta / (2 * (n - 1) * n)
        square = sum((a - b) ** 2 for a, b in zip(after, before, strict=True))
        return square - radius(s - 1, budget, *known) - radius(n - s - 1, budget, *known)

    for i in range(len(rows)):
        n = i + 1 - start
        found = any(excess(s, n) > 0 for s in due(n))
        changed.append(found)
        since.append(n - max(kept(n), key=lambda s: excess(s, n)) - 1 if found else 0)
        if found:
            start = i + 1
    return changed, since
