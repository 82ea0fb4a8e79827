"""Results in the cache folder: one file of scores and one of measures for each stream and method.

A result holds a digest of all that it depends on, and is made again when that has changed; a run that was killed goes
on where it was.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.detection import measures
from benchmarks.detection.sets import SKIP, Prepared

SHORT = 20_000  # rows for detectors that are too slow for all
BEFORE = 10_000  # rows of a training part that these are run through first


def window(stream: Prepared) -> tuple[int, int]:
    """First and last-but-one row that a slow detector is run on."""
    if stream.start == SKIP:
        return 0, min(len(stream.label), SHORT)
    return max(0, stream.start - BEFORE), min(len(stream.label), stream.start + SHORT)


@dataclass(frozen=True)
class Cell:
    """One stream under one method. short : run on `window` only."""

    cache: Path
    stream: Prepared
    method: str
    digest: str
    short: bool = False

    def path(self, kind: str, suffix: str) -> Path:
        """Of the scores or of the results."""
        return self.cache / kind / self.method / (self.stream.stream.name.replace("/", "--") + suffix)

    @property
    def scores(self) -> Path:
        return self.path("scores", ".npz")

    def stored(self, stale: bool = False) -> dict[str, Any] | None:
        """The result, where it is here and of this digest; of any under `stale`. Old measures are taken again."""
        path = self.path("results", ".json")
        if not path.exists():
            return None
        result: dict[str, Any] = json.loads(path.read_text())
        if result["digest"] != self.digest and not (stale and result["stream"] == self.stream.digest):
            return None
        if not result["error"] and result["form"] != measures.FORM:
            return self.keep(result["seconds"], digest=result["digest"])
        return result

    def keep(self, seconds: float, error: str = "", digest: str = "") -> dict[str, Any]:
        """Measure the stored scores and store the result."""
        result: dict[str, Any] = {
            "digest": digest or self.digest,
            "stream": self.stream.digest,
            "form": measures.FORM,
            "seconds": seconds,
            "error": error,
        }
        if not error:
            result |= self._measured()
        path = self.path("results", ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".part").write_text(json.dumps(result))
        os.replace(path.with_suffix(".part"), path)
        return result

    def _measured(self) -> dict[str, Any]:
        with np.load(self.scores) as file:
            score, flag = file["score"], file.get("flag")
        first, last = window(self.stream)
        if not self.short:
            first = 0
        start, label, ordered = self.stream.start, self.stream.label, self.stream.stream.ordered

        def over(end: int) -> dict[str, Any]:
            flags = None if flag is None else flag[start - first : end - first].astype(bool)
            return measures.measure(label[start:end], score[start - first : end - first], flags, ordered)

        found = {"records": len(score), "short": over(last)}
        return found if self.short else found | {"all": over(len(label))}
