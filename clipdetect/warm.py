"""Compile every built-in kernel once, into the cache: `python -m clipdetect.warm`.

Not needed: the first long stream would do it. For images, installers and `make`, so that it never waits.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from clipdetect import cache, jit, registry
from clipdetect.detector import Detector


def main() -> int:
    """Run each component compiled, on a few rows."""
    if not jit.available():
        print("numba is not installed: kernels stay interpreted")
        return 0
    start = time.perf_counter()
    X = np.random.default_rng(0).normal(size=(64, 2))
    for estimator in registry.names("estimator"):
        Detector(estimator, "tail", engine="numba", labelled=True).step(X, label=X[:, 0] > 0.0)
    for threshold in registry.names("threshold"):
        Detector("zscore", threshold, engine="numba").step(X)
    for changepoint in registry.names("changepoint"):
        Detector("zscore", "tail", engine="numba", changepoint=changepoint, rebase=True).step(X)
    print(f"kernels ready in {time.perf_counter() - start:.1f} s: {cache.directory()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
