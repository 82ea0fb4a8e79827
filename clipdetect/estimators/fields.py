"""Many fields at once: two-sided clipped scales, what two main directions do not explain, and the largest of both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from clipdetect.components import UNREADABLE, Estimator, Params, RowArrays, Rows, Shares, Spec, State
from clipdetect.jit import kernel
from clipdetect.numerics.directions import along, learn_directions
from clipdetect.numerics.largest import mean_log_of_largest

__all__ = ["Fields"]

START = 8  # values of a field before it is judged
SETTLED = 20  # values of a field that never moved before its first change is strange
FIRST = 3.0  # scales; one of the first deviations of a field is not taken for more


class FieldsConstants(NamedTuple):
    """Numbers that were chosen rather than derived, and the two that follow from the settings."""

    clip: float = 2.5  # scales; a larger deviation teaches the scales no more than this
    floor: float = 0.5  # of the larger side's scale: the least scale of the smaller side
    cap: float = 100.0  # scales; no deviation counts for more
    largest: float = 1.5  # times sqrt(fields) is how many fields count
    bound: float = 3.0  # scales; what the directions learn at most of a field
    least: float = 0.05  # the least scale of what directions leave, in scales of the field
    grow: float = 2.0  # speed of the scales, in steps of the centre, where a deviation is larger than its scale
    gross: float = 0.5  # where it is more than twice the clip
    shrink: float = 1.0  # where it is smaller
    speed: float = 0.5  # of the scales of what directions leave, likewise
    fade: float = 0.5  # of the memory of the larger side, likewise
    turning: float = 1.0  # of the directions, likewise
    rate: float = 0.001  # of the centre in the end: 1 / patience
    memory: float = 0.05  # of the mean of the last scores


class FieldsState(NamedTuple):
    """The arrays of all keys."""

    clock: np.ndarray  # (K,) int64, records learned
    count: np.ndarray  # type: ignore[assignment]  # (K, d) int64, values learned since the start or a restart
    moves: np.ndarray  # (K, d) int64, values that were not the centre, up to 8
    middle: np.ndarray  # (K, d) centre, in the field's unit
    up: np.ndarray  # (K, d) scale of the upper side, in the field's unit
    down: np.ndarray  # (K, d) of the lower side
    wide: np.ndarray  # (K, d) of the larger side, remembered
    residual: np.ndarray  # (K, d) centre of what the directions leave, in scales
    spread: np.ndarray  # (K, d) its scale, in scales
    directions: np.ndarray  # (K, P, d) see `along`
    told: np.ndarray  # (K,) int64, scores since the start or a restart
    memory: np.ndarray  # (K,) mean of the last scores


class FieldsParameters(NamedTuple):
    """The settings."""

    wanted: int  # directions at most
    constants: FieldsConstants
    direct: np.ndarray  # (d,) bool, columns that are rarities in decades


class FieldsScratch(NamedTuple):
    """What is worked out of one record, each (d,) but the last."""

    there: np.ndarray  # bool, whether the field has a value
    judged: np.ndarray  # bool, whether it is judged
    z: np.ndarray  # deviation, in scales
    y: np.ndarray  # the same, clipped
    unit: np.ndarray  # scale of the side it is on
    least: np.ndarray  # scale of the smaller side
    gap: np.ndarray  # what directions leave, in its scale
    shift: np.ndarray  # what they expect, as z
    size: np.ndarray  # |z|, -1 where a field is not judged
    larger: np.ndarray  # the larger of size and |gap|
    own: np.ndarray  # the logarithms of the sizes that count
    both: np.ndarray  # the logarithms of the larger ones that count
    work: np.ndarray
    about: np.ndarray  # (P, 2) see `along`

    @classmethod
    def of(cls, n_fields: int, n_directions: int) -> FieldsScratch:
        """Zeros."""
        there, judged, about = np.zeros(n_fields, bool), np.zeros(n_fields, bool), np.zeros((n_directions, 2))
        return cls(there, judged, *np.zeros((11, n_fields)), about)  # type: ignore[call-arg]


@kernel
def unit_of(own: float, floor: float, middle: float) -> float:
    """Scale of one side of a field, from what was learned on that side; 0 where the field never moved."""
    return max(own, floor, 1e-15 * abs(middle), 1e-300) if own > 0.0 else 0.0


@kernel
def lesson(t: float, clip: float, grow: float, gross: float, shrink: float) -> float:
    """What a deviation of t scales teaches its scale: it follows drift fast, bursts of gross values slowly."""
    if t < 1.0:
        return shrink * (t - 1.0)
    if t <= clip:
        return grow * (t - 1.0)
    return (clip - 1.0) * max(gross, grow - (grow - gross) * (t / clip - 1.0))


@kernel
def stretch(t: float) -> float:
    """exp of t, to the order that matters for steps of a scale."""
    return 1.0 + t * (1.0 + 0.5 * t)


@kernel
def learn_early(d: float, k: int, j: int, rate: float, state: FieldsState) -> bool:
    """Before a field has changed a few times: its first deviation is its scale, and much larger ones widen it.

    d: its deviation. Returns whether its value is then learned as usual.
    """
    moves, up, down, wide = state.moves, state.up, state.down, state.wide
    moved = moves[k, j]
    if d != 0.0:
        moves[k, j] += 1
    if moved == 0:
        if d != 0.0:
            up[k, j] = abs(d)
            down[k, j] = abs(d)
            wide[k, j] = abs(d)
            state.middle[k, j] += rate * d
        return False
    if abs(d) > FIRST * wide[k, j]:  # the first deviation was next to nothing
        own = min(abs(d) / FIRST, FIRST * FIRST * wide[k, j])
        up[k, j] = own
        down[k, j] = own
        wide[k, j] = own
    return True


@kernel
def step(
    rows: RowArrays, parameters: FieldsParameters, state: FieldsState, out: Shares, scratch: FieldsScratch
) -> None:
    """Score each row of X (n, d), then learn it."""
    X, slots, learn, restart = rows.X, rows.slots, rows.learn, rows.restart
    wanted, constants, direct = parameters.wanted, parameters.constants, parameters.direct
    clock, count, moves, told, memory = state.clock, state.count, state.moves, state.told, state.memory
    middle, up, down, wide = state.middle, state.up, state.down, state.wide
    residual, spread, directions = state.residual, state.spread, state.directions
    raw, centre, scale, share = out.raw, out.expected, out.scale, out.share
    there, judged, z, y, unit, least = scratch.there, scratch.judged, scratch.z, scratch.y, scratch.unit, scratch.least
    gap, shift, size, larger = scratch.gap, scratch.shift, scratch.size, scratch.larger
    own, both, work, about = scratch.own, scratch.both, scratch.work, scratch.about
    clip, floor, cap, bound = constants.clip, constants.floor, constants.cap, constants.bound
    narrow, grow, gross, shrink = constants.least, constants.grow, constants.gross, constants.shrink
    slowest = constants.rate
    guess = 0.0
    for i in range(X.shape[0]):
        k = slots[i]
        if restart[i] and learn[i]:
            told[k] = 0
            for j in range(X.shape[1]):
                count[k, j] = 0
        found = 0
        numbers = 0
        anything = False
        for j in range(X.shape[1]):
            x = X[i, j]
            seen = count[k, j]
            there[j] = abs(x) < UNREADABLE
            judged[j] = there[j] and seen >= START
            anything = anything or there[j]
            numbers += 1 if seen > 0 and not direct[j] else 0
            z[j] = 0.0
            y[j] = 0.0
            unit[j] = 0.0
            size[j] = -1.0
            share[i, j] = math.nan
            centre[i, j] = math.nan
            scale[i, j] = math.nan
            if not judged[j]:
                continue
            found += 1
            d = x - middle[k, j]
            if direct[j]:
                size[j] = math.exp(min(max(d, 0.0), 300.0)) - 1.0
                continue
            above = unit_of(up[k, j], floor * wide[k, j], middle[k, j])
            below = unit_of(down[k, j], floor * wide[k, j], middle[k, j])
            f = above if d >= 0.0 else below
            t = 0.0
            if f > 0.0:
                t = min(max(d / f, -cap), cap)
            elif d != 0.0 and seen > SETTLED:
                t = math.copysign(cap, d)
            unit[j] = f
            least[j] = min(above, below)
            z[j] = t
            y[j] = min(max(t, -bound), bound)
            size[j] = abs(t)
        most = min(wanted, max(numbers - 1, 0))
        if found > 0:
            some = min(found, max(1, math.ceil(constants.largest * math.sqrt(found * 1.0))))
            a, edge = mean_log_of_largest(size, some, guess, own, work)
            guess = 0.75 * edge
            b = a
            if most > 0:
                along(y, judged, k, 0, most, directions, about)
                for j in range(X.shape[1]):
                    larger[j] = size[j]
                    if judged[j] and not direct[j]:
                        e = z[j]
                        for p in range(most):
                            e -= directions[k, p, j] * about[p, 0]
                        shift[j] = z[j] - e + residual[k, j]
                        gap[j] = (e - residual[k, j]) / max(spread[k, j], narrow)
                        larger[j] = max(size[j], min(abs(gap[j]), cap))
                b, edge = mean_log_of_largest(larger, some, edge, both, work)
            q = 0.5 * (a + b)
            kept = memory[k] + max(constants.memory, 1.0 / (told[k] + 1.0)) * (q - memory[k])
            raw[i] = 0.5 * (q + kept)
            part = 0.5 / (some * q) if q > 0.0 else 0.0
            for j in range(X.shape[1]):
                if judged[j]:
                    share[i, j] = part * (own[j] + (both[j] if most > 0 else own[j])) if q > 0.0 else 1.0 / found
                    c = middle[k, j]
                    f = unit[j]
                    if most > 0 and larger[j] > size[j]:
                        c += f * shift[j]
                        f *= max(spread[k, j], narrow)
                    centre[i, j] = c
                    scale[i, j] = f
            if learn[i]:
                memory[k] = kept
                told[k] += 1
        if not learn[i] or not anything:
            continue
        if found > 0 and most > 0:
            rate = max(constants.turning * slowest, 1.0 / (clock[k] + 5.0))
            learn_directions(y, judged, k, most, rate, clock[k], directions, about)
        clock[k] += 1
        for j in range(X.shape[1]):
            if not there[j]:
                continue
            x = X[i, j]
            seen = count[k, j]
            count[k, j] = seen + 1
            if seen == 0:
                middle[k, j] = x
                if not wide[k, j] > 0.0:
                    moves[k, j] = 0
                    spread[k, j] = 1.0
                continue
            rate = slowest if seen * slowest >= 1.0 else max(slowest, 1.0 / (seen + 1.0))
            d = x - middle[k, j]
            if direct[j]:
                middle[k, j] += rate * min(max(d, -1.0), 1.0)
                continue
            slow = min(rate, 0.1)
            if judged[j] and most > 0 and up[k, j] > 0.0:
                t = gap[j]
                f = max(spread[k, j], narrow)
                residual[k, j] += rate * f * min(max(t, -clip), clip)
                spread[k, j] = f * stretch(constants.speed * slow * (min(abs(t), clip) - 1.0))
            t = abs(z[j])
            f = unit[j]
            g = least[j]
            if moves[k, j] < START or not judged[j]:
                if moves[k, j] < START and not learn_early(d, k, j, rate, state):
                    continue
                above = unit_of(up[k, j], floor * wide[k, j], middle[k, j])
                below = unit_of(down[k, j], floor * wide[k, j], middle[k, j])
                f = above if d >= 0.0 else below
                g = min(above, below)
                t = abs(d) / f
            a = up[k, j]
            b = down[k, j]
            w = wide[k, j]
            if d == 0.0:
                t = stretch(-0.5 * shrink * slow)
                a = unit_of(a, floor * w, middle[k, j]) * t
                b = unit_of(b, floor * w, middle[k, j]) * t
            else:
                middle[k, j] += rate * min(max(d, -g), g)
                f *= stretch(slow * lesson(t, clip, grow, gross, shrink))
                a = f if d > 0.0 else a
                b = f if d < 0.0 else b
            up[k, j] = a
            down[k, j] = b
            a = max(a, b)
            wide[k, j] = a if a > w else w + constants.fade * slowest * (a - w)


class Fields(Estimator):
    """Records of many fields: the mean of the largest deviations, each field alone and against what goes with it.

    Best for many numeric fields with bursts, drift and lasting faults.
    Every field has a centre and a scale on either side, learned by clipped steps, so that a burst of gross
    records does not make itself normal. Two main directions, learned on line, say what fields do together; a
    field is also judged by what they leave of it. The log(1 + deviation) of the 1.5 sqrt(fields) strangest
    fields is averaged, and half of the score is that of the last records. For records with 1 to 1,500 numeric
    fields whose normal is one cloud, with bursts, drift and lasting faults. Not for anomalies inside the usual
    range of every field, in a gap between modes; nor where nearly half of the records are anomalous; nor for
    seasonal fields whose swing is wide against their noise. A machine that begins at another operating point is
    strange for about `patience` records.

    Parameters
    ----------
    patience : how long a burst must last to become the new normal, about, >= 10: on three data sets a shift of 5 units
        in half of the fields is normal after at most 700 records at 1000, one of 20 units after 1,350 to 2,450. More
        follows drift more slowly. [records]
    directions : how many main directions the fields are compared with, >= 0. 0 judges each field alone, for
        fields that do not go together in a lasting way.
    memory : records over which half of the score is averaged, >= 1; 1 is none, for records in no order. [records]

    Cost
    ----
    O(directions) a field and record: compiled .14 us at one field, .14 for each of 8, .07 for each of 166 or 1,500;
    interpreted 11 to 16 us a field.

    State
    -----
    8 + directions numbers a field and 3 more.

    Notes
    -----
    The rule is ours; the directions are learned by the covariance-free rule of [1]_, whose vectors have the
    variance along them as their length, on deviations clipped at 3. A field is judged from its 9th value on, and
    the first change of a constant after 20. The first deviation of a field sets its scale, and the next seven
    widen it where they are more than 3 of it: a first one of next to nothing would stay for thousands of records.
    A scale grows twice as fast as it shrinks, and slowly under gross values: it follows drift, and a burst hardly
    widens it. Under a scale that moves by a factor of 2.7 in 9,000 records, in 8 fields at once, `tail` flags up to 2.5
    times a rate of .001, of autocorrelated noise (.9) 6 times.
    A field that is missing takes no part, and the number of fields that count is that of those present.
    A restart, as after a declared change, takes the next record for the centre and learns at the first rates
    again; scales and directions are kept.

    A column that is a rarity in decades (-log10 of a probability) counts as it is, less what is usual of it, and
    has no part in the directions. `expected` is the centre, or what the directions expect where that is the
    stranger; a field's share is its part in the sums.

    Of clear bursts, scores stay high while they last; a threshold that counts must not learn them at once.

    References
    ----------
    .. [1] J. Weng, Y. Zhang, W.-S. Hwang, "Candid covariance-free incremental principal component analysis",
       IEEE Transactions on Pattern Analysis and Machine Intelligence 25(8), 2003.
    """

    raw_kind = "distance"
    takes_decades = True
    steady = True
    state_class = FieldsState

    def __init__(self, patience: int = 1000, directions: int = 2, memory: float = 20.0) -> None:
        if patience < 10:
            raise ValueError(f"patience must be at least 10 records, got {patience}")
        if directions < 0:
            raise ValueError(f"directions must be at least 0, got {directions}")
        if not 1.0 <= memory < math.inf:
            raise ValueError(f"memory must be at least 1 record and finite, got {memory}")
        self.patience = patience
        self.directions = directions
        self.memory = memory
        self.constants = FieldsConstants(rate=1.0 / patience, memory=1.0 / memory)
        self._direct = np.zeros(0, bool)

    def bind(self, fields: Sequence[str], params: Params) -> None:
        super().bind(fields, params)
        decades = set(params.decades)
        self._direct = np.array([name in decades for name in fields], bool)

    def state_spec(self, n_features: int) -> Spec:
        d = n_features
        return {
            "clock": ((), np.int64),
            "count": ((d,), np.int64),
            "moves": ((d,), np.int64),
            **dict.fromkeys(("middle", "up", "down", "wide", "residual", "spread"), ((d,), np.float64)),
            "directions": ((self.directions, d), np.float64),
            "told": ((), np.int64),
            "memory": ((), np.float64),
        }

    def step(self, state: State, slots: np.ndarray, rows: Rows) -> Shares:
        n, d = rows.X.shape
        out = Shares.none(rows)
        self.run(
            step, n, rows.arrays(slots), FieldsParameters(self.directions, self.constants, self._direct),
            self.state_arrays(state), out, FieldsScratch.of(d, self.directions),
        )  # fmt: skip
        return out

    def multiples(
        self, state: State, slots: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        told, kept = state["told"][slots], state["memory"][slots]
        weight = np.maximum(self.constants.memory, 1.0 / (told + 1.0))
        q = (2.0 * high - (1.0 - weight) * kept) / (1.0 + weight)
        shared = np.expm1(np.clip(q, 0.0, 700.0))
        return -shared, shared
