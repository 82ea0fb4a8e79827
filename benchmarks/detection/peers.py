"""Detectors from PyPI, in an environment of their own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.detection.sets import Prepared
from benchmarks.detection.store import Cell, window

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements-peers.txt"


@dataclass(frozen=True)
class Peer:
    """A peer: what it is called on the page, the package it is from, and how it is run."""

    name: str
    title: str
    package: str  # a line of the requirements starts with it
    short: bool = False  # too slow for all rows
    ahead: bool = False  # looks ahead: not a rival, a reference
    note: str = ""
    form: str = "1"  # raised when peers_run.py changes what it gives


PEERS = (
    Peer("river_hst", "river HalfSpaceTrees", "river", note="after MinMaxScaler"),
    Peer("river_gaussian", "river GaussianScorer", "river", note="a scorer a field, the largest; none for a field "
         "that never moved", form="2"),
    Peer("pysad_loda", "pysad LODA", "pysad"),
    Peer("rolling_z", "rolling z-score", "numpy", note="100 records, the largest of the fields, flagged over 3"),
    Peer("iforest", "IsolationForest*", "scikit-learn", ahead=True, note="fitted on the whole stream first"),
    Peer("libspot_dspot", "libspot DSPOT", "libspot", short=True, note="each field and side on its difference to the "
         "mean of the last 10, first fitted on 200 records, q = .001; the smallest tail probability"),
    Peer("pysad_rshash", "pysad RSHash", "pysad", short=True, note="its bounds are those of the first 200 records"),
    Peer("pysad_xstream", "pysad xStream", "pysad", short=True),
    Peer("pysad_storm", "pysad ExactStorm", "pysad", short=True, note="distances to the last 10,000 records"),
)  # fmt: skip
NOT_RUN = (
    "pysad RobustRandomCutForest and IForestASD (13 to 28 ms a record), KitNet (no score before its 1,100th record), "
    "KNNCAD (one field only), and streamad, "
    "which needs numpy below 2 and so not the others' environment; its xStream, RSHash, LODA and half-space trees "
    "are here by other hands"
)


def pins() -> dict[str, str]:
    """Pinned version by package."""
    lines = [line.strip() for line in REQUIREMENTS.read_text().splitlines()]
    return dict(line.split("==") for line in lines if "==" in line)  # type: ignore[misc]


def environment(folder: Path) -> Path:
    """The peers' Python; made on the first run, which needs the network."""
    python, done = folder / "bin" / "python", folder / "installed.txt"
    wanted = REQUIREMENTS.read_text()
    if not done.exists() or done.read_text() != wanted:
        print(f"installing the peers into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", str(REQUIREMENTS)], check=True)
        done.write_text(wanted)
    return python


def cells(peer: Peer, streams: Sequence[Prepared], cache: Path) -> list[Cell]:
    """A peer's cells: the streams that have numbers."""
    version = pins()[peer.package]
    found = []
    for stream in streams:
        if stream.array is not None:
            rows = window(stream) if peer.short else (0, len(stream.label))
            parts = (peer.name, version, peer.form, stream.digest, rows)
            digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()
            found.append(Cell(cache, stream, peer.name, digest, peer.short))
    return found


def run(cells: Sequence[Cell], python: Path) -> None:
    """Run the cells of one peer that are not stored, in one process; the results are kept as they come."""
    wanted = [cell for cell in cells if cell.stored() is None]
    if not wanted:
        return
    jobs = []
    for cell in wanted:
        cell.scores.parent.mkdir(parents=True, exist_ok=True)
        first, last = window(cell.stream) if cell.short else (0, len(cell.stream.label))
        jobs.append({"array": str(cell.stream.array), "first": first, "last": last, "out": str(cell.scores)})
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    process = subprocess.Popen(
        [str(python), str(HERE / "peers_run.py"), wanted[0].method],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **single},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for cell, job in zip(wanted, jobs, strict=True):
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"{cell.method} ended on {cell.stream.stream.name}")
            answer = json.loads(line)
            cell.keep(answer["seconds"], answer["error"])
            told = answer["error"] or f"{answer['seconds']:.1f} s"
            print(f"{cell.method} {cell.stream.stream.name}: {told}", file=sys.stderr)
    finally:
        process.stdin.close()
        process.wait()
