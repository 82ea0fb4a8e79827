"""Saved states of each version of the file, in `data/states/VERSION/CASE`: what loads today must load tomorrow.

    python tests/states.py     write the states of the current version that are not there yet

A case has `flags`, `in` (what came after the state was saved), `state`, and `out`, what a run from it gives. What is
there is never rewritten. Where the arrays of a component change, `VERSION` in `clipdetect/state.py` moves: the old
states are then refused in words, and new ones are written beside them.
"""

from __future__ import annotations

import json
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import launcher

from clipdetect.state import VERSION

STATES = Path(__file__).parent / "data" / "states"
BEFORE, AFTER = 160, 40  # records
FLAGS = {
    "keys": "--by host --field ms --time t --changepoint focus --on-change rebase --seed 3",
    "fields": "--exclude t --episode 5",
    "derived": "--derive rate:window=60s,per=host --derive distinct:window=60s,field=path --time t",
}


def stream() -> list[bytes]:
    """Records of two hosts: a number with a jump, another one, a text; the last ones with something strange."""
    chance, lines = random.Random(5), []
    for i in range(BEFORE + AFTER):
        record = {
            "t": 1_700_000_000 + 4 * i,
            "host": f"h{chance.randrange(2)}",
            "ms": round(chance.gauss(20, 2) + 30 * (i > 100) + 200 * (i == BEFORE + 20), 2),
            "load": round(chance.expovariate(1.0), 3),
            "path": f"/{chance.randrange(3)}" if i != BEFORE + 25 else "/new",
        }
        lines.append(json.dumps(record).encode() + b"\n")
    return lines


def cases() -> list[Path]:
    """The folders of all cases, of every version."""
    return sorted(path.parent for path in STATES.glob("*/*/state"))


def go_on(case: Path) -> subprocess.CompletedProcess[bytes]:
    """A run from a copy of the state."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(case / "state", Path(folder, "state"))
        return run(case, (case / "in").read_bytes(), folder)


def run(case: Path, data: bytes, folder: str) -> subprocess.CompletedProcess[bytes]:
    """The command with a case's flags and a file `state` in a folder."""
    command = [*launcher.command(), *shlex.split((case / "flags").read_text()), "--state", "state"]
    return subprocess.run(command, input=data, capture_output=True, cwd=folder, timeout=60)


def write(case: Path, flags: str) -> None:
    """Make a case of the current version."""
    case.mkdir(parents=True)
    (case / "flags").write_text(flags + "\n")
    lines = stream()
    (case / "in").write_bytes(b"".join(lines[BEFORE:]))
    run(case, b"".join(lines[:BEFORE]), str(case)).check_returncode()
    (case / "out").write_bytes(go_on(case).stdout)


if __name__ == "__main__":
    for name, flags in FLAGS.items():
        case = STATES / str(VERSION) / name
        if not case.exists():
            write(case, flags)
            print(f"{case.relative_to(STATES)} is new")
    sys.exit()
