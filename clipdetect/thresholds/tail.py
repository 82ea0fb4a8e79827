"""The default threshold: a calibrated tail that keeps its word under drift and gross outliers."""

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
from clipdetect.numerics.rounding import six_digits
from clipdetect.numerics.tail_fit import (
    FIRST_NODE,
    LOG_FIRST,
    NODES,
    SCALE_CLIP,
    STEP,
    count,
    place,
    read,
    refit,
    side_scale,
)

__all__ = ["Tail"]

START = 32  # residuals before the first fit; medians by side are usable then
SCALE_RATE = 0.01  # of a side's scale: some 200 of its records
OTHER_RATE = 0.03  # where scores are no residuals: a model's distances change with what it models, and it learns fast
STEADY_RATE = 0.0001  # where the estimator keeps its scores in one unit
LONG_RUN = 64  # records of one size before the scale moves in larger steps; longer than a burst of 50
NEAR = 0.05  # of a record: how far from the one before it is still like it
ALIKE_OVER = 500.0  # records over which the share of such is taken
UNSURE = 0.25  # share alike from which the records come in values, whose scores do not say how old the counts are
WATCHED = 1000.0  # records over which the scores are compared with what they promise
RARE, RARER = 1.30103, 2.0  # scores that 1 in 20 and 1 in 100 reach
KEPT = 150.0  # records that the counts still stand for after another law was seen
BUSY_OVER = 32.0  # records over which the share of rare ones is taken
BUSY = 0.3  # the share from which it is a burst
HELD_PART = 0.02  # of a record: what one of a burst counts for; with 0, a rhythm's peaks never would
MOST_HELD = 0.4  # share of bursts, over a horizon, from which on they are the normal
ONSET, SURELY = 16, 4.0  # records before a burst is one whose counts are taken back, where scores are at least this
FEWEST_DUE = 0.1  # records that the rate should flag within the horizon; the tail is continued over two decades
ZERO_NODE = 6  # the node below y = 1


class TailState(NamedTuple):
    """The arrays of all keys: axis 0 the key; where there are two of a number, one for each side."""

    counts: np.ndarray  # (K, 2, NODES) decayed counts at the nodes
    table: np.ndarray  # (K, NODES) -log10 of the tail at the nodes; before the first fit the residuals
    far: np.ndarray  # (K,) int64, node from which on records are gross
    alike: np.ndarray  # (K,) share of records like the one before
    before: np.ndarray  # (K,) the last residual
    surprised: np.ndarray  # (K,) int64, 1 in a run of scores that 1 in 100 should reach
    watched: np.ndarray  # (K,) records whose scores are watched, decayed like the next two
    low: np.ndarray  # (K,) those that 1 in 20 should reach
    high: np.ndarray  # (K,) beginnings of runs that 1 in 100 should reach
    busy: np.ndarray  # (K,) share of rare scores lately
    lasting: np.ndarray  # (K,) int64, records since a burst began
    idle: np.ndarray  # (K,) share of records held back
    onset: np.ndarray  # (K, ONSET) places on the nodes of the last very rare records, -1 none
    scales: np.ndarray  # (K, 2) unit of the sizes, in raw scores
    sides: np.ndarray  # (K, 2) records of the side that are not 0
    run: np.ndarray  # (K, 2) int64, records in a row beyond the scale, or below zero far within it
    seen: np.ndarray  # (K,) int64, raw scores
    since: np.ndarray  # (K,) int64, records since the last fit
    zeros: np.ndarray  # (K,) int64, zeros where there was nothing else
    location: np.ndarray  # (K, 1) see `combine.placed`, like the next three
    spread: np.ndarray  # (K, 1)
    judged: np.ndarray  # (K,) int64
    last: np.ndarray  # (K,)


