"""One look for all pictures: small SVG files, the same bytes at each run, colours that everyone can tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

# Okabe and Ito's palette; markers tell the lines apart without colour.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#999999", "#000000", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LARGEST = 150_000  # bytes
STYLE: dict[str, Any] = {
    "svg.hashsalt": "clipdetect",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.0,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "figure.facecolor": "white",
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
}
plt.rcParams.update(STYLE)


def figure(panels: int = 1, height: float = 3.0, share_y: bool = False) -> tuple[Any, list[Any]]:
    """A figure of one row of panels, 4 inches a panel and 6 for one alone, and its axes."""
    width = 6.0 if panels == 1 else 4.0 * panels
    drawn, axes = plt.subplots(1, panels, figsize=(width, height), sharey=share_y, squeeze=False, layout="constrained")
    return drawn, list(axes[0])


def line(axes: Any, x: Sequence[float], y: Sequence[float], number: int, label: str = "", **options: Any) -> None:
    """A line in the colour and with the markers of its number."""
    look = {"color": COLOURS[number], "marker": MARKERS[number], "label": label, **options}
    axes.plot(x, y, **look)


def band(axes: Any, x: Sequence[float], low: Sequence[float], high: Sequence[float], number: int) -> None:
    """The spread around a line."""
    axes.fill_between(x, low, high, color=COLOURS[number], alpha=0.18, linewidth=0)


def legend_below(drawn: Any, axes: Any, columns: int = 3) -> None:
    """One legend for all panels, under them; the layout makes room for it."""
    handles, labels = axes.get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=columns)


def save(drawn: Any, file: Path) -> Path:
    """Write the figure as SVG; the same figure gives the same bytes. Raises ValueError where it is too large."""
    file.parent.mkdir(parents=True, exist_ok=True)
    drawn.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(drawn)
    if file.stat().st_size > LARGEST:
        raise ValueError(f"{file.name} has {file.stat().st_size:,} bytes: draw fewer points")
    return file
