"""Cost of the kernels alone: estimator and threshold, compiled and interpreted, in CPU time.

python benchmarks/kernels.py
"""

from __future__ import annotations

import time

import numpy as np
from common import rows, table

from clipdetect import Detector, registry


def each(estimator: str, threshold: str, d: int, engine: str, n: int) -> float:
    """Microseconds a record of `Detector.step`."""
    names = [f"f{j}" for j in range(d)]
    detector = Detector(estimator, threshold, fields=names, labelled=True, engine=engine)  # type: ignore[arg-type]
    X, label = rows(n, d), np.random.default_rng(1).random(n) < 0.01
    detector.step(X[:200], label=label[:200])
    start = time.process_time()
    for at in range(0, n, 4096):
        detector.step(X[at : at + 4096], label=label[at : at + 4096])
    return 1e6 * (time.process_time() - start) / n


def main() -> None:
    """Every estimator under `fixed`, every threshold over `zscore`."""
    lines = []
    for name in registry.names("estimator"):
        for d in (1, 8, 64):
            fast, slow = each(name, "fixed", d, "numba", 400_000 // d), each(name, "fixed", d, "python", 4000 // d)
            lines.append([f"{name} + fixed", str(d), f"{fast:.2f}", f"{slow:.0f}"])
    for name in registry.names("threshold"):
        if name == "fixed":
            continue  # stands above
        fast, slow = each("zscore", name, 1, "numba", 400_000), each("zscore", name, 1, "python", 8000)
        lines.append([f"zscore + {name}", "1", f"{fast:.2f}", f"{slow:.0f}"])
    table("Kernels, us of CPU a record", ["components", "fields", "compiled", "interpreted"], lines)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
