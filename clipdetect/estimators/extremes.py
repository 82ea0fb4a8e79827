"""New extremes of a field, of its seasonal residual, of its shifts and of its volatility, as one evidence."""

from __future__ import annotations

import math

import numpy as np

from clipdetect.components import Estimator, Rows, Spec, State
from clipdetect.jit import kernel
from clipdetect.numerics.clock import LATEST
from clipdetect.numerics.records_bank import (
    AVERAGE,
    AVERAGES,
    BINS,
    CONSTANTS,
    FLOOR,
    FORGET,
    HORIZONS,
    LEVEL,
    PAIRS,
    SEASON,
    SEASON_WEIGHT,
    SHIFT,
    STATISTICS,
    STRETCH,
    TIMED_SHIFT,
    TRACKER,
    TRACKERS,
    UNIT,
    UNREADABLE,
    VOLATILITY,
    VOLATILITY_WEIGHT,
    YOUNG,
    beyond,
    place_in_day,
    season,
    track,
    widen,
)

__all__ = ["Extremes"]

START = 68  # values of a field before there is an opinion: with the default warm-up, 100 before it counts


@kernel
def shifts(v, n, first, at, k, j, learn, c, average, now):
    """Each fast average with v less a slow one before it, into now from `at` on; the averages from `first` learn v.

    n: values before. NaN for a v that is NaN.
    """
    if math.isnan(v):
        for p in range(PAIRS):
            now[at + p] = math.nan
        return
    warm = 1.0 / (n + 1.0)
    for p in range(PAIRS):
        fast = average[k, first + p, j]
        fast += max(c[AVERAGE + p], warm) * (v - fast)
        now[at + p] = fast - average[k, first + p + 2, j]
    if learn:
        for a in range(AVERAGES):
            average[k, first + a, j] += max(c[AVERAGE + a], warm) * (v - average[k, first + a, j])


@kernel
def statistics(
    v, place, k, j, n, learn, c, mean, scale, peak, average, volatility, table, seen, spread, timed, now
):  # fmt: skip
    """The statistics of value number n (from 0), origin subtracted, into now (13,); their parts learn it.

    place: in the day table, negative without a time. average: (K, 12, d), six rates of the value and six of its
    seasonal residual; volatility: (K, 3, d).
    """
    now[LEVEL] = v
    usual = mean[k, TRACKERS - 1, j]
    before = timed[k, j]
    residual = season(v, place, k, j, usual, learn, c, table, seen, spread, timed) if place >= 0.0 else math.nan
    if timed[k, j] == 0:
        residual = math.nan
    now[SEASON] = residual
    shifts(v, n, 0, SHIFT, k, j, learn, c, average, now)
    shifts(residual, before, AVERAGES, TIMED_SHIFT, k, j, learn, c, average, now)
    for a in range(TRACKERS):
        z = track(v, k, a, j, n, learn, c, mean, scale, peak)
        if a < HORIZONS:
            size = math.log(abs(z) + c[FLOOR])
            size = volatility[k, a, j] + max(c[TRACKER + a], 1.0 / (n + 1.0)) * (size - volatility[k, a, j])
            now[VOLATILITY + a] = size
            if learn:
                volatility[k, a, j] = size


@kernel
def judge(k, j, n, learn, c, now, timed, high, low):
    """The evidence of statistics now (13,), family by family; their ranges then learn them. n: values before."""
    total = 0.0
    best = 0.0
    for s in range(STATISTICS):
        v = now[s]
        if s in (SHIFT, VOLATILITY):
            total += best
            best = 0.0
        if math.isnan(v):
            continue
        by_time = s == SEASON or TIMED_SHIFT <= s < VOLATILITY
        begins = n == 0 or (by_time and timed[k, j] == 1 and learn)
        if not begins:
            own = beyond(v, k, s, j, c, high, low)
            if s == SEASON:
                own *= c[SEASON_WEIGHT]
            elif s >= VOLATILITY:
                own *= c[VOLATILITY_WEIGHT]
            if s < SHIFT:
                total += own
            else:
                best = max(best, own)
        if learn:
            if begins:
                high[k, s, j] = v
                low[k, s, j] = v
            else:
                widen(v, k, s, j, c, high, low)
    return (total + best) * (n / (n + c[YOUNG]))


