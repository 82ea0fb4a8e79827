"""The running quantile of the raw scores: nine tail levels followed on line, the rate asked for among them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from clipdetect.components import Params, RawArrays, Rows, Spec, State, Threshold, Verdicts
from clipdetect.jit import kernel
from clipdetect.numerics.combine import PACE, PLACED, change_after, learned_size, placed, unplaced
from clipdetect.numerics.pinball import pinball
from clipdetect.numerics.rounding import six_digits

__all__ = ["Quantile"]

START = 32  # raw scores before the first score
LEVELS, OWN = 9, 6  # tail levels; the one that is the rate
FIRST = 0.4  # the first level, where the rate is below .16
BEYOND = math.sqrt(0.1)  # from a level to the next beyond the rate
RIPE = 4.0  # records expected beyond a level before it stands for itself
EARLY = 0.5  # of ln y: the largest step in the first records; with .1 Gaussian limits sink three times as slowly
LEAST_STRETCH, MOST_STRETCH = 0.3, 3.0
LEAST = 1e-3  # of ln y between levels
LOWEST, HIGHEST = math.log(1e-2), math.log(1e6)  # of ln y
LEAST_SLOPE, MOST_SLOPE = 0.3, 15.0  # decades per unit of ln y beyond the last level: a Pareto index of .7 to 35
UNIT_RATE = 0.02  # of the unit: some 50 records; .01 flags 65 records of a step of 100 units, .03 hides more of a burst
UNIT_CLIP = 2.0  # units; a larger record teaches the unit no more than this


class QuantileState(NamedTuple):
    """The arrays of all keys: axis 0 the key."""

    places: np.ndarray  # (K, LEVELS) ln of the size beyond which the share of each level lies [ln units]
    unit: np.ndarray  # (K,) the size that is 1, in raw scores; 0 = only zeros until now
    sized: np.ndarray  # (K,) int64, sizes that the unit has learned
    seen: np.ndarray  # (K,) int64, raw scores
    zeros: np.ndarray  # (K,) int64, zeros before the first other
    location: np.ndarray  # (K, 1) see `combine.placed`, like the next three
    spread: np.ndarray  # (K, 1)
    judged: np.ndarray  # (K,) int64
    last: np.ndarray  # (K,)


class QuantileParameters(NamedTuple):
    """The settings."""

    signed: bool  # whether raw scores are residuals
    placing: float  # rate of location and spread
    start: int  # raw scores before the first score
    limit: float  # score from which on a record is flagged


class QuantileLevels(NamedTuple):
    """The tail levels, all (LEVELS,)."""

    scores: np.ndarray  # -log10 of each
    levels: np.ndarray  # share of records beyond
    steps: np.ndarray  # of the place for one record beyond, in the end [ln units]
    prior: np.ndarray  # the place in t(4) [ln units]


@kernel
def read(y: float, k: int, scores: np.ndarray, places: np.ndarray) -> float:
    """-log10 of the share of records beyond y >= 0 units; strictly rising, 0 at 0. scores: (9,); places: (K, 9)."""
    if not y > 0.0:
        return 0.0
    g = math.log(y)
    if g < places[k, 0]:
        return scores[0] * math.exp(max(g - places[k, 0], -700.0))
    for j in range(1, LEVELS):
        if g < places[k, j]:
            part = (g - places[k, j - 1]) / (places[k, j] - places[k, j - 1])
            return scores[j - 1] + part * (scores[j] - scores[j - 1])
    last = LEVELS - 1
    slope = (scores[last] - scores[OWN]) / (places[k, last] - places[k, OWN])
    return scores[last] + min(max(slope, LEAST_SLOPE), MOST_SLOPE) * (g - places[k, last])


@kernel
def follow(
    g: float, k: int, flagged: bool, levels: np.ndarray, steps: np.ndarray, places: np.ndarray, seen: np.ndarray
) -> None:
    """Move every level's place by one record at g = ln y. levels, steps: (9,); places: (K, 9)."""
    early = 0.5 / (seen[k] + 1.0)
    for j in range(LEVELS):
        beyond = flagged if j == OWN else g >= places[k, j]
        pace = max(steps[j], min(EARLY, early / levels[j]))
        places[k, j] = max(pinball(places[k, j], beyond, levels[j], pace), LOWEST)


