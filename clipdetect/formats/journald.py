"""The journal of systemd, as `journalctl -o json` writes it."""

from __future__ import annotations

from dataclasses import replace

from clipdetect.formats.jsonl import Jsonl
from clipdetect.formats.select import Selection
from clipdetect.records import SURE, UNLIKE, FormatOptions, Head

__all__ = ["Journald"]

TIME = "__REALTIME_TIMESTAMP"  # when the journal took the record in [us]
MARK = f'"{TIME}"'.encode()


class Journald(Jsonl):
    """JSON Lines of the journal: numbers and times are texts, a message that is no UTF-8 a list of bytes.

    Records keep their bytes, and fields their own names: MESSAGE, PRIORITY, SYSLOG_IDENTIFIER, _PID.
    """

    name = "journald"
    rank = 20
    opens = b"{"
    derive = (
        "template:field=MESSAGE",
        "rare:field=SYSLOG_IDENTIFIER+PRIORITY",
        "rate:window=60s",
        "interval",
    )
    timed = True
    message = "MESSAGE"

    def __init__(self, options: FormatOptions, selection: Selection) -> None:
        super().__init__(replace(options, time=options.time or TIME), selection)

    @classmethod
    def looks(cls, head: Head) -> float:
        return SURE if MARK in head.line else UNLIKE
