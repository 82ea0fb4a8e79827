"""Text that cannot steer a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with control characters, escape sequences and marks that turn the direction of writing made visible."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
