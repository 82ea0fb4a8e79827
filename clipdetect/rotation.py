"""Where a log that was being read is now: recognising a file after rotation, under whatever name.

A file is recognised by its inode number together with its *mark*, a hash of the bytes just before
the place up to which it was read; a copy (as `copytruncate` makes) by name, age and mark alone.
Nothing is taken on a guess: where two files would do, none is taken.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

MARK = 1024  # bytes before a place that are hashed
COMPRESSED = (".gz", ".zst", ".bz2", ".xz", ".lz4", ".Z")
SUFFIX = re.compile(r"([.\-_])(\d[\d.\-_:T]*)")
INDEX_DIGITS = 4  # `.1` to `.9999` count generations, the newest is the lowest; longer ones are dates

LOOKS = 5  # at a folder in which names may be changing at this moment

Identity = tuple[int, int]  # device and inode number


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file, as it is saved: plain JSON values.

    offset : bytes up to here have been given. line : number of the line that begins there, from 1.
    mark : hash of up to 1 KiB before `offset`. mtime : of the file when last read. [ns]
    file : its path then, links resolved. inside : the place is within an over-long line.
    """

    device: int
    inode: int
    offset: int
    line: int
    mark: str
    mtime: int
    file: str
    inside: bool = False


class Found(NamedTuple):
    """A file that was recognised: open, its path, and up to 1 KiB before the place in it."""

    fd: int
    file: str
    before: bytes


def mark_of(data: bytes) -> str:
    """The hash of the bytes before a place."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def identity(status: os.stat_result) -> Identity:
    """What tells files of one moment apart."""
    return status.st_dev, status.st_ino


def open_regular(path: str) -> int:
    """A descriptor for reading a regular file, never waiting. Raises OSError, for anything else too."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        raise OSError(0, unfit(mode))
    return fd


def unfit(mode: int) -> str:
    """Why something that is no regular file cannot be followed."""
    if stat.S_ISDIR(mode):
        return "a directory; name the files in it"
    if stat.S_ISFIFO(mode):
        return "a pipe; read it without --follow, it is followed anyway"
    return "not a regular file; only files can be followed"


def recognised(fd: int, position: Position) -> bytes | None:
    """The bytes before the place where they are in this file, at that place; else None."""
    size = min(position.offset, MARK)
    before = os.pread(fd, size, position.offset - size)
    return before if len(before) == size and mark_of(before) == position.mark else None


def find(position: Position, path: str, held: set[Identity]) -> Found | None:
    """The file that was read up to `position`, or the only copy of it; None where neither is there.

    path : absolute path that is followed. held : files that are read already.
    The device is not asked for: its number may change at a restart of the machine.
    Cost: a look at every entry of the path's folder.
    """
    for each in (path, position.file):
        found = _fitting(each, position, held, position.inode)
        if found is not None:
            return found
    folders = dict.fromkeys(os.path.dirname(each) for each in (path, os.path.realpath(path), position.file))
    for entry in (entry for _ in range(LOOKS) for folder in folders for entry in _entries(folder)):
        named = position.offset > 0 or _rank(entry.name, os.path.basename(path)) is not None
        if named and entry.inode() == position.inode:  # without a byte read, the number alone may be another file's
            found = _fitting(entry.path, position, held, position.inode)
            if found is not None:
                return found
    return find_copy(position, path, held)


def find_copy(position: Position, path: str, held: set[Identity]) -> Found | None:
    """The one uncompressed file named like a generation of `path` that has these bytes.

    It must have been written to since `position` was. The path itself is taken for a copy (a log
    moved to another disk, edited in place) only where the mark is a full KiB.
    """
    if not position.offset:
        return None
    found: dict[Identity, Found] = {}
    names = [entry.path for entry, compressed in _generations(path, position.mtime) if not compressed]
    for each in names + ([path] if position.offset >= MARK else []):
        copy = _fitting(each, position, held | set(found), None)
        if copy is not None:
            found[identity(os.fstat(copy.fd))] = copy
    if len(found) == 1:
        return next(iter(found.values()))
    for copy in found.values():
        os.close(copy.fd)
    return None


