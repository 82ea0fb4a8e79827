"""Do lines of one kind get one shape? Grouping against the authors' events, and cost, beside drain3 if it is there.

    python benchmarks/shapes.py FOLDER

FOLDER holds `<System>_2k.structured.csv.gz` files with the columns Content and EventId, as the Loghub samples have
them. Grouping accuracy is the share of lines whose group, as a set of lines, is exactly a true one; F1 is over pairs
of lines. drain3 runs with its default configuration, online, grouping by the cluster each line was put in.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

from common import table

from clipdetect.formats.shape import shape


def read(path: Path) -> tuple[list[str], list[str]]:
    """Messages and event names of a file."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(io.StringIO(file.read())))
    return [row["Content"] for row in rows], [row["EventId"] for row in rows]


def accuracy(found: Sequence[Hashable], truth: Sequence[Hashable]) -> float:
    """Share of lines whose group is a true group."""
    both, ours, theirs = Counter(zip(found, truth, strict=True)), Counter(found), Counter(truth)
    return sum(n for (a, b), n in both.items() if n == ours[a] == theirs[b]) / len(truth)


def pairs_f1(found: Sequence[Hashable], truth: Sequence[Hashable]) -> float:
    """F1 of "these two lines are of one kind", over all pairs."""

    def pairs(counts: Counter) -> int:
        return sum(n * (n - 1) // 2 for n in counts.values())

    right = pairs(Counter(zip(found, truth, strict=True)))
    return 2 * right / max(pairs(Counter(found)) + pairs(Counter(truth)), 1)


def timed(group: Callable[[str], Hashable], messages: Sequence[str]) -> tuple[list[Hashable], float]:
    """Each message's group, and CPU microseconds a message."""
    start = time.process_time()
    found = [group(message) for message in messages]
    return found, 1e6 * (time.process_time() - start) / len(messages)


def drain() -> Callable[[str], Hashable] | None:
    """A fresh drain3, or None where it is not installed."""
    try:
        from drain3 import TemplateMiner
        from drain3.template_miner_config import TemplateMinerConfig
    except ImportError:
        return None
    miner = TemplateMiner(config=TemplateMinerConfig())
    return lambda message: miner.add_log_message(message)["cluster_id"]


def main() -> None:
    """A row a system, and the mean."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    paths = sorted(parser.parse_args().folder.glob("*.structured.csv.gz"))
    if not paths:
        parser.error("no *.structured.csv.gz in that folder")
    figures = []
    for path in paths:
        messages, truth = read(path)
        row = [float(len(set(truth)))]
        for group in filter(None, (shape, drain())):
            found, cost = timed(group, messages)
            row += [float(len(set(found))), accuracy(found, truth), pairs_f1(found, truth), cost]
        figures.append((path.name.partition(".")[0].removesuffix("_2k"), row))
    figures.append(("mean", [sum(column) / len(figures) for column in zip(*(row for _, row in figures), strict=True)]))
    forms = ["{:.0f}"] + ["{:.0f}", "{:.3f}", "{:.3f}", "{:.1f}"] * 2
    heads = ["system", "events", "shapes", "accuracy", "F1", "us", "drain3", "accuracy", "F1", "us"]
    lines = [[name, *[form.format(x) for form, x in zip(forms, row, strict=False)]] for name, row in figures]
    table("Shapes of log messages", heads[: len(lines[0])], lines)


if __name__ == "__main__":
    main()
