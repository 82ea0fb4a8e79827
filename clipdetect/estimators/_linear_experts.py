"""The experts of `linear`: least squares with several memories, and how they begin and begin again."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.jit import kernel
from clipdetect.numerics.ordered import insert, median
from clipdetect.numerics.regression import (
    START,
    Lines,
    absorb,
    change_unit,
    doubt,
    move_origin,
    project,
    regressor,
)

EXPERTS = 5
SHORTEST = 2.0  # records that the fastest expert remembers, per coefficient; each slower one four times as many
DEGREES = 2.0  # of the Student distribution of residuals: weight (degrees + 1) / (degrees + z^2)
SHARE = 0.001  # of the weight that all experts share anew with every record
LEAST_WEIGHT = 0.01  # of an equal share; an expert below it starts again from the mixture
RESIDUALS = 64  # whose median is the scale
TO_SIGMA = 1.4826  # standard deviations of a Gaussian in one median of |residual|
KEPT = 48  # records for the fit anew
WINDOW = 4  # of them are used per coefficient, and at least:
LEAST_WINDOW = 16  # 8 let four outliers in a row bend a line of one regressor
NEEDED = 3  # per coefficient, or there is no fit anew
PASSES = 5  # of the fit anew: least squares, then reweighted towards least absolute residuals
SURPRISE = 2.5  # scales
SURPRISES = 4  # among the last 8 residuals call for a fit anew
LEVERAGE = 6.0  # spreads; a record with a regressor farther out weighs as one there
MOST_FIELDS = 64


class LinearState(NamedTuple):
    """The arrays of all keys; p = d + 1 coefficients."""

    zero: np.ndarray  # (K,) origin of the target, in its unit
    seen: np.ndarray  # (K,) int64, records learned
    surprises: np.ndarray  # (K,) int64, one bit for each of the last 8 records
    count: np.ndarray  # type: ignore[assignment]  # (K, d) int64, values learned
    previous: np.ndarray  # (K, d) the last value
    centre: np.ndarray  # (K, d) clipped running centre
    spread: np.ndarray  # (K, d) clipped mean of |deviation|
    origin: np.ndarray  # (K, d) what a regressor is counted from
    unit: np.ndarray  # (K, d) and in, in the column's unit
    rows: np.ndarray  # (K, 48, d) the last records
    known: np.ndarray  # (K, 48, d) bool, which of their values there are
    theta: np.ndarray  # (K, 5, p) this and the next two: see `Lines`
    covariance: np.ndarray  # (K, 5, p, p)
    weights: np.ndarray  # (K, 5)
    residuals: np.ndarray  # (K, 1, 64) this and the next two: of |residual|, see `rolling`
    ordered: np.ndarray  # (K, 1, 64)
    pushed: np.ndarray  # (K, 1) int64


class LinearScratch(NamedTuple):
    """Room for what is worked out on the way."""

    z: np.ndarray  # (p,) regressors, the first 1
    f: np.ndarray  # (5,) predictions of the experts
    variance: np.ndarray  # (10,) their variances, then their likelihoods
    gain: np.ndarray  # (5, p) see `project`
    mean: np.ndarray  # (p,) coefficients of the mixture
    square: np.ndarray  # (p, p) their covariance
    first: np.ndarray  # (8,)


@kernel
def predict(k: int, lines: Lines, scratch: LinearScratch) -> tuple[float, float]:
    """The prediction at z and its variance; into the scratch those of each expert."""
    theta, covariance, weights = lines.theta, lines.covariance, lines.weights
    z, f, variance, gain = scratch.z, scratch.f, scratch.variance, scratch.gain
    value = 0.0
    doubtful = 0.0
    for e in range(EXPERTS):
        own, width = project(k, e, z, theta, covariance, gain)
        f[e] = own
        variance[e] = width
        value += weights[k, e] * own
        doubtful += weights[k, e] * width
    return value, doubtful


@kernel
def squared(error: float, unit: float) -> float:
    """(error / unit)^2, at most 1e18."""
    if error == 0.0:
        return 0.0
    z = min(abs(error) / unit, 1e9) if unit > 0.0 else 1e9
    return z * z


@kernel
def surprised(k: int, strange: bool, surprises: np.ndarray) -> bool:
    """Whether `SURPRISES` of the last 8 records were strange, this one included. surprises: (K,) one bit a record."""
    mask = ((surprises[k] << 1) | (1 if strange else 0)) & 255
    surprises[k] = mask
    found = 0
    while mask > 0:
        found += mask & 1
        mask >>= 1
    return found >= SURPRISES


@kernel
def learn(
    k: int, y: float, scale: float, importance: float, columns: int, lines: Lines, scratch: LinearScratch
) -> None:
    """All experts learn y (from its origin), and the mixture learns which of them to trust."""
    weights, f, variance = lines.weights, scratch.f, scratch.variance
    best = -math.inf
    for e in range(EXPERTS):
        z2 = squared(y - f[e], scale * math.sqrt(1.0 + variance[e]))
        variance[EXPERTS + e] = -0.5 * math.log1p(variance[e]) - 0.5 * (DEGREES + 1.0) * math.log1p(z2 / DEGREES)
        best = max(best, variance[EXPERTS + e])
    total = 0.0
    for e in range(EXPERTS):
        weights[k, e] *= math.exp(variance[EXPERTS + e] - best)
        total += weights[k, e]
    records = SHORTEST * columns
    for e in range(EXPERTS):
        weights[k, e] = (1.0 - SHARE) * weights[k, e] / total + SHARE / EXPERTS
        error = y - f[e]
        weight = importance * (DEGREES + 1.0) / (DEGREES + squared(error, scale))
        absorb(k, e, error, weight, 1.0 - 1.0 / records, variance[e], lines, scratch.gain)
        records *= 4.0


@kernel
def mix(k: int, lines: Lines, mean: np.ndarray, spread: np.ndarray) -> None:
    """The mixture's coefficients (p,) and covariance (p, p)."""
    theta, covariance, weights = lines.theta, lines.covariance, lines.weights
    p = mean.shape[0]
    for i in range(p):
        total = 0.0
        for e in range(EXPERTS):
            total += weights[k, e] * theta[k, e, i]
        mean[i] = total
        for j in range(i + 1):
            total = 0.0
            for e in range(EXPERTS):
                total += weights[k, e] * covariance[k, e, i, j]
            spread[i, j] = total
            spread[j, i] = total


