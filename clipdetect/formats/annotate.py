"""The text of an annotation: JSON members, and words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from clipdetect.formats.json_text import dumps
from clipdetect.records import Annotation, FormatOptions, Reason


def six(value: float) -> float | None:
    """Rounded to 6 significant digits; None where there is no finite number."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def texts(values: np.ndarray) -> list[bytes]:
    """Shortest text of each of (n,) numbers, `null` for NaN."""
    if not len(values):
        return []
    return orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")


def names(options: FormatOptions, csv: bool = False) -> list[str]:
    """Names of the fields that this run appends, prefix included; in CSV without the bands' own."""
    found = ["score", "anomaly", "why", *options.marks]
    if options.bands and not csv:
        found += ["expected", "lower", "upper"]
    return [options.prefix + name for name in found]


class JsonAnnotator:
    """Members to append to a JSON object, as bytes."""

    def __init__(self, options: FormatOptions) -> None:
        self.options = options
        self.score = dumps(options.prefix + "score") + b":"
        self.clear = b"," + dumps(options.prefix + "anomaly") + b":false"

    def members(self, annotation: Annotation, i: int, score: bytes) -> bytes:
        """All members of record i, without a leading comma."""
        more: dict[str, Any] = {"anomaly": bool(annotation.anomaly[i])}
        if i in annotation.why:
            more["why"] = [reason(each) for each in annotation.why[i]]
        more.update({name: each[i].item() for name, each in annotation.marks.items() if each[i]})
        if annotation.bands is not None:
            for name, values in zip(("expected", "lower", "upper"), annotation.bands, strict=True):
                more[name] = {
                    field: six(values[i, j])
                    for j, field in enumerate(annotation.fields)
                    if annotation.seen is None or annotation.seen[i, j]
                }
        prefix = self.options.prefix
        return self.score + score + b"," + dumps({prefix + name: value for name, value in more.items()})[1:-1]


def mark_cells(options: FormatOptions, annotation: Annotation, i: int) -> list[bytes]:
    """The cells of record i's marks: `true` or a number, empty where there is none."""
    cells = []
    for name in options.marks:
        each = annotation.marks.get(name)
        cells.append(b"" if each is None or not each[i] else orjson.dumps(each[i].item()))
    return cells


def reason(why: Reason) -> dict[str, Any]:
    """One entry of `why`."""
    found: dict[str, Any] = {
        "field": why.field,
        "value": why.value if math.isfinite(why.value) else None,
        "expected": six(why.expected),
        "deviation": six(why.deviation),
    }
    if math.isfinite(why.share):
        found["share"] = round(why.share, 3)
    if why.text:
        found["value"] = why.value if isinstance(why.value, int) else six(why.value)
        found["text"] = why.text
    return found


def words(why: Sequence[Reason]) -> str:
    """`why` for a person: `latency 950 (expected 120, 31 deviations above)`."""
    said = []
    for each in why:
        if each.text:
            said.append(each.text)
            continue
        text = f"{each.field} {each.value:.6g}"
        if math.isfinite(each.expected):
            side = "above" if each.value >= each.expected else "below"
            size = (
                f"{abs(each.deviation):.3g} deviations {side}"
                if math.isfinite(each.deviation)
                else "never moved before"
            )
            text += f" (expected {each.expected:.6g}, {size})"
        said.append(text)
    return "; ".join(said)
