"""TSV: CSV with tabs."""

from __future__ import annotations

import re

from clipdetect.formats.csv import Csv
from clipdetect.records import UNLIKE, Head

__all__ = ["Tsv"]

LABELLED = re.compile(r"([A-Za-z_][\w.-]*):", re.ASCII)


class Tsv(Csv):
    """Tab-separated values, with the quoting of CSV."""

    name = "tsv"
    rank = 100
    delimiter = b"\t"

    @classmethod
    def looks(cls, head: Head) -> float:
        return UNLIKE if _is_labelled(head.row) else super().looks(head)


def _is_labelled(row: str) -> bool:
    """Whether each cell has a label of its own, as in LTSV: the line is a record then and no header."""
    found = [LABELLED.match(cell) for cell in row.split("\t")]
    labels = [each[1] for each in found if each is not None]
    return len(labels) == len(found) == len(set(labels)) > 1
