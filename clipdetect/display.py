"""The people's side: messages, counters, summary and progress, on stderr only."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from clipdetect.printable import printable
from clipdetect.source import Interrupted, writing
from clipdetect.streams import silence

if TYPE_CHECKING:
    from clipdetect.records import Problem, ValueProblem

When = Literal["auto", "always", "never"]
PROGRESS_AFTER = 1.0  # seconds before a progress line appears
PROGRESS_EVERY = 0.2  # seconds between its updates


class Talk:
    """Everything said to a person.

    quiet : errors only. verbose : also what is watched, and the summary at the end.
    color, progress : `auto` means on a terminal, and not under CI, NO_COLOR or TERM=dumb.
    """

    def __init__(self, quiet: bool, verbose: bool, color: When, progress: When) -> None:
        self.quiet, self.verbose = quiet, verbose
        terminal = sys.stderr is not None and sys.stderr.isatty()
        self.when = color
        self.color = self.paints(2)
        idle_screen = terminal and not quiet and not sys.stdout.isatty() and "CI" not in os.environ
        self.shows_progress = progress == "always" or (progress == "auto" and idle_screen)
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
        try:
            return os.isatty(fd) and not plain
        except OSError:  # closed
            return False

    def error(self, message: str) -> None:
        """Something failed; said even with `--quiet`."""
        self._line(message, "red")

    def note(self, message: str) -> None:
        """Something to know."""
        if not self.quiet:
            self._line(message, "yellow")

    def detail(self, message: str) -> None:
        """Said with `--verbose` only."""
        if self.verbose and not self.quiet:
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

    def progress(self, records: int, flagged: int, source: str) -> None:
        """Keep the progress line up to date; appears only after a second."""
        now = time.monotonic()
        if not self.shows_progress or now - self.started < PROGRESS_AFTER or now - self._updated < PROGRESS_EVERY:
            return
        self._updated = now
        rate = records / (now - self.started)
        text = f"{printable(source)}: {records:,} records, {flagged:,} flagged, {rate:,.0f} a second"
        if self._status is None:
            from rich.console import Console

            self._status = Console(stderr=True).status(text)
            self._status.start()
        self._status.update(text)

    def close(self) -> None:
        """Take the progress line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def summary(self, lines: list[str]) -> None:
        """At the end: what could not be read, and with `--verbose` the rest."""
        for kind, count in self.kinds.items():
            if count > 1:
                what = "records" if kind in self.unreadable else "values"
                self.note(f"{count:,} {what} {kind}, the first at {self._first[kind].split(': ')[0]}")
        for line in lines:
            self.detail(line)