@kernel
def begin(x, k, j, origin, mean, scale, peak, average, volatility, table, seen, spread, timed):
    """Field j of key k as never seen, with x as its origin."""
    origin[k, j] = x
    spread[k, j] = 0.0
    timed[k, j] = 0
    for a in range(TRACKERS):
        mean[k, a, j] = 0.0
        scale[k, a, j] = 0.0
        peak[k, a, j] = 0.0
    for a in range(2 * AVERAGES):
        average[k, a, j] = 0.0
    for a in range(HORIZONS):
        volatility[k, a, j] = 0.0
    for b in range(BINS):
        table[k, b, j] = 0.0
        seen[k, b, j] = 0.0


@kernel
def step(
    X, time, slots, learn, restart, start, c, count, origin, mean, scale, peak, average, volatility, table, seen,
    spread, timed, high, low, raw, centre, unit, share, now,
):  # fmt: skip
    """Score each row, then learn it. X, centre, unit, share: (n, d); time, raw: (n,); now: (13,) scratch."""
    usual = TRACKERS - 2
    for i in range(X.shape[0]):
        k = slots[i]
        place = place_in_day(time[i]) if abs(time[i]) < LATEST else -1.0
        total = 0.0
        for j in range(X.shape[1]):
            if restart[i] and learn[i]:
                count[k, j] = 0
            x = X[i, j]
            n = count[k, j]
            if n >= start:
                centre[i, j] = origin[k, j] + mean[k, usual, j]
                unit[i, j] = scale[k, usual, j]
            if not abs(x) < UNREADABLE or (n == 0 and not learn[i]):
                continue
            if n == 0:
                begin(x, k, j, origin, mean, scale, peak, average, volatility, table, seen, spread, timed)
            statistics(
                x - origin[k, j], place, k, j, n, learn[i], c, mean, scale, peak, average, volatility, table, seen,
                spread, timed, now,
            )  # fmt: skip
            evidence = judge(k, j, n, learn[i], c, now, timed, high, low)
            if learn[i]:
                count[k, j] = n + 1
            if n >= start:
                share[i, j] = evidence
                total += evidence
                if not evidence <= raw[i]:
                    raw[i] = evidence
        if total > 0.0:
            for j in range(X.shape[1]):
                share[i, j] /= total


