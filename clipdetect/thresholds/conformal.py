"""Another threshold's score behind a limit that moves, so that the long-run share of flags is the one asked for."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.components import RawArrays, Rows, Spec, State, Threshold, Verdicts, child_state
from clipdetect.jit import kernel
from clipdetect.numerics.pinball import pinball
from clipdetect.numerics.rounding import six_digits

__all__ = ["Conformal"]

HALFWAY = 3.0  # ln(1 + score) at which an overdrawn score is half of the limit
LULL = 0.5  # decades that records exactly as expected can lower the limit; more floods the end of a long silence
TOP = 1e300  # of the raw scores
FINE = 1 << 30  # doubles between the ends of the search for a raw limit: 2e-7 of it


class ConformalState(NamedTuple):
    """The arrays of all keys: axis 0 the key."""

    moved: np.ndarray  # (K,) how far the limit is from the one asked for [decades]


class ConformalParameters(NamedTuple):
    """The settings."""

    rate: float  # wanted share of flags
    gamma: float  # how far a flag moves the limit, > 0 [decades]
    rise: float  # how far the limit may be above the one asked for, > 0 [decades]
    lull: float  # how far below it scores of 0, which are never flagged, can take the limit [decades]
    wanted: float  # the limit asked for: -log10 of the rate
    under: float  # the last six-digit number below `wanted`
    over: float  # the first six-digit number from `wanted` on


@kernel
def shifted(s: float, at: float, wanted: float, overdrawn: bool) -> float:
    """Score s >= 0 moved so that `at` becomes `wanted`: in proportion below, by the difference from there on.

    Overdrawn, every score stays below `wanted`, in its order.
    """
    if not s > 0.0:
        return 0.0
    if overdrawn:
        u = math.log1p(s)
        return wanted * (u / (u + HALFWAY))
    return s * (wanted / at) if s < at else wanted + (s - at)


@kernel
def step(
    given: np.ndarray, rows: RawArrays, parameters: ConformalParameters, state: ConformalState, out: Verdicts
) -> None:
    """Judge each score by its key's limit, then move the limit. given: (n,) scores of the inner threshold.

    out: with flag 2 where the inner threshold abstains, which counts for nothing.
    """
    slots, learn = rows.slots, rows.learn
    rate, gamma, rise, lull = parameters.rate, parameters.gamma, parameters.rise, parameters.lull
    wanted, under, over = parameters.wanted, parameters.under, parameters.over
    moved, score, flag = state.moved, out.score, out.flag
    for i in range(given.shape[0]):
        s = given[i]
        if math.isnan(s):
            continue
        k = slots[i]
        at = wanted + moved[k]
        overdrawn = moved[k] > rise
        flagged = s > 0.0 and s >= at and not overdrawn
        value = six_digits(shifted(s, at, wanted, overdrawn))
        score[i] = max(value, over) if flagged else min(value, under)
        if flag[i] == 2:
            continue
        flag[i] = 1 if flagged else 0
        if learn[i] and (s > 0.0 or moved[k] > -lull):
            moved[k] = pinball(moved[k], flagged, rate, gamma)


class Conformal(Threshold):
    """Another threshold's score behind a limit that moves up with every flag and down with every other record.

    Best for a share of flags that holds whatever comes.
    Promise: the long-run share of flags, whatever the data and however wrong the inner threshold. After T learned
    records with a score, N of them with an inner score of 0, the number of flags is

        at most  rate T + rise / gamma + 1   and at least   rate (T - N) - L / gamma - 1,   L = -log10(rate);

    with the defaults at .001 and N = 0, between T / 1000 - 31 and T / 1000 + 21. A flag moves the limit up by
    gamma (1 - rate), any other record down by gamma rate. Above L + rise nothing is flagged, below 0 everything but
    scores of 0, so the limit stays within [-gamma, L + rise + gamma], and what it has moved is gamma (flags - rate T).
    Scores of 0, records exactly as expected, are never flagged and lower the limit to half a decade below L at most,
    so that a constant stream is silent. On residuals of 8 laws under 4 drifts within .99 to 1.01 at .01 and .001.

    The price: the rate is a budget, and true anomalies spend it. At .001 a tenth of the gross records is flagged where
    they are 1% of the stream, and 2% of them where they are 5%; `tail` flags nearly all. Level shifts of 8 units every
    20,000 records in Gaussian noise take half of .001, and all of .0001. A burst is flagged for rise / gamma = 20
    records or a few more, and the limit then needs up to 20 / rate records to come back. The promise is about the
    share, not about which records: over a threshold that is off by more than `rise`, flags are spread evenly
    and mean nothing.

    Parameters
    ----------
    of : the inner threshold, with its own parameters.
    gamma : how far a flag moves the limit, > 0. Larger follows faster, in some 4 / rate records at .1, and makes the
        limit less steady. [decades of probability]
    rise : how far the limit may rise above the one asked for, > 0: by how much the inner threshold may be wrong, and
        by how many flags, rise / gamma, the budget may be overdrawn. [decades of probability]

    Cost
    ----
    That of the inner threshold and .03 us a record, compiled; interpreted 1.5 us. Limits for `--bands` are searched
    for: 70 calls of the inner threshold each.

    State
    -----
    That of the inner threshold and 1 number.

    Notes
    -----
    Adaptive conformal inference [1]_ moves the level; here the limit on -log10 of the probability moves, which is the
    quantile tracking of [2]_ without its integral and scorecaster, and with a saturation that bounds it whatever the
    scores. From the limit on a score is the inner one plus a constant, a probability times a factor; below it is the
    inner one in proportion. Records on which the inner threshold abstains are passed on and not counted; flags held
    back during the warm-up are counted.

    References
    ----------
    .. [1] I. Gibbs, E. Candes, "Adaptive conformal inference under distribution shift", NeurIPS 2021.
    .. [2] A. Angelopoulos, E. Candes, R. Tibshirani, "Conformal PID control for time series prediction",
       NeurIPS 2023.
    """

    state_class = ConformalState

    def __init__(self, of: Threshold = "tail", gamma: float = 0.1, rise: float = 2.0) -> None:  # type: ignore[assignment]
        if not isinstance(of, Threshold):
            raise ValueError(f"of must be a threshold, got {of!r}; clipdetect.registry.build makes one from a name")
        if not 0.0 < gamma < math.inf:
            raise ValueError(f"gamma must be > 0, got {gamma}")
        if not 0.0 < rise < math.inf:
            raise ValueError(f"rise must be > 0, got {rise}")
        self.of, self.gamma, self.rise = of, gamma, rise
        self.takes = of.takes
        self.shares_budget = of.shares_budget
        self.abstains = of.abstains

    def state_spec(self, n_features: int) -> Spec:
        return {"moved": ((), np.float64)}

    def step(self, state: State, slots: np.ndarray, raw: np.ndarray, rows: Rows) -> Verdicts:
        given, inner = self.of.step(child_state(state, "of"), slots, raw, rows)
        wanted = -math.log10(self.params.rate)
        out = Verdicts(np.full(len(raw), np.nan), np.where(inner == 2, inner, 0).astype(np.int8))
        parameters = ConformalParameters(
            float(self.params.rate), float(self.gamma), float(self.rise), min(LULL, wanted), wanted, *_around(wanted)
        )
        self.run(step, len(raw), given, RawArrays(raw, slots, rows.learn), parameters, self.state_arrays(state), out)
        return out

    def limits(self, state: State, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        wanted = -math.log10(self.params.rate)
        at = np.where(state["moved"][slots] > self.rise, np.nan, wanted + state["moved"][slots])
        signed = self.signed
        low = self._reached(state, slots, at, 0.0, -TOP) if signed else np.full(len(slots), np.nan)
        return low, self._reached(state, slots, at, -TOP if self.params.raw_kind == "level" else 0.0, TOP)

    def _reached(self, state: State, slots: np.ndarray, at: np.ndarray, inner: float, outer: float) -> np.ndarray:
        """(n,) the raw score next to `inner` whose score is `at` (n,) or more; NaN where there is none up to `outer`.

        By halving the doubles between, with scores that are not learned.
        """
        n = len(slots)
        nothing = np.full(n, np.nan)
        rows = Rows(
            np.full((n, len(self.fields)), np.nan), nothing, nothing.copy(), np.zeros(n, bool), np.zeros(n, bool)
        )

        def reaches(places: np.ndarray) -> np.ndarray:
            raw = self.of.prepared(_double(places))
            return np.asarray(self.of.step(child_state(state, "of"), slots, raw, rows)[0] >= at)

        near, far = (np.full(n, _place(end), np.int64) for end in (inner, outer))
        found = reaches(far)
        near = np.where(reaches(near), far, near)
        while np.abs(far - near).max(initial=0) > FINE:
            middle = near // 2 + far // 2
            yes = reaches(middle)
            near, far = np.where(yes, near, middle), np.where(yes, middle, far)
        return np.where(found, _double(far), np.nan)


def _place(value: float) -> int:
    """The number of a double in their order, 0 at 0."""
    bits = int(np.float64(abs(value)).view(np.int64))
    return -bits if value < 0.0 else bits


def _double(places: np.ndarray) -> np.ndarray:
    """The doubles with these numbers."""
    return np.asarray(np.copysign(np.abs(places).view(np.float64), places))


def _around(wanted: float) -> tuple[float, float]:
    """The last number of six digits below `wanted` and the first from it on."""
    near = six_digits(wanted)
    if near <= 0.0:
        return 0.0, wanted
    unit = 10.0 ** (math.floor(math.log10(near)) - 5)
    return (six_digits(near - unit), near) if near >= wanted else (near, six_digits(near + unit))
