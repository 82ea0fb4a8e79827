"""Change points in the series of the Turing Change Point Dataset, against what five people marked in each.

    python benchmarks/change_points.py DATA/tcpd
    PYTHONPATH=FOLDER python benchmarks/change_points.py DATA/tcpd    with river, from pip install --target FOLDER river

F1 with a margin of 5 records as its benchmark defines it (van den Burg and Williams, arXiv:2003.06222): the
first record counts as a change point that all know; precision is the share of the declared points that
meet one of any annotator, recall the mean over annotators of the share of theirs that is met, no point twice.

All methods but the published run on line: a point is what was declared when a record came, at the place then named
(the record of the alarm less `since`), never taken back. `changes` are differences from record to record, which
make trends levels. BOCPD is Adams and MacKay's (arXiv:0710.3742) with normal records of unknown mean and variance,
on series in units of their own standard deviation (which looks ahead); it declares a point where the most likely
run begins later than before. Published figures are those of the dataset's own benchmark, for the same series
and its default settings; its points are those known at the end of a series, so they are not on line.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from common import table

from clipdetect import Detector

MARGIN = 5  # records
SKIPPED = ("t", "time")
HAZARD = 1.0 / 100.0  # of BOCPD, the default of the dataset's benchmark; its prior there is 1, 1, 1
Places = Iterable[int]
Points = list[tuple[int, int]]  # where a point is, and the record that declared it
Method = Callable[[np.ndarray], Points]

# github.com/alan-turing-institute/TCPDBench, analysis/output/scores/default_f1_scores.json
PUBLISHED: dict[str, dict[str, float]] = {
    "BOCPD": {
        "bank": 0.0465, "businv": 0.2703, "children_per_woman": 0.6368, "construction": 0.6341,
        "gdp_argentina": 0.9474, "gdp_iran": 0.6222, "global_co2": 0.7536, "jfk_passengers": 0.4368,
        "lga_passengers": 0.6298, "nile": 1.0, "quality_control_1": 0.8, "quality_control_3": 1.0,
        "quality_control_5": 1.0, "run_log": 1.0, "shanghai_license": 0.7132, "unemployment_nl": 0.6834,
        "usd_isk": 0.6094,
    },
    "RBOCPDMS": {
        "bank": 0.2857, "businv": 0.2381, "children_per_woman": 0.4318, "construction": 0.2909,
        "gdp_argentina": 0.4516, "gdp_iran": 0.3946, "global_co2": 0.4583, "jfk_passengers": 0.2957,
        "lga_passengers": 0.3484, "nile": 0.4516, "quality_control_1": 0.6667, "quality_control_3": 0.6667,
        "quality_control_5": 0.5, "run_log": 0.6599, "shanghai_license": 0.3256, "unemployment_nl": 0.4949,
        "usd_isk": 0.2820,
    },
}  # fmt: skip


def met(marked: Places, declared: Places, margin: int = MARGIN) -> int:
    """How many of the marked points have a declared one within the margin, none counted twice, nearest first."""
    left, count = set(declared), 0
    for place in sorted(set(marked)):
        near = min(left, key=lambda each: (abs(each - place), each), default=None)
        if near is not None and abs(near - place) <= margin:
            left.remove(near)
            count += 1
    return count


def f1(annotations: Mapping[str, Sequence[int]], declared: Places) -> tuple[float, float, float]:
    """F1, precision and recall."""
    marked = [{0, *each} for each in annotations.values()]
    points = {0, *declared}
    precision = met(set().union(*marked), points) / len(points)
    recall = float(np.mean([met(each, points) / len(each) for each in marked]))
    return 2.0 * precision * recall / (precision + recall), precision, recall


# -- methods ----------------------------------------------------------------------------------


def ours(spec: str) -> Method:
    """A change-point detector through the Detector, as `--changepoint SPEC` runs it."""

    def points(X: np.ndarray) -> Points:
        scored = Detector("level", changepoint=spec, engine="python").step(X)
        assert scored.changed is not None and scored.since is not None
        found = np.flatnonzero(scored.changed)
        return list(zip((found - scored.since[found]).tolist(), found.tolist(), strict=True))

    return points


def of_changes(method: Method) -> Method:
    """A method on differences; a place there is the record after the change."""
    return lambda X: [(place + 1, at + 1) for place, at in method(np.diff(X, axis=0))]


def zero(X: np.ndarray) -> Points:
    """No change, ever."""
    return []


def bocpd(X: np.ndarray, hazard: float = HAZARD) -> Points:
    """Where the most likely run of the posterior begins, each time it begins later than before."""
    centre, unit = np.nanmean(X, axis=0), np.nanstd(X, axis=0)
    Z = (X - centre) / np.where(unit > 0.0, unit, 1.0)
    d = Z.shape[1]
    log_run = np.zeros(1)  # of runs that began 0, 1, ... records ago
    mean, kappa, alpha, beta = np.zeros((1, d)), np.ones((1, d)), np.ones((1, d)), np.ones((1, d))
    begin, found = 0, []
    for i, z in enumerate(Z):
        there = ~np.isnan(z)
        gap = np.where(there, z, 0.0) - mean
        spread = beta * (kappa + 1.0) / (alpha * kappa)
        log_seen = np.where(there, _log_t(gap * gap / spread, 2.0 * alpha) - 0.5 * np.log(spread), 0.0).sum(axis=1)
        grown = log_run + log_seen
        changed = np.logaddexp.reduce(grown) + math.log(hazard)
        log_run = np.concatenate(([changed], grown + math.log1p(-hazard)))
        log_run -= np.logaddexp.reduce(log_run)
        one = np.ones((1, d))
        beta = np.concatenate((one, beta + np.where(there, kappa * gap * gap / (2.0 * (kappa + 1.0)), 0.0)))
        mean = np.concatenate((0.0 * one, mean + np.where(there, gap / (kappa + 1.0), 0.0)))
        kappa = np.concatenate((one, kappa + there))
        alpha = np.concatenate((one, alpha + 0.5 * there))
        own = i + 1 - int(np.argmax(log_run))  # the record with which the run begins
        if begin < own <= i:
            found.append((own, i))
            begin = own
    return found


def _log_t(square: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Log density of Student's t at a squared standard distance."""
    log_gamma = np.vectorize(math.lgamma)
    half = (freedom + 1.0) / 2.0
    constant = log_gamma(half) - log_gamma(freedom / 2.0) - 0.5 * np.log(freedom * math.pi)
    return np.asarray(constant - half * np.log1p(square / freedom))


