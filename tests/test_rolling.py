"""The sorted window is the sorted window."""

from __future__ import annotations

import numpy as np
import pytest

from clipdetect.numerics.rolling import push, quantile


@pytest.mark.parametrize("size", [1, 2, 7, 32])
def test_window_is_in_order_and_its_quantiles_are_numpys(size):
    rng = np.random.default_rng(size)
    values = np.round(rng.normal(size=300), 1)  # with ties
    values[::17] *= 1e6
    ring, ordered, count = np.zeros((2, 3, size)), np.zeros((2, 3, size)), np.zeros((2, 3), np.int64)
    assert quantile(1, 2, 0.5, ordered, count) == 0.0
    for n, value in enumerate(values.tolist()):
        push(value, 1, 2, ring, ordered, count)
        window = values[max(0, n + 1 - size) : n + 1]
        assert ordered[1, 2, : len(window)].tolist() == sorted(window.tolist())
        for q in (0.0, 0.3, 0.5, 0.9, 1.0):
            assert quantile(1, 2, q, ordered, count) == pytest.approx(np.quantile(window, q), rel=1e-12)
    assert not ring[0].any() and not ordered[1, :2].any()
