"""Which fields are watched: named by the user, or found in the first 1,000 records."""

from __future__ import annotations

import difflib
import fnmatch
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from clipdetect.clocks import holds_times, is_clock
from clipdetect.formats import times
from clipdetect.formats.values import cell, key_text
from clipdetect.numerics.categories import column_of, field_of, is_text
from clipdetect.numerics.hashing import category

DISCOVERY = 1000  # readable records after which the set of fields is settled
LOOK_AGAIN = 100  # records that are read with care even where all fields are named, to know what there is
MOST_NAMES = 2000  # names remembered
LONGEST_NAME = 1000  # characters of a name; what has a longer one is only found where it is named
LEAST_SEEN, REPEATS = 8, 4  # a text repeats once it was there this often, and this often per different value,
PRESENT = 10  # and in every so many records; rarer ones tell what sort of record it is, each a column
MOST_TEXTS = 64  # fields found in this way
NO_MEASURE = frozenset(("id", "seq", "index", "pid", "port", "label"))  # beside the clocks


def is_glob(pattern: str) -> bool:
    """Whether a `--field` stands for several; brackets are list elements, not classes."""
    return "*" in pattern or "?" in pattern


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name is, or a shell-style pattern fits."""
    return any(
        name == pattern or (is_glob(pattern) and fnmatch.fnmatchcase(name, pattern.replace("[", "[[]")))
        for pattern in patterns
    )


def nearest(name: str, options: Iterable[str]) -> str:
    """The option that is most like a name, or nothing; `host` is like `http.host` too, and `Host` like `host`."""
    forms: dict[str, str] = {}
    for option in options:
        forms.setdefault(option.lower(), option)
    for option in list(forms.values()):
        forms.setdefault(option.rpartition(".")[2].lower(), option)
    for text in (name, name.rpartition(".")[2]):
        near = difflib.get_close_matches(text.strip("*?").lower(), forms, 1)
        if near:
            return forms[near[0]]
    return ""


def leaves(value: Any, prefix: str, lists: bool) -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of every leaf of a record, in order; list elements as `v[0]` where asked for.

    Not of what has a longer name than `LONGEST_NAME`: the cost is in proportion to the record.
    """
    stack = [iter([(prefix, value)])]
    while stack:
        for name, each in stack[-1]:
            if len(name) > LONGEST_NAME:
                continue
            if isinstance(each, dict) and (each or not name):
                stack.append(_members(name, each))
                break
            if lists and isinstance(each, list) and each:
                stack.append(_elements(name, each))
                break
            yield name, each
        else:
            stack.pop()


