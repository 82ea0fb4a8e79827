"""Names, specs and documentation of components."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Literal

import pytest

from clipdetect import catalog
from clipdetect.components import Estimator, Threshold
from clipdetect.documentation import describe
from clipdetect.registry import (
    ComponentSpec,
    SpecError,
    build,
    coerce,
    get,
    names,
    parse_spec,
    resolved,
    spelled,
)

KINDS = ("feature", "changepoint", "estimator", "threshold", "format")


class Inner(Estimator):
    """An estimator within another."""

    def __init__(self, gain: float = 0.5) -> None:
        self.gain = gain


class Outer(Estimator):
    """Wraps an estimator.

    It has one parameter of each kind,
    and a second paragraph line.

    Parameters
    ----------
    inner : the estimator inside.
    size, depth : whole numbers, on
        two lines. [records]
    mode : which of two.

    Cost
    ----
    One step of the inner one, 3 floats
    a key.

    .. [1] A. Author, "A title
       on two lines", 2001.
    .. [2] B. Author, "Another", 2002.
    """

    def __init__(
        self,
        inner: Estimator | None = None,
        size: int = 3,
        depth: int | None = None,
        loud: bool = False,
        mode: Literal["fast", "slow"] = "fast",
    ) -> None:
        if size < 1:
            raise ValueError(f"size must be >= 1, got {size}")
        self.inner, self.size, self.depth, self.loud, self.mode = inner, size, depth, loud, mode


class Point:
    """Stands for an installed plug-in's entry point."""

    def __init__(self, name, found, value="plug.in:Class"):
        self.name, self.found, self.value = name, found, value

    def load(self):
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.fixture
def plugins(monkeypatch):
    own = {
        "outer": Point("outer", Outer, f"{__name__}:Outer"),
        "inner": Point("inner", Inner, f"{__name__}:Inner"),
        "broken": Point("broken", ImportError("no module named gone")),
        "wrong": Point("wrong", Threshold),
        "level": Point("level", Inner),
    }
    monkeypatch.setattr(catalog, "_entry_points", lambda kind: own if kind == "estimator" else {})


def test_names_are_found_without_importing_any_component():
    code = (
        "import sys; from clipdetect import registry\n"
        f"for kind in {KINDS!r}: registry.names(kind)\n"
        "print([m for m in sys.modules if m in ('numpy', 'numba') or m.startswith('clipdetect.e')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_built_in_components_are_found_by_file_name():
    assert {"level", "zscore"} <= set(names("estimator"))
    assert get("estimator", "zscore").kind == "estimator"


def test_formats_are_found_by_file_name_and_helpers_are_none():
    assert names("format") == [
        "access", "csv", "journald", "json", "jsonl", "log", "logfmt",
        "pattern", "plain", "ssv", "syslog", "text", "tsv",
    ]  # fmt: skip


@pytest.mark.parametrize("name", names("format"))
def test_what_is_read_of_a_formats_file_is_what_its_class_has(name):
    made = get("format", name)
    assert catalog._files("format")[name] == (made.rank, made.opens)
    assert made.name == name


def test_each_rank_is_that_of_one_format():
    ranks = [file.rank for file in catalog._files("format").values() if file.rank is not None]
    assert len(set(ranks)) == len(ranks) == 12  # `pattern` knows no records of its own


def test_unknown_name_gives_the_nearest_match_and_the_list():
    with pytest.raises(ValueError, match=r"unknown estimator 'levl', did you mean 'level'\? \(there are: .*zscore"):
        get("estimator", "levl")
    with pytest.raises(ValueError, match=r"unknown feature 'x' \(there are: "):
        get("feature", "x")


def test_a_helper_of_the_formats_is_no_format():
    with pytest.raises(ValueError, match="unknown format 'select'"):
        get("format", "select")


def test_plug_ins_are_listed_and_loaded(plugins):
    assert "outer" in names("estimator")
    assert get("estimator", "outer") is Outer


def test_a_built_in_wins_over_a_plug_in_of_its_name(plugins):
    assert get("estimator", "level") is not Inner


def test_a_broken_plug_in_is_named(plugins):
    with pytest.raises(ValueError, match=r"estimator 'broken' cannot be loaded from .*: no module named gone"):
        get("estimator", "broken")
    with pytest.raises(ValueError, match=r"estimator 'wrong': plug\.in:Class is no Estimator"):
        get("estimator", "wrong")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("level", ComponentSpec("level")),
        (" level : a = 1 , b=x=y ", ComponentSpec("level", {"a": "1", "b": "x=y"})),
        ("level:", ComponentSpec("level")),
        ({"level": None}, ComponentSpec("level")),
        ({"level": {"a": 1}}, ComponentSpec("level", {"a": 1})),
    ],
)
def test_spec_forms(spec, expected):
    assert parse_spec(spec) == expected
    assert parse_spec(expected) is expected


