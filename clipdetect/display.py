"""The people's side: messages, counters, summary and progress, on stderr only."""

from __future__ import annotations

import os
import stat
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from clipdetect.numerics.durations import span
from clipdetect.printable import printable
from clipdetect.source import Interrupted, writing
from clipdetect.streams import silence

if TYPE_CHECKING:
    from clipdetect.records import Problem, ValueProblem

When = Literal["auto", "always", "never"]
PROGRESS_AFTER = 1.0  # seconds before a progress line appears
PROGRESS_EVERY = 0.2  # seconds between its updates
LONGEST_NAME = 24  # characters of a path that are shown while it is read
LEAST_SHARE = 0.02  # of a file, from which on it is said how long the rest will take


class Reading(Protocol):
    """What is being read. share : how much of it, where that is known."""

    @property
    def name(self) -> str: ...

    @property
    def share(self) -> float | None: ...


class Talk:
    """Everything said to a person.

    quiet : errors only. verbose : also what is watched, and the summary at the end.
    color : `auto` means on a terminal, and not under NO_COLOR or TERM=dumb.
    progress : `auto` means on a terminal on which no output of ours can stand, and not under CI.
    file : which of how many files is being read.
    """

    def __init__(self, quiet: bool, verbose: bool, color: When, progress: When) -> None:
        self.quiet, self.verbose = quiet, verbose
        self.terminal = sys.stderr is not None and sys.stderr.isatty()
        self.when = color
        self.color = self.paints(2)
        self._asked = progress == "always"
        idle = progress == "auto" and self.terminal and not quiet and "CI" not in os.environ
        self.shows_progress = self._asked or (idle and apart())
        self.file = (1, 1)
        self.started = time.monotonic()
        self.kinds: Counter[str] = Counter()  # unreadable records and values by kind
        self.unreadable: Counter[str] = Counter()  # of these, the records
        self.faults = 0  # of these, the program's own
        self._first: dict[str, str] = {}
        self._status: Any = None
        self._updated = 0.0

    def paints(self, fd: int) -> bool:
        """Whether colours go to a file descriptor."""
        if self.when != "auto":
            return self.when == "always"
        if os.environ.get("FORCE_COLOR"):
            return True
        plain = "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
        return on_terminal(fd) and not plain

    def error(self, message: str) -> None:
        """Something failed; said even with `--quiet`."""
        self._line(message, "red")

    def note(self, message: str) -> None:
        """Something to know."""
        if not self.quiet:
            self._line(message, "yellow")

    def detail(self, message: str) -> None:
        """Said with `--verbose` only."""
        if message and self.verbose and not self.quiet:
            self._line(message, "dim")

    def _line(self, message: str, style: str) -> None:
        if sys.stderr is None:  # closed by the caller
            return
        text = "clipdetect: " + printable(message)
        codes = {"red": "\x1b[31m", "yellow": "\x1b[33m", "dim": "\x1b[2m"}
        if self._status is not None:
            self._status.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)
            return
        try:
            with writing:
                print(f"{codes[style]}{text}\x1b[0m" if self.color else text, file=sys.stderr, flush=True)
        except OSError:
            pass  # nobody reads stderr; the records matter more
        except Interrupted:
            silence(2)  # likewise; the end comes at the next wait for input

    def problems(self, source: str, records: Sequence[Problem], values: Sequence[ValueProblem] = ()) -> None:
        """Count unreadable records and values; name the first of each kind with file and line."""
        for problem in records:
            self.unreadable[problem.kind] += 1
            self.faults += problem.fault
            where = f"{source}:{problem.line}" if problem.line else source
            self._named(problem.kind, 1, f"{where}: {problem.message or problem.kind}", problem.fault)
        for value in values:
            self._named(value.kind, value.count, f"{source}:{value.line}: {value.field}: {value.message or value.kind}")

    def _named(self, kind: str, count: int, first: str, fault: bool = False) -> None:
        if kind not in self._first:
            self._first[kind] = first
            (self.error if fault else self.note)(first)
        self.kinds[kind] += count

    @property
    def seconds(self) -> float:
        """How long the run has taken so far."""
        return time.monotonic() - self.started

    def writes(self) -> None:
        """Records are about to go out: on their way to a screen they must not meet the progress line."""
        if self.shows_progress and not self._asked and on_terminal(1):
            self.close()
            self.shows_progress = False

    def progress(self, records: int, flagged: int, source: Reading) -> None:
        """Keep the progress line up to date; appears only after a second."""
        if not self.shows_progress or self.seconds < PROGRESS_AFTER or self.seconds - self._updated < PROGRESS_EVERY:
            return
        self._updated = passed = self.seconds
        from rich.text import Text

        text = Text(self._reading(source, passed, records, flagged), no_wrap=True, overflow="ellipsis")
        if self._status is None:
            from rich.console import Console

            self._status = Console(stderr=True).status(text)
            self._status.start()
        self._status.update(text)

    def _reading(self, source: Reading, passed: float, records: int, flagged: int) -> str:
        """What is read, how far, and what was found so far."""
        place, of = self.file
        name = printable(source.name)
        name = name if len(name) <= LONGEST_NAME else "..." + name[3 - LONGEST_NAME :]
        name += f" ({place} of {of})" if of > 1 else ""
        share = source.share
        done = name if share is None else f"{share:.0%} of {name}"
        if share is not None and of == 1 and share >= LEAST_SHARE:
            done += f", {span(max(1.0, round(passed / share - passed)))} left"
        return f"{done}: {records:,} records, {flagged:,} flagged, {records / passed:,.0f} a second"

    def close(self) -> None:
        """Take the progress line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def summary(self, lines: list[str], closing: str) -> None:
        """At the end: what could not be read; on a terminal the run in a line; with `--verbose` the rest."""
        for kind, count in self.kinds.items():
            if count > 1:
                what = "records" if kind in self.unreadable else "values"
                self.note(f"{count:,} {what}: {kind} (first: {self._first[kind].split(': ')[0]})")
        if self.terminal and not self.quiet:
            self._line(closing, "dim")
            lines = lines[1:]  # it says the first one
        for line in lines:
            self.detail(line)


def on_terminal(fd: int) -> bool:
    """Whether a file descriptor is a terminal."""
    try:
        return os.isatty(fd)
    except OSError:  # closed
        return False


def apart() -> bool:
    """Whether stdout cannot disturb what stands on the screen: a file, /dev/null, or the screen itself, still empty.

    A pipe may end on the same screen: `| head`, `| less`.
    """
    try:
        there = os.fstat(1)
        return stat.S_ISREG(there.st_mode) or os.path.samestat(there, os.stat(os.devnull)) or os.isatty(1)
    except OSError:
        return False
