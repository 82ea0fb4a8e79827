"""Independent jobs and the store of their results.

A section is a module of this package with

    TITLE: str
    cells(data: Path | None) -> list[Cell]    its jobs; raises Missing where what they need is not here
    report(results: dict[str, Any], pictures: Path) -> str    the section in Markdown, from the results by cell name

`report` sees the cells that were run: all of them, or under --quick those marked `quick`.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
STORE = ROOT / "build" / "reproduce"
PROCESSES = 2
COMPONENTS = ("estimators", "thresholds", "changepoints", "numerics")


@dataclass(frozen=True)
class Cell:
    """One job: a function of a module, its arguments, and a name that no other cell of the section has.

    The function takes a minute or two at most and gives what JSON can hold (numpy too; NaN becomes null).
    arguments : numbers, text, paths, and tuples or frozen dataclasses of them. quick : part of a smoke test, too.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    quick: bool = False


@dataclass(frozen=True)
class Done:
    """What a cell gave, and its seconds of CPU."""

    value: Any
    seconds: float


class Missing(Exception):
    """Data or a package that a section needs and that is not here; the message says what."""


@cache
def sources(path: Path) -> frozenset[Path]:
    """A file of this package and those of it that it imports, directly or not."""
    found = {path}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{each.name}" for each in node.names)]
        elif isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        for name in names:
            file = ROOT / (name.replace(".", "/") + ".py")
            if file.parent == HERE and file.exists() and file != path:
                found |= sources(file)
    return frozenset(found)


@cache
def components() -> bytes:
    """Digest of the package's components."""
    digest = hashlib.blake2b()
    for folder in COMPONENTS:
        for path in sorted((ROOT / "clipdetect" / folder).glob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.digest()


def key(cell: Cell) -> str:
    """Digest of what a result depends on: the function's file and what it imports here, components, arguments, data."""
    digest = hashlib.blake2b(components(), digest_size=12)
    file = Path(sys.modules[cell.function.__module__].__file__ or "")
    for path in sorted(sources(file)):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    versions = (sys.version_info[:2], np.__version__)
    digest.update(repr((cell.name, cell.function.__qualname__, cell.arguments, versions)).encode())
    for folder in (each for each in cell.arguments if isinstance(each, Path)):
        for path in sorted(folder.rglob("*")) if folder.is_dir() else [folder]:
            digest.update(f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}".encode())
    return digest.hexdigest()


def work(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[bytes, float]:
    """Run a job: its result as JSON, and the CPU seconds of this process and of those it started."""
    before = _cpu()
    value = function(*arguments)
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS), _cpu() - before


def _cpu() -> float:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usage)


def run(jobs: list[tuple[str, Cell]], again: bool = False) -> dict[tuple[str, str], Done]:
    """Results by section and cell, from the store or from two processes; progress on stderr.

    again : do not read the store. Raises what a cell raises; what was done by then is stored.
    """
    results: dict[tuple[str, str], Done] = {}
    wanted: list[tuple[str, Cell, Path]] = []
    for section, cell in jobs:
        file = STORE / section / f"{key(cell)}.json"
        if file.exists() and not again:
            results[section, cell.name] = Done(**orjson.loads(file.read_bytes()))
        else:
            wanted.append((section, cell, file))
    start = time.monotonic()
    if results:
        _say(start, f"{len(results)} cells from {STORE.relative_to(ROOT)}, {len(wanted)} to run")
    with _pool() as pool:
        waiting: dict[Future[Any], tuple[str, Cell, Path]] = {
            pool.submit(work, cell.function, cell.arguments): (section, cell, file) for section, cell, file in wanted
        }
        for n, future in enumerate(as_completed(waiting), 1):
            section, cell, file = waiting[future]
            try:
                value, seconds = future.result()
            except Exception as error:
                error.add_note(f"in cell {cell.name!r} of section {section!r}")
                raise
            file.parent.mkdir(parents=True, exist_ok=True)
            file.with_suffix(".tmp").write_bytes(b'{"value":%b,"seconds":%.2f}' % (value, seconds))
            file.with_suffix(".tmp").rename(file)
            results[section, cell.name] = Done(**orjson.loads(file.read_bytes()))
            _say(start, f"{n}/{len(wanted)} {section}: {cell.name} ({seconds:.1f} s)")
    return results


@contextlib.contextmanager
def _pool() -> Iterator[ProcessPoolExecutor]:
    """Two fresh processes; on an error or an interrupt what has not begun is dropped."""
    pool = ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _say(start: float, text: str) -> None:
    minutes, seconds = divmod(int(time.monotonic() - start), 60)
    print(f"{minutes:3d}:{seconds:02d} {text}", file=sys.stderr, flush=True)
