"""Few alarms, one an episode: evidence is held at its peak, and each alarm makes the next one dearer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from clipdetect.components import Params, Rows, Spec, State, Threshold
from clipdetect.jit import kernel
from clipdetect.numerics.rounding import six_digits

__all__ = ["Budget"]

UNITS = {"distance": 1.0, "residual": 12.0}  # raw score that is one of evidence; 4.3 deviations then are a flag
# Numbers that were chosen rather than derived; the kernel gets them as an array, in this order.
CONSTANTS = {
    "hold": 100.0,  # records in which what was reported last fades to 37%
    "more": 0.5,  # by what part evidence must exceed what is left of it
    "price": 0.1,  # of each alarm remembered, in shares of the evidence that the first one needed
    "memory": 2.0,  # of an alarm, in records times the rate
    "limit": 0.3,  # score from which on a report is a flag
}
HOLD, MORE, PRICE, MEMORY, LIMIT = range(len(CONSTANTS))


@kernel
def step(raw, slots, learn, unit, keep, fade, c, peak, alarms, score, flag):
    """Score and flag each raw value, then learn it. raw, slots, learn, score, flag: (n,); peak, alarms: (K,).

    keep, fade: what is left of an alarm, and of a report, after one record. peak: what is left of the last report.
    """
    for i in range(raw.shape[0]):
        if math.isnan(raw[i]):
            continue
        k = slots[i]
        evidence = min(abs(raw[i]) / unit, 1e300)
        held = peak[k] * fade if peak[k] > 1e-9 else 0.0
        left = alarms[k] * keep
        score[i] = 0.0
        news = evidence > held * (1.0 + c[MORE])
        if news:
            score[i] = six_digits(1.0 - math.exp(-min(evidence / (1.0 + c[PRICE] * left), 700.0)))
            flag[i] = 1 if score[i] >= c[LIMIT] else 0
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
    scale_free = False  # what is not news has a score of 0, however strange

    def __init__(self, limit: float = CONSTANTS["limit"], unit: float = 0.0) -> None:
        if not 0.0 < limit < 1.0:
            raise ValueError(f"limit must be between 0 and 1, got {limit}")
        if not 0.0 <= unit < math.inf:
            raise ValueError(f"unit must be > 0, or 0 for its own choice, got {unit}")
        self.limit, self.unit = limit, unit
        self.constants = np.array(list(CONSTANTS.values()))
        self.constants[LIMIT] = limit

    def check(self, params: Params) -> None:
        super().check(params)
        if params.raw_kind not in UNITS:
            raise ValueError("this estimator's raw scores start nowhere, so budget has no unit for them; use tail")

    def bind(self, fields: Sequence[str], params: Params) -> None:
        super().bind(fields, params)
        self._keep = math.exp(-params.rate / float(self.constants[MEMORY]))
        self._fade = math.exp(-1.0 / float(self.constants[HOLD]))
        self._unit = float(self.unit or UNITS[params.raw_kind])

    def state_spec(self, n_features: int) -> Spec:
        return dict.fromkeys(("peak", "alarms"), ((), np.float64))

    def step(self, state: State, slots: np.ndarray, raw: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        score, flag = np.full(len(raw), np.nan), np.zeros(len(raw), np.int8)
        self.run(
            step, len(raw), raw, slots, rows.learn, self._unit, self._keep, self._fade, self.constants,
            *[state[name] for name in self.state_spec(0)], score, flag,
        )  # fmt: skip
        return score, flag

    def limits(self, state: State, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        c = self.constants
        held = self._fade * state["peak"][slots]
        price = 1.0 + c[PRICE] * self._keep * state["alarms"][slots]
        high = self._unit * np.maximum(held * (1.0 + c[MORE]), -math.log1p(-c[LIMIT]) * price)
        return (-high if self.signed else np.full(len(slots), np.nan)), high
