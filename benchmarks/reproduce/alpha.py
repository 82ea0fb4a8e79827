"""The step size T^-alpha between its two extremes: constant and 1/T."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reproduce import plots
from benchmarks.reproduce.cells import Cell
from benchmarks.reproduce.means import clipped, judged
from benchmarks.reproduce.page import number, picture, table, verdicts
from benchmarks.reproduce.streams import DRIFTS, stream

TITLE = "The step size, between its two extremes"
SEEDS = tuple(range(8))
LEVELS = {"none": "no drift", "walk .01": "walk, .01 a record", "jump 5": "4 jumps of 5", "jump 50": "4 jumps of 50"}
ALPHAS = tuple(i / 20 for i in range(21))
SHOWN = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

INTRO = """The article: the optimal step size "falls between the high learning rate known to be optimal for
distribution drift in the absence of noise and the slowly decaying learning rate known to be optimal in the absence of
distribution shifts". Clipped SGD with the constant step T^-alpha, alpha = 0, .05, ... 1: one step of size 1 (the last
record is the estimate) at one end, 1/T (the estimate hardly moves) at the other. One dimension, t(2.1) noise, 5% of
20,000 records at +30, clip at two units, start at the median of the first eight records; streams and units as above, 8
seeds.

    python -m benchmarks.reproduce --only alpha
"""


def by_alpha(drift: str, seeds: tuple[int, ...]) -> list[list[float]]:
    """Mean error by alpha (rows) and seed."""
    streams = [stream(seed, drift=DRIFTS[drift]) for seed in seeds]
    return [[judged(clipped(made, alpha), made)[0] for made in streams] for alpha in ALPHAS]


def cells(data: Path | None) -> list[Cell]:
    """A cell a drift."""
    return [Cell(drift, by_alpha, (drift, SEEDS), quick=True) for drift in LEVELS]


def report(results: dict[str, Any], pictures: Path) -> str:
    """The section."""
    drawn, (axes,) = plots.figure(height=3.3)
    rows, claims, best = [], [], {}
    for i, (drift, name) in enumerate((each, LEVELS[each]) for each in LEVELS if each in results):
        error = np.array(results[drift])
        mean = error.mean(axis=1)
        place = int(np.argmin(mean))
        best[drift] = ALPHAS[place]
        plots.band(axes, ALPHAS, error.min(axis=1), error.max(axis=1), i)
        plots.line(axes, ALPHAS, mean, i, name, markevery=2)
        axes.plot([ALPHAS[place]], [mean[place]], marker="o", markersize=10, fillstyle="none", color=plots.COLOURS[i])
        good = [alpha for alpha, each in zip(ALPHAS, mean, strict=True) if each <= 1.1 * mean[place]]
        shown = [number(mean[ALPHAS.index(alpha)]) for alpha in SHOWN]
        rows.append([name, *shown, f"{ALPHAS[place]:g} ({number(mean[place])})", f"{good[0]:g} to {good[-1]:g}"])
        text = (
            f"{name}: the best alpha lies inside (0, 1), at {ALPHAS[place]:g}, and its regret is "
            f"{number(mean[place] / mean[0])} of that at 0 and {number(mean[place] / mean[-1])} of that at 1"
        )
        claims.append((text, 0 < place < len(ALPHAS) - 1))
    if "none" in best and len(best) > 1:
        text = "the more drift, the larger the best step: every drifting stream wants a larger one than the still"
        claims.append((text, all(alpha < best["none"] for drift, alpha in best.items() if drift != "none")))
    axes.axvline(2 / 3, color="#777777", linewidth=0.8, linestyle=":")
    axes.set(yscale="log", xlabel="alpha, where the step is T^-alpha", ylabel="mean error, units")
    axes.annotate("2/3", (2 / 3, axes.get_ylim()[1]), textcoords="offset points", xytext=(3, -8), color="#555555")
    plots.legend_below(drawn, axes, 4)
    file = plots.save(drawn, pictures / "alpha.svg")
    header = ["drift", *(f"alpha {alpha:g}" for alpha in SHOWN), "best alpha (error)", "within 10% of it"]
    return (
        f"{INTRO}\n{picture(file, 'Mean error of clipped SGD by alpha; circles at the best, bands over all seeds')}\n"
        f"{table(header, rows)}\n### Verdict\n\n{verdicts(claims)}\n"
        "No single alpha serves all: what is right for a still stream is lost after a jump, and the stream does not\n"
        "say beforehand which it will be. `level` runs six steps at once for that reason.\n"
    )
