"""Standard streams that are closed at the start: nothing hangs, nothing is lost, no file gets the records."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from commands import ENVIRONMENT, PATIENCE

from clipdetect.state import read

PYTHON = [sys.executable, "-m", "clipdetect"]
RECORDS = b"".join(b'{"x":%d}\n' % (i * 7919 % 97) for i in range(300))
ALL = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]


def closed(tmp_path, fds, *args):
    """Exit code, what went to stdout and to stderr, with these streams closed."""
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("wb") as a, err.open("wb") as b, open(os.devnull, "rb") as null:
        code = subprocess.run(
            [*PYTHON, *map(str, args)],
            stdin=null,
            stdout=a,
            stderr=b,
            env=ENVIRONMENT,
            timeout=PATIENCE,
            preexec_fn=lambda: [os.close(fd) for fd in fds],
        ).returncode
    return code, out.read_bytes(), err.read_bytes()


@pytest.fixture(scope="module")
def whole():
    return subprocess.run([*PYTHON, "-"], input=RECORDS, capture_output=True, env=ENVIRONMENT, check=True).stdout


@pytest.mark.parametrize("fds", ALL, ids=str)
def test_a_file_is_scored_whole_or_not_at_all(tmp_path, whole, fds):
    stream, state = tmp_path / "stream.jsonl", tmp_path / "m.bin"
    stream.write_bytes(RECORDS)
    code, out, err = closed(tmp_path, fds, "--state", state, stream)
    if 1 in fds:
        assert (code, out, state.exists()) == (1, b"", False)
        assert err == (b"" if 2 in fds else b"clipdetect: stdout: is closed; send it to a file, a pipe or /dev/null\n")
    else:
        assert (code, out, err) == (0, whole, b"")
        assert read(state)[0]["records"] == 300
    assert sorted(each.name for each in tmp_path.iterdir() if each.name.startswith(".")) == []


@pytest.mark.parametrize("fds", [(0,), (0, 2)], ids=str)
@pytest.mark.parametrize("args", [[], ["eval"]], ids=str)
def test_a_closed_stdin_is_no_empty_one(tmp_path, fds, args):
    code, out, err = closed(tmp_path, fds, *args)
    assert (code, out) == (1, b"")
    assert err == (b"" if 2 in fds else b"clipdetect: stdin: is closed; name the files to read\n")


@pytest.mark.parametrize("args", [["list"], ["--help"], ["config"]], ids=str)
def test_no_command_is_silent_where_stdout_is_closed(tmp_path, args):
    code, _, err = closed(tmp_path, (1,), *args)
    assert code == 1
    assert err.startswith(b"clipdetect: stdout: is closed")
