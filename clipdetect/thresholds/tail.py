"""The default threshold: a calibrated tail that keeps its word under drift and gross outliers."""

from __future__ import annotations

import math

import numpy as np

from clipdetect.components import Rows, Spec, State, Threshold
from clipdetect.jit import kernel
from clipdetect.numerics.combine import centred, positive, recentre
from clipdetect.numerics.rounding import six_digits
from clipdetect.numerics.tail_fit import FIRST_NODE, LOG_FIRST, NODES, STEP, refit

__all__ = ["Tail"]

START = 32  # residuals before the first fit; medians by side are usable then
SCALE_RATE = 0.01  # of a side's scale: some 200 of its records
OTHER_RATE = 0.03  # where scores are no residuals: a model's distances change with what it models, and it learns fast
SCALE_CLIP = 2.0  # scales; influence of one record on its side's scale
LONG_RUN = 64  # records of one size before the scale moves in larger steps; longer than a burst of 50
ZERO_NODE = 6  # the node below y = 1


@kernel
def side_scale(k, n, side, buffer):
    """Clipped mean of |e| over the first n buffered residuals: of a side with five or more, else of all.

    side: 0 positive, 1 negative. The fixed point is mean min(|e| / scale, 2) = 1; 0 where all are 0.
    """
    used = 0
    for i in range(n):
        if (buffer[k, i] > 0.0 and side == 0) or (buffer[k, i] < 0.0 and side == 1):
            used += 1
    both = used < 5
    if both:
        used = 0
        for i in range(n):
            if buffer[k, i] != 0.0:
                used += 1
    if used == 0:
        return 0.0
    scale = 0.0
    for i in range(n):  # the median: the value with half of the others below it
        size = abs(buffer[k, i])
        if size > 0.0 and (both or (buffer[k, i] > 0.0) == (side == 0)):
            below = 0
            equal = 0
            for m in range(n):
                if buffer[k, m] != 0.0 and (both or (buffer[k, m] > 0.0) == (side == 0)):
                    if abs(buffer[k, m]) < size:
                        below += 1
                    elif abs(buffer[k, m]) == size:
                        equal += 1
            if below <= used // 2 and below + equal > used // 2:
                scale = 1.2 * size
    for _ in range(20):
        total = 0.0
        for i in range(n):
            size = abs(buffer[k, i])
            if size > 0.0 and (both or (buffer[k, i] > 0.0) == (side == 0)):
                total += min(size / scale, SCALE_CLIP)
        scale *= math.exp(0.7 * (total / used - 1.0))
    return scale


@kernel
def place(y):
    """Position of y > 0 on the nodes; negative below the first."""
    return (math.log(y) - LOG_FIRST) / STEP if y > 0.0 else -1e9


@kernel
def count(y, k, counts):
    """One count, shared between the two nodes around y, so that a lattice value keeps half its mass above it."""
    t = min(max(place(y), 0.0), NODES - 1.0)
    j = min(int(t), NODES - 2)
    counts[k, j] += 1.0 - (t - j)
    counts[k, j + 1] += t - j


@kernel
def read(y, k, table):
    """-log10 of the probability of y or more; strictly rising in y, down to 0 at y = 0."""
    if y < FIRST_NODE:
        return table[k, 0] * (y / FIRST_NODE)
    t = place(y)
    if t >= NODES - 1.0:
        return table[k, NODES - 1] + (table[k, NODES - 1] - table[k, NODES - 2]) * (t - (NODES - 1.0))
    j = int(t)
    return table[k, j] + (table[k, j + 1] - table[k, j]) * (t - j)


@kernel
def begin(k, start, prior, counts, table, scales, sides, seen, since, zeros):
    """First fit, from the residuals that the table has held until now."""
    for side in range(2):
        scales[k, side] = side_scale(k, start, side, table)
        sides[k, side] = 0.0
    seen[k] = start
    since[k] = 0
    if not scales[k, 0] > 0.0:
        zeros[k] = start
        return
    for j in range(NODES):
        counts[k, j] = 0.0
    for i in range(start):
        e = table[k, i]
        side = 0 if e >= 0.0 else 1
        if e != 0.0:
            sides[k, side] += 1.0
        count(min(abs(e) / scales[k, side], 1e300), k, counts)
    refit(k, start, prior, counts, table)


@kernel
def leave_zero(e, k, prior, counts, table, scales, sides, seen, zeros):
    """The first residual that is not exactly 0."""
    for j in range(NODES):
        counts[k, j] = 0.0
    counts[k, 0] = zeros[k] * 1.0
    counts[k, ZERO_NODE] = 1.0
    for side in range(2):
        scales[k, side] = abs(e)
        sides[k, side] = 4.0
    zeros[k] = 0
    seen[k] += 1
    refit(k, seen[k], prior, counts, table)


