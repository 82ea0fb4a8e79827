"""TSV: CSV with tabs."""

from __future__ import annotations

from clipdetect.formats.csv import Csv

__all__ = ["Tsv"]


class Tsv(Csv):
    """Tab-separated values, with the quoting of CSV."""

    name = "tsv"
    delimiter = b"\t"
