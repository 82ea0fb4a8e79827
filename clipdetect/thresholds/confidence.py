"""Flags what is surely above a quantile of the scores, and says where it does not know."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from clipdetect.components import Params, RawArrays, Rows, Spec, State, Threshold, Verdicts
from clipdetect.jit import kernel
from clipdetect.numerics.combine import PACE, Centre, centred, positive, recentre
from clipdetect.numerics.confidence_sequence import NEVER, first_times, most_above, records_needed
from clipdetect.numerics.rounding import six_digits

__all__ = ["Confidence"]

START = 32  # raw scores before the first score
BLOCKS = 6  # lengths at which a shift is looked for
SHORTEST = 16  # records of the shortest block
TAIL = 16  # of the largest values: their slope continues the score beyond the largest
LEAST_SLOPE, MOST_SLOPE = 0.3, 100.0  # decades of probability for one of ln raw
TINY = 1e-300


class ConfidenceState(NamedTuple):
    """The arrays of all keys: axis 0 the key; of the next four axis 1 is the generation."""

    top: np.ndarray  # (K, 2, kept) the largest raw scores, largest first
    given: np.ndarray  # (K, 2) int64, records of the generation
    fewest: np.ndarray  # (K, 2) int64, records above the quantile that are not too few
    most: np.ndarray  # (K, 2) int64, records above it that are not too many
    lead: np.ndarray  # (K,) int64, the generation that decides
    seen: np.ndarray  # (K, BLOCKS) int64, records of the block
    above: np.ndarray  # (K, BLOCKS, 2) int64, those above the lower and the upper end
    reference: np.ndarray  # (K, BLOCKS, 2) these ends, as they were when the block began
    location: np.ndarray  # (K, 1) see `combine`
    spread: np.ndarray  # (K, 1) see `combine`
    judged: np.ndarray  # (K,) int64, records that location and spread have learned


class ConfidenceTimes(NamedTuple):
    """When a count of records above is surprising in a generation."""

    many: np.ndarray  # (kept + 1,) int64, k of them are too many before many[k] records
    few: np.ndarray  # (kept + 1,) int64, and too few from few[k] on


class ConfidenceBlockTimes(NamedTuple):
    """And when it is in a block."""

    patience: int  # records above the limit within a block before a shift upwards is believed
    lengths: np.ndarray  # (BLOCKS,) int64, records of a block
    many: np.ndarray  # (BLOCKS, counts) int64
    few: np.ndarray  # (BLOCKS, counts) int64


class ConfidenceParameters(NamedTuple):
    """The settings."""

    placed: bool  # whether raw scores have a zero of their own
    pace: float  # rate of location and spread
    start: int  # raw scores before the first score
    half: int  # records of a generation at which the next one begins; it takes over at twice as many


@kernel
def at_or_above(x: float, k: int, g: int, n: int, top: np.ndarray) -> int:
    """How many of the n kept values are >= x. top: (K, 2, kept), largest first."""
    low = 0
    high = n
    while low < high:
        middle = (low + high) // 2
        if top[k, g, middle] >= x:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def size(x: float, k: int, placed: bool, location: np.ndarray, spread: np.ndarray, judged: np.ndarray) -> float:
    """The positive form of a raw score: itself, or where it has no zero, its centred form."""
    if placed:
        return max(x, 0.0)
    return positive(centred(x, k, 0, 0.0, location, spread, judged))


@kernel
def score_of(x: float, k: int, g: int, placed: bool, top: np.ndarray, given: np.ndarray, centre: Centre) -> float:
    """-log10 of the share of generation g at or above x: exact at the kept values, on a log axis between and beyond.

    Below the smallest kept value it falls in proportion to the positive form of x, which only keeps the order.
    """
    location, spread, judged = centre.location, centre.spread, centre.judged
    n = min(given[k, g], top.shape[2])
    total = given[k, g] + 1.0
    y = size(x, k, placed, location, spread, judged)
    below = at_or_above(x, k, g, n, top)  # the first kept value under x, if any
    if below > 0 and top[k, g, below - 1] == x:
        return math.log10(total / below)
    if below == n:
        least = size(top[k, g, n - 1], k, placed, location, spread, judged) if n > 0 else 0.0
        return math.log10(total / n) * (y / least) if least > 0.0 else 0.0
    under = top[k, g, below]
    share = math.log10(total / at_or_above(under, k, g, n, top))
    start = math.log(max(size(under, k, placed, location, spread, judged), TINY))
    if below > 0:
        end = math.log(max(size(top[k, g, below - 1], k, placed, location, spread, judged), TINY))
        part = (math.log(max(y, TINY)) - start) / (end - start) if end > start else 0.0
        return share + (math.log10(total / below) - share) * min(max(part, 0.0), 1.0)
    if start <= math.log(TINY):  # all zeros until now, which says nothing about the size of the rest
        return math.log10(total + 1.0)
    m = min(n, TAIL) - 1
    spread_out = start - math.log(max(size(top[k, g, m], k, placed, location, spread, judged), TINY))
    slope = MOST_SLOPE
    if spread_out > 0.0:
        slope = min(max(math.log10(m + 1.0) / spread_out, LEAST_SLOPE), MOST_SLOPE)
    return share + slope * (math.log(max(y, TINY)) - start)


@kernel
def insert(
    x: float,
    k: int,
    g: int,
    top: np.ndarray,
    given: np.ndarray,
    fewest: np.ndarray,
    most: np.ndarray,
    times: ConfidenceTimes,
) -> None:
    """Put x among the largest of generation g, and bring its ranks up to date. The arrays are the state's."""
    many, few = times.many, times.few
    kept = top.shape[2]
    n = min(given[k, g], kept)
    given[k, g] += 1
    if n < kept or x > top[k, g, n - 1]:
        at = min(n, kept - 1)
        while at > 0 and top[k, g, at - 1] < x:
            top[k, g, at] = top[k, g, at - 1]
            at -= 1
        top[k, g, at] = x
    while few[fewest[k, g]] <= given[k, g]:
        fewest[k, g] += 1
    while most[k, g] + 1 < many.shape[0] and many[most[k, g] + 1] <= given[k, g]:
        most[k, g] += 1