def _members(prefix: str, value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((f"{prefix}.{name}", each) for name, each in value.items()) if prefix else iter(value.items())


def _elements(prefix: str, value: list[Any]) -> Iterator[tuple[str, Any]]:
    return ((f"{prefix}[{i}]", each) for i, each in enumerate(value))


def measures(name: str) -> bool:
    """Whether a field is watched where none is named, by its name."""
    last = name.rpartition(".")[2].lower()
    return not (last in NO_MEASURE or last.endswith("_id") or is_clock(name) or "[" in name)


class Selection:
    """The columns of a stream, in the order in which they opened.

    fields : names or globs the user asked for; none = every measure found. exclude : not these.
    reserved : names that are never features (`--by`, `--time`, `--label`).
    columns : names of the open columns. records : readable records seen. frozen : no more open.
    texts : names or globs of text fields to watch as categories; their columns hold codes, under the names of
    `numerics.categories`. finds : whether those that repeat are, too. lists : whether list elements are looked at.
    watch : whether anything is, where no fields are named.
    alone : whether texts that repeat are watched beside one single number, too.
    clocks : fields that are no measures by their name and first value.
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
        texts: Sequence[str] = (),
        finds: bool = False,
        alone: bool = True,
    ) -> None:
        self.fields, self.exclude, self.max_fields = list(fields), list(exclude), max_fields
        self.reserved = {name for name in reserved if name}
        self.texts = list(texts)
        self.finds = finds
        asked = [*dict.fromkeys(fields), *map(column_of, dict.fromkeys(texts))]
        self.columns: list[str] = [name for name in asked if not is_glob(name)][:max_fields]
        self.lists = any("[" in name for name in (*fields, *reserved, *texts))
        self.watch, self.needed, self.alone = watch, [*needed, *texts], alone
        self.seeks = finds or any(map(is_glob, texts))  # whether texts are looked for
        self.candidates: dict[str, tuple[int, list[int]] | None] = {}  # how often, and which values; None: no category
        self.memory: dict[str, Any] = {}
        self.records = 0
        self.known: dict[str, None] = {}
        self.met: set[str] = set()  # columns that some record had
        self.clocks: set[str] = set()
        self._settled = not self.seeks and (not any(map(is_glob, fields)) if fields else not watch)
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
        if name in self.reserved or name in self.clocks or matches(name, self.exclude):
            return False
        if self.fields or not self.watch:
            return matches(name, self.fields)
        return measures(name)

    def number(self, name: str, value: float) -> None:
        """A record has a number under this name: open its column, or say why not."""
        if name in self.met or not self.wants(name):
            return
        if name in self.columns:
            self.met.add(name)
        elif name in self._named:
            return
        elif not self.fields and holds_times(name, value):
            self._no_measure(name)
        elif self.frozen:
            self._say(name, f"{name}: first seen after {DISCOVERY:,} records, not watched; name it with --field")
        elif len(self.columns) >= self.max_fields:
            self._say(name, f"{name}: more than {self.max_fields} fields, not watched (--max-fields, --exclude)")
        else:
            self.columns = [*self.columns, name]
            self.met.add(name)
            self.candidates[name] = None

    def _no_measure(self, name: str) -> None:
        if len(self.clocks) < MOST_NAMES:
            self.clocks.add(name)
            self._wanted[name] = False

    def text(self, name: str, value: str | bool) -> None:
        """A record has a text, or true or false, under this name: open its column where that is a category."""
        column = column_of(name)
        if column in self.met:
            return
        if column in self.columns:
            self.met.add(column)
        elif self.seeks and not self.frozen and len(self.columns) < self.max_fields and self._repeats(name, value):
            self.columns = [*self.columns, column]
            self.met.add(column)

    def forget_texts(self) -> bool:
        """Look for no more texts that repeat; whether they were looked for."""
        found = self.finds
        if found:
            self.finds = self.seeks = False
        return found

    def _repeats(self, name: str, value: str | bool) -> bool:
        if name not in self.candidates:
            none = name in self.reserved or name in self.columns or matches(name, self.exclude)
            if self.finds:
                none = none or not measures(name) or sum(map(is_text, self.columns)) >= MOST_TEXTS
            else:
                none = none or not matches(name, self.texts)
            if none and len(self.candidates) >= MOST_NAMES:
                return False
            self.candidates[name] = None if none else (0, [])
        found = self.candidates[name]
        if found is None or not self.finds:
            return found is not None
        if isinstance(value, str) and (not cell(value)[1] or math.isfinite(times.seconds(value))):
            self.candidates[name] = None  # numbers and times
            return False
        count, seen = found[0] + 1, found[1]
        own = category(key_text(value))
        if own not in seen:
            seen = [*seen, own]  # a snapshot keeps the old one
        self.candidates[name] = (count, seen) if len(seen) <= DISCOVERY // REPEATS else None
        if not self.alone and len(self.columns) == 1 and not is_text(self.columns[0]):
            return False  # it may be a series
        return count >= max(LEAST_SEEN, REPEATS * len(seen)) and PRESENT * count > self.records

    def _say(self, name: str, message: str) -> None:
        name = name[:LONGEST_NAME]
        if name not in self._named and len(self._named) < MOST_NAMES:
            self._named.add(name)
            self._messages.append(message)

    def learn(self, name: str) -> None:
        """A record has this leaf, whatever its value."""
        if len(self.known) < MOST_NAMES and len(name) <= LONGEST_NAME:
            self.known[name] = None

    def refuse(self, name: str, problem: str) -> None:
        """A column that was just opened cannot be taken; it is not opened again."""
        self.columns = [each for each in self.columns if each != name]
        self.exclude.append(field_of(name))
        self._wanted.pop(name, None)
        self._say(name, f"{field_of(name)}: not watched: {problem}")

    def drain(self) -> list[str]:
        """Messages since the last call."""
        messages, self._messages = self._messages, []
        return messages

    def say(self, message: str) -> None:
        """Something a format has to tell, once."""
        self._say(message, message)

    def came(self, name: str) -> None:
        """Some record has this field, which is taken from records beside the columns."""
        self.known[name] = None

    def has(self, name: str) -> bool:
        """Whether some record had the field, something inside of it, or a field that the pattern fits."""
        if name in self.known or name in self.met or column_of(name) in self.met:
            return True
        inside = (name + ".", name + "[")
        return any(seen.startswith(inside) or matches(seen, [name]) for seen in self.names())

    def fits(self, pattern: str) -> bool:
        """Whether some field itself is called so, or the pattern fits it."""
        return any(matches(seen, [pattern]) for seen in self.names())

    def names(self) -> list[str]:
        """Every field met so far; not more than `MOST_NAMES`, by and large."""
        return list(dict.fromkeys([*self.known, *map(field_of, sorted(self.met))]))

    @property
    def crowded(self) -> bool:
        """Whether there may be fields that are not remembered."""
        return len(self.known) >= MOST_NAMES

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain JSON values."""
        if self.candidates and self.frozen:
            self.candidates = {}
        return {
            "candidates": dict(self.candidates),
            "columns": self.columns,
            "records": self.records,
            "known": list(self.known),
            "met": sorted(self.met),
            "clocks": sorted(self.clocks),
            "memory": dict(self.memory),
        }

    def mark(self) -> Any:
        """This moment, for `back`; once the columns are settled, little can change that matters."""
        return (self.records, dict(self.memory)) if self.frozen else self.snapshot()

    def back(self, mark: Any) -> None:
        """Go back to the moment of a mark."""
        if type(mark) is dict:
            self.restore(mark)
        else:
            self.records = mark[0]
            self.memory.clear()
            self.memory.update(mark[1])

    def restore(self, saved: dict[str, Any]) -> None:
        """Go back to a snapshot."""
        self.columns, self.records = list(saved["columns"]), int(saved["records"])
        self.known, self.met = dict.fromkeys(saved["known"]), set(saved["met"])
        self.clocks = set(saved["clocks"])
        self._wanted.clear()
        self.candidates = {name: each and (each[0], list(each[1])) for name, each in saved["candidates"].items()}
        self.memory.clear()  # formats hold on to it
        self.memory.update(saved["memory"])
