"""Markdown: tables, folded parts, verdicts, and the page of all sections."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

INTRO = """# Reproduction

The experiments of the article and of the papers it rests on, run again with what clipdetect ships: following a mean
under drift, heavy tails and corruption, the step size between its two extremes, degradation without a cliff, change
points under heavy tails, other losses than the mean's, and the stream of rotated numerals. Each section states the
setting, the command, the figures, what the literature says where that could be verified, and a verdict. Verdicts are
computed from the figures: a claim that no longer holds says so here.

    make reproduce DATA=FOLDER                              everything; writes this page and its pictures
    python -m benchmarks.reproduce FOLDER --only regret     one section of it
    python -m benchmarks.reproduce --quick                  a smoke test of a minute, printed

FOLDER holds `mnist/`: images and labels as in the original distribution (`*images*idx3*.gz`, `*labels*idx1*.gz`).
Without it the numerals are the small ones of scikit-learn. Nothing is downloaded. Jobs run in two processes with fixed
seeds; results are kept in `build/reproduce/` under a digest of the code and the data they depend on, so a run that was
interrupted goes on where it stopped. Needs `pip install 'clipdetect[reproduce]'`.
"""
SECTION = re.compile(r"^<!-- section: (\w+) -->\n(.*?)^<!-- end of section -->\n", re.MULTILINE | re.DOTALL)
TIMES = re.compile(r"^\| (\w+) \| (\d+) \| ([\d.]+) \|$", re.MULTILINE)
PACKAGES = ("numpy", "numba", "scipy", "scikit-learn", "matplotlib")


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    rows = [list(header), ["---"] * len(header), *[list(line) for line in lines]]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def number(value: float) -> str:
    """A figure short: .123, 1.23 or 43.7."""
    return f"{value:.3f}".lstrip("0") if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def folded(summary: str, body: str) -> str:
    """A part of the page that opens on a click."""
    return f"<details>\n<summary>{summary}</summary>\n\n{body.strip()}\n\n</details>\n"


def picture(file: Path, caption: str) -> str:
    """A picture in the folder beside the page."""
    return f"![{caption}]({file.parent.name}/{file.name})\n"


def verdicts(claims: Sequence[tuple[str, bool]]) -> str:
    """A list of statements and whether the figures bear them out."""
    return "".join(f"- {text}: {'holds' if holds else '**does not hold**'}.\n" for text, holds in claims)


def machine() -> str:
    """What the figures were made on."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{os.cpu_count()} cores, {platform.system()} on {platform.machine()}, "
        f"{platform.python_implementation()} {platform.python_version()}, {packages}."
    )


def write(
    page: Path, order: Sequence[str], sections: Mapping[str, str], times: Mapping[str, tuple[int, float]]
) -> None:
    """Write the page, or put `sections` in their places in it; times: cells and CPU minutes by section."""
    before = page.read_text(encoding="utf-8") if page.exists() else ""
    known = dict(SECTION.findall(before)) | dict(sections)
    spent = {name: (int(n), float(minutes)) for name, n, minutes in TIMES.findall(before)} | dict(times)
    names = [name for name in order if name in known]
    parts = [INTRO, *(f"<!-- section: {name} -->\n{known[name].strip()}\n<!-- end of section -->\n" for name in names)]
    lines = [[name, str(spent[name][0]), f"{spent[name][1]:.1f}"] for name in names if name in spent]
    total = sum(minutes for name, (_, minutes) in spent.items() if name in names)
    parts.append(
        f"## Machine and time\n\n{machine()}\n\n{table(['section', 'cells', 'CPU minutes'], lines)}\n"
        f"Together {total:.1f} minutes of CPU, in two processes half of that.\n"
    )
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(parts), encoding="utf-8")