class TailParameters(NamedTuple):
    """The settings."""

    signed: bool  # whether raw scores are residuals
    natural: bool  # whether they are distances, with a 0 of their own
    steady: bool  # whether they keep one unit, and a burst teaches nothing before it has lasted `patience` records
    pace: float  # rate of location and spread
    scale_rate: float  # of a side's scale
    patience: int  # records
    start: int  # raw scores before the first fit
    horizon: float  # records after which a count has lost its weight
    limit: float  # score from which on a record is flagged
    prior: np.ndarray  # (NODES,) tail of the law assumed at the start


@kernel
def take_back(k: int, onset: np.ndarray, counts: np.ndarray) -> None:
    """Uncount what a burst had counted before it was known to be one."""
    for m in range(ONSET):
        t = onset[k, m]
        if t >= 0.0:
            j = min(int(t), NODES - 2)
            counts[k, 0, j] = max(counts[k, 0, j] - (1.0 - (t - j)), 0.0)
            counts[k, 0, j + 1] = max(counts[k, 0, j + 1] - (t - j), 0.0)
        onset[k, m] = -1.0


@kernel
def begin(state: TailState, k: int, start: int, signed: bool) -> bool:
    """Scales and counts of the residuals that the table has held until now; whether there is something to fit."""
    counts, table, alike, before = state.counts, state.table, state.alike, state.before
    scales, sides = state.scales, state.sides
    for side in range(2):
        scales[k, side] = side_scale(k, start, side, table)
        sides[k, side] = 0.0
    state.seen[k] = start
    state.since[k] = 0
    if not scales[k, 0] > 0.0:
        state.zeros[k] = start
        return False
    for j in range(NODES):
        counts[k, 0, j] = 0.0
        counts[k, 1, j] = 0.0
    for i in range(start):
        e = table[k, i]
        side = 0 if e >= 0.0 else 1
        if e != 0.0:
            sides[k, side] += 1.0
        count(min(abs(e) / scales[k, side], 1e300), k, side, counts, 1.0)
        if i > 0 and signed and abs(e - before[k]) <= NEAR * max(abs(e), abs(before[k])):
            alike[k] += 1.0 / start
        before[k] = e
    return True


@kernel
def leave_zero(state: TailState, k: int, e: float, horizon: float) -> None:
    """Scales and counts at the first residual that is not exactly 0."""
    counts, scales, sides, seen, zeros = state.counts, state.scales, state.sides, state.seen, state.zeros
    for j in range(NODES):
        counts[k, 0, j] = 0.0
        counts[k, 1, j] = 0.0
    counts[k, 0, 0] = min(zeros[k] * 1.0, horizon)
    counts[k, 0 if e > 0.0 else 1, ZERO_NODE] = 1.0
    state.alike[k] = 1.0
    for side in range(2):
        scales[k, side] = learned_size(e)
        sides[k, side] = 4.0
    zeros[k] = 0
    seen[k] += 1


@kernel
def rescale(y: float, k: int, side: int, least: float, scales: np.ndarray, sides: np.ndarray, run: np.ndarray) -> None:
    """One clipped step of a side's scale, at rate `least` in the end; a long run of surprises makes it larger."""
    sides[k, side] += 1.0
    if y > 2.0:
        run[k, side] = max(run[k, side], 0) + 1
    elif y < 0.125:
        run[k, side] = min(run[k, side], 0) - 1
    else:
        run[k, side] = 0
    rate = max(least, 1.0 / (sides[k, side] + 1.0))
    beyond = abs(run[k, side]) - LONG_RUN
    if beyond > 0:
        rate = min(0.25, rate * (1.0 + beyond / 8.0))
    scales[k, side] *= math.exp(rate * (min(y, SCALE_CLIP) - 1.0))


@kernel
def watch(
    u: float, y: float, k: int, far: np.ndarray, surprised: np.ndarray, watched: np.ndarray, low: np.ndarray,
    high: np.ndarray,
) -> None:  # fmt: skip
    """Count scores that 1 in 20 should reach, and beginnings of runs that 1 in 100 should; gross records apart."""
    if place(y) >= far[k]:
        return
    watched[k] += 1.0
    if u >= RARE:
        low[k] += 1.0
    if u >= RARER and surprised[k] == 0:
        high[k] += 1.0
    surprised[k] = 1 if u >= RARER else 0