@kernel
def rescale(y, k, side, least, scales, sides, run):
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
def step(
    raw, slots, learn, signed, start, horizon, limit, prior, counts, table, scales, sides, run, seen, since, zeros,
    location, spread, judged, last, score, flag,
):  # fmt: skip
    """Score each raw value, then learn it. raw, slots, learn, score, flag: (n,); prior: (48,); the rest (K, ...)."""
    for i in range(raw.shape[0]):
        k = slots[i]
        e = raw[i]
        if not math.isfinite(e):
            continue
        if not signed:
            value = min(max(e, -1e300), 1e300)
            e = positive(centred(value, k, 0, 0.0, location, spread, judged))
            if learn[i]:
                if value != last[k] or judged[k] == 0:  # a repeated value says nothing of the spread
                    recentre(value, k, 0, location, spread, judged)
                last[k] = value
                judged[k] += 1
        e = min(max(e, -1e300), 1e300)
        if seen[k] < start:
            if learn[i]:
                table[k, seen[k]] = e
                seen[k] += 1
                if seen[k] == start:
                    begin(k, start, prior, counts, table, scales, sides, seen, since, zeros)
            continue
        if zeros[k] > 0:
            score[i] = six_digits(math.log10(zeros[k] + 2.0)) if e != 0.0 else 0.0
            if learn[i]:
                if e == 0.0:
                    zeros[k] = min(zeros[k] + 1, horizon)
                else:
                    leave_zero(e, k, prior, counts, table, scales, sides, seen, zeros)
        else:
            side = 0 if e >= 0.0 else 1
            y = min(abs(e) / max(scales[k, side], 1e-300), 1e300)
            score[i] = six_digits(read(y, k, table))
            if learn[i]:
                count(y, k, counts)
                if e != 0.0:  # exact zeros never move a scale
                    rescale(y, k, side, SCALE_RATE if signed else OTHER_RATE, scales, sides, run)
                seen[k] += 1
                since[k] += 1
                if since[k] >= min(128, max(16, seen[k] // 8)):
                    for j in range(NODES):
                        counts[k, j] *= 1.0 - since[k] / horizon
                    since[k] = 0
                    refit(k, seen[k], prior, counts, table)
        flag[i] = 1 if score[i] >= limit else 0


def _prior() -> np.ndarray:
    """(48,) tail of Student's t with 4 degrees of freedom at the nodes, unit near its clipped mean."""
    y = np.exp(LOG_FIRST + STEP * np.arange(NODES))
    w = 0.95 * y / np.sqrt(4.0 + (0.95 * y) ** 2)
    return np.asarray(1.0 - 1.5 * w + 0.5 * w**3)


class Tail(Threshold):
    """Calibrated tail probability from decayed counts, with gross records told apart from heavy tails.

    Positive and negative residuals are scaled apart by a clipped scale, then pooled in 48 bins of
    log |residual|. Every record adds one count, gross or not, so nothing can freeze; on reading, far
    records behind an empty stretch are left out of the fit, because for every usual law the local
    tail index does not fall outwards. The logarithm of the tail is continued as a concave parabola.
    Holds the rate within a factor of 1.5 at .01 and .001 for laws from Gaussian to t(2.1), and while
    5% of the records are gross. Quieter than asked for on bounded noise (the uniform's last 1% lies
    within a tenth of a bin), and for about `horizon` records after a heavy-tailed law turns light.

    Parameters
    ----------
    horizon : records after which a count has lost its weight, >= 1000. Longer steadies rates under
        .001 and prolongs the adaptation to another law. [records]

    Cost
    ----
    Two logarithms a record, and a fit of 48 bins once in 128 records: compiled .1 us, interpreted 6 us.

    State
    -----
    113 numbers a key: 0.9 KB.

    Notes
    -----
    Raw scores that are no residual (any location) are first centred by a clipped location and
    spread, and only their upper side is ever strange. The scheme is ours; the concavity it leans on
    is the von Mises condition of extreme-value theory [1]_.

    References
    ----------
    .. [1] L. de Haan, A. Ferreira, "Extreme Value Theory", Springer 2006, theorem 1.1.8.
    """

    def __init__(self, horizon: int = 10_000) -> None:
        if horizon < 1000:
            raise ValueError(f"horizon must be at least 1000 records, got {horizon}")
        self.horizon = horizon
        self._prior = _prior()

    def state_spec(self, n_features: int) -> Spec:
        return {
            "counts": ((NODES,), np.float64),
            "table": ((NODES,), np.float64),
            "scales": ((2,), np.float64),
            "sides": ((2,), np.float64),
            "run": ((2,), np.int64),
            "seen": ((), np.int64),
            "since": ((), np.int64),
            "zeros": ((), np.int64),
            "location": ((1,), np.float64),
            "spread": ((1,), np.float64),
            "judged": ((), np.int64),
            "last": ((), np.float64),
        }

    @property
    def _signed(self) -> bool:
        return self.params.raw_kind == "residual"

    @property
    def _start(self) -> int:
        return min(self.params.warmup, START)

    def step(self, state: State, slots: np.ndarray, raw: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        n = len(raw)
        score, flag = np.full(n, np.nan), np.zeros(n, np.int8)
        self.run(
            step, n, raw, slots, rows.learn, self._signed, self._start, float(self.horizon),
            -math.log10(self.params.rate), self._prior, *[state[name] for name in self.state_spec(0)], score, flag,
        )  # fmt: skip
        return score, flag

    def limits(self, state: State, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wanted = -math.log10(self.params.rate)
        table, scales = state["table"][slots], state["scales"][slots]
        low, high = np.full(len(slots), np.nan), np.full(len(slots), np.nan)
        for i, slot in enumerate(slots.tolist()):
            if state["seen"][slot] < self._start:
                continue
            if state["zeros"][slot] > 0:
                y = 0.0 if math.log10(state["zeros"][slot] + 2.0) >= wanted else math.nan
            else:
                y = _inverse(table[i], wanted)
            if self._signed:
                low[i], high[i] = -y * scales[i, 1], y * scales[i, 0]
            else:
                e = y * scales[i, 0]
                u = e - 2.0 if e > 1.0 else -1.0 / max(e, 1e-300)
                high[i] = state["location"][slot, 0] + state["spread"][slot, 0] * u
        return low, high


def _inverse(table: np.ndarray, wanted: float) -> float:
    """The y at which a table (48,) reads `wanted`."""
    if wanted <= table[0]:
        return float(FIRST_NODE * wanted / table[0])
    j = min(int(np.searchsorted(table, wanted)), NODES - 1) - 1
    t = j + (wanted - table[j]) / (table[j + 1] - table[j])
    return math.exp(min(LOG_FIRST + STEP * t, 700.0))
