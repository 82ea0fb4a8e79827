"""The labelled sets of a folder as streams: what is read, hidden, counted, and how files make families.

A stream is written once, as the plain file that a user would have: CSV or JSON Lines with the truth in
`label`. Peers get its numeric columns as an array. Rows before `start` are run through and not counted: the
first 200, or, where a set has a training part, all of it.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SKIP = 200  # rows that are not counted, where there is no training part
FORM = b"3"  # of the prepared files
HIDDEN = ("attack", "difficulty", "changepoint", "technique", "LineId")
TIMES = ("timestamp", "Timestamp")
FLOODS = ("smurf", "neptune")  # 80% of kdd99: no longer anomalies in any sense
NAMES = ("nab", "ucr", "ecg", "skab", "smd", "asd", "smap_msl", "adbench", "kdd99", "nsl_kdd", "cloudtrail", "bgl")
FAMILIES = {  # the protocol's six families, means over files, then over families
    "adbench": ("adbench",),
    "net": ("kdd99", "nsl_kdd"),
    "skab": ("skab",),
    "smd": ("smd",),
    "asd": ("asd",),
    "smap_msl": ("smap", "msl"),
}
SERIES = ("nab", "ucr", "ecg")  # one value a record
SHUFFLED = ("nsl_kdd", "adbench")  # the order of the rows means nothing, so events and delays do not either
ORDERED = ("adbench/http", "adbench/smtp")  # tables that have one after all


@dataclass(frozen=True)
class Stream:
    """One labelled stream.

    name : set and file, such as skab/valve1-0. sources : files it is made from, in order; the first of two is a
    training part. windows : first and last time of each anomaly, where the file has no labels of its own.
    """

    name: str
    sources: tuple[Path, ...]
    windows: tuple[tuple[str, str], ...] = ()

    @property
    def set(self) -> str:
        return self.name.partition("/")[0]

    @property
    def family(self) -> str:
        """Its family in the means, or its set's own name."""
        return next((family for family, sets in FAMILIES.items() if self.set in sets), self.set)

    @property
    def row(self) -> str:
        """The row of the table by sets: each table of adbench has its own."""
        return self.name.partition("/")[2] if self.set == "adbench" else self.set

    @property
    def ordered(self) -> bool:
        """Do the rows come in the order of time."""
        return self.set not in SHUFFLED or self.name in ORDERED

    @property
    def series(self) -> bool:
        """Is it one value a record."""
        return self.set in SERIES

    def digest(self) -> str:
        """Of the sources' bytes and of how they are prepared."""
        digest = hashlib.blake2b(FORM, digest_size=8)
        for path in self.sources:
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
        digest.update(repr(self.windows).encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class Prepared:
    """A stream's file for the command line, and what is known about it."""

    stream: Stream
    file: Path
    array: Path | None  # .npz with X (n, d); None where there is nothing numeric for peers
    label: np.ndarray  # (n,) bool
    start: int
    time: str | None  # column of the event time
    digest: str

    @property
    def exclude(self) -> str:
        return ",".join(HIDDEN)


def streams(data: Path, only: tuple[str, ...] = NAMES) -> Iterator[Stream]:
    """The streams of a folder, set by set; a set that is not there is left out."""
    for name in NAMES:
        if name in only:
            yield from sorted(_of_set(data, name), key=lambda each: each.name)


def _of_set(data: Path, name: str) -> Iterator[Stream]:
    folder = data / name
    if name == "nab" and folder.is_dir():
        windows = json.loads((folder / "combined_windows.json").read_text())
        for file, pairs in windows.items():
            path = folder / "data" / file
            if path.exists():
                yield Stream(f"nab/{path.stem}", (path,), tuple((a, b) for a, b in pairs))
    elif name == "smap_msl":
        for path in folder.glob("*/*.csv.gz"):
            yield Stream(f"{path.parent.name.lower()}/{_stem(path)}", (path,))
    elif name == "skab":
        for path in folder.glob("*/*.csv"):
            if path.parent.name != "anomaly-free":
                yield Stream(f"skab/{path.parent.name}-{path.stem}", (path,))
    elif name in ("smd", "asd"):
        for path in folder.glob("*.test.csv.gz"):
            train = path.with_name(path.name.replace(".test.", ".train."))
            yield Stream(f"{name}/{_stem(path).removesuffix('.test')}", (train, path))
    elif name == "bgl":
        for path in (data / "loghub").glob("BGL*.structured.csv.gz"):
            yield Stream("bgl/bgl", (path,))
    else:
        for path in [*folder.glob("*.csv"), *folder.glob("*.csv.gz"), *folder.glob("*.jsonl.gz")]:
            yield Stream(f"{name}/{_stem(path)}", (path,))


def _stem(path: Path) -> str:
    name = path.name.removesuffix(".gz")
    return name.removesuffix(".csv").removesuffix(".jsonl")


def _open(path: Path) -> io.TextIOBase:
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path), encoding="utf-8", newline="")
    return open(path, encoding="utf-8", newline="")


