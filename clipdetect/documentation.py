"""What components say of themselves: their docstrings in numpydoc form, taken apart for lists and docs."""

from __future__ import annotations

import inspect
import re
import typing
from dataclasses import dataclass
from typing import Any

from clipdetect.registry import members, parameters


@dataclass(frozen=True)
class ParameterDoc:
    """One parameter of a component; `default` is its text, empty where there is none."""

    name: str
    type: str
    default: str
    doc: str


@dataclass(frozen=True)
class Description:
    """What a component's docstring says: one line, what it is best for, when it works, parameters, cost, sources."""

    summary: str
    best: str
    details: str
    parameters: tuple[ParameterDoc, ...]
    cost: str
    references: tuple[str, ...]


def describe(component: type[Any]) -> Description:
    """A component's documentation, from its docstring in numpydoc form."""
    text, references = _split_references(inspect.cleandoc(component.__doc__ or ""))
    sections = _sections(text)
    summary, _, details = sections[""].partition("\n\n")
    docs = _items(sections.get("Parameters", ""))
    own = tuple(
        ParameterDoc(name, _type_name(each.annotation), _default(each), docs.get(name, ""))
        for name, each in parameters(component).items()
    )
    cost = _flowed(sections.get("Cost", ""))
    best = re.search(r"Best for [^.]+(?:\.\S[^.]*)*\.", _flowed(details))
    return Description(_flowed(summary), best[0] if best else "", details.strip(), own, cost, tuple(references))


def _split_references(text: str) -> tuple[str, list[str]]:
    """The text without its `.. [1] ...` blocks, and these, each on one line."""
    pattern = r"^\.\. \[(\w+)\][ \t]*(.*(?:\n[ \t]+\S.*)*)"
    found = [f"[{label}] {_flowed(body)}" for label, body in re.findall(pattern, text, re.MULTILINE)]
    return re.sub(pattern, "", text, flags=re.MULTILINE), found


def _sections(text: str) -> dict[str, str]:
    """Underlined sections by title; the part before the first one under ''."""
    parts = re.split(r"^(\S.*)\n-{3,}[ \t]*$", text, flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def _items(text: str) -> dict[str, str]:
    """`name : what it is`, continued on indented lines."""
    found = re.findall(r"^(\w+(?:, \w+)*) : (.*(?:\n(?:[ \t]+\S.*|[ \t]*(?=\n[ \t]+\S)))*)", text, re.MULTILINE)
    return {name: _flowed(body) for group, body in found for name in group.split(", ")}


def _flowed(text: str) -> str:
    return " ".join(text.split())


def _type_name(annotation: Any) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(map(str, typing.get_args(annotation)))
    several = members(annotation)
    if len(several) > 1:
        return " or ".join(map(_type_name, several))
    if getattr(annotation, "__name__", "") == "Table":
        return "file"
    return "none" if annotation is type(None) else getattr(annotation, "__name__", str(annotation))


def _default(parameter: inspect.Parameter) -> str:
    value = parameter.default
    if value is parameter.empty:
        return ""
    words = {None: "none", True: "true", False: "false", "": "none"}
    return words[value] if value is None or value == "" or isinstance(value, bool) else str(value)
