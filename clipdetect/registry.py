"""Specs to components: from `name:param=value,...`, or the same as a mapping, to an instance."""

from __future__ import annotations

import inspect
import math
import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clipdetect.catalog import FOLDERS, built_in, did_you_mean, get, name_of, names

if TYPE_CHECKING:
    from clipdetect.components import Component

__all__ = [
    "FOLDERS",
    "ComponentSpec",
    "SpecError",
    "build",
    "built_in",
    "coerce",
    "did_you_mean",
    "get",
    "members",
    "name_of",
    "names",
    "parameters",
    "parse_spec",
    "resolved",
    "spelled",
]

WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


@dataclass(frozen=True)
class ComponentSpec:
    """A component asked for: its name, and the parameters that are not left at their defaults.

    chosen : False where nobody asked for it, so that it may give way to what suits better.
    """

    name: str
    params: dict[str, Any] = field(default_factory=dict)
    chosen: bool = field(default=True, compare=False)


class SpecError(ValueError):
    """What is wrong with a spec, and where: `estimator.level.patience: must be a whole number, got 'x'`.

    path : from the kind inwards, such as ("estimator", "level", "patience").
    on_key : it is the last name of the path that is wrong, not the value under it.
    """

    def __init__(self, path: Iterable[str], problem: str, on_key: bool = False) -> None:
        self.path = tuple(path)
        self.problem = problem
        self.on_key = on_key
        super().__init__(f"{'.'.join(self.path)}: {problem}")


def parse_spec(spec: Any) -> ComponentSpec:
    """A spec from `name:param=value,param=value`, `name`, or a mapping {name: {param: value}}.

    Values written as text stay text here; `build` reads them by the parameter's annotation.
    """
    if isinstance(spec, ComponentSpec):
        return spec
    if isinstance(spec, str):
        return _parse_text(spec)
    if isinstance(spec, Mapping):
        if len(spec) != 1:
            raise ValueError(f"one name expected, got {', '.join(map(str, spec)) or 'none'}")
        [(name, params)] = spec.items()
        if not isinstance(name, str):
            raise ValueError(f"a name expected, got {name!r}")
        if params is None:
            return ComponentSpec(name)
        if not isinstance(params, Mapping):
            raise SpecError([name], f"parameters expected as name: value, got {params!r}")
        return ComponentSpec(name, dict(params))
    raise ValueError(f"a name, or a name with its parameters expected, got {spec!r}")


def _parse_text(text: str) -> ComponentSpec:
    name, _, rest = (part.strip() for part in text.partition(":"))
    if not name:
        raise ValueError(f"a name expected, got {text!r}")
    params: dict[str, Any] = {}
    for each in filter(None, map(str.strip, rest.split(","))):
        key, equals, value = (part.strip() for part in each.partition("="))
        if not (key and equals):
            raise SpecError([name], f"param=value expected, got {each!r}")
        if key in params:
            raise SpecError([name, key], "given twice")
        params[key] = value
    return ComponentSpec(name, params)


