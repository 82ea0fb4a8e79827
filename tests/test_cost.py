"""The cost of a text grows with its length and no faster, whatever the text: words are made from the expressions."""

from __future__ import annotations

import ast
import contextlib
import importlib
import json
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hostile_words import Expression, Word

import clipdetect
from clipdetect import registry
from clipdetect.formats import sniff, times, values
from clipdetect.formats.extract import typed
from clipdetect.formats.objects import Unreadable
from clipdetect.formats.select import Selection
from clipdetect.formats.shape import shape
from clipdetect.records import FormatOptions, Head

ROOT = Path(clipdetect.__file__).parent
SEARCHES = {"search", "sub", "subn", "finditer", "findall", "split"}
SHORT, LONG = 500, 16_000  # characters; of an expression in quadratic time the second costs 1,024 times the first
SUSPECT = 60e-9  # seconds a character of a short word from which a long one is looked at
PLAIN = 400e-9  # seconds a character that no quadratic expression keeps to at LONG, on any machine
MOST_SUSPECTS, MOST_SHOWN = 20, 3


def sources() -> dict[str, ast.Module]:
    """Every module of the package, parsed."""
    names = [each.name for each in pkgutil.walk_packages(clipdetect.__path__, "clipdetect.")]
    files = {name: importlib.import_module(name).__file__ for name in names if not name.endswith("__main__")}
    return {name: ast.parse(Path(str(file)).read_text()) for name, file in files.items()}


def compiled(value: Any) -> Iterator[re.Pattern]:
    """The patterns in a value, and in what it holds."""
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from compiled(each)
    elif isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from compiled(each)


def searched(tree: ast.Module) -> set[str]:
    """Names of patterns that are looked for anywhere in a text."""
    return {
        node.value.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in SEARCHES and isinstance(node.value, ast.Name)
    }


