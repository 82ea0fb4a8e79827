"""The head of a state file: what it must hold, checked before anything is made of it.

A file with a right checksum may still be another program's, an older one's, or forged. What passes
here has the types and the bounds that the rest of the program takes for granted.
"""

from __future__ import annotations

import json
import os
from typing import Annotated, Any, Literal, TypedDict, TypeVar

import msgspec

DEEPEST = 100  # nested lists and objects

T = TypeVar("T")
Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Whole = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
Exact = Annotated[int, msgspec.Meta(ge=-(1 << 53), le=1 << 53)]  # a double holds it
Real = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]  # NaN is none


class Where(msgspec.Struct):
    """Where keys and arrays are in the file: how many keys, in how many bytes; name, type and shape of each array."""

    keys: Count
    key_bytes: Count
    arrays: list[tuple[str, str, Annotated[list[Count], msgspec.Meta(max_length=8)]]]


class _Version(msgspec.Struct):
    version: int


class _Memory(TypedDict, total=False):
    """Of the clock of a format; what other formats remember is theirs."""

    day: Exact
    clock: Real
    year: Exact
    last: Real
    bands: list[str]


class _Selection(TypedDict):
    columns: list[str]
    records: Count
    known: list[str]
    met: list[str]
    clocks: list[str]
    memory: _Memory
    candidates: dict[str, tuple[Count, list[Whole]] | None]


class _First(TypedDict):
    """What the first records have shown."""

    records: Count
    measures: Count
    texts: bool
    keyed: bool
    clocks: list[str]
    rising: list[str]
    unsure: list[str]


class _Detector(TypedDict):
    columns: list[str]
    base: list[str]
    evicted: dict[str, Count]
    layout: dict[str, list[str]]
    first: _First


class _Incidents(TypedDict, total=False):
    silence: tuple[Count, Real]
    seen: Count
    open: list[tuple[str | Whole, str, Literal[-1, 0, 1], Count, Real | None, Count]]


class _Position(msgspec.Struct, forbid_unknown_fields=True):
    device: int
    inode: int
    offset: Count
    line: Annotated[int, msgspec.Meta(ge=1, le=(1 << 63) - 1)]
    mark: str
    mtime: Whole
    file: str
    inside: bool


class _Config(TypedDict):
    """The rest is compared with the run's own."""

    by: list[str]


class _Head(msgspec.Struct):
    records: Count
    fields: list[str]
    brought: tuple[list[str], bool, bool]
    config: _Config
    selection: _Selection
    followed: dict[str, list[_Position]]
    detector: _Detector
    incidents: _Incidents
    feedback: list[tuple[str, str, Real, Real, Count]]


def parsed(text: memoryview) -> dict[str, Any]:
    """A JSON object. Raises ValueError."""
    try:
        found = json.loads(bytes(text))
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError("the head is no object")
    level: list[Any] = [found]
    for _ in range(DEEPEST):
        level = [
            inner
            for each in level
            if isinstance(each, (dict, list))
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    if level:
        raise ValueError("nested too deep")
    return found


def version(head: dict[str, Any]) -> int:
    """The version of the format."""
    return _converted(head, _Version).version


def where(head: dict[str, Any]) -> Where:
    """Where keys and arrays are."""
    return _converted(head, Where)


def keys(text: memoryview, count: int) -> list[str]:
    """The texts of the keys. Raises ValueError where they are not `count` different ones."""
    try:
        found = _converted(json.loads(bytes(text)), list[str])
    except RecursionError:
        raise ValueError("nested too deep") from None
    if len(set(found)) != count or len(found) != count:
        raise ValueError(f"it has not {count:,} different keys")
    return found


def check(head: dict[str, Any]) -> None:
    """Raises ValueError where the head is not one that a run has saved."""
    found = _converted(head, _Head)
    for place in (each for chain in found.followed.values() for each in chain):
        if b"\0" in os.fsencode(place.file):
            raise ValueError("a path with a NUL character")
    columns, base = found.selection["columns"], found.detector["base"]
    if columns[: len(base)] != base or len(set(columns)) != len(columns):
        raise ValueError("the fields selected are not those of the models")


def _converted(value: Any, kind: type[T]) -> T:
    """Raises ValueError that says where the value is not of this kind."""
    return msgspec.convert(value, kind)
