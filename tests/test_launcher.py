"""A run that the launcher forks is that of a process of its own."""

from __future__ import annotations

import os
import subprocess

import launcher
import pytest
from commands import COMMAND, ENVIRONMENT, PATIENCE, hang_guard, start

DATA = b"".join(b'{"x":%d}\n' % (i * 7919 % 97 + 900 * (i == 250)) for i in range(300)) + b"oops\n"
WORDS = [["in.jsonl"], ["--exit-code", "-a", "-"], ["--bogus"], ["nosuch"], ["list", "level"]]


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
@pytest.mark.parametrize("more", [{}, {"CLIPDETECT_RATE": "0.2"}, {"LC_ALL": "C"}], ids=str)
def test_streams_folder_environment_and_exit_code_are_the_same(tmp_path, words, more):
    (tmp_path / "in.jsonl").write_bytes(DATA)
    own, forked = (
        subprocess.run([*command, *words], input=DATA, capture_output=True, cwd=tmp_path, env={**ENVIRONMENT, **more})
        for command in (COMMAND, launcher.command())
    )
    assert (forked.stdout, forked.stderr, forked.returncode) == (own.stdout, own.stderr, own.returncode)


def test_a_new_file_has_the_callers_mode(tmp_path):
    before = os.umask(0o027)
    try:
        subprocess.run(
            [*launcher.command(), "--state", tmp_path / "m.bin"], input=DATA, capture_output=True, check=True
        )
    finally:
        os.umask(before)
    assert (tmp_path / "m.bin").stat().st_mode & 0o777 == 0o640


def test_what_is_asked_of_python_itself_gets_a_python_of_its_own():
    command, environment = [*launcher.command(), "--version"], {**ENVIRONMENT, "PYTHONVERBOSE": "1"}
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert b"import 'clipdetect.cli'" in done.stderr


def test_a_run_ends_with_its_caller():
    process = start(command=launcher.command())
    process.stdin.write(b'{"x":1}\n')
    assert process.stdout.readline()
    process.kill()
    with hang_guard():
        assert process.stdout.read() == b""  # the pipe is closed at both ends, though stdin is not
    process.communicate(timeout=PATIENCE)
