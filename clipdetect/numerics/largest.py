"""The k largest of some numbers, found by selection and summed in their own order."""

from __future__ import annotations

import math

import numpy as np

from clipdetect.jit import kernel
from clipdetect.numerics.geometry import select


@kernel
def mean_log_of_largest(
    size: np.ndarray, k: int, guess: float, chosen: np.ndarray, work: np.ndarray
) -> tuple[float, float]:
    """Mean of log(1 + size) over the k largest sizes, and the k-th of them; of equal ones the first count.

    size, chosen: (d,); size: negative where a field takes no part, at least k do. chosen gets the logarithm of
    those that count, elsewhere 0. guess: at best a little less than the k-th; any gives the same result, >= 0.
    work: (d,) scratch.
    """
    n = 0
    for j in range(size.shape[0]):
        work[n] = size[j]
        n += 1 if size[j] >= guess else 0
    if n < k:
        n = 0
        for j in range(size.shape[0]):
            work[n] = size[j]
            n += 1 if size[j] >= 0.0 else 0
    least = select(work, n, n - k)
    left = k  # places for those as large as the last
    for i in range(n):
        left -= 1 if work[i] > least else 0
    total = 0.0
    for j in range(size.shape[0]):
        chosen[j] = 0.0
        if size[j] >= least:
            if size[j] == least:
                if left == 0:
                    continue
                left -= 1
            chosen[j] = math.log(1.0 + size[j])
            total += chosen[j]
    return total / k, least
