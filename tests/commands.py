"""Runs the command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
COMMAND = [sys.executable, "-m", "clipdetect"]
PATIENCE = 30.0  # seconds after which something that must happen is taken not to


def run(*args: Any, command: list[str] = COMMAND, **more: Any) -> subprocess.CompletedProcess[bytes]:
    """The command, to its end."""
    given = {} if "input" in more else {"stdin": subprocess.DEVNULL}
    return subprocess.run(
        [*command, *map(str, args)], capture_output=True, timeout=PATIENCE, env=ENVIRONMENT, **given, **more
    )


def start(*args: Any, command: list[str] = COMMAND, **more: Any) -> subprocess.Popen[bytes]:
    """The command, with pipes at its ends."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([*command, *map(str, args)], bufsize=0, env=ENVIRONMENT, **{**pipes, **more})


def until(happened: Callable[[], Any]) -> Any:
    """Wait for something."""
    begun = time.monotonic()
    while not (found := happened()):
        assert time.monotonic() - begun < PATIENCE, "it did not happen"
        time.sleep(0.005)
    return found


def lock_of(state: Path) -> Path:
    """The lock beside a state file; while it is there, signals are caught."""
    return state.with_name(f".{state.name}.lock")


def drafts_of(state: Path) -> list[Path]:
    """What is being written to take the place of a state file."""
    return list(state.parent.glob(f".{state.name}.*.tmp"))
