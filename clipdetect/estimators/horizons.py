"""Two estimators at once: a slow one for what lasts, a fast one for what sticks out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from clipdetect.components import Estimator, Params, RowArrays, Rows, Spec, State, child_state
from clipdetect.jit import kernel
from clipdetect.numerics.combine import CAUTIOUS, learned_size, recentre

__all__ = ["Horizons"]


class HorizonsConstants(NamedTuple):
    """Numbers that were chosen rather than derived."""

    slow: float = 0.00005  # rate of location and spread of the slow estimator's raw scores: some 20,000 records
    fast: float = 0.001  # likewise of the fast one's
    handicap: float = 6.0  # spreads by which the fast one's must be stranger to count


CONSTANTS = HorizonsConstants()


class HorizonsState(NamedTuple):
    """The arrays of all keys: [:, 0] of the slow raw scores, [:, 1] of log(1 + fast)."""

    location: np.ndarray  # (K, 2)
    spread: np.ndarray  # (K, 2)
    judged: np.ndarray  # (K,) int64, records learned


class Scores(NamedTuple):
    """What both estimators say."""

    slow: np.ndarray  # (n,) size, NaN none
    fast: np.ndarray  # (n,)


class Merged(NamedTuple):
    """What is made of it."""

    raw: np.ndarray  # (n,)
    lasting: np.ndarray  # (n,) bool, whether the slow one has more to say of a record


@kernel
def merge(rows: RowArrays, scores: Scores, constants: HorizonsConstants, state: HorizonsState, out: Merged) -> None:
    """The slow raw scores, or the fast ones in their unit where these are far stranger; then both are learned."""
    slots, learn, restart = rows.slots, rows.learn, rows.restart
    a, b = scores.slow, scores.fast
    location, spread, judged = state.location, state.spread, state.judged
    raw, lasting = out.raw, out.lasting
    for i in range(a.shape[0]):
        k = slots[i]
        if restart[i] and learn[i]:
            judged[k] = 0
        raw[i] = a[i]
        lasting[i] = True
        if math.isnan(a[i]) or math.isnan(b[i]):
            continue
        value = math.log1p(b[i])
        if judged[k] >= CAUTIOUS and spread[k, 0] > 0.0 and spread[k, 1] > 0.0:
            own = (a[i] - location[k, 0]) / spread[k, 0]
            u = (value - location[k, 1]) / spread[k, 1]
            lasting[i] = own >= u
            raw[i] = max(a[i], min(location[k, 0] + spread[k, 0] * (u - constants.handicap), 1e300))
        if learn[i]:
            recentre(a[i], k, 0, constants.slow, location, spread, judged)
            recentre(math.log1p(learned_size(b[i])), k, 1, constants.fast, location, spread, judged)
            judged[k] += 1


class Horizons(Estimator):
    """Two estimators at two speeds: the slow one sees what lasts, the fast one what sticks out of the last minutes.

    Best for records of several fields: the default for them.
    A slow estimator such as `fields` sees a burst for as long as it lasts and ranks whole faults, but takes the rhythm
    of a day for spread, so that a lone spike within it is nothing; a fast one such as `level` follows the day, sees the
    spike, and takes a burst of fifty records for normal. The raw score is that of the slow one, or, where it
    is larger, what the fast one says beyond `handicap` spreads of what it usually says, in spreads of the slow one. On
    the six families of benchmarks/many_fields.py that ranks as `fields` alone does. Not where only one of both matters:
    it costs both. The score of a lone spike is calibrated by one law with that of bursts, so spikes are flagged a
    little less often than by `level` alone.

    Parameters
    ----------
    slow : an estimator whose raw scores keep one unit, such as `fields` or `forest`.
    fast : an estimator that adapts soon: `level`, `forecast`, `zscore`. It is not given rarities.
    handicap : spreads by which the fast one must be stranger than usual to count, >= 0; less finds more spikes, and
        ranks bursts lower. [spreads of its raw scores on the log axis]

    Cost
    ----
    That of both, and O(1) a record: compiled .05 us.

    State
    -----
    That of both, and 5 numbers.

    Notes
    -----
    The raw scores of both, those of the fast one as log(1 + raw), have a clipped location and spread each, at rates
    of 1/20,000 and 1/1,000. `why` is the slow one's where the record is the stranger to it, else the fast one's, whose
    fields share by the squares of their deviations. Bands are those of the fast one; a burst that the slow one flags
    may lie within them.
    """

    state_class = HorizonsState

    def __init__(
        self,
        slow: Estimator = "fields",  # type: ignore[assignment]
        fast: Estimator = "level",  # type: ignore[assignment]
        handicap: float = CONSTANTS.handicap,
    ) -> None:
        for each in (slow, fast):
            if not isinstance(each, Estimator):
                raise ValueError(
                    f"an estimator expected, got {each!r}; clipdetect.registry.build makes one from a name"
                )
        if not 0.0 <= handicap < math.inf:
            raise ValueError(f"handicap must be at least 0, got {handicap}")
        self.slow, self.fast, self.handicap = slow, fast, handicap
        self.raw_kind = "level" if slow.raw_kind == "level" else "distance"
        self.steady, self.takes_decades = slow.steady, slow.takes_decades
        self.constants = CONSTANTS._replace(handicap=float(handicap))
        self._measures = np.zeros(0, np.int64)  # columns that are no rarities

    def bind(self, fields: Sequence[str], params: Params) -> None:
        self.fields, self.params = tuple(fields), params
        decades = set(params.decades)
        self._measures = np.array([j for j, name in enumerate(fields) if name not in decades], np.int64)
        self.slow.bind(fields, params)
        self.fast.bind([fields[int(j)] for j in self._measures], params)

    def state_spec(self, n_features: int) -> Spec:
        return {"location": ((2,), np.float64), "spread": ((2,), np.float64), "judged": ((), np.int64)}

    def step(self, state: State, slots: np.ndarray, rows: Rows) -> tuple[np.ndarray, ...]:
        n, d = rows.X.shape
        a, expected, scale, *share = self.slow.step(child_state(state, "slow"), slots, rows)
        X = rows.X if len(self._measures) == d else np.ascontiguousarray(rows.X[:, self._measures])
        some = Rows(X, rows.time, rows.label, rows.learn, rows.restart)
        b, centre, unit, *_ = self.fast.step(child_state(state, "fast"), slots, some)
        raw, lasting = np.full(n, np.nan), np.zeros(n, bool)
        self.run(
            merge, n, rows.arrays(slots), Scores(np.abs(a), np.abs(b)), self.constants, self.state_arrays(state),
            Merged(raw, lasting),
        )  # fmt: skip
        shares = share[0] if share else _shares(rows.X, expected, scale)
        other = np.flatnonzero(~lasting)
        centre, unit = centre[other], unit[other]
        for whole, part in ((expected, centre), (scale, unit), (shares, _shares(X[other], centre, unit))):
            whole[other] = np.nan
            whole[other[:, None], self._measures] = part
        return raw, expected, scale, shares

    def multiples(
        self, state: State, slots: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        location, spread = state["location"][slots], state["spread"][slots]
        with np.errstate(divide="ignore", invalid="ignore"):
            u = (high - location[:, 0]) / spread[:, 0] + self.handicap
            raw = np.expm1(np.clip(location[:, 1] + spread[:, 1] * u, 0.0, 700.0))
        down = -raw if self.fast.raw_kind == "residual" else np.full(len(slots), np.nan)
        return self.fast.multiples(child_state(state, "fast"), slots, down, raw)


def _shares(X: np.ndarray, expected: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """(n, d) shares of the squared deviations, NaN where there is none."""
    with np.errstate(all="ignore"):
        squares = np.minimum(np.abs((X - expected) / scale), 1e100) ** 2
        squares = np.where((scale == 0.0) & (expected != X), 1e200, squares)
        return np.asarray(squares / np.nansum(squares, axis=1, keepdims=True))
