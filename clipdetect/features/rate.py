"""Feature `rate`: how many records, or how much of a field, within a window of time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from clipdetect.components import UNREADABLE, Feature, Input, RowArrays, Rows, Spec, State
from clipdetect.jit import kernel
from clipdetect.numerics import conditions
from clipdetect.numerics.clock import LATEST, elapsed, faded, signed_log, tick, unlog
from clipdetect.numerics.durations import said, seconds
from clipdetect.numerics.words import number, rough, spoken, usually, whose

__all__ = ["Rate"]

PARTS = 12  # sub-windows of a window; one more holds what is passing out of it


class DecayedState(NamedTuple):
    """The arrays of all keys with shape=decay: axis 0 the key."""

    clock: np.ndarray  # (K,) the key's time [s], see `numerics.clock`
    behind: np.ndarray  # (K,) int64, records in a row behind it and one more, 0 = fresh
    level: np.ndarray  # (K,) the sum, as of the clock


class WindowedState(NamedTuple):
    """The arrays of all keys with shape=window: axis 0 the key."""

    clock: np.ndarray  # (K,) the key's time [s], see `numerics.clock`
    behind: np.ndarray  # (K,) int64, records in a row behind it and one more, 0 = fresh
    newest: np.ndarray  # (K,) int64, number of the last sub-window
    ring: np.ndarray  # (K, PARTS + 1) sum of each


class RateParameters(NamedTuple):
    """The settings."""

    window: float  # the time it looks back [s]
    log: bool  # give log(1 + value)


@kernel
def decayed(
    weights: np.ndarray, rows: RowArrays, parameters: RateParameters, state: DecayedState, out: np.ndarray
) -> None:
    """Into out (n,) the sum of the weights (n,), each fading by exp(-age / window), this row's included."""
    time, slots, learn = rows.time, rows.slots, rows.learn
    window, log = parameters.window, parameters.log
    clock, behind, level = state.clock, state.behind, state.level
    for i in range(weights.shape[0]):
        out[i] = math.nan
        if not (abs(weights[i]) < UNREADABLE and abs(time[i]) < LATEST):
            continue
        k = slots[i]
        gone = elapsed(time[i], k, learn[i], clock, behind)
        total = weights[i]
        if gone >= 0.0:
            total += level[k] * faded(gone, window)
        if learn[i]:
            level[k] = total
        out[i] = signed_log(total) if log else total


@kernel
def windowed(
    weights: np.ndarray, rows: RowArrays, parameters: RateParameters, state: WindowedState, out: np.ndarray
) -> None:
    """Into out (n,) the sum of the weights (n,) of the last `window` seconds, this row's included.

    The oldest sub-window counts by the share of it that is still within the window. Where the clock was set back,
    all there is counts as of now.
    """
    time, slots, learn = rows.time, rows.slots, rows.learn
    window, log = parameters.window, parameters.log
    clock, behind, newest, ring = state.clock, state.behind, state.newest, state.ring
    places = ring.shape[1]
    for i in range(weights.shape[0]):
        out[i] = math.nan
        if not (abs(weights[i]) < UNREADABLE and abs(time[i]) < LATEST):
            continue
        k = slots[i]
        now = tick(time[i], k, learn[i], clock, behind) * PARTS / window
        number = math.floor(now)
        passed = number - newest[k]  # sub-windows; on a fresh key the ring is empty, so it does not matter
        total = 0.0
        for age in range(places):  # as of the newest sub-window
            part = ring[k, (newest[k] - age) % places]
            if passed < 0 or age + passed < places - 1:
                total += part
            elif age + passed == places - 1:
                total += part * (1.0 - (now - number))
        if learn[i]:
            if passed < 0:
                for age in range(places):
                    ring[k, age] = 0.0
                ring[k, number % places] = total
            else:
                for age in range(min(passed, places)):
                    ring[k, (number - age) % places] = 0.0
            ring[k, number % places] += weights[i]
            newest[k] = number
        total += weights[i]
        out[i] = signed_log(total) if log else total


