"""A binned body with generalised Pareto tails on both sides, learned on line."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.components import Params, RawArrays, Rows, Spec, State, Threshold, Verdicts
from clipdetect.jit import kernel
from clipdetect.numerics.combine import (
    PACE,
    PLACED,
    change_after,
    first_change,
    learned_size,
    placed,
    positive,
    unplaced,
)
from clipdetect.numerics.gpd import by_moments, log_tail
from clipdetect.numerics.peaks import OTHER_RATE, SCALE_RATE, fall, first_scale, gross_from, order, rescaled
from clipdetect.numerics.rounding import six_digits

__all__ = ["Spliced"]

START = 32  # raw scores before the first fit
BINS = 32  # on each side of 0
WIDTH = 0.25  # of a bin [scales]
FLOOR = 1e-4  # of the body's mass that each bin has at least, so that no two values tie
LN10 = math.log(10.0)
LN2 = math.log(2.0)
PEAK, XI, SIGMA, SHARE = 0, 1, 2, 3  # places in `tails`
KEPT = 0.9  # of the peak: from here on a size is kept, so that a peak that falls a little finds its excesses
ONE_VALUE = 0.45  # of a side's records in the bin where its tail would begin: they are one value, and it begins beyond
MOST_GROSS = 0.10  # of the records; more are a second regime
LEAST_XI, MOST_XI = -0.5, 0.9  # below, the fit is not regular; above, the mean is too rough
PRIOR, PRIOR_FIRST, PRIOR_FADES = 6.0, 22.0, 500.0  # excesses that the shape below counts for; more at first [records]
PRIOR_XI, PRIOR_MEAN = 0.37, 0.5  # mean excess over the peak itself: Gaussian .25, Laplace .4, t(3) .6
RESOLVED = 2.0  # records beyond the limit in what the excesses kept span: the least for a rate
LEAST_RATE = 5e-4  # with 1000 peaks 1.6 to 17 times .0001 was seen: a gap is then too often found by chance
EVERY = 128  # records between two fits


class SplicedState(NamedTuple):
    """The arrays of all keys: axis 0 the key; of the next four axis 1 is the side, above 0 and below it."""

    bins: np.ndarray  # (K, 2, BINS) counted sizes
    tails: np.ndarray  # (K, 2, 4) the law beyond the peak, by the places above
    sizes: np.ndarray  # (K, 2, peaks) the largest recent sizes, and before the first fit the raw scores [scales]
    kept: np.ndarray  # (K, 2) int64, sizes kept until now
    scale: np.ndarray  # (K,) unit of the sizes, in raw scores; 0 = only zeros until now
    seen: np.ndarray  # (K,) int64, raw scores
    since: np.ndarray  # (K,) int64, raw scores since the last fit
    location: np.ndarray  # (K, 1) see `combine.placed`, like the next three
    spread: np.ndarray  # (K, 1)
    judged: np.ndarray  # (K,) int64
    last: np.ndarray  # (K,)


class SplicedParameters(NamedTuple):
    """The settings."""

    signed: bool  # whether raw scores are residuals
    pace: float  # rate of location and spread
    start: int  # raw scores before the first score
    horizon: float  # records after which a count in the body has lost its weight
    tail: float  # share of a side's records that its tail holds
    limit: float  # score from which on a record is flagged


class SplicedScratch(NamedTuple):
    """Room for sorting."""

    y: np.ndarray  # (peaks,)
    first: np.ndarray  # (peaks,)


@kernel
def beyond(y: float, k: int, side: int, bins: np.ndarray) -> float:
    """Counted weight at or beyond y >= 0, linear within a bin; all of the last bin's. bins: (K, 2, BINS)."""
    at = min(y / WIDTH, BINS - 1.0)
    first = int(at)
    total = bins[k, side, first] * (first + 1.0 - at if first < BINS - 1 else 1.0)
    for j in range(first + 1, BINS):
        total += bins[k, side, j]
    return total


@kernel
def body_between(low: float, high: float, k: int, side: int, floor: float, bins: np.ndarray) -> float:
    """Weight between two places of the body, with `floor` more in each bin. bins: (K, 2, BINS)."""
    first = int(low / WIDTH)
    last = int(high / WIDTH)
    if first == last:
        return (bins[k, side, first] + floor) * (high - low) / WIDTH
    total = (bins[k, side, first] + floor) * (first + 1.0 - low / WIDTH)
    for j in range(first + 1, last):
        total += bins[k, side, j] + floor
    return total + (bins[k, side, last] + floor) * (high / WIDTH - last)


