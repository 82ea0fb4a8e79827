"""One field predicted from the others, by least squares with several memories."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from clipdetect.components import Estimator, Params, Rows, Spec, State
from clipdetect.jit import kernel
from clipdetect.numerics.regression import (
    START,
    UNREADABLE,
    absorb,
    change_unit,
    doubt,
    follow,
    insert,
    leverage,
    middle,
    move_origin,
    project,
    regressor,
)
from clipdetect.numerics.rolling import median_but_zeros, push

__all__ = ["Linear"]

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
NEVER_MOVED = 100.0  # |raw| of the first change of a target that had none


@kernel
def predict(k, z, f, variance, theta, covariance, weights, gain):
    """Predictions f (E,) of the experts at z (p,), their variances (E,), and the mixture's."""
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
def squared(error, unit):
    """(error / unit)^2, at most 1e18."""
    if error == 0.0:
        return 0.0
    z = min(abs(error) / unit, 1e9) if unit > 0.0 else 1e9
    return z * z


@kernel
def surprised(k, strange, surprises):
    """Whether `SURPRISES` of the last 8 records were strange, this one included. surprises: (K,) one bit a record."""
    mask = ((surprises[k] << 1) | (1 if strange else 0)) & 255
    surprises[k] = mask
    found = 0
    while mask > 0:
        found += mask & 1
        mask >>= 1
    return found >= SURPRISES


@kernel
def learn(k, y, scale, importance, columns, f, variance, theta, covariance, weights, gain):
    """All experts learn y (from its origin), and the mixture learns which of them to trust."""
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
        absorb(k, e, error, weight, 1.0 - 1.0 / records, variance[e], theta, covariance, gain)
        records *= 4.0


@kernel
def mix(k, theta, covariance, weights, mean, spread):
    """The mixture's coefficients (p,) and covariance (p, p)."""
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
def start_again(k, theta, covariance, weights, mean, spread):
    """Experts that nobody trusts go on from the mixture, with its uncertainty: they then average like 1/n."""
    lost = False
    for e in range(EXPERTS):
        lost = lost or weights[k, e] < LEAST_WEIGHT / EXPERTS
    if not lost:
        return
    mix(k, theta, covariance, weights, mean, spread)
    for e in range(EXPERTS):
        if weights[k, e] < LEAST_WEIGHT / EXPERTS:
            for i in range(mean.shape[0]):
                theta[k, e, i] = mean[i]
                for j in range(mean.shape[0]):
                    covariance[k, e, i, j] = spread[i, j]


@kernel
def fit_anew(
    k, target, zero, scale, columns, seen, rows, known, count, centre, origin, unit, theta, covariance, weights, mean,
    spread, z, gain,
):  # fmt: skip
    """The fastest expert becomes the fit of least absolute residuals to the last records.

    Least squares by recursion, then reweighted by 1 / max(|residual|, scale / 2); a window that is
    mostly of the new kind gives the new line at once.
    """
    size = min(max(WINDOW * columns, LEAST_WINDOW), min(KEPT, seen))
    if size < NEEDED * columns:
        return
    p = mean.shape[0]
    mix(k, theta, covariance, weights, mean, spread)
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
                    z[j + 1] = regressor(rows[k, at, j], known[k, at, j], k, j, count, centre, origin, unit)
                    residual -= gain[1, j + 1] * z[j + 1]
            weight = 1.0
            if n > 0:
                weight = 1.0 / max(math.sqrt(squared(residual, scale)), 0.5)
            f, variance = project(k, 0, z, theta, covariance, gain)
            absorb(k, 0, y - f, weight, 1.0, variance, theta, covariance, gain)


@kernel
def begin(k, target, rows, known, count, centre, spread, origin, unit, zero, theta, covariance, weights, ordered):
    """Origins, units and the first coefficients from the first `START` records: medians. ordered: (START,) scratch."""
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
        half = middle(ordered, filled)
        if j == target:
            zero[k] = half
            continue
        off = 0.0
        for n in range(filled):
            off += abs(ordered[n] - half)
        quarter = filled // 4
        inner = 0.5 * (ordered[filled - 1 - quarter] - ordered[quarter])
        centre[k, j] = half
        spread[k, j] = inner if inner > 0.0 else off / filled
        origin[k, j] = half
        unit[k, j] = spread[k, j]


@kernel
def open_or_move(k, j, count, centre, spread, origin, unit, theta, covariance):
    """The origin and unit of column j keep up with the column; a new column gets its coefficient."""
    if count[k, j] == 1:
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


