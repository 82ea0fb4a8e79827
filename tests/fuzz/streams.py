"""A stream: the records of one input, what stands around them, and the fields that flags may name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.fuzz.material import Material

Maker = Callable[[Material, int], "Stream"]
MAKERS: dict[str, Maker] = {}


@dataclass(frozen=True)
class Stream:
    """An input of one format.

    records : each one's own bytes, without what separates them; lines in formats of lines.
    head, between, tail : what stands before the first, between two, and behind the last.
    needs : flags without which the format cannot be read.
    numbers, texts, times : names of fields that flags may ask for; some may be in no record.
    whole : whether head, between and tail are such that each record stands for itself.
    """

    format: str
    records: Sequence[bytes]
    head: bytes = b""
    between: bytes = b"\n"
    tail: bytes = b"\n"
    needs: dict[str, Any] = field(default_factory=dict)
    numbers: Sequence[str] = ()
    texts: Sequence[str] = ()
    times: Sequence[str] = ()
    whole: bool = True

    @property
    def data(self) -> bytes:
        return self.head + self.between.join(self.records) + self.tail

    @property
    def lines(self) -> int:
        return self.data.count(b"\n")

    def of(self, records: Sequence[bytes]) -> Stream:
        """The same with other records."""
        return replace(self, records=tuple(records))


def maker(*names: str) -> Callable[[Callable[[Material, int, str], Stream]], Callable[[Material, int, str], Stream]]:
    """Marks what makes streams of some formats: from the material, the number of records and the format's name."""

    def mark(make: Callable[[Material, int, str], Stream]) -> Callable[[Material, int, str], Stream]:
        for name in names:
            MAKERS[name] = lambda material, n, name=name: make(material, n, name)
        return make

    return mark


def hostility(material: Material) -> float:
    """The share of odd records of a stream: none, a few, many."""
    return material.random.choice((0.0, 0.01, 0.05, 0.3))
