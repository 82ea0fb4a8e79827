"""Rounding to the six significant digits that a score is printed with."""

from __future__ import annotations

import math

from clipdetect.jit import kernel


@kernel
def six_digits(v: float) -> float:
    """`v` >= 0 rounded to 6 significant digits: the double nearest to that decimal number.

    Its shortest text then has at most six digits, and a decision made on it agrees with what is
    printed. Values under 1e-15 become 0; NaN stays.
    """
    if not v >= 1e-15:
        return v if v != v else 0.0
    digits = 5 - math.floor(math.log10(v))
    power = 1.0
    if digits >= 0:
        for _ in range(digits):  # powers of ten are exact up to 10**22
            power = power * 10.0
        return math.floor(v * power + 0.5) / power
    for _ in range(-digits):
        power = power * 10.0
    return math.floor(v / power + 0.5) * power
