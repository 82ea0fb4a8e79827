"""From numbers to verdicts: which records are flagged, and why, in numbers and in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from clipdetect.components import Feature
from clipdetect.config import Config
from clipdetect.detector import Detector
from clipdetect.records import Annotation, Reason
from clipdetect.scored import Scored
from clipdetect.wall import is_fault

MOST_REASONS = 5
Direction = Literal["both", "up", "down"]
MARKS = ("abstain", "changepoint", "incident")  # in the order in which they are appended
Texts = Callable[[int, Sequence[str]], Mapping[str, str]]
Join = Callable[[np.ndarray, dict[int, list[Reason]]], np.ndarray]


def annotation(
    config: Config, detector: Detector, scored: Scored, texts: Texts, join: Join | None = None
) -> Annotation:
    """What is appended to n records.

    texts : gives the texts of some fields of record i, for derived columns to speak of. join : takes back the
    flags of records that belong to an incident reported already, and returns each record's incident, 0 for none.
    """
    fields, makers = detector.columns, detector.features.makers
    why: dict[int, list[Reason]] = {}
    faults: dict[int, Exception] = {}

    def worded(reason: Reason, i: int) -> Reason:
        """In its own words; where those cannot be had, the bare reason has to do."""
        if reason.field not in makers:
            return reason
        try:
            return told(reason, makers, texts, i)
        except Exception as error:
            if not is_fault(error):
                raise
            faults[i] = error
            return reason

    anomaly = scored.flag == 1
    for i in np.flatnonzero(anomaly).tolist():
        share = None if scored.share is None else scored.share[i]
        found = reasons(fields, scored.X[i], scored.expected[i], scored.scale[i], share)
        found = [worded(each, i) for each in found]
        if matters(found, config.direction, config.min_change.value, config.min_change.percent):
            why[i] = found
        else:
            anomaly[i] = False
    if scored.alarms is not None:
        for i in np.flatnonzero(np.isfinite(scored.alarms).any(axis=1)).tolist():
            alarms = dict(zip(detector.features.alarms, scored.alarms[i].tolist(), strict=True))
            values = [(name, alarms[name]) for name in makers if name in alarms]  # in the order of the features
            own = [Reason(name, value, math.nan, math.nan) for name, value in values if math.isfinite(value)]
            why[i] = [*[worded(each, i) for each in own], *why.get(i, [])]
            anomaly[i] = True
    marks = {"abstain": scored.flag == 2}
    if join is not None:
        marks["incident"] = join(anomaly, why)
    changed = scored.changed if scored.changed is not None and scored.changed.any() else None
    if changed is not None and scored.since is not None:
        for i in np.flatnonzero(changed).tolist():
            why[i] = [*why.get(i, []), since(int(scored.since[i]))]
        marks["changepoint"] = changed
    bands = seen = None
    if scored.low is not None and scored.high is not None:
        bands = (scored.expected, scored.low, scored.high)
        seen = ~(np.isnan(scored.expected) & np.isnan(scored.X))
    return Annotation(
        fields=fields,
        score=scored.score,
        anomaly=anomaly,
        why=why,
        marks={name: marks[name] for name in MARKS if name in marks and marks[name].any()},
        bands=bands,
        seen=seen,
        keep=anomaly if config.only_anomalies else None,
        faults=faults,
    )


def since(records: int) -> Reason:
    """What a declared change point has to say."""
    return Reason("changepoint", records, math.nan, math.nan, f"a new normal since {records} records ago")


def told(reason: Reason, makers: Mapping[str, tuple[Feature, int]], texts: Texts, i: int) -> Reason:
    """A derived column's reason in its own words and unit; `deviation` stays that of the column."""
    feature, column = makers[reason.field]
    names = [each.field for each in feature.inputs()] + ([feature.per] if feature.per else [])
    text = feature.say(column, reason.value, reason.expected, texts(i, names))
    value, expected = feature.shown(column, reason.value), feature.shown(column, reason.expected)
    return reason._replace(value=value, expected=expected, text=text)


def reasons(
    fields: Sequence[str], x: np.ndarray, expected: np.ndarray, scale: np.ndarray, share: np.ndarray | None = None
) -> list[Reason]:
    """The fields of one record (d,) that did it: at most five, of at least half the largest share or |deviation|."""
    found = []
    for j, name in enumerate(fields):
        value, centre, unit = float(x[j]), float(expected[j]), float(scale[j])
        difference = value - centre
        if math.isnan(difference) or math.isnan(unit):
            continue
        if unit > 0.0:
            deviation = difference / unit
        else:
            deviation = math.copysign(math.inf, difference) if difference else 0.0
        found.append(Reason(name, value, centre, deviation, share=math.nan if share is None else float(share[j])))

    def weight(reason: Reason) -> float:
        size = abs(reason.deviation) if share is None else reason.share
        return 0.0 if math.isnan(size) else size

    found.sort(key=weight, reverse=True)  # stable: ties stay in field order
    if not found or weight(found[0]) == 0.0:
        return found[:1]
    least = weight(found[0]) / 2.0
    return [reason for reason in found[:MOST_REASONS] if weight(reason) >= least]


def matters(why: Sequence[Reason], direction: Direction, absolute: float, percent: float) -> bool:
    """Whether a flag stands under `--direction` and `--min-change`, judged by the first reason."""
    if not why:
        return True
    first = why[0]
    change = first.value - first.expected
    if (direction == "up" and change < 0.0) or (direction == "down" and change > 0.0):
        return False
    return abs(change) >= absolute and abs(change) >= percent / 100.0 * abs(first.expected)
