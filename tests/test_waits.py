"""Whatever a run waits for, one SIGTERM ends it, with the state saved."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

import pytest
from commands import COMMAND, PATIENCE, drafts_of, lock_of, run, start, until

from clipdetect.errors import InputError
from clipdetect.source import TICK, Interrupted, Signals, Source, opening
from clipdetect.state import read

RECORDS = b"".join(b'{"x":%d}\n' % (i * 7919 % 97) for i in range(300))
SLOW_CHILD = [
    sys.executable,
    "-c",
    """
import os, sys, time
from clipdetect import session, state
from clipdetect.cli import main

session.FORK_FROM, ours, write = 0, os.getpid(), state.Draft.write

def slow(*args):
    if os.getpid() != ours:
        time.sleep(60)
    write(*args)

state.Draft.write = slow
sys.exit(main())
""",
]


@pytest.fixture
def fifo(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@pytest.fixture
def stream(tmp_path):
    path = tmp_path / "stream.jsonl"
    path.write_bytes(RECORDS)
    return path


def ended(process):
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE)
    assert b"Traceback" not in err
    return process.returncode, out, err


def fill(pipe):
    os.set_blocking(pipe, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe, bytes(65536))
    os.set_blocking(pipe, True)


def test_the_opening_of_a_fifo_is_broken_off(tmp_path, fifo, stream):
    state = tmp_path / "m.bin"
    process = start("--state", state, stream, fifo)
    until(lock_of(state).exists)
    assert process.stdout.read(10)  # the file before has been read
    code, _, err = ended(process)
    assert (code, err) == (143, b"")
    assert read(state)[0]["records"] == 300


def test_a_history_that_is_broken_off_is_not_taken_for_learned(tmp_path, fifo, stream):
    state = tmp_path / "m.bin"
    process = start("--state", state, "--backfill", fifo, stream)
    until(lock_of(state).exists)
    assert ended(process) == (143, b"", b"")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["fifo", "stream.jsonl"]


def test_files_that_are_read_before_the_run_are_broken_off_too(tmp_path, fifo, stream):
    """They are no part of the stream: the signal ends the process as it ends any other."""
    process = start("--state", tmp_path / "m.bin", "--time", "t", "--events", fifo, stream)
    with fifo.open("wb"):  # is being read
        code, out, _ = ended(process)
    assert (code, out) == (-signal.SIGTERM, b"")


def test_a_message_that_nobody_reads_is_dropped(tmp_path):
    state = tmp_path / "m.bin"
    heard, said = os.pipe()
    fill(said)
    process = start("--state", state, stderr=said)
    process.stdin.write(b'{"x":1}\n')
    assert process.stdout.readline()
    process.stdin.write(b'oops\n{"x":2}\n')  # about which there is something to say
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert read(state)[0]["records"] in (1, 3)  # the message comes before its block
    os.close(heard)
    os.close(said)


def test_a_checkpoint_under_way_holds_nothing_up(tmp_path, stream):
    """It is given up, for a newer state is saved at the end."""
    state = tmp_path / "m.bin"
    process = start("--state", state, "--checkpoint-every", 100, command=SLOW_CHILD)
    process.stdin.write(RECORDS)
    until(lambda: drafts_of(state))
    assert process.stdout.read(10)
    code, _, err = ended(process)
    assert (code, err) == (143, b"")
    assert read(state)[0]["records"] == 300
    assert sorted(each.name for each in tmp_path.iterdir()) == ["m.bin", "stream.jsonl"]


def test_a_signal_just_before_the_wait_ends_it_too(fifo):
    """Its handler has run when the call begins, which nothing breaks off then but the timer."""
    with Signals() as signals:
        signals.number = signal.SIGTERM
        with pytest.raises(Interrupted), opening:
            os.open(fifo, os.O_RDONLY)
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_signal_leaves_other_calls_alone():
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.number == signal.SIGTERM
        signal.setitimer(signal.ITIMER_REAL, TICK)
        signal.pause()
        with pytest.raises(Interrupted):
            signals.sleep(0.0)


def test_a_signal_is_seen_between_the_pieces_of_compressed_input(tmp_path):
    """A little compressed input may give a lot, and each piece is a block."""
    import gzip

    path = tmp_path / "zeros.gz"
    path.write_bytes(gzip.compress(bytes(1 << 22)))
    with Signals() as signals:
        pieces = iter(Source(str(path), signals))
        assert next(pieces)
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted):
            next(pieces)


def test_the_wait_for_the_compiler_is_broken_off():
    import threading

    go = threading.Event()
    thread = threading.Thread(target=go.wait)
    thread.start()
    with Signals() as signals:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        with pytest.raises(Interrupted):
            signals.join(thread)
    go.set()
    thread.join()


def test_what_else_is_waited_for_is_served():
    heard, said = os.pipe()
    quiet, other = os.pipe()
    called = []
    with Signals() as signals:
        signals.also[heard] = lambda: called.append(signals.also.pop(heard))
        assert not signals.wait(quiet, 0.0)
        assert called == []
        os.close(said)
        assert not signals.wait(quiet)
        assert len(called) == 1
    for fd in (heard, quiet, other):
        os.close(fd)


def test_stdin_that_is_closed_is_an_error(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="stdin: is closed"):
        next(iter(Source("-", Signals())))


@pytest.mark.parametrize("kind", ["fifo", "directory", "device"])
@pytest.mark.parametrize("command", [[], ["feedback"], ["feedback", "--false-alarm"]], ids=str)
def test_a_state_that_is_no_file_is_refused_at_once(tmp_path, fifo, stream, kind, command):
    path = {"fifo": fifo, "directory": tmp_path, "device": "/dev/null"}[kind]
    done = run(*command, "--state", path, *([] if command else [stream]))
    assert (done.returncode, done.stdout) == (1, b"")
    what = {"fifo": "a FIFO"}.get(kind, f"a {kind}")
    assert done.stderr == f"clipdetect: {path}: is {what}, and a state needs a regular file; name another\n".encode()


def test_records_are_never_written_into_the_state(tmp_path, stream):
    state = tmp_path / "m.bin"
    assert run("--state", state, stream).returncode == 0
    before = state.read_bytes()
    with state.open("ab") as out:
        done = subprocess.run(
            [*COMMAND, "--state", str(state), str(stream)], stdout=out, stderr=subprocess.PIPE, timeout=PATIENCE
        )
    assert done.returncode == 1
    assert done.stderr == f"clipdetect: {state}: is where the records go; name another file for the state\n".encode()
    assert state.read_bytes() == before
