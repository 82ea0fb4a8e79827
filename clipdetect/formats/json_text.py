"""The one writer of JSON: any value that was read, any text, as valid JSON."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

_TOKENS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*"?|NaN|-?Infinity')


def dumps(value: Any) -> bytes:
    """JSON text of a value: integers of any length, lone surrogates (as escapes), deep nesting; NaN as null.

    >>> dumps({"x": float("nan"), "name": "\\ud800"})
    b'{"x":null,"name":"\\\\ud800"}'
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        text = json.dumps(value, separators=(",", ":"))
        return _TOKENS.sub(lambda token: token[0] if token[0][0] == '"' else "null", text).encode()