@kernel
def read(y: float, k: int, side: int, bins: np.ndarray, tails: np.ndarray) -> float:
    """-log10 of the probability of y scales or more, among the records of this side; 0 at y = 0, strictly rising.

    bins: (K, 2, BINS); tails: (K, 2, 4).
    """
    peak = tails[k, side, PEAK]
    share = tails[k, side, SHARE]
    if y >= peak:
        return (log_tail(y - peak, tails[k, side, XI], tails[k, side, SIGMA]) - math.log(share)) / LN10
    floor = FLOOR * (beyond(0.0, k, side, bins) + 1.0)
    inside = body_between(y, peak, k, side, floor, bins) / body_between(0.0, peak, k, side, floor, bins)
    return -math.log(min(share + (1.0 - share) * inside, 1.0)) / LN10


@kernel
def count(y: float, k: int, side: int, bins: np.ndarray) -> None:
    """One count, shared between the two bins whose middles are around y: the one-hot, smoothed. bins: (K, 2, BINS).

    A zero lies on neither side, and counts half on each.
    """
    if y == 0.0:
        bins[k, 0, 0] += 0.5
        bins[k, 1, 0] += 0.5
        return
    at = min(max(y / WIDTH - 0.5, 0.0), BINS - 1.0)
    j = min(int(at), BINS - 2)
    bins[k, side, j] += 1.0 - (at - j)
    bins[k, side, j + 1] += at - j


@kernel
def place_of(weight: float, k: int, side: int, bins: np.ndarray) -> float:
    """The size beyond which `weight` is counted, in scales. bins: (K, 2, BINS)."""
    total = 0.0
    for back in range(BINS):
        j = BINS - 1 - back
        if total + bins[k, side, j] >= weight:
            return (j + 1.0 - (weight - total) / bins[k, side, j]) * WIDTH if weight > total else (j + 1.0) * WIDTH
        total += bins[k, side, j]
    return 0.0


@kernel
def fit(state: SplicedState, k: int, side: int, tail: float, seen: float, y: np.ndarray) -> None:
    """Where the tail of a side begins, and its law, from bins and sizes kept. y: (peaks,) scratch."""
    bins, tails, sizes, kept = state.bins, state.tails, state.sizes, state.kept
    whole = beyond(0.0, k, side, bins)
    everything = whole + beyond(0.0, k, 1 - side, bins)
    n = min(kept[k, side], sizes.shape[2])
    for i in range(n):
        y[i] = sizes[k, side, i]
    order(y, n)
    above = beyond(KEPT * tails[k, side, PEAK], k, side, bins)
    most = int(n * min(0.8, MOST_GROSS * everything / above)) if above > 0.0 else 0
    half = 0.5 * KEPT * tails[k, side, PEAK]
    index = fall(beyond(half, k, side, bins), above) / LN2 if above > 0.0 and half >= 2.0 * WIDTH else 0.0
    usual = n
    gross = 0.0
    peak = place_of(tail * whole, k, side, bins) if whole > 0.0 else 2.0
    share = tail
    at = min(int(peak / WIDTH), BINS - 2)
    if bins[k, side, at] > ONE_VALUE * whole:  # and where one value repeats, others are no gross records, however far
        peak = (at + 1.0) * WIDTH
        share = min(tail, (beyond(peak, k, side, bins) + 0.5) / (whole + 1.0))
    else:
        usual = gross_from(y, n, most, index)
        gross = above * (n - usual) / n if n > 0 else 0.0
        peak = max(place_of(gross + tail * (whole - gross), k, side, bins), 0.5 * WIDTH) if whole > 0.0 else 2.0
    peak = min(peak, (BINS - 1.0) * WIDTH)
    m = 0
    for i in range(usual):
        if y[i] > peak:
            y[m] = y[i] - peak
            m += 1
    prior = PRIOR + PRIOR_FIRST * PRIOR_FADES / (PRIOR_FADES + seen)
    mean = prior * PRIOR_MEAN * max(peak, 1.0)
    for i in range(m):
        mean += min(y[i], 1e290)
    mean /= prior + m
    xi = PRIOR_XI
    if m >= 4:
        own, _sigma = by_moments(y, m)
        xi = (m * own + prior * PRIOR_XI) / (m + prior)
    xi = min(max(xi, LEAST_XI), MOST_XI)
    tails[k, side, PEAK] = peak
    tails[k, side, XI] = xi
    tails[k, side, SIGMA] = mean * (1.0 - xi)
    tails[k, side, SHARE] = share


@kernel
def learn_size(
    y: float, k: int, side: int, bins: np.ndarray, tails: np.ndarray, sizes: np.ndarray, kept: np.ndarray
) -> None:
    """Count a size in scales, and keep it where it is large. The arrays are (K, 2, ...)."""
    count(y, k, side, bins)
    if y > KEPT * tails[k, side, PEAK]:
        sizes[k, side, kept[k, side] % sizes.shape[2]] = y
        kept[k, side] += 1


