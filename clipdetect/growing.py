"""One file that grows: reading on, and noticing that what was read before is gone."""

from __future__ import annotations

import os
from dataclasses import replace

from clipdetect.rotation import MARK, Found, Position, identity, mark_of


class Truncated(Exception):
    """What was read before is not in the file any more."""


class GrowingFile:
    """One incarnation of a file, open at `offset`, the end of what was given from it.

    `rest` has been read and not been given: a line without its end. Memory: `rest` and 1 KiB.

    fd : taken over. file : its path, links resolved. now : seconds of any clock. start : where to go on.
    before : up to 1 KiB before that.
    """

    def __init__(self, fd: int, file: str, now: float, start: Position | None = None, before: bytes = b"") -> None:
        status = os.fstat(fd)
        self.fd, self.file = fd, file
        self.identity = identity(status)
        self.offset, self.line, self.inside = (start.offset, start.line, start.inside) if start else (0, 1, False)
        self.before = before  # up to 1 KiB before offset
        self.rest = bytearray()
        self.seen = (-1, start.mtime if start else status.st_mtime_ns)  # size and time at the last read
        self.active = now  # when bytes last came
        self.left: float | None = None  # since when something else is at its path, or it is deleted
        self.deleted = False
        self.drained = False  # read to its end since then
        self.over = False  # nothing more can come
        self.copy = False  # made by rotation: nobody writes to it
        self.hollow = False  # emptied under a writer who may go on at his old place, after zeros
        self.refused = False  # compressed

    @property
    def place(self) -> int:
        """Bytes read."""
        return self.offset + len(self.rest)

    def known(self) -> bytes:
        """Up to 1 KiB before the place."""
        return bytes(self.rest[-MARK:]) if len(self.rest) >= MARK else (self.before + self.rest)[-MARK:]

    def read(self, size: int, now: float) -> bytes:
        """Up to `size` bytes more. Raises Truncated, OSError."""
        status = os.fstat(self.fd)
        seen = (status.st_size, status.st_mtime_ns)
        self.deleted = not status.st_nlink
        if self.left is None and self.deleted:
            self.left = now
        if self.refused or (seen == self.seen and status.st_size == self.place):
            return b""
        known = self.known()
        data = os.pread(self.fd, len(known) + size, self.place - len(known))
        if status.st_size < self.place or data[: len(known)] != known:
            raise Truncated
        self.seen = seen
        return data[len(known) :]

    def skip_zeros(self, data: bytes) -> bytes:
        """Without the hole that an emptied file has before a writer's old place."""
        kept = data.lstrip(b"\0")
        skipped = len(data) - len(kept)
        self.offset += skipped
        self.before = (self.before + bytes(min(skipped, MARK)))[-MARK:]
        self.hollow = not kept
        return kept

    def given(self, size: int) -> bytes:
        """The first `size` bytes of `rest`, which have been given from now on."""
        data = bytes(self.rest[:size])
        del self.rest[:size]
        self.offset += size
        self.before = (self.before + data[-MARK:])[-MARK:]
        self.line += data.count(b"\n")
        self.inside = bool(data) and not data.endswith(b"\n")
        return data

    def position(self) -> Position:
        """After what has been given."""
        mark = mark_of(self.before)
        return Position(*self.identity, self.offset, self.line, mark, self.seen[1], self.file, self.inside)

    def reached(self) -> Position:
        """After what has been read."""
        return replace(self.position(), offset=self.place, mark=mark_of(self.known()))

    def move(self, copy: Found) -> None:
        """Go on in a copy of the file."""
        os.close(self.fd)
        self.fd, self.file, self.identity = copy.fd, os.path.realpath(copy.file), identity(os.fstat(copy.fd))
        self.seen, self.copy = (-1, self.seen[1]), True
