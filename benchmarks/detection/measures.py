"""What a stream's scores and flags are worth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from clipdetect.metrics import average_precision, roc_auc

FORM = 3  # raised when the measures change, so that stored ones are taken again from the stored scores


def events(label: np.ndarray) -> np.ndarray:
    """(m, 2) first and last-but-one index of each run of anomalies."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], label.astype(np.int8), [0]])))
    return edges.reshape(-1, 2)


def ranked(score: np.ndarray) -> np.ndarray:
    """Scores that can be ranked: NaN, which is no opinion, below all others."""
    known = score[~np.isnan(score)]
    return np.where(np.isnan(score), known.min() - 1.0 if len(known) else 0.0, score)


def measure(label: np.ndarray, score: np.ndarray, flag: np.ndarray | None, ordered: bool) -> dict[str, Any]:
    """Measures of the counted rows of one stream; None where one cannot be had.

    Delay is in records, from an event's first record to its first flag, the median over the events that were found.
    """
    clean = ranked(score)
    found: dict[str, Any] = {
        "rows": len(label),
        "anomalies": int(label.sum()),
        "roc": _number(roc_auc(clean, label)),
        "pr": _number(average_precision(clean, label)),
    }
    if flag is None:
        return found
    hit, false = int((flag & label).sum()), int((flag & ~label).sum())
    found |= {"flagged": int(flag.sum()), "hit": hit, "normal": int((~label).sum()), "false": false}
    if ordered:
        delays = [int(np.argmax(flag[a:b])) for a, b in events(label) if flag[a:b].any()]
        found |= {"events": len(events(label)), "found": len(delays), "delays": delays}
    return found


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)
