"""State files whose checksum is right and whose content is not."""

from __future__ import annotations

import copy
import json
import random
import struct
import zlib
from collections.abc import Iterator
from typing import Any

from clipdetect.state import MAGIC

ODD: list[Any] = [
    None, True, -1, 0, 1, 3.5, 1e308, float("nan"), float("-inf"), 10**30, 1 << 63, "", "x", "\ud800", "\0", "\n", "*",
    [], [[]], {}, {"a": 1}, ["x"], [None], ["rate"], ["rare:field=s"], [["x", "<f8", [10**30]]],
    [["x", "<f8", [0, 1 << 62]]], [["x", "<f8", [-1]]], [["x", "|O", [1]]], [[0, 1, 2]], {"silence": [0, 0]},
]  # fmt: skip


def packed(head: bytes, keys: bytes, body: bytes) -> bytes:
    """A state file of these parts."""
    whole = MAGIC + struct.pack("<Q", len(head)) + head + keys + body
    return whole + struct.pack("<I", zlib.crc32(whole))


def parts(data: bytes) -> tuple[dict[str, Any], bytes, bytes]:
    """Head, keys and arrays of a state file."""
    at = len(MAGIC) + 8
    size = struct.unpack("<Q", data[at - 8 : at])[0]
    head = json.loads(data[at : at + size])
    at += size
    return head, data[at : at + head["key_bytes"]], data[at + head["key_bytes"] : -4]


def with_head(data: bytes, **changes: Any) -> bytes:
    """The file with other values in its head."""
    head, keys, body = parts(data)
    return packed(json.dumps({**head, **changes}).encode(), keys, body)


def forged(data: bytes, chance: random.Random) -> bytes:
    """The file with a few changes somewhere: to what the head says, to the keys, to the arrays, or to their bytes."""
    head, keys, body = parts(data)
    what = chance.random()
    if what < 0.75:
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            head = _changed(head, chance)
    elif what < 0.9:
        found = _changed({"keys": json.loads(keys)}, chance).get("keys", 0)
        keys = json.dumps(found).encode()
        if chance.random() < 0.8:  # else it is noticed soon
            head["key_bytes"] = len(keys)
            head["keys"] = len(found) if isinstance(found, list) else 1
    else:
        at = chance.randrange(len(body))
        body = chance.choice((body[:at], body[at:], body + bytes(8), bytes(len(body))))
    return packed(json.dumps(head).encode(), keys, body)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, each in inner:
        yield from _paths(each, (*path, name))


def _changed(whole: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    whole = copy.deepcopy(whole)
    found = list(_paths(whole))
    if not found:
        return whole
    *way, last = chance.choice(found)
    at: Any = whole
    for name in way:
        at = at[name]
    how = chance.random()
    if how < 0.15:
        del at[last]
    elif how < 0.3 and isinstance(at, list):
        at.insert(chance.randrange(len(at) + 1), copy.deepcopy(chance.choice(at)))
    elif how < 0.4 and isinstance(at, dict):
        at[chance.choice(("x", "", "\ud800", "silence", "open", "seen", "day", "year"))] = chance.choice(ODD)
    elif how < 0.5 and isinstance(at, list):
        chance.shuffle(at)
    elif how < 0.7 and isinstance(at[last], int) and not isinstance(at[last], bool):
        at[last] += chance.choice((-1, 1, 2, -1000, 10**9, 10**18))
    else:
        at[last] = copy.deepcopy(chance.choice(ODD))
    return whole
