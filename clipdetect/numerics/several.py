"""What a limit on the combined score of several fields means for each of them."""

from __future__ import annotations

import numpy as np

from clipdetect.numerics.combine import HANDICAP, STRETCH, STRETCH_FROM


def limits_of_all(
    count: np.ndarray, location: np.ndarray, spread: np.ndarray, slots: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """low, high (n,) in units of each field's scale: the |z| that, shared by all fields, reaches the limit.

    A key with one column keeps its own signed limits. count: (K, d); location, spread: (K, 2).
    """
    several = (count[slots] > 0).sum(axis=1) > 1
    top = STRETCH_FROM + 2.0
    u = np.where(high > top, STRETCH_FROM + np.log(np.maximum(high, top) / top) / STRETCH, high - 2.0)
    needed = u[:, None] + np.array([0.0, HANDICAP])
    shared = np.expm1(np.clip(location[slots] + spread[slots] * needed, 0.0, 700.0)).min(axis=1)
    return np.where(several, -shared, low), np.where(several, shared, high)
