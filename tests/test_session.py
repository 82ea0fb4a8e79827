"""A run and its state file: resumed, saved on the way by a child, gone back where a block was not written."""

from __future__ import annotations

import errno
import os
import signal
import stat
import sys

import pytest
from commands import PATIENCE, drafts_of, run, start, until
from feeding import feed

from clipdetect import state as files
from clipdetect.state import load, read

RECORDS = [b'{"x":%d,"y":%d}\n' % (i * 7919 % 97, i % 13) for i in range(900)]
DATA = b"".join(RECORDS)
ORPHAN = """
import os, sys, time
from clipdetect import session, state
from clipdetect.cli import main

session.FORK_FROM, ours, write = 0, os.getpid(), state.Draft.write

def slow(draft, content, between=None):
    if os.getpid() != ours:
        with open(sys.argv[0] + ".child", "w") as file:
            file.write(str(os.getpid()))
        while not os.path.exists(sys.argv[0] + ".go"):
            time.sleep(0.005)
    write(draft, content, *([between] if os.path.exists(sys.argv[0] + ".looks") and between else []))

state.Draft.write, sys.argv[0] = slow, sys.argv.pop(1)
sys.exit(main())
"""


@pytest.fixture
def children(monkeypatch):
    """Every checkpoint is saved by a child process."""
    monkeypatch.setattr("clipdetect.session.FORK_FROM", 0)


def gone(pid):
    """Whether a process that is no child of ours has ended."""
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            return ") Z " in file.read()
    except (ProcessLookupError, FileNotFoundError):
        return True


# -- a child that outlives its parent ---------------------------------------------------------


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc to see a process end")
@pytest.mark.parametrize("looks", [False, True])
def test_a_child_whose_parent_was_killed_spoils_nothing(tmp_path, looks):
    """looks : at whether its parent lives, and so ends before its work is done."""
    state, signs = tmp_path / "m.bin", tmp_path / "sign"
    if looks:
        (tmp_path / "sign.looks").touch()
    command = [sys.executable, "-c", ORPHAN, str(signs)]
    first = start("--state", state, "--checkpoint-every", 100, command=command)
    first.stdin.write(b"".join(RECORDS[:300]))
    child = int(until(lambda: (tmp_path / "sign.child").exists() and (tmp_path / "sign.child").read_text()))
    first.kill()
    first.communicate(timeout=PATIENCE)
    assert len(drafts_of(state)) == 1
    done = run("--state", state, input=DATA)  # the child has neither lock nor pipes
    assert (done.returncode, done.stderr) == (0, b"")
    assert drafts_of(state) == []
    after = state.read_bytes()
    (tmp_path / "sign.go").touch()
    until(lambda: gone(child))
    assert state.read_bytes() == after
    assert read(state)[0]["records"] == 900
    assert sorted(each.name for each in tmp_path.iterdir() if "sign" not in each.name) == ["m.bin"]


def test_what_a_child_saved_is_put_in_its_place_though_no_records_come(tmp_path):
    state = tmp_path / "m.bin"
    command = [sys.executable, "-c", ORPHAN, str(tmp_path / "sign")]
    (tmp_path / "sign.go").touch()
    process = start("--state", state, "--checkpoint-every", 100, command=command)
    process.stdin.write(b"".join(RECORDS[:300]))
    until(state.exists)
    assert read(state)[0]["records"] == 300
    assert process.poll() is None
    process.kill()
    process.communicate(timeout=PATIENCE)


# -- a child that fails -----------------------------------------------------------------------


def failing(monkeypatch, fail):
    ours, write = os.getpid(), files.Draft.write

    def instead(self, *args):
        if os.getpid() != ours:
            fail()
        write(self, *args)

    monkeypatch.setattr(files.Draft, "write", instead)


def full():
    raise OSError(errno.ENOSPC, "No space left on device")


def wrong():
    raise KeyError("of our own making")


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("fail", "why"),
    [
        (full, "No space left on device"),
        (wrong, "KeyError: 'of our own making'"),
        (killed, "the process that saved it was ended by signal 9"),
    ],
)
def test_a_child_that_fails_says_why_and_the_run_goes_on(tmp_path, monkeypatch, children, fail, why):
    state = str(tmp_path / "m.bin")
    expected = feed(DATA, sizes=[900])[0]
    failing(monkeypatch, fail)
    out, said, pipeline = feed(DATA, sizes=[900], state=state, checkpoint_every=50)
    assert said == [f"{state}: cannot save the state: {why}"]
    assert (out, pipeline.code) == (expected, 1)
    assert load(state)[0]["records"] == 900  # the end has saved it
    assert os.listdir(tmp_path) == ["m.bin"]


