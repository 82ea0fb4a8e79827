"""What the fields of records hold, for a stream in which there is nothing to judge: what would help."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from clipdetect.formats.select import DISCOVERY, leaves, matches, measures
from clipdetect.formats.values import cell, number
from clipdetect.numerics.categories import field_of

MOST = 12  # names said in one line
CELLS = ("csv", "tsv", "ssv")  # formats whose numbers are all written as text
NUMBER, WRITTEN, TEXT, RECORDS, NUMBERS, OTHER, NOTHING = range(7)


class Contents:
    """The kind of each field of the records that were looked at."""

    def __init__(self) -> None:
        self.kinds: dict[str, int] = {}

    def look(self, record: Mapping[str, Any]) -> None:
        """Remember the fields of a record."""
        for name, value in leaves(record, "", False):
            if self.kinds.get(name, NOTHING) == NOTHING and len(self.kinds) < DISCOVERY:
                self.kinds[name] = kind_of(value)

    def remedy(self, format: str, asked: Sequence[str], exclude: Sequence[str], reserved: set[str]) -> str:
        """What records have instead of numbers that are watched, and what may help.

        asked, exclude : names and patterns that are to be watched, and not. reserved : names that never are.
        """
        kinds: dict[int, list[str]] = {kind: [] for kind in range(OTHER + 2)}
        excluded = []
        for name, kind in self.kinds.items():
            kind = NUMBER if kind == WRITTEN and format in CELLS else kind
            if name in reserved or (asked and not matches(name, asked)):
                continue
            if kind == NUMBER and matches(name, exclude):
                excluded.append(name)
            else:
                kinds[kind].append(name)
        written = [name for name in kinds[WRITTEN] if asked or measures(name)]
        texts = [name for name in kinds[TEXT] if measures(name)]
        if kinds[RECORDS]:
            name = kinds[RECORDS][0]
            return f"the array {name!r} looks like the records; --records-at {name} reads them"
        if written:
            are = "is a number" if len(written) == 1 else "are numbers"
            return f"{some(written)} {are} written as text; --coerce reads such numbers"
        if kinds[NUMBERS]:
            return f"elements of lists are watched when they are named, such as --field '{kinds[NUMBERS][0]}[0]'"
        if excluded:
            return f"all numbers are left out by --exclude: {some(excluded)}"
        if kinds[NUMBER]:
            of = some(kinds[NUMBER])
            return f"the only numbers, {of}, are times or identifiers by their names; --field NAME watches one"
        if texts:
            own = shlex.quote(",".join(texts[:3]))
            return f"no field holds numbers; --categories {own} judges how rare texts are, --derive what can be counted"
        return "no field holds numbers" if self.kinds else "they have no fields"


def kind_of(value: Any) -> int:
    """What a leaf of a record holds."""
    if not number(value)[1]:
        return NUMBER
    if isinstance(value, str):
        return NOTHING if not value.strip() else TEXT if cell(value)[1] else WRITTEN
    if isinstance(value, list) and value:
        if isinstance(value[0], dict):
            return RECORDS
        return OTHER if number(value[0])[1] else NUMBERS
    return NOTHING if value is None else OTHER


def some(names: Sequence[str]) -> str:
    """The first of many names."""
    found = [field_of(name) for name in names]
    return ", ".join(found[:MOST]) + (", ..." if len(found) > MOST else "")
