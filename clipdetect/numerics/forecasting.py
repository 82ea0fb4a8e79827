"""One-step forecasts of a field by eight clipped forecasters, mixed by their recent clipped loss.

Five clipped averages, the last value, a clipped autoregression over the last eight, and a table of the time of
day. Each learns every value by a bounded step, or by a whole one where two values in a row agree, so that no
single value owns any of them. State arrays have the key first and the field last; between them stand the members
named here. A row of zeros is a field never seen.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from clipdetect.jit import kernel

COUNT, RUN, VOTE = range(3)
ORIGIN, SCALE, PEAK, SLOW, SLOW_SCALE, SLOW_PEAK, DAY_LEVEL, MODE, LAST = range(9)
AVERAGES, LAGS, BINS = 5, 8, 48
CARRIED, AUTO, SEASON, FORECASTERS = AVERAGES, AVERAGES + 1, AVERAGES + 2, AVERAGES + 3

FLOOR = 1e-3  # of the scale's slow peak
SLOW_FLOOR = 0.05  # of the slow scale's slow peak
PEAK_RATE = 0.0005
YOUNG = 1000  # values in which a rate may be 1 / n
FIRST_WEIGHT = 0.9  # of the last value in the autoregression, before it has learned
FARTHEST = 1e6  # slow scales; of a lag
MAJORITY, MOST_VOTES = 4, 16  # votes from which the commonest value is the forecast, and at most
DAY = 86400.0  # [s]


class ForecastConstants(NamedTuple):
    """What one would vary: round numbers, none fitted to a file."""

    rates: np.ndarray  # (5,) of the averages
    clip: float = 2.5  # scales; how far one value moves anything at most
    scale_rate: float = 0.02
    scale_gain: float = 0.7  # of the step of the scale on the log axis
    slow_rate: float = 0.002  # of the location and scale in which the autoregression works
    slow_clip: float = 3.0
    learning_rate: float = 0.01  # of the autoregression
    loss_rate: float = 0.01  # of the loss: some 100 records
    loss_clip: float = 5.0  # scales
    day_rate: float = 0.05  # of the day table and of the level under it
    patience: float = 16.0  # records far on one side after which everything moves to the median of the last


class Forecasters(NamedTuple):
    """The arrays of all keys; all but the counts, weights and visits in the field's unit, less its origin."""

    counts: np.ndarray  # (K, 3, d) int64, COUNT, RUN, VOTE
    unit: np.ndarray  # (K, 9, d) ORIGIN to LAST
    levels: np.ndarray  # (K, 6, d) averages, then the last value
    regression: np.ndarray  # (K, 16, d) weights, then lags
    season: np.ndarray  # (K, 96, d) the table, then the visits of its bins
    losses: np.ndarray  # (K, 8, d) mean clipped error of each forecaster
    constants: ForecastConstants


class Said(NamedTuple):
    """What `predict` hands on to `learn`."""

    found: np.ndarray  # (8,) the forecast of each, less the origin
    lags: np.ndarray  # (9,) in slow scales, then their power


def forecast_constants() -> ForecastConstants:
    """The usual ones, in arrays of their own."""
    return ForecastConstants(np.array([0.5, 0.2, 0.06, 0.02, 0.005]))


def forecaster_spec(d: int) -> dict[str, tuple[tuple[int, ...], Any]]:
    """The arrays of the forecasters, per key, for d fields."""
    return {
        "counts": ((3, d), np.int64),
        "unit": ((9, d), np.float64),
        "levels": ((AVERAGES + 1, d), np.float64),
        "regression": ((2 * LAGS, d), np.float64),
        "season": ((2 * BINS, d), np.float64),
        "losses": ((FORECASTERS, d), np.float64),
    }


@kernel
def bin_of(time: float) -> float:
    """Position of a time on the circle of `BINS`, in bins from the middle of the first; -1 where there is none."""
    if not abs(time) < 1e12:
        return -1.0
    days = time / DAY
    at = BINS * (days - math.floor(days)) - 0.5
    return at if at >= 0.0 else at + BINS


@kernel
def clipped(x: float, limit: float) -> float:
    """x within plus or minus `limit`."""
    return min(max(x, -limit), limit)


@kernel
def forget(k: int, j: int, counts: np.ndarray, season: np.ndarray) -> None:
    """Field j of key k as if never seen; the rest is written over by the first value."""
    for m in range(3):
        counts[k, m, j] = 0
    for b in range(2 * BINS):
        season[k, b, j] = 0.0