@kernel
def begin(state: SplicedState, k: int, start: int, tail: float, scratch: SplicedScratch) -> None:
    """First fit, from the raw scores that `sizes` has held until now."""
    bins, tails, sizes, kept, scale = state.bins, state.tails, state.sizes, state.kept, state.scale
    y, first = scratch.y, scratch.first
    for i in range(start):
        first[i] = sizes[k, 0, i]
        y[i] = abs(first[i])
    order(y, start)
    scale[k] = first_scale(y, start)
    for i in range(start):
        size = abs(first[i]) / scale[k] if scale[k] > 0.0 else 0.0
        learn_size(min(size, 1e290), k, 0 if first[i] >= 0.0 else 1, bins, tails, sizes, kept)
    if scale[k] > 0.0:
        for side in range(2):
            fit(state, k, side, tail, start * 1.0, y)


@kernel
def refit(state: SplicedState, k: int, horizon: float, tail: float, y: np.ndarray) -> None:
    """Forget a little of the counts, and fit both sides. y: (peaks,) scratch."""
    bins, since, seen = state.bins, state.since[k], state.seen[k] * 1.0
    for side in range(2):
        for j in range(BINS):
            bins[k, side, j] *= 1.0 - since / horizon
        fit(state, k, side, tail, seen, y)


