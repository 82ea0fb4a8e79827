"""Formats: bytes to records and back. `sniff` tells from the first record which one it is."""

from __future__ import annotations

import csv as csv_library  # the plain names are those of this package's own modules
import json as json_library
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
        rest = text[1:].lstrip(b" \t\r\n")
        if rest[:1] in (b"{", b"]") or (not rest and final):
            return "json"
        if not final and (not rest or b"\n" not in rest):
            return None
        return "json" if _array(rest) else "text"
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


def _array(rest: bytes) -> bool:
    """Whether what follows an opening bracket is an array's element, not a log line like `[12:03] started`."""
    try:
        json_library.loads(rest.partition(b"\n")[0].rstrip(b"\r ,]"))
    except ValueError:
        return False
    return True


def _tabular(text: str, delimiter: str) -> bool:
    """Whether the first record is a header, or cells most of which are numbers or empty."""
    row = next(csv_library.reader(text.splitlines(keepends=True), delimiter=delimiter), [])
    if len(row) < 2:
        return False
    numeric = sum(bool(NUMBER.match(cell)) or not cell.strip() for cell in row)
    if 2 * numeric >= len(row):
        return True
    names = [cell for cell in row if cell]
    tidy = all(len(name) <= LONGEST_NAME and name[:1] != " " for name in names)
    return (
        tidy
        and len(names) >= 2
        and len(set(names)) == len(names)
        and sum(" " in name for name in names) <= len(names) / 2
    )
