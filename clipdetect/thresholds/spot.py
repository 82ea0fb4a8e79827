"""Peaks over threshold: an extreme-value limit that alarms do not teach."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.components import Params, RawArrays, Rows, Spec, State, Threshold, Verdicts
from clipdetect.jit import kernel
from clipdetect.numerics.combine import PACE, PLACED, change_after, learned_size, placed, unplaced
from clipdetect.numerics.gpd import by_likelihood, excess, log_tail, mean_of
from clipdetect.numerics.peaks import OTHER_RATE, SCALE_RATE, first_scale, gross_from, order, rescaled
from clipdetect.numerics.rounding import six_digits

__all__ = ["Spot"]

BODY = 48  # quantiles of the first records, for scores below the peak
LN10 = math.log(10.0)
PEAK, XI, SIGMA, ABOVE, SEEN, BEGAN, USUAL = 0, 1, 2, 3, 4, 5, 6  # places in `tail`; PEAK is the paper's t
INITIAL, KEPT, FRESH, RECENT = 0, 1, 2, 3  # in `place`: counts of the start, of excesses, since a fit, of the mean
LEAST_XI = -0.5  # below, the fit is not regular, and excesses that are all alike would end the tail at once
MOST_GROSS = 0.10  # of the first records; more are a regime
REGIME = 0.15  # share of alarms among the last `patience` records that means a new normal
RARER, OFTENER = 0.2, 5.0  # how far the share of excesses may move before the peak is chosen anew
RESOLVED = 2.0  # records beyond the limit in what the excesses kept span; at half of that 10 times the rate was seen


class SpotState(NamedTuple):
    """The arrays of all keys: axis 0 the key."""

    held: np.ndarray  # (K, max(initial, peaks)) the first sizes, and then the excesses
    body: np.ndarray  # (K, BODY) quantiles below the peak
    tail: np.ndarray  # (K, 7) the peak, the law beyond it and what was counted, by the places above
    place: np.ndarray  # (K, 4) int64, counts, by the places above
    scale: np.ndarray  # (K,) unit of the sizes, in raw scores
    share: np.ndarray  # (K,) of alarms lately
    recent: np.ndarray  # (K, max(depth, 1)) the last values that were no alarm
    mean: np.ndarray  # (K,) of these
    location: np.ndarray  # (K, 1) see `combine.placed`, like the next three
    spread: np.ndarray  # (K, 1)
    judged: np.ndarray  # (K,) int64
    last: np.ndarray  # (K,)


class SpotParameters(NamedTuple):
    """The settings."""

    signed: bool  # whether raw scores are residuals
    pace: float  # rate of location and spread
    scaled: bool  # judge in units of a scale that is followed
    moving: bool  # subtract the mean of recent values
    start: int  # records that choose the peak
    level: float  # quantile where the tail begins
    every: int  # new excesses between two fits
    peaks: int  # excesses that are fitted
    horizon: float  # records that are counted, 0 = all
    patience: float  # records over which the share of alarms is watched, 0 = never
    limit: float  # score from which on a record is flagged
    reject: float  # score from which on a flagged record is not learned


class SpotScratch(NamedTuple):
    """Room for sorting, as long as `held`."""

    y: np.ndarray
    first: np.ndarray


@kernel
def share_above(k: int, tail: np.ndarray) -> float:
    """Of the records counted, the share beyond the peak, without gross ones. tail: (K, 7)."""
    return max(tail[k, ABOVE] * tail[k, USUAL], 0.5) / max(tail[k, SEEN], 1.0)


@kernel
def knot(i: int, k: int, tail: np.ndarray) -> float:
    """-log10 of the probability of body quantile i or more; quantile BODY is the peak, and its share scales the rest.

    tail: (K, 7).
    """
    began = max(tail[k, BEGAN], 1e-4)
    own = -math.log10(1.0 - (1.0 - began) * (i + 0.5) / (BODY + 0.5))
    return own * math.log10(share_above(k, tail)) / math.log10(began)


@kernel
def read(x: float, k: int, body: np.ndarray, tail: np.ndarray) -> float:
    """-log10 of the probability of x or more; strictly rising in x. body: (K, BODY), tail: (K, 7)."""
    peak = tail[k, PEAK]
    if x > peak:
        return (log_tail(x - peak, tail[k, XI], tail[k, SIGMA]) - math.log(share_above(k, tail))) / LN10
    low = body[k, 0]
    if x <= low:
        return knot(0, k, tail) / (1.0 + min((low - x) / max(peak - low, 1e-300), 1e300))
    i = 0
    j = BODY
    while j - i > 1:  # body[i] < x <= body[j]; the peak is the last
        middle = (i + j) // 2
        if body[k, middle] < x:
            i = middle
        else:
            j = middle
    low = body[k, i]
    high = body[k, j] if j < BODY else peak
    under = knot(i, k, tail)
    return under + (knot(j, k, tail) - under) * (x - low) / (high - low)


@kernel
def fit(
    k: int, held_now: int, scaled: bool, held: np.ndarray, tail: np.ndarray, body: np.ndarray, y: np.ndarray
) -> None:
    """The law of the excesses held, by maximum likelihood, without gross ones where scaled. held: (K, ...)."""
    n = held_now
    peak = tail[k, PEAK] if scaled else 0.0
    for i in range(n):
        y[i] = peak + held[k, i]
    order(y, n)
    if scaled and n > 0:
        n = gross_from(y, n, int(n * min(0.8, MOST_GROSS * tail[k, SEEN] / max(tail[k, ABOVE], 1.0))), 0.0)
    for i in range(n):
        y[i] = max(y[i] - peak, 0.0)
    tail[k, USUAL] = n / held_now if n > 0 else 1.0
    if n == 0:
        tail[k, XI] = 0.0
        tail[k, SIGMA] = max(tail[k, PEAK] - body[k, BODY // 2], 1e-300)
        return
    xi = 0.0
    sigma = mean_of(y, n)
    if n >= 3:
        xi, sigma = by_likelihood(y, n)
    if xi < LEAST_XI:
        xi = LEAST_XI
        sigma = mean_of(y, n) * (1.0 - LEAST_XI)
    tail[k, XI] = xi
    tail[k, SIGMA] = max(sigma, 1e-300)


@kernel
def begin(state: SpotState, k: int, parameters: SpotParameters, scratch: SpotScratch) -> None:
    """Choose the peak and fit what lies beyond, from the `start` values held."""
    held, body, tail, place, scale = state.held, state.body, state.tail, state.place, state.scale
    n, level, scaled = parameters.start, parameters.level, parameters.scaled
    y, first = scratch.y, scratch.first
    unit = 1.0
    for i in range(n):
        y[i] = held[k, i]
    order(y, n)
    usual = n
    if scaled:
        own = first_scale(y, n)
        if own > 0.0:
            unit = own
            for i in range(n):
                y[i] = min(y[i] / unit, 1e290)
            usual = gross_from(y, n, int(MOST_GROSS * n), 0.0)
        scale[k] = own
    at = min(max(math.ceil(level * usual) - 1, 0), usual - 1)
    peak = y[at]
    for i in range(BODY):
        body[k, i] = y[int((i + 0.5) / (BODY + 0.5) * at)]
    kept = 0
    for i in range(at, usual):
        if y[i] > peak:
            first[kept] = y[i] - peak
            kept += 1
    tail[k, PEAK] = peak
    tail[k, ABOVE] = kept * 1.0
    tail[k, SEEN] = usual * 1.0
    tail[k, BEGAN] = 1.0 - level
    size = min(kept, held.shape[1])
    for i in range(size):
        held[k, i] = first[i]
    place[k, KEPT] = size
    place[k, FRESH] = 0
    fit(k, size, scaled, held, tail, body, y)


@kernel
def remember(e: float, k: int, recent: np.ndarray, mean: np.ndarray, place: np.ndarray) -> None:
    """Put a value among the last `depth`, and their mean; summed afresh once a round. recent: (K, depth)."""
    depth = recent.shape[1]
    n = place[k, RECENT]
    at = n % depth
    if n < depth:
        mean[k] += (e - mean[k]) / (n + 1.0)
    else:
        mean[k] += e / depth - recent[k, at] / depth
    recent[k, at] = e
    place[k, RECENT] = n + 1
    if at == depth - 1:
        total = 0.0
        for i in range(depth):
            total += recent[k, i] / depth
        mean[k] = total


@kernel
def learn_usual(
    x: float, k: int, parameters: SpotParameters, held: np.ndarray, body: np.ndarray, tail: np.ndarray,
    place: np.ndarray, y: np.ndarray,
) -> None:  # fmt: skip
    """What is no alarm: counted, and kept where it is beyond the peak. y: scratch; the other arrays are the state's."""
    horizon = parameters.horizon
    tail[k, SEEN] += 1.0
    if x > tail[k, PEAK]:
        tail[k, ABOVE] += 1.0
        peaks = parameters.peaks
        held[k, place[k, KEPT] % peaks] = x - tail[k, PEAK]
        place[k, KEPT] += 1
        place[k, FRESH] += 1
        if place[k, FRESH] >= min(parameters.every, max(1, place[k, KEPT] // 8)):
            place[k, FRESH] = 0
            fit(k, min(place[k, KEPT], peaks), parameters.scaled, held, tail, body, y)
    if horizon > 0.0 and tail[k, SEEN] > horizon:
        tail[k, ABOVE] *= horizon / tail[k, SEEN]
        tail[k, SEEN] = horizon


@kernel
def another_regime(alarm: float, k: int, patience: float, tail: np.ndarray, share: np.ndarray) -> bool:
    """Whether alarms, or the share of excesses, say that the normal is another one. share: (K,)."""
    share[k] += (alarm - share[k]) / patience
    above = share_above(k, tail) / tail[k, BEGAN]
    return share[k] > REGIME or above > OFTENER or (above < RARER and tail[k, ABOVE] >= 0.5)


@kernel
def step(rows: RawArrays, parameters: SpotParameters, state: SpotState, out: Verdicts, scratch: SpotScratch) -> None:
    """Score each raw value, then learn it."""
    raw, slots, learn = rows.raw, rows.slots, rows.learn
    signed, pace, scaled, moving = parameters.signed, parameters.pace, parameters.scaled, parameters.moving
    start, patience, limit, reject = parameters.start, parameters.patience, parameters.limit, parameters.reject
    held, body, tail, place = state.held, state.body, state.tail, state.place
    scale, share, recent, mean = state.scale, state.share, state.recent, state.mean
    location, spread, judged, last = state.location, state.spread, state.judged, state.last
    score, flag, y = out.score, out.flag, scratch.y
    for i in range(raw.shape[0]):
        k = slots[i]
        if not math.isfinite(raw[i]):
            continue
        value = min(max(raw[i], -1e290), 1e290)
        x = value - mean[k] if moving else value
        if scaled and not signed:
            x = placed(x, k, learn[i], pace, location, spread, judged, last)
        elif signed:
            x = abs(x)
        size = x  # in raw units, as held until the first fit
        alarm = False
        if tail[k, SEEN] > 0.0:
            if not scaled or scale[k] > 0.0:
                x = min(x / scale[k], 1e290) if scaled else x
                score[i] = six_digits(max(read(x, k, body, tail), 0.0))
            else:  # nothing but zeros so far
                score[i] = six_digits(change_after(tail[k, SEEN])) if x != 0.0 else 0.0
            alarm = score[i] >= limit
            if alarm:
                flag[i] = 2 if place[k, INITIAL] < start else 1
        if not learn[i]:
            continue
        again = place[k, INITIAL] < start
        gross = alarm and score[i] >= reject
        if moving and (again or not alarm):
            remember(value, k, recent, mean, place)
        if again:
            held[k, place[k, INITIAL]] = size
            place[k, INITIAL] += 1
            if place[k, INITIAL] == start:
                begin(state, k, parameters, scratch)
                share[k] = 0.0
            elif scaled and tail[k, SEEN] > 0.0 and size > 0.0 and scale[k] > 0.0:
                scale[k] = rescaled(scale[k], x, start, SCALE_RATE if signed else OTHER_RATE)
            continue
        if scaled and scale[k] == 0.0 and x != 0.0:
            scale[k] = learned_size(x)
            x = 1.0
        if not gross:
            learn_usual(x, k, parameters, held, body, tail, place, y)
        if scaled and x != 0.0:  # exact zeros never move the scale
            scale[k] = rescaled(scale[k], x, start, SCALE_RATE if signed else OTHER_RATE)
        if patience > 0.0 and another_regime(1.0 if alarm else 0.0, k, patience, tail, share):
            place[k, INITIAL] = 0


class Spot(Threshold):
    """Peaks over threshold: a generalised Pareto tail fitted to what lies beyond a high quantile.

    Best for comparison with peaks over threshold.
    The first `initial` records choose the quantile (the peak); excesses beyond it are fitted by maximum likelihood,
    and a record far beyond what the fit explains is flagged and not learned. Holds the rate within a factor of 2.2 at
    .01 and .001 for laws from uniform to t(2.1), stationary, drifting or with level shifts behind `level`; at .0001,
    which needs 400 `peaks`, .9 to 5 times. No score in the first `initial`
    records. 5% of gross records at 30 units are found in Gaussian, Laplace, gamma, uniform and autoregressive noise,
    there from the start or not, but NOT in t(3), t(2.1) and lognormal noise: 0 to 4% of them (1% in t(3): half).
    Counts near 0 (Poisson .3) are flagged at 5 times the rate, and after a scale that grew a hundredfold up to 6 times
    the rate was seen. `tail` is the better choice for contaminated, discrete or very heavy-tailed data.

    Parameters
    ----------
    initial : records that choose the peak; at least 4 beyond it. [records]
    level : quantile where the tail begins, in [0.5, 1).
    peaks : most recent excesses that are fitted, >= 20; older ones are forgotten. [excesses]
    every : new excesses between two fits, >= 1; fewer at first. [excesses]
    depth : the mean of the last `depth` records that were no alarm is subtracted (DSPOT); 0: nothing. [records]
    scaled : judge in units of a clipped scale that is followed, instead of raw units.
    patience : records over which the share of alarms is watched; where it passes .15, or excesses get 5 times rarer or
        more frequent, the peak is chosen anew. 0 never does. [records]
    reject : a record less likely than `rate` times this is not learned, in (0, 1]; 1 is the paper's rule.

    Cost
    ----
    O(1) a record, and a fit of `peaks` excesses in `every` of them: compiled .3 us, interpreted 9 us.

    State
    -----
    `max(initial, peaks)` + 66 + `depth` numbers a key: 2.9 KB.

    Notes
    -----
    The method is that of [1]_. The paper's own form is `initial=1000,every=1,reject=1,scaled=false,patience=0` with as
    many `peaks` as there will be excesses. What differs by default is ours. (1) A flagged record is learned unless it
    is less likely than reject * rate: left out altogether, what is fitted is a truncated tail, its limit falls, and
    still more is left out; over 1,000,000 records that gave 9 to 19 times the rate. (2) Raw units are replaced by a
    followed scale. (3) Gross records, a stretch far emptier than what lies further in allows, are left out of the first
    quantile and of the fits. (4) While the peak is chosen anew, what the old fit would flag is an abstention; a
    textbook limit stays for ever after a scale that grows. (5) The index is held above -.5, and the score of a tail
    that ends goes on beyond its end as a logarithm. (6) Only the last `peaks` excesses count, as in libspot; unless
    patience is 0, their share is that of as many records. Residuals are judged by their size, both sides together; with
    `depth` the size is that of the difference from the mean, so order holds on each side of it and not of 0.

    References
    ----------
    .. [1] A. Siffer et al., "Anomaly detection in streams with extreme value theory", KDD 2017,
       doi:10.1145/3097983.3098144.
    """

    abstains = True
    state_class = SpotState

    def __init__(
        self,
        initial: int = 300,
        level: float = 0.98,
        peaks: int = 200,
        every: int = 16,
        depth: int = 0,
        scaled: bool = True,
        patience: int = 200,
        reject: float = 0.01,
    ) -> None:
        if not 0.5 <= level < 1.0:
            raise ValueError(f"level must be a share in [0.5, 1), got {level}")
        if initial * (1.0 - level) < 4.0 - 1e-9 or initial < BODY:
            least = max(BODY, math.ceil(4.0 / (1.0 - level) - 1e-9))
            raise ValueError(f"initial must be at least {least} records with level={level}, got {initial}")
        if peaks < 20:
            raise ValueError(f"peaks must be at least 20 excesses, got {peaks}")
        if every < 1:
            raise ValueError(f"every must be at least 1 excess, got {every}")
        if depth < 0:
            raise ValueError(f"depth must be >= 0 records, got {depth}")
        if patience < 0 or 0 < patience < 20:
            raise ValueError(f"patience must be 0 or at least 20 records, got {patience}")
        self.initial, self.level, self.peaks, self.every = initial, level, peaks, every
        if not 0.0 < reject <= 1.0:
            raise ValueError(f"reject must be a share in (0, 1], got {reject}")
        self.depth, self.scaled, self.patience, self.reject = depth, scaled, patience, reject

    def check(self, params: Params) -> None:
        share = 1.0 - self.level
        if params.rate >= share:
            raise ValueError(
                f"rate {params.rate:g} lies below the peaks of level={self.level:g}: give a rate under {share:g}, "
                f"or level={1.0 - 10.0 * params.rate:g}"
            )
        least = RESOLVED * share / self.peaks
        if params.rate < least * (1.0 - 1e-9):
            needed = math.ceil(RESOLVED * share / params.rate - 1e-6)
            raise ValueError(
                f"rate {params.rate:g} cannot be resolved with peaks={self.peaks} excesses at level={self.level:g}: "
                f"give peaks={needed}, or a rate from {least:g} on"
            )

    def state_spec(self, n_features: int) -> Spec:
        return {
            "held": ((max(self.initial, self.peaks),), np.float64),
            "body": ((BODY,), np.float64),
            "tail": ((7,), np.float64),
            "place": ((4,), np.int64),
            "scale": ((), np.float64),
            "share": ((), np.float64),
            "recent": ((max(self.depth, 1),), np.float64),
            "mean": ((), np.float64),
            **PLACED,
        }

    def step(self, state: State, slots: np.ndarray, raw: np.ndarray, rows: Rows) -> Verdicts:
        out = Verdicts.none(len(raw))
        parameters = SpotParameters(
            signed=self.signed,
            pace=PACE[self.params.steady],
            scaled=bool(self.scaled),
            moving=self.depth > 0,
            start=self.initial,
            level=float(self.level),
            every=self.every,
            peaks=self.peaks,
            horizon=self.peaks / (1.0 - self.level) if self.patience else 0.0,
            patience=float(self.patience),
            limit=-math.log10(self.params.rate),
            reject=-math.log10(self.params.rate * self.reject),
        )
        size = max(self.initial, self.peaks)
        self.run(
            step, len(raw), RawArrays(raw, slots, rows.learn), parameters, self.state_arrays(state), out,
            SpotScratch(np.empty(size), np.empty(size)),
        )  # fmt: skip
        return out

    def limits(self, state: State, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.full(len(slots), np.nan), np.full(len(slots), np.nan)
        wanted = math.log(1.0 / self.params.rate)
        for i, slot in enumerate(slots.tolist()):
            tail = state["tail"][slot].tolist()
            if not tail[SEEN] > 0.0:
                continue
            decline = wanted + math.log(share_above(slot, state["tail"]))
            x = tail[PEAK] + excess(decline, tail[XI], tail[SIGMA]) if decline > 0.0 else math.nan
            if self.scaled:
                x *= state["scale"][slot]
            if self.signed:
                low[i], high[i] = state["mean"][slot] - x, state["mean"][slot] + x
            else:
                if self.scaled:
                    x = unplaced(x, slot, state)
                high[i] = state["mean"][slot] + x
        return low, high
