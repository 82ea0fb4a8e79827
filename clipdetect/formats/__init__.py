"""Formats: bytes to records and back. `sniff` tells from the first record which one it is."""

from __future__ import annotations

import csv as csv_library  # the plain names are those of this package's own modules
import json as json_library
import re
from collections.abc import Mapping
from typing import Any

from clipdetect.formats.binary import is_binary

BOM = b"\xef\xbb\xbf"
NUMBER = re.compile(r"[ \t]*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t]*\Z")
WRAPPED = b'{"Records":['  # a document whose records are in an array
JOURNALD = b'"__REALTIME_TIMESTAMP"'
FLOW = {
    "version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes",
    "start", "end", "action", "log-status", "vpc-id", "subnet-id", "instance-id", "tcp-flags", "type", "pkt-srcaddr",
    "pkt-dstaddr", "region", "az-id", "flow-direction", "traffic-path",
}  # fmt: skip
FIELD = re.compile(r"[a-z][a-z0-9-]*\Z")
csv_library.field_size_limit(2**31 - 1)  # --max-line is the limit
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
        if _array(rest):
            return "json"
    if text[:1] == b"{":
        compact = b"".join(text[:256].split())[: len(WRAPPED)]
        if compact == WRAPPED:
            return "json"
        if WRAPPED.startswith(compact) and not final:
            return None
    line, newline, _ = text.partition(b"\n")
    if not newline and not final:
        return None
    if text[:1] == b"{":
        return "journald" if JOURNALD in line else "jsonl"
    row = line.decode("utf-8", "replace").rstrip("\r")
    if NUMBER.match(row) or row.strip().lower() in ("nan", "inf", "-inf"):
        return "plain"
    name = _log(row)
    if name is not None or text[:1] == b"[":
        return name or "text"
    if is_binary(line):
        return "text"
    for name, delimiter in (("csv", ","), ("tsv", "\t")):
        if delimiter in row and _tabular(text.decode("utf-8", "replace"), delimiter):
            return name
    return "ssv" if _flow(row.split(" ")) else "text"


def recipe_for(name: str, record: Mapping[str, Any]) -> tuple[str, str]:
    """The recipe that knows such records of this format better than the format does, and a hint at it; or nothing."""
    if name == "access":
        return "access", "these look like access log lines: --recipe access finds more in them"
    if "sshd" in (record.get("program"), record.get("SYSLOG_IDENTIFIER")):
        return "sshd", "some of these lines are of sshd: --recipe sshd finds more in them"
    if {"srcaddr", "dstaddr", "action"} <= record.keys():
        return "flow", "these look like flow logs: --recipe flow finds more in them"
    if {"eventSource", "eventName"} <= record.keys():
        return "cloudtrail", "these look like CloudTrail records: --recipe cloudtrail finds more in them"
    return "", ""


def _log(row: str) -> str | None:
    """The log format of a first line."""
    from clipdetect.formats.access import Access  # not before it is needed: these import numpy
    from clipdetect.formats.log import Log
    from clipdetect.formats.logfmt import Logfmt
    from clipdetect.formats.syslog import Syslog

    return next((each.name for each in (Access, Syslog, Logfmt, Log) if each.looks(row)), None)


def _flow(words: list[str]) -> bool:
    """Whether the words are the header of a flow log: names of its fields, most of them known."""
    known = sum(word in FLOW for word in words)
    return len(words) >= 3 and known >= 2 and 2 * known >= len(words) and all(map(FIELD.match, words))


def _array(rest: bytes) -> bool:
    """Whether what follows an opening bracket is an array's element, not a log line like `[12:03] started`."""
    try:
        json_library.loads(rest.partition(b"\n")[0].rstrip(b"\r ,]"))
    except (ValueError, RecursionError):
        return False
    return True


def _tabular(text: str, delimiter: str) -> bool:
    """Whether the first record is a header, or cells most of which are numbers or empty."""
    try:
        row = next(csv_library.reader((line + "\n" for line in text.split("\n")), delimiter=delimiter), [])
    except csv_library.Error:  # a carriage return within
        row = text.partition("\n")[0].split(delimiter)
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