@kernel
def step(
    rows: RawArrays, parameters: SplicedParameters, state: SplicedState, out: Verdicts, scratch: SplicedScratch
) -> None:
    """Score each raw value, then learn it."""
    raw, slots, learn = rows.raw, rows.slots, rows.learn
    signed, pace, start = parameters.signed, parameters.pace, parameters.start
    horizon, tail, limit = parameters.horizon, parameters.tail, parameters.limit
    bins, tails, sizes, kept = state.bins, state.tails, state.sizes, state.kept
    scale, seen, since = state.scale, state.seen, state.since
    location, spread, judged, last = state.location, state.spread, state.judged, state.last
    score, flag = out.score, out.flag
    for i in range(raw.shape[0]):
        k = slots[i]
        e = raw[i]
        if not math.isfinite(e):
            continue
        e = min(max(e, -1e300), 1e300)
        if not signed:
            new = first_change(e, k, location, spread, judged)
            e = placed(e, k, learn[i], pace, location, spread, judged, last)
            like = positive(1.0) if new else e
        else:
            like = math.copysign(learned_size(e), e)
        if seen[k] < start:
            if learn[i]:
                sizes[k, 0, seen[k]] = like
                seen[k] += 1
                if seen[k] == start:
                    begin(state, k, start, tail, scratch)
            continue
        side = 0 if e >= 0.0 else 1
        if scale[k] > 0.0:
            size = min(abs(e) / scale[k], 1e290)
            score[i] = six_digits(read(size, k, side, bins, tails))
        else:  # nothing but zeros so far
            score[i] = six_digits(change_after(seen[k] * 1.0)) if e != 0.0 else 0.0
        flag[i] = 1 if score[i] >= limit else 0
        if not learn[i]:
            continue
        if scale[k] == 0.0:
            scale[k] = abs(like)
            size = 1.0 if e != 0.0 else 0.0
        elif like != e:
            size = min(abs(like) / scale[k], 1e290)
        learn_size(size, k, side, bins, tails, sizes, kept)
        seen[k] += 1
        since[k] += 1
        if e != 0.0:  # exact zeros never move the scale
            scale[k] = rescaled(scale[k], size, seen[k], SCALE_RATE if signed else OTHER_RATE)
        due = since[k] >= min(EVERY, max(16, seen[k] // 8)) or (e != 0.0 and tails[k, 0, SHARE] == 0.0)
        if due or (flag[i] == 1 and tails[k, side, SHARE] < tail):
            refit(state, k, horizon, tail, scratch.y)
            since[k] = 0


@kernel
def find_limit(slots: np.ndarray, wanted: float, state: SplicedState, low: np.ndarray, high: np.ndarray) -> None:
    """Into low and high (n,) the sizes, in units of raw, at which the score is `wanted`; by bisection."""
    bins, tails, scale = state.bins, state.tails, state.scale
    for i in range(slots.shape[0]):
        k = slots[i]
        for side in range(2):
            if not tails[k, side, SHARE] > 0.0:
                continue
            a = -50.0
            b = 660.0
            for _ in range(60):
                middle = 0.5 * (a + b)
                if read(math.exp(middle), k, side, bins, tails) >= wanted:
                    b = middle
                else:
                    a = middle
            if side == 0:
                high[i] = math.exp(b) * scale[k]
            else:
                low[i] = -math.exp(b) * scale[k]


class Spliced(Threshold):
    """Spliced binned-Pareto law, learned on line: bins for the body, a generalised Pareto tail on each side.

    Best for skewed and discrete residuals, each side by its own law.
    In units of a clipped scale that is followed. Each side of 0 has its own body and tail, and a record's probability
    is among those of its side, so that the sides share the rate. Holds it within a factor of 2 at .01 and .001 from
    Gaussian to t(2.1), drifting or not, on lattices too; uniform noise is flagged at .07 to .6 of it. Every record is
    learned, gross or not: what stands behind a stretch far emptier than the rest allows is left out of the fit on
    reading. 5% of gross records at 30 units are found, but in lognormal noise only half to all of them, and in t(2.1)
    the rest runs at 3 times the rate; of 1% in t(2.1) 15 to 70%, in lognormal noise hardly any of those above. Not for
    rates under .0005, which it refuses.

    Parameters
    ----------
    tail : share of a side's records that its tail holds, in (0, .5).
    peaks : most recent excesses of a side that are fitted, >= 32. [excesses]
    horizon : records after which a count in the body has lost its weight, >= 1000. [records]

    Cost
    ----
    O(1) a record, and two fits of `peaks` sizes in 128 records: compiled .3 us, interpreted 17 us.

    State
    -----
    2 * `peaks` + 82 numbers a key: 3.8 KB.

    Notes
    -----
    The law is that of [1]_. In the paper a network gives the parameters and bins are learned by the gradient of a
    softmax, whose fixed point is a smoothed one-hot averaged with forgetting; that is what is kept here. The smoothing
    is linear between two bins. Tails are fitted by probability-weighted moments, drawn towards an index of .37 by 28
    excesses at first and 6 later. The empty stretch, the scale and the sides are ours. Written from the published code,
    not checked against the paper. Raw scores that are no residual are first centred by a clipped location and spread;
    their upper side alone counts.

    References
    ----------
    .. [1] E. Ehrlich, L. Callot, F.-X. Aubet, "Spliced Binned-Pareto Distribution for Robust Modeling of Heavy-tailed
       Time Series", 2021, arXiv:2106.10952.
    """

    state_class = SplicedState

    def __init__(self, tail: float = 0.05, peaks: int = 200, horizon: int = 5000) -> None:
        if not 0.0 < tail < 0.5:
            raise ValueError(f"tail must be a share in (0, 0.5), got {tail}")
        if peaks < START:
            raise ValueError(f"peaks must be at least {START} excesses, got {peaks}")
        if horizon < 1000:
            raise ValueError(f"horizon must be at least 1000 records, got {horizon}")
        self.tail, self.peaks, self.horizon = tail, peaks, horizon

    def check(self, params: Params) -> None:
        if params.rate < LEAST_RATE:
            raise ValueError(
                f"rate {params.rate:g} is beyond what spliced holds, also with more peaks: give a rate from "
                f"{LEAST_RATE:g} on, or another threshold"
            )
        least = RESOLVED * self.tail / self.peaks
        if params.rate < least * (1.0 - 1e-9):
            raise ValueError(
                f"rate {params.rate:g} cannot be resolved with peaks={self.peaks} excesses of a tail of {self.tail:g}: "
                f"give peaks={math.ceil(RESOLVED * self.tail / params.rate - 1e-6)}, or a rate from {least:g} on"
            )

    def state_spec(self, n_features: int) -> Spec:
        return {
            "bins": ((2, BINS), np.float64),
            "tails": ((2, 4), np.float64),
            "sizes": ((2, self.peaks), np.float64),
            "kept": ((2,), np.int64),
            "scale": ((), np.float64),
            "seen": ((), np.int64),
            "since": ((), np.int64),
            **PLACED,
        }

    def step(self, state: State, slots: np.ndarray, raw: np.ndarray, rows: Rows) -> Verdicts:
        out = Verdicts.none(len(raw))
        parameters = SplicedParameters(
            signed=self.signed,
            pace=PACE[self.params.steady],
            start=min(self.params.warmup, START),
            horizon=float(self.horizon),
            tail=float(self.tail),
            limit=-math.log10(self.params.rate),
        )
        self.run(
            step, len(raw), RawArrays(raw, slots, rows.learn), parameters, self.state_arrays(state), out,
            SplicedScratch(np.empty(self.peaks), np.empty(self.peaks)),
        )  # fmt: skip
        return out

    def limits(self, state: State, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.full(len(slots), np.nan), np.full(len(slots), np.nan)
        self.run(find_limit, len(slots), slots, -math.log10(self.params.rate), self.state_arrays(state), low, high)
        if not self.signed:
            high = np.array([unplaced(size, slot, state) for size, slot in zip(high, slots.tolist(), strict=True)])
            low[:] = np.nan
        return low, high
