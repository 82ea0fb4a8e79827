"""Fields picked out of a text by regular expressions, and numbers out of words."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from clipdetect.errors import ConfigError

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?\Z")


def typed(text: str) -> Any:
    """A number where the text is one as JSON writes it, of at most 18 digits before the point; else the text.

    So `007`, `+1`, `0x1f`, `1e999` and identifiers of 20 digits stay text, and nothing of them is lost.
    """
    found = _NUMBER.match(text)
    if found is None:
        return text
    if found.lastindex is None:
        return int(text)
    value = float(text)
    return value if math.isfinite(value) else text


def compiled(pattern: str, where: str) -> re.Pattern[str]:
    """A regular expression of the user's, with named groups. Raises ConfigError, naming the flag."""
    try:
        found = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigError(f"{where}: not a regular expression: {error}: {pattern!r}") from None
    if not found.groupindex:
        raise ConfigError(f"{where}: has no named group, such as (?P<user>\\S+): {pattern!r}")
    return found


class Extract:
    """Adds the named groups of the first expression that is found in a text.

    Like every search by expressions with nested repetition, some take exponential time on some
    texts (`(a+)+$`); a signal ends the run even then.

    patterns : regular expressions, tried in order. Raises ConfigError for a bad one.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns = [compiled(each, "--extract") for each in patterns]
        self._searches = [each.search for each in self.patterns]

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def into(self, record: dict[str, Any], text: str) -> None:
        """Add the groups that took part as fields, numbers as numbers; a field of the same name gives way."""
        for search in self._searches:
            found = search(text)
            if found is not None:
                for name, value in found.groupdict().items():
                    if value is not None:
                        record[name] = typed(value)
                return