@pytest.mark.parametrize(
    "spec", ["", ":a=1", "level:a", "level:a=1,a=2", {}, {"a": {}, "b": {}}, {"a": 3}, {1: {}}, 7, None]
)
def test_a_spec_that_is_none_of_these_is_refused(spec):
    with pytest.raises(ValueError):
        parse_spec(spec)
    with pytest.raises(SpecError):
        build("estimator", spec)


def test_parameters_are_read_by_annotation(plugins):
    built = build("estimator", "outer:size=7,depth=none,loud=yes,mode=slow")
    assert (built.size, built.depth, built.loud, built.mode) == (7, None, True, "slow")


def test_nested_component_is_built_from_its_spec(plugins):
    built = build("estimator", {"outer": {"inner": {"inner": {"gain": 2}}, "depth": 4}})
    assert isinstance(built.inner, Inner)
    assert built.inner.gain == 2.0
    assert build("estimator", "outer:inner=inner").inner.gain == 0.5
    ready = Inner(0.1)
    assert build("estimator", {"outer": {"inner": ready}}).inner is ready


@pytest.mark.parametrize(
    ("spec", "path", "problem", "on_key"),
    [
        ({"outer": {"sise": 1}}, "outer.sise", "unknown parameter 'sise', did you mean 'size'? (there are:", True),
        ({"outer": {"size": "x"}}, "outer.size", "must be a whole number, got 'x'", False),
        ({"outer": {"size": True}}, "outer.size", "must be a whole number, got True", False),
        ({"outer": {"size": 0}}, "outer.size", "size must be >= 1, got 0", False),
        ({"outer": {"depth": "x"}}, "outer.depth", "must be a whole number, got 'x'", False),
        ({"outer": {"mode": "fats"}}, "outer.mode", "must be one of fast, slow, got 'fats', did you mean", False),
        ({"outer": {"inner": {"inner": {"gain": []}}}}, "outer.inner.inner.gain", "must be a number, got []", False),
        ({"outer": {"inner": "innr"}}, "outer.inner", "unknown estimator 'innr', did you mean 'inner'?", False),
        ({"outer": 3}, "outer", "parameters expected", False),
    ],
)
def test_errors_say_where_and_what_was_expected(plugins, spec, path, problem, on_key):
    with pytest.raises(SpecError) as caught:
        build("estimator", spec)
    assert str(caught.value).startswith(f"estimator.{path}: {problem}")
    assert (caught.value.path, caught.value.on_key) == (("estimator", *path.split(".")), on_key)


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        ("12", int, 12),
        ("-3", int, -3),
        ("1e-3", float, 0.001),
        (2, float, 2.0),
        ("no", bool, False),
        ("ON", bool, True),
        ("null", int | None, None),
        ("none", str | None, None),
        ("12", int | str, 12),
        ("x", int | str, "x"),
    ],
)
def test_text_is_read_as_the_annotation_says(value, annotation, expected):
    result = coerce(value, annotation)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ("1_000", int),
        ("1_0", float),
        ("1.5", int),
        (1.0, int),
        (True, int),
        (False, float),
        ("nan", float),
        ("1e999", float),
        (float("inf"), float),
        (10**400, float),
        ("9" * 5000, int),
        ("maybe", bool),
        (1, bool),
        (3, str),
        (None, int),
        ("x", int | None),
        ([1], list[int]),
    ],
)
def test_what_does_not_fit_is_refused(value, annotation):
    with pytest.raises(ValueError):
        coerce(value, annotation)


def test_resolved_holds_every_parameter_as_plain_json(plugins):
    full = resolved(build("estimator", {"outer": {"inner": "inner", "size": 9}}))
    assert full == {
        "name": "outer",
        "inner": {"name": "inner", "gain": 0.5},
        "size": 9,
        "depth": None,
        "loud": False,
        "mode": "fast",
    }
    assert json.loads(json.dumps(full)) == full


def test_describe_reads_the_docstring():
    about = describe(Outer)
    assert about.summary == "Wraps an estimator."
    assert about.details.startswith("It has one parameter of each kind,")
    assert [(each.name, each.type, each.default) for each in about.parameters] == [
        ("inner", "Estimator or none", "none"),
        ("size", "int", "3"),
        ("depth", "int or none", "none"),
        ("loud", "bool", "false"),
        ("mode", "fast or slow", "fast"),
    ]
    docs = {each.name: each.doc for each in about.parameters}
    assert docs["depth"] == docs["size"] == "whole numbers, on two lines. [records]"
    assert about.cost == "One step of the inner one, 3 floats a key."
    assert about.references == ('[1] A. Author, "A title on two lines", 2001.', '[2] B. Author, "Another", 2002.')


@pytest.mark.parametrize("kind", ["feature", "changepoint", "estimator", "threshold"])
def test_every_component_is_documented_and_can_be_built_and_named(kind):
    for name in names(kind):
        about = describe(get(kind, name))
        assert about.summary.endswith("."), name
        assert all(each.doc and each.default for each in about.parameters), name
        assert [*spelled(build(kind, name))] == [name]
