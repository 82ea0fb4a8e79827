"""The command itself on a made stream: what it prints as the expected value, against the truth."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import answers
from benchmarks.reproduce.means import expected, judged
from benchmarks.reproduce.streams import DRIFTS, Stream, stream

FORMATS = ("jsonl", "csv")


def write(made: Stream, file: Path) -> list[str]:
    """The records as JSON Lines or CSV, by the file's suffix; gives the field names."""
    names = [f"x{j + 1}" for j in range(made.X.shape[1])]
    rows = made.X.tolist()
    if file.suffix == ".csv":
        lines = [",".join(["record", *names]), *(",".join(map(str, [i, *row])) for i, row in enumerate(rows))]
    else:
        lines = ["{" + ",".join(f'"{n}":{v}' for n, v in zip(names, row, strict=True)) + "}" for row in rows]
    file.write_text("\n".join(lines) + "\n")
    return names


def through_the_command(form: str, d: int, drift: str, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Error and recoveries of the default, read from `clipdetect --bands`; the largest difference from the API."""
    found: dict[str, Any] = {"error": [], "recovery": [], "api_error": [], "api_recovery": [], "difference": 0.0}
    for seed in seeds:
        made = stream(seed, "t", d, 0.05, 30.0, DRIFTS[drift])
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, f"stream.{form}")
            names = write(made, file)
            watched = [argument for name in names for argument in ("--field", name)]
            records = answers(["--bands", "--to", "jsonl", *watched], file)
        read = np.array([[record["expected"][name] for name in names] for record in records], dtype=np.float64)
        direct = expected(made.X, "level")
        for prefix, estimate in (("", read), ("api_", direct)):
            error, recovery = judged(estimate, made)
            found[f"{prefix}error"].append(error)
            found[f"{prefix}recovery"] += recovery
        apart = float(np.nanmax(np.abs(read - direct)) / made.scale)
        found["difference"] = max(found["difference"], apart)
    return found
