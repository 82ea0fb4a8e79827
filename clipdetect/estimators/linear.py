"""One field predicted from the others, by least squares with several memories."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from clipdetect.components import UNREADABLE, Estimates, Estimator, Params, RowArrays, Rows, Spec, State
from clipdetect.estimators._linear_experts import (
    EXPERTS,
    KEPT,
    LEVERAGE,
    MOST_FIELDS,
    RESIDUALS,
    SURPRISE,
    TO_SIGMA,
    LinearScratch,
    LinearState,
    begin,
    fit_anew,
    learn,
    open_or_move,
    predict,
    start_again,
    surprised,
)
from clipdetect.jit import kernel
from clipdetect.numerics.combine import NEVER_MOVED
from clipdetect.numerics.regression import START, Lines, follow, leverage, regressor
from clipdetect.numerics.rolling import median_but_zeros, push

__all__ = ["Linear"]


@kernel
def step(rows: RowArrays, target: int, state: LinearState, out: Estimates, scratch: LinearScratch) -> None:
    """Score each row of X (n, d), then learn it. target: the column that is predicted."""
    X, slots, learns, restart = rows.X, rows.slots, rows.learn, rows.restart
    zero, seen, surprises, count = state.zero, state.seen, state.surprises, state.count
    previous, centre, spread, origin, unit = state.previous, state.centre, state.spread, state.origin, state.unit
    kept, known, theta = state.rows, state.known, state.theta
    residuals, ordered, pushed = state.residuals, state.ordered, state.pushed
    raw, expected, scale, z = out.raw, out.expected, out.scale, scratch.z
    lines = Lines(theta, state.covariance, state.weights)
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
            guess, doubtful = predict(k, lines, scratch)
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
            kept[k, at, j] = X[i, j] if there else 0.0
        seen[k] += 1
        if begun:
            push(abs(error), k, 0, residuals, ordered, pushed)
            learn(k, y, own, importance, columns, lines, scratch)
            if surprised(k, abs(error) > SURPRISE * own, surprises):
                fit_anew(k, target, own, columns, state, lines, scratch)
            start_again(k, lines, scratch.mean, scratch.square)
        for j in range(d):
            if j != target and abs(X[i, j]) < UNREADABLE:
                follow(X[i, j], k, j, count, previous, centre, spread)
                if begun:
                    open_or_move(k, j, state)
        if seen[k] == START:
            begin(k, target, state, scratch.first)
            columns = 1
            for j in range(d):
                columns += 1 if j != target and count[k, j] > 0 else 0
            for n in range(START):
                push(abs(kept[k, n, target] - zero[k]), k, 0, residuals, ordered, pushed)
            own = TO_SIGMA * median_but_zeros(k, 0, ordered, pushed)
            for n in range(START):
                for j in range(d):
                    if j != target:
                        z[j + 1] = regressor(kept[k, n, j], known[k, n, j], k, j, count, centre, origin, unit)
                predict(k, lines, scratch)
                learn(k, kept[k, n, target] - zero[k], own, 1.0, columns, lines, scratch)


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
    state_class = LinearState

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

    def step(self, state: State, slots: np.ndarray, rows: Rows) -> Estimates:
        n, d = rows.X.shape
        p = d + 1
        out = Estimates.none(rows)
        target = self._place()
        if target < 0:
            return out
        z = np.zeros(p)
        z[0] = 1.0
        scratch = LinearScratch(
            z, np.empty(EXPERTS), np.empty(2 * EXPERTS), np.empty((EXPERTS, p)), np.empty(p), np.empty((p, p)),
            np.empty(START),
        )  # fmt: skip
        self.run(step, n, rows.arrays(slots), target, self.state_arrays(state), out, scratch)
        return out

    def coefficients(self, state: State, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Intercept (n,) and slopes (n, d) of the keys' lines in the fields' own units; NaN before the start."""
        weights = state["weights"][slots][:, :, None]
        theta = (weights * state["theta"][slots]).sum(axis=1)
        unit = state["unit"][slots]
        slopes = np.where(unit > 0.0, theta[:, 1:] / np.where(unit > 0.0, unit, 1.0), 0.0)
        intercept = state["zero"][slots] + theta[:, 0] - (slopes * state["origin"][slots]).sum(axis=1)
        begun = state["seen"][slots] >= START
        return np.where(begun, intercept, np.nan), np.where(begun[:, None], slopes, np.nan)