def parameters(component: type[Any]) -> dict[str, inspect.Parameter]:
    """A component class's own parameters, with their resolved annotations."""
    constructor: Any = component.__init__
    if getattr(component, "kind", "format") == "format" or constructor is object.__init__:
        return {}
    hints = typing.get_type_hints(constructor)
    _, *own = inspect.signature(constructor).parameters.values()
    named = [each for each in own if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    return {each.name: each.replace(annotation=hints.get(each.name, str)) for each in named}


def build(kind: str, spec: Any) -> Component:
    """A component from its spec: a name, a text, a mapping or a `ComponentSpec`.

    Raises SpecError, a ValueError, that says which parameter is wrong and what was expected.
    """
    return _build(kind, spec, (kind,))


def _build(kind: str, spec: Any, path: tuple[str, ...]) -> Component:
    try:
        spec = parse_spec(spec)
    except SpecError as error:
        raise SpecError((*path, *error.path), error.problem) from error
    except ValueError as error:
        raise SpecError(path, str(error)) from error
    try:
        component = get(kind, spec.name)
    except ValueError as error:
        raise SpecError(path, str(error)) from error
    path = (*path, spec.name)
    own = parameters(component)
    values = {}
    for name, value in spec.params.items():
        if name not in own:
            have = f" (there are: {', '.join(own)})" if own else " (it has none)"
            problem = f"unknown parameter {name!r}{did_you_mean(str(name), own)}{have}"
            raise SpecError((*path, str(name)), problem, on_key=True)
        values[name] = _value(value, own[name].annotation, (*path, name))
    for name, each in own.items():
        if name not in values and each.default is each.empty:
            raise SpecError(path, f"parameter {name!r} must be given")
        if name not in values and isinstance(each.default, str):  # the name of a nested component, maybe
            values[name] = _value(each.default, each.annotation, (*path, name))
    try:
        return typing.cast("Component", component(**values))
    except ValueError as error:  # the component's own check; its message mostly starts with the name
        blamed = re.match(r"\w+", str(error))
        inner = (blamed[0],) if blamed and blamed[0] in values else ()
        raise SpecError((*path, *inner), str(error)) from error


def _value(value: Any, annotation: Any, path: tuple[str, ...]) -> Any:
    for each in members(annotation):
        if hasattr(each, "state_spec") and value is not None:  # a component class
            return value if isinstance(value, each) else _build(each.kind, value, path)
        if _is_table(each) and value is not None:
            return _table(value, path)
    try:
        return coerce(value, annotation)
    except ValueError as error:
        raise SpecError(path, str(error)) from error


def _is_table(annotation: Any) -> bool:
    from clipdetect.components import Table

    return annotation is Table


def _table(value: Any, path: tuple[str, ...]) -> Any:
    """The records of the file named; a table as it is."""
    if _is_table(type(value)):
        return value
    from clipdetect import table_file

    try:
        return table_file.read(coerce(value, str))
    except ValueError as error:
        raise SpecError(path, str(error)) from error


def members(annotation: Any) -> tuple[Any, ...]:
    """The types a union is made of; the type itself where it is none."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def coerce(value: Any, annotation: Any) -> Any:
    """`value`, from YAML or as text, as what the annotation says. Raises ValueError saying what is expected.

    Knows int, float, bool, str, None, Literal and unions of them; numbers are finite.
    """
    expected = []
    for each in sorted(members(annotation), key=lambda member: member is str):  # text last: it takes any text
        if typing.get_origin(each) is typing.Literal:
            options = typing.get_args(each)
            for option in options:
                if value == option or value == str(option):
                    return option
            near = did_you_mean(value, map(str, options)) if isinstance(value, str) else ""
            expected.append(f"one of {', '.join(map(str, options))}, got {value!r}{near}")
            continue
        try:
            return _PLAIN[each](value)
        except KeyError:
            raise ValueError(f"a parameter of type {each!r} cannot be given by name") from None
        except _Unfit as error:
            expected.append(f"{error}, got {value!r}")
    raise ValueError("must be " + min(expected, key=lambda text: text.startswith("none")))


class _Unfit(Exception):
    pass


def _int(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"\s*[-+]?[0-9]{1,40}\s*", value, re.ASCII):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _Unfit("a whole number")


def _float(value: Any) -> float:
    number = math.nan
    try:
        plain_text = isinstance(value, str) and "_" not in value and value.isascii()
        if plain_text or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            number = float(value)
    except (ValueError, OverflowError):
        pass
    if not math.isfinite(number):
        raise _Unfit("a number")
    return number


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in WORDS:
        return WORDS[value.strip().lower()]
    raise _Unfit("true or false")


def _str(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _Unfit("text (in quotes, where it looks like something else)")


def _none(value: Any) -> None:
    if value is None or (isinstance(value, str) and value.strip().lower() in ("none", "null")):
        return None
    raise _Unfit("none")


_PLAIN: dict[Any, typing.Callable[[Any], Any]] = {
    int: _int,
    float: _float,
    bool: _bool,
    str: _str,
    type(None): _none,
}


def resolved(component: Component) -> dict[str, Any]:
    """Name and all parameters of an instance, defaults included, as plain JSON values."""
    [(name, params)] = spelled(component).items()
    for key, value in vars(component).items():
        if key in params and hasattr(value, "state_spec"):
            params[key] = resolved(value)
        elif key in params and _is_table(type(value)):  # what it holds counts, not where it lies
            params[key] = f"records {value.digest}"
    return {"name": name, **params}


def spelled(component: Component) -> dict[str, dict[str, Any]]:
    """The same as a spec that `build` reads: {name: {parameter: value}}."""
    values = {}
    for name in parameters(type(component)):
        value = getattr(component, name)
        if hasattr(value, "state_spec"):
            value = spelled(value)
        values[name] = value.source if _is_table(type(value)) else value
    return {name_of(type(component)): values}