@kernel
def outdated(k: int, watched: np.ndarray, low: np.ndarray, high: np.ndarray) -> bool:
    """Whether lately three times as many records were rare as the counts say, or a quarter: another law."""
    return high[k] > 0.03 * watched[k] + 6.0 or (watched[k] > WATCHED / 2.0 and low[k] < 0.0125 * watched[k])


@kernel
def remaining(k: int, counts: np.ndarray) -> float:
    """The factor that leaves counts of `KEPT` records."""
    total = 0.0
    for j in range(NODES):
        total += counts[k, 0, j] + counts[k, 1, j]
    return KEPT / total if total > KEPT else 1.0


@kernel
def step(rows: RawArrays, parameters: TailParameters, state: TailState, out: Verdicts, beyond: np.ndarray) -> None:
    """Score each raw value, then learn it. beyond: (3, NODES) scratch.

    What is learned of a record is `like` it: the first change of a constant has no size yet.
    """
    raw, slots, learn = rows.raw, rows.slots, rows.learn
    signed, natural, steady = parameters.signed, parameters.natural, parameters.steady
    pace, scale_rate, patience = parameters.pace, parameters.scale_rate, parameters.patience
    start, horizon, limit, prior = parameters.start, parameters.horizon, parameters.limit, parameters.prior
    counts, table, far, alike, before = state.counts, state.table, state.far, state.alike, state.before
    surprised, watched, low, high = state.surprised, state.watched, state.low, state.high
    busy, lasting, idle, onset = state.busy, state.lasting, state.idle, state.onset
    scales, sides, run = state.scales, state.sides, state.run
    seen, since, zeros = state.seen, state.since, state.zeros
    location, spread, judged, last = state.location, state.spread, state.judged, state.last
    score, flag = out.score, out.flag
    for i in range(raw.shape[0]):
        k = slots[i]
        e = raw[i]
        same = True
        due = False  # whether it is time for a fit
        if not math.isfinite(e):
            continue
        held = steady and busy[k] > BUSY and lasting[k] <= patience and idle[k] < MOST_HELD
        if not signed:
            value = min(max(e, -1e300), 1e300)
            same = not natural or abs(value - last[k]) <= NEAR * max(abs(value), abs(last[k]))
            new = first_change(value, k, location, spread, judged)
            e = placed(value, k, learn[i] and not held, pace, location, spread, judged, last)
            like = positive(1.0) if new else e
        else:
            e = min(max(e, -1e300), 1e300)
            like = math.copysign(learned_size(e), e)
        if seen[k] < start:
            if learn[i]:
                table[k, seen[k]] = like
                seen[k] += 1
                if seen[k] == start:
                    due = begin(state, k, start, signed)
        elif zeros[k] > 0:
            score[i] = six_digits(change_after(zeros[k] * 1.0)) if e != 0.0 else 0.0
            if learn[i]:
                if e == 0.0:
                    zeros[k] += 1
                else:
                    leave_zero(state, k, e, horizon)
                    due = True
        else:
            side = 0 if e >= 0.0 else 1
            y = min(abs(e) / max(scales[k, side], 1e-300), 1e300)
            u = read(y, k, table)
            score[i] = six_digits(u)
            if learn[i]:
                if like != e:
                    y = min(abs(like) / max(scales[k, side], 1e-300), 1e300)
                was = busy[k]
                busy[k] += ((1.0 if u >= RARE else 0.0) - busy[k]) / BUSY_OVER
                lasting[k] = lasting[k] + 1 if busy[k] > BUSY else 0
                idle[k] += ((1.0 if held else 0.0) - idle[k]) / min(horizon, seen[k] + 1.0)
                count(y, k, side, counts, HELD_PART if held else 1.0)
                if steady:
                    sure = u >= SURELY and not held
                    onset[k, seen[k] % ONSET] = min(max(place(y), 0.0), NODES - 1.0) if sure else -1.0
                    if was <= BUSY and busy[k] > BUSY and patience > 0 and idle[k] < MOST_HELD:
                        take_back(k, onset, counts)
                        far[k] = refit(k, seen[k], alike[k], prior, counts, table, beyond)
                near = same and abs(e - before[k]) <= NEAR * max(abs(e), abs(before[k]))
                over = min(ALIKE_OVER, seen[k] + 1.0) if signed else ALIKE_OVER
                alike[k] += ((1.0 if near else 0.0) - alike[k]) / over
                before[k] = e
                watch(u, y, k, far, surprised, watched, low, high)
                if e != 0.0 and not held:  # exact zeros never move a scale
                    rescale(y, k, side, scale_rate, scales, sides, run)
                seen[k] += 1
                since[k] += 1
                new = signed and u >= limit and place(y) < far[k]  # a flag, and no gross record
                due = new or since[k] >= min(128, max(16, seen[k] // 8))
                if due:
                    keep = 1.0 - since[k] / horizon
                    fade = 1.0 - since[k] / WATCHED
                    if not steady and alike[k] < UNSURE and outdated(k, watched, low, high):
                        keep = remaining(k, counts)
                        fade = 0.0
                    for j in range(NODES):
                        counts[k, 0, j] *= keep
                        counts[k, 1, j] *= keep
                    watched[k] *= fade
                    low[k] *= fade
                    high[k] *= fade
                    since[k] = 0
        if due:
            far[k] = refit(k, seen[k], alike[k], prior, counts, table, beyond)
        flag[i] = 1 if score[i] >= limit else 0


def _prior() -> np.ndarray:
    """(48,) tail of Student's t with 4 degrees of freedom at the nodes, unit near its clipped mean."""
    y = np.exp(LOG_FIRST + STEP * np.arange(NODES))
    w = 0.95 * y / np.sqrt(4.0 + (0.95 * y) ** 2)
    return np.asarray(1.0 - 1.5 * w + 0.5 * w**3)


class Tail(Threshold):
    """Calibrated tail probability from decayed counts, with gross records told apart from heavy tails.

    Best for nearly every estimator: the default.
    Positive and negative residuals are scaled apart by a clipped scale, then pooled in 48 bins of
    log |residual|. Every record adds one count, gross or not, so nothing can freeze; on reading, far
    records behind an empty stretch are left out of the fit, because for every usual law the local
    tail index does not fall outwards. The logarithm of the tail is continued as a concave parabola.
    Where most records are like the one before and on one side, far ones are values like others, not
    gross. Where the scores of the last 1000 records no longer keep their word, old counts are given up.
    On residuals of `level` it holds the rates .01 and .001 within a factor of 1.6 for laws from Gaussian
    to t(2.1), and flags at most 2 times the rate of the rest while 5% of the records are gross; a rate below
    .1 / horizon is refused. After a change of the law's shape it floods for about 1000 records where the
    law turns heavy, and is silent for about 3000 where it turns light. Quieter than asked for on bounded
    noise (the uniform's last 1% lies within a tenth of a bin). Not for a few distinct values whose far
    ones are neither rare nor beside one that repeats: these can still be taken for gross.

    Parameters
    ----------
    horizon : records after which a count has lost its weight, >= 1000; twice as many where the estimator keeps its
        raw scores in one unit. Longer steadies rates under .001 and prolongs the adaptation to another law. [records]
    patience : how many records a burst of rare scores must last before it counts, 0 = every record counts at once.
        Only where the estimator keeps its raw scores in one unit (`fields`, `forest`): its bursts stay
        flagged meanwhile, and each of their records counts for .02 of one, so that what keeps coming back is learned.
        Where bursts take up .4 of the horizon they are learned at once. [records]

    Cost
    ----
    Two logarithms a record, and a fit of 48 bins once in 128 records: compiled .2 us, interpreted 9 to 13 us.

    State
    -----
    182 numbers a key: 1.5 KB.

    Notes
    -----
    Raw scores that are no residual (any location) are first centred by a clipped location and
    spread, and only their upper side is ever strange. The scheme is ours; the concavity it leans on
    is the von Mises condition of extreme-value theory [1]_.

    References
    ----------
    .. [1] L. de Haan, A. Ferreira, "Extreme Value Theory", Springer 2006, theorem 1.1.8.
    """

    state_class = TailState

    def __init__(self, horizon: int = 10_000, patience: int = 3000) -> None:
        if horizon < 1000:
            raise ValueError(f"horizon must be at least 1000 records, got {horizon}")
        if patience < 0:
            raise ValueError(f"patience must be at least 0 records, got {patience}")
        self.horizon, self.patience = horizon, patience
        self._prior = _prior()

    def state_spec(self, n_features: int) -> Spec:
        return {
            "counts": ((2, NODES), np.float64),
            "table": ((NODES,), np.float64),
            "far": ((), np.int64),
            "alike": ((), np.float64),
            "before": ((), np.float64),
            "surprised": ((), np.int64),
            "watched": ((), np.float64),
            "low": ((), np.float64),
            "high": ((), np.float64),
            "busy": ((), np.float64),
            "lasting": ((), np.int64),
            "idle": ((), np.float64),
            "onset": ((ONSET,), np.float64),
            "scales": ((2,), np.float64),
            "sides": ((2,), np.float64),
            "run": ((2,), np.int64),
            "seen": ((), np.int64),
            "since": ((), np.int64),
            "zeros": ((), np.int64),
            **PLACED,
        }

    def check(self, params: Params) -> None:
        needed = math.ceil(FEWEST_DUE / params.rate * (1.0 - 1e-9))  # 1e-6 has no exact float
        if self.horizon < needed:
            raise ValueError(
                f"rate {params.rate:g} cannot be resolved with horizon={self.horizon} records: "
                f"give horizon={needed}, or a rate from {FEWEST_DUE / self.horizon:g} on"
            )

    @property
    def _start(self) -> int:
        return min(self.params.warmup, START)

    def step(self, state: State, slots: np.ndarray, raw: np.ndarray, rows: Rows) -> Verdicts:
        out = Verdicts.none(len(raw))
        steady = self.params.steady
        parameters = TailParameters(
            signed=self.signed,
            natural=self.params.raw_kind == "distance",
            steady=steady,
            pace=PACE[steady],
            scale_rate=SCALE_RATE if self.signed else STEADY_RATE if steady else OTHER_RATE,
            patience=self.patience,
            start=self._start,
            horizon=float(self.horizon * (2 if steady else 1)),
            limit=-math.log10(self.params.rate),
            prior=self._prior,
        )
        self.run(
            step, len(raw), RawArrays(raw, slots, rows.learn), parameters, self.state_arrays(state), out,
            np.empty((3, NODES)),
        )  # fmt: skip
        return out

    def limits(self, state: State, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wanted = -math.log10(self.params.rate)
        table, scales = state["table"][slots], state["scales"][slots]
        low, high = np.full(len(slots), np.nan), np.full(len(slots), np.nan)
        for i, slot in enumerate(slots.tolist()):
            if state["seen"][slot] < self._start:
                continue
            if state["zeros"][slot] > 0:
                y = 0.0 if change_after(float(state["zeros"][slot])) >= wanted else math.nan
            else:
                y = _inverse(table[i], wanted)
            if self.signed:
                low[i], high[i] = -y * scales[i, 1], y * scales[i, 0]
            else:
                high[i] = unplaced(y * scales[i, 0], slot, state)
        return low, high


def _inverse(table: np.ndarray, wanted: float) -> float:
    """The y at which a table (48,) reads `wanted`."""
    if wanted <= table[0]:
        return float(FIRST_NODE * wanted / table[0])
    j = min(int(np.searchsorted(table, wanted)), NODES - 1) - 1
    t = j + (wanted - table[j]) / (table[j + 1] - table[j])
    return math.exp(min(LOG_FIRST + STEP * t, 700.0))
