"""Results by method and stream, and the means that the page shows."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.detection import ours, peers
from benchmarks.detection.sets import FAMILIES, Prepared
from benchmarks.detection.store import Cell

LONG = 20_000  # records from which on the start of the command no longer decides the cost


@dataclass
class Method:
    """A method's cells, those of the streams that it is meant for, and the results that there are, by stream name."""

    name: str
    title: str
    own: bool
    cells: dict[str, Cell]
    results: dict[str, dict[str, Any]]
    short: bool = False
    ahead: bool = False

    def values(self, rows: str, measure: str, streams: Sequence[Prepared]) -> list[float]:
        """A measure over the `all` or the `short` rows of streams, where it can be had."""
        found = [self.results.get(each.stream.name, {}).get(rows, {}).get(measure) for each in streams]
        return [value for value in found if value is not None]

    def missing(self, streams: Sequence[Prepared]) -> list[str]:
        """Streams that it is meant for and that have no result, or failed."""
        wanted = [each.stream.name for each in streams if each.stream.name in self.cells]
        return [name for name in wanted if name not in self.results or self.results[name]["error"]]


def load(streams: list[Prepared], cache: Path, stale: bool) -> list[Method]:
    """What is stored of every method; a method of which nothing is there is left out."""
    found = [_method(name, f"`{name}`", True, ours.our_cells(name, streams, cache), stale) for name in ours.available()]
    for peer in peers.PEERS:
        found.append(_method(peer.name, peer.title, False, peers.cells(peer, streams, cache), False))
        found[-1].short, found[-1].ahead = peer.short, peer.ahead
    return [method for method in found if method.results]


def _method(name: str, title: str, own: bool, cells: list[Cell], stale: bool) -> Method:
    by_name = {cell.stream.stream.name: cell for cell in cells}
    stored = {stream: cell.stored(stale) for stream, cell in by_name.items()}
    return Method(name, title, own, by_name, {stream: result for stream, result in stored.items() if result})


def mean(values: Sequence[float]) -> float:
    return statistics.fmean(values) if values else math.nan


def families(streams: Sequence[Prepared]) -> dict[str, list[Prepared]]:
    """The six families in order, then the sets that are in none."""
    found: dict[str, list[Prepared]] = {name: [] for name in FAMILIES}
    for each in streams:
        found.setdefault(each.stream.family, []).append(each)
    return {name: mine for name, mine in found.items() if mine}


def rows(streams: Sequence[Prepared]) -> dict[str, list[Prepared]]:
    """The sets that count as one each: the tables of adbench, and the other sets of the six families."""
    found: dict[str, list[Prepared]] = {}
    for each in streams:
        if each.stream.family in FAMILIES:
            found.setdefault(each.stream.row, []).append(each)
    return found


def over_families(method: Method, over: str, measure: str, streams: Sequence[Prepared]) -> float:
    """Plain mean over the six families of the means over their files."""
    groups = [method.values(over, measure, mine) for name, mine in families(streams).items() if name in FAMILIES]
    return mean([mean(group) for group in groups if group])


def flags(method: Method, streams: Sequence[Prepared]) -> dict[str, float]:
    """What its flags are worth over streams, counts added up; NaN where a share has no whole."""
    over = "short" if method.short else "all"
    found = [method.results.get(each.stream.name, {}).get(over, {}) for each in streams]
    found = [each for each in found if "flagged" in each]
    if not found:
        return {}
    total = {name: sum(each[name] for each in found) for name in ("flagged", "hit", "anomalies", "false", "normal")}
    timed = [each for each in found if "events" in each]
    delays = [delay for each in timed for delay in each["delays"]]
    return {
        "precision": _share(total["hit"], total["flagged"]),
        "recall": _share(total["hit"], total["anomalies"]),
        "events": float(sum(each["events"] for each in timed)),
        "event recall": _share(sum(each["found"] for each in timed), sum(each["events"] for each in timed)),
        "delay": statistics.median(delays) if delays else math.nan,
        "false": 1000.0 * _share(total["false"], total["normal"]),
    }


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def cost(method: Method, streams: Sequence[Prepared]) -> float:
    """CPU seconds for 1,000 records, over streams of at least `LONG` records."""
    results = [method.results.get(each.stream.name) for each in streams]
    done = [each for each in results if each and not each["error"] and each["records"] >= LONG]
    return 1000.0 * _share(sum(each["seconds"] for each in done), sum(each["records"] for each in done))


def wins(mine: Method, other: Method, measure: str, streams: Sequence[Prepared]) -> tuple[int, int, int, list[str]]:
    """Sets won, lost and compared, on the rows that both were run on, and the losses in words, the largest first."""
    over = "short" if other.short else "all"
    won = compared = 0
    lost: list[tuple[float, str]] = []
    for name, group in rows(streams).items():
        a, b = mean(mine.values(over, measure, group)), mean(other.values(over, measure, group))
        if math.isnan(a) or math.isnan(b):
            continue
        compared += 1
        won += a > b
        if a < b:
            lost.append((a - b, f"{name} {figure(a)} to {figure(b)}"))
    return won, len(lost), compared, [text for _, text in sorted(lost)]


def figure(value: float, digits: int = 3) -> str:
    """`.762`; `1.000`; a dash where there is none."""
    if math.isnan(value):
        return "–"
    return f"{value:.{digits}f}".removeprefix("0") if value >= 0 else f"{value:.{digits}f}"
