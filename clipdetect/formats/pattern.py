"""Lines in a layout of the user's own: a regular expression with named groups."""

from __future__ import annotations

from typing import Any

from clipdetect.formats.extract import compiled, typed
from clipdetect.formats.log_lines import LogLines
from clipdetect.formats.objects import Unreadable
from clipdetect.formats.select import Selection
from clipdetect.records import FormatOptions

__all__ = ["Pattern"]


class Pattern(LogLines):
    """Lines read by `--pattern`, a regular expression that must fit from the line's start.

    Each named group that takes part is a field, numbers as numbers; the group `time` is the time.

    An expression with nested repetition, such as `(a+)+$`, can take exponential time on a line that
    almost fits; a hostile line then holds the stream up, until a signal ends the run. Prefer `[^ ]+` to `.+`.
    """

    name = "pattern"

    def __init__(self, options: FormatOptions, selection: Selection) -> None:
        super().__init__(options, selection)
        self.match = compiled(options.pattern, "--pattern").match

    def read(self, text: str) -> dict[str, Any]:
        found = self.match(text)
        if found is None:
            raise Unreadable("does not fit the pattern", "does not fit --pattern")
        return {name: typed(value) for name, value in found.groupdict().items() if value is not None}
