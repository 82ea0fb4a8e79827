"""The types of settings: how a value is read and checked, whatever layer it comes from, and its JSON Schema.

A type is called with a value from a YAML file, or with a text; it raises ValueError that says what is expected. Its
schema is that of the value in a YAML file as people write it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clipdetect import registry
from clipdetect.registry import ComponentSpec, coerce, did_you_mean

if TYPE_CHECKING:
    from clipdetect.yaml_file import Document

Schema = dict[str, Any]
SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class SettingType(NamedTuple):
    """read : the value from what is given. schema : of what may be given in a file."""

    read: Callable[[Any], Any]
    schema: Schema

    def __call__(self, value: Any) -> Any:
        """The value. Raises ValueError."""
        return self.read(value)


class MinChange(NamedTuple):
    """Least difference from the expected value that counts; both must be reached.

    value : in the field's own unit. percent : of the expected value.
    """

    value: float = 0.0
    percent: float = 0.0


class Silence(NamedTuple):
    """How long nothing more must be flagged until an incident is over; one of the two is 0.

    records : of the key or group. seconds : of the records' own time.
    """

    records: int = 0
    seconds: float = 0.0


def _name(value: Any) -> str:
    text: str = coerce(value, str)
    if not text:
        raise ValueError("must be a name, got ''")
    return text


def _names(value: Any) -> tuple[str, ...]:
    """Names from a list, or one name; each once."""
    return tuple(dict.fromkeys(map(_name, value if isinstance(value, (list, tuple)) else [value])))


def _split_names(value: Any) -> tuple[str, ...]:
    """Likewise, where a text may hold several names with commas between, or none."""
    return _names([part.strip() for part in value.split(",") if value] if isinstance(value, str) else value)


def _categories(value: Any) -> tuple[str, ...]:
    """Names, or `auto`; `none` is no name."""
    names = _split_names(value)
    for alone in ("auto", "none"):
        if alone in names and len(names) > 1:
            raise ValueError(f"{alone} stands alone, got {', '.join(names)}")
    if any("+" in name for name in names):
        raise ValueError("must be names of fields; for combinations use --derive rare:field=A+B")
    return () if names == ("none",) else names


def _text(value: Any) -> str:
    text: str = coerce(value, str)
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    return text


def _prefix(value: Any) -> str:
    text = _text(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"must be UTF-8 text, got {value!a}") from None
    return text


def _switch(value: Any) -> bool:
    on: bool = coerce(value, bool)
    return on


def whole(least: int) -> SettingType:
    """A whole number of at least so much."""

    def read(value: Any) -> int:
        number: int = coerce(value, int)
        if not least <= number < 1 << 63:
            raise ValueError(f"must be at least {least}, got {number}" if number < least else f"too large: {number}")
        return number

    return SettingType(read, {"type": "integer", "minimum": least})


def _rate(value: Any) -> float:
    number: float = coerce(value, float)
    if not 0.0 < number < 1.0:
        raise ValueError(f"must be between 0 and 1, got {number:g}")
    return number


def one_of(*options: str) -> SettingType:
    """One of some words."""

    def read(value: Any) -> str:
        if value not in options:
            near = did_you_mean(value, options) if isinstance(value, str) else ""
            raise ValueError(f"must be one of {', '.join(options)}, got {value!r}{near}")
        return str(value)

    return SettingType(read, {"enum": list(options)})


def _format(value: Any) -> str:
    if value in registry.built_in("format"):  # most are, and plug-ins take time to look for
        return str(value)
    return str(one_of("auto", *registry.names("format"))(value))


def _size(value: Any) -> int:
    """Bytes, as a number or with K, M or G after it."""
    found = re.fullmatch(r"([0-9]{1,15})\s*([KMG]?)(?:i?B)?", str(value).strip(), re.IGNORECASE | re.ASCII)
    if not found or not int(found[1]):
        raise ValueError(f"must be a number of bytes such as 65536, 64K or 16M, got {value!r}")
    return int(found[1]) * SIZES[found[2].upper()]


def _min_change(value: Any) -> MinChange:
    percent = isinstance(value, str) and value.strip().endswith("%")
    try:
        number: float = coerce(value.strip()[:-1] if percent else value, float)
    except ValueError:
        number = -1.0
    if number < 0.0:
        raise ValueError(f"must be a number >= 0, or a share such as 10%, got {value!r}")
    return MinChange(percent=number) if percent else MinChange(value=number)


def _specs(value: Any) -> tuple[ComponentSpec, ...]:
    """Components from a list, or one."""
    return tuple(map(registry.parse_spec, value if isinstance(value, (list, tuple)) else [value]))


def _changepoint(value: Any) -> ComponentSpec | None:
    """A component, or `none`."""
    return None if value in ("", "none") else registry.parse_spec(value)


def _regex(value: Any) -> str:
    """A regular expression with named groups."""
    text = _text(value)
    if not text:
        return ""
    try:
        groups = re.compile(text).groupindex
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}, in {text!r}") from None
    if not groups:
        raise ValueError(f"needs a named group such as (?P<status>[0-9]+), got {text!r}")
    return text


def _regexes(value: Any) -> tuple[str, ...]:
    return tuple(map(_regex, value if isinstance(value, (list, tuple)) else [value]))


def _recipe(value: Any) -> str:
    if value and is_file_name(value):
        return _text(value)
    return one_of(*recipes())(value) if value else ""


def recipes() -> dict[str, Path]:
    """The recipes in the package, by name."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "recipes").glob("*.yaml"))}


