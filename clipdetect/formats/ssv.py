"""Space-separated values with a header, such as flow logs of virtual networks."""

from __future__ import annotations

import re

from clipdetect.formats.binary import is_binary
from clipdetect.formats.csv import Csv
from clipdetect.records import LIKELY, UNLIKE, Head

__all__ = ["Ssv"]

FLOW = {
    "version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes",
    "start", "end", "action", "log-status", "vpc-id", "subnet-id", "instance-id", "tcp-flags", "type", "pkt-srcaddr",
    "pkt-dstaddr", "region", "az-id", "flow-direction", "traffic-path",
}  # fmt: skip
FIELD = re.compile(r"[a-z][a-z0-9-]*\Z")


class Ssv(Csv):
    """Cells with one space between them; `-` is a missing value. The annotation is further cells."""

    name = "ssv"
    rank = 110
    delimiter = b" "
    missing = "-"

    @classmethod
    def looks(cls, head: Head) -> float:
        words = head.row.split(" ")
        return LIKELY if _names_of_flows(words) and not is_binary(head.line) else UNLIKE


def _names_of_flows(words: list[str]) -> bool:
    """Whether the words are the header of a flow log: names of its fields, most of them known."""
    known = sum(word in FLOW for word in words)
    return len(words) >= 3 and known >= 2 and 2 * known >= len(words) and all(map(FIELD.match, words))
