"""Following: what a path may be and become, signals, and a writer in another process."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import threading

import pytest
from commands import PATIENCE, hang_guard
from logwriter import Log, Reading, follow

from clipdetect.errors import InputError
from clipdetect.follow import Follower
from clipdetect.source import Interrupted, Signals


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path / "app.log")


# -- paths ------------------------------------------------------------------------------------


def test_a_missing_file_is_waited_for_and_named_once(tmp_path):
    path = tmp_path / "folder" / "late.log"

    def create():
        path.parent.mkdir()
        path.write_bytes(b"1\n")

    got = follow([path], [lambda: None, lambda: None, create])
    assert got.data == b"1\n"
    assert got.notes == [f"{path}: not there; waiting for it"]


def test_a_folder_may_vanish_and_return(log):
    folder = log.path.parent / "logs"
    folder.mkdir()
    inner = Log(folder / "app.log")

    def vanish():
        inner.delete()
        folder.rmdir()

    def again():
        folder.mkdir()
        inner.create()

    got = follow([inner.path], [inner.write, vanish, lambda: None, again, inner.write])
    assert got.lines == inner.written


def test_a_file_that_may_not_be_read_is_tried_again(log, monkeypatch):
    log.write()
    denied, right = [True], os.open

    def guarded(path, *args, **more):
        if denied and path == str(log.path):
            raise PermissionError(13, "Permission denied")
        return right(path, *args, **more)

    monkeypatch.setattr(os, "open", guarded)
    got = follow([log.path], [lambda: None, lambda: None, denied.clear])
    assert got.lines == log.written
    assert got.notes == [f"{log.path}: Permission denied; trying on"]


def test_a_read_that_fails_is_tried_again(log, monkeypatch):
    log.write(3)
    failing, right = [], os.pread

    def guarded(fd, size, place):
        if failing:
            raise OSError(116, "Stale file handle")
        return right(fd, size, place)

    monkeypatch.setattr(os, "pread", guarded)
    steps = [lambda: failing.append(1), log.write, log.write, log.write, failing.clear, log.write]
    got = follow([log.path], steps)
    assert got.lines == log.written
    assert got.notes == [f"{log.path}: cannot be read: Stale file handle"]


def test_a_link_is_followed_to_its_new_target(tmp_path):
    first, second = Log(tmp_path / "day1"), Log(tmp_path / "day2")
    link = tmp_path / "current"
    link.symlink_to(first.path)

    def switch():
        first.write(2)
        second.write(2)
        link.unlink()
        link.symlink_to(second.path)

    got = follow([link], [first.write, switch, second.write])
    assert got.lines == first.written + second.written


def test_a_file_named_twice_is_followed_once(log):
    link = log.path.with_name("link")
    link.symlink_to(log.path)
    hard = log.path.with_name("hard")
    os.link(log.path, hard)
    log.write(2)
    got = follow([log.path, log.path, link, hard], [log.write])
    assert got.lines == log.written
    assert got.notes[1:] == [f"{link}: named twice, followed once", f"{hard}: named twice, followed once"]


def test_a_log_and_its_generations_named_together_give_each_line_once(log):
    """As `--follow app.log*` does."""
    log.write(2)
    log.rename()
    log.write(2)
    one = log.path.with_name("app.log.1")
    steps = [log.write, log.rename, log.write, *[lambda: None] * 40, log.rename, log.write]
    got = follow([log.path, one], steps, patience=80)
    assert sorted(got.lines) == sorted(log.written)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_an_error(tmp_path, make):
    make(tmp_path / "x")
    with pytest.raises(InputError, match=r"x: a (directory|pipe); "):
        follow([tmp_path / "x"])


def test_stdin_is_an_error():
    with pytest.raises(InputError, match="stdin"):
        follow(["-"])


def test_a_compressed_file_is_an_error_and_later_passed_over(log, tmp_path):
    packed = tmp_path / "old.gz"
    packed.write_bytes(gzip.compress(b"1\n" * 50))
    with pytest.raises(InputError, match=r"old\.gz: compressed"):
        follow([packed])
    log.write()
    got = follow([log.path], [lambda: os.replace(packed, log.path), lambda: None, log.create, log.rename, log.write])
    assert got.lines == log.written
    assert [note for note in got.notes if "compressed" in note] == [
        f"{log.path}: compressed, so it does not grow; waiting for another file in its place"
    ]


# -- signals, and a real writer ----------------------------------------------------------------


def test_a_signal_ends_the_wait_at_once(log):
    log.write()
    with Signals() as signals:
        follower = Follower([str(log.path)], signals, None, 1000)
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        with hang_guard(), pytest.raises(Interrupted) as stop:
            list(follower)  # would wait for ever
        assert stop.value.number == signal.SIGTERM
        with hang_guard(), pytest.raises(Interrupted):
            signals.sleep(3600.0)
        signals.number = 0  # else the next one would end this process
    assert follower.position()[str(log.path)][0]["line"] == 2


def test_sigusr1_gives_an_empty_piece_at_once(log):
    with Signals() as signals:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with hang_guard():
            signals.sleep(3600.0)
        assert signals.report
        assert next(iter(Follower([str(log.path)], signals, None, 1000))).data == b""


def test_what_the_pipeline_asks_between_pieces(log):
    log.write(50)
    reading = Reading([log.path], read_size=300)
    pieces = iter(reading.follower)
    next(pieces)
    assert (reading.follower.waiting, reading.follower.saturated) == (True, True)
    assert reading.follower.first_line() == log.written[0]
    for _ in range(3):
        last = next(pieces)
    assert last.data.endswith(log.written[-1])
    assert (reading.follower.waiting, reading.follower.saturated) == (False, False)
    pieces.close()


WRITER = """
import os, random, sys, time
path, seen, kind = sys.argv[1:]
chance = random.Random(7)
file = open(path, "ab", buffering=0)

