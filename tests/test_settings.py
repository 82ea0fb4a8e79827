"""The table of settings, and the JSON Schema made from it."""

from __future__ import annotations

import json
import operator
import re
from pathlib import Path
from typing import Any

import pytest

from clipdetect import registry, yaml_file
from clipdetect.cli import main
from clipdetect.config import Resolved, load, to_yaml
from clipdetect.schema import DRAFT, schema
from clipdetect.settings import DEFAULTS, SETTINGS, Settings, default_in_words, flag, key, recipes, variable

ROOT = Path(__file__).parents[1]
FILES = [*recipes().values(), *sorted((ROOT / "docs").rglob("*.yaml")), *sorted((ROOT / "sample_data").rglob("*.yaml"))]
GOLDEN = sorted((ROOT / "tests" / "golden").rglob("*.yaml"))
NAMES = {
    "string": str, "object": dict, "array": list, "boolean": bool, "integer": int, "number": (int, float),
    "null": type(None),
}  # fmt: skip


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return schema()


LIMITS = {"minimum": operator.ge, "exclusiveMinimum": operator.gt, "exclusiveMaximum": operator.lt}


def faults(value: Any, rule: dict[str, Any], whole: dict[str, Any], place: str = "") -> list[str]:
    """What a schema has against a value, by the words of draft 2020-12 that ours is written in."""
    found: list[str] = []
    for word, given in rule.items():
        if word == "$ref":
            inner: Any = whole
            for part in given.removeprefix("#/").split("/"):
                inner = inner[part]
            found += faults(value, inner, whole, place)
        elif word == "type":
            kinds = given if isinstance(given, list) else [given]
            truth = isinstance(value, bool)
            fits = any(isinstance(value, NAMES[kind]) and truth <= (kind == "boolean") for kind in kinds)
            found += [] if fits else [f"{place}: {value!r} is no {given}"]
        elif word == "anyOf":
            tried = [faults(value, each, whole, place) for each in given]
            found += [] if [] in tried else [" and ".join(fault for each in tried for fault in each)]
        elif word == "enum":
            found += [] if value in given else [f"{place}: {value!r} is none of {given}"]
        elif word == "pattern" and isinstance(value, str):
            found += [] if re.search(given, value) else [f"{place}: {value!r} is not like {given}"]
        elif word == "items" and isinstance(value, list):
            for i, each in enumerate(value):
                found += faults(each, given, whole, f"{place}[{i}]")
        elif word == "properties" and isinstance(value, dict):
            for name in value.keys() & given.keys():
                found += faults(value[name], given[name], whole, f"{place}.{name}")
        elif word == "additionalProperties" and isinstance(value, dict):
            assert given is False
            found += [f"{place}: {name} is not known" for name in value.keys() - rule["properties"].keys()]
        elif word == "required" and isinstance(value, dict):
            found += [f"{place}: {name} is missing" for name in given if name not in value]
        elif word in ("minProperties", "maxProperties") and isinstance(value, dict):
            found += [] if len(value) == given == 1 else [f"{place}: one name, please"]
        elif word in LIMITS and isinstance(value, (int, float)) and not isinstance(value, bool):
            found += [] if LIMITS[word](value, given) else [f"{place}: {value} against {word} {given}"]
        if word not in KNOWN:
            raise AssertionError(f"this test does not know the word {word}")
    return found


KNOWN = {
    "$schema", "$defs", "$ref", "title", "description", "type", "anyOf", "enum", "pattern", "items", "properties",
    "additionalProperties", "required", "minProperties", "maxProperties", "minimum", "exclusiveMinimum",
    "exclusiveMaximum", "examples", "format",
}  # fmt: skip


