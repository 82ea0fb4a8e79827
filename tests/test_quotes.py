"""Where records of CSV end: by Python's own reader, whatever the cut, and at a cost in proportion to the bytes."""

from __future__ import annotations

import csv
import signal
from itertools import pairwise, product

import pytest
from commands import PATIENCE, start
from feeding import feed
from hypothesis import given, settings
from hypothesis import strategies as st

from clipdetect.formats.cells import unique
from clipdetect.formats.csv import flat
from clipdetect.formats.quotes import Quotes, state_after


def state(lines):
    """The same of all lines of a record, by the library."""
    feed_ = [line.decode("latin-1") + "\n" for line in lines]
    try:
        next(csv.reader(feed_, strict=True))
    except csv.Error as error:
        return "open" if "unexpected end" in str(error) else "fault"
    return "closed"


def naive(lines, limit):
    found, i = [], 0
    while i < len(lines):
        end = i + 1
        for k in range(i + 1, len(lines) + 1):
            own = state(lines[i:k])
            if own == "closed":
                end = k
            if own != "open" or len(b"\n".join(lines[i:k])) > limit:
                break
        found.append((b"\n".join(lines[i:end]), end - i))
        i = end
    return found


def test_a_line_is_read_as_the_library_reads_it():
    for size in range(8):
        for chars in product(b'",a\r', repeat=size):
            line = bytes(chars)
            assert state_after(line, b",", False) == state([line]), line
            assert state_after(line, b",", True) == state([b'"', line]), line


LINES = st.lists(st.text('",a\r', max_size=6).map(str.encode), max_size=8)


@settings(max_examples=1500, deadline=None, derandomize=True)
@given(LINES, st.integers(1, 30), st.lists(st.integers(0, 8), max_size=3))
def test_records_are_those_of_the_library_however_they_are_cut(lines, limit, cuts):
    quotes, found, edges = Quotes(b",", limit), [], sorted({0, *(min(cut, len(lines)) for cut in cuts), len(lines)})
    for begin, end in pairwise(edges):
        found += quotes.records(lines[begin:end])
    assert found + quotes.records([], final=True) == naive(lines, limit)


def steps(line, n, limit, monkeypatch):
    """How many bytes are looked at for n lines, each in a block of its own."""
    from clipdetect.formats import quotes as module

    looked = 0

    def counting(line, delimiter, inside):
        nonlocal looked
        looked += len(line)
        return state_after(line, delimiter, inside)

    monkeypatch.setattr(module, "state_after", counting)
    quotes = Quotes(b",", limit)
    for _ in range(n):
        quotes.records([line])
    quotes.records([], final=True)
    return looked


@pytest.mark.parametrize("line", [b'a",",', b'"', b'"a', b'","', b'""', b'a,"b""', b'x"'])
@pytest.mark.parametrize("limit", [1000, 1 << 24])
def test_a_byte_is_looked_at_twice_at_most(line, limit, monkeypatch):
    assert steps(line, 3000, limit, monkeypatch) <= 2 * 3000 * len(line)


def test_a_record_that_is_too_long_is_the_same_record_wherever_the_input_is_cut():
    data = b"x,y\n" + b"1,2\n" * 20 + b'3,"' + b"long\n" * 300 + b'end"\n' + b"4,5\n" * 9 + b'"open\n6,7\n'
    whole, said, _ = feed(data, max_line="1K")
    assert b"\n4,5,,false," in whole and said
    for size in (1, 7, 100):
        assert feed(data, sizes=[size], max_line="1K")[:2] == (whole, said)


def test_names_of_columns_are_unique_at_a_linear_cost():
    assert unique(["a", "a", "a_2", "a", "", "", "a_2"]) == ["a", "a_2", "a_2_2", "a_3", "", "_2", "a_2_3"]
    assert len(set(unique(["a"] * 100_000))) == 100_000


def test_cells_of_an_object_keep_their_order_and_names():
    record = {"a": {"b": 1, "c": {}}, "d": [1, {"e": 2}], "": {"x": None}, "f": {"g": {"h": "t"}}}
    assert flat(record) == {"a.b": "1", "a.c": "{}", "d": '[1,{"e":2}]', ".x": "", "f.g.h": "t"}
    assert flat({"n" * 2000: {"x": 1}}) == {"n" * 2000: '{"x":1}'}


def test_an_open_quote_of_a_followed_file_is_told_of_though_nothing_more_comes(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('a,b\n1,2\n"3,4\n')
    process = start("--follow", path)
    said = process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert f"{path}:3: a quote opens here" in said.decode()
