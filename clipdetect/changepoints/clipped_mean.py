"""Change of the mean under heavy tails: clipped means before and after every split of a dyadic grid."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np

from clipdetect.changepoints._clipped_mean_theorem import (
    GUARANTEED,
    PRINTED,
    TheoremParameters,
    TheoremScratch,
    TheoremState,
    clear,
    step_theorem,
)
from clipdetect.components import UNREADABLE, ChangePointDetector, Changes, RowArrays, Rows, Spec, State
from clipdetect.jit import kernel
from clipdetect.numerics.clipped_scores import (
    FIRST,
    ScoredFields,
    add,
    begin,
    corrected,
    moments,
    squared,
    standard,
    surprise_of_sum,
)
from clipdetect.numerics.splits import NEAR, PLACES, due, place

__all__ = ["ClippedMean"]

PAIRS = 32  # neighbours that tell how far fields go together, before several fields are tested
LONGEST_COUNTS = 7.0  # ln of 1,100 records: longer windows are not favoured further
# -ln of the level a single test needs so that one stream of 10,000 in e^0 alarms; by benchmarks/reproduce.
ONE_TEST = 13.5


class CalibratedState(NamedTuple):
    """The arrays of all keys for constants=calibrated: of the segment since the last change."""

    filled: np.ndarray  # (K, d) int64, how many of the first values there are
    first: np.ndarray  # (K, 32, d) this and the next two: see `ScoredFields`
    centre: np.ndarray  # (K, d)
    unit: np.ndarray  # (K, d)
    clock: np.ndarray  # (K,) int64, records
    split_at: np.ndarray  # (K, 76) int64, records before each split kept, 0 where there is none
    count: np.ndarray  # type: ignore[assignment]  # (K, d) int64, this and the next two: see `ScoredFields`
    sums: np.ndarray  # (K, 5, d)
    previous: np.ndarray  # (K, d)
    pairs: np.ndarray  # (K,) int64, pairs of neighbours in the next two
    overlap: np.ndarray  # (K,) sum of their squared inner products
    energy: np.ndarray  # (K,) sum of squared squared lengths
    sum_at: np.ndarray  # (K, 76, d) sum of the scores before each split
    count_at: np.ndarray  # (K, 76, d) int64, how many


class Together(NamedTuple):
    """How the fields of a segment go together, and what is asked of a split."""

    fields: int
    trace: float  # tr(R^2) of the fields' correlations
    common: float  # what their lengths have in common, which counts like correlation in short windows
    limit: float  # -ln of a probability


class CalibratedScratch(NamedTuple):
    """Room for what is worked out on the way."""

    score: np.ndarray  # (d,) NaN where missing
    about: np.ndarray  # (4, d) see `moments`
    ordered: np.ndarray  # (32,)


@kernel
def relate(k: int, score: np.ndarray, fields: int, about: np.ndarray, state: CalibratedState) -> None:
    """How the fields go together: the squared inner product of a record's standardised scores and the last
    one's, whose mean is tr(R^2), and the square of the record's own squared length."""
    count, sums, previous = state.count, state.sums, state.previous
    product = 0.0
    length = 0.0
    fresh = 0
    for j in range(score.shape[0]):
        if not math.isnan(score[j]) and about[0, j] > 0.0:
            gap = score[j] - sums[k, 0, j] / count[k, j]
            product += gap * (previous[k, j] - sums[k, 0, j] / count[k, j]) / about[0, j]
            length += gap * gap / about[0, j]
            fresh += 1
    if fresh > 1:
        length *= fields / (1.0 * fresh)
        state.pairs[k] += 1
        state.overlap[k] += product * product
        state.energy[k] += length * length


@kernel
def difference(k: int, p: int, about: np.ndarray, state: CalibratedState) -> float:
    """The fields' squared differences about the split kept at place p, each in its own variance, summed."""
    count, sums, sum_at, count_at = state.count, state.sums, state.sum_at, state.count_at
    total = 0.0
    for j in range(about.shape[1]):
        before = count_at[k, p, j]
        if about[0, j] > 0.0 and before >= FIRST and count[k, j] > before:
            total += squared(sums[k, 0, j], 1.0 * count[k, j], sum_at[k, p, j], 1.0 * before, about, j)
    return total


