"""Everything that is measured of a scored stream."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from clipdetect.metrics.events import covered, episodes, first_flags, range_measures, runs, widened
from clipdetect.metrics.ranking import average_precision, roc_auc
from clipdetect.metrics.volume import volume

JOIN = 100  # records within which a false flag belongs to the false alarm before it
LEVELS = (1, 2, 3, 4)  # scores of the table of calibration
DAY = 86400.0  # seconds


class Calibration(NamedTuple):
    """How many of the normal records that have a score reach a score, and how many should."""

    score: int
    records: int
    share: float
    promised: float  # 10^-score


class KeyMeasures(NamedTuple):
    """What is counted of one key."""

    key: int
    records: int
    anomalies: int
    events: int
    events_found: int
    flagged: int
    false_flags: int
    false_episodes: int


@dataclass
class Evaluation:
    """Counts and measures of a scored stream. Rates are shares; a measure that cannot be had is NaN.

    Normal records are those outside of events and their slack; what is false is so by them, but for `false`
    and `false_rate`, which know no slack.
    """

    records: int
    labelled: int  # records with a readable label; all that follows is about these
    anomalies: int
    scored: int
    unscored: int  # left out of the ranking measures
    flagged: int  # flags, and records of incidents
    found: int  # flagged anomalies
    false: int  # flagged others
    flag_rate: float
    false_rate: float
    precision: float
    recall: float
    roc_auc: float
    pr_auc: float
    abstained: int
    vus_roc: float
    vus_pr: float
    vus_buffer: int  # records
    range_precision: float
    range_recall: float
    range_f1: float
    window: int  # slack about events, in records
    events: int
    events_found: int
    event_recall: float
    events_early: int  # found before half of the event was over
    early_share: float  # of all events
    delay_median: float  # records from an event's begin to its first flag; of events found
    delay_p90: float
    delay_seconds_median: float
    delay_seconds_p90: float
    normal: int
    false_flags: int
    false_per_1000: float
    false_per_day: float
    false_episodes: int
    false_episodes_per_day: float
    join: int
    days: float
    incidents: int
    incidents_false: int
    rate: float  # asked for
    normal_rate: float  # flags among normal records with a score
    rate_ratio: float
    calibration: list[Calibration]
    keys: list[KeyMeasures]  # worst first


def evaluate(
    score: np.ndarray,
    flag: np.ndarray,
    label: np.ndarray,
    *,
    abstain: np.ndarray | None = None,
    incident: np.ndarray | None = None,
    time: np.ndarray | None = None,
    key: np.ndarray | None = None,
    window: int = 0,
    join: int = JOIN,
    buffer: int | None = None,
    rate: float = math.nan,
) -> Evaluation:
    """Compare (n,) scores (NaN = none) and (n,) bool flags with (n,) labels (0, 1, NaN = unknown).

    abstain : (n,) bool. incident : (n,) int, 0 for none. time : (n,) epoch seconds or NaN. key : (n,) int, whose
    records each have events of their own. window : slack. join : see `JOIN`. buffer : of `volume`. rate : asked for.
    """
    known = np.flatnonzero(~np.isnan(label))
    if key is not None:
        known = known[np.argsort(key[known], kind="stable")]
    keys = None if key is None else key[known]
    begins = None if keys is None else _begins(keys)
    truth, ranked = label[known] == 1.0, score[known]
    case = np.zeros(len(known), np.int64) if incident is None else incident[known]
    flags = flag[known] | (case > 0)
    scored = ~np.isnan(ranked)
    n, anomalies, flagged = len(truth), int(truth.sum()), int(flags.sum())
    found = int((flags & truth).sum())

    events = runs(truth, begins)
    zones = widened(events, window, n, begins)
    normal = ~covered(zones, n)
    false = flags & normal
    false_begins = episodes(false, join, begins)
    first = first_flags(flags, zones)
    hit = first >= 0
    delay = (first - events.first)[hit]
    early = int((delay < (events.last - events.first + 1)[hit] / 2.0).sum())
    when = np.full(n, math.nan) if time is None else time[known]
    lag = (when[first] - when[events.first])[hit] if len(first) else np.zeros(0)
    days = _days(when)
    ranges = range_measures(flags, truth, begins)
    own = None if keys is None else _begins(keys[scored])
    surface = volume(ranked[scored], truth[scored], buffer, own)
    tested = normal & scored
    reached = [int((ranked[tested] >= level).sum()) for level in LEVELS]
    normal_rate = _share(int((flags & tested).sum()), int(tested.sum()))
    return Evaluation(
        records=len(label),
        labelled=n,
        anomalies=anomalies,
        scored=int(scored.sum()),
        unscored=int((~scored).sum()),
        flagged=flagged,
        found=found,
        false=flagged - found,
        flag_rate=_share(flagged, n),
        false_rate=_share(flagged - found, n - anomalies),
        precision=_share(found, flagged),
        recall=_share(found, anomalies),
        roc_auc=roc_auc(ranked[scored], truth[scored]),
        pr_auc=average_precision(ranked[scored], truth[scored]),
        abstained=0 if abstain is None else int(abstain[known].sum()),
        vus_roc=surface.roc,
        vus_pr=surface.pr,
        vus_buffer=surface.buffer,
        range_precision=ranges.precision,
        range_recall=ranges.recall,
        range_f1=ranges.f1,
        window=window,
        events=len(hit),
        events_found=int(hit.sum()),
        event_recall=_share(int(hit.sum()), len(hit)),
        events_early=early,
        early_share=_share(early, len(hit)),
        delay_median=_quantile(delay, 0.5),
        delay_p90=_quantile(delay, 0.9),
        delay_seconds_median=_quantile(lag, 0.5),
        delay_seconds_p90=_quantile(lag, 0.9),
        normal=int(normal.sum()),
        false_flags=int(false.sum()),
        false_per_1000=1000.0 * _share(int(false.sum()), int(normal.sum())),
        false_per_day=int(false.sum()) / days,
        false_episodes=len(false_begins),
        false_episodes_per_day=len(false_begins) / days,
        join=join,
        days=days,
        incidents=len(np.unique(case[case > 0])),
        incidents_false=len(np.setdiff1d(case[case > 0], case[~normal])),
        rate=rate,
        normal_rate=normal_rate,
        rate_ratio=normal_rate / rate,
        calibration=[
            Calibration(level, many, _share(many, int(tested.sum())), 10.0**-level)
            for level, many in zip(LEVELS, reached, strict=True)
        ],
        keys=[] if keys is None else _by_key(keys, truth, flags, false, events.first, hit, false_begins),
    )


def _by_key(
    keys: np.ndarray,
    truth: np.ndarray,
    flags: np.ndarray,
    false: np.ndarray,
    events: np.ndarray,
    hit: np.ndarray,
    false_begins: np.ndarray,
) -> list[KeyMeasures]:
    """Of each key, most missed events first, then most false flags. events, false_begins : positions."""
    many = int(keys.max()) + 1 if len(keys) else 0

    def count(where: np.ndarray) -> np.ndarray:
        return np.bincount(keys[where], minlength=many)

    everything = np.bincount(keys, minlength=many)
    columns = [
        everything, count(truth), count(events), count(events[hit]), count(flags), count(false), count(false_begins),
    ]  # fmt: skip
    missed = columns[2] - columns[3]
    order = np.lexsort((np.arange(many), -columns[5], -missed))
    table = np.column_stack((np.arange(many), *columns))[order]
    return [KeyMeasures(*row) for row in table[table[:, 1] > 0].tolist()]


def _begins(keys: np.ndarray) -> np.ndarray:
    return np.concatenate(([True], keys[1:] != keys[:-1]))[: len(keys)]


def _days(when: np.ndarray) -> float:
    """From the first to the last time; NaN where there is no such span."""
    times = when[~np.isnan(when)]
    span = float(times.max() - times.min()) if len(times) else 0.0
    return span / DAY if span > 0.0 else math.nan


def _quantile(values: np.ndarray, q: float) -> float:
    values = values[~np.isnan(values)]
    return float(np.quantile(values, q)) if len(values) else math.nan


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