@kernel
def clear(k: int, g: int, given: np.ndarray, fewest: np.ndarray, most: np.ndarray) -> None:
    """Make generation g of key k an empty one. given, fewest, most: (K, 2)."""
    given[k, g] = 0
    fewest[k, g] = 0
    most[k, g] = 0


@kernel
def upper(k: int, g: int, top: np.ndarray, fewest: np.ndarray) -> float:
    """The largest value that can be the quantile: above it is an anomaly. top: (K, 2, kept); fewest: (K, 2)."""
    return top[k, g, fewest[k, g] - 1] if fewest[k, g] > 0 else math.inf


@kernel
def lower(k: int, g: int, top: np.ndarray, given: np.ndarray, most: np.ndarray) -> float:
    """The smallest value that can be the quantile: at or below it is none. given, most: (K, 2)."""
    return top[k, g, most[k, g]] if most[k, g] < min(given[k, g], top.shape[2]) else -math.inf


@kernel
def shifted(
    x: float, k: int, low: float, high: float, seen: np.ndarray, above: np.ndarray, reference: np.ndarray,
    times: ConfidenceBlockTimes,
) -> bool:  # fmt: skip
    """Whether some block of recent records cannot have the quantile that was known when it began.

    low, high: the ends known now; the arrays are the state's.
    """
    patience, lengths, many, few = times.patience, times.lengths, times.many, times.few
    found = False
    last = many.shape[1] - 1
    for b in range(lengths.shape[0]):
        if seen[k, b] == 0:
            if not (math.isfinite(low) and math.isfinite(high)):
                continue
            reference[k, b, 0] = low
            reference[k, b, 1] = high
        seen[k, b] += 1
        if x >= reference[k, b, 0]:
            above[k, b, 0] += 1
        if x > reference[k, b, 1]:
            above[k, b, 1] += 1
        n = seen[k, b]
        if above[k, b, 1] >= patience and n < many[b, min(above[k, b, 1], last)]:
            found = True
        if n >= few[b, min(above[k, b, 0], last)]:
            found = True
        if n >= lengths[b]:
            seen[k, b] = 0
            above[k, b, 0] = 0
            above[k, b, 1] = 0
    return found


