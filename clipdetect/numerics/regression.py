"""What estimators share that predict one number of a record from its others.

Columns have a clipped running centre and spread, which stand in for a missing value and say how
far out a value is. Least squares are kept as coefficients and their covariance, for several experts
at once: theta (K, E, p), covariance (K, E, p, p), where coefficient 0 is the intercept.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.jit import kernel

START = 8  # first values whose median is the start
COLUMN_RATE = 0.01  # of a column's centre and spread: some 100 values
COLUMN_CLIP = 2.5  # spreads; a larger deviation teaches no more than this
FARTHEST = 1e6  # units; a regressor beyond is taken as there
DOUBT = 100.0  # variance of a coefficient of which nothing is known, in variances of the noise per unit of its column
LOST = 1e-12  # a variance below this is rounding


class Lines(NamedTuple):
    """The lines of E experts with p coefficients each."""

    theta: np.ndarray  # (K, E, p) coefficients, the intercept first
    covariance: np.ndarray  # (K, E, p, p) in variances of the noise
    weights: np.ndarray  # (K, E) how much each is trusted, 1 in all


@kernel
def follow(
    x: float, k: int, j: int, count: np.ndarray, previous: np.ndarray, centre: np.ndarray, spread: np.ndarray
) -> None:
    """Column j of key k takes one clipped step towards x; the spread's fixed point is mean |x - centre| = 1.

    A value equal to the one before says nothing about the size of the rest. All arrays (K, d).
    """
    n = count[k, j]
    count[k, j] = n + 1
    if n == 0:
        centre[k, j] = x
        spread[k, j] = 0.0
    elif x != previous[k, j]:
        rate = max(COLUMN_RATE, 1.0 / (n + 1.0))
        d = x - centre[k, j]
        if spread[k, j] > 0.0:
            z = d / spread[k, j]
            centre[k, j] += rate * spread[k, j] * min(max(z, -COLUMN_CLIP), COLUMN_CLIP)
            spread[k, j] *= math.exp(0.5 * min(rate, 0.1) * (min(abs(z), COLUMN_CLIP) - 1.0))
        elif d != 0.0:
            spread[k, j] = abs(d)
            centre[k, j] += d / 2.0
    previous[k, j] = x


@kernel
def regressor(
    x: float, known: bool, k: int, j: int, count: np.ndarray, centre: np.ndarray, origin: np.ndarray, unit: np.ndarray
) -> float:
    """x in units of column j above its origin; the running centre where x is not known, 0 before there is one."""
    if count[k, j] == 0 or not unit[k, j] > 0.0:
        return 0.0
    value = x if known else centre[k, j]
    return min(max((value - origin[k, j]) / unit[k, j], -FARTHEST), FARTHEST)


@kernel
def leverage(x: float, known: bool, k: int, j: int, count: np.ndarray, centre: np.ndarray, spread: np.ndarray) -> float:
    """How many spreads x lies from the centre of column j; 0 where nobody can say."""
    if not known or count[k, j] == 0 or not spread[k, j] > 0.0:
        return 0.0
    return abs(x - centre[k, j]) / spread[k, j]


@kernel
def doubt(k: int, e: int, j: int, theta: np.ndarray, covariance: np.ndarray) -> None:
    """Coefficient j of expert e is unknown: zero, uncertain, unrelated to the others."""
    theta[k, e, j] = 0.0
    for i in range(theta.shape[2]):
        covariance[k, e, i, j] = 0.0
        covariance[k, e, j, i] = 0.0
    covariance[k, e, j, j] = DOUBT


@kernel
def project(
    k: int, e: int, z: np.ndarray, theta: np.ndarray, covariance: np.ndarray, gain: np.ndarray
) -> tuple[float, float]:
    """Prediction of expert e at the regressors z (p,), and variance of it; gain (E, p) becomes covariance z."""
    p = z.shape[0]
    value = 0.0
    variance = 0.0
    for i in range(p):
        total = 0.0
        for j in range(p):
            total += covariance[k, e, i, j] * z[j]
        gain[e, i] = total
        value += theta[k, e, i] * z[i]
        variance += z[i] * total
    return value, max(variance, 0.0)


@kernel
def absorb(
    k: int, e: int, error: float, weight: float, memory: float, variance: float, lines: Lines, gain: np.ndarray
) -> None:
    """One record of recursive least squares, of this weight; what came before is forgotten by `memory` in (0, 1].

    gain (E, p), variance : of `project`. No coefficient becomes more uncertain than an unknown one,
    so that a column that stands still does not blow up its covariance.
    """
    theta, covariance = lines.theta, lines.covariance
    p = theta.shape[2]
    share = weight / (memory + weight * variance)
    for i in range(p):
        g = share * gain[e, i]
        theta[k, e, i] += g * error
        for j in range(i + 1):  # one triangle, mirrored: rounding that differs in the two would grow
            value = (covariance[k, e, i, j] - g * gain[e, j]) / memory
            covariance[k, e, i, j] = value
            covariance[k, e, j, i] = value
    for j in range(p):
        own = covariance[k, e, j, j]
        if own > DOUBT:
            shrink = math.sqrt(DOUBT / own)
            for i in range(p):
                covariance[k, e, i, j] *= shrink
                covariance[k, e, j, i] *= shrink
        elif own < LOST and own != 0.0:  # 0 is a column never seen
            for i in range(p):
                covariance[k, e, i, j] = 0.0
                covariance[k, e, j, i] = 0.0
            covariance[k, e, j, j] = DOUBT


@kernel
def move_origin(k: int, j: int, by: float, theta: np.ndarray, covariance: np.ndarray) -> None:
    """Coefficient j belongs to a column whose origin moves up by `by` units: the same function, written anew."""
    p = theta.shape[2]
    for e in range(theta.shape[1]):
        theta[k, e, 0] += by * theta[k, e, j]
        for i in range(p):
            covariance[k, e, 0, i] += by * covariance[k, e, j, i]
        for i in range(p):
            covariance[k, e, i, 0] += by * covariance[k, e, i, j]


@kernel
def change_unit(k: int, j: int, factor: float, theta: np.ndarray, covariance: np.ndarray) -> None:
    """Coefficient j belongs to a column whose unit grows by `factor`: the same function, written anew."""
    for e in range(theta.shape[1]):
        theta[k, e, j] *= factor
        for i in range(theta.shape[2]):
            covariance[k, e, i, j] *= factor
            covariance[k, e, j, i] *= factor