@kernel
def predict(k: int, j: int, place: float, forecasters: Forecasters, said: Said) -> float:
    """The mixed forecast, less the origin. place: of the record, from `bin_of`."""
    counts, unit, levels = forecasters.counts, forecasters.unit, forecasters.levels
    regression, season, losses = forecasters.regression, forecasters.season, forecasters.losses
    found, lags = said.found, said.lags
    if counts[k, COUNT, j] == 0:
        return math.nan
    for m in range(AUTO):
        found[m] = levels[k, m, j]
    slow = unit[k, SLOW, j]
    slow_scale = max(unit[k, SLOW_SCALE, j], SLOW_FLOOR * unit[k, SLOW_PEAK, j])
    inverse = 1.0 / slow_scale if slow_scale > 1e-300 else 0.0
    total = 0.0
    power = 0.0
    for m in range(LAGS):
        lag = clipped((regression[k, LAGS + m, j] - slow) * inverse, FARTHEST)
        lags[m] = lag
        total += regression[k, m, j] * lag
        power += lag * lag
    lags[LAGS] = power
    found[AUTO] = slow + slow_scale * total
    experts = SEASON
    if place >= 0.0:
        if losses[k, SEASON, j] > 0.0:
            first = int(place)
            share = place - first
            second = first + 1 if first + 1 < BINS else 0
            own = season[k, first, j] + share * (season[k, second, j] - season[k, first, j])
            found[SEASON] = unit[k, DAY_LEVEL, j] + own
            experts = FORECASTERS
        else:
            found[SEASON] = math.nan
    if counts[k, VOTE, j] >= MAJORITY:
        return unit[k, MODE, j]
    least = math.inf
    for m in range(experts):
        least = min(least, losses[k, m, j])
    if not least > 1e-300:
        return unit[k, LAST, j]
    total = 0.0
    weights = 0.0
    for m in range(experts):
        ratio = least / losses[k, m, j]
        ratio *= ratio
        ratio *= ratio
        ratio *= ratio
        total += ratio * found[m]
        weights += ratio
    return total / weights


@kernel
def scale_of(k: int, j: int, unit: np.ndarray) -> float:
    """The size of a usual residual of field j: a clipped mean, not below a thousandth of its slow peak."""
    return max(unit[k, SCALE, j], FLOOR * unit[k, PEAK, j])


@kernel
def begin(x: float, k: int, j: int, forecasters: Forecasters) -> None:
    """The first value of field j."""
    counts, unit, levels = forecasters.counts, forecasters.unit, forecasters.levels
    regression, season, losses = forecasters.regression, forecasters.season, forecasters.losses
    for m in range(9):
        unit[k, m, j] = 0.0
    unit[k, ORIGIN, j] = x
    counts[k, COUNT, j] = 1
    counts[k, RUN, j] = 0
    counts[k, VOTE, j] = 1
    for m in range(AUTO):
        levels[k, m, j] = 0.0
    for m in range(LAGS):
        regression[k, m, j] = 0.0
        regression[k, LAGS + m, j] = 0.0
    regression[k, 0, j] = FIRST_WEIGHT
    for b in range(2 * BINS):
        season[k, b, j] = 0.0
    for m in range(FORECASTERS):
        losses[k, m, j] = 0.0


@kernel
def grown(step: float) -> float:
    """exp(step) to the order that matters, for |step| <= .2."""
    return 1.0 + step * (1.0 + step * (0.5 + step / 6.0))


@kernel
def vote(v: float, k: int, j: int, counts: np.ndarray, unit: np.ndarray) -> None:
    """Whether one value is most of the records: a hit is a vote, a miss halves the votes."""
    if v == unit[k, MODE, j]:
        counts[k, VOTE, j] = min(counts[k, VOTE, j] + 1, MOST_VOTES)
        return
    counts[k, VOTE, j] //= 2
    if counts[k, VOTE, j] == 0:
        unit[k, MODE, j] = v
        counts[k, VOTE, j] = 1


@kernel
def learn_slow(v: float, young: float, k: int, j: int, constants: ForecastConstants, unit: np.ndarray) -> None:
    """One clipped step of the slow location and scale."""
    off = v - unit[k, SLOW, j]
    own = unit[k, SLOW_SCALE, j]
    if not own > 0.0:
        unit[k, SLOW_SCALE, j] = abs(off)
        unit[k, SLOW_PEAK, j] = abs(off)
        unit[k, SLOW, j] += 0.5 * off
        return
    peak = max(own, unit[k, SLOW_PEAK, j] + PEAK_RATE * (own - unit[k, SLOW_PEAK, j]))
    unit[k, SLOW_PEAK, j] = peak
    floored = max(own, SLOW_FLOOR * peak)
    size = clipped(off / floored, constants.slow_clip)
    rate = max(constants.slow_rate, young)
    unit[k, SLOW, j] += rate * floored * size
    unit[k, SLOW_SCALE, j] = floored * grown(0.5 * min(rate, 0.1) * (abs(size) - 1.0))