@kernel
def step(
    rows: RawArrays, parameters: ConfidenceParameters, times: ConfidenceTimes, block_times: ConfidenceBlockTimes,
    state: ConfidenceState, out: Verdicts,
) -> None:  # fmt: skip
    """Score and decide each raw value, then learn it."""
    raw, slots, learn = rows.raw, rows.slots, rows.learn
    placed, pace, start = parameters.placed, parameters.pace, parameters.start
    half = parameters.half
    top, given, fewest, most = state.top, state.given, state.fewest, state.most
    lead, seen, above, reference = state.lead, state.seen, state.above, state.reference
    location, spread, judged = state.location, state.spread, state.judged
    centre = Centre(location, spread, judged)
    score, flag = out.score, out.flag
    for i in range(raw.shape[0]):
        if not math.isfinite(raw[i]):
            continue
        k = slots[i]
        x = min(max(raw[i], -1e300), 1e300)
        g = lead[k]
        low = lower(k, g, top, given, most)
        high = upper(k, g, top, fewest)
        source = g if given[k, g] >= start else 1 - g  # just after a shift: the values from before it
        if given[k, source] >= start:
            score[i] = six_digits(max(score_of(x, k, source, placed, top, given, centre), 0.0))
            if x > high:
                flag[i] = 1
            elif x > low:
                flag[i] = 2
        if not learn[i]:
            continue
        if not placed:
            recentre(x, k, 0, pace, location, spread, judged)
            judged[k] += 1
        if shifted(x, k, low, high, seen, above, reference, block_times):
            for b in range(BLOCKS):
                seen[k, b] = 0
                above[k, b, 0] = 0
                above[k, b, 1] = 0
            lead[k] = 1 - g
            clear(k, 1 - g, given, fewest, most)
            continue
        insert(x, k, g, top, given, fewest, most, times)
        if given[k, g] == half:
            clear(k, 1 - g, given, fewest, most)
        elif given[k, g] > half:
            insert(x, k, 1 - g, top, given, fewest, most, times)
            if given[k, g] >= 2 * half:
                lead[k] = 1 - g
                clear(k, g, given, fewest, most)


