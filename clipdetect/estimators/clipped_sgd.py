"""Clipped stochastic gradient descent as published: the reference that the other estimators are measured against."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np

from clipdetect.components import UNREADABLE, Estimates, Estimator, Params, RawKind, RowArrays, Rows, Spec, State
from clipdetect.estimators._clipped_sgd_steps import (
    AUTO,
    EPOCHS,
    FIXED,
    NONE,
    TIMES_MEDIAN,
    WINDOW,
    GradientNorms,
    RegressionParameters,
    RegressionState,
    Schedule,
    project,
    shrinkage,
    step_regression,
    step_size,
)
from clipdetect.jit import kernel
from clipdetect.numerics.combine import NEVER_MOVED, Centre, combine
from clipdetect.numerics.ordered import insert, median
from clipdetect.numerics.regression import START
from clipdetect.numerics.several import limits_of_all

__all__ = ["ClippedSgd"]

SCALE_RATE = 0.01  # of a field's scale: some 200 values
SCALE_CLIP = 2.5
FIRST_SCALE = 0.545  # of the width of the middle four of eight Gaussian values, in mean |residual| clipped as above
TO_SIGMA = 1.27  # standard deviations of a Gaussian in that


class SgdMeanState(NamedTuple):
    """The arrays of all keys for loss=mean."""

    t: np.ndarray  # (K,) int64, steps taken
    epoch: np.ndarray  # (K,) int64
    count: np.ndarray  # type: ignore[assignment]  # (K, d) int64, of the first values
    norms: np.ndarray  # (K, 1, 128) this and the next two: see `GradientNorms`
    ordered: np.ndarray  # (K, 1, 128)
    pushed: np.ndarray  # (K, 1) int64
    theta: np.ndarray  # (K, d) estimate of the mean, in the field's unit
    start: np.ndarray  # (K, d) where it began
    scale: np.ndarray  # (K, d) clipped mean of |residual|, in the field's unit
    first: np.ndarray  # (K, 8, d) the first values
    location: np.ndarray  # (K, 2) see `combine`
    spread: np.ndarray  # (K, 2) see `combine`
    judged: np.ndarray  # (K,) int64, records that `combine` has learned


class SgdScratch(NamedTuple):
    """Room for what is worked out on the way."""

    z: np.ndarray  # (n, d) deviations in standard deviations, NaN where missing
    top: np.ndarray  # (d,) the largest of them
    values: np.ndarray  # (8,)


@kernel
def rescale(size: float, k: int, j: int, scale: np.ndarray) -> None:
    """One clipped step of a field's scale on the log axis; the fixed point is mean min(size / scale, 2.5) = 1."""
    if not scale[k, j] > 0.0:
        scale[k, j] = size
    elif size > 0.0:  # exact zeros say nothing about the size of the rest
        scale[k, j] *= math.exp(SCALE_RATE * (min(size / scale[k, j], SCALE_CLIP) - 1.0))


@kernel
def step_mean(rows: RowArrays, schedule: Schedule, state: SgdMeanState, out: Estimates, scratch: SgdScratch) -> None:
    """loss=mean: score each row of X (n, d), then learn it."""
    X, slots, learn, restart = rows.X, rows.slots, rows.learn, rows.restart
    t, epoch, count, first, pushed = state.t, state.epoch, state.count, state.first, state.pushed
    theta, start, scale = state.theta, state.start, state.scale
    judged = state.judged
    kept = Centre(state.location, state.spread, judged)
    raw, expected, unit = out.raw, out.expected, out.scale
    z, top, values = scratch.z, scratch.top, scratch.values
    window = GradientNorms(state.norms, state.ordered, pushed)
    d = X.shape[1]
    for i in range(X.shape[0]):
        k = slots[i]
        if restart[i] and learn[i]:
            t[k] = 0
            judged[k] = 0
            pushed[k, 0] = 0
            for j in range(d):
                count[k, j] = 0
        columns = 0
        anything = False
        square = 0.0
        for j in range(d):
            x = X[i, j]
            readable = abs(x) < UNREADABLE
            anything = anything or readable
            z[i, j] = math.nan
            if count[k, j] >= START:
                sigma = TO_SIGMA * scale[k, j]
                expected[i, j] = theta[k, j]
                unit[i, j] = sigma
                if readable:
                    gap = x - theta[k, j]
                    square += gap * gap
                    if gap == 0.0:
                        z[i, j] = 0.0
                    elif sigma > 0.0:
                        z[i, j] = min(max(gap / max(sigma, 1e-15 * abs(theta[k, j])), -1e300), 1e300)
                    else:  # the first change of a constant
                        z[i, j] = math.copysign(NEVER_MOVED, gap)
            if count[k, j] > 0 or (readable and learn[i]):
                columns += 1
        raw[i] = combine(z, i, columns, learn[i], k, kept, top)
        if not (learn[i] and anything):
            continue
        t[k] += 1
        rate = step_size(t[k], k, epoch, schedule.constant, schedule.steps)
        if not math.isnan(raw[i]):
            rate *= shrinkage(math.sqrt(square), k, 0, 0.5, TIMES_MEDIAN, schedule, window)
        for j in range(d):
            x = X[i, j]
            n = count[k, j]
            if abs(x) < UNREADABLE and n >= START:
                gap = x - theta[k, j]
                theta[k, j] += rate * gap
                rescale(abs(gap), k, j, scale)
            elif abs(x) < UNREADABLE:
                first[k, n, j] = x
                count[k, j] = n + 1
                if n + 1 == START:
                    for m in range(START):
                        insert(first[k, m, j], m, values)
                    theta[k, j] = median(START, values)
                    start[k, j] = theta[k, j]
                    scale[k, j] = FIRST_SCALE * (values[START - 3] - values[2])
        project(k, schedule.radius, theta, start)


