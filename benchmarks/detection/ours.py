"""clipdetect as a user runs it: the installed command on a file."""

from __future__ import annotations

import csv
import functools
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.detection.sets import Prepared
from benchmarks.detection.store import Cell
from clipdetect import registry

PACKAGE = Path(registry.__file__).parent
COMMAND = [str(Path(sys.executable).with_name("clipdetect"))]


@dataclass(frozen=True)
class Configuration:
    """Arguments of the command. time : name the column of times too; series : for one value a record only."""

    arguments: tuple[str, ...] = ()
    estimator: str = ""
    threshold: str = ""
    time: bool = False
    series: bool = False


def _of(estimator: str, threshold: str = "", time: bool = False, series: bool = False) -> Configuration:
    chosen = ("-e", estimator, *(("-t", threshold) if threshold else ()))
    return Configuration(chosen, estimator, threshold, time, series)


CONFIGURATIONS = {
    "default": Configuration(),
    "fields": _of("fields"),
    "forest": _of("forest"),
    "level": _of("level"),
    "zscore": _of("zscore"),
    "neighbours": _of("neighbours"),
    "forecast": _of("forecast", time=True),
    "extremes": _of("extremes", "budget", time=True, series=True),
}


def available() -> list[str]:
    """The configurations whose components there are."""
    estimators, thresholds = {"", *registry.names("estimator")}, {"", *registry.names("threshold")}
    return [
        name for name, each in CONFIGURATIONS.items() if each.estimator in estimators and each.threshold in thresholds
    ]


@functools.cache
def code() -> str:
    """Digest of the package's sources."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix in (".py", ".yaml"):
            digest.update(str(path.relative_to(PACKAGE)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def arguments(name: str, stream: Prepared) -> list[str]:
    """The command line for a stream, without the file."""
    configuration = CONFIGURATIONS[name]
    time = ["--time", stream.time] if configuration.time and stream.time else []
    return [*configuration.arguments, *time, "--label", "label", "--exclude", stream.exclude]


def our_cells(name: str, streams: Sequence[Prepared], cache: Path) -> list[Cell]:
    """The cells of a configuration."""
    found = []
    for stream in streams:
        if stream.stream.series or not CONFIGURATIONS[name].series:
            parts = (code(), arguments(name, stream), stream.digest)
            digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()
            found.append(Cell(cache, stream, name, digest))
    return found


def call(given: Sequence[str], file: Path, out: Path) -> float:
    """Run the command, its output into a file; CPU seconds of the child, start included. Raises RuntimeError."""
    with open(out, "wb") as sink, open(out.with_suffix(".err"), "w+b") as told:
        process = subprocess.Popen([*COMMAND, "-q", *given, str(file)], stdout=sink, stderr=told)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        told.seek(0)
        said = told.read().decode(errors="replace").strip()
    out.with_suffix(".err").unlink()
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}: {said[-300:]}")
    return usage.ru_utime + usage.ru_stime


def answers(out: Path) -> tuple[np.ndarray, np.ndarray]:
    """Scores, NaN where there is none, and flags of an output file, CSV or JSON Lines."""
    score: list[float] = []
    flag: list[bool] = []
    with open(out, encoding="utf-8", newline="") as file:
        if out.suffix == ".jsonl":
            for line in file:
                record = json.loads(line)
                score.append(np.nan if record.get("score") is None else float(record["score"]))
                flag.append(record.get("anomaly") is True)
        else:
            reader = csv.reader(file)
            header = next(reader)
            at, also = header.index("score"), header.index("anomaly")
            for row in reader:
                score.append(float(row[at]) if row[at] else np.nan)
                flag.append(row[also] == "true")
    return np.array(score), np.array(flag, bool)


def run_ours(cells: Sequence[Cell], stale: bool = False, jobs: int = 1) -> None:
    """Run the cells that are not stored, `jobs` commands at a time."""
    wanted = [cell for cell in cells if cell.stored(stale) is None]
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for told in pool.map(_run, wanted):
                print(told, file=sys.stderr)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _run(cell: Cell) -> str:
    cell.scores.parent.mkdir(parents=True, exist_ok=True)
    out = cell.scores.with_suffix(cell.stream.file.suffix)
    try:
        seconds = call(arguments(cell.method, cell.stream), cell.stream.file, out)
        score, flag = answers(out)
        if len(score) != len(cell.stream.label):
            raise RuntimeError(f"{len(score)} records of {len(cell.stream.label)}")
        np.savez_compressed(cell.scores, score=score, flag=flag)
        cell.keep(seconds)
        told = f"{seconds:.1f} s"
    except RuntimeError as error:
        cell.keep(0.0, str(error))
        told = str(error)
    finally:
        out.unlink(missing_ok=True)
    return f"{cell.method} {cell.stream.stream.name}: {told}"
