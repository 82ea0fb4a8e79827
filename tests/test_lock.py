"""One user at a time for a state file."""

from __future__ import annotations

import errno
import fcntl
import os
import signal

import pytest
from commands import PATIENCE, lock_of, run, start, until
from feeding import Memory, Quiet

from clipdetect import lock
from clipdetect.config import load
from clipdetect.errors import StateError
from clipdetect.lock import Lock
from clipdetect.pipeline import Pipeline
from clipdetect.source import Signals
from clipdetect.state import read

RECORDS = b"".join(b'{"x":%d}\n' % (i * 7919 % 97) for i in range(100))


def held(path):
    """The lock, taken."""
    found = Lock(str(path))
    found.take()
    return found


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "WAIT", 0.0)
    return tmp_path / "m.bin"


def test_there_is_one_holder_and_nothing_stays_behind(state):
    first = held(state)
    with pytest.raises(StateError, match=rf"m\.bin: the state is in use by process {os.getpid()}; end that first"):
        held(state)
    first.release()
    second = held(state)
    second.release()
    assert os.listdir(state.parent) == []


def test_a_link_is_the_same_state(state, tmp_path):
    link = tmp_path / "link.bin"
    link.symlink_to(state)
    first = held(link)
    with pytest.raises(StateError, match="in use"):
        held(state)
    first.release()


def test_what_a_killed_process_left_is_no_lock(state):
    lock_of(state).write_text("1 elsewhere\n")
    first = held(state)
    with pytest.raises(StateError, match=f"process {os.getpid()};"):
        held(state)
    first.release()
    assert os.listdir(state.parent) == []


@pytest.mark.parametrize(
    ("content", "told"),
    [("7 elsewhere\n", "process 7 on elsewhere;"), ("", "another process;"), ("\xff\0 ", "another")],
)
def test_another_machine_is_named(state, content, told):
    first = held(state)
    lock_of(state).write_text(content)
    with pytest.raises(StateError, match=told):
        held(state)
    first.release()


def test_a_lock_that_its_holder_removes_meanwhile_is_not_taken_for_one(state, monkeypatch):
    """Between opening and locking: whoever comes next would make a new file and have the lock too."""
    flock, seen = fcntl.flock, []

    def late(fd, how):
        if not seen:
            lock_of(state).unlink()
        seen.append(fd)
        flock(fd, how)

    monkeypatch.setattr(lock, "WAIT", 1.0)
    monkeypatch.setattr(fcntl, "flock", late)
    first = held(state)
    assert len(seen) == 2
    assert os.path.samestat(os.fstat(first.fd), lock_of(state).stat())
    first.release()


def test_a_lock_that_is_a_link_is_not_followed(state, tmp_path):
    lock_of(state).symlink_to(tmp_path / "precious")
    (tmp_path / "precious").write_text("content")
    with pytest.raises(StateError, match="cannot lock the state"):
        held(state)
    assert (tmp_path / "precious").read_text() == "content"


def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(state, tmp_path):
    with pytest.raises(StateError, match=r"cannot lock the state: .*m\.bin\.lock: No such file or directory"):
        held(tmp_path / "none" / "m.bin")


def test_where_there_are_no_locks_it_is_told(state, monkeypatch):
    def none(fd, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    said = []
    found = Lock(str(state))
    found.take(tell=said.append)
    assert said == [f"{state}: cannot be locked here (No locks available); see that nothing else uses it"]
    found.release()
    assert os.listdir(state.parent) == []


def test_a_second_run_is_refused_and_looking_is_not(tmp_path):
    state, stream = tmp_path / "m.bin", tmp_path / "stream.jsonl"
    stream.write_bytes(RECORDS)
    assert run("--state", state, stream).returncode == 0
    before = state.read_bytes()
    first = start("--state", state)
    until(lock_of(state).exists)
    for args in (["--state", state, stream], ["--freeze", "--state", state, stream]):
        done = run(*args)
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.startswith(f"clipdetect: {state}: the state is in use by process {first.pid};".encode())
    done = run("feedback", "--state", state, "--false-alarm")
    assert (done.returncode, done.stdout) == (1, b"")
    assert f"in use by process {first.pid};".encode() in done.stderr
    assert run("state", state).returncode == run("feedback", "--state", state).returncode == 0
    assert state.read_bytes() == before
    first.communicate(RECORDS, timeout=PATIENCE)
    assert first.returncode == 0
    assert read(state)[0]["records"] == 200
    assert sorted(each.name for each in tmp_path.iterdir()) == ["m.bin", "stream.jsonl"]


def test_a_signal_ends_the_wait_for_a_lock(tmp_path, monkeypatch):
    """A run waits for it, in case a process killed a moment ago is not gone yet."""
    monkeypatch.setattr(lock, "WAIT", 1e9)
    first = held(tmp_path / "m.bin")
    config = load({"state": str(tmp_path / "m.bin")}, None, {}).config
    with Signals() as signals:
        pipeline = Pipeline(config, signals, Quiet(), Memory())
        monkeypatch.setattr(signals, "sleep", lambda seconds: (os.kill(os.getpid(), signal.SIGTERM), signals.stop()))
        assert pipeline.run(["-"]) == 143
    first.release()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_next_run_has_the_state_of_one_that_was_ended(tmp_path, number):
    state = tmp_path / "m.bin"
    first = start("--state", state)
    until(lock_of(state).exists)
    first.send_signal(number)
    first.communicate(timeout=PATIENCE)
    assert lock_of(state).exists() == (number == signal.SIGKILL)
    done = run("--state", state, input=RECORDS)
    assert (done.returncode, done.stderr) == (0, b"")
    assert os.listdir(tmp_path) == ["m.bin"]
