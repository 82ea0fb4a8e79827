"""What the detector makes for a block: its rows, room for new keys, their seeds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from clipdetect.components import Rows


def padded(old: np.ndarray | None, shape: tuple[int, ...], dtype: Any, used: int) -> np.ndarray:
    """Zeros of `shape` with `old` in the leading corner, its first `used` rows."""
    if old is not None and old.shape == shape:
        return old
    new = np.zeros(shape, dtype)
    if old is not None:
        corner = tuple(slice(0, min(a, b)) for a, b in zip(old.shape, shape, strict=True))
        corner = (slice(0, min(used, old.shape[0])), *corner[1:])
        new[corner] = old[corner]
    return new


def block_of(
    X: np.ndarray,
    time: np.ndarray | None,
    label: np.ndarray | None,
    learn: np.ndarray | bool,
    widen: np.ndarray | None,
) -> Rows:
    """The rows of a block, none of which restarts anything. Only X (n, d) may still be the caller's own array."""
    n = len(X)
    return Rows(
        X,
        np.full(n, np.nan) if time is None else np.array(time, np.float64),
        np.full(n, np.nan) if label is None else np.array(label, np.float64),
        np.array(np.broadcast_to(learn, n), dtype=bool),
        np.zeros(n, bool),
        None if widen is None else np.array(widen, np.float64),
    )


def copies(columns: Mapping[str, np.ndarray] | None, dtype: Any) -> dict[str, np.ndarray]:
    """(n,) arrays by name, the detector's own."""
    return {name: np.array(each, dtype) for name, each in (columns or {}).items()}


def seed_of(seed: int, component: str, key: str) -> int:
    """The seed of a component's random choices for a key: 31 bits."""
    text = f"{seed}\0{component}\0{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little") & 0x7FFFFFFF