@kernel
def step(
    X, slots, learns, restart, target, zero, seen, surprises, count, previous, centre, spread, origin, unit, rows,
    known, theta, covariance, weights, residuals, ordered, pushed, raw, expected, scale, z, f, variance, gain, mean,
    square, first,
):  # fmt: skip
    """Score each row, then learn it. X, expected, scale: (n, d); raw: (n,); the last seven are scratch."""
    d = X.shape[1]
    for i in range(X.shape[0]):
        k = slots[i]
        if restart[i] and learns[i]:
            seen[k] = 0
            surprises[k] = 0
            pushed[k, 0] = 0
            for j in range(d):
                count[k, j] = 0
        columns = 1
        importance = 1.0
        begun = seen[k] >= START
        for j in range(d):
            x = X[i, j]
            z[j + 1] = 0.0
            if j != target and begun:
                there = abs(x) < UNREADABLE
                columns += 1 if count[k, j] > 0 else 0
                z[j + 1] = regressor(x, there, k, j, count, centre, origin, unit)
                far = leverage(x, there, k, j, count, centre, spread)
                if far > LEVERAGE:
                    importance = min(importance, (LEVERAGE / far) * (LEVERAGE / far))
        value = X[i, target]
        readable = abs(value) < UNREADABLE
        y = 0.0
        error = 0.0
        width = 0.0
        own = 0.0
        if begun:
            own = TO_SIGMA * median_but_zeros(k, 0, ordered, pushed)
            guess, doubtful = predict(k, z, f, variance, theta, covariance, weights, gain)
            width = own * math.sqrt(1.0 + doubtful)
            expected[i, target] = zero[k] + guess
            scale[i, target] = width
            if readable:
                y = value - zero[k]
                error = y - guess
                spacing = 1e-15 * (abs(value) + abs(zero[k]) + abs(guess))  # of floats there
                for j in range(d):
                    spacing += 1e-13 * abs(z[j + 1] * theta[k, EXPERTS - 1, j + 1])
                if abs(error) <= spacing:
                    error = 0.0
                if error == 0.0:
                    raw[i] = 0.0
                elif own > 0.0:
                    raw[i] = min(max(error / max(width, spacing), -1e300), 1e300)
                else:
                    raw[i] = math.copysign(NEVER_MOVED, error)
        if not (learns[i] and readable):
            continue
        at = seen[k] % KEPT
        for j in range(d):
            there = abs(X[i, j]) < UNREADABLE
            known[k, at, j] = there
            rows[k, at, j] = X[i, j] if there else 0.0
        seen[k] += 1
        if begun:
            push(abs(error), k, 0, residuals, ordered, pushed)
            learn(k, y, own, importance, columns, f, variance, theta, covariance, weights, gain)
            if surprised(k, abs(error) > SURPRISE * own, surprises):
                fit_anew(
                    k, target, zero[k], own, columns, seen[k], rows, known, count, centre, origin, unit, theta,
                    covariance, weights, mean, square, z, gain,
                )  # fmt: skip
            start_again(k, theta, covariance, weights, mean, square)
        for j in range(d):
            if j != target and abs(X[i, j]) < UNREADABLE:
                follow(X[i, j], k, j, count, previous, centre, spread)
                if begun:
                    open_or_move(k, j, count, centre, spread, origin, unit, theta, covariance)
        if seen[k] == START:
            begin(
                k, target, rows, known, count, centre, spread, origin, unit, zero, theta, covariance, weights, first,
            )  # fmt: skip
            columns = 1
            for j in range(d):
                columns += 1 if j != target and count[k, j] > 0 else 0
            for n in range(START):
                push(abs(rows[k, n, target] - zero[k]), k, 0, residuals, ordered, pushed)
            own = TO_SIGMA * median_but_zeros(k, 0, ordered, pushed)
            for n in range(START):
                for j in range(d):
                    if j != target:
                        z[j + 1] = regressor(rows[k, n, j], known[k, n, j], k, j, count, centre, origin, unit)
                predict(k, z, f, variance, theta, covariance, weights, gain)
                learn(
                    k, rows[k, n, target] - zero[k], own, 1.0, columns, f, variance, theta, covariance, weights, gain,
                )  # fmt: skip


