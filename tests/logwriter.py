"""A log that is written and rotated as real ones are, and a clock that moves when somebody waits."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterable
from pathlib import Path

from clipdetect.follow import Follower, Piece
from clipdetect.source import Interrupted

MAX_LINE = 1 << 20


class Log:
    """Writes numbered lines to a path and remembers them in `written`, with the newline that each should get."""

    def __init__(self, path: Path, generations: int = 50) -> None:
        self.path, self.generations = path, generations
        self.written: list[bytes] = []
        self.open_line = b""
        self.n = 0
        self.file = path.open("ab", buffering=0)
        self.old = self.file
        self.old_part = -1  # place in `written` of a line that the renamed file has without its end

    def write(self, count: int = 1) -> None:
        for _ in range(count):
            self.n += 1
            end = b"%s:%d;%s\n" % (self.path.name.encode(), self.n, b"x" * (self.n * 7 % 23))
            self.file.write(end)
            self.written.append(self.open_line + end)
            self.open_line = b""

    def part(self) -> None:
        """The beginning of a line."""
        self.n += 1
        text = b"%s:%d part," % (self.path.name.encode(), self.n)
        self.file.write(text)
        self.open_line += text

    def _cut_off(self) -> None:
        if self.open_line:
            self.written.append(self.open_line + b"\n")
            self.open_line = b""

    def _shift(self) -> Path:
        for i in range(self.generations, 0, -1):
            there = self.path.with_name(f"{self.path.name}.{i}")
            if there.exists():
                there.rename(there.with_name(f"{self.path.name}.{i + 1}"))
        return self.path.with_name(f"{self.path.name}.1")

    def rename(self) -> None:
        """Rename and re-create; `old` still writes to the renamed file."""
        self.path.rename(self._shift())
        self.old, self.file = self.file, self.path.open("ab", buffering=0)
        self.old_part = len(self.written) if self.open_line else -1
        self._cut_off()

    def late(self) -> None:
        """A line to the file that was renamed, if there is one."""
        if self.old is self.file:
            self.write()
            return
        self.n += 1
        line = b"%s:%d late\n" % (self.path.name.encode(), self.n)
        self.old.write(line)
        if self.old_part >= 0:
            self.written[self.old_part] = self.written[self.old_part][:-1] + line
            self.old_part = -1
        else:
            self.written.append(line)

    def copytruncate(self) -> None:
        self._shift().write_bytes(self.path.read_bytes())
        os.truncate(self.path, 0)
        self._cut_off()

    def delete(self) -> None:
        self.path.unlink()

    def create(self) -> None:
        self.file = self.path.open("ab", buffering=0)
        self._cut_off()


class Waiting:
    """Stands in for `Signals` and the clock: each wait does the next step of a script, the end interrupts."""

    def __init__(self, steps: Iterable[Callable[[], object]] = (), patience: int = 60) -> None:
        self.steps, self.patience = iter(steps), patience
        self.now, self.report = 0.0, False

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        if seconds == 0.0:
            return
        self.now += seconds
        step = next(self.steps, None)
        if step is not None:
            step()
            return
        self.patience -= 1
        if self.patience < 0:
            raise Interrupted(15)


class Reading:
    """One life of a follower: its pieces, notes, and where it stopped."""

    def __init__(self, paths, steps=(), saved=None, *, read_size=1 << 16, max_line=MAX_LINE, patience=60) -> None:
        self.waiting = Waiting(steps, patience)
        self.notes: list[str] = []
        self.pieces: list[Piece] = []
        names = [str(path) for path in paths]
        self.follower = Follower(names, self.waiting, saved, max_line, self.notes.append, self.waiting.clock)
        self.follower.read_size = read_size

    def run(self, most: int | None = None) -> Reading:
        """Until the script and then the patience is over, or `most` pieces have come."""
        pieces = iter(self.follower)
        try:
            while most is None or len(self.pieces) < most:
                self.pieces.append(next(pieces))
        except Interrupted:
            pass
        finally:
            pieces.close()
        return self

    @property
    def data(self) -> bytes:
        return b"".join(piece.data for piece in self.pieces)

    @property
    def lines(self) -> list[bytes]:
        return self.data.splitlines(keepends=True)

    @property
    def saved(self) -> dict:
        return json.loads(json.dumps(self.follower.position()))


def follow(paths, steps=(), saved=None, **more) -> Reading:
    return Reading(paths, steps, saved, **more).run()


def script(log: Log, seed: int, length: int, kinds: str) -> list[Callable[[], None]]:
    """Random steps: w writes, p part of a line, r rename, c copytruncate, l late line; several at once."""
    chance = random.Random(seed)
    actions = {"w": lambda: log.write(chance.randint(1, 6)), "p": log.part, "r": log.rename}
    actions |= {"c": log.copytruncate, "l": log.late}

    def step() -> None:
        for kind in chance.choices(kinds, k=chance.randint(1, 3)):
            actions[kind]()
            if kind == "c":
                log.write()

    return [step] * length