# -- the table --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_whole(name):
    own = SETTINGS[name]
    assert own.help.endswith(".")
    assert own.section in ("Input", "Model", "Flags", "Output", "State", "Run")
    assert bool(own.metavar) == (getattr(DEFAULTS, name) is not False)  # what takes nothing is a switch
    assert default_in_words(name)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_is_read_alike_from_option_variable_and_file(name, tmp_path):
    text = {
        "recipe": "sshd", "pattern": "(?P<x>.)", "extract": "(?P<x>.)", "derive": "log:field=x", "estimator": "zscore",
        "threshold": "fixed", "changepoint": "focus", "input_format": "csv", "output_format": "csv", "max_line": "64K",
        "min_change": "10%", "gap": "5m", "episode": "10m", "rate": "0.01",
    }.get(name)  # fmt: skip
    kind = SETTINGS[name].type.schema
    text = text or {"boolean": "true", "integer": "9"}.get(str(kind.get("type"))) or kind.get("enum", ["abc"])[-1]
    extra = {"on_change": {"changepoint": "focus"}, "feedback": {"label": "y"}}.get(name, {})
    (tmp_path / "c.yaml").write_text(f"{key(name)}: {json.dumps(text)}\n")
    given = (text,) if SETTINGS[name].repeatable else text
    found = [
        load({name: given, **extra}, environ={}),
        load(extra, environ={variable(name): text}),
        load(extra, str(tmp_path / "c.yaml"), {}),
    ]
    assert found[0].config == found[1].config == found[2].config
    assert getattr(found[0].config, name) != getattr(DEFAULTS, name) or name == "patience"
    assert found[0].origins[name] == flag(name)


def test_the_order_of_the_table_is_that_of_every_listing():
    assert list(SETTINGS) == list(Settings.__annotations__) == list(load(environ={}).origins)
    sections = [each.section for each in SETTINGS.values()]
    assert sections == sorted(sections, key=sections.index)


# -- the schema -------------------------------------------------------------------------------


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_the_schema_accepts_every_file_of_settings_that_comes_with_clipdetect(made, file):
    assert faults(yaml_file.read(str(file)).values, made, made) == []


@pytest.mark.parametrize("name", ["", *recipes()])
def test_the_schema_accepts_what_config_prints(made, name, tmp_path):
    flags = {"recipe": name, "min_change": "10%", "episode": "5m", "changepoint": "focus", "by": "a,b"} if name else {}
    (tmp_path / "c.yaml").write_text(to_yaml(load(flags, environ={})))
    assert faults(yaml_file.read(str(tmp_path / "c.yaml")).values, made, made) == []


@pytest.mark.parametrize("file", GOLDEN, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_schema_refuses_what_a_run_refuses_at_its_place(made, file):
    try:
        values = yaml_file.read(str(file)).values
        accepted = isinstance(load(path=str(file), environ={}), Resolved)
    except Exception as error:
        if "unknown" not in str(error):
            pytest.skip("not a matter of the schema")
        accepted = False
    assert accepted == (faults(values, made, made) == [])


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"rat": 0.1}, "rat is not known"),
        ({"rate": 1}, "1 against exclusiveMaximum 1"),
        ({"warmup": 3}, "3 against minimum 8"),
        ({"direction": "dwn"}, "'dwn' is none of"),
        ({"field": [4]}, "4 is no string"),
        ({"only-anomalies": "maybe"}, "'maybe' is no boolean"),
        ({"estimator": "levl"}, "'levl' is not like"),
        ({"estimator": {"level": {"patince": 3}}}, "patince is not known"),
        ({"estimator": {"level": {"patience": "x"}}}, "'x' is no "),
        ({"estimator": {"sum": {"inner": {"levl": None}}}}, "is not known"),
        ({"derive": [{"rate": None, "log": None}]}, "one name, please"),
    ],
)
def test_the_schema_says_what_is_wrong(made, values, fault):
    assert fault in " ".join(faults(values, made, made))


def test_the_schema_knows_every_setting_and_every_parameter(made):
    names = [key(name) for name in SETTINGS]
    assert set(made["properties"]) == {"about", *names, *(name.replace("_", "-") for name in names)}
    for kind in ("feature", "changepoint", "estimator", "threshold"):
        found = made["$defs"][kind]["anyOf"][1]["properties"]
        assert {name: set(each["properties"]) for name, each in found.items()} == {
            name: set(registry.parameters(registry.get(kind, name))) for name in registry.names(kind)
        }


def test_the_schema_is_valid(made, capsys):
    assert main(["config", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == made
    assert made["$schema"] == DRAFT
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(made)
    for file in FILES:
        jsonschema.Draft202012Validator(made).validate(yaml_file.read(str(file)).values)
