"""State files: versioned, checksummed, replaced atomically, no pickle.

    magic line | 8 bytes length | JSON head | JSON array of keys | raw arrays | 4 bytes CRC-32

All integers are little endian. The head says name, type and shape of each array, and what
configuration the state belongs to; `state_head.py` has its schema. A file is written beside its place, flushed to the
disk and renamed over it, so that a kill at any moment leaves the old file or the new one.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clipdetect import state_head
from clipdetect.errors import StateError
from clipdetect.printable import printable

MAGIC = b"clipdetect state\n"
VERSION = 2  # 2: the head has the layout of the arrays
SAFE_TYPES = ("<f8", "<f4", "<i8", "<i4", "|b1", "|i1")
PIECE = 1 << 24  # bytes written at once
SHOWN = 200  # characters of a setting in a message

Content = tuple[dict[str, Any], Sequence[str], dict[str, np.ndarray]]  # head, keys, arrays


# -- writing ----------------------------------------------------------------------------------


def save(path: str | Path, head: dict[str, Any], keys: Sequence[str], arrays: dict[str, np.ndarray]) -> None:
    """Write a state file in place of `path`. Raises StateError where that fails; the old file stays."""
    try:
        with Draft(path) as draft:
            draft.write((head, keys, arrays))
            draft.publish()
        folder = os.open(draft.target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise unsaved(path, error.strerror) from error


def unsaved(path: str | Path, why: object) -> StateError:
    """What is said where a state cannot be saved."""
    return StateError(f"{path}: cannot save the state: {why}")


class Draft:
    """A state file that is not in its place yet: `.NAME.PID.tmp` beside it, gone on exit unless published.

    It has the old file's mode and, where that is allowed, owner; else those of any new file. A link
    stays a link. Every method raises OSError.
    """

    def __init__(self, path: str | Path) -> None:
        self.target = Path(os.path.realpath(path))
        self.file = self.target.with_name(f".{self.target.name}.{os.getpid()}.tmp")
        self._old = self.target.stat() if self.target.exists() else None
        with contextlib.suppress(OSError):
            self.file.unlink()  # of a process that had our number and was killed
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self.fd = os.open(self.file, flags, 0o666 if self._old is None else 0o600)

    def __enter__(self) -> Draft:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def discard(self) -> None:
        """Remove it, unless it was published."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            with contextlib.suppress(OSError):
                self.file.unlink()

    def write(self, content: Content, between: Callable[[], object] = lambda: None) -> None:
        """All of it, to the disk. between : called from time to time."""
        crc = 0
        with open(self.fd, "wb", closefd=False) as file:
            for part in _parts(*content):
                view = memoryview(part)
                for at in range(0, len(view), PIECE):
                    between()
                    crc = zlib.crc32(view[at : at + PIECE], crc)
                    file.write(view[at : at + PIECE])
            file.write(struct.pack("<I", crc))
        between()
        os.fsync(self.fd)

    def publish(self) -> None:
        """Put what was written in its place."""
        old = self._old
        if old is not None:
            if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                with contextlib.suppress(OSError):
                    os.fchown(self.fd, old.st_uid, old.st_gid)
            os.fchmod(self.fd, old.st_mode & 0o777)
        os.replace(self.file, self.target)
        os.close(self.fd)
        self.fd = -1


def _parts(head: dict[str, Any], keys: Sequence[str], arrays: dict[str, np.ndarray]) -> Iterator[Any]:
    """The bytes of a state file but for its checksum."""
    texts = json.dumps(list(keys), ensure_ascii=True, separators=(",", ":")).encode()
    shapes = [[name, a.dtype.newbyteorder("<").str, list(a.shape)] for name, a in arrays.items()]
    # version, keys, key_bytes and arrays are this module's own; the rest of the head is the caller's
    own = {"version": VERSION, "keys": len(keys), "key_bytes": len(texts), "arrays": shapes}
    text = json.dumps({**head, **own}).encode()
    yield MAGIC + struct.pack("<Q", len(text)) + text
    yield texts
    for array in arrays.values():
        if array.size:
            yield np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8).data


