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
    "speed": 0.5,  # of the scales, in steps of the centre
    "fade": 0.5,  # of the memory of the larger side, likewise
    "turning": 1.0,  # of the directions, likewise
}
CLIP, FLOOR, CAP, LARGEST, BOUND, LEAST, SPEED, FADE, TURNING, RATE, MEMORY = range(len(CONSTANTS) + 2)


@kernel
def unit_of(above, k, j, constants, middle, up, down, wide):
    """Scale of field j on one side of its centre; 0 where it never moved."""
    own = up[k, j] if above else down[k, j]
    if not own > 0.0:
        return 0.0
    return max(own, constants[FLOOR] * wide[k, j], 1e-15 * abs(middle[k, j]), 1e-300)


@kernel
def look(
    X, i, k, constants, direct, count, middle, up, down, wide, there, judged, z, y, size
):  # fmt: skip
    """Deviations of row i into z, clipped into y, their sizes into size (d,); returns how many fields are judged."""
    found = 0
    for j in range(X.shape[1]):
        x = X[i, j]
        there[j] = abs(x) < UNREADABLE
        judged[j] = there[j] and count[k, j] >= START
        z[j] = 0.0
        y[j] = 0.0
        if not judged[j]:
            continue
        found += 1
        if direct[j]:
            size[j] = math.exp(min(max(x - middle[k, j], 0.0), 300.0)) - 1.0
            continue
        d = x - middle[k, j]
        f = unit_of(d >= 0.0, k, j, constants, middle, up, down, wide)
        if f > 0.0:
            z[j] = min(max(d / f, -constants[CAP]), constants[CAP])
        elif d != 0.0 and count[k, j] > SETTLED:
            z[j] = math.copysign(constants[CAP], d)
        y[j] = min(max(z[j], -constants[BOUND]), constants[BOUND])
        size[j] = abs(z[j])
    return found


@kernel
def leave(k, most, constants, direct, judged, residual, spread, directions, about, z, y, left, size):
    """What directions leave of each field into left, in its scale; size becomes the larger of both strangenesses."""
    for p in range(most):
        along(y, judged, k, p, directions, about)
    for j in range(z.shape[0]):
        left[j] = 0.0
        if judged[j] and not direct[j]:
            e = z[j]
            for p in range(most):
                e -= directions[k, p, j] * about[p, 0]
            left[j] = e
            gap = abs(e - residual[k, j]) / max(spread[k, j], constants[LEAST])
            size[j] = max(size[j], min(gap, constants[CAP]))


@kernel
def learn_residual(e, k, j, rate, constants, residual, spread):
    """One clipped step of location and scale of what directions leave of field j."""
    f = max(spread[k, j], constants[LEAST])
    t = (e - residual[k, j]) / f
    residual[k, j] += rate * f * min(max(t, -constants[CLIP]), constants[CLIP])
    spread[k, j] = f * math.exp(constants[SPEED] * min(rate, 0.1) * (min(abs(t), constants[CLIP]) - 1.0))


@kernel
def learn_value(x, k, j, rate, constants, moves, middle, up, down, wide):
    """One clipped step of the centre of field j, and of the scale of the side on which x lies."""
    d = x - middle[k, j]
    moved = moves[k, j]
    if d != 0.0:
        moves[k, j] += 1
    if moved == 0 and d == 0.0:
        return
    if moved == 0:
        up[k, j] = abs(d)
        down[k, j] = abs(d)
        wide[k, j] = abs(d)
        middle[k, j] += rate * d
        return
    if moved < START and abs(d) > FIRST * wide[k, j]:  # the first deviation was next to nothing
        own = min(abs(d) / FIRST, FIRST * FIRST * wide[k, j])
        up[k, j] = own
        down[k, j] = own
        wide[k, j] = own
    above = unit_of(True, k, j, constants, middle, up, down, wide)
    below = unit_of(False, k, j, constants, middle, up, down, wide)
    step = constants[SPEED] * min(rate, 0.1)
    if d == 0.0:
        factor = math.exp(-0.5 * step)
        up[k, j] = above * factor
        down[k, j] = below * factor
    else:
        g = min(above, below)
        middle[k, j] += rate * min(max(d, -g), g)
        f = above if d > 0.0 else below
        f *= math.exp(step * (min(abs(d) / f, constants[CLIP]) - 1.0))
        if d > 0.0:
            up[k, j] = f
        else:
            down[k, j] = f
    most = max(up[k, j], down[k, j])
    if most > wide[k, j]:
        wide[k, j] = most
    else:
        wide[k, j] += constants[FADE] * constants[RATE] * (most - wide[k, j])


