"""What must hold whatever the data: no credit for shuffled labels, no flag on a constant, causal output, one record."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.detection import ours
from benchmarks.detection.measures import ranked
from benchmarks.detection.sets import FAMILIES, Prepared
from benchmarks.detection.store import Cell
from benchmarks.detection.table import families
from clipdetect.metrics import roc_auc


def shuffled(cells: Sequence[Cell], seed: int = 0) -> float:
    """Mean ROC-AUC over the six families of stored scores against labels in random order."""
    rng = np.random.default_rng(seed)
    by_stream = {cell.stream.stream.name: cell for cell in cells}
    means = []
    for family, streams in families([cell.stream for cell in cells]).items():
        found = []
        for stream in streams if family in FAMILIES else []:
            cell = by_stream[stream.stream.name]
            if cell.scores.exists():
                with np.load(cell.scores) as file:
                    score = ranked(file["score"][stream.start :])
                label = stream.label[stream.start :]
                if len(score) == len(label) and 0 < label.sum() < len(label):
                    found.append(roc_auc(score, rng.permutation(label)))
        if found:
            means.append(np.mean(found))
    return float(np.mean(means)) if means else float("nan")


def constant(name: str, n: int = 5000) -> int:
    """Flags on n records of three constant fields."""
    _, flags = _scored(name, "a,b,c,label\n" + "1,-2.5,1000000,0\n" * n)
    return int(flags.sum())


def prefix(name: str, streams: Sequence[Prepared]) -> bool:
    """Are the first half of a stream's records scored to the same bytes as the whole stream's."""
    stream = min(streams, key=lambda each: len(each.label))
    with open(stream.file, "rb") as file:
        lines = file.read().splitlines(keepends=True)
    given = ours.arguments(name, stream)
    whole = _output(given, b"".join(lines), stream.file.suffix)
    half = _output(given, b"".join(lines[: len(lines) // 2]), stream.file.suffix)
    return len(half) > 0 and whole.startswith(half)


def single(name: str) -> int:
    """Records written for a stream of one."""
    score, _ = _scored(name, "a,b,label\n1,2,0\n")
    return len(score)


def _output(given: Sequence[str], data: bytes, suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file, out = Path(folder, f"in{suffix}"), Path(folder, f"out{suffix}")
        file.write_bytes(data)
        ours.call(given, file, out)
        return out.read_bytes()


def _scored(name: str, text: str) -> tuple[np.ndarray, np.ndarray]:
    given = [*ours.CONFIGURATIONS[name].arguments, "--label", "label"]
    lines = _output(given, text.encode(), ".csv").decode().splitlines()
    records = list(csv.DictReader(lines))
    return np.array([record["score"] for record in records]), np.array(
        [record["anomaly"] == "true" for record in records]
    )
