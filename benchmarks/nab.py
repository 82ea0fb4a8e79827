"""The Numenta Anomaly Benchmark: what the shipped series configuration scores on a folder of its files.

    python benchmarks/nab.py FOLDER [--jitter 40] [--through command|detector] [--peers] [--files]

FOLDER has data/CATEGORY/FILE.csv (`timestamp,value`) and combined_windows.json, as in the benchmark's repository [1].
Every file goes through `clipdetect --field value --time timestamp -e extremes -t budget`, whole and in order. The
rules are those of the benchmark: the first 15% of a file, at most 750 records, are not judged; the earliest flag in a
window earns the more the earlier it is, each other record flagged costs the more the farther it is from the window
before, a window without a flag costs 1. A score is given twice: at the one cut over all files that is best in
hindsight, as the benchmark does it, and at the flags as shipped, where nothing was chosen on labels.

[1] A. Lavin, S. Ahmad, "Evaluating real-time anomaly detection algorithms", ICMLA 2015.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from common import COMMAND, perturbed, table

from clipdetect import Detector, registry

PROFILES = {"standard": (1.0, 0.11), "low FP": (1.0, 0.22), "low FN": (2.0, 0.11)}  # of a miss, of a false record
BEST = 2.0 / (1.0 + math.exp(-5.0)) - 1.0  # of the first record of a window
SERIES = ("extremes", "budget")
PEERS = [("level", "tail"), ("forecast", "tail"), ("zscore", "tail")]
JITTER = 0.25

Answer = tuple[np.ndarray, np.ndarray]  # score (n,), NaN for none, and flag (n,) bool


@dataclass
class Series:
    """One file. worth, window: (n,), what a flag on the record is worth, and the number of its window, -1 for none."""

    name: str
    path: Path
    x: np.ndarray
    time: np.ndarray
    worth: np.ndarray
    window: np.ndarray
    windows: int
    probation: int


def sigmoid(x: float) -> float:
    """1 far before the end of a window, 0 at its end, -1 far behind."""
    return -1.0 if x > 3.0 else 2.0 / (1.0 + math.exp(5.0 * x)) - 1.0


def read(folder: Path) -> list[Series]:
    """Every file that the windows name and that is there."""
    labels = next(each for each in (folder / "combined_windows.json", folder / "labels" / "combined_windows.json")
                  if each.exists())  # fmt: skip
    found = []
    for name, windows in sorted(json.loads(labels.read_text()).items()):
        path = folder / "data" / name
        if not path.exists():
            continue
        with open(path, newline="") as file:
            rows = list(csv.reader(file))[1:]
        stamps = [row[0].partition(".")[0] for row in rows]
        x = np.array([float(row[1]) for row in rows])
        seconds = np.array([datetime.fromisoformat(each).replace(tzinfo=UTC).timestamp() for each in stamps])
        worth, window = judged(stamps, [[each.partition(".")[0] for each in pair] for pair in windows])
        probation = math.ceil(min(math.floor(0.15 * len(x)), 750))
        found.append(Series(name, path, x, seconds, worth, window, len(windows), probation))
    return found


def judged(stamps: Sequence[str], windows: Sequence[Sequence[str]]) -> Answer:
    """What a flag on each record is worth, and in which window it is."""
    place: dict[str, int] = {}
    for i, stamp in enumerate(stamps):
        place.setdefault(stamp, i)
    worth, window = np.full(len(stamps), -1.0), np.full(len(stamps), -1)
    inside, after, number, width = False, -1, -1, 1.0
    for i, stamp in enumerate(stamps):
        if number + 1 < len(windows) and stamp == windows[number + 1][0]:
            number, inside = number + 1, True
            end = place[windows[number][1]]
            width = float(end - place[stamp] + 1)
        if inside:
            worth[i], window[i] = sigmoid(-(end - i + 1) / width) / BEST, number
        elif after >= 0:
            worth[i] = sigmoid((i - after) / (width - 1.0))
        if inside and stamp == windows[number][1]:
            inside, after = False, i
    return worth, window


def curve(series: Sequence[Series], scores: Sequence[np.ndarray], miss: float, false: float) -> Answer:
    """Every cut, strictest first, and the corpus score at it, 0 for no flag at all and 100 for perfection."""
    parts: list[tuple[np.ndarray, np.ndarray]] = []  # score at which something is gained, and how much
    windows = sum(each.windows for each in series)
    for each, score in zip(series, scores, strict=True):
        judges = np.arange(len(score)) >= each.probation
        score = np.where(np.isnan(score), -np.inf, score)
        outside = judges & (each.window < 0)
        parts.append((score[outside], false * each.worth[outside]))
        for number in range(each.windows):
            inside = np.flatnonzero(judges & (each.window == number))
            inside = inside[np.argsort(-score[inside], kind="stable")]
            reached = np.maximum.accumulate(np.maximum(each.worth[inside], -miss))
            parts.append((score[inside], np.diff(reached, prepend=-miss)))
    cut = np.concatenate([a for a, _ in parts])
    order = np.argsort(-cut, kind="stable")
    cut, gain = cut[order], np.cumsum(np.concatenate([b for _, b in parts])[order])
    last = np.append(np.flatnonzero(np.diff(cut)), len(cut) - 1)
    return np.append(np.inf, cut[last]), np.append(0.0, 100.0 * gain[last] / (max(windows, 1) * (1.0 + miss)))


@dataclass
class Result:
    """Corpus scores by profile at the best common cut and at the own flags; then what was flagged."""

    best: list[float]
    own: list[float]
    cut: float
    hit: int
    false: int
    flags: int


def result(series: Sequence[Series], answers: Sequence[Answer]) -> Result:
    """All figures of one detector."""
    best, own, cuts = [], [], []
    for miss, false in PROFILES.values():
        cut, score = curve(series, [score for score, _ in answers], miss, false)
        best.append(float(score.max()))
        cuts.append(float(cut[score.argmax()]))
        cut, score = curve(series, [flag * 1.0 for _, flag in answers], miss, false)
        own.append(float(score[np.flatnonzero(cut >= 1.0)[-1]]))
    hit = wrong = flags = 0
    for each, (_, flag) in zip(series, answers, strict=True):
        judges = flag & (np.arange(len(flag)) >= each.probation)
        hit += len(set(each.window[judges].tolist()) - {-1})
        wrong += int((judges & (each.window < 0)).sum())
        flags += int(flag.sum())
    return Result(best, own, cuts[0], hit, wrong, flags)


# -- detectors --------------------------------------------------------------------------------


def by_command(each: Series, estimator: str, threshold: str) -> Answer:
    """What the command line writes for the file."""
    parts = ["-q", "--field", "value", "--time", "timestamp", "-e", estimator, "-t", threshold, "--to", "csv"]
    done = subprocess.run([*COMMAND, *parts, str(each.path)], stdout=subprocess.PIPE, check=True, text=True)
    rows = list(csv.DictReader(done.stdout.splitlines()))
    score = np.array([float(row["score"]) if row["score"] else math.nan for row in rows])
    return score, np.array([row["anomaly"].lower() in ("true", "1") for row in rows])


def by_detector(each: Series, estimator: object, threshold: object) -> Answer:
    """The same without the command line around it."""
    scored = Detector(estimator, threshold, fields=["value"], engine="numba").step(each.x, time=each.time)
    return scored.score, scored.flag == 1


def jittered(each: Series, seed: int) -> Answer:
    """Every constant of both components times exp N(0, .25), the same for all files."""
    rng = np.random.default_rng(seed)
    parts = [registry.build(kind, name) for kind, name in zip(("estimator", "threshold"), SERIES, strict=True)]
    for part in parts:
        part.constants = perturbed(part.constants, rng, JITTER)  # type: ignore[attr-defined]
    return by_detector(each, *parts)


def at_random(each: Series, seed: int = 0, mean: float = 450.0) -> Answer:
    """An alarm at random every 450 records or so, blind to the data."""
    flag = np.random.default_rng([seed, len(each.x)]).random(len(each.x)) < 1.0 / mean
    return flag * 1.0, flag


def line(name: str, found: Result, what: str = "") -> list[str]:
    """A row of the table."""
    best, own = (" / ".join(f"{value:.1f}" for value in values) for values in (found.best, found.own))
    return [name, best, f"{found.cut:.3g}", own, f"{found.hit}", f"{found.false}", f"{found.flags}", what]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jitter", type=int, default=0, help="how many jittered configurations")
    parser.add_argument("--through", choices=("command", "detector"), default="command")
    parser.add_argument("--peers", action="store_true", help="other pairs and blind alarms beside it")
    parser.add_argument("--files", action="store_true", help="also a line for each file")
    parser.add_argument("--write", type=Path, help="folder for score and flag of every record")
    options = parser.parse_args()
    series = read(options.folder)
    if not series:
        sys.exit(f"{options.folder}: no file of its combined_windows.json is there")
    run: Callable[..., Answer] = by_command if options.through == "command" else by_detector
    started = time.perf_counter()
    shipped = [run(each, *SERIES) for each in series]
    seconds = time.perf_counter() - started
    lines = [line(" + ".join(SERIES), result(series, shipped), f"{seconds:.1f} s for all files")]
    if options.peers:
        have = registry.names("estimator")
        for pair in PEERS:
            if pair[0] in have:
                lines.append(line(" + ".join(pair), result(series, [run(each, *pair) for each in series])))
        lines.append(line("blind, 1 in 450", result(series, [at_random(each) for each in series])))
        nothing = [(np.zeros(len(each.x)), np.zeros(len(each.x), bool)) for each in series]
        lines.append(line("no alarm", result(series, nothing)))
    records, windows = sum(len(each.x) for each in series), sum(each.windows for each in series)
    heading = ["", "best common cut", "cut", "own flags", "windows hit", "false records", "flags", ""]
    table(f"{len(series)} files, {records:,} records, {windows} windows: {' / '.join(PROFILES)}", heading, lines)
    if options.jitter:
        results = [result(series, [jittered(each, seed) for each in series]) for seed in range(options.jitter)]
        summary = []
        for i, name in enumerate(PROFILES):
            best, own = np.array([each.best[i] for each in results]), np.array([each.own[i] for each in results])
            summary.append([name, *(f"{v.mean():.1f} ± {v.std():.1f}, {v.min():.1f} to {v.max():.1f}"
                                    for v in (best, own))])  # fmt: skip
        title = f"{options.jitter} configurations, each constant times exp N(0, {JITTER})"
        table(title, ["", "best common cut", "own flags"], summary)
    if options.files:
        table("Files", ["file", "windows", "hit", "false records", "flags"], [
            [each.name, str(each.windows), str(own.hit), str(own.false), str(own.flags)]
            for each, answer in zip(series, shipped, strict=True)
            for own in [result([each], [answer])]
        ])  # fmt: skip
    if options.write:
        for each, (score, flag) in zip(series, shipped, strict=True):
            path = options.write / each.name
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = [f"{s:.6g},{int(f)}" for s, f in zip(score.tolist(), flag.tolist(), strict=True)]
            path.write_text("\n".join(["score,flag", *rows]) + "\n")


if __name__ == "__main__":
    main()