@kernel
def learn_row(
    X, i, k, found, most, constants, direct, clock, count, moves, middle, up, down, wide, residual, spread, directions,
    about, there, judged, y, left,
):  # fmt: skip
    """Learn every field of row i that is there, and the directions."""
    rate = max(constants[TURNING] * constants[RATE], 1.0 / (clock[k] + 5.0))
    if found > 0:
        learn_directions(y, judged, k, most, rate, clock[k], directions, about)
    for j in range(X.shape[1]):
        if not there[j]:
            continue
        x = X[i, j]
        rate = max(constants[RATE], 1.0 / (count[k, j] + 1.0))
        if count[k, j] == 0:
            middle[k, j] = x
            if not wide[k, j] > 0.0:
                moves[k, j] = 0
                spread[k, j] = 1.0
        elif direct[j]:
            middle[k, j] += rate * min(max(x - middle[k, j], -1.0), 1.0)
        else:
            if judged[j] and most > 0 and up[k, j] > 0.0:
                learn_residual(left[j], k, j, rate, constants, residual, spread)
            learn_value(x, k, j, rate, constants, moves, middle, up, down, wide)
        count[k, j] += 1
    clock[k] += 1


@kernel
def step(
    X, slots, learn, restart, wanted, constants, direct, clock, count, moves, middle, up, down, wide, residual, spread,
    directions, told, memory, raw, centre, unit, share, there, judged, z, y, left, size, plain, own, both, work, about,
):  # fmt: skip
    """Score each row, then learn it. raw: (n,); centre, unit, share: (n, d); the last lines are scratch."""
    for i in range(X.shape[0]):
        k = slots[i]
        if restart[i] and learn[i]:
            told[k] = 0
            for j in range(X.shape[1]):
                count[k, j] = 0
        columns = 0
        numbers = 0
        for j in range(X.shape[1]):
            if count[k, j] > 0:
                columns += 1
                numbers += 0 if direct[j] else 1
        most = min(wanted, max(numbers - 1, 0))
        found = look(X, i, k, constants, direct, count, middle, up, down, wide, there, judged, z, y, size)
        if found > 0:
            some = min(found, max(1, math.ceil(constants[LARGEST] * math.sqrt(found * 1.0))))
            a = mean_log_of_largest(size, judged, some, own, work)
            for j in range(X.shape[1]):
                plain[j] = size[j]
            b = a
            if most > 0:
                leave(k, most, constants, direct, judged, residual, spread, directions, about, z, y, left, size)
                b = mean_log_of_largest(size, judged, some, both, work)
            q = 0.5 * (a + b)
            kept = memory[k] + max(constants[MEMORY], 1.0 / (told[k] + 1.0)) * (q - memory[k])
            raw[i] = 0.5 * (q + kept)
            for j in range(X.shape[1]):
                if judged[j]:
                    evidence = 0.5 * (own[j] + (both[j] if most > 0 else own[j]))
                    share[i, j] = evidence / (some * q) if q > 0.0 else 1.0 / found
                    centre[i, j] = middle[k, j]
                    f = unit_of(X[i, j] >= middle[k, j], k, j, constants, middle, up, down, wide)
                    if size[j] > plain[j]:
                        centre[i, j] += f * (z[j] - left[j] + residual[k, j])
                        f *= max(spread[k, j], constants[LEAST])
                    unit[i, j] = f
            if learn[i]:
                memory[k] = kept
                told[k] += 1
        if learn[i]:
            anything = False
            for j in range(X.shape[1]):
                anything = anything or there[j]
            if anything:
                learn_row(
                    X, i, k, found, most, constants, direct, clock, count, moves, middle, up, down, wide, residual,
                    spread, directions, about, there, judged, y, left,
                )  # fmt: skip


class Fields(Estimator):
    """Records of many fields: the mean of the largest deviations, each field alone and against what goes with it.

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
    patience : how long a burst must last to become the new normal, about, >= 10: a shift of 5 scales in half of
        the fields is normal after 300 to 1,300 records at 1000. More follows drift more slowly. [records]
    directions : how many main directions the fields are compared with, >= 0. 0 judges each field alone, for
        fields that do not go together in a lasting way.
    memory : records over which half of the score is averaged, >= 1; 1 is none, for records in no order. [records]

    Cost
    ----
    O(directions) a field and record: compiled, on a busy machine, .95 us at one field, .48 for each of 8 and .36 for
    each of 166; interpreted 22 us a field.

    State
    -----
    8 + directions numbers a field and 3 more.

    Notes
    -----
    The rule is ours; the directions are learned by the covariance-free rule of [1]_, whose vectors have the
    variance along them as their length, on deviations clipped at 3. A field is judged from its 9th value on, and
    the first change of a constant after 20. The first deviation of a field sets its scale, and the next seven
    widen it where they are more than 3 of it: a first one of next to nothing would stay for thousands of records.
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

    raw_kind = "level"
    steady = True

    def __init__(self, patience: int = 1000, directions: int = 2, memory: float = 10.0) -> None:
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
        raw, given = np.full(n, np.nan), [np.full((n, d), np.nan) for _ in range(3)]
        self.run(
            step, n, rows.X, slots, rows.learn, rows.restart, self.directions, self.constants, self._direct,
            *[state[name] for name in self.state_spec(d)], raw, *given, np.zeros(d, bool), np.zeros(d, bool),
            *[np.zeros(d) for _ in range(8)], np.zeros((self.directions, 2)),
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
