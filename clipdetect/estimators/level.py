"""The anchored ladder: clipped SGD at six rates, and the slowest that the faster ones do not contradict."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.components import UNREADABLE, Estimates, Estimator, RowArrays, Rows, Spec, State
from clipdetect.jit import kernel
from clipdetect.numerics.combine import NEVER_MOVED, Centre, combine
from clipdetect.numerics.several import limits_of_all

__all__ = ["Level"]

EXPERTS = 6
FIRST_RATE = 1.0 / 16.0  # of the fastest expert; each slower one has half of the one before
START = 8  # values of a field before there is an opinion
CLIP = 1.75  # scales; how far one value moves an expert at most
REJECT = 5.2  # scales; farther values move no expert, because the anchor brings them back
SCALE_RATE = 0.01  # of the scale: some 200 values
SCALE_CLIP = 2.0
TO_SIGMA = 1.31  # standard deviations of a Gaussian in one clipped mean of |x - anchor|
CRITICAL = 3.89  # disagreement, in standard errors, that counts: 1 - 2e-4 of a chi-square with one degree
SLACK = 0.5  # more than that before an expert is moved
ANCHOR_VARIANCE = 1.6  # of a median, times the window, in variances of a value
BEGIN_AGAIN = 3.0  # values that the anchor is worth when experts begin on it: after a jump it is at their edge
MEMORY = 0.002  # rate of the autocorrelation
MOST_CORRELATION = 0.95
CORRELATION_AFTER = 60  # values before the autocorrelation is believed


class LevelState(NamedTuple):
    """The arrays of all keys; all but the counts are in the field's unit, less its origin where they are levels."""

    origin: np.ndarray  # (K, d) first value
    expected: np.ndarray  # (K, d) what is expected of the next value
    scale: np.ndarray  # (K, d) clipped mean of |x - anchor|
    smallest: np.ndarray  # (K, d) smallest difference of two values in a row, 0 where none yet
    count: np.ndarray  # type: ignore[assignment]  # (K, d) int64, values learned
    run: np.ndarray  # (K, d) int64, surprises in a row; below 0: values next to the anchor
    window: np.ndarray  # (K, w, d) the last values, a ring
    ordered: np.ndarray  # (K, w, d) the same in order
    experts: np.ndarray  # (K, 6, d) the averages, fastest first
    rates: np.ndarray  # (K, 6, d) their rates, in (0, 1)
    moments: np.ndarray  # (K, 3, d) of clipped residuals: product with the one before, square, the last one
    location: np.ndarray  # (K, 2) see `combine`
    spread: np.ndarray  # (K, 2) see `combine`
    judged: np.ndarray  # (K,) int64, records that `combine` has learned


class LevelParameters(NamedTuple):
    """The settings, and what follows from them."""

    reject: bool  # whether far values move no average
    variances: np.ndarray  # (6, 12) see `_variances`


class Ladder(NamedTuple):
    """What the comparisons of averages read."""

    experts: np.ndarray  # (K, 6, d)
    rates: np.ndarray  # (K, 6, d)
    variances: np.ndarray  # (6, 12) of differences of experts at their final rates, and those rates
    anchor_variance: float  # of the median, in variances of a value


class LevelScratch(NamedTuple):
    """Room for what is worked out on the way."""

    z: np.ndarray  # (n, d) deviations in standard deviations, NaN where missing
    top: np.ndarray  # (d,) the largest of them