class ClippedSgd(Estimator):
    """Clipped stochastic gradient descent with one slow step, as published [1]_: a reference, not a default.

    Best for comparison with the published method.
    theta moves by step * g * min(1, clip / |g|) with every record, g the negative gradient of the loss;
    the step is T^-alpha. Robust to outliers and heavy tails, and slow: after a jump it moves by
    step * clip a record at most, thousands of records at the published step. For comparison; `level`
    answers loss=mean faster, `linear` loss=linear, `logistic` loss=logistic.

    Parameters
    ----------
    loss : `mean` (of all fields, as one vector), `linear` (target from the other fields) or `logistic`
        (the label from all fields; needs `--label`).
    target : the field that loss=linear predicts; the first one by default.
    alpha : exponent of the step, in [0, 1]. 2/3 balances noise and drift where neither is known.
    horizon : length T of the stream where it is known: the step is T^-alpha throughout. Without it the
        doubling trick: T^-alpha with T = 2^k for records 2^k to 2^(k + 1). [records]
    clip : `auto` (2 medians of the last 128 gradient norms; their 0.9-quantile per class for
        loss=logistic), `oracle:S` (2 S, for a known scale S) or `none`.
    radius : of a ball around the start that theta must not leave; none by default. [units of theta]
    label_delay : after how many of a key's records the label of one is known, loss=logistic. [records]

    Cost
    ----
    O(fields) a record, and up to 128 moves in a window: compiled .2 us at one field, .5 us at six;
    interpreted 16 and 33 us (loss=linear 43 us at six).

    State
    -----
    About 265 floats and 12 a field; 780 and 8 a field with loss=linear and logistic, and label_delay rows more.

    Notes
    -----
    The paper's own rule for the clip level, which needs no bound on the variance, could not be checked
    against the paper: `auto` is ours. It needs no scale, so that loss=mean does not depend on a unit that
    all fields share; but the fields share one clip level, and the one with the largest unit rules it.
    With `oracle`, `radius` and the other losses the units matter: linear and logistic take regressors
    as they are, as published, and want them standardised (step * |x|^2 below 2, or the coefficients
    diverge, and start again). A missing regressor is taken at its column's running centre.
    The start is the median of the first 8 values, where the paper takes any point: one outlier as
    first value would cost 1 / step records. loss=logistic starts at zero, has a ridge of 1e-4, no opinion
    before 8 labels are learned, and one window of norms per class: in a common one a rare class is always
    beyond the quantile. It learns no record whose label is missing.

    References
    ----------
    .. [1] A. Sankararaman, B. Narayanaswamy, "Online robust non-stationary estimation", NeurIPS 2023.
    """

    raw_kind: RawKind = "residual"  # `level` for loss=logistic

    def __init__(
        self,
        loss: Literal["mean", "linear", "logistic"] = "mean",
        target: str = "",
        alpha: float = 2.0 / 3.0,
        horizon: int | None = None,
        clip: str = "auto",
        radius: float | None = None,
        label_delay: int = 0,
    ) -> None:
        if loss not in ("mean", "linear", "logistic"):
            raise ValueError(f"loss must be mean, linear or logistic, got {loss!r}")
        if target and loss != "linear":
            raise ValueError(f"target is for loss=linear, got loss={loss}")
        if not 0.0 <= alpha <= 1.0:
            raise ValueError(f"alpha must be in [0, 1], got {alpha}")
        if horizon is not None and horizon < 1:
            raise ValueError(f"horizon must be at least 1 record, got {horizon}")
        if radius is not None and not radius > 0.0:
            raise ValueError(f"radius must be > 0, got {radius}")
        if label_delay < 0:
            raise ValueError(f"label_delay must be >= 0, got {label_delay}")
        if label_delay and loss != "logistic":
            raise ValueError(f"label_delay is for loss=logistic, got loss={loss}")
        self.loss, self.target, self.alpha, self.horizon = loss, target, alpha, horizon
        self.clip, self.radius, self.label_delay = clip, radius, label_delay
        self._how, self._level = _clip(clip)
        self.state_class = SgdMeanState if loss == "mean" else RegressionState
        self._steps = np.array([2.0 ** (-alpha * e) for e in range(EPOCHS)])
        if loss == "logistic":
            self.raw_kind = "level"

    def check(self, params: Params) -> None:
        if self.loss == "logistic" and not params.labelled:
            raise ValueError("loss=logistic learns from labels: name their field with --label")

    def _place(self) -> int:
        """Index of the target among the fields, -1 where there is none."""
        if self.loss != "linear":
            return -1
        if not self.target:
            return 0 if self.fields else -1
        return list(self.fields).index(self.target) if self.target in self.fields else -1

    def lacks(self) -> str:
        if not self.target or self._place() >= 0:
            return ""
        return f"no field {self.target!r} to predict; there are: {', '.join(self.fields) or 'none'}"

    def state_spec(self, n_features: int) -> Spec:
        d = n_features
        common: Spec = {
            **dict.fromkeys(("t", "epoch"), ((), np.int64)),
            "count": ((d,), np.int64),
            "norms": ((1 if self.loss == "mean" else 3, WINDOW), np.float64),
            "ordered": ((1 if self.loss == "mean" else 3, WINDOW), np.float64),
            "pushed": ((1 if self.loss == "mean" else 3,), np.int64),
        }
        if self.loss == "mean":
            return {
                **common,
                **dict.fromkeys(("theta", "start", "scale"), ((d,), np.float64)),
                "first": ((START, d), np.float64),
                **dict.fromkeys(("location", "spread"), ((2,), np.float64)),
                "judged": ((), np.int64),
            }
        size = max(self.label_delay, 1)
        return {
            **common,
            **dict.fromkeys(("theta", "start"), ((d + 1,), np.float64)),
            **dict.fromkeys(("previous", "centre", "spread"), ((d,), np.float64)),
            "first": ((START,), np.float64),
            "held": ((size, d), np.float64),
            "known": ((size, d), np.bool_),
            "truth": ((size,), np.float64),
            "seen": ((), np.int64),
        }

    def step(self, state: State, slots: np.ndarray, rows: Rows) -> Estimates:
        n, d = rows.X.shape
        out, arrays = Estimates.none(rows), self.state_arrays(state)
        constant = 0.0 if self.horizon is None else float(self.horizon) ** -self.alpha
        radius = math.inf if self.radius is None else float(self.radius)
        schedule = Schedule(radius, constant, self._steps, self._how, self._level)
        if self.loss == "mean":
            scratch = SgdScratch(np.empty((n, d)), np.empty(d), np.empty(START))
            self.run(step_mean, n, rows.arrays(slots), schedule, arrays, out, scratch)
            return out
        target = self._place()
        if self.loss == "linear" and target < 0:
            return out
        parameters = RegressionParameters(self.loss == "logistic", target, self.label_delay, schedule)
        self.run(step_regression, n, rows.arrays(slots), parameters, arrays, out, np.ones(d + 1), np.empty(START))
        return out

    def multiples(
        self, state: State, slots: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.loss != "mean":
            return low, high
        return limits_of_all(state["count"], state["location"], state["spread"], slots, low, high)


def _clip(text: str) -> tuple[int, float]:
    """How the clip level comes about, and the level where it is fixed."""
    if text in ("auto", "none"):
        return (AUTO if text == "auto" else NONE), 0.0
    name, colon, number = text.partition(":")
    try:
        scale = float(number)
    except ValueError:
        scale = math.nan
    if name != "oracle" or not colon or not 0.0 < scale < math.inf:
        raise ValueError(f"clip must be auto, none or oracle:S with a scale S > 0, got {text!r}")
    return FIXED, 2.0 * scale