def between(file: Identity, mtime: int, path: str) -> tuple[list[tuple[int, str]], list[str]]:
    """Generations of `path` that are newer than `file`, oldest first, open; and names of those that cannot be read.

    Only where both the name and the age say that a generation is newer, so nothing where `file` has
    no generation's name (`app.log.1`, `app.log-20260301`, `app-20260301.log`, ...).
    """
    newer: list[os.DirEntry[str]] = []
    for _ in range(LOOKS):
        newer, opened = _newer_than(file, mtime, path), []
        plain = [entry for entry in newer if _unpacked(entry.name) == entry.name]
        for entry in plain:
            try:
                opened.append((open_regular(entry.path), entry.path))
            except OSError:
                break
        if [os.fstat(fd).st_ino for fd, _ in opened] == [entry.inode() for entry in plain]:
            return opened, [entry.name for entry in newer if entry not in plain]
        for fd, _ in opened:  # a renaming came between
            os.close(fd)
    return [], [entry.name for entry in newer]


def _newer_than(file: Identity, mtime: int, path: str) -> list[os.DirEntry[str]]:
    """By the names and inode numbers of one moment."""
    folder, base = os.path.split(path)
    ranks = {entry: _rank(_unpacked(entry.name), base) for entry in _entries(folder) if entry.name != base}
    own = next((rank for entry, rank in ranks.items() if rank is not None and entry.inode() == file[1]), None)
    if own is None:
        return []
    found = []
    for entry, rank in ranks.items():
        if rank is None or rank[0] != own[0] or rank[1] <= own[1]:
            continue
        try:
            young = os.stat(entry.path, follow_symlinks=False).st_mtime_ns >= mtime
        except OSError:
            young = True  # renamed at this moment, which opening it will show
        if young:
            found.append((rank, entry.name, entry))
    return [entry for _, _, entry in sorted(found)]


def newer(path: str, mtime: int) -> list[str]:
    """Names of all generations of `path` written to since `mtime`, compressed or not."""
    return sorted(entry.name for entry, _ in _generations(path, mtime))


def _fitting(path: str, position: Position, held: set[Identity], inode: int | None) -> Found | None:
    """The file at `path` where it is the one (of this inode) that was read."""
    try:
        there = os.stat(path)
        if (inode is not None and there.st_ino != inode) or identity(there) in held:
            return None
        fd = open_regular(path)
    except OSError:
        return None
    try:
        status = os.fstat(fd)
        if (inode is None or status.st_ino == inode) and identity(status) not in held:
            before = recognised(fd, position)
            if before is not None:
                return Found(fd, path, before)
    except OSError:
        pass
    os.close(fd)
    return None


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder or ".") as entries:
            yield from entries
    except OSError:
        return


def _generations(path: str, mtime: int) -> Iterator[tuple[os.DirEntry[str], bool]]:
    """Regular files beside `path` named like its generations, modified since; and whether they are compressed."""
    folder, base = os.path.split(path)
    for entry in _entries(folder):
        name = _unpacked(entry.name)
        if entry.name == base or _rank(name, base) is None:
            continue
        try:
            status = entry.stat(follow_symlinks=False)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and status.st_mtime_ns >= mtime:
            yield entry, name != entry.name


def _unpacked(name: str) -> str:
    return next((name[: -len(end)] for end in COMPRESSED if name.endswith(end)), name)


def _rank(name: str, base: str) -> tuple[tuple[str, ...], tuple[int, str]] | None:
    """How a generation is named, and its place among those named alike, newest highest; None for other names.

    >>> _rank("app.log.2", "app.log"), _rank("app-20260301.log", "app.log"), _rank("app-error.log", "app.log")
    ((('app.log', '', '.', 'index'), (-2, '')), (('app', '.log', '-', 'date'), (0, '20260301')), None)
    """
    stem, extension = os.path.splitext(base)
    for front, back in ((base, ""), (stem, extension)):
        if name.startswith(front) and name.endswith(back) and len(name) > len(front) + len(back):
            found = SUFFIX.fullmatch(name[len(front) : len(name) - len(back)])
            if found:
                joint, text = found.groups()
                if text.isdigit() and len(text) <= INDEX_DIGITS:
                    return (front, back, joint, "index"), (-int(text), "")
                return (front, back, joint, "date"), (0, text)
    return None
