"""Few alarms, one an episode: evidence is held at its peak, and each alarm makes the next one dearer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from clipdetect.components import Params, RawArrays, Rows, Spec, State, Threshold, Verdicts
from clipdetect.jit import kernel
from clipdetect.numerics.rounding import six_digits

__all__ = ["Budget"]

UNITS = {"distance": 1.0, "residual": 12.0}  # raw score that is one of evidence; 4.3 deviations then are a flag


class BudgetConstants(NamedTuple):
    """Numbers that were chosen rather than derived."""

    hold: float = 100.0  # records in which what was reported last fades to 37%
    more: float = 0.5  # by what part evidence must exceed what is left of it
    price: float = 0.1  # of each alarm remembered, in shares of the evidence that the first one needed
    memory: float = 2.0  # of an alarm, in records times the rate
    limit: float = 0.3  # score from which on a report is a flag


class BudgetState(NamedTuple):
    """The arrays of all keys: axis 0 the key."""

    peak: np.ndarray  # (K,) what is left of the evidence last reported
    alarms: np.ndarray  # (K,) what is left of the alarms


class BudgetParameters(NamedTuple):
    """The settings."""

    unit: float  # raw score that is an evidence of 1
    keep: float  # what is left of an alarm after one record
    fade: float  # what is left of a report after one record
    more: float  # as in `BudgetConstants`, like the next two
    price: float
    limit: float


@kernel
def step(rows: RawArrays, parameters: BudgetParameters, state: BudgetState, out: Verdicts) -> None:
    """Score and flag each raw value, then learn it."""
    raw, slots, learn = rows.raw, rows.slots, rows.learn
    unit, keep, fade = parameters.unit, parameters.keep, parameters.fade
    more, price, limit = parameters.more, parameters.price, parameters.limit
    peak, alarms = state.peak, state.alarms
    score, flag = out.score, out.flag
    for i in range(raw.shape[0]):
        if math.isnan(raw[i]):
            continue
        k = slots[i]
        evidence = min(abs(raw[i]) / unit, 1e300)
        held = peak[k] * fade if peak[k] > 1e-9 else 0.0
        left = alarms[k] * keep
        score[i] = 0.0
        news = evidence > held * (1.0 + more)
        if news:
            score[i] = six_digits(1.0 - math.exp(-min(evidence / (1.0 + price * left), 700.0)))
            flag[i] = 1 if score[i] >= limit else 0
        if learn[i]:
            alarms[k] = left + flag[i]
            peak[k] = evidence if news else held


class Budget(Threshold):
    """Few alarms, one an episode: only more evidence than was last reported is news, and each alarm costs.

    Best for few alarms that people read, one an episode.
    Made for `extremes`, whose raw score is evidence already. What is reported is held and fades, to 37% in 100 records;
    only half as much again as is left of it is news, so evidence that stays is reported again after 41 records. Each
    flag adds a tenth to the evidence that the next one needs, and is forgotten over 2 / rate records, 2,000 at the
    default rate. The score is 1 - exp(-evidence / price) of what is news, and 0 for everything else; it is not a
    probability, and the rate is not the share of flags: it says how soon a flag is affordable again. On 200,000 t(3)
    values `level` gives 1420, 642 and 187 flags at rates .01, .001 and .0001, and `extremes`, which grows quiet by
    itself, 50, 45 and 36.

    Residuals and distances of other estimators are judged by their size in `unit`s: with `level` or `zscore` a flag
    begins at 4.3 deviations. That keeps a noisy stream quiet, and is no calibration; for one use `tail`. Raw scores
    that start nowhere (kind `level`) are refused. Not where every anomalous record is to be marked.

    Parameters
    ----------
    limit : score from which on a record is flagged, in (0, 1); .3 is an evidence of .36 at no earlier alarm.
    unit : raw score that counts as evidence 1. 0 is 1 for a distance and 12 deviations for a residual.

    Cost
    ----
    An exponential for each report: O(1) a record, compiled some .03 us.

    State
    -----
    2 numbers: 16 bytes.

    Notes
    -----
    Evidence, its hold and its price are ours.
    """

    calibrated = False
    state_class = BudgetState
    scale_free = False  # what is not news has a score of 0, however strange

    def __init__(self, limit: float = BudgetConstants().limit, unit: float = 0.0) -> None:
        if not 0.0 < limit < 1.0:
            raise ValueError(f"limit must be between 0 and 1, got {limit}")
        if not 0.0 <= unit < math.inf:
            raise ValueError(f"unit must be > 0, or 0 for its own choice, got {unit}")
        self.limit, self.unit = limit, unit
        self.constants = BudgetConstants(limit=limit)

    def check(self, params: Params) -> None:
        super().check(params)
        if params.raw_kind not in UNITS:
            raise ValueError("this estimator's raw scores start nowhere, so budget has no unit for them; use tail")

    def bind(self, fields: Sequence[str], params: Params) -> None:
        super().bind(fields, params)
        c = self.constants
        self._parameters = BudgetParameters(
            unit=float(self.unit or UNITS[params.raw_kind]),
            keep=math.exp(-params.rate / c.memory),
            fade=math.exp(-1.0 / c.hold),
            more=c.more,
            price=c.price,
            limit=c.limit,
        )

    def state_spec(self, n_features: int) -> Spec:
        return dict.fromkeys(("peak", "alarms"), ((), np.float64))

    def step(self, state: State, slots: np.ndarray, raw: np.ndarray, rows: Rows) -> Verdicts:
        out = Verdicts.none(len(raw))
        self.run(step, len(raw), RawArrays(raw, slots, rows.learn), self._parameters, self.state_arrays(state), out)
        return out

    def limits(self, state: State, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        p = self._parameters
        held = p.fade * state["peak"][slots]
        price = 1.0 + p.price * p.keep * state["alarms"][slots]
        high = p.unit * np.maximum(held * (1.0 + p.more), -math.log1p(-p.limit) * price)
        return (-high if self.signed else np.full(len(slots), np.nan)), high
