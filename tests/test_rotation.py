"""What a stopped follower finds when it starts again: rotated, copied, compressed, removed, several times."""

from __future__ import annotations

import gzip
import os
import shutil

import pytest
from logwriter import Log, follow

from clipdetect.rotation import between, identity


@pytest.fixture
def log(tmp_path):
    log = Log(tmp_path / "app.log")
    log.write(5)
    return log


def test_rotations_while_stopped_are_read_in_order(log):
    saved = follow([log.path]).saved
    for _ in range(3):
        log.write(4)
        log.rename()
    log.write()
    got = follow([log.path], saved=saved)
    assert got.lines == log.written[5:]
    assert got.notes == []
    assert [(piece.line, piece.begins) for piece in got.pieces] == [(6, False), (1, True), (1, True), (1, True)]


def test_generations_with_dates_are_read_in_order(log):
    saved = follow([log.path]).saved
    for day in ("20260228", "20260301"):
        log.write(4)
        log.path.rename(log.path.with_name(f"app-{day}.log"))
        log.create()
    log.path.with_name("app-error.log").write_bytes(b"another log\n")
    log.write()
    got = follow([log.path], saved=saved)
    assert got.lines == log.written[5:]


def test_a_generation_that_is_older_by_age_is_not_read(log):
    """Where the newest has the highest number, a lower number is no newer generation."""
    old = log.path.with_name("app.log.1")
    old.write_bytes(b"read long ago\n")
    os.utime(old, (1, 1))
    saved = follow([log.path]).saved
    log.write()
    log.path.rename(log.path.with_name("app.log.2"))
    log.create()
    log.write()
    assert follow([log.path], saved=saved).lines == log.written[5:]


def test_copytruncate_while_stopped_goes_on_in_the_copy(log):
    saved = follow([log.path]).saved
    log.write(3)
    log.part()
    log.copytruncate()
    log.write(40)  # beyond the place reached
    log.copytruncate()
    log.write()
    got = follow([log.path], saved=saved)
    assert got.lines == log.written[5:]
    assert got.notes == []


def test_of_two_copies_none_is_taken(log):
    saved = follow([log.path]).saved
    log.write()
    log.copytruncate()
    shutil.copy2(log.path.with_name("app.log.1"), log.path.with_name("app.log.2"))
    log.write()
    got = follow([log.path], saved=saved)
    assert got.lines == log.written[6:]
    assert got.notes == [
        f"{log.path}: the file read up to line 5 (byte {saved[str(log.path)][0]['offset']}) was removed or emptied "
        "in the meantime; what was added to it may be missing; see app.log.1, app.log.2"
    ]


def test_a_compressed_generation_is_named(log):
    saved = follow([log.path]).saved
    log.write(3)
    log.path.with_name("app.log.1.gz").write_bytes(gzip.compress(log.path.read_bytes()))
    log.delete()
    log.create()
    log.write()
    got = follow([log.path], saved=saved)
    assert got.lines == log.written[8:]
    assert [note.endswith("may be missing; see app.log.1.gz") for note in got.notes] == [True]


def test_a_compressed_generation_between_is_named(log):
    saved = follow([log.path]).saved
    log.rename()
    log.write(3)
    log.rename()
    packed = log.path.with_name("app.log.1")
    packed.with_name("app.log.1.gz").write_bytes(gzip.compress(packed.read_bytes()))
    packed.unlink()
    log.write()
    got = follow([log.path], saved=saved)
    assert got.lines == log.written[8:]
    assert got.notes == [f"{log.path}: lines may be missing: app.log.1.gz is compressed or cannot be read"]


def test_a_log_that_was_moved_to_another_disk_goes_on(log):
    """Another inode, the same bytes: only where a full KiB tells."""
    log.write(200)
    saved = follow([log.path]).saved
    copy = log.path.with_name("copy")
    shutil.copyfile(log.path, copy)
    os.replace(copy, log.path)
    log.create()
    log.write(2)
    got = follow([log.path], saved=saved)
    assert got.lines == log.written[205:]
    assert got.pieces[0].line == 206


def test_a_hole_made_while_stopped_is_skipped(tmp_path):
    path = tmp_path / "out"
    with open(path, "wb", buffering=0) as writer:
        writer.write(b"line\n" * 5000)
        saved = follow([path]).saved
        os.truncate(path, 0)
        writer.write(b"after\n")
        assert follow([path], saved=saved).data == b"after\n"


def test_nothing_is_between_a_file_of_another_name(log):
    log.path.rename(log.path.with_name("app.log.old"))
    log.path.with_name("app.log.1").write_bytes(b"1\n")
    assert between(identity(log.path.with_name("app.log.old").stat()), 0, str(log.path)) == ([], [])


def test_descriptors_are_not_leaked(log):
    before = len(os.listdir("/dev/fd"))
    saved = None
    for _ in range(3):
        got = follow([log.path], [log.write, log.rename, log.write, log.copytruncate, log.write, log.rename], saved)
        saved = got.saved
    assert len(os.listdir("/dev/fd")) <= before + 6  # those of the writer's own files
    assert saved is not None
    assert follow([log.path], saved=saved).data == b""


def test_an_older_generation_with_the_same_bytes_is_no_copy(log):
    saved = follow([log.path]).saved
    log.write(3)
    log.copytruncate()
    log.write()
    twin = log.path.with_name("app.log.7")
    twin.write_bytes(b"".join(log.written[:5]) + b"other lines, long ago\n")
    os.utime(twin, (1, 1))
    assert follow([log.path], saved=saved).lines == log.written[5:]
