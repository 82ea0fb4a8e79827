"""Space-separated values with a header, such as flow logs of virtual networks."""

from __future__ import annotations

from clipdetect.formats.csv import Csv

__all__ = ["Ssv"]


class Ssv(Csv):
    """Cells with one space between them; `-` is a missing value. The annotation is further cells."""

    name = "ssv"
    delimiter = b" "
    missing = "-"