@kernel
def start_again(k: int, lines: Lines, mean: np.ndarray, spread: np.ndarray) -> None:
    """Experts that nobody trusts go on from the mixture, with its uncertainty: they then average like 1/n."""
    weights = lines.weights
    lost = False
    for e in range(EXPERTS):
        lost = lost or weights[k, e] < LEAST_WEIGHT / EXPERTS
    if not lost:
        return
    mix(k, lines, mean, spread)
    for e in range(EXPERTS):
        if weights[k, e] < LEAST_WEIGHT / EXPERTS:
            for i in range(mean.shape[0]):
                lines.theta[k, e, i] = mean[i]
                for j in range(mean.shape[0]):
                    lines.covariance[k, e, i, j] = spread[i, j]


@kernel
def fit_anew(
    k: int, target: int, scale: float, columns: int, state: LinearState, lines: Lines, scratch: LinearScratch
) -> None:
    """The fastest expert becomes the fit of least absolute residuals to the last records.

    Least squares by recursion, then reweighted by 1 / max(|residual|, scale / 2); a window that is
    mostly of the new kind gives the new line at once.
    """
    rows, known, seen, zero = state.rows, state.known, state.seen[k], state.zero[k]
    theta, covariance = lines.theta, lines.covariance
    mean, spread, z, gain = scratch.mean, scratch.square, scratch.z, scratch.gain
    size = min(max(WINDOW * columns, LEAST_WINDOW), min(KEPT, seen))
    if size < NEEDED * columns:
        return
    p = mean.shape[0]
    mix(k, lines, mean, spread)
    for n in range(PASSES):
        for i in range(p):  # the last pass's answer is kept in row 1 of gain
            gain[1, i] = theta[k, 0, i]
        for i in range(p):
            if covariance[k, 0, i, i] != 0.0:
                doubt(k, 0, i, theta, covariance)
            theta[k, 0, i] = mean[i]
        for back in range(size):
            at = (seen - size + back) % KEPT
            y = rows[k, at, target] - zero
            residual = y - gain[1, 0]
            for j in range(p - 1):
                if j != target:
                    z[j + 1] = regressor(
                        rows[k, at, j], known[k, at, j], k, j, state.count, state.centre, state.origin, state.unit
                    )
                    residual -= gain[1, j + 1] * z[j + 1]
            weight = 1.0
            if n > 0:
                weight = 1.0 / max(math.sqrt(squared(residual, scale)), 0.5)
            f, variance = project(k, 0, z, theta, covariance, gain)
            absorb(k, 0, y - f, weight, 1.0, variance, lines, gain)


@kernel
def begin(k: int, target: int, state: LinearState, ordered: np.ndarray) -> None:
    """Origins, units and the first coefficients from the first `START` records: medians. ordered: (START,) scratch."""
    rows, known, count, centre, spread = state.rows, state.known, state.count, state.centre, state.spread
    theta, covariance, weights = state.theta, state.covariance, state.weights
    for e in range(EXPERTS):
        weights[k, e] = 1.0 / EXPERTS
        for i in range(theta.shape[2]):
            doubt(k, e, i, theta, covariance)
            if i > 0 and (i - 1 == target or count[k, i - 1] == 0):
                covariance[k, e, i, i] = 0.0
    for j in range(rows.shape[2]):
        filled = 0
        for n in range(START):
            if known[k, n, j]:
                insert(rows[k, n, j], filled, ordered)
                filled += 1
        if filled == 0:
            continue
        half = median(filled, ordered)
        if j == target:
            state.zero[k] = half
            continue
        off = 0.0
        for n in range(filled):
            off += abs(ordered[n] - half)
        quarter = filled // 4
        inner = 0.5 * (ordered[filled - 1 - quarter] - ordered[quarter])
        centre[k, j] = half
        spread[k, j] = inner if inner > 0.0 else off / filled
        state.origin[k, j] = half
        state.unit[k, j] = spread[k, j]


@kernel
def open_or_move(k: int, j: int, state: LinearState) -> None:
    """The origin and unit of column j keep up with the column; a new column gets its coefficient."""
    centre, spread, origin, unit = state.centre, state.spread, state.origin, state.unit
    theta, covariance = state.theta, state.covariance
    if state.count[k, j] == 1:
        origin[k, j] = centre[k, j]
        unit[k, j] = 0.0
        for e in range(EXPERTS):
            doubt(k, e, j + 1, theta, covariance)
    if not spread[k, j] > 0.0:
        return
    if not unit[k, j] > 0.0:
        unit[k, j] = spread[k, j]
    elif spread[k, j] > 2.0 * unit[k, j] or spread[k, j] < 0.5 * unit[k, j]:
        change_unit(k, j + 1, spread[k, j] / unit[k, j], theta, covariance)
        unit[k, j] = spread[k, j]
    by = (centre[k, j] - origin[k, j]) / unit[k, j]
    if abs(by) > 1.0:
        move_origin(k, j + 1, by, theta, covariance)
        origin[k, j] = centre[k, j]
