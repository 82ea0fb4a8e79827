"""The key table: which slot of the state arrays belongs to which key, and who leaves when it is full.

Eviction is exactly least recently used, record by record, so it does not depend on how the stream
is cut into blocks. A slot freed in a block is given out again only in the next one, because earlier
rows of the block still point at it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

SOLE_KEY = ""  # the one key of a run without `--by`


class Mark(NamedTuple):
    """A moment of a table: changes logged so far, and its counters."""

    changes: int
    clock: int
    evicted: int


class KeyTable:
    """Key text -> slot, for at most `max_keys` live keys.

    capacity : slots given out so far at the highest, plus one; the state arrays need that many rows.
    evicted : keys dropped since the start (part of the checkpoint).
    """

    def __init__(self, max_keys: int) -> None:
        if max_keys < 1:
            raise ValueError(f"max_keys must be >= 1, got {max_keys}")
        self.max_keys = max_keys
        self.slot_of: dict[str, int] = {}
        self.text: list[str] = []  # by slot
        self.last = np.zeros(64, np.int64)  # by slot: number of the record that used it last
        self.clock = 0
        self.evicted = 0
        self._free: list[int] = []
        self._leaving: list[int] = []  # freed in the current block
        self._oldest: deque[tuple[int, int]] = deque()  # (slot, stamp), oldest first
        self._log: list[tuple[Any, ...]] | None = None

    def __len__(self) -> int:
        return len(self.slot_of)

    @property
    def capacity(self) -> int:
        return len(self.text)

    def assign(self, keys: Sequence[str] | None, n: int) -> tuple[np.ndarray, list[int]]:
        """Slots (n,) int64 of a block's rows, and the slots that are fresh keys in it."""
        if self._leaving:
            self._note("freed", self._leaving)
            self._free.extend(self._leaving)
            self._leaving = []
        if keys is None:
            found: list[int | None] = [self.slot_of.get(SOLE_KEY)]
            keys = [SOLE_KEY] * n if found[0] is None else ()
        else:
            found = list(map(self.slot_of.get, keys))
        if None in found:
            return self._admit(keys)
        slots = np.fromiter(found, np.int64, len(found)) if len(found) == n else np.full(n, found[0], np.int64)
        if self._log is not None:
            self._note("stamps", slots, self.last[slots])
        self.last[slots] = np.arange(self.clock, self.clock + n)  # the last write of a slot wins
        self.clock += n
        return slots, []

    def _admit(self, keys: Sequence[str]) -> tuple[np.ndarray, list[int]]:
        slots, fresh = np.empty(len(keys), np.int64), []
        slot_of = self.slot_of
        for i, key in enumerate(keys):
            slot = slot_of.get(key)
            if slot is None:
                if len(slot_of) >= self.max_keys:
                    self._evict()
                slot = self._take()
                slot_of[key] = slot
                self.text[slot] = key
                fresh.append(slot)
                self._note("in", key)
            self._note("stamps", slot, self.last[slot])
            self.last[slot] = self.clock + i
            slots[i] = slot
        self.clock += len(keys)
        return slots, fresh

    def _take(self) -> int:
        if self._free:
            self._note("reused", self._free[-1])
            return self._free.pop()
        self._note("grown")
        self.text.append("")
        if len(self.text) > len(self.last):
            self.last = np.concatenate([self.last, np.zeros_like(self.last)])
        return len(self.text) - 1

    def _evict(self) -> None:
        """Drop the least recently used key."""
        while True:
            while self._oldest:
                slot, stamp = self._oldest.popleft()
                self._note("passed", slot, stamp)
                if self.last[slot] == stamp and self.slot_of.get(self.text[slot]) == slot:
                    self._note("out", self.text[slot], slot)
                    del self.slot_of[self.text[slot]]
                    self._leaving.append(slot)
                    self.evicted += 1
                    return
            live = np.fromiter(self.slot_of.values(), np.int64, len(self.slot_of))
            stamps = self.last[live]
            some = max(1, len(live) // 8)
            chosen = np.argpartition(stamps, some - 1)[:some] if some < len(live) else np.arange(len(live))
            chosen = chosen[np.argsort(stamps[chosen])]
            self._note("listed", len(chosen))
            self._oldest.extend(zip(live[chosen].tolist(), stamps[chosen].tolist(), strict=True))

    def in_order(self) -> tuple[list[str], np.ndarray]:
        """Live keys and their slots, least recently used first."""
        slots = np.fromiter(self.slot_of.values(), np.int64, len(self.slot_of))
        slots = slots[np.argsort(self.last[slots], kind="stable")]
        return [self.text[slot] for slot in slots.tolist()], slots

    def fill(self, texts: Sequence[str], evicted: int) -> None:
        """Start over with these keys in slots 0, 1, ..., least recently used first."""
        self.__init__(self.max_keys)  # type: ignore[misc]
        self.text = list(texts)
        self.slot_of = {text: slot for slot, text in enumerate(texts)}
        self.last = np.arange(max(len(texts), 64), dtype=np.int64)
        self.clock = len(texts)
        self.evicted = evicted

    # -- going back ---------------------------------------------------------------------------

    def _note(self, *change: Any) -> None:
        if self._log is not None:
            self._log.append(change)

    def begin(self) -> None:
        """Remember from here on what changes, so that `back` can undo it."""
        self._log = []

    def mark(self) -> Mark:
        """This moment, for `back`; after `begin`."""
        return Mark(len(self._log or ()), self.clock, self.evicted)

    def back(self, mark: Mark) -> None:
        """Go back to a moment since the last `begin`: eviction order, slots and live keys are as they were then."""
        log = self._log or []
        while len(log) > mark.changes:
            action, *what = log.pop()
            if action == "stamps":
                self.last[what[0]] = what[1]
            elif action == "in":
                del self.slot_of[what[0]]
            elif action == "out":
                self.slot_of[what[0]] = what[1]
                self.text[what[1]] = what[0]
                self._leaving.pop()
            elif action == "freed":
                self._leaving = what[0]
                del self._free[len(self._free) - len(what[0]) :]
            elif action == "reused":
                self._free.append(what[0])
            elif action == "grown":
                self.text.pop()
            elif action == "passed":
                self._oldest.appendleft((what[0], what[1]))
            else:
                for _ in range(what[0]):
                    self._oldest.pop()
        self.clock, self.evicted = mark.clock, mark.evicted
