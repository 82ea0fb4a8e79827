"""Golden cases of the command line: a folder of `golden/` holds `cmd`, its input, and `out`, `err` and `code`.

    python tests/golden.py [NAME]...     run the cases and rewrite what they give

`cmd` is a shell script that runs in a copy of the folder with `clipdetect` on its path. Everything
in the folder but `out`, `err` and `code` is there to be read.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import launcher

CASES = Path(__file__).parent / "golden"
ANSWERS = ("out", "err", "code")


def names() -> list[str]:
    """Names of all cases."""
    return sorted(path.parent.name for path in CASES.glob("*/cmd"))


def given(name: str) -> dict[str, bytes]:
    """What a case gives now: out, err and code."""
    with tempfile.TemporaryDirectory() as place:
        folder, bin = Path(place) / "work", Path(place) / "bin"
        shutil.copytree(CASES / name, folder, ignore=shutil.ignore_patterns(*ANSWERS))
        bin.mkdir()
        command = bin / "clipdetect"
        command.write_text(f'#!/bin/sh\nexec {shlex.join(launcher.command())} "$@"\n')
        command.chmod(0o755)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("CLIPDETECT_")}
        path = f"{bin}{os.pathsep}{os.environ['PATH']}"
        python_path = os.pathsep.join([str(CASES.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
        done = subprocess.run(
            ["sh", "./cmd"],
            cwd=folder,
            env={**kept, "PATH": path, "PYTHONPATH": python_path, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
        )
    return {"out": done.stdout, "err": done.stderr, "code": b"%d\n" % done.returncode}


def kept(name: str) -> dict[str, bytes]:
    """What it should give."""
    return {answer: (CASES / name / answer).read_bytes() for answer in ANSWERS}


if __name__ == "__main__":
    for case in sys.argv[1:] or names():
        for answer, content in given(case).items():
            path = CASES / case / answer
            if not path.exists() or path.read_bytes() != content:
                print(f"{case}/{answer} is new")
                path.write_bytes(content)
