"""New extremes of a field, of its seasonal residual, of its shifts and of its volatility, as one evidence."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.components import UNREADABLE, Estimator, RowArrays, Rows, Shares, Spec, State
from clipdetect.jit import kernel
from clipdetect.numerics.clock import LATEST
from clipdetect.numerics.records_bank import (
    AVERAGES,
    BINS,
    HORIZONS,
    LEVEL,
    PAIRS,
    SEASON,
    SHIFT,
    STATISTICS,
    TIMED_SHIFT,
    TRACKERS,
    VOLATILITY,
    Day,
    ExtremesConstants,
    Tracked,
    beyond,
    extremes_constants,
    place_in_day,
    season,
    track,
    widen,
)

__all__ = ["Extremes"]

START = 68  # values of a field before there is an opinion: with the default warm-up, 100 before it counts


class ExtremesState(NamedTuple):
    """The arrays of all keys."""

    count: np.ndarray  # type: ignore[assignment]  # (K, d) int64, values learned
    origin: np.ndarray  # (K, d) first value, in the field's unit
    mean: np.ndarray  # (K, 4, d) this and the next two: see `Tracked`
    scale: np.ndarray  # (K, 4, d)
    peak: np.ndarray  # (K, 4, d)
    average: np.ndarray  # (K, 12, d) six rates of the value, and six of its seasonal residual
    volatility: np.ndarray  # (K, 3, d) averages of log(.1 + |z|)
    table: np.ndarray  # (K, 96, d) this and the next three: see `Day`
    seen: np.ndarray  # (K, 96, d)
    spread: np.ndarray  # (K, d)
    timed: np.ndarray  # (K, d) int64
    high: np.ndarray  # (K, 13, d) upper ends of the ranges of the statistics
    low: np.ndarray  # (K, 13, d) lower ends


class Bank(NamedTuple):
    """The state by what it is of."""

    constants: ExtremesConstants
    tracked: Tracked
    day: Day
    average: np.ndarray  # (K, 12, d)
    volatility: np.ndarray  # (K, 3, d)


@kernel
def shifts(v: float, n: int, residual: bool, k: int, j: int, learn: bool, bank: Bank, now: np.ndarray) -> None:
    """Each fast average with v less a slow one before it, into now (13,); then the averages learn v.

    n: values before. residual: whether v is the seasonal residual, else the value. NaN for a v that is NaN.
    """
    average, rates = bank.average, bank.constants.averages
    first = AVERAGES if residual else 0
    at = TIMED_SHIFT if residual else SHIFT
    if math.isnan(v):
        for p in range(PAIRS):
            now[at + p] = math.nan
        return
    warm = 1.0 / (n + 1.0)
    for p in range(PAIRS):
        fast = average[k, first + p, j]
        fast += max(rates[p], warm) * (v - fast)
        now[at + p] = fast - average[k, first + p + 2, j]
    if learn:
        for a in range(AVERAGES):
            average[k, first + a, j] += max(rates[a], warm) * (v - average[k, first + a, j])


@kernel
def statistics(v: float, place: float, k: int, j: int, n: int, learn: bool, bank: Bank, now: np.ndarray) -> None:
    """The statistics of value number n (from 0), origin subtracted, into now (13,); their parts learn it.

    place: in the day table, negative without a time.
    """
    c, day, volatility = bank.constants, bank.day, bank.volatility
    now[LEVEL] = v
    usual = bank.tracked.mean[k, TRACKERS - 1, j]
    before = day.timed[k, j]
    residual = season(v, place, k, j, usual, learn, c, day) if place >= 0.0 else math.nan
    if day.timed[k, j] == 0:
        residual = math.nan
    now[SEASON] = residual
    shifts(v, n, False, k, j, learn, bank, now)
    shifts(residual, before, True, k, j, learn, bank, now)
    for a in range(TRACKERS):
        z = track(v, k, a, j, n, learn, c, bank.tracked)
        if a < HORIZONS:
            size = math.log(abs(z) + c.floor)
            size = volatility[k, a, j] + max(c.trackers[a], 1.0 / (n + 1.0)) * (size - volatility[k, a, j])
            now[VOLATILITY + a] = size
            if learn:
                volatility[k, a, j] = size


@kernel
def judge(k: int, j: int, n: int, learn: bool, c: ExtremesConstants, state: ExtremesState, now: np.ndarray) -> float:
    """The evidence of statistics now (13,), family by family; their ranges then learn them. n: values before."""
    timed, high, low = state.timed, state.high, state.low
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
            own = beyond(v, k, s, j, c.unit, high, low)
            if s == SEASON:
                own *= c.season_weight
            elif s >= VOLATILITY:
                own *= c.volatility_weight
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
    return (total + best) * (n / (n + c.young))


@kernel
def begin(x: float, k: int, j: int, state: ExtremesState) -> None:
    """Field j of key k as never seen, with x as its origin."""
    state.origin[k, j] = x
    state.spread[k, j] = 0.0
    state.timed[k, j] = 0
    for a in range(TRACKERS):
        state.mean[k, a, j] = 0.0
        state.scale[k, a, j] = 0.0
        state.peak[k, a, j] = 0.0
    for a in range(2 * AVERAGES):
        state.average[k, a, j] = 0.0
    for a in range(HORIZONS):
        state.volatility[k, a, j] = 0.0
    for b in range(BINS):
        state.table[k, b, j] = 0.0
        state.seen[k, b, j] = 0.0


@kernel
def step(
    rows: RowArrays, start: int, constants: ExtremesConstants, state: ExtremesState, out: Shares, now: np.ndarray
) -> None:
    """Score each row of X (n, d), then learn it. start: values before there is an opinion; now: (13,) scratch."""
    X, time, slots, learn, restart = rows.X, rows.time, rows.slots, rows.learn, rows.restart
    count, origin, mean, scale = state.count, state.origin, state.mean, state.scale
    raw, centre, unit, share = out.raw, out.expected, out.scale, out.share
    tracked, day = Tracked(mean, scale, state.peak), Day(state.table, state.seen, state.spread, state.timed)
    bank = Bank(constants, tracked, day, state.average, state.volatility)
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
                begin(x, k, j, state)
            statistics(x - origin[k, j], place, k, j, n, learn[i], bank, now)
            evidence = judge(k, j, n, learn[i], constants, state, now)
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
    state_class = ExtremesState

    def __init__(self, memory: float = 100_000, clip: float = 1.5) -> None:
        if not 100 <= memory < math.inf:
            raise ValueError(f"memory must be at least 100 records, got {memory}")
        if not 0.0 < clip < math.inf:
            raise ValueError(f"clip must be > 0, got {clip}")
        self.memory, self.clip = memory, clip
        self.constants = extremes_constants(memory, clip)

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

    def step(self, state: State, slots: np.ndarray, rows: Rows) -> Shares:
        out = Shares.none(rows)
        self.run(
            step, len(slots), rows.arrays(slots), START, self.constants, self.state_arrays(state), out,
            np.empty(STATISTICS),
        )  # fmt: skip
        return out

    def multiples(
        self, state: State, slots: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Where a value alone, as a new extreme of the level, would be evidence enough; none for several fields."""
        below, above = np.full(len(slots), np.nan), np.full(len(slots), np.nan)
        if state["count"].shape[1] != 1:
            return below, above
        unit, young = self.constants.unit, self.constants.young
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
