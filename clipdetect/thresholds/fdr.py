"""A wanted share of false alarms among the alarms, instead of a share of the records."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from clipdetect.components import RawArrays, Rows, Spec, State, Threshold, Verdicts, child_state
from clipdetect.jit import kernel

__all__ = ["Fdr"]

LADDER = 3  # sums of past alarms, each forgetting ten times slower than the one before
FASTEST = 10.0  # records; 10, 100 and 1000 together fall about like 1 / lag, as the usual gamma does
MOST_LAG = 60  # records; the waiting alarms are bits of one integer


class FdrState(NamedTuple):
    """The arrays of all keys: axis 0 the key."""

    earned: np.ndarray  # (K, LADDER) decayed counts of past alarms
    waiting: np.ndarray  # (K,) int64, alarms of the last `lag` records as bits


class FdrParameters(NamedTuple):
    """The settings."""

    level: float  # wanted share of false alarms among all, in (0, 1)
    smoothing: float  # alarms per memory that are taken for granted, > 0
    memory: float  # records after which an alarm is forgotten
    lag: int  # records that an alarm waits
    knee: float  # score beyond which a decade counts for less
    trust: float  # for how much, in (0, 1]


@kernel
def allowed(state: FdrState, k: int, parameters: FdrParameters) -> float:
    """alpha, the largest p-value that is an alarm now."""
    earned, memory = state.earned, parameters.memory
    total = parameters.smoothing / memory
    keep = 1.0 - 1.0 / memory
    late = 1.0
    for _ in range(parameters.lag + 1):
        late *= keep
    length = FASTEST
    for m in range(LADDER):
        total += late / (LADDER * length) * earned[k, m]
        length *= 10.0
    return parameters.level * total


@kernel
def step(rows: RawArrays, parameters: FdrParameters, state: FdrState, out: Verdicts) -> None:
    """Decide each score, then earn from alarms. out: with the scores of the threshold inside."""
    slots, learn = rows.slots, rows.learn
    knee, trust = parameters.knee, parameters.trust
    earned, waiting = state.earned, state.waiting
    score, flag = out.score, out.flag
    keep = 1.0 - 1.0 / parameters.memory
    newest = 1 << parameters.lag
    for i in range(score.shape[0]):
        if not math.isfinite(score[i]):
            continue
        k = slots[i]
        decades = score[i] if score[i] <= knee else knee + trust * (score[i] - knee)
        alarm = 0
        if decades >= -math.log10(allowed(state, k, parameters)):
            alarm = 1
        flag[i] = alarm
        if not learn[i]:
            continue
        waiting[k] += alarm * newest  # lag records later it is the lowest bit
        ripe = waiting[k] & 1
        waiting[k] = waiting[k] >> 1
        length = FASTEST
        for m in range(LADDER):
            earned[k, m] = earned[k, m] * keep * (1.0 - 1.0 / length) + ripe
            length *= 10.0


class Fdr(Threshold):
    """At most the share `level` of the alarms is false: online control of the false discovery rate, with a memory.

    Best for a bound on the false ones among all flags.
    Wraps a threshold whose score is -log10 of a p-value and keeps that score. Only the flag is decided anew: p at or
    below an alpha that every alarm raises for a while and that never falls to 0. `--rate` has no say, and
    `score >= -log10(rate)` is NOT the flag. The promise, for valid p-values: over any stretch of n records, expected
    false alarms <= level * (alarms + smoothing * n / memory). So where nothing can be found, about
    level * smoothing / memory of the records is flagged, and these few are all false. It is for streams in which
    anomalies are so rare that a fixed rate gives mostly false alarms, or so frequent that it could see more of them.
    NOT where anomalies look like the tail (10 units in t(3) or lognormal noise): the wrapped threshold gives the
    normal records beside them p-values that are too small, and the share is missed. NOT around thresholds whose
    score is no probability, such as `fixed`.

    Parameters
    ----------
    of : the threshold whose p-values are used, with its own parameters.
    level : wanted share of false alarms among all alarms, in (0, 1).
    memory : records after which an alarm is forgotten, >= 2000. Longer means fewer alarms where none was for long.
        [records]
    smoothing : alarms per memory that are taken for granted, > 0; less means fewer false alarms on a stream without
        any anomaly, and fewer true ones after a long calm.
    lag : records that an alarm waits before it raises alpha, 0 to 60; longer than the raw scores depend on each
        other. 0 doubles the false alarms in AR(1) .9. [records]
    resolved : records of which the wrapped threshold still has one to count, > 1: p-values under 1/resolved are
        extrapolated. [records]
    trust : what a decade of p beyond that counts, in (0, 1]. 1 takes p-values as they are.

    Cost
    ----
    That of the threshold inside, and compiled .05 us a record, interpreted 2.5 us.

    State
    -----
    4 numbers, and those of the threshold inside.

    Notes
    -----
    The rule is LORD with decaying memory [1]_: alpha_t = level (smoothing (1 - d) + sum_j d^(t - r_j) gamma(t - r_j))
    with d = 1 - 1/memory and r_j the past alarms. It was taken from a summary, not checked against the paper. Three
    things are ours. (1) gamma is the mean of three geometric sequences (10, 100, 1000 records): it sums to 1 and
    falls like 1 / lag over that range, and three sums replace the list of past alarms, so nothing falls out of a
    list. (2) The first term is constant in time, for there is no start in a stream without end. (3) An alarm waits
    `lag` records, as for locally dependent p-values [2]_. `trust` .65 is measured: behind `level`, p-values of `tail`
    are exceeded 4 times too often at 1e-5 and 8 times at 1e-6 in t(3) and t(2.1).

    References
    ----------
    .. [1] Q. Rebjock, B. Kurt, T. Januschowski, L. Callot, "Online false discovery rate control for anomaly detection
       in time series", NeurIPS 2021.
    .. [2] T. Zrnic, A. Ramdas, M. I. Jordan, "Asynchronous online testing of multiple hypotheses", JMLR 22, 2021.
    """

    state_class = FdrState

    def __init__(
        self,
        of: Threshold = "tail",  # type: ignore[assignment]
        level: float = 0.1,
        memory: float = 10_000.0,
        smoothing: float = 1.0,
        lag: int = 8,
        resolved: float = 1000.0,
        trust: float = 0.65,
    ) -> None:
        if not isinstance(of, Threshold):
            raise ValueError(f"a threshold expected, got {of!r}; clipdetect.registry.build makes one from a name")
        if not of.calibrated:
            raise ValueError(f"of must be a threshold whose score is a probability, got {type(of).__name__.lower()}")
        if not 0.0 < level < 1.0:
            raise ValueError(f"level must be in (0, 1), got {level}")
        if not 2000.0 <= memory <= 1e9:
            raise ValueError(f"memory must be from 2000 to 1e9 records, got {memory}")
        if not 0.0 < smoothing <= 1e6:
            raise ValueError(f"smoothing must be > 0 and at most 1e6, got {smoothing}")
        if not 0 <= lag <= MOST_LAG:
            raise ValueError(f"lag must be from 0 to {MOST_LAG} records, got {lag}")
        if not resolved > 1.0:
            raise ValueError(f"resolved must be > 1 record, got {resolved}")
        if not 0.0 < trust <= 1.0:
            raise ValueError(f"trust must be in (0, 1], got {trust}")
        self.of = of
        self.level, self.memory, self.smoothing, self.lag = level, memory, smoothing, lag
        self.resolved, self.trust = resolved, trust
        self._parameters = FdrParameters(
            float(level), float(smoothing), float(memory), int(lag), math.log10(resolved), float(trust)
        )

    def state_spec(self, n_features: int) -> Spec:
        return {"earned": ((LADDER,), np.float64), "waiting": ((), np.int64)}

    def step(self, state: State, slots: np.ndarray, raw: np.ndarray, rows: Rows) -> Verdicts:
        score, _ = self.of.step(child_state(state, "of"), slots, self.of.prepared(raw), rows)
        out = Verdicts(score, np.zeros(len(raw), np.int8))
        self.run(step, len(raw), RawArrays(raw, slots, rows.learn), self._parameters, self.state_arrays(state), out)
        return out

    def limits(self, state: State, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Those that the wrapped threshold has at the p-value allowed now."""
        low, high = np.full(len(slots), np.nan), np.full(len(slots), np.nan)
        inner, told = child_state(state, "of"), self.of.params
        own, p = self.state_arrays(state), self._parameters
        try:
            for i, slot in enumerate(slots.tolist()):
                decades = -math.log10(allowed(own, slot, p))
                if decades > p.knee:
                    decades = p.knee + (decades - p.knee) / p.trust
                self.of.params = replace(told, rate=10.0 ** -min(decades, 300.0))
                low[i : i + 1], high[i : i + 1] = self.of.limits(inner, slots[i : i + 1])
        finally:
            self.of.params = told
        return low, high
