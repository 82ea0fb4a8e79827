"""Runs the pipeline in this process on bytes cut as a test wants them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clipdetect.config import load
from clipdetect.display import Talk
from clipdetect.pipeline import Pipeline
from clipdetect.plan import First
from clipdetect.sink import ClosedPipe, Sink
from clipdetect.source import Signals


class Pieces:
    """A source of given pieces."""

    saturated = False
    waiting = False
    read_size = 0
    share = None

    def __init__(self, pieces: Sequence[bytes], name: str = "stdin") -> None:
        self.pieces, self.name = pieces, name

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces


class Memory(Sink):
    """Keeps the output; breaks like a closed pipe after `limit` writes."""

    def __init__(self, limit: int | None = None) -> None:
        super().__init__(-1)
        self.blocks: list[bytes] = []
        self.limit = limit

    def write(self, data: bytes) -> None:
        if self.limit is not None and len(self.blocks) >= self.limit:
            raise ClosedPipe
        self.blocks.append(data)

    @property
    def data(self) -> bytes:
        return b"".join(self.blocks)


class Quiet(Talk):
    """Collects what would be said."""

    def __init__(self) -> None:
        super().__init__(True, False, "never", "never")
        self.said: list[str] = []

    def _line(self, message: str, style: str) -> None:
        self.said.append(message)

    def note(self, message: str) -> None:
        self.said.append(message)


def feed(
    data: bytes | Sequence[bytes],
    *,
    sizes: Sequence[int] | None = None,
    limit: int | None = None,
    history: bytes | None = None,
    **flags: Any,
) -> tuple[bytes, list[str], Pipeline]:
    """Output, messages and the pipeline after one run.

    data: one file, or several; sizes: of the pieces, repeated; history: what `backfill` reads, if it does.
    """
    files = [data] if isinstance(data, bytes) else list(data)
    config = load({"engine": "python", **flags}, None, {}).config
    sink, talk = Memory(limit), Quiet()
    with Signals() as signals:
        pipeline = Pipeline(config, signals, talk, sink)
        first = [] if history is None else [history]
        made = iter([Pieces(cut(each, sizes), f"file{i}") for i, each in enumerate([*first, *files])])
        pipeline.open = lambda path: next(made)  # type: ignore[method-assign, assignment]
        pipeline.code = pipeline.run([f"file{i}" for i in range(len(files))])  # type: ignore[attr-defined]
    return sink.data, talk.said, pipeline


def cut(data: bytes, sizes: Sequence[int] | None) -> list[bytes]:
    """The bytes in pieces of these sizes, over and over."""
    if not sizes:
        return [data]
    pieces, at, i = [], 0, 0
    while at < len(data):
        pieces.append(data[at : at + sizes[i % len(sizes)]])
        at += sizes[i % len(sizes)]
        i += 1
    return pieces


def random_sizes(seed: int, most: int) -> list[int]:
    """Piece sizes from 1 to `most`, short ones often."""
    return [int(size) for size in np.exp(np.random.default_rng(seed).uniform(0, np.log(most), 97))]


def head(**more: Any) -> dict[str, Any]:
    """The head of a state file as a run saves it."""
    return {
        "records": 0,
        "fields": [],
        "brought": [[], True, True],
        "config": {"by": []},
        "selection": {
            "columns": [],
            "records": 0,
            "known": [],
            "met": [],
            "clocks": [],
            "memory": {},
            "candidates": {},
        },
        "followed": {},
        "detector": {"columns": [], "base": [], "evicted": {}, "layout": {}, "first": First().dump()},
        "incidents": {},
        "feedback": [],
        **more,
    }


def folder(name: str) -> Path:
    """A folder beside the tests."""
    return Path(__file__).parent / name