def clear(path: str | Path) -> None:
    """Remove what killed runs left beside a state file, which must be locked."""
    target = Path(os.path.realpath(path))
    left = re.compile(re.escape(f".{target.name}.") + r"[0-9]+\.tmp")
    with contextlib.suppress(OSError):
        for each in os.listdir(target.parent):
            if left.fullmatch(each):
                with contextlib.suppress(OSError):
                    target.with_name(each).unlink()


# -- reading ----------------------------------------------------------------------------------


def load(path: str | Path) -> tuple[dict[str, Any], list[str], dict[str, np.ndarray]]:
    """Head, keys and arrays of a state file. Raises StateError where it is no whole state file.

    Of the head only what says where keys and arrays are is checked; `state_head.check` does the rest.
    """
    try:
        with open(path, "rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise StateError(f"{path}: not a clipdetect state file; move it away or name another with --state")
            data = memoryview(file.read())
    except OSError as error:
        raise StateError(f"{path}: cannot read the state: {error.strerror}") from error
    try:
        if len(data) < 12 or zlib.crc32(data[:-4], zlib.crc32(MAGIC)) != struct.unpack("<I", data[-4:])[0]:
            raise ValueError("wrong checksum")
        data = data[:-4]
        at = 8 + int(struct.unpack("<Q", data[:8])[0])
        head = state_head.parsed(data[8:at])
        version = state_head.version(head)
        if version != VERSION:
            raise StateError(
                f"{path}: state version {version}, this clipdetect reads {VERSION}; "
                "use the release that wrote it, or move the file away"
            )
        place = state_head.where(head)
        keys = state_head.keys(data[at : at + place.key_bytes], place.keys)
        at += place.key_bytes
        arrays: dict[str, np.ndarray] = {}
        for name, dtype, shape in place.arrays:
            if dtype not in SAFE_TYPES or name in arrays:
                raise ValueError(f"array {name!r}: of type {dtype!r}, or twice")
            size = math.prod(shape) * np.dtype(dtype).itemsize
            if size > len(data) - at:
                raise ValueError(f"array {name!r}: longer than the file")
            array = np.frombuffer(data[at : at + size], dtype).reshape(shape)
            arrays[name] = array.astype(array.dtype.newbyteorder("="))  # a writable copy
            at += size
        if at != len(data):
            raise ValueError("longer than its arrays")
    except ValueError as error:
        raise damaged(path, error) from error
    return head, keys, arrays


def damaged(path: str | Path, why: object) -> StateError:
    """What is said of a state file that can be no one's."""
    told = printable(str(why))
    return StateError(f"{path}: the state file is damaged ({told}); restore a copy, or move it away to start afresh")


def read(path: str | Path) -> tuple[dict[str, Any], list[str], dict[str, np.ndarray]]:
    """What a run has saved, the head checked too. Raises StateError."""
    head, keys, arrays = load(path)
    try:
        state_head.check(head)
        moved = arrays.get("key/moved")
        if moved is None or moved.shape != (len(keys),) or moved.dtype != np.float64:
            raise ValueError("it has not one limit for each key")
    except ValueError as error:
        raise damaged(path, error) from error
    return head, keys, arrays


def read_header(path: str | Path) -> dict[str, Any]:
    """version, records, keys, fields and config of a state file, checked whole."""
    head, _, _ = read(path)
    return {name: head[name] for name in ("version", "records", "keys", "fields", "config")}


def check_config(path: str | Path, saved: dict[str, Any], current: dict[str, Any]) -> None:
    """Raises StateError naming every setting in which the two configurations differ."""
    old, new = _flat(saved), _flat(current)
    differ = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if differ:
        told = "; ".join(f"{name} is {_text(old, name)} in the state, {_text(new, name)} now" for name in differ)
        raise StateError(
            f"{path}: the state belongs to another configuration: {printable(told)}. "
            "Use the old settings, or another file with --state"
        )


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in config.items():
        flat.update(_flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value})
    return flat


def _text(flat: dict[str, Any], name: str) -> str:
    text = json.dumps(flat[name]) if name in flat else "absent"
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."
