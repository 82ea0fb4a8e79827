"""One budget of false flags for all keys: each key gets an equal part, none more than its cap."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from clipdetect.components import Component, Params, RawArrays, Rows, Spec, State, Threshold, Verdicts, child_state
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


class SlicesState(NamedTuple):
    """The arrays of all keys: axis 0 the key."""

    weight: np.ndarray  # (K,) the key's records, each fading over `horizon` records of all keys
    last: np.ndarray  # (K,) int64, number of its last record among those of all keys
    given: np.ndarray  # (K,) int64, its raw scores
    debt: np.ndarray  # (K,) its flags less what its cap has allowed since
    credit: np.ndarray  # (K,) what its next strange record counts for in the eyes of the guard, at most 1
    spare: np.ndarray  # (K,) what it has saved up towards a flag in a hold, at most 1
    hold: np.ndarray  # (K,) int64, number of the hold that `spare` is of, 0 = none


class SlicesShared(NamedTuple):
    """What all keys share; the places in both arrays are named at the top."""

    levels: np.ndarray  # (4,) POINT, TRAFFIC, COUNTED, USUAL
    tally: np.ndarray  # (14,) int64, the others


class SlicesParameters(NamedTuple):
    """The settings."""

    warmup: int  # raw scores a key must have given before it is judged
    rate: float  # wanted share of flags over all keys
    cap: float  # largest share of a key's records that is flagged
    burst: float  # flags of a key beyond that share
    horizon: float  # records of all keys over which traffic is taken
    window: int  # scored records of a window of the guard
    patience: int  # records after which a hold or a silence ends


@kernel
def operating_point(state: SlicesState, k: int, shared: SlicesShared, parameters: SlicesParameters) -> float:
    """Probability up to which key k's next record is flagged."""
    levels, horizon = shared.levels, parameters.horizon
    own: float = state.weight[k] * math.exp((state.last[k] - shared.tally[CLOCK] - 1.0) / horizon) + 1.0
    everything: float = levels[TRAFFIC] * math.exp(-1.0 / horizon) + 1.0
    point: float = levels[POINT] if levels[POINT] > 0.0 else 1.0
    return min(parameters.cap, point * parameters.rate * (everything / own))


@kernel
def control(p: float, shared: SlicesShared, parameters: SlicesParameters) -> None:
    """One step of the common level, so that the operating points met by records come to the rate on average."""
    levels, tally, rate = shared.levels, shared.tally, parameters.rate
    tally[SCORED] += 1
    most = rate / parameters.cap  # no step moves the level by more than a factor of e
    size = max(min(STEPS / parameters.horizon, most), min(most, 1.0 / tally[SCORED]))
    point = levels[POINT] if levels[POINT] > 0.0 else 1.0
    levels[POINT] = max(min(point * math.exp(size * (1.0 - p / rate)), 1.0), LEAST_POINT)


@kernel
def close_window(share: float, shared: SlicesShared, patience: int) -> None:
    """At the end of a window in which `share` times the rate would have been flagged: end what is to end."""
    levels, tally = shared.levels, shared.tally
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
def guard(shared: SlicesShared, parameters: SlicesParameters) -> None:
    """After each scored record: begin a hold as soon as a whole window's worth is far exceeded, or close the window."""
    levels, tally = shared.levels, shared.tally
    rate, window = parameters.rate, parameters.window
    tally[INSIDE] += 1
    if tally[HELD] == 0 and levels[COUNTED] > FAR * max(levels[USUAL], 1.0) * rate * window:
        tally[HELD] = 1
        tally[HOLDS] += 1
        tally[HELD_SINCE] = tally[CLOCK]
        tally[QUIET] = 0
    elif tally[INSIDE] >= window:
        close_window(levels[COUNTED] / (rate * window), shared, parameters.patience)
    else:
        return
    tally[INSIDE] = 0
    levels[COUNTED] = 0.0


@kernel
def granted(state: SlicesState, k: int, p: float, strange: bool, tally: np.ndarray, burst: float) -> bool:
    """Whether a record is flagged: strange, with room under its key's cap and, in a hold, in its key's part."""
    debt, spare, hold = state.debt, state.spare, state.hold
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
    rows: RawArrays, parameters: SlicesParameters, state: SlicesState, shared: SlicesShared, out: Verdicts
) -> None:
    """Decide on each scored record in order.

    out: with the child's scores and decisions, of which abstentions stay.
    """
    raw, slots, learn = rows.raw, rows.slots, rows.learn
    warmup, cap, burst, horizon = parameters.warmup, parameters.cap, parameters.burst, parameters.horizon
    weight, last, given, debt, credit = state.weight, state.last, state.given, state.debt, state.credit
    levels, tally = shared.levels, shared.tally
    score, flag = out.score, out.flag
    for i in range(raw.shape[0]):
        k = slots[i]
        scored = not math.isnan(raw[i]) and given[k] >= warmup and math.isfinite(score[i])
        p = operating_point(state, k, shared, parameters)
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
        control(p, shared, parameters)
        credit[k] = min(credit[k] + EARNED * p, 1.0)
        if strange:
            levels[COUNTED] += credit[k]
            credit[k] = 0.0
        if not granted(state, k, p, strange, tally, burst) and strange:
            flag[i] = 0
        guard(shared, parameters)


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
    state_class = SlicesState
    shared_class = SlicesShared

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

    @property
    def _parameters(self) -> SlicesParameters:
        rate = float(self.params.rate)
        window = math.ceil(WINDOW / rate)
        return SlicesParameters(
            self.params.warmup, rate, self._cap, float(self.burst), float(self.horizon), window, self.patience
        )

    def step(self, state: State, slots: np.ndarray, raw: np.ndarray, rows: Rows) -> Verdicts:
        out = Verdicts(*self.of.step(child_state(state, "of"), slots, raw, rows))
        self.run(
            step, len(raw), RawArrays(raw, slots, rows.learn), self._parameters, self.state_arrays(state),
            self.shared_arrays(state), out,
        )  # fmt: skip
        return out

    def limits(self, state: State, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low, high = np.full(len(slots), np.nan), np.full(len(slots), np.nan)
        inner, parameters = child_state(state, "of"), self._parameters
        own, shared = self.state_arrays(state), self.shared_arrays(state)
        for i, slot in enumerate(slots.tolist()):
            if state["given"][slot] < self.params.warmup:
                continue
            p = operating_point(own, slot, shared, parameters)
            try:
                for each in _all(self.of):
                    each.params = replace(self.params, rate=float(p))
                found = [float(limit[0]) for limit in self.of.limits(inner, slots[i : i + 1])]
            finally:
                for each in _all(self.of):
                    each.params = self.params
            if self._agrees(inner, slot, found, -math.log10(p)):
                low[i], high[i] = found
        return low, high

    def _agrees(self, inner: State, slot: int, found: Sequence[float], wanted: float) -> bool:
        """Whether the child's scores pass `wanted` at the limits found; some fix theirs to the run's rate."""
        raw = np.array([limit * factor for limit in found for factor in (0.999, 1.001)])
        empty, nothing = np.full(4, np.nan), np.zeros(4, bool)
        rows = Rows(np.zeros((4, len(self.fields))), empty, empty.copy(), nothing, nothing.copy())
        score, _ = self.of.step(inner, np.full(4, slot, np.int64), raw, rows)
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
