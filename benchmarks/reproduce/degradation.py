"""Regret against the complexity of the stream: how many corruptions, how much drift."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reproduce import plots
from benchmarks.reproduce.cells import Cell
from benchmarks.reproduce.means import ALL, CLIPPED, DOUBLING, LEVEL, METHODS, SGD, judged
from benchmarks.reproduce.page import number, picture, table, verdicts
from benchmarks.reproduce.streams import Drift, stream

TITLE = "Degradation without a cliff"
SEEDS = tuple(range(8))
SHOWN = (SGD, CLIPPED, DOUBLING, LEVEL)
SHARES = (0.0, 0.01, 0.02, 0.05, 0.10, 0.15, 0.20, 0.25, 0.30)
PROMISED = 0.20  # the article speaks of a moderate number of corruptions
JUMPS = (0, 1, 3, 9, 19, 39, 59, 79, 99)
JUMP = 5.0
RECORDS = 20_000
STEEPEST = 3.0  # a piece this many times steeper than the whole is called a cliff

INTRO = f"""The article: "performance automatically and smoothly degrades as the complexity of the data stream, as
measured through the number of corruptions and the magnitude of distribution shift, increases". Two ladders of
complexity, everything else as above (one dimension, t(2.1) noise, 20,000 records, 8 seeds): the share of records at
+30 from 0 to 20%, and beyond to 30%, on a truth that stands still; and, with 5% of the records at +30, from no jump to
99 jumps of 5 units in random directions, one every 200 records.

    python -m benchmarks.reproduce --only degradation

"Without a cliff" is taken to mean that no piece of the curve is {STEEPEST:g} times as steep as the whole of it.
"""


def by_complexity(corrupt: float, jumps: int, seeds: tuple[int, ...]) -> dict[str, list[float]]:
    """Mean error by method and seed."""
    found: dict[str, list[float]] = {method: [] for method in SHOWN}
    for seed in seeds:
        made = stream(seed, corrupt=corrupt, drift=Drift(jumps=jumps, jump=JUMP))
        for method in SHOWN:
            found[method].append(judged(METHODS[method](made), made)[0])
    return found


def cells(data: Path | None) -> list[Cell]:
    """A cell a share and a cell a number of jumps."""
    found = [Cell(f"corrupt {share:g}", by_complexity, (share, 0, SEEDS), quick=True) for share in SHARES]
    return found + [Cell(f"jumps {jumps}", by_complexity, (0.05, jumps, SEEDS), quick=True) for jumps in JUMPS]


def steepest(x: np.ndarray, y: np.ndarray) -> float:
    """The steepest piece's slope over the slope of the whole."""
    return float(np.max(np.diff(y) / np.diff(x)) / ((y[-1] - y[0]) / (x[-1] - x[0])))


def beyond(results: dict[str, Any]) -> str:
    """What happens past the share that the article calls moderate."""
    last = results[f"corrupt {SHARES[-1]:g}"]
    mean = {method: number(float(np.mean(last[method]))) for method in SHOWN}
    return (
        f"Past 20% the methods that find their own scale lose it: at {SHARES[-1]:.0%} `level` errs {mean[LEVEL]} "
        f"units, `clipped_sgd` with nothing given {mean[DOUBLING]}, and with the true scale given {mean[CLIPPED]}.\n"
    )


def report(results: dict[str, Any], pictures: Path) -> str:
    """The section."""
    drawn, axes = plots.figure(2, height=3.5)
    ladders = (
        ("corrupt", SHARES, [f"{share:.0%}" for share in SHARES], "records at +30, %", 100.0),
        ("jumps", JUMPS, [str(jumps) for jumps in JUMPS], "length of the drift, units", JUMP),
    )
    tables, claims = [], []
    for panel, (ladder, steps, names, label, scale) in zip(axes, ladders, strict=True):
        x = np.array(steps) * scale
        rows = []
        for method in SHOWN:
            i = ALL.index(method)
            error = np.array([results[f"{ladder} {step:g}"][method] for step in steps])
            mean = error.mean(axis=1)
            plots.band(panel, x, error.min(axis=1), error.max(axis=1), i)
            plots.line(panel, x, mean, i, method)
            rows.append([method, *(number(each) for each in mean)])
            if method != SGD:
                inside = np.array(steps) <= (PROMISED if ladder == "corrupt" else JUMPS[-1])
                ratio = steepest(x[inside], mean[inside])
                what = "from 0 to 20% corruption" if ladder == "corrupt" else "from no jump to one every 200 records"
                text = (
                    f"{method} {what}: {number(mean[0])} to {number(mean[inside][-1])}, the steepest piece "
                    f"{ratio:.1f} times as steep as the whole"
                )
                claims.append((text, ratio < STEEPEST))
        panel.set(xlabel=label, yscale="log")
        head = "share at +30" if ladder == "corrupt" else "jumps of 5"
        tables.append(table([head, *names], rows))
    axes[0].set_ylabel("mean error, units")
    axes[0].axvline(100 * PROMISED, color="#777777", linewidth=0.8, linestyle=":")
    plots.legend_below(drawn, axes[1], 2)
    file = plots.save(drawn, pictures / "degradation.svg")
    caption = "Mean error by share of corrupted records and by length of the drift; bands over all seeds"
    return (
        f"{INTRO}\n{picture(file, caption)}\n"
        + "\n".join(tables)
        + f"\n### Verdict\n\n{verdicts(claims)}\n{beyond(results)}"
    )
