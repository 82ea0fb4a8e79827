"""Starts the command without importing it anew: a server has imported all of it, and forks for each run.

`command()` is what to run in place of `python -m clipdetect`, from Python or a shell: arguments, working directory,
environment, the three streams and the exit code are those of any other program. A run whose environment asks something
of Python or numba gets a Python of its own. Not for a test that sends signals, measures, closes a stream before the
start, or looks at what is imported: it has `launch.py` for its child, which hands everything on, not the command.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import pkgutil
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]
OWN = ("PYTHON", "NUMBA")  # settings that hold from a process's start
HARMLESS = (
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONUNBUFFERED",
    "NUMBA_DISABLE_INTEL_SVML",
)  # the last: see jit.py
CLIENT = Path(__file__).with_name("launch.py")


@functools.cache
def command() -> list[str]:
    """The words that run the command; the first call starts the server, which ends with this process."""
    folder = tempfile.mkdtemp(prefix="clipdetect-")
    path = os.path.join(folder, "socket")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1", "NUMBA_DISABLE_INTEL_SVML": "1"}
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    server = subprocess.Popen([sys.executable, __file__, path], env=environment, cwd=folder, **pipes)  # type: ignore[call-overload]
    if server.stdout.readline() != b"ready\n":
        raise RuntimeError("the launcher did not start")

    def stop() -> None:
        server.stdin.close()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    return [sys.executable, "-S", "-I", str(CLIENT), path]


# -- the server -------------------------------------------------------------------------------


def serve(path: str) -> None:
    """Answer until stdin is closed."""
    _import_everything()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([listener, 0], [], [])
        _reap()
        if 0 in ready:
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _supervise(connection)
        connection.close()


def _reap() -> None:
    """Take note of children that have ended: their time then counts as this process's, and in the end as the tests'."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _import_everything() -> None:
    import clipdetect

    for module in pkgutil.walk_packages(clipdetect.__path__, "clipdetect."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    try:
        importlib.import_module("numba")
    except ImportError:
        pass
    gc.freeze()


def _supervise(connection: socket.socket) -> NoReturn:
    """In a child of the server: run the command in a child, send its exit code; end it where the caller is gone."""
    signal.signal(signal.SIGCHLD, lambda *_: None)
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    request, streams = _request(connection)
    if _settings(request["environment"]) != _settings(dict(os.environ)):
        connection.sendall(b"-")
        os._exit(0)
    connection.sendall(b"+")
    child = os.fork()
    if child == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for each in (woken, wakes):
            os.close(each)
        connection.close()
        _become(request, streams)
    for each in streams:
        os.close(each)
    while True:
        ready, _, _ = select.select([woken, connection], [], [])
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            connection.sendall(b"%d" % os.waitstatus_to_exitcode(status))
            os._exit(0)
        if connection in ready:
            os.kill(child, signal.SIGKILL)
            os._exit(0)
        os.read(woken, 64)


def _settings(environment: dict[str, str]) -> dict[str, str]:
    """What Python and numba read as they start and a fork cannot change."""
    kept = {name: value for name, value in environment.items() if name.startswith(OWN) and name not in HARMLESS}
    if kept.get("PYTHONPATH") == str(ROOT):
        del kept["PYTHONPATH"]
    return kept


def _request(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    data, streams, _, _ = socket.recv_fds(connection, 1 << 16, 3)
    while not data.endswith(b"\n"):
        data += connection.recv(1 << 16)
    return json.loads(data), streams


def _become(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """Be the command: its streams, folder, environment and words; ends the process."""
    from clipdetect.cli import main

    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["cwd"])
    os.umask(request["umask"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["clipdetect", *request["words"]]
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
    code = 1
    try:
        code = main(request["words"])
        sys.stdout.flush()
    except SystemExit as end:  # click's completion ends so
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    threading._shutdown()
    atexit._run_exitfuncs()
    os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
