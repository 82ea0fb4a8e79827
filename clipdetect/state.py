"""State files: versioned, checksummed, replaced atomically, no pickle.

    magic line | 8 bytes length | JSON head | JSON array of keys | raw arrays | 4 bytes CRC-32

All integers are little endian. The head says name, type and shape of each array, and what
configuration the state belongs to. A file is written beside its place, flushed to the disk and
renamed over it, so that a kill at any moment leaves the old file or the new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from clipdetect.errors import StateError

MAGIC = b"clipdetect state\n"
VERSION = 1
SAFE_TYPES = ("<f8", "<f4", "<i8", "<i4", "|b1", "|i1")


def save(path: str | Path, head: dict[str, Any], keys: Sequence[str], arrays: dict[str, np.ndarray]) -> None:
    """Write a state file in place of `path`. Raises StateError where that fails; the old file stays."""
    path = Path(os.path.realpath(path))  # a link stays a link
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            _write(file, head, keys, arrays)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            os.chmod(temporary, path.stat().st_mode & 0o7777)
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise StateError(f"{path}: cannot save the state: {error.strerror}") from error


def _write(file: BinaryIO, head: dict[str, Any], keys: Sequence[str], arrays: dict[str, np.ndarray]) -> None:
    crc = 0

    def put(data: Any) -> None:
        nonlocal crc
        crc = zlib.crc32(data, crc)
        file.write(data)

    little = {name: np.ascontiguousarray(a, a.dtype.newbyteorder("<")) for name, a in arrays.items()}
    texts = json.dumps(list(keys), ensure_ascii=True, separators=(",", ":")).encode()
    shapes = [[name, a.dtype.str, list(a.shape)] for name, a in little.items()]
    # version, keys, key_bytes and arrays are this module's own; the rest of the head is the caller's
    text = json.dumps({**head, "version": VERSION, "keys": len(keys), "key_bytes": len(texts), "arrays": shapes})
    put(MAGIC + struct.pack("<Q", len(text.encode())) + text.encode())
    put(texts)
    for array in little.values():
        put(array.reshape(-1).view(np.uint8).data if array.size else b"")
    file.write(struct.pack("<I", crc))


def load(path: str | Path) -> tuple[dict[str, Any], list[str], dict[str, np.ndarray]]:
    """Head, keys and arrays of a state file. Raises StateError where it is no whole state file."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise StateError(f"{path}: cannot read the state: {error.strerror}") from error
    if not data.startswith(MAGIC):
        raise StateError(f"{path}: not a clipdetect state file; move it away or name another with --state")
    damaged = StateError(f"{path}: the state file is damaged; restore a copy, or move it away to start afresh")
    if len(data) < len(MAGIC) + 12 or zlib.crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
        raise damaged
    at = len(MAGIC) + 8
    size = struct.unpack("<Q", data[at - 8 : at])[0]
    try:
        head = json.loads(data[at : at + size])
        at += size
        if head["version"] != VERSION:
            raise StateError(
                f"{path}: state version {head['version']}, this clipdetect reads {VERSION}; "
                "use the release that wrote it, or move the file away"
            )
        keys = json.loads(data[at : at + head["key_bytes"]])
        at += head["key_bytes"]
        arrays = {}
        for name, dtype, shape in head["arrays"]:
            if dtype not in SAFE_TYPES:
                raise damaged
            count = int(np.prod(shape, dtype=np.int64))
            array = np.frombuffer(data, dtype, count, at).reshape(shape)
            arrays[name] = array.astype(array.dtype.newbyteorder("="))  # a writable copy
            at += array.nbytes
    except (ValueError, KeyError, TypeError) as error:
        raise damaged from error
    return head, keys, arrays


def read_header(path: str | Path) -> dict[str, Any]:
    """version, records, keys, fields and config of a state file, checked whole."""
    head, _, _ = load(path)
    return {name: head[name] for name in ("version", "records", "keys", "fields", "config")}


def check_config(path: str | Path, saved: dict[str, Any], current: dict[str, Any]) -> None:
    """Raises StateError naming every setting in which the two configurations differ."""
    old, new = _flat(saved), _flat(current)
    differ = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if differ:
        told = "; ".join(f"{name} is {_text(old, name)} in the state, {_text(new, name)} now" for name in differ)
        raise StateError(
            f"{path}: the state belongs to another configuration: {told}. "
            "Use the old settings, or another file with --state"
        )


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in config.items():
        flat.update(_flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value})
    return flat


def _text(flat: dict[str, Any], name: str) -> str:
    return json.dumps(flat[name]) if name in flat else "absent"
