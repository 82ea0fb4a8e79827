"""The generalised Pareto law of excesses over a high threshold: tail, quantile and two fits.

S(y) = (1 + xi y / sigma)^(-1/xi) for y >= 0, exp(-y / sigma) at xi = 0; it ends at -sigma / xi where xi < 0.
"""

from __future__ import annotations

import math

import numpy as np

from clipdetect.jit import kernel

NEARLY_0 = 1e-9  # |xi| below which the law is exponential, to rounding
EDGE = 1e-6  # of sigma: where a tail that ends is continued as a Pareto tail of index 1
LEAST_XI, MOST_XI = -1.0, 4.0  # below -1 the likelihood has no maximum
GRID = 12  # places on each side of 0 between which a root is looked for
WIDEST = 1e5  # the largest xi / sigma looked at, in units of 1 / mean
TINY = 1e-290


@kernel
def log_tail(y: float, xi: float, sigma: float) -> float:
    """-ln S(y), finite and strictly rising in y >= 0, also beyond the end of a tail that has one.

    From `EDGE` sigma before its end a bounded tail goes on as -ln S + ln(1 + (y - edge) / (EDGE sigma)): the same
    value and slope there, and a logarithm afterwards.
    """
    x = min(y / max(sigma, 1e-300), 1e300)
    if abs(xi) < NEARLY_0:
        return x
    if xi > 0.0:
        return math.log1p(min(xi * x, 1e300)) / xi
    end = (1.0 - EDGE) / -xi
    if x <= end:
        return math.log1p(xi * x) / xi
    return math.log(EDGE) / xi + math.log1p((x - end) / EDGE)


@kernel
def excess(decline: float, xi: float, sigma: float) -> float:
    """The y at which -ln S is `decline` >= 0, of the law itself; the inverse of `log_tail` but for its last EDGE."""
    if abs(xi) < NEARLY_0:
        return sigma * decline
    return sigma * math.expm1(min(xi * decline, 690.0)) / xi


@kernel
def mean_of(y: np.ndarray, n: int) -> float:
    """Mean of the first n values. y: (>= n,)."""
    total = 0.0
    for i in range(n):
        total += y[i] / n
    return total


@kernel
def by_moments(y: np.ndarray, n: int) -> tuple[float, float]:
    """xi and sigma by probability-weighted moments, from n >= 2 excesses in ascending order. y: (>= n,).

    Needs xi < 1; with b0 the mean and b1 = E[Y S(Y)]: xi = 2 - b0 / (b0 - 2 b1), sigma = 2 b0 b1 / (b0 - 2 b1).
    """
    b0 = mean_of(y, n)
    if not b0 > TINY:
        return 0.0, max(b0, 1e-300)
    b1 = 0.0
    for i in range(n):
        b1 += y[i] / b0 * (n - 1.0 - i) / (n * (n - 1.0))
    rest = 1.0 - 2.0 * b1
    if rest < 1e-9:
        return LEAST_XI, 2.0 * b0
    return max(2.0 - 1.0 / rest, LEAST_XI), (2.0 * b1 / rest if b1 > 0.0 else 1e-9) * b0


@kernel
def slope_at(x: float, mean: float, y: np.ndarray, n: int) -> tuple[float, float]:
    """Grimshaw's w(x) = u(x) v(x) - 1 and xi = v(x) - 1, x = xi / sigma in units of 1 / mean.

    u = mean of 1 / (1 + x y), v = 1 + mean of ln(1 + x y); a root x other than 0 is where the likelihood is flat.
    """
    u = 0.0
    xi = 0.0
    for i in range(n):
        v = x * (y[i] / mean)
        u += 1.0 / (1.0 + v)
        xi += math.log1p(v)
    u /= n
    xi /= n
    return u * (1.0 + xi) - 1.0, xi


@kernel
def root_between(low: float, high: float, w_low: float, w_high: float, mean: float, y: np.ndarray, n: int) -> float:
    """A root of w between two places at which it has other signs: false position, with halving (Illinois)."""
    side = 0
    x = low
    for _ in range(60):
        x = (low * w_high - high * w_low) / (w_high - w_low)
        if not (x > min(low, high) and x < max(low, high)):
            x = 0.5 * (low + high)
        w, _xi = slope_at(x, mean, y, n)
        if w == 0.0 or abs(high - low) < 1e-9 * abs(x):
            break
        if (w > 0.0) == (w_high > 0.0):
            high = x
            w_high = w
            if side == 1:
                w_low *= 0.5
            side = 1
        else:
            low = x
            w_low = w
            if side == -1:
                w_high *= 0.5
            side = -1
        if abs(w) < 1e-10:
            break
    return x


@kernel
def place_of(j: int, right: bool, largest: float) -> float:
    """Place j = 0..GRID-1 of a side, from near 0 outwards, in units of 1 / mean; largest: of y / mean."""
    if right:
        return 1e-4 * math.exp(j * math.log(WIDEST / 1e-4) / (GRID - 1.0))
    if j < 6:
        return -1e-3 * math.exp(j * math.log(500.0) / 5.0) / largest
    return -(1.0 - 0.5 * math.exp((6.0 - j - 1.0) * 1.6)) / largest


@kernel
def by_likelihood(y: np.ndarray, n: int) -> tuple[float, float]:
    """xi >= -1 and sigma of the largest likelihood, by Grimshaw's trick, from n ascending excesses. y: (>= n,).

    With x = xi / sigma the two equations become one, w(x) = 0, of which the best root is taken; besides these the
    exponential law and, as the bound, the uniform one.
    """
    mean = mean_of(y, n)
    if not mean > TINY:
        return 0.0, max(mean, 1e-300)
    largest = y[n - 1] / mean
    xi = 0.0
    sigma = 1.0
    best = -1.0  # log likelihood a record in units of the mean: of the exponential law
    if -math.log(largest) > best:
        xi = LEAST_XI
        sigma = largest
        best = -math.log(largest)
    for side in range(2):
        before = place_of(0, side == 1, largest)
        w_before, _xi = slope_at(before, mean, y, n)
        for j in range(1, GRID):
            x = place_of(j, side == 1, largest)
            w, _xi = slope_at(x, mean, y, n)
            if (w > 0.0) != (w_before > 0.0):
                root = root_between(before, x, w_before, w, mean, y, n)
                _w, shape = slope_at(root, mean, y, n)
                if shape >= LEAST_XI and shape / root > 0.0:
                    likelihood = -math.log(shape / root) - 1.0 - shape
                    if likelihood > best:
                        best = likelihood
                        xi = shape
                        sigma = shape / root
            before = x
            w_before = w
    return min(xi, MOST_XI), sigma * mean
