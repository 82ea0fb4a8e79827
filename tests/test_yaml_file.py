"""YAML 1.2 scalars, and what is refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipdetect.errors import ConfigError
from clipdetect.yaml_file import Document, dump, read


def value(text: str):
    return Document("c.yaml", f"a: {text}\n").values["a"]


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        Document("c.yaml", text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("1e-3", 0.001),
        ("1.", 1.0),
        (".5", 0.5),
        ("012", 12),
        ("0o14", 12),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
        ("-.inf", -math.inf),
        ("~", None),
        ("", None),
        ("null", None),
        ("'12'", "12"),
        ('"no\\n"', "no\n"),
        ("+5", 5),
        ("1e400", math.inf),
        ("[1, [x]]", [1, ["x"]]),
        ("{b: {c: d}}", {"b": {"c": "d"}}),
        ("9" * 500, "9" * 500),
        ("=", "="),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, expected):
    result = value(text)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "c.yaml:3:1: 'a' is set twice, first in line 1"),
        ("x: {a: 1,\n  a: 3}\n", "c.yaml:2:3: 'a' is set twice, first in line 1"),
        ("a: &x 1\nb: *x\n", "c.yaml:1:4: anchors and aliases are not supported"),
        ("a: !!python/object/apply:os.system [x]\n", "c.yaml:1:4: tags such as"),
        ("a: !!str 5\n", "c.yaml:1:4: tags such as"),
        ("a: 1\n---\nb: 1\n", "c.yaml:2:1: one document expected"),
        ("[1, 2]\n", "c.yaml:1:1: settings expected as name: value"),
        ("rate\n", "c.yaml:1:1: settings expected"),
        ("1: 2\n", "c.yaml:1:1: the name of a setting must be text"),
        ("[a]: 2\n", "c.yaml:1:1: the name of a setting must be text"),
        ("a: {b: [\n", "c.yaml:2:1: "),
        ("a: 1\n\tb: 2\n", "c.yaml:2:1: "),
        ("a: " + "[" * 40 + "]" * 40, "c.yaml:1:36: nested deeper than 32 levels"),
        ("a: '\x01'\n", "c.yaml"),
    ],
)
def test_what_is_refused_is_located(text, message):
    assert refused(text).startswith(message)


def test_deep_nesting_is_an_error_and_no_crash():
    assert refused("a: " + "[" * 10000).startswith("c.yaml:")


def test_places_of_keys_and_values():
    document = Document("c.yaml", "a:\n  b: [x, {c: 1}]\n")
    assert document.where(("a", "b"), key=True) == "c.yaml:2:3"
    assert document.where(("a", "b", 1, "c")) == "c.yaml:2:14"
    assert document.where(("a", "b", "nosuch")) == "c.yaml:2:6"
    assert document.where(("nosuch",), key=True) == "c.yaml:1:1"


def test_bom_is_skipped_and_bytes_that_are_not_utf_8_are_named(tmp_path):
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_bytes(b"\xef\xbb\xbfa: 1\n")
    bad.write_bytes(b"a: \xff\n")
    assert read(str(good)).values == {"a": 1}
    with pytest.raises(ConfigError, match="not UTF-8, at byte 4"):
        read(str(bad))


@pytest.mark.parametrize(
    "each",
    ["", "a", "no", "true", "12", "1e5", "a: b", "# x", "\n\t", "é😀", "it's", '"', {"a": [1, 2.5, None]}, [], 1e-300],
)
def test_dumped_values_read_back(each):
    assert value(dump(each)) == each


@given(st.text(alphabet="ab01 :-[]{},\n\t\"'#&*!|>%@`~?.é\x00\x85\ufeff", max_size=30))
def test_any_text_is_read_or_refused_with_a_place(text):
    try:
        Document("c.yaml", text)
    except ConfigError as error:
        assert str(error).startswith("c.yaml")