class Linear(Estimator):
    """One field predicted from the others: robust least squares with five memories; nothing to tune.

    Best for one field that the others predict.
    How strange a record is, is how far its target lies from the line through the others. Five recursive
    least squares, with memories of 2 to 512 records per coefficient, learn every record, far residuals
    with a small weight [1]_ [2]_; the prediction is their mixture, by how likely each found the recent
    records [3]_. After a jump of the line some 35 records at five regressors bring it back, where
    clipped SGD at its published step takes thousands. Not for a target whose relation to the others is
    bent, nor where any field may be the strange one: it judges the target alone, and of a burst of some eight
    outliers in a row or more it takes the line. A record without target is not scored and not learned.

    Parameters
    ----------
    target : the field that is predicted; the first one by default.

    Cost
    ----
    O(fields^2) a record: compiled .6 us for a target alone, .75 us with one other field, 1.4 us with five,
    3.8 us with fifteen; interpreted 43, 58, 145 and 545 us. At worst, where every record calls for a fit anew,
    12 us, 31 us with five other fields and 175 us with fifteen.

    State
    -----
    About 5 * fields^2 + 70 * fields + 170 floats: 8 KB a key at six fields, 206 KB at 64, the most it takes.

    Notes
    -----
    The clipped step under drift and corruption is [4]_'s; there it is one gradient step of one fixed rate.
    Here the step is that of least squares, so that neither correlated regressors nor their units matter;
    a residual r counts by the weight 3 / (2 + r^2) of a Student distribution with two degrees, in scales of
    the last 64 residuals' median; an expert that the mixture does not trust starts again from it, with its
    uncertainty, and then averages like 1/n; and where four of the last eight residuals were beyond 2.5
    scales, the fastest expert is fitted anew to the last 4 records a coefficient (16 at least), by least
    absolute residuals (up to fifteen other fields). The combination is ours, no regret bound is claimed for it.
    The constants were chosen on streams of five regressors and t(2.1) noise, and checked on others.
    A missing regressor is taken at its column's running centre. A regressor more than six spreads from
    its centre weighs as one at six, so that one outlier there does not fix its slope.
    The scale of a prediction includes the line's own uncertainty at the record's regressors.

    References
    ----------
    .. [1] Y. Zou, S. Chan, T. Ng, "Recursive least M-estimate adaptive filter for robust adaptive
       filtering in impulse noise", IEEE Trans. Circuits and Systems II 47(11), 2000.
    .. [2] K. Lange, R. Little, J. Taylor, "Robust statistical modeling using the t distribution", Journal
       of the American Statistical Association 84(408), 1989.
    .. [3] M. Herbster, M. Warmuth, "Tracking the best expert", Machine Learning 32(2), 1998: fixed share.
    .. [4] A. Sankararaman, B. Narayanaswamy, "Online robust non-stationary estimation", NeurIPS 2023.
    """

    raw_kind = "residual"

    def __init__(self, target: str = "") -> None:
        self.target = target

    def bind(self, fields: Sequence[str], params: Params) -> None:
        if len(fields) > MOST_FIELDS:
            problem = f"linear takes at most {MOST_FIELDS} fields, got {len(fields)}"
            raise ValueError(f"{problem}: name the target and those that tell of it with --field")
        super().bind(fields, params)

    def _place(self) -> int:
        """Index of the target among the fields, -1 where it is not there."""
        if not self.target:
            return 0 if self.fields else -1
        return list(self.fields).index(self.target) if self.target in self.fields else -1

    def lacks(self) -> str:
        if self._place() >= 0 or not self.target:
            return ""
        return f"no field {self.target!r} to predict; there are: {', '.join(self.fields) or 'none'}"

    def state_spec(self, n_features: int) -> Spec:
        d, p = n_features, n_features + 1
        return {
            **dict.fromkeys(("zero",), ((), np.float64)),
            **dict.fromkeys(("seen", "surprises"), ((), np.int64)),
            "count": ((d,), np.int64),
            **dict.fromkeys(("previous", "centre", "spread", "origin", "unit"), ((d,), np.float64)),
            "rows": ((KEPT, d), np.float64),
            "known": ((KEPT, d), np.bool_),
            "theta": ((EXPERTS, p), np.float64),
            "covariance": ((EXPERTS, p, p), np.float64),
            "weights": ((EXPERTS,), np.float64),
            "residuals": ((1, RESIDUALS), np.float64),
            "ordered": ((1, RESIDUALS), np.float64),
            "pushed": ((1,), np.int64),
        }

    def step(self, state: State, slots: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n, d = rows.X.shape
        p = d + 1
        raw, expected, scale = np.full(n, np.nan), np.full((n, d), np.nan), np.full((n, d), np.nan)
        target = self._place()
        if target < 0:
            return raw, expected, scale
        z = np.zeros(p)
        z[0] = 1.0
        names = (
            "zero", "seen", "surprises", "count", "previous", "centre", "spread", "origin", "unit", "rows", "known",
            "theta", "covariance", "weights", "residuals", "ordered", "pushed",
        )  # fmt: skip
        self.run(
            step, n, rows.X, slots, rows.learn, rows.restart, target, *[state[name] for name in names], raw, expected,
            scale, z, np.empty(EXPERTS), np.empty(2 * EXPERTS), np.empty((EXPERTS, p)), np.empty(p), np.empty((p, p)),
            np.empty(START),
        )  # fmt: skip
        return raw, expected, scale

    def coefficients(self, state: State, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Intercept (n,) and slopes (n, d) of the keys' lines in the fields' own units; NaN before the start."""
        weights = state["weights"][slots][:, :, None]
        theta = (weights * state["theta"][slots]).sum(axis=1)
        unit = state["unit"][slots]
        slopes = np.where(unit > 0.0, theta[:, 1:] / np.where(unit > 0.0, unit, 1.0), 0.0)
        intercept = state["zero"][slots] + theta[:, 0] - (slopes * state["origin"][slots]).sum(axis=1)
        begun = state["seen"][slots] >= START
        return np.where(begun, intercept, np.nan), np.where(begun[:, None], slopes, np.nan)
