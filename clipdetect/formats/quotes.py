"""Where the records of a CSV file end whose cells may be in quotes, and hold newlines there.

Each line is looked at once as the beginning of a record and once as a part of one, whatever it holds and however
the input is cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Literal

State = Literal["closed", "open", "fault"]


def state_after(line: bytes, delimiter: bytes, inside: bool) -> State:
    """Whether quotes are open at the end of a line that begins inside quotes or not; as the strict reader of `csv`."""
    at, end, opening = 0, len(line), delimiter + b'"'
    while True:
        if not inside:
            if line[at : at + 1] == b'"':
                at += 1
            else:
                quote = line.find(opening, at)
                rest = line[at:quote] if quote >= 0 else line[at:].rstrip(b"\r")
                if b"\r" in rest:
                    return "fault"
                if quote < 0:
                    return "closed"
                at = quote + 2
        inside = False
        while True:  # a quote stands twice inside quotes
            quote = line.find(b'"', at)
            if quote < 0:
                return "open"
            at = quote + 1
            if line[at : at + 1] != b'"':
                break
            at += 1
        if line[at : at + 1] == delimiter:
            at += 1
        else:
            return "fault" if line[at:end].strip(b"\r") else "closed"


class Quotes:
    """Joins lines into records.

    limit : a record whose quotes are open is given up when it is longer. [bytes]
    waiting : the lines so far of a record whose quotes are open.
    """

    def __init__(self, delimiter: bytes, limit: int) -> None:
        self.delimiter, self.limit = delimiter, limit
        self.waiting: deque[bytes] = deque()
        self._size = 0  # bytes of these, joined

    def copy(self) -> Quotes:
        """Another one that has come as far."""
        found = Quotes(self.delimiter, self.limit)
        found.waiting, found._size = self.waiting.copy(), self._size
        return found

    def records(self, lines: Iterable[bytes], final: bool = False) -> list[tuple[bytes, int]]:
        """The records that are complete with these lines, and how many lines each has.

        A record whose quotes are never closed, or not as they should be, is its first line alone.
        """
        found: list[tuple[bytes, int]] = []
        for line in lines:
            if not self.waiting:
                self._begin(line, found)
                continue
            state = state_after(line, self.delimiter, True) if b'"' in line else "open"
            if state == "fault":
                self._give_up(found)
                self._begin(line, found)
                continue
            self.waiting.append(line)
            self._size += len(line) + 1
            if state == "closed":
                found.append((b"\n".join(self.waiting), len(self.waiting)))
                self.waiting.clear()
            while self.waiting and self._size > self.limit:
                self._drop(found)
        if final:
            self._give_up(found)
        return found

    def _begin(self, line: bytes, found: list[tuple[bytes, int]]) -> None:
        """A line outside of quotes."""
        if len(line) <= self.limit and self._opens(line):
            self.waiting.append(line)
            self._size = len(line)
        else:
            found.append((line, 1))

    def _opens(self, line: bytes) -> bool:
        return b'"' in line and state_after(line, self.delimiter, False) == "open"

    def _give_up(self, found: list[tuple[bytes, int]]) -> None:
        """Each line is a record: what one of them opens meets the same end, or fault, as what the first opened."""
        found.extend((line, 1) for line in self.waiting)
        self.waiting.clear()

    def _drop(self, found: list[tuple[bytes, int]]) -> None:
        """The first line is a record, and so are those behind it that open no quotes."""
        while self.waiting:
            line = self.waiting.popleft()
            self._size -= len(line) + 1
            found.append((line, 1))
            if self.waiting and self._opens(self.waiting[0]):
                return
