"""Measures of a ranking, record by record."""

from __future__ import annotations

import math

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
