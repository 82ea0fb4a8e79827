"""What a person sees: the progress line, and where it never is; the closing line; and that no binary is shown."""

from __future__ import annotations

import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer
from types import SimpleNamespace

import pytest
from feeding import feed

from clipdetect.display import Talk, apart
from clipdetect.source import Signals, Source

ROOT = Path(__file__).parents[1]
FOREIGN = ("CLIPDETECT_", "NO_COLOR", "FORCE_COLOR", "CI", "PYTHON")
CLIPDETECT = f"{shlex.quote(sys.executable)} -m clipdetect"


def screen(script: str, folder: Path, **more: str) -> tuple[str, int]:
    """What a shell script shows on a terminal of 80 columns that is its stdout and stderr, and its exit code."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["bash", "-c", f"stty cols 80 rows 24 < /dev/stderr; {script.replace('clipdetect', CLIPDETECT)}"],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**kept, "PYTHONPATH": str(ROOT), "TERM": "xterm", **more},
    )  # fmt: skip
    os.close(theirs)
    parts = []
    watchdog = Timer(60.0, os.killpg, (process.pid, signal.SIGKILL))
    watchdog.start()
    try:
        while part := os.read(ours, 1 << 16):
            parts.append(part)
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    watchdog.cancel()
    return b"".join(parts).decode("utf-8", "replace"), process.wait(timeout=30)


# -- progress ---------------------------------------------------------------------------------

SLOW = "for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep .5; done | clipdetect --engine python"
WAYS = {  # where the line is shown, while nothing of ours stands on the screen
    f"{SLOW} > out": True,
    f"{SLOW} -a": True,
    f"{SLOW} | cat": False,
    f"{SLOW} | head -9": False,
    SLOW: False,
}


def test_the_progress_line_is_shown_only_where_it_meets_no_output(tmp_path):
    with ThreadPoolExecutor(len(WAYS)) as pool:
        shown = list(pool.map(lambda way: screen(way, tmp_path)[0], WAYS))
    assert {way: " a second" in text for way, text in zip(WAYS, shown, strict=True)} == WAYS
    assert (tmp_path / "out").read_text() == "".join(f"{i}\t\tfalse\n" for i in range(1, 10))


@pytest.mark.parametrize(
    ("quiet", "progress", "ci", "screen", "shown"),
    [
        (False, "auto", False, True, True),
        (True, "auto", False, True, False),
        (False, "auto", True, True, False),
        (False, "auto", False, False, False),
        (False, "never", False, True, False),
        (True, "always", True, False, True),
    ],
)
def test_progress_is_for_people_who_want_it(monkeypatch, quiet, progress, ci, screen, shown):
    monkeypatch.setattr("clipdetect.display.apart", lambda: True)
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: screen))
    monkeypatch.delenv("CI", raising=False)
    if ci:
        monkeypatch.setenv("CI", "1")
    assert Talk(quiet, False, "never", progress).shows_progress == shown


def test_the_first_record_on_the_screen_ends_the_progress_line(tmp_path, monkeypatch):
    monkeypatch.setattr("clipdetect.display.on_terminal", lambda fd: True)
    talk = Talk(False, False, "never", "auto")
    talk.shows_progress = True
    talk.writes()
    assert not talk.shows_progress
    kept = Talk(False, False, "never", "always")
    kept.writes()
    assert kept.shows_progress


@pytest.mark.parametrize("kind", ["file", "null", "pipe", "closed", "screen"])
def test_only_a_file_a_null_device_or_an_empty_screen_is_apart(kind, tmp_path, monkeypatch):
    ours, theirs = os.pipe() if kind == "pipe" else pty.openpty()
    path = tmp_path / "out" if kind == "file" else Path(os.devnull)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT) if kind in ("file", "null") else theirs
    status = os.fstat(fd)
    real_fstat, real_isatty = os.fstat, os.isatty

    def fstat(number):
        if kind == "closed":
            raise OSError(9, "Bad file descriptor")
        return status if number == 1 else real_fstat(number)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", fstat)
        patch.setattr(os, "isatty", lambda number: real_isatty(fd if number == 1 else number))
        found = apart()
    assert found == (kind in ("file", "null", "screen"))
    for each in {ours, theirs, fd}:
        os.close(each)


def test_how_far_a_file_is_read_is_known_by_its_bytes_on_disk(tmp_path):
    path = tmp_path / "numbers"
    path.write_bytes(b"12345678\n" * 40_000)
    with Signals() as signals:
        source, empty = Source(str(path), signals), Source(os.devnull, signals)
        shares = [source.share]
        for _ in source:
            shares.append(source.share)
        assert list(empty) == []
    assert shares[0] is None
    assert [round(each, 2) for each in shares[1:3]] == [0.18, 0.36]
    assert shares[-1] == 1.0
    assert empty.share is None


@pytest.mark.parametrize(
    ("share", "file", "name", "expected"),
    [
        (0.25, (1, 1), "in.csv", "25% of in.csv, 30 s left: 5,000 records, 3 flagged, 500 a second"),
        (0.01, (1, 1), "in.csv", "1% of in.csv: 5,000 records"),
        (0.25, (2, 3), "in.csv", "25% of in.csv (2 of 3): 5,000 records"),
        (None, (1, 1), "stdin", "stdin: 5,000 records"),
        (None, (1, 1), "a/very/long/path/to/some/file.jsonl", "...th/to/some/file.jsonl: 5,000"),
        (0.999, (1, 1), "x\x1b[2Jy", "100% of x\\x1b[2Jy, 1 s left"),
    ],
)
def test_what_the_progress_line_says(share, file, name, expected):
    talk = Talk(True, False, "never", "never")
    talk.file = file
    said = talk._reading(SimpleNamespace(name=name, share=share), 10.0, 5000, 3)
    assert expected in said
    assert said.endswith(": 5,000 records, 3 flagged, 500 a second")


# -- the closing line -------------------------------------------------------------------------

TAKES = r", \d+\.\d s$"
CLOSINGS = [
    (b"1\n2\n" * 300, {}, "600 records of 1 field, 0 flagged"),
    (b"1\n2\n" * 300 + b"9000\n", {}, "601 records of 1 field, 1 flagged"),
    (b"x,y\n1,2\n3\n" * 300, {}, "599 records of 2 fields, 0 flagged, 300 unreadable"),
    (b"1\n2\n", {}, "2 records of 1 field, too few for a score"),
    (b'{"k":"a","x":1}\n{"k":"b","x":1}\n' * 30, {"by": "k"}, "60 records of 1 field, 2 keys, too few for a score"),
    (b'{"x":"1"}\n' * 50, {}, "50 records with nothing to judge"),
    (b"oops\n" * 3, {"input_format": "jsonl"}, "3 records, none could be read"),
    (b"Dear reader\n", {}, "no known format, nothing was scored"),
    (b"", {}, "no records"),
    (b"x,y\n", {}, "no records"),
    (b"2026-03-04T00:00:00Z a\n2026-03-04T00:05:00Z b\n", {"gap": "60s"}, "2 records of 4 columns, 1 flagged"),
]


@pytest.mark.parametrize(("data", "flags", "expected"), CLOSINGS, ids=lambda value: str(value)[:40])
def test_the_closing_line_tells_healthy_from_unread_from_too_short(data, flags, expected):
    pipeline = feed(data, **flags)[2]
    closing = pipeline.remarks.closing(pipeline.detector, pipeline.flagged, 0.31)
    assert closing == f"{expected}, 0.3 s"


def test_a_long_run_is_said_in_minutes():
    pipeline = feed(b"1\n2\n")[2]
    assert pipeline.remarks.closing(pipeline.detector, 0, 754.2).endswith(", 12 min 34 s")


def test_every_run_on_a_terminal_ends_with_one_line(tmp_path):
    (tmp_path / "in").write_bytes(b"1\n2\n" * 300)
    shown, code = screen("clipdetect -a in", tmp_path)
    assert code == 0
    assert re.fullmatch(rf"\S*clipdetect: 600 records of 1 field, 0 flagged{TAKES[:-1]}\S*\s*", shown)
    loud = screen("clipdetect -v -a in", tmp_path, NO_COLOR="1")[0].split("\r\n")
    assert [line for line in loud if "600 records" in line] == loud[-2:-1]
    assert screen("clipdetect -q -a in", tmp_path) == ("", 0)
    assert screen("clipdetect -a in 2> err; cat err", tmp_path) == ("", 0)
    assert "records of" not in screen("seq 60000 | clipdetect | head -2", tmp_path)[0]
    stopped, code = screen("timeout 2 clipdetect -a --follow in", tmp_path)
    assert code == 124
    assert "600 records of 1 field, 0 flagged" in stopped


# -- binary -----------------------------------------------------------------------------------

BINARY = b"PAR1\x15\0\x15\xb8" + bytes(range(256)) * 40


@pytest.mark.parametrize("flags", ["", "--from text", "--from csv", "--from jsonl", "-a"])
def test_binary_never_reaches_a_screen_and_passes_a_pipe_as_it_is(flags, tmp_path):
    (tmp_path / "day.parquet").write_bytes(BINARY)
    shown, code = screen(f"clipdetect {flags} day.parquet", tmp_path, NO_COLOR="1")
    first, last, rest = shown.split("\r\n")
    expected = "day.parquet: a Parquet file; make CSV of it first: duckdb -csv -c \"FROM 'day.parquet'\" | clipdetect"
    assert (first, code, rest) == (f"clipdetect: {expected}", 1, "")
    assert last.startswith("clipdetect: no ")
    done = subprocess.run(
        [sys.executable, "-m", "clipdetect", *flags.split(), "day.parquet"],
        cwd=tmp_path, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == (flags == "-a")
    assert done.stderr.startswith(b"clipdetect: day.parquet: no known format, so ") or "from" in flags
    if flags in ("", "--from text"):
        assert done.stdout.removesuffix(b"\n") == BINARY.removesuffix(b"\n")


def test_binary_behind_text_does_not_reach_a_screen(tmp_path):
    (tmp_path / "mixed").write_bytes(b"Dear reader\n" * 9000 + b"\0\1\2" * 100 + b"\n")
    shown, code = screen("clipdetect mixed", tmp_path)
    assert code == 1
    assert "\0" not in shown
    assert "clipdetect: mixed: no text from here on" in shown
    (tmp_path / "in.csv").write_bytes(b"x,y\n1,2\n")
    (tmp_path / "b").write_bytes(BINARY)
    shown, code = screen("clipdetect in.csv b in.csv", tmp_path, NO_COLOR="1")
    assert (code, shown.count("1,2,,false,")) == (1, 2)
    assert "clipdetect: b: a Parquet file" in shown
    assert "\x15" not in shown
