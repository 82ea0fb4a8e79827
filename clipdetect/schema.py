"""The JSON Schema of a YAML file of settings: from the table of settings, and the parameters of all components."""

from __future__ import annotations

import inspect
import re
import typing
from typing import Any

from clipdetect import documentation, registry
from clipdetect.registry import members
from clipdetect.setting_types import Schema
from clipdetect.settings import SETTINGS, default_in_words, key

DRAFT = "https://json-schema.org/draft/2020-12/schema"
KINDS = ("feature", "changepoint", "estimator", "threshold")
_PLAIN = {int: "integer", float: "number", bool: "boolean", str: "string", type(None): "null"}


def schema() -> Schema:
    """A schema of draft 2020-12; installed plug-ins are in it. Imports every component.

    A setting may be written with dashes, or without a value, which leaves the default; so may a parameter.
    """
    properties: Schema = {"about": {"description": "What the file is for.", "type": ["string", "null"]}}
    for setting, own in SETTINGS.items():
        name = key(setting)
        properties[name] = {
            "title": own.section,
            "description": f"{own.help} Default: {default_in_words(setting)}.",
            "anyOf": [own.type.schema, {"type": "null"}],
        }
        if "_" in name:
            properties[name.replace("_", "-")] = {"$ref": f"#/properties/{name}"}
    return {
        "$schema": DRAFT,
        "title": "Settings of clipdetect",
        "type": ["object", "null"],
        "properties": properties,
        "additionalProperties": False,
        "$defs": {kind: _spec(kind) for kind in KINDS},
    }


def _spec(kind: str) -> Schema:
    """A component with its parameters: `name:param=value,...`, or `{name: {param: value}}`."""
    found = {name: _parameters(kind, name) for name in registry.names(kind)}
    names = "|".join(map(re.escape, found))
    return {
        "anyOf": [
            {"type": "string", "pattern": f"^\\s*({names})\\s*(:|$)"},
            {
                "type": "object",
                "properties": found,
                "additionalProperties": False,
                "minProperties": 1,
                "maxProperties": 1,
            },
        ]
    }


def _parameters(kind: str, name: str) -> Schema:
    """The parameters of a component; any for a plug-in that cannot be loaded."""
    try:
        component = registry.get(kind, name)
    except ValueError:
        return {"type": ["object", "null"]}
    about = documentation.describe(component)
    docs = {each.name: each.doc for each in about.parameters}
    own = registry.parameters(component)
    found: Schema = {
        "description": about.summary,
        "type": ["object", "null"],
        "properties": {name: {**_typed(each.annotation), **_said(docs[name])} for name, each in own.items()},
        "additionalProperties": False,
    }
    needed = [name for name, each in own.items() if each.default is inspect.Parameter.empty]
    return found | ({"required": needed} if needed else {})


def _said(text: str) -> Schema:
    return {"description": text} if text else {}


def _typed(annotation: Any) -> Schema:
    """What a parameter takes. A number or a truth value may be written as text."""
    options: list[Schema] = []
    types: list[str] = []
    for each in members(annotation):
        if typing.get_origin(each) is typing.Literal:
            options.append({"enum": list(typing.get_args(each))})
        elif hasattr(each, "state_spec"):
            options.append({"$ref": f"#/$defs/{each.kind}"})
        else:
            types.append(_PLAIN.get(each, "string"))  # a file of records is named
    if types:
        options.append({"type": types[0] if len(types) == 1 else types})
    return options[0] if len(options) == 1 else {"anyOf": options}
