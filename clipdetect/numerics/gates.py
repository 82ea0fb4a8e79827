"""Small kernels of the detector itself: the warm-up gate, what feedback does, the carrying over of restarts."""

from __future__ import annotations

import math

import numpy as np

from clipdetect.jit import kernel

FEEDBACK_STEP = 0.25  # decades by which one label moves a key's limit
STRICTEST, LOOSEST = 2.0, -1.0  # decades that it can be moved at most: to a hundredth, or ten times the rate
NEAR = 1.5  # decades below the limit from which on a miss says something of the limit


@kernel
def gate(
    slots: np.ndarray, raw: np.ndarray, learn: np.ndarray, warmup: int, given: np.ndarray, score: np.ndarray,
    flag: np.ndarray,
) -> None:  # fmt: skip
    """Blank what may not be scored yet. slots, raw, score, flag: (n,); given: (K,) raws per key.

    A key is scored once it has given `warmup` raw scores; a row without raw score is never scored.
    """
    for i in range(slots.shape[0]):
        k = slots[i]
        if math.isnan(raw[i]):
            score[i] = math.nan
            flag[i] = 0
        else:
            if given[k] < warmup:
                score[i] = math.nan
                flag[i] = 0
            if learn[i]:
                given[k] += 1


@kernel
def correct(
    slots: np.ndarray, label: np.ndarray, learn: np.ndarray, teach: bool, limit: float, moved: np.ndarray,
    score: np.ndarray, flag: np.ndarray,
) -> None:  # fmt: skip
    """Flags by each key's own limit, which labels move. slots, label, learn, score, flag: (n,); moved: (K,) decades.

    A flag that was none makes the limit stricter, a miss that was near makes it looser; where `teach` is false
    labels are not looked at. The limit stays at half of `limit` or more.
    """
    for i in range(slots.shape[0]):
        k = slots[i]
        if math.isnan(score[i]):
            continue
        own = max(limit + moved[k], 0.5 * limit)
        if flag[i] == 1 and score[i] < own and moved[k] > 0.0:
            flag[i] = 0
        elif flag[i] == 0 and score[i] >= own and moved[k] < 0.0:
            flag[i] = 1
        if teach and learn[i]:
            if label[i] == 0.0 and flag[i] == 1:
                moved[k] = min(moved[k] + FEEDBACK_STEP, STRICTEST)
            elif label[i] == 1.0 and flag[i] == 0 and score[i] >= own - NEAR:
                moved[k] = max(moved[k] - FEEDBACK_STEP, LOOSEST)


@kernel
def carry(slots: np.ndarray, changed: np.ndarray, learn: np.ndarray, pending: np.ndarray, restart: np.ndarray) -> None:
    """A change declared at a row restarts the estimator at the key's next row.

    slots, changed, learn, restart: (n,); pending: (K,) int64, 1 where a restart is due.
    """
    for i in range(slots.shape[0]):
        k = slots[i]
        if pending[k] != 0:
            restart[i] = True
            if learn[i]:
                pending[k] = 0
        if changed[i] and learn[i]:
            pending[k] = 1
