"""Runs the command, as `launcher.py` starts it or, where it is sent signals and the like, in a Python of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import launcher

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
COMMAND = [sys.executable, "-m", "clipdetect"]
PATIENCE = 30.0  # seconds after which something that must happen is taken not to


def run(*args: Any, command: list[str] | None = None, **more: Any) -> subprocess.CompletedProcess[bytes]:
    """The command, to its end."""
    given = {} if "input" in more else {"stdin": subprocess.DEVNULL}
    return subprocess.run(
        [*(command or launcher.command()), *map(str, args)],
        capture_output=True,
        timeout=PATIENCE,
        env=ENVIRONMENT,
        **given,
        **more,
    )


def start(*args: Any, command: list[str] = COMMAND, **more: Any) -> subprocess.Popen[bytes]:
    """The command, with pipes at its ends."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([*command, *map(str, args)], bufsize=0, env=ENVIRONMENT, **{**pipes, **more})


@contextlib.contextmanager
def hang_guard(seconds: float = PATIENCE) -> Iterator[None]:
    """Fail where what is inside does not end; nothing that ends is ever measured by it."""

    def hangs(*_: object) -> None:
        raise AssertionError(f"it has not ended after {seconds:g} s")

    before = signal.signal(signal.SIGUSR2, hangs)  # the other ones are clipdetect's own
    guard = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGUSR2))
    guard.start()
    try:
        yield
    finally:
        guard.cancel()
        guard.join()
        signal.signal(signal.SIGUSR2, before)


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
