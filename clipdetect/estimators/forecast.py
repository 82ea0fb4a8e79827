"""Forecasts each field by eight clipped forecasters, and sees level shifts as well as spikes."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.components import UNREADABLE, Estimates, Estimator, RowArrays, Rows, Spec, State
from clipdetect.jit import kernel
from clipdetect.numerics.combine import NEVER_MOVED, Centre, combine
from clipdetect.numerics.forecasting import (
    COUNT,
    FORECASTERS,
    LAGS,
    ORIGIN,
    ForecastConstants,
    Forecasters,
    Said,
    bin_of,
    forecast_constants,
    forecaster_spec,
    forget,
    learn,
    predict,
    scale_of,
)
from clipdetect.numerics.several import limits_of_all
from clipdetect.numerics.surprise import (
    EVEN_AT,
    MOST_DECADES,
    POINTS,
    SHIFTS,
    WINDOW,
    TailConstants,
    as_deviation,
    begin_tail,
    decades,
    keep,
    learn_tail,
    median_with,
    moved,
    own_sides,
    signed_log,
)

__all__ = ["Forecast"]

START = 8  # values of a field before there is an opinion
SHIFT_START = START + WINDOW  # the forecast before the window must be one
TO_SIGMA = 1.28  # standard deviations of a Gaussian in one clipped scale


class ForecastState(NamedTuple):
    """The arrays of all keys."""

    counts: np.ndarray  # (K, 3, d) int64, this and the next five: see `Forecasters`
    unit: np.ndarray  # (K, 9, d)
    levels: np.ndarray  # (K, 6, d)
    regression: np.ndarray  # (K, 16, d)
    season: np.ndarray  # (K, 96, d)
    losses: np.ndarray  # (K, 8, d)
    smallest: np.ndarray  # (K, d) smallest difference of two values in a row, 0 where none yet, in the field's unit
    window: np.ndarray  # (K, 27, d) see `median_with`
    tails: np.ndarray  # (K, 12, d) of deviations and shifts, see `surprise`
    location: np.ndarray  # (K, 2) see `combine`
    spread: np.ndarray  # (K, 2) see `combine`
    judged: np.ndarray  # (K,) int64, records that `combine` has learned


class ForecastParameters(NamedTuple):
    """The settings."""

    shifts: bool  # whether shifts are evidence
    edge: float  # -log10 of the share in the tail
    constants: ForecastConstants
    tail_constants: TailConstants


class ForecastScratch(NamedTuple):
    """Room for what is worked out on the way."""

    z: np.ndarray  # (n, d) deviations in standard deviations, NaN where missing
    top: np.ndarray  # (d,) the largest of them
    fresh: np.ndarray  # (9,) the last values in order
    said: Said


@kernel
def step(
    rows: RowArrays, parameters: ForecastParameters, state: ForecastState, out: Estimates, scratch: ForecastScratch
) -> None:
    """Score each row of X (n, d), then learn it."""
    X, time, slots, learned, restart = rows.X, rows.time, rows.slots, rows.learn, rows.restart
    shifts, edge, tail_numbers = parameters.shifts, parameters.edge, parameters.tail_constants
    counts, unit, season = state.counts, state.unit, state.season
    smallest, window, tails = state.smallest, state.window, state.tails
    judged = state.judged
    kept = Centre(state.location, state.spread, judged)
    raw, centre, width = out.raw, out.expected, out.scale
    z, top, fresh, said = scratch.z, scratch.top, scratch.fresh, scratch.said
    forecasters = Forecasters(counts, unit, state.levels, state.regression, season, state.losses, parameters.constants)
    for i in range(X.shape[0]):
        k = slots[i]
        if restart[i] and learned[i]:
            judged[k] = 0
            for j in range(X.shape[1]):
                forget(k, j, counts, season)
        place = bin_of(time[i])
        columns = 0
        for j in range(X.shape[1]):
            if counts[k, COUNT, j] > 0 or (learned[i] and abs(X[i, j]) < UNREADABLE):
                columns += 1
        for j in range(X.shape[1]):
            x = X[i, j]
            n = counts[k, COUNT, j]
            readable = abs(x) < UNREADABLE
            z[i, j] = math.nan
            if n == 0 and not readable:
                continue
            forecast = predict(k, j, place, forecasters, said)
            own = max(scale_of(k, j, unit), 0.5 * smallest[k, j])
            point = math.nan
            shift = math.nan
            if n >= START:
                centre[i, j] = unit[k, ORIGIN, j] + forecast
                width[i, j] = TO_SIGMA * own
            if not readable:
                continue
            v = x - unit[k, ORIGIN, j] if n > 0 else 0.0
            middle = median_with(v, n, k, j, window, fresh)
            if n >= START:
                per = TO_SIGMA * max(own, 1e-15 * abs(unit[k, ORIGIN, j] + forecast))  # not below the spacing of floats
                residual = v - forecast
                if own > 0.0:
                    deviation = clipped_ratio(residual, per)
                    point = signed_log(deviation)
                    u = decades(point, k, j, POINTS, edge, tails)
                    upper = point > 0.0
                    even = min(n / EVEN_AT, 1.0) if columns == 1 else 0.0
                    plain = columns > 1
                    if shifts and n >= SHIFT_START:
                        shift = clipped_ratio(moved(n, k, j, window, fresh), per)
                        moving = min(decades(shift, k, j, SHIFTS, edge, tails) - tail_numbers.handicap, MOST_DECADES)
                        if moving > edge and moving > u:
                            u = moving
                            upper = shift > 0.0
                            plain = False
                    if not plain:
                        deviation = as_deviation(u, upper, even, k, j, edge, tail_numbers, tails)
                    z[i, j] = deviation
                else:  # the first change of a constant
                    z[i, j] = math.copysign(NEVER_MOVED, residual) if residual != 0.0 else 0.0
            if learned[i]:
                if n == 0:
                    begin_tail(k, j, POINTS, tails)
                    begin_tail(k, j, SHIFTS, tails)
                    smallest[k, j] = 0.0
                else:
                    gap = abs(v - window[k, (n - 1) % WINDOW, j])
                    if gap > 0.0 and (smallest[k, j] == 0.0 or gap < smallest[k, j]):
                        smallest[k, j] = gap
                if not math.isnan(point):
                    learn_tail(point, n, k, j, POINTS, tail_numbers, tails)
                if not math.isnan(shift):
                    learn_tail(shift, n, k, j, SHIFTS, tail_numbers, tails)
                keep(v, forecast, n, k, j, window, fresh)
                learn(x, k, j, place, forecast, middle, forecasters, said)
        raw[i] = combine(z, i, columns, learned[i], k, kept, top)


@kernel
def clipped_ratio(residual: float, per: float) -> float:
    """residual / per within what can be squared and added."""
    return min(max(residual / per, -1e300), 1e300)


class Forecast(Estimator):
    """Eight clipped forecasters mixed by their recent loss, per field; sees spikes and level shifts.

    Best for single series with memory or drift: spikes and level shifts.
    Five clipped averages at rates 1/2 to 1/200, the last value, an autoregression over the last eight values and,
    where records have times, a table of the time of day. Every value moves each of them by a bounded step [1]_, and
    the forecast is their mean weighted by recent loss. The raw score is (value - forecast) in standard deviations; of
    a single field, each side is stretched or shrunk so that what is as rare on either side scores the same.
    For single series with memory or a daily rhythm, and many keys of them. On twelve draws of the 30 streams of
    benchmarks/point_suite.py, each at its own 0.1% of false rows, the score of `tail` finds on average 79% of the
    spikes and 99% of the shifts (draws 77 to 82 and 97 to 100), 76 and 97% under gross outliers (70 to 79 and 94 to
    99); an oracle that knows the law finds 82 to 85% of the spikes. Each field is forecast by itself: not for
    anomalies in how fields go together. Not for a rhythm that is neither daily nor within eight records, nor for a
    job of one hour a day (it stays strange), and not for alarms "once an episode": a strange stretch is strange in
    many of its records. Two equal gross values in a row are believed, so that the next forecast is off.

    Parameters
    ----------
    shifts : whether a level shift is evidence by itself: where six of the last nine values lie farther on one side of
        what was forecast for the oldest than usual, a hundred times more rarely than the value's own deviation, the
        raw score is the deviation that is as rare as a hundredfold of that. False leaves shifts out, which
        finds up to three in a hundred more spikes on average, and 72% of the shifts.

    Cost
    ----
    O(1), 7 divisions for the mixture: compiled .35 us at one field and .27 us for each further one, interpreted 60 us a
    field; `level` took .16, .13 and 25 us beside it.

    State
    -----
    178 numbers a field: 1.4 KB.

    Notes
    -----
    With i values seen, c = 2.5, s the scale, clip(v, l) = min(max(v, -l), l) and rate(a) = max(a, 1/(i + 1)):

    - averages: m += rate(a) clip(x - m, c s), a = .5, .2, .06, .02, .005;
    - last value: x itself where it lies within c s of the value before, else c s towards it;
    - autoregression on y = (x - G)/g, where G and g are a slow clipped location and scale (rate .002): normalised
      clipped gradient, w += .01 clip(e, c s/g) h/|h|^2; a lag is the value as it was learned, not farther than 2 c s
      from its forecast unless two values agree;
    - day: a level and 48 half hours in UTC with a linear blend, e = clip(x - forecast, c s); each of the two bins takes
      its share of max(.05, 1/(visits + 1)) e/2 and the level rate(.05) e.

    The loss of each is a mean of min(|x - f|, 5 s) at rate .01, its weight (least loss / loss)^8. The scale follows
    the mixed forecast on the log axis, s *= exp(.7 rate(.02) (min(|z|, c) - 1)); 1.28 of them are a standard deviation
    of Gaussian noise. A value that is most of the records (votes: a hit is one, a miss halves them) is forecast
    exactly, and exact hits do not move the scale, so that zeros and constants stay what they are. After 16 far values
    on one side everything moves onto the median of the last nine. Times may be missing, repeated or step back; only
    the time of day is taken from them.

    How rare a deviation or shift is comes from two streaming tails with two sides each: beyond a tracked 95% quantile q
    with mean clipped excess e, p = .05 exp(-(g - q)/e), with g = log(1 + |z|) of deviations and g = the shift, in
    standard deviations, of shifts. Of a single field log(1 + |raw|) is .97 + (g - q) e'/e beyond q and .97 g/q within,
    e' the mean e of both sides, at most 2.5 e; over its first 1000 values it turns to that from the plain deviation.
    The scheme is ours.

    References
    ----------
    .. [1] A. Sankararaman, B. Narayanaswamy, "Online robust non-stationary estimation", NeurIPS 2023.
    """

    raw_kind = "residual"
    state_class = ForecastState

    def __init__(self, shifts: bool = True) -> None:
        self.shifts = shifts
        self.constants = forecast_constants()
        self.tail_constants = TailConstants()

    def state_spec(self, n_features: int) -> Spec:
        d = n_features
        return {
            **forecaster_spec(d),
            "smallest": ((d,), np.float64),
            "window": ((3 * WINDOW, d), np.float64),
            "tails": ((12, d), np.float64),
            "location": ((2,), np.float64),
            "spread": ((2,), np.float64),
            "judged": ((), np.int64),
        }

    def step(self, state: State, slots: np.ndarray, rows: Rows) -> Estimates:
        n, d = rows.X.shape
        out = Estimates.none(rows)
        edge = -math.log10(self.tail_constants.share)
        said = Said(np.empty(FORECASTERS), np.empty(LAGS + 1))
        self.run(
            step, n, rows.arrays(slots), ForecastParameters(self.shifts, edge, self.constants, self.tail_constants),
            self.state_arrays(state), out, ForecastScratch(np.empty((n, d)), np.empty(d), np.empty(WINDOW), said),
        )  # fmt: skip
        return out

    def multiples(
        self, state: State, slots: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        count = state["counts"][:, COUNT]
        low, high = limits_of_all(count, state["location"], state["spread"], slots, low, high)
        seen = count[slots] > 0
        one = seen.sum(axis=1) == 1
        tails = state["tails"][slots][np.arange(len(slots)), :, seen.argmax(axis=1)]
        even = np.minimum(count[slots].max(axis=1, initial=0) / EVEN_AT, 1.0)
        down, up = own_sides(tails, even, low, high, self.tail_constants)
        return np.where(one, down, low), np.where(one, up, high)