def prepare(stream: Stream, cache: Path) -> Prepared:
    """Write a stream's files, or find them from an earlier run."""
    folder = cache / "streams" / stream.set
    folder.mkdir(parents=True, exist_ok=True)
    stem, digest = stream.name.partition("/")[2], stream.digest()
    about = folder / f"{stem}.about.npz"
    nested = ".jsonl" in stream.sources[0].name
    file, array = folder / f"{stem}{'.jsonl' if nested else '.csv'}", folder / f"{stem}.npz"
    known: Any = np.load(about) if about.exists() else None
    if known is None or str(known["digest"]) != digest:
        if nested:
            label, start, time = _write_nested(stream, file), SKIP, "eventTime"
        else:
            label, start, time = _write_table(stream, file, array)
        np.savez_compressed(about, label=label, start=start, time=time or "", digest=digest)
        known = np.load(about)
    return Prepared(
        stream,
        file,
        array if array.exists() else None,
        known["label"],
        int(known["start"]),
        str(known["time"]) or None,
        digest,
    )


def _write_nested(stream: Stream, file: Path) -> np.ndarray:
    with _open(stream.sources[0]) as source, open(file, "w", encoding="utf-8") as sink:
        lines = [line for line in source if line.strip()]
        sink.writelines(lines)
    return np.array([json.loads(line)["label"] == 1 for line in lines])


def _write_table(stream: Stream, file: Path, array: Path) -> tuple[np.ndarray, int, str | None]:
    header: list[str] = []
    rows: list[list[str]] = []
    start = SKIP
    for path in stream.sources:
        with _open(path) as source:
            reader = csv.reader(source)
            own = next(reader)
            if own[: len(header)] != header:
                raise ValueError(f"{path}: columns differ from those of its training part")
            header = own
            at = header.index("attack") if stream.set == "kdd99" else -1
            part = [row for row in reader if row and (at < 0 or row[at] not in FLOODS)]
        if path is not stream.sources[-1]:
            start = len(part)
        rows += part
    rows = [row + ["0"] * (len(header) - len(row)) for row in rows]  # a training part has no label: all normal
    if "Label" in header:  # an alert's category, or - for none
        at = header.index("Label")
        header = [*header[:at], "label", *header[at + 1 :]]
        rows = [[*row[:at], str(int(row[at] != "-")), *row[at + 1 :]] for row in rows]
    if "label" not in header:  # windows over times, both ends in them
        pairs = [(_moment(a), _moment(b)) for a, b in stream.windows]
        header = [*header, "label"]
        rows = [[*row, str(int(any(a <= _moment(row[0]) <= b for a, b in pairs)))] for row in rows]
    with open(file, "w", encoding="utf-8", newline="") as sink:
        writer = csv.writer(sink, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    at = header.index("label")
    label = np.array([row[at] in ("1", "1.0") for row in rows])
    hidden = {"label", *HIDDEN, *TIMES}
    columns = [j for j, name in enumerate(header) if name not in hidden and stream.set != "bgl"]
    found = [values for values in (_numbers(rows, j) for j in columns) if values is not None]
    if found:
        np.savez_compressed(array, X=np.column_stack(found))
    time = next((name for name in TIMES if name in header), None)
    return label, start, time


def _moment(text: str) -> str:
    return text.replace("T", " ").split(".")[0]


def _numbers(rows: list[list[str]], j: int) -> np.ndarray | None:
    """A column as float64, NaN where empty; None where it is text."""
    try:
        return np.array([float(row[j]) if row[j] else np.nan for row in rows])
    except ValueError:
        return None
