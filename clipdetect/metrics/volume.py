"""Volumes under the surfaces of range-aware ROC and precision-recall curves."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.metrics.events import Runs, borders, runs

MOST_BUFFER = 100  # records, where none is given
MOST_WORK = 10_000_000  # thresholds times buffers; beyond it fewer buffers are taken, at least FEWEST
FEWEST = 11


class Volume(NamedTuple):
    """VUS-ROC and VUS-PR, NaN without both classes, and the largest buffer in records."""

    roc: float
    pr: float
    buffer: int


class _Curves:
    """The curves of one ranking about its events; `areas` gives those under them for one buffer.

    Thresholds are the distinct scores of the records in reach of an event. Between two of them only
    other records are added, so that recall stays and the false share grows in proportion: nothing is
    lost by leaving those thresholds out.
    """

    def __init__(self, score: np.ndarray, truth: np.ndarray, events: Runs, begins: np.ndarray | None, most: int):
        self.n, self.positives, self.events = len(score), int(truth.sum()), events
        self.low, self.high = borders(events.first, self.n, begins)
        near, self.away = _reach(truth, events, self.low, self.high, most // 2)
        self.points, self.at = np.unique(near, return_inverse=True)
        own = np.flatnonzero(truth)
        values, group = np.unique(-score[np.concatenate((own, self.points))], return_inverse=True)
        self.thresholds = values  # of -score, ascending
        self.group = group[len(own) :]
        ordered = np.sort(-score)
        self.taken = np.searchsorted(ordered, values, "right")  # records at or above each threshold
        self.above = np.searchsorted(ordered, values, "left")
        self.hits = np.cumsum(np.bincount(group[: len(own)], minlength=len(values)))
        edges = np.column_stack((events.first, events.last + 1)).ravel()
        self.best = np.minimum.reduceat(np.append(-score, math.inf), edges)[::2]
        self.score, self.half = score, 0

    def areas(self, buffer: int) -> tuple[float, float]:
        """Under the ROC and the precision-recall curve; buffers must not shrink from call to call."""
        while self.half < buffer // 2:
            self._widen()
        soft = self._soft(buffer)
        true = self.hits + soft
        actual = self.positives + soft / 2.0  # mean of the labels' sum without and with the buffer, where taken
        recall = np.minimum(true / actual, 1.0) * self._existence()
        precision = true / self.taken
        pr = float(np.sum(np.diff(recall, prepend=0.0) * precision))
        # before each threshold and at it: the false share, with what counts as true before and at it
        actual_before = np.concatenate(([float(self.positives)], actual[:-1]))
        recall_before = np.concatenate(([0.0], recall[:-1]))
        before = (self.above - np.concatenate(([0.0], true[:-1]))) / (self.n - actual_before)
        false = (self.taken - true) / (self.n - actual)
        flat = recall_before * (before - np.concatenate(([0.0], false[:-1])))
        steep = (recall_before + recall) / 2.0 * (false - before)
        end = (self.n - true[-1]) / (self.n - actual[-1])
        last = recall[-1] * (end - false[-1]) + (recall[-1] + 1.0) / 2.0 * (1.0 - end)
        return float(np.sum(flat) + np.sum(steep) + last), pr

    def _soft(self, buffer: int) -> np.ndarray:
        """Sum of the labels of the buffers' records at or above each threshold."""
        reach = int(np.searchsorted(self.away, buffer // 2, "right"))
        if not reach:
            return np.zeros(len(self.thresholds))
        weight = np.sqrt(1.0 - self.away[:reach] / buffer)
        label = np.minimum(np.bincount(self.at[:reach], weight, len(self.points)), 1.0)
        return np.cumsum(np.bincount(self.group, label, len(self.thresholds)))

    def _widen(self) -> None:
        """One record more on both sides of each event."""
        self.half += 1
        for place in (self.events.first - self.half, self.events.last + self.half):
            inside = (place >= self.low) & (place <= self.high)
            here = -self.score[np.clip(place, 0, self.n - 1)]
            self.best = np.where(inside, np.minimum(self.best, here), self.best)

    def _existence(self) -> np.ndarray:
        """Share of the events, merged where their buffers meet, that are met at each threshold."""
        first, last = self.events
        apart = (last[:-1] + self.half < first[1:] - self.half) | (self.low[1:] != self.low[:-1])
        heads = np.concatenate(([0], np.flatnonzero(apart) + 1))
        met = np.searchsorted(self.thresholds, np.minimum.reduceat(self.best, heads))
        return np.asarray(np.cumsum(np.bincount(met, minlength=len(self.thresholds))) / len(heads))


def _reach(
    truth: np.ndarray, events: Runs, low: np.ndarray, high: np.ndarray, half: int
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of other records within `half` of an event, once for each such event, and how far; by distance."""
    places, away = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for distance in range(1, half + 1):
        for place in (events.first - distance, events.last + distance):
            place = place[(place >= low) & (place <= high)]
            place = place[~truth[place]]
            places.append(place)
            away.append(np.full(len(place), distance))
    return np.concatenate(places), np.concatenate(away)


def volume(score: np.ndarray, truth: np.ndarray, buffer: int | None = None, begins: np.ndarray | None = None) -> Volume:
    """VUS of (n,) scores, none of them NaN, for (n,) bool truth in the order of the stream [1]_.

    Means over the buffers 0, 1, ..., `buffer` of the areas under curves in which records up to half a
    buffer from an event count in part, sqrt(1 - distance / buffer), and recall is multiplied by the
    share of events met. As in the authors' TSB-AD package, buffer records enter the number of positives
    where they are taken, and the area under the precision-recall curve is a sum of steps. Every score is
    a threshold here; there, 250 of them. Of long streams with very many anomalies fewer buffers are taken.

    Parameters
    ----------
    buffer : the largest buffer. None = the median length of an event, at most MOST_BUFFER. [records]
    begins : (n,) bool, where a key's records begin; no buffer crosses it.

    References
    ----------
    .. [1] J. Paparrizos, P. Boniol, T. Palpanas, R. Tsay, A. Elmore, M. Franklin, "Volume under the
       surface: a new accuracy evaluation measure for time-series anomaly detection", PVLDB 15(11), 2022.
    """
    events = runs(truth, begins)
    if buffer is None:
        length = events.last - events.first + 1
        buffer = min(int(np.median(length)), MOST_BUFFER) if len(length) else 0
    if truth.all() or not truth.any():
        return Volume(math.nan, math.nan, buffer)
    curves = _Curves(score, truth, events, begins, buffer)
    many = min(buffer + 1, max(MOST_WORK // len(curves.thresholds), FEWEST))
    buffers = ((np.arange(many) + 0.5) * (buffer + 1) / many).astype(int)  # the middles of equal parts; all, usually
    found = np.array([curves.areas(each) for each in buffers.tolist()])
    roc, pr = found.mean(axis=0)
    return Volume(float(roc), float(pr), buffer)
