"""Does `fdr` hold the share of false alarms it was asked for? Behind `level`, beside plain `tail` at rate .001.

    python benchmarks/false_discoveries.py [--records 1000000] [--threshold fdr] [--only anomalies]

Everything is seeded. A cell is false share of the alarms / recall; in brackets false alarms over what the rule
promises, level * (alarms + records / memory), where the share is above the level.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import noise
import numpy as np
from common import table

MEMORY = 10_000.0  # the default of `fdr`
LEVELS = (0.05, 0.1, 0.2)
MIXED = ("Gaussian", "Laplace", "t(3)", "lognormal", "gamma(2)", "AR(1) .9")


def cell(flag: np.ndarray, bad: np.ndarray, level: float = 0.0) -> str:
    """False share / recall, and false alarms over the promise where the share is above the level."""
    alarms = int((flag == 1).sum())
    false = int(((flag == 1) & ~bad).sum())
    share = false / max(alarms, 1)
    text = f"{share:.3f} / {np.mean(flag[bad] == 1):.2f}"
    if level and share > level:
        text += f" ({false / (level * (alarms + len(flag) / MEMORY)):.1f})"
    return text


def anomalies(threshold: str, n: int) -> None:
    """Anomalies at 30 and at 9 units, on both sides, at random places."""
    for size in (30.0, 9.0):
        lines = []
        for share in (0.001, 0.01, 0.05):
            for name in MIXED:
                x, bad = noise.corrupted(name, share, "both", n, size=size)
                raw = noise.raw(x)
                cells = [cell(noise.judged(raw, "tail", 0.001)[1], bad)]
                for level in LEVELS:
                    cells.append(cell(noise.judged(raw, f"{threshold}:level={level}", 0.001)[1], bad, level))
                lines.append([f"{share:g}", name, *cells])
        header = ["anomalies", "noise", "tail, rate .001", *[f"{threshold}, {level:g}" for level in LEVELS]]
        table(f"False share of the alarms / recall, anomalies at {size:g} units, {n:,} records", header, lines)


def clean(threshold: str, n: int) -> None:
    """Share of flagged records where nothing is to be found."""
    lines = []
    for name in noise.FAMILIES:
        cells = []
        for drift in noise.DRIFTS:
            x, counted = noise.stream(name, drift, n)
            flag = noise.judged(noise.raw(x), threshold, 0.001)[1]
            cells.append(f"{1e6 * np.mean(flag[counted] == 1):.0f}")
        lines.append([name, *cells])
    table(f"`{threshold}`, flags in a million clean records ({n:,} seen)", ["noise", *noise.DRIFTS], lines)


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--threshold", default="fdr")
    parser.add_argument("--only", default="", help="one of anomalies, clean")
    arguments = parser.parse_args()
    parts: dict[str, Callable[[str, int], None]] = {"anomalies": anomalies, "clean": clean}
    for name, part in parts.items():
        if arguments.only in ("", name):
            part(arguments.threshold, arguments.records)


if __name__ == "__main__":
    main()
