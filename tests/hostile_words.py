"""Words that are hard on a regular expression, made from the expression itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

PARSER: Any = re._parser  # type: ignore[attr-defined]
SINGLE = ("LITERAL", "NOT_LITERAL", "IN", "ANY")  # items of one character
MOST_PREFIXES, MOST_PIECES, MOST_UNITS = 16, 12, 24
ALPHABET = [chr(i) for i in range(32, 127)] + ["\t", "\n", "\x00", "\u00e9"]


class Word(NamedTuple):
    """A text that can be made of any length: a lead-up, parts again and again, an end."""

    prefix: str
    units: tuple[str, ...]
    end: str

    def text(self, n: int) -> str:
        """Of about n characters."""
        size = n // len(self.units)
        return self.prefix + "".join(unit * max(1, size // len(unit)) for unit in self.units) + self.end


class Expression:
    """The parts of a compiled pattern.

    alphabet : one character for each way in which the pattern's classes tell characters apart.
    prefixes : texts that lead up to each of its parts. units : the alphabet, and texts that its parts fit.
    """

    def __init__(self, pattern: re.Pattern) -> None:
        text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
        flags = pattern.flags & ~re.UNICODE
        self.tree = PARSER.parse(text, flags)
        self.flags = flags & (re.ASCII | re.IGNORECASE)
        self.groups: dict[int, str] = {}
        self._sets: dict[str, frozenset[str]] = {}
        self._collect(self.tree)
        seen: dict[tuple[bool, ...], str] = {}
        for char in ALPHABET:
            seen.setdefault(tuple(char in each for each in self._sets.values()), char)
        self.alphabet = list(seen.values())
        prefixes: dict[str, None] = {"": None}
        pieces: dict[str, None] = {}
        self._walk(self.tree, "", prefixes, pieces)
        self.prefixes = _spread(list(prefixes), MOST_PREFIXES)
        self.units = list(dict.fromkeys(each for each in [*self.alphabet, *_spread(list(pieces), MOST_PIECES)] if each))

    def _members(self, op: Any, value: Any) -> frozenset[str]:
        """The characters of the alphabet that one item fits."""
        key = f"{op} {value}"
        if key not in self._sets:
            self._sets[key] = frozenset(char for char in ALPHABET if self._fits(op, value, char))
        return self._sets[key]

    def _fits(self, op: Any, value: Any, char: str) -> bool:
        name = str(op)
        if name in ("LITERAL", "NOT_LITERAL"):
            same = chr(value) == char or (bool(self.flags & re.IGNORECASE) and chr(value).lower() == char.lower())
            return same == (name == "LITERAL")
        if name == "ANY":
            return True
        negated, found = False, False
        for kind, each in value:
            if str(kind) == "NEGATE":
                negated = True
            elif str(kind) == "RANGE":
                swapped = [char, char.swapcase()] if self.flags & re.IGNORECASE else [char]
                found = found or any(each[0] <= ord(one) <= each[1] for one in swapped)
            elif str(kind) == "CATEGORY":
                code = {"DIGIT": "d", "SPACE": "s", "WORD": "w"}[str(each).rsplit("_", 1)[1]]
                code = code.upper() if "_NOT_" in str(each) else code
                found = found or re.match(f"\\{code}", char, self.flags & re.ASCII) is not None
            else:
                found = found or self._fits(kind, each, char)
        return found != negated

    def _collect(self, tree: Any) -> None:
        for op, value in tree:
            if str(op) in SINGLE:
                self._members(op, value)
            for inner in _inside(op, value):
                self._collect(inner)

    def sample(self, tree: Any) -> str:
        """A text that the expression fits, the shortest where that is easy; lookarounds are not looked at."""
        return "".join(self._one(op, value) for op, value in tree)

    def _one(self, op: Any, value: Any) -> str:
        name = str(op)
        if name == "LITERAL":
            return chr(value)
        if name in ("IN", "NOT_LITERAL", "ANY"):
            members = self._members(op, value)
            return next((each for each in "a1-. x" if each in members), min(members, default=""))
        if name == "SUBPATTERN":
            self.groups[value[0]] = self.sample(value[-1])
            return self.groups[value[0]]
        if name == "GROUPREF":
            return self.groups.get(value, "")
        if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            return self.sample(value[2]) * max(1, min(value[0], 8))
        if name == "BRANCH":
            return self.sample(value[1][0])
        if name == "ATOMIC_GROUP":
            return self.sample(value)
        return ""

    def _walk(self, tree: Any, before: str, prefixes: dict[str, None], pieces: dict[str, None]) -> None:
        """Everything that can stand before a part, and the parts."""
        for op, value in tree:
            own = self._one(op, value)
            name = str(op)
            if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
                prefixes[before] = None
                pieces[self.sample(value[2])] = None
                self._walk(value[2], before, prefixes, pieces)
            elif name == "BRANCH":
                prefixes[before] = None
                for each in value[1]:
                    pieces[self.sample(each)] = None
                    self._walk(each, before, prefixes, pieces)
            elif name == "SUBPATTERN":
                pieces[own] = None
                self._walk(value[-1], before, prefixes, pieces)
            elif name == "ATOMIC_GROUP":
                self._walk(value, before, prefixes, pieces)
            before += own
        prefixes[before] = None
        pieces[before] = None

    def daring(self) -> bool:
        """Whether it has an atomic group, or a possessive repeat of several items: early 3.11 matches some wrongly."""

        def found(tree: Any) -> bool:
            return any(
                str(op) == "ATOMIC_GROUP"
                or (str(op) == "POSSESSIVE_REPEAT" and (len(value[2]) > 1 or str(value[2][0][0]) not in SINGLE))
                or any(map(found, _inside(op, value)))
                for op, value in tree
            )

        return found(self.tree)

    def words(self) -> Iterator[Word]:
        """Lead-up, a part or two again and again, and an end that fails."""
        units = self.units
        for prefix, unit, end in product(self.prefixes, units, ["", "\x00", "!", *self.alphabet[:2]]):
            yield Word(prefix, (unit,), end)
        for first, second in product(_spread(units, MOST_UNITS), repeat=2):
            yield Word("", (first + second,), "\x00")
            for prefix in self.prefixes[:3]:
                yield Word(prefix, (first, second), "\x00")


def _inside(op: Any, value: Any) -> list[Any]:
    name = str(op)
    if name == "SUBPATTERN":
        return [value[-1]]
    if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        return [value[2]]
    if name == "BRANCH":
        return list(value[1])
    if name in ("ASSERT", "ASSERT_NOT"):
        return [value[1]]
    return [value] if name == "ATOMIC_GROUP" else []


def _spread(values: list[str], most: int) -> list[str]:
    """At most so many of them, from all over the list."""
    if len(values) <= most:
        return values
    return [values[i * len(values) // most] for i in range(most)]
