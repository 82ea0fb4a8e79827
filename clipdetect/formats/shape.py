"""The shape of a text: what is left of a line without its variable parts."""

from __future__ import annotations

import re

_VARIABLE = re.compile(r"\S*[0-9]\S*")


def shape(text: str) -> str:
    """The text with every word that holds a digit replaced by `<*>`."""
    return _VARIABLE.sub("<*>", text)
