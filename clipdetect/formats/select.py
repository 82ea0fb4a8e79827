"""Which fields are watched: named by the user, or found in the first 1,000 records."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Iterator, Sequence
from typing import Any

DISCOVERY = 1000  # readable records after which the set of fields is settled
LOOK_AGAIN = 100  # records that are read with care even where all fields are named, to know what there is
MOST_NAMES = 2000  # names remembered
NO_MEASURE = {
    "time", "ts", "timestamp", "date", "datetime", "epoch", "@timestamp", "id", "seq", "index", "pid", "port", "label",
}  # fmt: skip


def is_glob(pattern: str) -> bool:
    """Whether a `--field` stands for several; brackets are list elements, not classes."""
    return "*" in pattern or "?" in pattern


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name is, or a shell-style pattern fits."""
    return any(
        name == pattern or (is_glob(pattern) and fnmatch.fnmatchcase(name, pattern.replace("[", "[[]")))
        for pattern in patterns
    )


def leaves(value: Any, prefix: str, lists: bool) -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of every leaf of a record, in order; list elements as `v[0]` where asked for."""
    if isinstance(value, dict) and (value or not prefix):
        for name, inner in value.items():
            yield from leaves(inner, f"{prefix}.{name}" if prefix else name, lists)
    elif lists and isinstance(value, list) and value:
        for i, inner in enumerate(value):
            yield from leaves(inner, f"{prefix}[{i}]", lists)
    else:
        yield prefix, value


class Selection:
    """The columns of a stream, in the order in which they opened.

    fields : names or globs the user asked for; none = every measure found. exclude : not these.
    reserved : names that are never features (`--by`, `--time`, `--label`).
    columns : names of the open columns. records : readable records seen. frozen : no more open.
    lists : whether list elements are looked at. watch : whether anything is, where no fields are named.
    needed : names that something else takes from the records, so that a misspelt one can be told.
    memory : what a format has to remember, as plain JSON values; part of a snapshot.
    """

    def __init__(
        self,
        fields: Sequence[str],
        exclude: Sequence[str],
        max_fields: int,
        reserved: Sequence[str],
        watch: bool = True,
        needed: Sequence[str] = (),
    ) -> None:
        self.fields, self.exclude, self.max_fields = list(fields), list(exclude), max_fields
        self.reserved = {name for name in reserved if name}
        self.columns: list[str] = [name for name in dict.fromkeys(fields) if not is_glob(name)][:max_fields]
        self.lists = any("[" in name for name in (*fields, *reserved))
        self.watch, self.needed = watch, list(needed)
        self.memory: dict[str, Any] = {}
        self.records = 0
        self.known: dict[str, None] = {}
        self.met: set[str] = set()  # columns that some record had
        self._settled = not any(map(is_glob, fields)) if fields else not watch
        self._wanted: dict[str, bool] = {}
        self._named: set[str] = set()
        self._messages: list[str] = []

    @property
    def frozen(self) -> bool:
        return self._settled or self.records >= DISCOVERY

    @property
    def careful(self) -> bool:
        """Whether records are to be looked at leaf by leaf."""
        return not self.frozen or self.records < LOOK_AGAIN

    def wants(self, name: str) -> bool:
        """Whether a numeric leaf of this name is a feature."""
        wanted = self._wanted.get(name)
        if wanted is None:
            wanted = self._judge(name)
            if len(self._wanted) < MOST_NAMES:
                self._wanted[name] = wanted
        return wanted

    def _judge(self, name: str) -> bool:
        if name in self.reserved or matches(name, self.exclude):
            return False
        if self.fields or not self.watch:
            return matches(name, self.fields)
        last = re.split(r"\.", name)[-1].lower()
        return not (last in NO_MEASURE or last.endswith(("_at", "_id")) or "[" in name)

    def number(self, name: str) -> None:
        """A record has a number under this name: open its column, or say why not."""
        if name in self.met or not self.wants(name):
            return
        if name in self.columns:
            self.met.add(name)
        elif self.frozen:
            self._say(name, f"{name}: first seen after {DISCOVERY:,} records, not watched; name it with --field")
        elif len(self.columns) >= self.max_fields:
            self._say(name, f"{name}: more than {self.max_fields} fields, not watched (--max-fields, --exclude)")
        else:
            self.columns = [*self.columns, name]
            self.met.add(name)

    def _say(self, name: str, message: str) -> None:
        if name not in self._named and len(self._named) < MOST_NAMES:
            self._named.add(name)
            self._messages.append(message)

    def learn(self, name: str) -> None:
        """A record has this leaf, whatever its value."""
        if len(self.known) < MOST_NAMES:
            self.known[name] = None

    def drain(self) -> list[str]:
        """Messages since the last call."""
        messages, self._messages = self._messages, []
        return messages

    def say(self, message: str) -> None:
        """Something a format has to tell, once."""
        self._say(message, message)

    def unseen(self) -> list[str]:
        """A message for each field named by the user that no record had."""
        found = []
        for name in dict.fromkeys((*self.fields, *self.needed)):
            if any(matches(seen, [name]) or seen.startswith(name + ".") for seen in (*self.met, *self.known)):
                continue
            near = difflib.get_close_matches(name, list(self.known), 1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            some = ", ".join(list(self.known)[:12])
            found.append(f"no record has the field {name!r}{hint}" + (f" (fields: {some})" if some else ""))
        return found

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        return {
            "columns": self.columns,
            "records": self.records,
            "known": list(self.known),
            "met": sorted(self.met),
            "memory": dict(self.memory),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go back to a snapshot."""
        self.columns, self.records = list(saved["columns"]), int(saved["records"])
        self.known, self.met = dict.fromkeys(saved["known"]), set(saved["met"])
        self.memory.clear()  # formats hold on to it
        self.memory.update(saved["memory"])
