"""NAB's own score of what is stored, by the rules in benchmarks/nab.py."""

from __future__ import annotations

import math
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.detection.table import Method

PROFILES = ("standard", "low FP", "low FN")


def rules() -> Any:
    """The module with the rules; it is a script and imports its neighbours by their short names."""
    folder = str(Path(__file__).resolve().parents[1])
    sys.path.insert(0, folder)
    try:
        return import_module("nab")
    finally:
        sys.path.remove(folder)


def scores(method: Method, series: list[Any], module: Any) -> tuple[list[float], list[float]] | None:
    """By profile at the best common cut, and at the method's own flags (NaN without any); None where files lack."""
    answers, flags = [], True
    for each in series:
        cell = method.cells.get(f"nab/{each.path.stem}")
        if cell is None or cell.short or method.missing([cell.stream]) or not cell.scores.exists():
            return None
        with np.load(cell.scores) as file:
            score, flag = file["score"], file.get("flag")
        if len(score) != len(each.x):
            return None
        flags &= flag is not None
        answers.append((score, np.zeros(len(score), bool) if flag is None else flag))
    found = module.result(series, answers)
    return found.best, found.own if flags else [math.nan] * len(PROFILES)
