"""YAML files read by the rules of YAML 1.2's core schema, with the place of every value.

Built on the parser's events, so nothing in a file can make an object: there are mappings, lists,
text, numbers, true, false and null, and no tags, anchors or aliases. Unlike YAML 1.1, `no` is text,
`1e-3` a number, `012` is 12, `12:30:45` and `1_000` are text, and a key given twice is an error.
A setting may be written with dashes, like its flag: `only-anomalies` is `only_anomalies`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from clipdetect.errors import ConfigError

MAX_DEPTH = 32
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser is ten times faster
_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+", re.ASCII)
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_SPECIAL = {".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf, ".nan": math.nan}

Path = tuple[str | int, ...]


class Document:
    """A file's top mapping, and where each key and value in it stands.

    values : the mapping, empty for an empty file. written : its names as they stand in the file.

    Raises ConfigError with `file:line:column` for what is not readable.
    """

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.values: dict[str, Any] = {}
        self.written: dict[str, str] = {}
        self._keys: dict[Path, str] = {}
        self._values: dict[Path, str] = {}
        try:
            self._read(yaml.parse(text, Loader=_LOADER))
        except yaml.MarkedYAMLError as error:
            place = self._place(error.problem_mark) if error.problem_mark else name
            raise ConfigError(f"{place}: {error.problem or error.context}") from error
        except yaml.YAMLError as error:
            raise ConfigError(f"{name}: {' '.join(str(error).split())}") from error

    def where(self, path: Path, key: bool = False) -> str:
        """`file:line:column` of the value at `path` (or of its key); of what holds it if it has no own."""
        if key and path in self._keys:
            return self._keys[path]
        while path and path not in self._values:
            path = path[:-1]
        return self._values.get(path, self.name)

    def _place(self, mark: Any) -> str:
        return f"{self.name}:{mark.line + 1}:{mark.column + 1}"

    def _error(self, event: Any, problem: str) -> ConfigError:
        return ConfigError(f"{self._place(event.start_mark)}: {problem}")

    def _read(self, events: Iterator[Any]) -> None:
        documents = 0
        for event in events:
            if isinstance(event, (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentEndEvent)):
                continue
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._error(event, "one document expected, here starts another")
                continue
            value = self._value(event, events, ())
            if isinstance(value, dict):
                self.values = value
            elif value is not None:
                raise self._error(event, "settings expected as name: value")

    def _value(self, event: Any, events: Iterator[Any], path: Path) -> Any:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self._error(event, "anchors and aliases are not supported; write the value out")
        if event.tag is not None:
            raise self._error(event, f"tags such as {event.tag} are not supported")
        if len(path) > MAX_DEPTH:
            raise self._error(event, f"nested deeper than {MAX_DEPTH} levels")
        self._values[path] = self._place(event.start_mark)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(event := next(events), yaml.SequenceEndEvent):
                items.append(self._value(event, events, (*path, len(items))))
            return items
        mapping: dict[str, Any] = {}
        written: dict[str, str] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            own = self._scalar(event) if isinstance(event, yaml.ScalarEvent) and event.tag is None else None
            if not isinstance(own, str):
                raise self._error(event, "the name of a setting must be text")
            key = own if path else own.replace("-", "_")  # deeper there are names of components too
            inner = (*path, key)
            if key in mapping:
                first = self._keys[inner].split(":")[-2]
                other = "" if written[key] == own else f" as {written[key]!r}"
                raise self._error(event, f"{own!r} is set twice, first{other} in line {first}")
            self._keys[inner], written[key] = self._place(event.start_mark), own
            if not path:
                self.written = written
            mapping[key] = self._value(next(events), events, inner)
        return mapping

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if not event.implicit[0]:  # quoted, or a block
            return text
        if _NULL.fullmatch(text):
            return None
        if _BOOL.fullmatch(text):
            return text.lower() == "true"
        if len(text) > 400:
            return text
        if _INT.fullmatch(text):
            return int(text)
        if _BASED.fullmatch(text):
            return int(text, 0)
        return float(text) if _FLOAT.fullmatch(text) else _SPECIAL.get(text.lower(), text)


def read(path: str, name: str = "") -> Document:
    """A file's settings; `name` stands for its path in messages. Raises ConfigError where it cannot be read."""
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8, at byte {error.start + 1}") from error
    return Document(name or path, text)


def dump(value: Any) -> str:
    """A value on one line, as YAML that reads back the same here."""
    import json

    if isinstance(value, dict):
        return "{" + ", ".join(f"{dump(name)}: {dump(each)}" for name, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(dump, value)) + "]"
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w./-]*", value, re.ASCII)
    if plain and not (_NULL.fullmatch(value) or _BOOL.fullmatch(value)):
        return str(value)
    return json.dumps(value, ensure_ascii=False)