@kernel
def evidence(k: int, p: int, n: int, together: Together, about: np.ndarray, state: CalibratedState) -> float:
    """-ln of the probability of so large a difference about the split kept at place p, and what its length
    counts for; 0 where it is clearly below the limit. n: the segment's records.
    """
    fields, trace, limit = together.fields, together.trace, together.limit
    count, sums, sum_at, count_at = state.count, state.sums, state.sum_at, state.count_at
    total = difference(k, p, about, state)
    if total < trace / fields * (limit - LONGEST_COUNTS) + fields:
        return 0.0
    total = 0.0
    for j in range(about.shape[1]):
        before = count_at[k, p, j]
        if about[0, j] > 0.0 and before >= FIRST and count[k, j] > before:
            total += corrected(sums[k, 0, j], 1.0 * count[k, j], sum_at[k, p, j], 1.0 * before, about, j)
    before = 1.0 * state.split_at[k, p]
    after = n - before
    shorter = before * after / n
    short = (1.0 / (after * after * after) + 1.0 / (before * before * before)) * shorter * shorter
    own = min(trace + together.common * short, 1.0 * fields * fields)
    return surprise_of_sum(total, fields, own) + min(math.log(shorter), LONGEST_COUNTS)


@kernel
def learn_scores(X: np.ndarray, i: int, k: int, state: CalibratedState, score: np.ndarray, ordered: np.ndarray) -> bool:
    """The row's clipped scores, NaN where a field has none yet, into score (d,); a field with its first
    values begins. Returns whether anything was readable."""
    filled, first, centre, unit = state.filled, state.first, state.centre, state.unit
    fields_of = ScoredFields(first, centre, unit, state.count, state.sums, state.previous)
    readable = False
    square = 0.0
    fields = 0
    for j in range(X.shape[1]):
        x = X[i, j]
        score[j] = math.nan
        if not abs(x) < UNREADABLE:
            continue
        readable = True
        if filled[k, j] == FIRST:
            score[j] = standard(x, centre[k, j], unit[k, j])
            square += score[j] * score[j]
            fields += 1
            continue
        first[k, filled[k, j], j] = x
        filled[k, j] += 1
        if filled[k, j] == FIRST:
            begin(k, j, fields_of, ordered)
    longest = fields + 8.0 * math.sqrt(fields)  # squared; at one field the clip itself
    if square > longest:
        shrink = math.sqrt(longest / square)
        for j in range(X.shape[1]):
            score[j] *= shrink
    return readable