class Confidence(Threshold):
    """Flags what is surely among the `rate` strangest, abstains where that is not known yet, clears the rest.

    Best for decisions that must be sure.
    A record is an anomaly where its raw score is above the true (1 - rate) quantile of its law. The threshold keeps a
    confidence sequence on that quantile, valid at all times at once: above it 1, inside it 2 (abstained), below it 0.
    The promise, for independent records of one law: with probability 1 - alpha no decision of a generation (from one
    restart or takeover to the next) is wrong. What it does not know it says: at first everything near the limit is
    abstained, and nothing is flagged before the records below. The flag is NOT `score >= -log10(rate)`, and the share
    flagged is below the rate. For streams where a wrong alarm is dear and the rate is the true share of anomalies.
    NOT for streams with more anomalies than the rate, the records after level shifts among them (the quantile then
    lies among these), nor for serial dependence (bursts look like shifts).

    A shift of the law is found by blocks, from 16 records to as many as are remembered: the quantile that was
    possible when a block began is not possible for the block. Then everything is learned afresh. A false restart has
    probability alpha at most in as many records as are remembered. A shift downwards is found only after 1.2 to 1.5
    times the records below.

    Records needed before anything can be flagged (alpha = .001), and records remembered with 192 values:

    =====  ========  ==========  ===========
    rate   binomial  remembered  bound=paper
    =====  ========  ==========  ===========
    .1           80       1 392        3 949
    .01         831      13 662      406 548
    .001      8 341     136 367       41.5e6
    1e-4     83 439   1 000 000        4.2e9
    =====  ========  ==========  ===========

    A rate for which twice these records exceed `horizon`, or their largest exceed `kept`, is refused. On clean streams
    behind `level`, a million records of eight laws, .6 of the rate is flagged and .9 to 1.2 of it abstained, at .01 and
    .001; with a level shift every 20,000 records .03 to .6 at .001.

    Parameters
    ----------
    alpha : probability of any mistake since a restart, in (0, 1).
    bound : `binomial` adapts to the small variance of an extreme quantile; `paper` is the width of [1]_, for all rates.
    kept : largest values kept, twice; more remember more records and narrow what is abstained. [values]
    horizon : records after which the limits are learned afresh from the last half of them, at most. [records]
    patience : records above the limit within a block before a shift upwards is believed, >= 1. A burst that is shorter
        restarts nothing; 1 is the paper's. [records]

    Cost
    ----
    A binary search and six counts a record, an insertion where it is among the largest: compiled .22 us, interpreted
    10 us.

    State
    -----
    2 kept + 40 numbers: 3.4 KB.

    Notes
    -----
    The score is -log10 of the empirical share of the generation's records at or above, exact at the kept values and
    log-linear between them; beyond the largest it goes on with the slope between the 16th largest and the largest.
    Below the smallest kept value it falls to 0 in proportion to the raw score: there it orders and is not calibrated.
    The rules are those of [1]_, taken from a summary with formulas, not checked against the paper. Deviations: the
    binomial bound is the beta-binomial mixture of [2]_ with the prior's mean at the rate, inverted for the quantile as
    in [3]_; a shift is sought in blocks of six lengths instead of at all splits, a block of n records with
    alpha n / (6 longest); and a generation is forgotten. The offline sets of [1]_ are left out.

    References
    ----------
    .. [1] S. Sun, A. Sankararaman, B. Narayanaswamy, "Online adaptive anomaly thresholding with confidence sequences",
       ICML 2024.
    .. [2] S. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence
       sequences", Annals of Statistics 49, 2021.
    .. [3] S. Howard, A. Ramdas, "Sequential estimation of quantiles with applications to A/B testing and best-arm
       identification", Bernoulli 28, 2022.
    """

    takes = ("distance", "level")
    abstains = True
    state_class = ConfidenceState

    def __init__(
        self,
        alpha: float = 0.001,
        bound: Literal["binomial", "paper"] = "binomial",
        kept: int = 192,
        horizon: int = 1_000_000,
        patience: int = 50,
    ) -> None:
        if not 1e-12 <= alpha < 1.0:
            raise ValueError(f"alpha must be in [1e-12, 1), got {alpha}")
        if bound not in ("binomial", "paper"):
            raise ValueError(f"bound must be binomial or paper, got {bound!r}")
        if not 16 <= kept <= 100_000:
            raise ValueError(f"kept must be from 16 to 100000 values, got {kept}")
        if not 64 <= horizon <= 1e12:
            raise ValueError(f"horizon must be from 64 to 1e12 records, got {horizon}")
        if patience < 1:
            raise ValueError(f"patience must be at least 1 record, got {patience}")
        self.alpha, self.bound, self.kept = alpha, bound, kept
        self.horizon, self.patience = horizon, patience
        self._made_for: float | None = None

    def bind(self, fields: Sequence[str], params: Params) -> None:
        super().bind(fields, params)
        if self._made_for != params.rate:
            self._made_for = params.rate
            self._tables(params.rate)

    def _tables(self, rate: float) -> None:
        """First times for a generation and for the blocks, and how many records a generation lives."""
        many, few = first_times(self.bound, rate, self.alpha, self.kept + 1, NEVER - 1)
        self._times = ConfidenceTimes(many, few)
        lives = int(min(self.horizon, many[self.kept] - 1))
        self._half = max(lives // 2, 1)
        ratio = (max(lives, SHORTEST) / SHORTEST) ** (1.0 / (BLOCKS - 1))
        lengths = np.array([round(SHORTEST * ratio**b) for b in range(BLOCKS)], np.int64)
        alphas = [self.alpha * n / (BLOCKS * lengths[-1]) for n in lengths.tolist()]
        width = 2 + max(most_above(self.bound, rate, a, n) for a, n in zip(alphas, lengths.tolist(), strict=True))
        pairs = [first_times(self.bound, rate, a, width, n) for a, n in zip(alphas, lengths.tolist(), strict=True)]
        block_many, block_few = (np.array([pair[side] for pair in pairs]) for side in range(2))
        self._block_times = ConfidenceBlockTimes(int(self.patience), lengths, block_many, block_few)

    def check(self, params: Params) -> None:
        super().check(params)
        rate = params.rate
        needed = records_needed(self.bound, rate, self.alpha)
        if 2 * needed > self.horizon:
            low, high = rate, 0.5
            while high / low > 1.01:
                middle = math.sqrt(low * high)
                if 2 * records_needed(self.bound, middle, self.alpha) > self.horizon:
                    low = middle
                else:
                    high = middle
            other = "; bound=binomial needs far fewer" if self.bound == "paper" else ""
            raise ValueError(
                f"rate {rate:g} cannot be decided with horizon={self.horizon}: nothing can be flagged before "
                f"{needed:.3g} records, and a horizon holds twice as many; give horizon={2 * needed}, "
                f"or a rate from {high:.2g} on{other}"
            )
        kept = most_above(self.bound, rate, self.alpha, 2 * needed) + 1
        if kept > self.kept:
            raise ValueError(
                f"rate {rate:g} cannot be decided with kept={self.kept} values: nothing can be flagged before "
                f"{needed:.3g} records, of which twice as many must be held; give kept={kept}"
            )

    def state_spec(self, n_features: int) -> Spec:
        return {
            "top": ((2, self.kept), np.float64),
            "given": ((2,), np.int64),
            "fewest": ((2,), np.int64),
            "most": ((2,), np.int64),
            "lead": ((), np.int64),
            "seen": ((BLOCKS,), np.int64),
            "above": ((BLOCKS, 2), np.int64),
            "reference": ((BLOCKS, 2), np.float64),
            "location": ((1,), np.float64),
            "spread": ((1,), np.float64),
            "judged": ((), np.int64),
        }

    def step(self, state: State, slots: np.ndarray, raw: np.ndarray, rows: Rows) -> Verdicts:
        out = Verdicts.none(len(raw))
        parameters = ConfidenceParameters(
            placed=self.params.raw_kind != "level",
            pace=PACE[self.params.steady],
            start=min(self.params.warmup, START),
            half=self._half,
        )
        self.run(
            step, len(raw), RawArrays(raw, slots, rows.learn), parameters, self._times, self._block_times,
            self.state_arrays(state), out,
        )  # fmt: skip
        return out

    def limits(self, state: State, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where it would flag, not where it would abstain."""
        low, high = np.full(len(slots), np.nan), np.full(len(slots), np.nan)
        own = self.state_arrays(state)
        for i, slot in enumerate(slots.tolist()):
            limit = upper(slot, int(own.lead[slot]), own.top, own.fewest)
            if math.isfinite(limit):
                high[i] = limit
                if self.signed:
                    low[i] = -limit
        return low, high
