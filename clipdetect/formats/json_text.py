"""The one writer of JSON: any value that was read, any text, as valid JSON; and numbers that keep their own text."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any

import orjson

_TOKENS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*"?|NaN|-?Infinity')
_UNUSUAL = re.compile(  # numbers that a parser and a writer may give back in another spelling
    rb"[0-9]{16}|[0-9.]{17}|[0-9][eE]|[0-9]\.[0-9]*0(?![0-9])|-0(?![.0-9])|0\.0000"
)
_WITHOUT_ZEROS = re.compile(r"([+-]?)(0|[1-9][0-9]*)?(?:\.([0-9]*))?([eE][+-]?[0-9]+)?")
TELEPHONE = 7  # digits
_HOLD = secrets.token_hex(8)  # around the number of a text that is put in afterwards


class Text:
    """JSON text that goes out as it is."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def dumps(value: Any) -> bytes:
    """JSON text of a value: integers of any length, lone surrogates (as escapes), deep nesting; NaN as null.

    >>> dumps({"x": float("nan"), "name": "\\ud800", "id": Text("1.50")})
    b'{"x":null,"name":"\\\\ud800","id":1.50}'
    """
    try:
        return orjson.dumps(value, default=_fragment)
    except TypeError:
        held: list[str] = []

        def hold(each: Any) -> str:
            if not isinstance(each, Text):
                raise TypeError(f"{type(each).__name__} is no JSON value")
            held.append(each.text)
            return f"{_HOLD}{len(held) - 1}"

        text = json.dumps(value, separators=(",", ":"), default=hold)
        text = _TOKENS.sub(lambda token: token[0] if token[0][0] == '"' else "null", text)
        return re.sub(rf'"{_HOLD}([0-9]+)"', lambda found: held[int(found[1])], text).encode()


def _fragment(value: Any) -> Any:
    if isinstance(value, Text):
        return orjson.Fragment(value.text)
    raise TypeError


def exact(line: bytes, record: dict[str, Any]) -> dict[str, Any]:
    """The record of a readable line with numbers that go out as they came: `1.50`, `1e5`, an id of 23 digits."""
    if not _UNUSUAL.search(line):
        return record
    found = json.loads(line.removeprefix(b"\xef\xbb\xbf").decode(), parse_int=_number, parse_float=_number)
    return {name: found.get(name, value) for name, value in record.items()}


def _number(text: str) -> Text:
    return Text(text)


def cell_number(text: str) -> Text | str:
    """A number as CSV writes it, as JSON: its digits stay.

    With leading zeros it is an identifier, with a plus before many digits a telephone number, and so a text.

    >>> [dumps(cell_number(each)) for each in ("1.50", "+5", ".5", "1.", "-.5e3", "00712", "+49151234567")]
    [b'1.50', b'5', b'0.5', b'1', b'-0.5e3', b'"00712"', b'"+49151234567"']
    """
    found = _WITHOUT_ZEROS.fullmatch(text.strip())
    if found is None:
        return text
    sign, whole, part, exponent = found.groups()
    if sign == "+" and len(whole or "") >= TELEPHONE:
        return text
    digits = (whole or "0") + (f".{part}" if part else "") + (exponent or "")
    return Text(("-" if sign == "-" else "") + digits)