@kernel
def learn_season(
    v: float, place: float, scale: float, young: float, k: int, j: int, forecasters: Forecasters, found: np.ndarray
) -> None:
    """The day table and the level under it; the first timed value begins them. found: (8,)."""
    constants, unit = forecasters.constants, forecasters.unit
    season, losses = forecasters.season, forecasters.losses
    if not losses[k, SEASON, j] > 0.0:
        unit[k, DAY_LEVEL, j] = v
        losses[k, SEASON, j] = constants.loss_clip * scale
        return
    first = int(place)
    share = place - first
    second = first + 1 if first + 1 < BINS else 0
    off = clipped(v - found[SEASON], constants.clip * scale)
    rate = constants.day_rate
    seen = season[k, BINS + first, j]
    season[k, first, j] += 0.5 * (1.0 - share) * max(rate, 1.0 / (seen + 1.0)) * off
    season[k, BINS + first, j] = min(seen + 1.0 - share, 1e6)
    seen = season[k, BINS + second, j]
    season[k, second, j] += 0.5 * share * max(rate, 1.0 / (seen + 1.0)) * off
    season[k, BINS + second, j] = min(seen + share, 1e6)
    unit[k, DAY_LEVEL, j] += max(rate, young) * off
    own = min(abs(v - found[SEASON]), constants.loss_clip * scale)
    losses[k, SEASON, j] += max(constants.loss_rate, young) * (own - losses[k, SEASON, j])
    losses[k, SEASON, j] = max(losses[k, SEASON, j], 1e-300)


@kernel
def move(v: float, k: int, j: int, forecast: float, forecasters: Forecasters) -> None:
    """Everything onto the level v, as after a change that has lasted."""
    unit, levels, regression = forecasters.unit, forecasters.levels, forecasters.regression
    by = v - forecast
    for m in range(AUTO):
        levels[k, m, j] = v
    for m in range(LAGS):
        regression[k, LAGS + m, j] += by
    unit[k, SLOW, j] += by
    unit[k, DAY_LEVEL, j] += by


@kernel
def learn(
    x: float, k: int, j: int, place: float, forecast: float, middle: float, forecasters: Forecasters, said: Said
) -> None:
    """Field j learns x. forecast, said: of `predict`; middle: median of the last values, less the origin."""
    constants, counts, unit = forecasters.constants, forecasters.counts, forecasters.unit
    levels, regression, losses = forecasters.levels, forecasters.regression, forecasters.losses
    found, lags = said.found, said.lags
    n = counts[k, COUNT, j]
    if n == 0:
        begin(x, k, j, forecasters)
        return
    v = x - unit[k, ORIGIN, j]
    error = v - forecast
    scale = scale_of(k, j, unit)
    counts[k, COUNT, j] = n + 1
    vote(v, k, j, counts, unit)
    if not scale > 0.0:
        if error != 0.0:
            unit[k, SCALE, j] = abs(error)
            unit[k, PEAK, j] = abs(error)
        scale = abs(error)
    young = 1.0 / (n + 1.0) if n < YOUNG else 0.0
    clip = constants.clip
    limit = clip * scale
    most = constants.loss_clip * scale
    rate = max(constants.loss_rate, young)
    for m in range(SEASON):
        losses[k, m, j] += rate * (min(abs(v - found[m]), most) - losses[k, m, j])
    for m in range(AVERAGES):
        levels[k, m, j] += max(constants.rates[m], young) * clipped(v - found[m], limit)
    agreed = abs(v - unit[k, LAST, j]) <= limit
    levels[k, CARRIED, j] = v if agreed else found[CARRIED] + clipped(v - found[CARRIED], limit)
    off = v - found[AUTO]
    slow_scale = max(unit[k, SLOW_SCALE, j], SLOW_FLOOR * unit[k, SLOW_PEAK, j])
    if slow_scale > 1e-300:
        gain = constants.learning_rate * (clipped(off, limit) / slow_scale) / (1e-6 + lags[LAGS])
        for m in range(LAGS):
            regression[k, m, j] += gain * lags[m]
    for m in range(LAGS - 1):
        at = 2 * LAGS - 1 - m
        regression[k, at, j] = regression[k, at - 1, j]
    regression[k, LAGS, j] = v if agreed else found[AUTO] + clipped(off, 2.0 * limit)
    learn_slow(v, young, k, j, constants, unit)
    if place >= 0.0:
        learn_season(v, place, scale, young, k, j, forecasters, found)
    unit[k, LAST, j] = v
    if error != 0.0 and scale > 0.0:  # an exact forecast says nothing of the size of the rest
        size = abs(error) / scale
        step = constants.scale_gain * min(max(constants.scale_rate, young), 0.1) * (min(size, clip) - 1.0)
        own = scale * grown(step)
        unit[k, SCALE, j] = own
        unit[k, PEAK, j] = max(own, unit[k, PEAK, j] + PEAK_RATE * (own - unit[k, PEAK, j]))
        run = counts[k, RUN, j]
        if size <= clip:
            run = 0
        elif error > 0.0:
            run = max(run, 0) + 1
        else:
            run = min(run, 0) - 1
        if abs(run) >= constants.patience:
            move(middle, k, j, forecast, forecasters)
            run = 0
        counts[k, RUN, j] = run