class Rate(Feature):
    """Number of records, or the sum of a field, in a window of event time up to and including the record.

    For bursts and floods, per key or per client, user or caller. It speaks when a record comes, so a stream that
    falls silent is seen by `gap`, not here. A fresh key starts from nothing.

    Parameters
    ----------
    window : the time it looks back, such as 60s, 5m, 1h.
    of : a numeric field to add up; records are counted where none is given. Records without it get no value.
    where : only what meets a condition counts: NAME (the record has it), NAME=TEXT, NAME!=TEXT, NAME>=NUMBER
        (also > < <=), NAME~REGEX. Every record gets the value, those that do not meet it too.
    shape : `decay` weighs records by exp(-age / window): smooth, and a steady stream of r a second reads
        r * window + 1/2. `window` counts those of the last `window` seconds, in twelve steps.
    log : give log(1 + value), so that busy and quiet keys are compared by factors.
    per : a field; count by its values within the key (`per=client`).
    name : of the column, and what is counted, in words (`name=failed logins`); brackets at the end are not said.

    Records older than the last count as at its time; after 16 of them in a row the clock is set back.

    Cost
    ----
    O(1) a record: compiled .04 us, interpreted 1.5 us; with shape=window .07 and 3.5 us.

    State
    -----
    3 numbers; 16 with shape=window.
    """

    timed = True
    upward = True

    def __init__(
        self,
        window: float | str = "60s",
        of: str = "",
        where: str = "",
        shape: Literal["decay", "window"] = "decay",
        log: bool = False,
        per: str = "",
        name: str = "",
    ) -> None:
        self.window, self.of, self.where, self.shape, self.log = window, of, where, shape, log
        self.per, self.name = per, name
        self._seconds = seconds(window, "window")
        self._condition = conditions.parse(where) if where else None
        if shape not in ("decay", "window"):
            raise ValueError(f"shape must be decay or window, got {shape!r}")
        self.state_class = DecayedState if shape == "decay" else WindowedState

    def inputs(self) -> list[Input]:
        found = [Input(self.of, "number")] if self.of else []
        if self._condition is not None:
            found.append(Input(self._condition.field, self._condition.kind))
        return found

    def names(self) -> list[str]:
        inner = " where ".join(filter(None, (self.of, self.where))) if self.of else self.where
        return [self.name or (f"rate({inner})" if inner else "rate")]

    def state_spec(self, n_features: int) -> Spec:
        spec: Spec = {"clock": ((), np.float64), "behind": ((), np.int64)}
        if self.shape == "decay":
            return {**spec, "level": ((), np.float64)}
        return {**spec, "newest": ((), np.int64), "ring": ((PARTS + 1,), np.float64)}

    def step(self, state: State, slots: np.ndarray, columns: Sequence[np.ndarray], rows: Rows) -> np.ndarray:
        n = len(slots)
        weights = columns[0].astype(np.float64) if self.of else np.ones(n)
        if self._condition is not None:
            weights = np.where(self._condition.met(columns[-1]), weights, 0.0)
        out = np.full((n, 1), np.nan)
        self.run(
            decayed if self.shape == "decay" else windowed, n, weights, rows.arrays(slots),
            RateParameters(self._seconds, self.log), self.state_arrays(state), out[:, 0],
        )  # fmt: skip
        return out

    def shown(self, column: int, value: float) -> float:
        return unlog(value) if self.log else value

    def say(self, column: int, value: float, expected: float, texts: Mapping[str, str]) -> str:
        total, centre = self.shown(column, value), self.shown(column, expected)
        amount = number(total) if self.of else rough(total) if total < 99.5 else number(total)
        noun = spoken(self.name, amount) or self.of or spoken("records", amount)
        if self.where and not self.name:
            noun += f" with {self.where}"
        window = said(self._seconds)
        every = window if window.startswith(("a ", "an ")) else f"in {window}"
        return f"{amount} {noun} {every}{whose(self.per, texts)}{usually(total, centre)}"
