"""One budget of false flags for all keys: each key gets an equal part, none more than its cap."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from clipdetect.components import Component, Params, Rows, Spec, State, Threshold, child_state
from clipdetect.jit import kernel

__all__ = ["Slices"]

# places in `levels`, shared, float64
POINT, TRAFFIC, COUNTED, USUAL = 0, 1, 2, 3
# places in `tally`, shared, int64
CLOCK, SCORED, INSIDE, CAPPED, KEPT = 0, 1, 2, 3, 4
HELD, HOLDS, HELD_SINCE, HELD_UNTIL, ACCEPTED = 5, 6, 7, 8, 9
QUIET, QUIETS, QUIET_SINCE, QUIET_UNTIL = 10, 11, 12, 13

LEAST_POINT = 1e-12
STEPS = 10.0  # over `horizon`: the slowest step of the budget's control
WINDOW = 30.0  # flags that are due in one window of the guard
FAR = 10.0  # times the usual share of flags, or a part of it, is no small change any more
BACK = 0.5  # of that limit, below which a hold ends; of the usual share, above which a silence ends
EARNED = 50.0  # times its due that one key counts for at most, in the guard's eyes
FOLLOW = 0.2  # of a window's share, in the usual share
LEAST_USUAL = 0.3  # below it too few flags are due to notice their absence


@kernel
def operating_point(k, rate, cap, horizon, weight, last, levels, tally):
    """Probability up to which key k's next record is flagged. weight, last: (K,); levels, tally shared."""
    own = weight[k] * math.exp((last[k] - tally[CLOCK] - 1.0) / horizon) + 1.0
    everything = levels[TRAFFIC] * math.exp(-1.0 / horizon) + 1.0
    point = levels[POINT] if levels[POINT] > 0.0 else 1.0
    return min(cap, point * rate * (everything / own))


@kernel
def control(p, rate, cap, horizon, levels, tally):
    """One step of the common level, so that the operating points met by records come to the rate on average."""
    tally[SCORED] += 1
    most = rate / cap  # no step moves the level by more than a factor of e
    size = max(min(STEPS / horizon, most), min(most, 1.0 / tally[SCORED]))
    point = levels[POINT] if levels[POINT] > 0.0 else 1.0
    levels[POINT] = max(min(point * math.exp(size * (1.0 - p / rate)), 1.0), LEAST_POINT)


@kernel
def close_window(share, patience, levels, tally):
    """At the end of a window in which `share` times the rate would have been flagged: end what is to end."""
    usual = levels[USUAL]
    least = min(usual, 1.0)
    if tally[HELD] != 0:
        calm = share <= BACK * FAR * max(usual, 1.0)
        if calm or tally[CLOCK] - tally[HELD_SINCE] >= patience:
            tally[HELD] = 0
            tally[HELD_UNTIL] = tally[CLOCK]
            tally[ACCEPTED] = 0 if calm else 1
            levels[USUAL] = usual if calm else share
    elif tally[QUIET] != 0:
        calm = share >= BACK * least
        if calm or tally[CLOCK] - tally[QUIET_SINCE] >= patience:
            tally[QUIET] = 0
            tally[QUIET_UNTIL] = tally[CLOCK]
            levels[USUAL] = usual if calm else share
    elif usual >= LEAST_USUAL and share < least / FAR:
        tally[QUIET] = 1
        tally[QUIETS] += 1
        tally[QUIET_SINCE] = tally[CLOCK]
    else:
        levels[USUAL] = usual + FOLLOW * (share - usual) if usual > 0.0 else share


@kernel
def guard(rate, window, patience, levels, tally):
    """After each scored record: begin a hold as soon as a whole window's worth is far exceeded, or close the window."""
    tally[INSIDE] += 1
    if tally[HELD] == 0 and levels[COUNTED] > FAR * max(levels[USUAL], 1.0) * rate * window:
        tally[HELD] = 1
        tally[HOLDS] += 1
        tally[HELD_SINCE] = tally[CLOCK]
        tally[QUIET] = 0
    elif tally[INSIDE] >= window:
        close_window(levels[COUNTED] / (rate * window), patience, levels, tally)
    else:
        return
    tally[INSIDE] = 0
    levels[COUNTED] = 0.0


@kernel
def granted(k, p, strange, burst, debt, spare, hold, tally):
    """Whether a record is flagged: strange, with room under its key's cap and, in a hold, in its key's part."""
    held = tally[HELD] != 0
    if held:
        if hold[k] != tally[HOLDS]:
            hold[k] = tally[HOLDS]
            spare[k] = 0.0
        spare[k] = min(spare[k] + FAR * p, 1.0)
    elif hold[k] != 0:
        if tally[ACCEPTED] != 0:
            debt[k] = max(debt[k], burst - 1.0)  # what a hold kept back does not come out at its end
        hold[k] = 0
    if not strange:
        return False
    if debt[k] + 1.0 > burst:
        tally[CAPPED] += 1
        return False
    if held and spare[k] < 1.0:
        tally[KEPT] += 1
        return False
    debt[k] += 1.0
    if held:
        spare[k] = 0.0
    return True


