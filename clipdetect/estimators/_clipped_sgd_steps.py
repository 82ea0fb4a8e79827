"""How `clipped_sgd` takes a step, and its half for loss=linear and logistic."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.components import UNREADABLE, Estimates, RowArrays
from clipdetect.jit import kernel
from clipdetect.numerics.combine import NEVER_MOVED
from clipdetect.numerics.ordered import insert, median
from clipdetect.numerics.regression import START, follow
from clipdetect.numerics.rolling import median_but_zeros, push, quantile

WINDOW = 128  # gradient norms kept, whose quantile is the clip level
TIMES_MEDIAN = 2.0  # clip level in medians of the gradient norms
LOGISTIC_QUANTILE = 0.9  # the same for loss=logistic, whose norms are very asymmetric
RIDGE = 1e-4  # on the weights of loss=logistic, which makes it strongly convex
MEDIAN_TO_SIGMA = 1.4826
LARGEST = 1e200  # a gradient norm beyond is not learned
DIVERGED = 1e100  # a coefficient beyond starts again
EPOCHS = 63
AUTO, FIXED, NONE = 0, 1, 2  # how the clip level comes about


class Schedule(NamedTuple):
    """The step sizes and the clip level."""

    radius: float  # of the ball around the start that coefficients stay in
    constant: float  # step size where it is > 0
    steps: np.ndarray  # (63,) otherwise: of the epochs
    how: int  # AUTO, FIXED or NONE
    level: float  # the clip level where it is fixed


class GradientNorms(NamedTuple):
    """The last gradient norms, see `rolling`."""

    norms: np.ndarray  # (K, C, 128)
    ordered: np.ndarray  # (K, C, 128)
    pushed: np.ndarray  # (K, C) int64


class RegressionState(NamedTuple):
    """The arrays of all keys for loss=linear and logistic."""

    t: np.ndarray  # (K,) int64, steps taken
    epoch: np.ndarray  # (K,) int64
    count: np.ndarray  # type: ignore[assignment]  # (K, d) int64, values learned
    norms: np.ndarray  # (K, 3, 128) this and the next two: see `GradientNorms`; the last channel is of residuals
    ordered: np.ndarray  # (K, 3, 128)
    pushed: np.ndarray  # (K, 3) int64
    theta: np.ndarray  # (K, d + 1) coefficients, the intercept first
    start: np.ndarray  # (K, d + 1) where they began
    previous: np.ndarray  # (K, d) the last value
    centre: np.ndarray  # (K, d) clipped running centre
    spread: np.ndarray  # (K, d) clipped mean of |deviation|
    first: np.ndarray  # (K, 8) the first values of the target
    held: np.ndarray  # (K, size, d) the last records, whose labels come later
    known: np.ndarray  # (K, size, d) bool, which of their values there are
    truth: np.ndarray  # (K, size) their labels, -1 where there is none
    seen: np.ndarray  # (K,) int64, records held so far


class RegressionParameters(NamedTuple):
    """The settings."""

    logistic: bool  # loss=logistic, else linear
    target: int  # column that is predicted, -1 where it is the label
    delay: int  # records after which a label is learned
    schedule: Schedule


@kernel
def step_size(t: int, k: int, epoch: np.ndarray, constant: float, steps: np.ndarray) -> float:
    """Of record t >= 1: constant where it is > 0, else that of epoch [2^e, 2^(e + 1)). epoch: (K,); steps: (63,)."""
    if constant > 0.0:
        return constant
    if t <= 1:
        epoch[k] = 0
    while t >= (1 << (epoch[k] + 1)):
        epoch[k] += 1
    return steps[epoch[k]]


@kernel
def shrinkage(
    norm: float, k: int, channel: int, q: float, times: float, schedule: Schedule, window: GradientNorms
) -> float:
    """min(1, clip level / norm), after the norm has entered its window."""
    push(norm, k, channel, window.norms, window.ordered, window.pushed)
    if schedule.how == NONE or norm == 0.0:
        return 1.0
    limit = schedule.level if schedule.how == FIXED else times * quantile(k, channel, q, window.ordered, window.pushed)
    return min(1.0, limit / norm)


@kernel
def project(k: int, radius: float, theta: np.ndarray, start: np.ndarray) -> None:
    """Back to the ball of this radius around the start. theta, start: (K, m)."""
    square = 0.0
    for j in range(theta.shape[1]):
        gap = theta[k, j] - start[k, j]
        square += gap * gap
    far = math.sqrt(square)
    if far > radius:
        for j in range(theta.shape[1]):
            theta[k, j] = start[k, j] + (theta[k, j] - start[k, j]) * (radius / far)


@kernel
def descend(
    k: int, y: float, at: int, rate: float, parameters: RegressionParameters, state: RegressionState, z: np.ndarray
) -> None:
    """One clipped step of the coefficients on the record held at `at`, whose truth is y. z: (d + 1,) scratch."""
    logistic, target, schedule = parameters.logistic, parameters.target, parameters.schedule
    rows, known, count, centre = state.held, state.known, state.count, state.centre
    theta, start = state.theta, state.start
    window = GradientNorms(state.norms, state.ordered, state.pushed)
    columns = rows.shape[2]
    value = theta[k, 0]
    square = 1.0
    for j in range(columns):
        z[j + 1] = 0.0
        if j != target and count[k, j] > 0:
            z[j + 1] = rows[k, at, j] if known[k, at, j] else centre[k, j]
        value += theta[k, j + 1] * z[j + 1]
        square += z[j + 1] * z[j + 1]
    error = y - value
    if logistic:
        error = y - 1.0 / (1.0 + math.exp(min(-value, 700.0)))
    norm = abs(error) * math.sqrt(square)
    if not norm < LARGEST:
        return
    if logistic:
        channel = 1 if y > 0.5 else 0
        rate *= shrinkage(norm, k, channel, LOGISTIC_QUANTILE, 1.0, schedule, window)
    else:
        rate *= shrinkage(norm, k, 0, 0.5, TIMES_MEDIAN, schedule, window)
    diverged = False
    for j in range(columns + 1):
        if logistic and j > 0:
            theta[k, j] -= rate * RIDGE * theta[k, j]
        theta[k, j] += rate * error * z[j]
        diverged = diverged or not abs(theta[k, j]) < DIVERGED
    if diverged:
        for j in range(columns + 1):
            theta[k, j] = start[k, j]
    project(k, schedule.radius, theta, start)


@kernel
def step_regression(
    rows: RowArrays, parameters: RegressionParameters, state: RegressionState, out: Estimates, z: np.ndarray,
    values: np.ndarray,
) -> None:  # fmt: skip
    """loss=linear and logistic: score each row of X (n, d), then learn it.

    z: (d + 1,) with z[0] = 1 and values: (8,) are scratch.
    """
    X, slots, label, learn, restart = rows.X, rows.slots, rows.label, rows.learn, rows.restart
    logistic, target, delay = parameters.logistic, parameters.target, parameters.delay
    constant, steps = parameters.schedule.constant, parameters.schedule.steps
    t, epoch, seen, count, previous = state.t, state.epoch, state.seen, state.count, state.previous
    centre, spread, theta, start = state.centre, state.spread, state.theta, state.start
    norms, ordered, pushed = state.norms, state.ordered, state.pushed
    first, held, known, truth = state.first, state.held, state.known, state.truth
    raw, expected, unit = out.raw, out.expected, out.scale
    d = X.shape[1]
    size = held.shape[1]
    for i in range(X.shape[0]):
        k = slots[i]
        if restart[i] and learn[i]:
            t[k] = 0
            seen[k] = 0
            for j in range(d):
                count[k, j] = 0
            for c in range(3):
                pushed[k, c] = 0
            for j in range(d + 1):
                theta[k, j] = 0.0
                start[k, j] = 0.0
        value = theta[k, 0]
        anything = False
        for j in range(d):
            if abs(X[i, j]) < UNREADABLE:
                anything = True
                x = X[i, j]
            else:
                x = centre[k, j]
            if j != target and count[k, j] > 0:
                value += theta[k, j + 1] * x
        y = label[i]
        if not logistic:
            y = X[i, target]
            anything = abs(y) < UNREADABLE
        if t[k] >= START:
            if logistic and anything:
                raw[i] = min(max(value, -1e300), 1e300)
            elif not logistic:
                sigma = MEDIAN_TO_SIGMA * median_but_zeros(k, 2, ordered, pushed)
                expected[i, target] = value
                unit[i, target] = sigma
                if anything and y == value:
                    raw[i] = 0.0
                elif anything and sigma > 0.0:
                    raw[i] = min(max((y - value) / max(sigma, 1e-15 * abs(value)), -1e300), 1e300)
                elif anything:
                    raw[i] = math.copysign(NEVER_MOVED, y - value)
        if not (learn[i] and anything):
            continue
        for j in range(d):
            if j != target and abs(X[i, j]) < UNREADABLE:
                follow(X[i, j], k, j, count, previous, centre, spread)
        at = seen[k] % size
        if delay > 0 and seen[k] >= delay and truth[k, at] >= 0.0:
            t[k] += 1
            rate = step_size(t[k], k, epoch, constant, steps)
            descend(k, truth[k, at], at, rate, parameters, state, z)
        for j in range(d):
            there = abs(X[i, j]) < UNREADABLE
            held[k, at, j] = X[i, j] if there else 0.0
            known[k, at, j] = there
        truth[k, at] = -1.0 if math.isnan(y) else y
        seen[k] += 1
        if delay > 0 or math.isnan(y):
            continue
        t[k] += 1
        rate = step_size(t[k], k, epoch, constant, steps)
        if logistic or t[k] > START:
            if not logistic:
                push(min(abs(y - value), LARGEST), k, 2, norms, ordered, pushed)
            descend(k, y, at, rate, parameters, state, z)
        else:
            first[k, t[k] - 1] = y
            if t[k] == START:
                for m in range(START):
                    insert(first[k, m], m, values)
                theta[k, 0] = median(START, values)
                start[k, 0] = theta[k, 0]
                for m in range(START):
                    push(abs(first[k, m] - theta[k, 0]), k, 2, norms, ordered, pushed)