def is_file_name(recipe: Any) -> bool:
    """Whether a recipe is named by its file, such as `./mine.yaml`, and is none of the package's."""
    return isinstance(recipe, str) and ("/" in recipe or os.sep in recipe or recipe.endswith((".yaml", ".yml")))


def recipe(name: str) -> Document:
    """A recipe of the package, or of a file, as it stands there. Raises ConfigError where it cannot be read."""
    from clipdetect import yaml_file  # most runs have none, and start sooner without

    return yaml_file.read(name) if is_file_name(name) else yaml_file.read(str(recipes()[name]), f"recipe {name}")


def _duration(value: Any) -> float:
    from clipdetect.numerics.durations import seconds  # the parameters of features are read by it too

    return seconds(value)


def _episode(value: Any) -> Silence | None:
    """A number of records, a time with its unit, or nothing."""
    if value in ("", None):
        return None
    text = str(value).strip()
    if re.fullmatch("[0-9]+", text, re.ASCII):
        return Silence(records=whole(2)(text))
    try:
        return Silence(seconds=_duration(value))
    except ValueError:
        raise ValueError(f"must be a number of records, or a time such as 10m, got {value!r}") from None


_TEXT: Schema = {"type": "string"}
_NUMBER_OR_TEXT: Schema = {"type": ["number", "string"]}


def _or_list(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "array", "items": schema}]}


def _component(kind: str) -> Schema:
    return {"$ref": f"#/$defs/{kind}"}


SWITCH = SettingType(_switch, {"type": "boolean"})
TEXT = SettingType(_text, _TEXT)
PREFIX = SettingType(_prefix, _TEXT)
NAMES = SettingType(_names, _or_list(_TEXT))
SPLIT_NAMES = SettingType(_split_names, _or_list(_TEXT))
CATEGORIES = SettingType(_categories, _or_list(_TEXT))
FORMAT = SettingType(_format, {"type": "string", "examples": ["auto", *registry.built_in("format")]})
REGEX = SettingType(_regex, {"type": "string", "format": "regex"})
REGEXES = SettingType(_regexes, _or_list(REGEX.schema))
RECIPE = SettingType(_recipe, {"type": "string", "examples": list(recipes())})
RATE = SettingType(_rate, {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1})
SIZE = SettingType(_size, {"type": ["integer", "string"], "pattern": "^ *[0-9]+ *[KMGkmg]?[Ii]?[Bb]? *$", "minimum": 1})
DURATION = SettingType(_duration, _NUMBER_OR_TEXT)
EPISODE = SettingType(_episode, _NUMBER_OR_TEXT)
MIN_CHANGE = SettingType(_min_change, {"type": ["number", "string"], "pattern": "^[^%]*%? *$", "minimum": 0})
FEATURES = SettingType(_specs, _or_list(_component("feature")))
ESTIMATOR = SettingType(registry.parse_spec, _component("estimator"))
THRESHOLD = SettingType(registry.parse_spec, _component("threshold"))
CHANGEPOINT = SettingType(_changepoint, {"anyOf": [{"enum": ["", "none"]}, _component("changepoint")]})