@kernel
def step(
    raw, slots, learn, score, warmup, rate, cap, burst, horizon, window, patience, weight, last, given, debt, credit,
    spare, hold, levels, tally, flag,
):  # fmt: skip
    """Decide on each scored record in order. raw, slots, learn, score, flag: (n,); levels, tally shared; else (K,).

    flag comes with the child's decisions, of which abstentions stay.
    """
    for i in range(raw.shape[0]):
        k = slots[i]
        scored = not math.isnan(raw[i]) and given[k] >= warmup and math.isfinite(score[i])
        p = operating_point(k, rate, cap, horizon, weight, last, levels, tally)
        strange = scored and flag[i] != 2 and score[i] >= -math.log10(p)
        if not (scored and flag[i] == 2):
            flag[i] = 1 if strange else 0
        if math.isnan(raw[i]) or not learn[i]:
            continue
        weight[k] = weight[k] * math.exp((last[k] - tally[CLOCK] - 1.0) / horizon) + 1.0
        levels[TRAFFIC] = levels[TRAFFIC] * math.exp(-1.0 / horizon) + 1.0
        tally[CLOCK] += 1
        last[k] = tally[CLOCK]
        given[k] += 1
        debt[k] = max(debt[k] - cap, 0.0)
        if not scored:
            continue
        control(p, rate, cap, horizon, levels, tally)
        credit[k] = min(credit[k] + EARNED * p, 1.0)
        if strange:
            levels[COUNTED] += credit[k]
            credit[k] = 0.0
        if not granted(k, p, strange, burst, debt, spare, hold, tally) and strange:
            flag[i] = 0
        guard(rate, window, patience, levels, tally)


