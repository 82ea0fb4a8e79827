"""Small kernels of the detector itself: the warm-up gate and the carrying over of restarts."""

from __future__ import annotations

import math

from clipdetect.jit import kernel


@kernel
def gate(slots, raw, learn, warmup, given, score, flag):
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
def carry(slots, changed, learn, pending, restart):
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
