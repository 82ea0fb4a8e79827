"""Records of a file as one table, for a component that is given a file as a parameter."""

from __future__ import annotations

import functools
import hashlib
import os

import numpy as np

from clipdetect import catalog
from clipdetect.components import Table
from clipdetect.errors import ClipdetectError
from clipdetect.formats.select import Selection
from clipdetect.reader import Reader
from clipdetect.records import Format, FormatOptions
from clipdetect.source import Signals, Source

MOST = 1 << 24  # numbers; a table stays in memory, and a sample serves as well


def read(path: str) -> Table:
    """All records of a file in any format, compressed or not; every numeric field is a column.

    Raises ValueError where it cannot be read, holds no numbers, or is too large to be kept.
    """
    try:
        about = os.stat(path)
        if not os.path.isfile(path):
            raise ValueError(f"{path}: not a file")
        return _read(path, about.st_mtime_ns, about.st_size)
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except ClipdetectError as error:
        raise ValueError(str(error)) from error


@functools.lru_cache(maxsize=4)
def _read(path: str, _changed: int, _size: int) -> Table:
    selection = Selection((), (), 1 << 16, ())

    def make(name: str) -> Format:
        if name == "text":
            raise ValueError(f"{path}: no records of a known format")
        made: type[Format] = catalog.get("format", name)
        return made(FormatOptions(), selection)

    found, size = [], 0
    for batch in Reader(make).batches(Source(path, Signals())):
        if batch is None:
            continue
        if batch.problems:
            problem = batch.problems[0]
            raise ValueError(f"{path}:{problem.line}: {problem.message or problem.kind}")
        found.append(batch.X)
        size += batch.X.size
        if size > MOST:
            raise ValueError(f"{path}: more than {MOST:,} numbers; give a sample of its records")
    if not found:
        raise ValueError(f"{path}: no records of a known format")
    names = tuple(selection.columns)
    X = np.full((sum(map(len, found)), len(names)), np.nan)
    at = 0
    for each in found:  # columns may have opened on the way
        X[at : at + len(each), : each.shape[1]] = each
        at += len(each)
    if not np.isfinite(X).any():
        raise ValueError(f"{path}: no record has a number")
    digest = hashlib.blake2b("\0".join(names).encode("utf-8", "surrogatepass"), digest_size=8)
    digest.update(np.ascontiguousarray(X).tobytes())
    return Table(names, X, path, digest.hexdigest())
