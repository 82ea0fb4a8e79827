"""Many fields at once: two-sided clipped scales, what two main directions do not explain, and the largest of both."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from clipdetect.components import Estimator, Params, Rows, Spec, State
from clipdetect.jit import kernel
from clipdetect.numerics.directions import along, learn_directions
from clipdetect.numerics.largest import mean_log_of_largest

__all__ = ["Fields"]

START = 8  # values of a field before it is judged
SETTLED = 20  # values of a field that never moved before its first change is strange
FIRST = 3.0  # scales; one of the first deviations of a field is not taken for more
UNREADABLE = 1e150  # larger values would overflow when squared
CONSTANTS = {
    "clip": 2.5,  # scales; a larger deviation teaches the scales no more than this
    "floor": 0.5,  # of the larger side's scale: the least scale of the smaller side
    "cap": 100.0,  # scales; no deviation counts for more
    "largest": 1.5,  # times sqrt(fields) is how many fields count
    "bound": 3.0,  # scales; what the directions learn at most of a field
    "least": 0.05,  # the least scale of what directions leave, in scales of the field
    "grow": 2.0,  # speed of the scales, in steps of the centre, where a deviation is larger than its scale
    "gross": 0.5,  # where it is more than twice the clip
    "shrink": 1.0,  # where it is smaller
    "speed": 0.5,  # of the scales of what directions leave, likewise
    "fade": 0.5,  # of the memory of the larger side, likewise
    "turning": 1.0,  # of the directions, likewise
}
CLIP, FLOOR, CAP, LARGEST, BOUND, LEAST, GROW, GROSS, SHRINK, SPEED, FADE, TURNING, RATE, MEMORY = range(
    len(CONSTANTS) + 2
)


@kernel
def unit_of(own, floor, middle):
    """Scale of one side of a field, from what was learned on that side; 0 where the field never moved."""
    return max(own, floor, 1e-15 * abs(middle), 1e-300) if own > 0.0 else 0.0


@kernel
def lesson(t, clip, grow, gross, shrink):
    """What a deviation of t scales teaches its scale: it follows drift fast, bursts of gross values slowly."""
    if t < 1.0:
        return shrink * (t - 1.0)
    if t <= clip:
        return grow * (t - 1.0)
    return (clip - 1.0) * max(gross, grow - (grow - gross) * (t / clip - 1.0))


@kernel
def stretch(t):
    """exp of t, to the order that matters for steps of a scale."""
    return 1.0 + t * (1.0 + 0.5 * t)


@kernel
def learn_early(d, k, j, rate, moves, middle, up, down, wide):
    """Before a field has changed a few times: its first deviation is its scale, and much larger ones widen it.

    d: its deviation. Returns whether its value is then learned as usual.
    """
    moved = moves[k, j]
    if d != 0.0:
        moves[k, j] += 1
    if moved == 0:
        if d != 0.0:
            up[k, j] = abs(d)
            down[k, j] = abs(d)
            wide[k, j] = abs(d)
            middle[k, j] += rate * d
        return False
    if abs(d) > FIRST * wide[k, j]:  # the first deviation was next to nothing
        own = min(abs(d) / FIRST, FIRST * FIRST * wide[k, j])
        up[k, j] = own
        down[k, j] = own
        wide[k, j] = own
    return True


@kernel
def step(
    X, slots, learn, restart, wanted, constants, direct, clock, count, moves, middle, up, down, wide, residual, spread,
    directions, told, memory, raw, centre, scale, share, there, judged, z, y, unit, least, gap, shift, size, larger,
    own, both, work, about,
):  # fmt: skip
    """Score each row, then learn it.

    raw: (n,); centre, scale, share: (n, d). From `there` on all are scratch: z: deviations in scales `unit`, y: these
    clipped; least: the scale of the smaller side; gap: what directions leave, in its scale; shift: what they expect,
    as z; size: |z|, -1 where a field is not judged; larger: the larger of size and |gap|; own, both: the logarithms
    of those that count.
    """
    clip = constants[CLIP]
    floor = constants[FLOOR]
    cap = constants[CAP]
    bound = constants[BOUND]
    narrow = constants[LEAST]
    grow = constants[GROW]
    gross = constants[GROSS]
    shrink = constants[SHRINK]
    slowest = constants[RATE]
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
            some = min(found, max(1, math.ceil(constants[LARGEST] * math.sqrt(found * 1.0))))
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
            kept = memory[k] + max(constants[MEMORY], 1.0 / (told[k] + 1.0)) * (q - memory[k])
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
            rate = max(constants[TURNING] * slowest, 1.0 / (clock[k] + 5.0))
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
                spread[k, j] = f * stretch(constants[SPEED] * slow * (min(abs(t), clip) - 1.0))
            t = abs(z[j])
            f = unit[j]
            g = least[j]
            if moves[k, j] < START or not judged[j]:
                if moves[k, j] < START and not learn_early(d, k, j, rate, moves, middle, up, down, wide):
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
            wide[k, j] = a if a > w else w + constants[FADE] * slowest * (a - w)


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
        self.constants = np.array([*CONSTANTS.values(), 1.0 / patience, 1.0 / memory])
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

    def step(
        self, state: State, slots: np.ndarray, rows: Rows
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        n, d = rows.X.shape
        raw, given = np.full(n, np.nan), [np.empty((n, d)) for _ in range(3)]
        self.run(
            step, n, rows.X, slots, rows.learn, rows.restart, self.directions, self.constants, self._direct,
            *[state[name] for name in self.state_spec(d)], raw, *given, np.zeros(d, bool), np.zeros(d, bool),
            *[np.zeros(d) for _ in range(11)], np.zeros((self.directions, 2)),
        )  # fmt: skip
        return raw, given[0], given[1], given[2]

    def multiples(
        self, state: State, slots: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        told, kept = state["told"][slots], state["memory"][slots]
        weight = np.maximum(self.constants[MEMORY], 1.0 / (told + 1.0))
        q = (2.0 * high - (1.0 - weight) * kept) / (1.0 + weight)
        shared = np.expm1(np.clip(q, 0.0, 700.0))
        return -shared, shared