@kernel
def hold_young(k: int, levels: np.ndarray, prior: np.ndarray, places: np.ndarray, seen: np.ndarray) -> None:
    """Levels with too few records yet: at least as far out as the prior's proportions put them beyond the others."""
    if levels[LEVELS - 1] * seen[k] >= RIPE:
        return
    last = 0
    while last + 1 < LEVELS and levels[last + 1] * seen[k] >= RIPE:
        last += 1
    stretch = 1.0
    if last > 0:
        first = max(last - 2, 0)
        stretch = (places[k, last] - places[k, first]) / (prior[last] - prior[first])
        stretch = min(max(stretch, LEAST_STRETCH), MOST_STRETCH)
    for j in range(last + 1, LEVELS):
        places[k, j] = max(places[k, j], places[k, last] + stretch * (prior[j] - prior[last]))


@kernel
def put_in_order(k: int, places: np.ndarray) -> None:
    """The levels' places apart by at least `LEAST`, the rate's own unmoved."""
    for back in range(OWN):
        j = OWN - 1 - back
        if places[k, j] > places[k, j + 1] - LEAST:
            places[k, j] = places[k, j + 1] - LEAST
    for j in range(OWN + 1, LEVELS):
        if places[k, j] < places[k, j - 1] + LEAST:
            places[k, j] = places[k, j - 1] + LEAST


@kernel
def step(
    rows: RawArrays, parameters: QuantileParameters, tail: QuantileLevels, state: QuantileState, out: Verdicts
) -> None:
    """Score each raw value, then learn it."""
    raw, slots, learn = rows.raw, rows.slots, rows.learn
    signed, placing, start, limit = parameters.signed, parameters.placing, parameters.start, parameters.limit
    scores, levels, steps, prior = tail.scores, tail.levels, tail.steps, tail.prior
    places, unit, sized, seen, zeros = state.places, state.unit, state.sized, state.seen, state.zeros
    location, spread, judged, last = state.location, state.spread, state.judged, state.last
    score, flag = out.score, out.flag
    for i in range(raw.shape[0]):
        k = slots[i]
        e = raw[i]
        if not math.isfinite(e):
            continue
        e = min(max(e, -1e300), 1e300)
        if not signed:
            e = placed(e, k, learn[i], placing, location, spread, judged, last)
        size = abs(e)
        ready = seen[k] >= start
        if not unit[k] > 0.0:  # only zeros until now
            if ready:
                score[i] = six_digits(change_after(zeros[k] * 1.0)) if size > 0.0 else 0.0
                flag[i] = 1 if score[i] >= limit else 0
            if learn[i]:
                seen[k] += 1
                if size > 0.0:
                    unit[k] = learned_size(size)
                    sized[k] = 1
                    seen[k] = min(seen[k], start)
                    for j in range(LEVELS):
                        places[k, j] = prior[j]
                else:
                    zeros[k] += 1
            continue
        y = min(size / unit[k], 1e300)
        given = six_digits(read(y, k, scores, places))
        flagged = given >= limit
        if ready:
            score[i] = given
            flag[i] = 1 if flagged else 0
        if learn[i]:
            seen[k] += 1
            g = min(max(math.log(y), LOWEST), HIGHEST) if y > 0.0 else LOWEST
            follow(g, k, flagged, levels, steps, places, seen)
            hold_young(k, levels, prior, places, seen)
            put_in_order(k, places)
            if size > 0.0:
                sized[k] += 1
                pace = max(UNIT_RATE, min(0.5, 1.5 / (sized[k] + 1.0)))
                unit[k] = max(unit[k] * math.exp(pace * (min(y, UNIT_CLIP) - 1.0)), 1e-300)


def _tail_of_t4(y: float) -> float:
    """Tail of |t(4)|, the unit near its clipped mean."""
    w = 0.95 * y / math.sqrt(4.0 + (0.95 * y) ** 2)
    return 1.0 - 1.5 * w + 0.5 * w**3


