"""Formats: bytes to records and back. `sniff` tells from the first record which one it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clipdetect.catalog import own_formats, plugged_formats
from clipdetect.records import ANYTHING, BOM, SURE, Head, Incomplete

UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def sniff(head: bytes, final: bool) -> str | None:
    """The format of a stream that begins with `head`; None where its first record is not complete yet.

    The formats are asked in turn until one is sure; else it is the surest. Plug-ins are asked where no format of
    this package knows the records.
    """
    seen = Head(head, final)
    if not seen.data or (BOM.startswith(head) and not final):
        return "text" if final and head else None
    if seen.data.startswith(UTF_16):
        return "text"
    name, surest = "text", 0.0
    try:
        for formats in (own_formats, plugged_formats):
            for each, made in formats(seen.data[:1]):
                sure = made.looks(seen)
                if sure > surest:
                    name, surest = each, sure
                if surest >= SURE:
                    return name
            if surest > ANYTHING:
                break
    except Incomplete:
        return None
    return name


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