def test_a_checkpoint_that_fails_here_does_not_end_the_run_either(tmp_path, monkeypatch):
    state = str(tmp_path / "m.bin")
    expected = feed(DATA, sizes=[900])[0]
    publish, failed = files.Draft.publish, []

    def once(self):
        if not failed:
            failed.append(1)
            full()
        publish(self)

    monkeypatch.setattr(files.Draft, "publish", once)
    out, said, pipeline = feed(DATA, sizes=[900], state=state, checkpoint_every=50)
    assert said == [f"{state}: cannot save the state: No space left on device"]
    assert (out, pipeline.code) == (expected, 1)
    assert load(state)[0]["records"] == 900
    assert os.listdir(tmp_path) == ["m.bin"]


def test_where_no_process_can_be_made_the_checkpoint_is_saved_here(tmp_path, monkeypatch, children):
    def none():
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", none)
    state = str(tmp_path / "m.bin")
    _, said, pipeline = feed(DATA, sizes=[900], state=state, checkpoint_every=50)
    assert (said, pipeline.code) == ([], 0)
    assert os.listdir(tmp_path) == ["m.bin"]


def test_ignored_children_are_no_failure(tmp_path, children):
    """Some parents have us ignore SIGCHLD, and then no child leaves a status."""
    old = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        _, said, pipeline = feed(DATA, sizes=[900], state=str(tmp_path / "m.bin"), checkpoint_every=50)
    finally:
        signal.signal(signal.SIGCHLD, old)
    assert (said, pipeline.code) == ([], 0)


# -- going back -------------------------------------------------------------------------------


def test_the_history_stays_learned_though_the_first_block_does_not_go_out(tmp_path):
    """Its fields too, in its order."""
    state, history = str(tmp_path / "m.bin"), b"".join(b'{"y":%d,"x":%d}\n' % (i % 13, i % 7) for i in range(300))
    flags = {"state": state, "backfill": "history"}
    whole = feed(DATA, history=history, **{**flags, "state": str(tmp_path / "whole.bin")})[0]
    out, _, pipeline = feed(DATA, history=history, limit=0, **flags)
    assert (out, pipeline.code) == (b"", 141)
    assert (read(state)[0]["records"], read(state)[0]["fields"]) == (0, ["y", "x"])
    assert feed(DATA, **flags)[0] == whole


# -- files ------------------------------------------------------------------------------------


def test_what_killed_runs_left_is_removed_and_nothing_else(tmp_path):
    state = tmp_path / "m.bin"
    ours = [".m.bin.1.tmp", ".m.bin.4711.tmp"]
    others = ["m.bin.1.tmp", ".m.bin.x.tmp", ".m.bin.1.tmp~", ".xm.bin.1.tmp", ".m_bin.1.tmp"]
    (tmp_path / "precious").write_text("content")
    for name in (*ours[1:], *others):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / ours[0]).symlink_to(tmp_path / "precious")
    feed(DATA, state=str(state))
    assert sorted(os.listdir(tmp_path)) == sorted([*others, "m.bin", "precious"])
    assert (tmp_path / "precious").read_text() == "content"


def test_a_link_in_place_of_the_draft_is_not_followed(tmp_path):
    state, precious = tmp_path / "m.bin", tmp_path / "precious"
    precious.write_text("content")
    (tmp_path / f".m.bin.{os.getpid()}.tmp").symlink_to(precious)
    files.save(state, {}, [], {})
    assert precious.read_text() == "content"
    assert not state.is_symlink()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_the_mode_stays_and_is_that_of_any_file_at_first(tmp_path, mode):
    state = tmp_path / "m.bin"
    old = os.umask(0o027)
    try:
        files.save(state, {}, [], {})
        assert stat.S_IMODE(state.stat().st_mode) == 0o640
        state.chmod(mode)
        with files.Draft(state) as draft:
            assert stat.S_IMODE(draft.file.stat().st_mode) == 0o600  # nobody reads what only the owner may
            draft.write(({}, [], {}))
            draft.publish()
    finally:
        os.umask(old)
    assert stat.S_IMODE(state.stat().st_mode) == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a user who may give files away")
def test_the_owner_stays(tmp_path):
    state = tmp_path / "m.bin"
    files.save(state, {}, [], {})
    os.chown(state, 1, 1)
    files.save(state, {}, [], {})
    assert (state.stat().st_uid, state.stat().st_gid) == (1, 1)