@kernel
def step_calibrated(
    rows: RowArrays, limit: float, state: CalibratedState, out: Changes, scratch: CalibratedScratch
) -> None:
    """Learn each row, then look at the splits that are due. limit: see `limit` below."""
    X, slots, learn = rows.X, rows.slots, rows.learn
    count, sums, previous, clock, split_at = state.count, state.sums, state.previous, state.clock, state.split_at
    pairs, overlap, energy = state.pairs, state.overlap, state.energy
    score, about = scratch.score, scratch.about
    d = X.shape[1]
    for i in range(X.shape[0]):
        k = slots[i]
        if not learn[i]:
            continue
        if not learn_scores(X, i, k, state, score, scratch.ordered):
            continue
        fields = 0
        tails = 0.0
        for j in range(d):
            about[0, j] = 0.0
            if count[k, j] > 0:
                moments(k, j, count, sums, about)
                if about[0, j] > 0.0:
                    fields += 1
                    tails += about[2, j]
        if fields > 1:
            relate(k, score, fields, about, state)
        for j in range(d):
            if not math.isnan(score[j]):
                add(score[j], k, j, count, sums, previous)
        clock[k] += 1
        n = clock[k]
        trace = 1.0
        common = 0.0
        ready = fields == 1 or (fields > 1 and pairs[k] >= PAIRS)
        if fields > 1 and ready:
            trace = min(max(overlap[k] / pairs[k], 1.0 * fields), 1.0 * fields * fields)
            common = max(0.0, 0.5 * (energy[k] / pairs[k] - fields * fields - tails) - trace)
        found = False
        if ready:
            together = Together(fields, trace, common, limit)
            wide = 1
            for level in range(due(n)):
                base = n // wide
                for back in range(NEAR // 2 if level > 0 else 1, min(NEAR, base)):
                    p = place(base - back, level)
                    if not found and split_at[k, p] == (base - back) * wide:
                        own = evidence(k, p, n, together, about, state)
                        found = own > limit
                wide *= 2
        if found:
            best = 0.0
            for p in range(PLACES):
                if split_at[k, p] > 0:
                    own = difference(k, p, about, state)
                    if own > best:
                        best = own
                        out.since[i] = n - split_at[k, p] - 1
            out.changed[i] = True
            clear(k, state.filled, clock, split_at)
            pairs[k] = 0
            overlap[k] = 0.0
            energy[k] = 0.0
            for j in range(d):
                count[k, j] = 0
                for m in range(5):
                    sums[k, m, j] = 0.0
        else:
            p = place(n, 0)
            split_at[k, p] = n
            for j in range(d):
                state.sum_at[k, p, j] = sums[k, 0, j]
                state.count_at[k, p, j] = count[k, j]


class ClippedMean(ChangePointDetector):
    """Change of the mean under heavy tails: clipped estimates before and after every split are compared [1]_.

    Best for changes of the mean under gross outliers.
    Each value may move an estimate by a bounded step only, so outliers and heavy tails raise no alarm
    and a lasting shift does. For streams whose normal is a level with independent noise. Not for
    trends and seasons, which are changes of the mean and are reported as such; not for changes of
    the spread alone; and a burst longer than the delay is a change to it. Autocorrelated noise is
    allowed for only as far as a young segment shows it: 18% of AR(1) streams of .5 alarm within 10,000
    records where 5% should, and 67% of .9, mostly within their first 150.

    Parameters
    ----------
    delta : allowed false alarms, in (0, 1). `calibrated`: probability that 10,000 records of one key
        without a change raise an alarm. `guaranteed`: at most this probability of a false alarm from
        one alarm (or the start) to the next change, however long that takes.
    constants : `calibrated` (ours, by simulation; fast), `guaranteed` (theorem 3.1 and algorithm 1,
        valid for any distribution within sigma; needs tens of thousands of records) or `printed`
        (the constants of section 5.1, which do not hold `delta`; to compare with the paper).
    sigma : bound of the noise, sqrt of the trace of the covariance of all fields, > 0, for guaranteed
        and printed. None = from the stream, scale-free, and without guarantee. [the data's unit]
    diameter : of the ball in which means are known to lie, > 0; needs sigma. None = 12 sigma, without
        guarantee. [the data's unit]
    centre : middle of that ball, the same for all fields; needs sigma. None = the median of a segment's
        first 32 values, without guarantee. [the data's unit]

    Cost
    ----
    About 20 splits a record, whatever the length of the stream: compiled 1.5 us at one field, 2.5 at
    8, 5.6 at 32; interpreted 48 us at one field, 20 us for each further one. `guaranteed` and
    `printed` hold four estimates for every doubling of the segment's length: 1.6 us after 1,000 records
    and 1.7 after 100,000.

    State
    -----
    About 195 numbers a field and 80 a key, 2.2 KB at one field; splits reach back 2^20 records.

    Notes
    -----
    `calibrated` keeps the paper's construction and replaces estimate and bound. A segment's first 32
    values of a field fix a median and a scale; the estimate after a split is the mean of the clipped
    gradients at that median (clip 3 scales, and a clip of the whole record's length), so an estimate
    for any interval is a difference of two sums. The squared difference of two estimates, in units of
    its own variance, is corrected for the skewness, kurtosis and lag-one correlation of the clipped
    gradients and for how far fields go together; a saddlepoint makes it -ln p. An alarm is -ln p +
    ln(records of the shorter side) above a constant less ln(delta), so that short and long changes
    share delta. No theorem covers it. The constant was set by simulation on normal, t(2.1),
    Pareto(2.1) and Bernoulli streams; with it 3 to 8% of these alarm where 5% should, at one field and
    at 32. A change of 1, 2, 3 sigma in normal noise after 1,000 records is declared after 23, 7, 5
    records, where `guaranteed`, after 50,000, needs 7,300, 3,800, 2,200 (benchmarks/reproduce/changepoints.py).

    `guaranteed` runs in units of sigma, where the theorem holds as well; it looks at the same grid of
    splits, which can only lower the false alarms. The paper prints clipped SGD with a minus, which
    diverges; it is a plus here. Equation 9 prints (t + 1) in the first term of `printed` where theorem
    3.1 has its square; with the former its own experiment (sigma 1, diameter 12, change of 1 after 400
    records) cannot alarm, so the square is used. Instead of an interval, `since` gives the split with
    the largest difference, for
    `guaranteed` and `printed` the largest excess, which is only a rough place.

    After an alarm all is learned afresh from the next record on, so the first 32 records of a segment
    hide a second change; to begin with the records since the split would carry their selection into the
    new segment. A record without a field leaves that field's estimates as they are. Where a segment's
    first values of a field are all equal, only the side of later ones counts.

    References
    ----------
    .. [1] A. Sankararaman, B. Narayanaswamy, "Online heavy-tailed change-point detection", UAI 2023,
       PMLR 216:1815-1826, algorithm 1, theorem 3.1, section 5.1.
    """

    def __init__(
        self,
        delta: float = 0.05,
        constants: Literal["calibrated", "guaranteed", "printed"] = "calibrated",
        sigma: float | None = None,
        diameter: float | None = None,
        centre: float | None = None,
    ) -> None:
        if not 0.0 < delta < 1.0:
            raise ValueError(f"delta must be between 0 and 1, got {delta}")
        if constants not in ("calibrated", "guaranteed", "printed"):
            raise ValueError(f"constants must be calibrated, guaranteed or printed, got {constants!r}")
        for name, value in (("sigma", sigma), ("diameter", diameter)):
            if value is not None and not 0.0 < value < math.inf:
                raise ValueError(f"{name} must be > 0, got {value}")
        if constants == "calibrated" and (sigma, diameter, centre) != (None, None, None):
            raise ValueError("sigma, diameter and centre are for constants=guaranteed or printed")
        if sigma is None and (diameter, centre) != (None, None):
            raise ValueError("diameter and centre are in the data's units and need sigma, which is not given")
        self.delta = delta
        self.constants = constants
        self.sigma = sigma
        self.diameter = diameter
        self.centre = centre
        self.state_class = CalibratedState if constants == "calibrated" else TheoremState

    def state_spec(self, n_features: int) -> Spec:
        d = n_features
        reference: Spec = {
            "filled": ((d,), np.int64),
            "first": ((FIRST, d), np.float64),
            "centre": ((d,), np.float64),
            "unit": ((d,), np.float64),
            "clock": ((), np.int64),
            "split_at": ((PLACES,), np.int64),
        }
        if self.constants != "calibrated":
            return {**reference, "mean": ((PLACES + 1, d), np.float64), "before": ((PLACES, d), np.float64)}
        return {
            **reference,
            "count": ((d,), np.int64),
            "sums": ((5, d), np.float64),
            "previous": ((d,), np.float64),
            "pairs": ((), np.int64),
            "overlap": ((), np.float64),
            "energy": ((), np.float64),
            "sum_at": ((PLACES, d), np.float64),
            "count_at": ((PLACES, d), np.int64),
        }

    def step(self, state: State, slots: np.ndarray, rows: Rows) -> Changes:
        n, d = rows.X.shape
        out, arrays = Changes.none(n), self.state_arrays(state)
        if self.constants == "calibrated":
            scratch = CalibratedScratch(np.empty(d), np.empty((4, d)), np.empty(FIRST))
            self.run(step_calibrated, n, rows.arrays(slots), limit(self.delta), arrays, out, scratch)
            return out
        given = (math.nan if each is None else float(each) for each in (self.sigma, self.diameter, self.centre))
        sigma, diameter, centre = given
        guaranteed = self.constants == "guaranteed"
        constants = GUARANTEED if guaranteed else PRINTED
        parameters = TheoremParameters(self.delta, sigma, diameter, centre, constants, guaranteed)
        room = TheoremScratch(np.empty(d), np.empty(FIRST))
        self.run(step_theorem, n, rows.arrays(slots), parameters, arrays, out, room)
        return out


def limit(delta: float) -> float:
    """What -ln of a single test's probability must pass so that 10,000 records alarm with probability delta."""
    return ONE_TEST - math.log(-math.log1p(-delta))
