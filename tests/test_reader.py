"""The one way from bytes to records: the format is told once, and what came before a failure is kept."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import clipdetect
from clipdetect import catalog, registry
from clipdetect.errors import ConfigError, InputError
from clipdetect.formats.select import Selection
from clipdetect.reader import Reader, first_bytes
from clipdetect.records import FormatOptions

ROOT = Path(clipdetect.__file__).parent


class Pieces:
    """An input that gives these bytes, and then maybe breaks off."""

    def __init__(self, *pieces: bytes, broken: bool = False) -> None:
        self.name, self.pieces, self.broken = "in", pieces, broken

    def __iter__(self):
        yield from self.pieces
        if self.broken:
            raise InputError("in: cut off")


def made(given: str = "auto"):
    selection, names = Selection((), (), 256, ()), []

    def make(name: str):
        names.append(name)
        return registry.get("format", name)(FormatOptions(), selection)

    return Reader(make, given=given), names


def values(batches) -> list[float]:
    return [value for batch in batches if batch is not None for value in batch.X[:, :1].ravel().tolist()]


TEXT = b'{"x": 1}\n{"x": 2}\n{"x": 3}'


@pytest.mark.parametrize("size", [1, 3, 8, 9, 100])
def test_pieces_of_any_size_give_the_same_records(size):
    reader, names = made()
    assert values(reader.batches(Pieces(*(TEXT[at : at + size] for at in range(0, len(TEXT), size))))) == [1, 2, 3]
    assert names == ["jsonl"]


def test_the_first_input_tells_the_format_of_all():
    reader, names = made()
    assert values(reader.batches(Pieces(b"x,y\n1,2\n"))) == [1]
    assert values(reader.batches(Pieces(b"x,y\n5,6\n"))) == [5]
    assert names == ["csv"]


def test_an_input_that_breaks_off_gives_what_came_before_and_then_the_reason():
    reader, _ = made()
    batches = reader.batches(Pieces(b'{"x": 1}\n{"x": 2}\n{"x', broken=True))
    found = [next(batches), next(batches)]
    assert values(found) == [1, 2]
    assert [problem.line for batch in found for problem in batch.problems] == [3]
    with pytest.raises(InputError, match="cut off"):
        next(batches)


def test_an_input_that_breaks_off_at_once_has_no_format():
    reader, names = made()
    with pytest.raises(InputError, match="cut off"):
        list(reader.batches(Pieces(broken=True)))
    assert names == []


def test_an_empty_input_tells_no_format_and_the_next_one_does():
    reader, names = made()
    assert list(reader.batches(Pieces())) == []
    assert values(reader.batches(Pieces(b"7\n"))) == [7]
    assert names == ["plain"]


def test_a_format_that_is_given_is_taken_at_once():
    assert first_bytes(iter([b"{", b"}"]), "csv") == ("csv", b"{")
    assert first_bytes(iter(())) == (None, b"")
    assert first_bytes(iter([b"a", b",b\n", b"never taken"])) == ("csv", b"a,b\n")


def test_where_nothing_has_come_there_is_something_to_be_told():
    reader, _ = made()
    assert [batch is None for batch in reader.batches(Pieces(b"1\n", b"", b"2\n"))] == [False, True, False, False]


def test_a_plug_in_that_cannot_be_asked_is_named(monkeypatch):
    class Broken:
        name, value = "gone", "gone:Gone"

        def load(self):
            raise ImportError("no module named gone")

    monkeypatch.setattr(catalog, "_entry_points", lambda kind: {"gone": Broken()} if kind == "format" else {})
    assert first_bytes(iter([b"a,b\n"])) == ("csv", b"a,b\n")
    with pytest.raises(ConfigError, match="format 'gone' cannot be loaded from gone:Gone: no module named gone"):
        first_bytes(iter([b"hello world\n"]))


def test_a_table_of_records_needs_no_registry():
    """A parameter may be a file, so the registry reads tables; it would go in a circle if they needed it."""
    seen, left = {"clipdetect"}, ["clipdetect.table_file"]  # the package itself imports nothing by itself
    while left:
        name = left.pop()
        path = ROOT.joinpath(*name.split(".")[1:])
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if name in seen or not file.exists():
            continue
        seen.add(name)
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("clipdetect"):
                left += [str(node.module), *(f"{node.module}.{each.name}" for each in node.names)]
    assert {"clipdetect.reader", "clipdetect.formats", "clipdetect.catalog"} <= seen
    assert "clipdetect.registry" not in seen
