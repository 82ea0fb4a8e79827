"""Formats: bytes to records and back. `sniff` tells from the first record which one it is."""

from __future__ import annotations

import csv
import json
import re

BOM = b"\xef\xbb\xbf"
NUMBER = re.compile(r"[ \t]*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t]*\Z")
LONGEST_NAME = 64  # characters of a column's name; longer first cells are prose


def sniff(head: bytes, final: bool) -> str | None:
    """The format of a stream that begins with `head`; None where its first record is not complete yet."""
    text = head.removeprefix(BOM).lstrip(b" \t\r\n")
    if not text or (BOM.startswith(head) and not final):
        return "text" if final and head else None
    if text.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text"
    if text[:1] == b"[":
        return "json" if _array(text, final) else None if not final and b"\n" not in text else "text"
    line, newline, _ = text.partition(b"\n")
    if not newline and not final:
        return None
    if text[:1] == b"{":
        return "jsonl"
    row = line.decode("utf-8", "replace").rstrip("\r")
    for name, delimiter in (("csv", ","), ("tsv", "\t")):
        if delimiter in row and _tabular(text.decode("utf-8", "replace"), delimiter):
            return name
    return "plain" if NUMBER.match(row) or row.strip().lower() in ("nan", "inf", "-inf") else "text"


def _array(text: bytes, final: bool) -> bool:
    """Whether an opening bracket begins a JSON array of objects, not a log line like `[12:03] started`."""
    rest = text[1:].lstrip(b" \t\r\n")
    if rest[:1] in (b"{", b"]"):
        return True
    if not rest:
        return final
    try:
        json.loads(text.partition(b"\n")[0].rstrip(b"\r,"))
    except ValueError:
        return False
    return True


def _tabular(text: str, delimiter: str) -> bool:
    """Whether the first record is a header, or cells most of which are numbers or empty."""
    row = next(csv.reader(text.splitlines(keepends=True), delimiter=delimiter), [])
    if len(row) < 2:
        return False
    numeric = sum(bool(NUMBER.match(cell)) or not cell.strip() for cell in row)
    if 2 * numeric >= len(row):
        return True
    names = [cell for cell in row if cell]
    tidy = all(len(name) <= LONGEST_NAME and name[:1] != " " for name in names)
    return tidy and len(names) >= 2 and len(set(names)) == len(names) and sum(" " in name for name in names) <= len(names) / 2