def inline(tree: ast.Module) -> Iterator[tuple[str, re.Pattern]]:
    """Patterns written where they are used, as in `re.match("...", text)`, with the function."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Attribute(ast.Name("re"), method), [ast.Constant(str(text)), *_]) if method != "compile":
                yield method, re.compile(text, re.MULTILINE if "MULTILINE" in ast.dump(node) else 0)


def values_of(value: Any, name: str) -> Iterator[Any]:
    """Everything that goes by a name in a YAML document."""
    if isinstance(value, dict):
        yield from [value[name]] if name in value else []
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from values_of(each, name)


def found() -> dict[str, tuple[re.Pattern, bool]]:
    """Every pattern of the package by where it stands, and whether it is searched for; each once."""
    every: dict[str, tuple[re.Pattern, bool]] = {}
    for name, tree in sources().items():
        if name == "clipdetect.documentation":
            continue  # its texts are docstrings, not a stream's
        module = importlib.import_module(name)
        looked_for = searched(tree)
        for variable, value in vars(module).items():
            parts = list(compiled(value)) if not isinstance(value, type) else []
            if isinstance(value, type) and value.__module__ == name:
                parts = [each for own in vars(value).values() for each in compiled(own)]
            for i, each in enumerate(parts):
                where = f"{name.removeprefix('clipdetect.')}.{variable}" + (f"[{i}]" if len(parts) > 1 else "")
                every[where] = (each, variable in looked_for)
        for i, (method, each) in enumerate(inline(tree)):
            every[f"{name.removeprefix('clipdetect.')}:{method}{i}"] = (each, method in SEARCHES)
    for path in sorted((ROOT / "recipes").glob("*.yaml")):
        recipe = yaml.safe_load(path.read_text())
        wheres = [each.partition("~")[2] for each in values_of(recipe, "where")]
        for i, text in enumerate([*recipe.get("extract", []), *filter(None, wheres)]):
            every[f"{path.name}[{i}]"] = (re.compile(text), True)
    once: dict[re.Pattern, str] = {}
    for where, (each, search) in every.items():
        if each not in once or search:
            once[each] = where
    return {where: (each, any(s for e, s in every.values() if e == each)) for each, where in once.items()}


FOUND = found()


def seconds(call: Callable[[Any], Any], text: Any, times: int) -> float:
    """CPU time of a call, the least of some."""
    best = float("inf")
    for _ in range(times):
        start = time.process_time()
        call(text)
        best = min(best, time.process_time() - start)
    return best


def slow(call: Callable[[Any], Any], words: Iterator[Word], encode: bool = False) -> list[str]:
    """The words on which the cost of a call grows faster than with their length."""

    def text(word: Word, n: int) -> Any:
        made = word.text(n)
        return made.encode("latin-1") if encode else made

    usual = seconds(call, text(Word("", ("a",), ""), SHORT), 5)  # what a call costs without a hard text
    suspects = []
    for word in words:
        own = text(word, SHORT)
        start = time.perf_counter()
        call(own)
        if time.perf_counter() - start > SUSPECT * SHORT + 2.0 * usual:
            cost = seconds(call, own, 3) / len(own)
            if cost > SUSPECT:
                suspects.append((cost, word))
                if cost > 100 * SUSPECT:
                    break  # sure, and too slow to go on
    suspects.sort(reverse=True)
    bad = []
    for cost, word in suspects[:MOST_SUSPECTS]:
        for n in (4 * SHORT, LONG):  # a short step first: what is cubic would take for ever
            own = text(word, n)
            if (
                seconds(call, own, 3) / len(own) > max(PLAIN, 6.0 * cost)
                and seconds(call, own, 5) / len(own) > 6.0 * cost
            ):
                bad.append(f"{word}: {cost * 1e9:.0f} ns a character, {n} characters {seconds(call, own, 1):.3f} s")
                break
        if len(bad) == MOST_SHOWN:
            break
    return bad


@pytest.mark.parametrize("where", FOUND)
def test_an_expression_takes_time_in_proportion_to_the_text(where):
    pattern, search = FOUND[where]
    calls = [pattern.match, pattern.fullmatch]
    if search:
        calls = [lambda text: [None for _ in pattern.finditer(text)]]
    for call in calls:
        assert slow(call, Expression(pattern).words(), isinstance(pattern.pattern, bytes)) == []


@pytest.mark.parametrize("where", FOUND)
def test_a_possessive_repeat_is_of_one_character(where):
    assert not Expression(FOUND[where][0]).daring()


def words() -> list[Word]:
    """One part again and again, of every expression."""
    units = [unit for pattern, _ in FOUND.values() for unit in Expression(pattern).units]
    return [Word("", (unit,), end) for unit in dict.fromkeys(units) for end in ("", "\x00")]


STARTS = {
    "log": (
        "2026-03-04 20:18:00,000 INFO [w] shop: ",
        "2026-03-04 20:18:00 ",
        "[2026-03-04 20:18:00] ",
        "12:00:01 | ",
        "",
    ),
    "syslog": ("Mar  4 00:02:01 gate app[1]: ", "<13>1 2026-03-04T00:00:00Z h a 1 - ", "Mar  4 00:02:01 ", ""),
    "access": (
        '10.0.0.1 - - [04/Mar/2026:00:00:01 +0000] "',
        '- - - [04/Mar/2026:00:00:01 +0000] "GET / HTTP/1.1" 200 5 ',
        "",
    ),
    "logfmt": ('ts=1 level=info msg="', "ts=1 ", ""),
}


def reading(name: str, start: str) -> Callable[[str], Any]:
    """Reads a line, and looks which format it has."""
    form = registry.get("format", name)(FormatOptions(), Selection([], [], 256, []))

    def read(text: str) -> None:
        form.looks(Head((start + text).encode(), True))
        with contextlib.suppress(Unreadable):
            form.record((start + text).encode())

    return read


def decoding(name: str, line: Callable[[str], str]) -> Callable[[str], Any]:
    """Decodes a record with a text in it, its category and its shape."""
    options = FormatOptions(by=("s",), categories=("s", "shape(s)", "s~x$"), objects=True)
    form = registry.get("format", name)(options, Selection([], [], 256, []))
    form.start("a")
    form.decode(line("a").encode() + b"\n", False)
    return lambda text: form.decode(line(text).encode("utf-8", "replace") + b"\n", False)


CALLS: dict[str, Callable[[str], Any]] = {
    "shape": shape,
    "a time": times.seconds,
    "a first line": lambda text: sniff(text.encode(), True),
    "a cell": values.cell,
    "a typed text": typed,
    **{f"{name} {i}": reading(name, start) for name, starts in STARTS.items() for i, start in enumerate(starts)},
    "jsonl, a text": decoding("jsonl", lambda text: json.dumps({"x": 1, "s": text})),
    "jsonl, a name": decoding("jsonl", lambda text: json.dumps({"x": 1, text: {text: 1}})),
    "jsonl, a line": decoding("jsonl", lambda text: '{"x":' + text.replace("\n", "")),
    "json, a text": decoding("json", lambda text: "," + json.dumps({"x": 1, "s": text})),
    "csv, a cell": decoding(
        "csv", lambda text: "x,s" if text == "a" else "1," + text.replace("\n", "").replace(",", "")
    ),
    "csv, a row": decoding("csv", lambda text: "x,s" if text == "a" else text),
    "tsv, in quotes": decoding("tsv", lambda text: "x\ts" if text == "a" else '1\t"' + text.replace('"', '""') + '"'),
    "plain": decoding("plain", lambda text: text),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_record_takes_time_in_proportion_to_its_text(name):
    assert slow(CALLS[name], iter(words())) == []