def peers() -> dict[str, Method]:
    """River's drift detectors, where it is installed; one a field."""
    try:
        from river import drift
    except ImportError:
        return {}

    def run(make: Callable[[], object], place: Callable[[object, int], int]) -> Method:
        def points(X: np.ndarray) -> Points:
            found = []
            for column in X.T:
                detector = make()
                for i, x in enumerate(column.tolist()):
                    if not math.isnan(x):
                        detector.update(x)
                        if detector.drift_detected:
                            found.append((place(detector, i), i))
            return found

        return points

    return {
        "river ADWIN": run(drift.ADWIN, lambda detector, i: max(0, i + 1 - int(detector.width))),
        "river PageHinkley": run(drift.PageHinkley, lambda detector, i: i),
        "river KSWIN": run(lambda: drift.KSWIN(seed=0), lambda detector, i: i),
    }


def methods() -> dict[str, Method]:
    """Every method by name, in the order of the table."""
    found: dict[str, Method] = {"zero": zero}
    for name in ("clipped_mean", "focus"):
        for spec in (name, f"{name}:delta=0.01"):
            found[f"`{spec}`"] = ours(spec)
            found[f"`{spec}`, changes"] = of_changes(ours(spec))
    return {**found, "BOCPD": bocpd, "BOCPD, changes": of_changes(bocpd), **peers()}


# -- series -----------------------------------------------------------------------------------


def series(path: Path) -> np.ndarray:
    """(n, d) values of a file, NaN where missing."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name not in SKIPPED]
    return np.array([[float(row[name]) if row[name] else math.nan for name in names] for row in rows])


def main() -> None:
    """Print a table of means and one of each series."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="with annotations.json and a CSV file for each series")
    folder = parser.parse_args().folder
    annotations = json.loads((folder / "annotations.json").read_text())
    data = {name: series(folder / f"{name}.csv") for name in sorted(annotations)}
    lines, each = [], {}
    for title, method in methods().items():
        found = {name: method(X) for name, X in data.items()}
        measured = {name: f1(annotations[name], [place for place, _ in found[name]]) for name in data}
        means = np.mean(list(measured.values()), axis=0)
        each[title] = {name: measured[name][0] for name in data}
        late = [at - place for points in found.values() for place, at in points]
        lines.append([title, *[f"{value:.3f}" for value in means], f"{len(late)}", f"{np.median(late or [0]):.0f}"])
    for title, scores in PUBLISHED.items():
        if set(data) <= set(scores):
            each[f"{title}, published"] = scores
            lines.append([f"{title}, published", f"{np.mean([scores[name] for name in data]):.3f}", "", "", "", ""])
    records = sum(len(X) for X in data.values())
    table(
        f"F1, margin {MARGIN}, mean of {len(data)} series ({records:,} records)",
        ["method", "F1", "precision", "recall", "points", "records late, median"],
        lines,
    )
    table(
        "F1 of each series",
        ["series", "records", *each],
        [[name, str(len(data[name])), *[f"{scores[name]:.2f}" for scores in each.values()]] for name in data],
    )


if __name__ == "__main__":
    main()