def begin(n):
    file.write(b"%d first\\n" % n)
    while kind == "copy" and not os.path.exists(f"{seen}/{n}"):
        time.sleep(0.001)  # an emptied file of which nothing was read cannot be told from a new one

begin(4000)
for n in range(4000):
    file.write(b"%d\\n" % n)
    if chance.random() < 0.004:
        time.sleep(0.02)
    if chance.random() < 0.004:
        for i in range(30, 0, -1):
            if os.path.exists(f"{path}.{i}"):
                os.rename(f"{path}.{i}", f"{path}.{i + 1}")
        if kind == "copy":
            with open(f"{path}.1", "wb") as copy:
                copy.write(open(path, "rb").read())
            os.truncate(path, 0)
        else:
            os.rename(path, f"{path}.1")
            if chance.random() < 0.5:
                time.sleep(0.01)
            if kind == "late":
                file.write(b"%d late\\n" % n)
            file = open(path, "ab", buffering=0)
        begin(n)
"""


@pytest.mark.parametrize("kind", ["rename", "late", "copy"])
def test_no_line_of_a_real_writer_is_lost_or_given_twice(tmp_path, kind):
    path = tmp_path / "app.log"
    path.touch()
    seen = tmp_path / "seen"
    seen.mkdir()
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(seen), kind])
    notes, got, saved = [], [], None
    with Signals() as signals:
        while len(got) < 200 or b"3999\n" not in got[-200:]:
            follower = Follower([str(path)], signals, saved, 1000, notes.append)
            for piece in follower:
                lines = piece.data.splitlines(keepends=True)
                got += lines
                for line in lines:
                    if line.endswith(b" first\n"):
                        (seen / line.split()[0].decode()).touch()
                if b"3999\n" in got[-200:] or len(got) % 7 == 0:
                    break  # stop and go on
            saved = follower.position()
    assert process.wait(PATIENCE) == 0
    assert len(got) == len(set(got))
    plain = [int(line) for line in got if line[-2:-1].isdigit()]
    assert plain == list(range(4000)), notes