class Slices(Threshold):
    """One budget of false flags for all keys, divided so that each key gets an equal part of it.

    Best for one budget over many keys.
    Promises: of all records, `rate` are false flags as far as the child's probabilities hold; and no key has more
    than `cap` of its records flagged, and `burst` more, whatever happens. A key is flagged at a probability of
    (its part) / (its share of recent records), at most `cap` [1]_: a small key is heard at weaker evidence, a large
    one needs stronger. Of all divisions of the budget, this has the largest product of operating points. The parts
    follow traffic, never flags, so no incident moves them. Scores are the child's. With one key it flags as
    the child does, up to the cap. Not for streams where each record matters the same whatever its key, as a large
    key is then watched less closely than by the child alone; not around `fixed`, whose score is no probability.

    A guard compares the share of records that would be flagged with its usual share, one key counting for at most
    50 times its part. Beyond ten times the usual (and the rate) it holds: each key is flagged for at most ten
    times its part, so all of them together for ten times the rate, until a whole window stays below half of that
    limit; or until `patience` records have passed, after which that share is taken as usual. It tells each of these,
    and a fall below a tenth, against which nothing can be withheld. A window has 30 / rate records.

    Parameters
    ----------
    of : the threshold whose probabilities are used, with its own parameters.
    cap : largest share of a key's records that is flagged in the long run, and the largest operating point, in
        [rate, 1); 0 is ten times the rate, at most .5.
    burst : flags of a key beyond that share, at least 1; also what a fresh key starts with.
    horizon : over which a key's share of the traffic is taken, at least 1000. [records of all keys]
    patience : after which a hold ends whatever comes, at the end of a window, at least 1000. [records of all keys]

    Cost
    ----
    The child's and six exponentials and logarithms a record: compiled .1 us, interpreted 4 us (7 with many keys).

    State
    -----
    The child's and 7 numbers a key; 18 numbers for all keys.

    Notes
    -----
    The rule is that of SLIDR's single budget without its labels: minimise -sum log p_i subject to sum n_i p_i <= F.
    The paper's own convex program was not available to us. Where a record may not teach (`learn` false), cap and
    guard are not applied, as they live by counting. A key that was evicted starts with a fresh burst. Limits are
    given where the child can tell its own at another rate than the run's, and its scores confirm them.

    References
    ----------
    .. [1] A. Muralidhar, S. Chitlangia, R. Agarwal, M. Ahmed, "Real-time detection of robotic traffic in online
       advertising", IAAI 2023.
    """

    shares_budget = True

    def __init__(
        self,
        of: Threshold = "tail",  # type: ignore[assignment]
        cap: float = 0.0,
        burst: int = 10,
        horizon: int = 100_000,
        patience: int = 200_000,
    ) -> None:
        if not isinstance(of, Threshold):
            raise ValueError(f"a threshold expected, got {of!r}; clipdetect.registry.build makes one from a name")
        if not of.calibrated:
            raise ValueError(f"of must be a threshold whose score is a probability, got {type(of).__name__.lower()}")
        if of.shares_budget:
            raise ValueError(f"of must be a threshold that decides key by key, got {type(of).__name__}")
        if not 0.0 <= cap < 1.0:
            raise ValueError(f"cap must be in [rate, 1), or 0 for ten times the rate, got {cap}")
        if burst < 1:
            raise ValueError(f"burst must be at least 1 flag, got {burst}")
        if horizon < 1000:
            raise ValueError(f"horizon must be at least 1000 records, got {horizon}")
        if patience < 1000:
            raise ValueError(f"patience must be at least 1000 records, got {patience}")
        self.of, self.cap, self.burst, self.horizon, self.patience = of, cap, burst, horizon, patience
        self.takes, self.abstains = of.takes, of.abstains

    def check(self, params: Params) -> None:
        super().check(params)
        if 0.0 < self.cap < params.rate:
            raise ValueError(
                f"cap {self.cap:g} is below the rate {params.rate:g}, so the budget cannot be spent; "
                f"give cap={params.rate:g} or more, or a smaller rate"
            )

    def state_spec(self, n_features: int) -> Spec:
        return {
            "weight": ((), np.float64),
            "last": ((), np.int64),
            "given": ((), np.int64),
            "debt": ((), np.float64),
            "credit": ((), np.float64),
            "spare": ((), np.float64),
            "hold": ((), np.int64),
        }

    def shared_spec(self, n_features: int) -> Spec:
        return {"levels": ((4,), np.float64), "tally": ((14,), np.int64)}

    @property
    def _cap(self) -> float:
        rate = self.params.rate
        return max(self.cap if self.cap > 0.0 else min(10.0 * rate, 0.5), rate)

    def step(self, state: State, slots: np.ndarray, raw: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        score, flag = self.of.step(child_state(state, "of"), slots, raw, rows)
        rate = float(self.params.rate)
        names = [*self.state_spec(0), *self.shared_spec(0)]
        self.run(
            step, len(raw), raw, slots, rows.learn, score, self.params.warmup, rate, self._cap, float(self.burst),
            float(self.horizon), math.ceil(WINDOW / rate), self.patience, *[state[name] for name in names], flag,
        )  # fmt: skip
        return score, flag

    def limits(self, state: State, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.full(len(slots), np.nan), np.full(len(slots), np.nan)
        own = child_state(state, "of")
        shared = [state[name] for name in ("weight", "last", "levels", "tally")]
        for i, slot in enumerate(slots.tolist()):
            if state["given"][slot] < self.params.warmup:
                continue
            p = operating_point(slot, float(self.params.rate), self._cap, float(self.horizon), *shared)
            try:
                for each in _all(self.of):
                    each.params = replace(self.params, rate=float(p))
                found = [float(limit[0]) for limit in self.of.limits(own, slots[i : i + 1])]
            finally:
                for each in _all(self.of):
                    each.params = self.params
            if self._agrees(own, slot, found, -math.log10(p)):
                low[i], high[i] = found
        return low, high

    def _agrees(self, own: State, slot: int, found: Sequence[float], wanted: float) -> bool:
        """Whether the child's scores pass `wanted` at the limits found; some fix theirs to the run's rate."""
        raw = np.array([limit * factor for limit in found for factor in (0.999, 1.001)])
        empty, nothing = np.full(4, np.nan), np.zeros(4, bool)
        rows = Rows(np.zeros((4, len(self.fields))), empty, empty.copy(), nothing, nothing.copy())
        score, _ = self.of.step(own, np.full(4, slot, np.int64), raw, rows)
        inside, outside = (2, 3) if found[1] >= 0.0 else (3, 2)  # a level may lie below 0
        upper = math.isnan(found[1]) or score[inside] < wanted <= score[outside]
        return bool(upper and (math.isnan(found[0]) or score[0] < wanted <= score[1]))

    def news(self, state: State) -> list[str]:
        tally = state["tally"]
        found = super().news(state)
        if tally[HOLDS] > 0:
            found.append(
                f"hold {tally[HOLDS]}, from record {tally[HELD_SINCE]:,}: over {FAR:g} times the usual share would be "
                f"flagged, so no key is flagged for more than {FAR:g} times its part of the budget"
            )
        if tally[HOLDS] > 0 and tally[HELD] == 0:
            why = "this share is taken as usual now" if tally[ACCEPTED] else "the share is no longer so large"
            found.append(f"hold {tally[HOLDS]} ended at record {tally[HELD_UNTIL]:,}: {why}")
        if tally[QUIETS] > 0:
            found.append(
                f"silence {tally[QUIETS]}, from record {tally[QUIET_SINCE]:,}: less than a tenth of the usual share "
                "would be flagged"
            )
        if tally[QUIET_UNTIL] > tally[QUIET_SINCE] and tally[QUIET] == 0:
            found.append(f"silence {tally[QUIETS]} ended, or taken as usual, at record {tally[QUIET_UNTIL]:,}")
        for count, what in ((tally[CAPPED], f"beyond a key's cap of {self._cap:g}"), (tally[KEPT], "in a hold")):
            if count > 0:
                found.append(f"flags withheld {what}: {10 ** (len(str(count)) - 1):,} or more")
        return found


def _all(component: Component) -> Iterator[Component]:
    """A component and all that is nested in it."""
    yield component
    for child in component.children().values():
        yield from _all(child)
