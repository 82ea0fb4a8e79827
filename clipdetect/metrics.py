"""How good a ranking and a set of flags are, against the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


def roc_auc(score: np.ndarray, truth: np.ndarray) -> float:
    """Area under the ROC curve of (n,) scores for (n,) bool truth; ties count half. NaN without both classes."""
    positive, negative = int(truth.sum()), int((~truth).sum())
    if not positive or not negative:
        return math.nan
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2.0  # mean rank of each group of ties
    return float((rank[inverse][truth].sum() - positive * (positive + 1) / 2.0) / (positive * negative))


def average_precision(score: np.ndarray, truth: np.ndarray) -> float:
    """Area under the precision-recall curve: mean precision at each hit, ties taken together. NaN without hits."""
    positive = int(truth.sum())
    if not positive:
        return math.nan
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(truth[order])
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)  # last row of each group of ties
    gained = np.diff(hits[last], prepend=0)
    return float((gained * hits[last] / (last + 1)).sum() / positive)


@dataclass
class Evaluation:
    """Counts and measures of a scored stream. Rates are shares; a measure that cannot be had is NaN."""

    records: int
    labelled: int  # records with a readable label; all that follows is about these
    anomalies: int
    scored: int
    unscored: int  # left out of the ranking measures
    flagged: int
    found: int  # flagged anomalies
    false: int  # flagged others
    flag_rate: float
    false_rate: float
    precision: float
    recall: float
    roc_auc: float
    pr_auc: float


def evaluate(score: np.ndarray, flag: np.ndarray, label: np.ndarray) -> Evaluation:
    """Compare (n,) scores (NaN = none) and (n,) bool flags with (n,) labels (0, 1, NaN = unknown)."""
    known = ~np.isnan(label)
    truth, flags, ranked = label[known] == 1.0, flag[known], score[known]
    scored = ~np.isnan(ranked)
    n, anomalies, flagged = len(truth), int(truth.sum()), int(flags.sum())
    found = int((flags & truth).sum())
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
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