class Extremes(Estimator):
    """New extremes of a series: of its level, of what is left of its day, of its shifts and of its volatility.

    Best for single series that people watch: few, early alarms, with `budget`.
    Evidence, not a deviation: 0 for most records, and above 0 where a field leaves a range that it has always kept to
    so far. Made for single series and the threshold `budget`, together one or few alerts an episode: jumps, slow shifts
    and bursts of a metric. With --time it also knows the time of day. Of several fields the one with the most evidence
    counts. Not for a probability for every record, nor for spikes that have had their like before: there `forecast`
    or `level` with `tail` are right; nor for many fields that are each slightly strange (`fields`). That noise goes
    quiet is hardly seen: the start of a stream counts as quiet.

    Parameters
    ----------
    memory : records in which a range shrinks to 37% of its width where nothing comes near its edges. [records]
    clip : widths of a range by which one record stretches it at most; one outlier does not own it for long.

    Cost
    ----
    Four logarithms and exponentials a field and record: compiled .25 us of processor time with the detector around
    it, interpreted 36 to 95 us.

    State
    -----
    249 numbers a field, 2 KB, of which 192 are the table of the day.

    Notes
    -----
    Thirteen statistics: the value; its residual on a table of 96 quarters of an hour (UTC), learned by clipped steps;
    of each of both four differences of a fast average and one ten times slower, the fast ones at rates .3 to .01; and
    the averages at three rates of log(.1 + |z|), z the deviation from a clipped level in its clipped scales [1]_. Each
    has its range so far. A value beyond the range by e widths gives sqrt(e / (e + .1)), a value within it 0. Evidence
    is the sum of that of the value, .3 that of the residual, the largest of the shifts and .7 of the largest of the
    volatilities, so 3 at most; times n / (n + 100) after n values, since a short range is soon left. A range shrinks
    towards its middle a little with each record; a value beyond stretches it, by a clipped step. The square root is
    there because a range that shrinks is left by a hair again and again, which a least evidence would make much of.

    The same for x -> a*x + b, a < 0 too. `expected` is the clipped level at rate .01, and `scale` its clipped mean of
    |deviation|. There is no opinion in the first 68 values of a field.

    References
    ----------
    .. [1] A. Sankararaman, B. Narayanaswamy, "Online robust non-stationary estimation", NeurIPS 2023.
    """

    raw_kind = "distance"

    def __init__(self, memory: float = 100_000, clip: float = 1.5) -> None:
        if not 100 <= memory < math.inf:
            raise ValueError(f"memory must be at least 100 records, got {memory}")
        if not 0.0 < clip < math.inf:
            raise ValueError(f"clip must be > 0, got {clip}")
        self.memory, self.clip = memory, clip
        self.constants = np.array(list(CONSTANTS.values()))
        self.constants[FORGET], self.constants[STRETCH] = 1.0 / memory, clip

    def state_spec(self, n_features: int) -> Spec:
        d = n_features
        return {
            "count": ((d,), np.int64),
            "origin": ((d,), np.float64),
            **dict.fromkeys(("mean", "scale", "peak"), ((TRACKERS, d), np.float64)),
            "average": ((2 * AVERAGES, d), np.float64),
            "volatility": ((HORIZONS, d), np.float64),
            **dict.fromkeys(("table", "seen"), ((BINS, d), np.float64)),
            "spread": ((d,), np.float64),
            "timed": ((d,), np.int64),
            **dict.fromkeys(("high", "low"), ((STATISTICS, d), np.float64)),
        }

    def step(self, state: State, slots: np.ndarray, rows: Rows) -> tuple[np.ndarray, ...]:
        n, d = rows.X.shape
        raw, centre, unit, share = np.full(n, np.nan), *(np.full((n, d), np.nan) for _ in range(3))
        self.run(
            step, n, rows.X, rows.time, slots, rows.learn, rows.restart, START, self.constants,
            *[state[name] for name in self.state_spec(0)], raw, centre, unit, share, np.empty(STATISTICS),
        )  # fmt: skip
        return raw, centre, unit, share

    def multiples(
        self, state: State, slots: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where a value alone, as a new extreme of the level, would be evidence enough; none for several fields."""
        below, above = np.full(len(slots), np.nan), np.full(len(slots), np.nan)
        if state["count"].shape[1] != 1:
            return below, above
        unit, young = (float(self.constants[at]) for at in (UNIT, YOUNG))
        for i, slot in enumerate(slots.tolist()):
            bottom, top = float(state["low"][slot, LEVEL, 0]), float(state["high"][slot, LEVEL, 0])
            count = int(state["count"][slot, 0])
            part = (float(high[i]) * (count + young) / max(count, 1)) ** 2
            own = float(state["scale"][slot, TRACKERS - 2, 0])
            if part < 1.0 and own > 0.0:
                beyond_it = part / (1.0 - part) * unit * (top - bottom)
                mean = float(state["mean"][slot, TRACKERS - 2, 0])
                below[i], above[i] = (bottom - beyond_it - mean) / own, (top + beyond_it - mean) / own
        return below, above