@kernel
def middle(ordered: np.ndarray, k: int, j: int, n: int) -> float:
    """Median of the first n sorted values of field j."""
    if n % 2 == 1:
        return ordered[k, n // 2, j]
    return 0.5 * (ordered[k, n // 2 - 1, j] + ordered[k, n // 2, j])


@kernel
def slide(x: float, old: float, k: int, j: int, n: int, ordered: np.ndarray) -> None:
    """Put value number n (from 0) of field j among the sorted ones, in place of `old`, infinite where none leaves.

    In one pass without a search: beyond the place of the value that leaves, each place takes what
    stands next to it, or x where x belongs.
    """
    size = ordered.shape[1]
    if n < size:  # the free places stand behind all values
        ordered[k, n, j] = math.inf
    if x >= old:
        for i in range(size - 1):
            v = ordered[k, i, j]
            after = ordered[k, i + 1, j]
            own = x if x > v else v
            own = after if after < own else own
            ordered[k, i, j] = v if v < old else own
        if ordered[k, size - 1, j] < x or ordered[k, size - 1, j] == old:
            ordered[k, size - 1, j] = x
    else:
        last = min(n, size - 1)
        for back in range(last):
            i = last - back
            v = ordered[k, i, j]
            before = ordered[k, i - 1, j]
            own = v if v < x else x
            own = before if before > own else own
            ordered[k, i, j] = v if v > old else own
        if ordered[k, 0, j] > x or ordered[k, 0, j] == old:
            ordered[k, 0, j] = x


@kernel
def stretch(y: float, so_far: int, patience: int, n: int) -> float:
    """What one clipped step on the log axis multiplies the scale by; a long run of surprises makes the steps larger.

    y: |residual| in scales, whose mean min(y, 2) is 1 at the fixed point; so_far: length of the run; n: values so far.
    """
    rate = SCALE_RATE if n >= 99 else 1.0 / (n + 1.0)
    beyond = abs(so_far) - patience
    if beyond > 0:
        rate = min(0.25, rate * (1.0 + beyond / 8.0))
    step = rate * (min(y, SCALE_CLIP) - 1.0)
    return 1.0 + step * (1.0 + 0.5 * step)  # exp, to the order that matters here


@kernel
def agrees(k: int, e: int, j: int, anchor: float, level: float, ladder: Ladder) -> bool:
    """Whether expert e is within the square root of `level` standard errors of the anchor and all faster ones.

    The variance of the difference of two exponential averages of the same values is exact; for
    experts at their final rates it stands in `variances` (6, 6), the diagonal that of one alone.
    """
    experts, rates, variances = ladder.experts, ladder.rates, ladder.variances
    mine = experts[k, e, j]
    own = rates[k, e, j]
    settled = own == variances[0, EXPERTS + e]
    own_variance = variances[e, e] if settled else own / (2.0 - own)
    gap = mine - anchor
    if gap * gap > level * (ladder.anchor_variance + own_variance):
        return False
    for f in range(e):
        gap = mine - experts[k, f, j]
        rate = rates[k, f, j]
        if settled and rate == variances[0, EXPERTS + f]:
            variance = variances[e, f]
        else:
            variance = rate / (2.0 - rate) + own_variance - 2.0 * rate * own / (rate + own - rate * own)
            if variance < 0.02 * rate:
                continue
        if gap * gap > level * variance:
            return False
    return True


@kernel
def together(k: int, j: int, anchor: float, level: float, ladder: Ladder) -> bool:
    """Whether all experts, at their final rates, agree with the anchor and with one another."""
    experts, variances, anchor_variance = ladder.experts, ladder.variances, ladder.anchor_variance
    for e in range(EXPERTS):
        mine = experts[k, e, j]
        gap = mine - anchor
        if gap * gap > level * (anchor_variance + variances[e, e]):
            return False
        for f in range(e):
            gap = mine - experts[k, f, j]
            if gap * gap > level * variances[e, f]:
                return False
    return True


@kernel
def climb(k: int, j: int, anchor: float, square: float, ladder: Ladder) -> float:
    """The slowest expert that agrees with all before it, or the anchor; the rest are re-based on it.

    square: what one squared standard error is worth, in squared units of the field.
    """
    experts, rates = ladder.experts, ladder.rates
    best = -1
    level = CRITICAL * CRITICAL * square
    while best + 1 < EXPERTS and agrees(k, best + 1, j, anchor, level, ladder):
        best += 1
    if best == EXPERTS - 1:
        return experts[k, best, j]
    if best < 0:
        out = anchor
        rate = 1.0 / (BEGIN_AGAIN + 1.0)
    else:
        out = experts[k, best, j]
        rate = rates[k, best, j] / (1.0 + rates[k, best, j])
    level = (CRITICAL + SLACK) * (CRITICAL + SLACK) * square
    for e in range(best + 1, EXPERTS):
        if not agrees(k, e, j, anchor, level, ladder):
            experts[k, e, j] = out
            rates[k, e, j] = max(rate, ladder.variances[0, EXPERTS + e])
    return out


@kernel
def widened(both: float, alone: float, n: int) -> float:
    """By how much lag-one autocorrelation rho in [0, 0.95] of the clipped residuals widens the variance of a mean.

    That is (1 + rho) / (1 - rho), without the division that gives rho = both / alone. n: values so far.
    """
    if n < CORRELATION_AFTER or not alone > 0.0:
        return 1.0
    both = min(MOST_CORRELATION * alone, max(0.0, both))
    return (alone + both) / (alone - both)


@kernel
def step(
    rows: RowArrays, parameters: LevelParameters, state: LevelState, out: Estimates, scratch: LevelScratch
) -> None:
    """Score each row of X (n, d), then learn it."""
    X, slots, learn, restart = rows.X, rows.slots, rows.learn, rows.restart
    reject, variances = parameters.reject, parameters.variances
    origin, expected, scale, smallest = state.origin, state.expected, state.scale, state.smallest
    count, run, window, ordered = state.count, state.run, state.window, state.ordered
    experts, rates, moments = state.experts, state.rates, state.moments
    judged = state.judged
    kept = Centre(state.location, state.spread, judged)
    raw, centre, unit, z, top = out.raw, out.expected, out.scale, scratch.z, scratch.top
    size = window.shape[1]
    ladder = Ladder(experts, rates, variances, ANCHOR_VARIANCE / size)
    for i in range(X.shape[0]):
        k = slots[i]
        if restart[i] and learn[i]:
            judged[k] = 0
            for j in range(X.shape[1]):
                count[k, j] = 0
        columns = 0
        for j in range(X.shape[1]):
            x = X[i, j]
            n = count[k, j]
            readable = abs(x) < UNREADABLE
            z[i, j] = math.nan
            if n >= START:
                own = max(scale[k, j], 0.5 * smallest[k, j])
                ulp = 1e-15 * abs(origin[k, j] + expected[k, j])  # spacing of floats there
                centre[i, j] = origin[k, j] + expected[k, j]
                unit[i, j] = TO_SIGMA * own
                if readable:
                    residual = (x - origin[k, j]) - expected[k, j]
                    if residual == 0.0:
                        z[i, j] = 0.0
                    elif own > 0.0:
                        z[i, j] = min(max(residual / (TO_SIGMA * max(own, ulp)), -1e300), 1e300)
                    else:  # the first change of a constant
                        z[i, j] = math.copysign(NEVER_MOVED, residual)
            if n > 0 or (readable and learn[i]):
                columns += 1
        raw[i] = combine(z, i, columns, learn[i], k, kept, top)
        if not learn[i]:
            continue
        for j in range(X.shape[1]):
            x = X[i, j]
            if not abs(x) < UNREADABLE:
                continue
            n = count[k, j]  # values before this one
            if n == 0:
                origin[k, j] = x
                scale[k, j] = 0.0
                run[k, j] = 0
                smallest[k, j] = 0.0
                for m in range(3):
                    moments[k, m, j] = 0.0
            v = x - origin[k, j]
            at = n % size
            off = 0.0
            if n > 0:
                move = abs(v - window[k, at - 1 if at > 0 else size - 1, j])
                if move > 0.0 and (smallest[k, j] == 0.0 or move < smallest[k, j]):
                    smallest[k, j] = move
                off = v - middle(ordered, k, j, min(n, size))
            residual = v - expected[k, j]
            slide(v, window[k, at, j] if n >= size else math.inf, k, j, n, ordered)
            window[k, at, j] = v
            n += 1
            count[k, j] = n
            filled = min(n, size)
            anchor = middle(ordered, k, j, filled)
            quarter = filled // 4
            if n <= START:
                for e in range(EXPERTS):
                    experts[k, e, j] = anchor
                    rates[k, e, j] = 1.0 / (n + 1.0)
                expected[k, j] = anchor
                if n == START:  # half the interquartile range, brought to this scale's unit
                    scale[k, j] = 0.545 * (ordered[k, START - 3, j] - ordered[k, 2, j])
                continue
            if off != 0.0:  # exact zeros say nothing about the size of the rest
                own = scale[k, j]
                if own > 0.0:
                    y = min(abs(off) / own, 1e9)
                    so_far = run[k, j]
                    so_far = max(so_far, 0) + 1 if y > 2.0 else (min(so_far, 0) - 1 if y < 0.125 else 0)
                    run[k, j] = so_far
                    scale[k, j] = own * stretch(y, so_far, size, n)
                else:
                    scale[k, j] = abs(off)
            if ordered[k, quarter, j] == ordered[k, filled - 1 - quarter, j]:  # half of the window is one value
                for e in range(EXPERTS):
                    experts[k, e, j] = anchor
                    rates[k, e, j] = 1.0 / (size / ANCHOR_VARIANCE + 1.0)
                expected[k, j] = anchor
                continue
            own = max(scale[k, j], 0.5 * smallest[k, j])
            limit = CLIP * own
            far = REJECT * own if reject else math.inf
            settled = True
            for e in range(EXPERTS):
                gap = v - experts[k, e, j]
                rate = rates[k, e, j]
                if abs(gap) <= far:
                    experts[k, e, j] += rate * min(max(gap, -limit), limit)
                if rate > variances[0, EXPERTS + e]:  # a plain mean at first: 1/(n + 2) after 1/(n + 1)
                    rates[k, e, j] = max(variances[0, EXPERTS + e], rate / (1.0 + rate))
                    settled = False
            error = min(max(residual, -limit), limit)
            rate = MEMORY if n >= 500 else 1.0 / n
            both = moments[k, 0, j] + rate * (error * moments[k, 2, j] - moments[k, 0, j])
            alone = moments[k, 1, j] + rate * (error * error - moments[k, 1, j])
            moments[k, 0, j] = both
            moments[k, 1, j] = alone
            moments[k, 2, j] = error
            square = own * own * widened(both, alone, n)
            if settled and together(k, j, anchor, CRITICAL * CRITICAL * square, ladder):
                expected[k, j] = experts[k, EXPERTS - 1, j]
            else:
                expected[k, j] = climb(k, j, anchor, square, ladder)


def _variances() -> np.ndarray:
    """(6, 12): variances of the difference of experts at their final rates, then, in row 0, those rates."""
    table = np.zeros((EXPERTS, 2 * EXPERTS))
    rates = [FIRST_RATE / 2**e for e in range(EXPERTS)]
    table[0, EXPERTS:] = rates
    for e, own in enumerate(rates):
        for f, rate in enumerate(rates):
            table[e, f] = rate / (2 - rate) + own / (2 - own) - 2 * rate * own / (rate + own - rate * own)
        table[e, e] = own / (2 - own)
    return table


class Level(Estimator):
    """Anchored ladder of clipped SGD: follows drift and jumps, not outliers; nothing to tune.

    Best for one or two series that drift and jump to new levels.
    Six averages at rates 1/16 to 1/512 learn each value by a clipped step [1]_, and the slowest one
    that no faster one and no running median contradicts is the expected value (Lepski's rule [2]_).
    The median of the last `patience` values anchors them: after a jump of any size the ladder stands
    on the new level within some patience/2 + 6 records, where one clipped average needs thousands.
    Each field has its own ladder, scale and autocorrelation. Not for seasonal fields whose rhythm is
    short against the record rate (it lags), nor for anomalies in shape that keep the level.

    Parameters
    ----------
    patience : how many records of something new make it the new normal, about twice over; window of
        the median, >= 5. Bursts up to patience/4 leave hardly a trace. [records]
    reject : whether values beyond five scales move no average at all. False is pure clipping, with
        three times the error under gross outliers.

    Cost
    ----
    O(patience) moves and 21 comparisons a field and record: compiled .16 us at one field and .14 us
    for each of 8, interpreted 25 us a field.

    State
    -----
    About 2 * patience + 24 floats a field: 0.5 KB at the default.

    Notes
    -----
    The ladder, the anchor, the scale (a clipped mean of |residual|, learned on the log axis) and the
    rule that combines fields are ours; from [1]_ come the clipped step and its use under drift and
    corruption at once. No regret bound is claimed for the whole.

    References
    ----------
    .. [1] A. Sankararaman, B. Narayanaswamy, "Online robust non-stationary estimation", NeurIPS 2023.
    .. [2] O. Lepski, "On a problem of adaptive estimation in Gaussian white noise", Theory of
       Probability and its Applications 35(3), 1991.
    """

    raw_kind = "residual"
    state_class = LevelState

    def __init__(self, patience: int = 21, reject: bool = True) -> None:
        if patience < 5:
            raise ValueError(f"patience must be at least 5 records, got {patience}")
        self.patience = patience
        self.reject = reject
        self._variances = _variances()

    def state_spec(self, n_features: int) -> Spec:
        d, w = n_features, max(self.patience, START)
        per_field = ("origin", "expected", "scale", "smallest")
        return {
            **dict.fromkeys(per_field, ((d,), np.float64)),
            "count": ((d,), np.int64),
            "run": ((d,), np.int64),
            "window": ((w, d), np.float64),
            "ordered": ((w, d), np.float64),
            "experts": ((EXPERTS, d), np.float64),
            "rates": ((EXPERTS, d), np.float64),
            "moments": ((3, d), np.float64),
            "location": ((2,), np.float64),
            "spread": ((2,), np.float64),
            "judged": ((), np.int64),
        }

    def step(self, state: State, slots: np.ndarray, rows: Rows) -> Estimates:
        n, d = rows.X.shape
        out = Estimates.none(rows)
        self.run(
            step, n, rows.arrays(slots), LevelParameters(self.reject, self._variances), self.state_arrays(state), out,
            LevelScratch(np.empty((n, d)), np.empty(d)),
        )  # fmt: skip
        return out

    def multiples(
        self, state: State, slots: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return limits_of_all(state["count"], state["location"], state["spread"], slots, low, high)
