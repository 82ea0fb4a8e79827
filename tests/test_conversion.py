"""Values stay what they are when records are written in another format."""

from __future__ import annotations

import csv
import json

import pytest
from feeding import feed
from hypothesis import given
from hypothesis import strategies as st

NUMBERS = [
    "1.0",
    "1.50",
    "1e5",
    "-0",
    "0.00001",
    "12345678901234567890123",
    "1E+2",
    "7",
    "-3.25",
    "0.1000",
    "9007199254740993",
]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("source", ["jsonl", "json"])
def test_numbers_of_json_keep_their_text(number, source):
    line = b'{"id":%b,"x":1,"s":"\\ud800","n":{"a":[%b]}}' % (number.encode(), number.encode())
    data = b"[" + line + b"]" if source == "json" else line + b"\n"
    other = "json" if source == "jsonl" else "jsonl"
    out, _, pipeline = feed(data, input_format=source, output_format=other)
    assert pipeline.code == 0
    assert b'"id":%b,"x":1,"s":"\\ud800","n":{"a":[%b]}' % (number.encode(), number.encode()) in out
    out, _, _ = feed(data, input_format=source, output_format="csv")
    rows = list(csv.DictReader(out.decode().splitlines()))
    assert (rows[0]["id"], rows[0]["n.a"]) == (number, f"[{number}]")


@pytest.mark.parametrize(
    ("cell", "value"),
    [("00712", '"00712"'), ("+5", "5"), (".5", "0.5"), ("1.", "1"), ("-.5e3", "-0.5e3"), ("1.50", "1.50"), ("", "null"),
     ("12345678901234567890123", "12345678901234567890123"), ("1e999", '"1e999"'), ("007.5", '"007.5"'),
     ("abc", '"abc"'), ("-0", "-0"), ("1_000", '"1_000"'), ("2026-01-02", '"2026-01-02"')],
)  # fmt: skip
def test_cells_keep_their_digits(cell, value):
    out, _, _ = feed(f"zip,x\n{cell},1\n".encode(), input_format="csv", output_format="jsonl")
    assert out.startswith(b'{"zip":%b,"x":1,' % value.encode())


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4).map(str) | st.integers().map(str))
def test_a_number_survives_the_way_to_csv_and_back(number):
    line = b'{"v":%b,"x":1}\n' % number.encode()
    there, _, _ = feed(line, input_format="jsonl", output_format="csv")
    back, _, _ = feed(there, input_format="csv", output_format="jsonl", prefix="again_")
    if "E" not in number:
        assert back.startswith(b'{"v":%b,"x":1,' % number.encode())
    assert float(json.loads(back)["v"]) == float(number)
