"""The k largest of some numbers, found by selection and summed in their own order."""

from __future__ import annotations

import math

from clipdetect.jit import kernel


@kernel
def kth_largest(work, n, k):
    """The k-th largest of work[0] to work[n - 1], which are moved about; 1 <= k <= n."""
    low = 0
    high = n - 1
    target = k - 1
    while low < high:
        middle = (low + high) // 2
        a = work[low]
        b = work[middle]
        c = work[high]
        pivot = max(min(a, b), min(max(a, b), c))  # the middle one of three: sorted input costs no more
        i = low
        j = high
        while i <= j:
            while work[i] > pivot:
                i += 1
            while work[j] < pivot:
                j -= 1
            if i <= j:
                other = work[i]
                work[i] = work[j]
                work[j] = other
                i += 1
                j -= 1
        if target <= j:
            high = j
        elif target >= i:
            low = i
        else:
            return pivot
    return work[target]


@kernel
def mean_log_of_largest(size, k, guess, chosen, work):
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
    least = kth_largest(work, n, k)
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
