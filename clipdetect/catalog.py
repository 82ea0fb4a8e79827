"""Names to classes: this package's modules first, then the entry points of installed plug-ins.

A built-in is one file: `estimators/level.py`, with its one class in `__all__`, is the estimator
`level`. A plug-in is an entry point in the group `clipdetect.estimators`, `clipdetect.thresholds`,
`clipdetect.changepoints`, `clipdetect.features` or `clipdetect.formats`. Listing names imports none of them.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from clipdetect.components import Component

FOLDERS = {
    "feature": "features",
    "changepoint": "changepoints",
    "estimator": "estimators",
    "threshold": "thresholds",
    "format": "formats",
}
_CLASS = b"\n__all__ = ["  # what a file of a component has, and one of helpers has not
_RANK = re.compile(rb"\n    rank = ([0-9]+)\n")
_OPENS = re.compile(rb'\n    opens = b"(.+)"\n')


class _File(NamedTuple):
    """What the file of a format says of it, without being imported: see `records.Format`."""

    rank: int | None = None
    opens: bytes = b""


def names(kind: str) -> list[str]:
    """Names of all components of a kind, in alphabetical order."""
    return sorted({*built_in(kind), *_entry_points(kind)})


def get(kind: str, name: str) -> type[Any]:
    """The class of a component; imports its module only.

    Raises ValueError for an unknown name, and for a plug-in that cannot be loaded.
    """
    if name in built_in(kind):
        module = import_module(f"clipdetect.{FOLDERS[kind]}.{name}")
        (only,) = module.__all__
        found: type[Any] = getattr(module, only)
        return found
    point = _entry_points(kind).get(name)
    if point is not None:
        return _loaded(kind, point)
    have = names(kind)
    raise ValueError(f"unknown {kind} {name!r}{did_you_mean(name, have)} (there are: {', '.join(have) or 'none'})")


def name_of(component: type[Component]) -> str:
    """The name under which a class is found; its dotted path where it is not registered."""
    package, _, name = component.__module__.rpartition(".")
    if package == f"clipdetect.{FOLDERS[component.kind]}":
        return name
    path = f"{component.__module__}:{component.__qualname__}"
    points = _entry_points(component.kind).values()
    return next((point.name for point in points if point.value == path), path)


def did_you_mean(name: str, options: Iterable[str], cutoff: float = 0.6) -> str:
    """`, did you mean 'threshold'?`, or nothing where no option is near (cutoff: likeness, 1 = equal)."""
    near = difflib.get_close_matches(name, list(options), 1, cutoff)
    return f", did you mean {near[0]!r}?" if near else ""


def own_formats(first: bytes) -> Iterator[tuple[str, type[Any]]]:
    """The formats of this package whose streams may begin so, by rank; each is imported when its turn comes."""
    files = _files("format")
    ranked = [(file.rank, name) for name, file in files.items() if file.rank and first in (file.opens or first)]
    for _, name in sorted(ranked):
        yield name, get("format", name)


def plugged_formats(first: bytes) -> Iterator[tuple[str, type[Any]]]:
    """Likewise those of plug-ins. Raises ValueError for one that cannot be loaded."""
    own = _files("format")
    found = [(name, _loaded("format", point)) for name, point in _entry_points("format").items() if name not in own]
    ranked = [(made.rank, name, made) for name, made in found if made.rank and first in (made.opens or first)]
    yield from ((name, made) for _, name, made in sorted(ranked, key=lambda each: each[:2]))


def built_in(kind: str) -> list[str]:
    """Names of this package's own components of a kind."""
    return list(_files(kind))


@functools.cache
def _files(kind: str) -> dict[str, _File]:
    """The files of a kind by name; those of formats are read, for helpers stand among them, but not imported."""
    folder = os.path.join(os.path.dirname(__file__), FOLDERS[kind])
    found = {}
    for file in sorted(os.listdir(folder)):
        name, end = os.path.splitext(file)
        if end != ".py" or name.startswith("_"):
            continue
        if kind != "format":
            found[name] = _File()
            continue
        with open(os.path.join(folder, file), "rb") as opened:
            text = opened.read()
        if _CLASS in text:
            rank, opens = _RANK.search(text), _OPENS.search(text)
            found[name] = _File(int(rank[1]) if rank else None, opens[1] if opens else b"")
    return found


def _entry_points(kind: str) -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=f"clipdetect.{FOLDERS[kind]}")}


def _loaded(kind: str, point: EntryPoint) -> type[Any]:
    try:
        found = point.load()
    except Exception as error:  # a broken plug-in may raise anything
        raise ValueError(f"{kind} {point.name!r} cannot be loaded from {point.value}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, _base(kind))):
        raise ValueError(f"{kind} {point.name!r}: {point.value} is no {_base(kind).__name__}")
    return found


def _base(kind: str) -> type[Any]:
    from clipdetect import components, records

    return {
        "feature": components.Feature,
        "changepoint": components.ChangePointDetector,
        "estimator": components.Estimator,
        "threshold": components.Threshold,
        "format": records.Format,
    }[kind]