def _place_in_t4(level: float) -> float:
    """ln y at which that tail is `level`, by halving."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _tail_of_t4(math.exp(middle)) > level else (low, middle)
    return high


class Quantile(Threshold):
    """The running quantile of the raw scores: what is beyond the limit that the wanted share lay beyond so far.

    Best for a budget of flags that anomalies are part of.
    Nine tail levels, the rate among them, are followed on line in units of a tracked size; between them -log10 of the
    share is linear in the logarithm of the raw score, and goes on straight beyond the last, at a tenth of the rate.

    Promise: over the stream as it comes, anomalies included, the share of flags is the rate. On residuals of 8 laws,
    from uniform to t(2.1), under 4 drifts, within .98 to 1.00 at .01 and .001 and .8 to 1.0 at .0001, over a million
    records; lattices and all. The level of the rate is moved by its own flags only, so this needs no law; `conformal`
    has the bound. It starts quietly: at .001, .4 flags at most in the first 500 records where .5 are asked for, and
    below the rate for some 20,000. Records exactly as expected are never flagged.

    A plain quantile takes anomalies for normal. Where 1% of the records are gross and the rate is .001, a tenth of
    them is flagged and next to nothing else. After a step of the raw scores by 100 units it flags 54 records, and then
    nothing for some 50,000; after a burst of 50, for some 15,000. Not for streams with more anomalies than the rate:
    `tail` is for them.

    Parameters
    ----------
    gamma : how far a flag moves the limit, > 0; the records between take it back. Larger follows faster, and makes the
        limit less steady. Rates below 10 / records rest on the shape of the shallower levels. [ln of the raw score]

    Cost
    ----
    A logarithm and nine comparisons a record: compiled .12 us, interpreted 12 us.

    State
    -----
    17 numbers: 136 bytes.

    Notes
    -----
    Steps down the slope of the pinball loss [1]_ on ln |raw|, in units that follow a mean clipped at 2. Levels further
    in move in steps smaller by the square root of the share. A level that has had under 4 records beyond it is held at
    least where t(4), stretched to fit the levels before it, has it. Raw scores that are no residual are first centred
    by a clipped location and spread, as in `tail`, and only their upper side is ever strange.

    References
    ----------
    .. [1] R. Koenker, G. Bassett, "Regression quantiles", Econometrica 46, 1978.
    """

    state_class = QuantileState

    def __init__(self, gamma: float = 0.05) -> None:
        if not 0.0 < gamma < math.inf:
            raise ValueError(f"gamma must be > 0, got {gamma}")
        self.gamma = gamma

    def bind(self, fields: Sequence[str], params: Params) -> None:
        super().bind(fields, params)
        rate = params.rate
        first = max(FIRST, math.sqrt(rate))
        inner = first * (rate / first) ** (np.arange(OWN) / OWN)
        levels = np.concatenate([inner, rate * BEYOND ** np.arange(LEVELS - OWN)])
        scores = -np.log10(levels)
        scores[OWN] = -math.log10(rate)
        steps = self.gamma * np.minimum(np.sqrt(rate / levels), 1.0)
        prior = np.array([_place_in_t4(level) for level in levels.tolist()])
        self._tail = QuantileLevels(scores, levels, steps, prior)

    def state_spec(self, n_features: int) -> Spec:
        return {
            "places": ((LEVELS,), np.float64),
            "unit": ((), np.float64),
            "sized": ((), np.int64),
            "seen": ((), np.int64),
            "zeros": ((), np.int64),
            **PLACED,
        }

    @property
    def _start(self) -> int:
        return min(self.params.warmup, START)

    def step(self, state: State, slots: np.ndarray, raw: np.ndarray, rows: Rows) -> Verdicts:
        out = Verdicts.none(len(raw))
        limit = -math.log10(self.params.rate)
        parameters = QuantileParameters(self.signed, PACE[self.params.steady], self._start, limit)
        self.run(
            step, len(raw), RawArrays(raw, slots, rows.learn), parameters, self._tail, self.state_arrays(state), out
        )
        return out

    def limits(self, state: State, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.full(len(slots), np.nan), np.full(len(slots), np.nan)
        for i, slot in enumerate(slots.tolist()):
            unit = float(state["unit"][slot])
            if state["seen"][slot] < self._start:
                continue
            if unit > 0.0:
                size = math.exp(state["places"][slot, OWN]) * unit
            else:  # zeros only, so any other value is flagged once there are enough
                size = 0.0 if change_after(float(state["zeros"][slot])) >= -math.log10(self.params.rate) else math.nan
            if self.signed:
                low[i], high[i] = -size, size
            else:
                high[i] = unplaced(size, slot, state)
        return low, high
