"""Following: every line once, whatever happens to its file, and whenever the follower stops and starts."""

from __future__ import annotations

import os

import pytest
from logwriter import Log, Reading, follow, script

from clipdetect.follow import QUIET


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path / "app.log")


# -- growing ----------------------------------------------------------------------------------


def test_lines_come_from_the_beginning_and_as_they_are_written(log):
    log.write(3)
    got = follow([log.path], [log.write, lambda: log.write(2)])
    assert got.lines == log.written
    assert [(piece.line, piece.begins) for piece in got.pieces] == [(1, True), (4, False), (5, False)]
    assert {piece.name for piece in got.pieces} == {str(log.path)}


def test_a_line_waits_for_its_newline(log):
    got = follow([log.path], [log.part, log.part, log.write])
    assert len(got.pieces) == 1
    assert got.lines == log.written


def test_reads_are_bounded_and_files_take_turns(tmp_path):
    busy, quiet = Log(tmp_path / "busy.log"), Log(tmp_path / "quiet.log")
    busy.write(500)
    quiet.write(2)
    got = follow([busy.path, quiet.path], read_size=256)
    assert [piece.name for piece in got.pieces].index(str(quiet.path)) == 1
    assert max(len(piece.data) for piece in got.pieces) <= 256 + 40
    for each in (busy, quiet):
        assert b"".join(p.data for p in got.pieces if p.name == str(each.path)) == b"".join(each.written)


def test_an_over_long_line_comes_in_parts_and_alone(tmp_path):
    log, other = Log(tmp_path / "a"), Log(tmp_path / "b")
    log.file.write(b"y" * 900)
    other.write(3)
    steps = [other.write, lambda: log.file.write(b"z" * 50), lambda: log.file.write(b"\nnext\n")]
    got = follow([log.path, other.path], steps, read_size=200, max_line=300)
    assert b"".join(p.data for p in got.pieces if p.name == str(log.path)) == b"y" * 900 + b"z" * 50 + b"\nnext\n"
    places = [i for i, piece in enumerate(got.pieces) if piece.name == str(log.path)]
    assert places == list(range(places[0], places[0] + len(places)))
    assert len(got.pieces) > len(places) >= 3
    assert max(len(piece.data) for piece in got.pieces) <= 500
    assert [got.pieces[i].inside for i in places] == [False] + [True] * (len(places) - 1)
    assert {got.pieces[i].line for i in places} == {1}


def test_an_over_long_line_without_end_holds_others_up_for_seconds_only(tmp_path):
    log, other = Log(tmp_path / "a"), Log(tmp_path / "b")
    log.file.write(b"y" * 900)
    other.write(3)
    got = follow([log.path, other.path], max_line=300, patience=400)
    assert got.data == b"y" * 900 + b"\n" + b"".join(other.written)  # the part came in one read
    assert got.waiting.now > QUIET


def test_going_on_within_an_over_long_line(tmp_path):
    log = Log(tmp_path / "a")
    log.file.write(b"y" * 900)
    first = Reading([log.path], read_size=400, max_line=300).run(2)
    log.file.write(b"\nnext\n")
    second = follow([log.path], saved=first.saved, read_size=400, max_line=300)
    assert first.data + second.data == b"y" * 900 + b"\nnext\n"
    assert second.pieces[0].inside
    assert not second.pieces[0].begins


# -- rotation ---------------------------------------------------------------------------------


def test_the_renamed_file_is_read_to_its_end_first(log):
    log.write(2)

    def both():
        log.write(200)
        log.rename()
        log.write(2)

    got = follow([log.path], [both], read_size=100)
    assert got.lines == log.written
    assert [piece.line for piece in got.pieces if piece.begins] == [1, 1]


def test_late_lines_of_the_renamed_file_come_once(log):
    got = follow([log.path], [log.write, log.rename, log.write, log.late, log.late, log.write], patience=60)
    assert got.lines == log.written
    assert len(got.follower.position()[str(log.path)]) == 1  # it has been quiet long enough


def test_both_generations_are_saved_while_the_old_one_is_drained(log):
    log.write(5)
    first = Reading([log.path], [log.rename, log.write]).run(2)
    old, new = first.saved[str(log.path)]
    assert (old["line"], new["line"]) == (6, 2)
    log.late()
    log.write(2)
    second = follow([log.path], saved=first.saved)
    assert first.lines + second.lines == log.written
    assert not any(piece.begins for piece in second.pieces)


def test_a_part_of_a_line_at_rotation_gets_its_newline(log):
    got = follow([log.path], [log.write, log.part, log.rename])
    assert got.lines == log.written
    assert got.lines[-1].endswith(b"part,\n")


def test_a_generation_that_came_and_went_between_two_polls_is_read(log):
    def twice():
        for _ in range(3):
            log.write(2)
            log.rename()
        log.write()

    log.write()
    assert follow([log.path], [twice]).lines == log.written


@pytest.mark.parametrize("more", [0, 1, 40])
def test_an_emptied_file_is_read_from_its_beginning(log, more):
    """Also where it has grown beyond the old place by the next poll."""

    def empty():
        log.copytruncate()
        log.write(more)

    log.write(6)
    got = follow([log.path], [empty, log.write])
    assert got.lines == log.written
    assert sum(piece.begins for piece in got.pieces) == 2


def test_an_emptied_file_refilled_to_the_same_size_is_noticed(log):
    log.write(1)

    def refill():
        size = log.path.stat().st_size
        os.truncate(log.path, 0)
        log.file.write(b"z" * (size - 1) + b"\n")
        os.utime(log.path)

    got = follow([log.path], [refill])
    assert got.lines == [*log.written, b"z" * (len(log.written[0]) - 1) + b"\n"]
    assert any("truncated" in note for note in got.notes)


def test_lines_not_read_before_the_truncation_come_from_the_copy(log):
    def at_once():
        log.write(50)
        log.part()
        log.copytruncate()
        log.write(3)

    log.write(2)
    log.part()
    got = follow([log.path], [at_once], read_size=100)
    assert got.lines == log.written
    assert got.notes == []


def test_the_hole_left_by_a_writer_that_does_not_append_is_skipped(tmp_path):
    path = tmp_path / "out"
    with open(path, "wb", buffering=0) as writer:
        writer.write(b"one\ntwo\n" * 4000)

        def empty():
            os.truncate(path, 0)

        got = follow([path], [empty, lambda: writer.write(b"three\n"), lambda: writer.write(b"four\n")])
    assert got.data == b"one\ntwo\n" * 4000 + b"three\nfour\n"


def test_a_deleted_and_recreated_file_begins_anew(log):
    got = follow([log.path], [log.write, log.delete, log.write, log.create, lambda: log.write(2)])
    assert got.lines == log.written
    assert [piece.begins for piece in got.pieces] == [True, False, True]


def test_a_file_recreated_under_the_same_inode_number_begins_anew(log):
    """While running the number cannot return, since the old file is open; after a stop it can."""
    log.write(4)
    first = follow([log.path])
    saved = first.saved
    other = log.path.with_name("other")
    other.write_bytes(b"0123456789abcdef\n" * 100)  # as large as any place reached
    saved[str(log.path)][0]["inode"] = other.stat().st_ino
    os.replace(other, log.path)
    second = follow([log.path], saved=saved)
    assert second.data == b"0123456789abcdef\n" * 100
    assert second.pieces[0].begins
    assert "line 4" in second.notes[0]


def test_a_deleted_file_is_closed_once_it_is_quiet(log):
    log.write()
    got = follow([log.path], [log.delete])
    assert got.follower.position() == {str(log.path): []}
    assert got.notes == [f"{log.path}: not there; waiting for it"]


# -- stop and start ---------------------------------------------------------------------------


def replay(folder, seed, kinds, stop, length=14):
    """Two logs; stop after `stop` pieces, let things happen, start again. The logs, both lives."""
    folder.mkdir()
    logs = [Log(folder / "a.log"), Log(folder / "b.csv")]
    for each in logs:
        each.write(2)
    steps = [step for pair in zip(*(script(each, seed, length, kinds) for each in logs), strict=True) for step in pair]
    paths, pending = [each.path for each in logs], iter(steps)
    first = Reading(paths, pending, read_size=64, patience=80).run(stop)
    for _ in range(seed % 5):
        next(pending, lambda: None)()
    return logs, first, follow(paths, pending, saved=first.saved, read_size=64, patience=80)


@pytest.mark.parametrize("kinds", ["wwwp", "wwwpr", "wwwprl", "wwwpc"])
@pytest.mark.parametrize("seed", range(3))
def test_stopped_at_any_moment_every_line_comes_once(tmp_path, seed, kinds):
    total = len(replay(tmp_path / "whole", seed, kinds, None)[1].pieces)
    assert total > 25
    for stop in range(2, total, 7):
        logs, first, second = replay(tmp_path / str(stop), seed, kinds, stop)
        reached = [entry["offset"] for entries in first.saved.values() for entry in entries]
        if "c" in kinds and 0 in reached:
            continue  # nothing read of a file yet: its emptying cannot be seen
        pieces = first.pieces + second.pieces
        for log in logs:
            got = b"".join(p.data for p in pieces if p.name == str(log.path)).splitlines(keepends=True)
            assert sorted(got) == sorted(log.written), (stop, second.notes)
            if "l" not in kinds and "p" not in kinds:
                assert got == log.written


def test_positions_of_files_not_followed_now_are_kept(tmp_path):
    logs = [Log(tmp_path / "a"), Log(tmp_path / "b")]
    for each in logs:
        each.write(2)
    both = follow([each.path for each in logs]).saved
    logs[0].write()
    one = follow([logs[0].path], saved=both)
    assert one.lines == logs[0].written[2:]
    assert follow([each.path for each in logs], saved=one.saved).pieces == []


def test_what_was_saved_waits_for_a_folder_that_is_away(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    log = Log(folder / "app.log")
    log.write(3)
    saved = follow([log.path]).saved
    folder.rename(tmp_path / "away")
    again = follow([log.path], [lambda: None, lambda: (tmp_path / "away").rename(folder), log.write], saved=saved)
    assert again.lines == log.written[3:]
    assert again.notes == [f"{log.path}: not there; waiting for it"]
    assert follow([tmp_path / "disk2" / "app.log"], saved={str(tmp_path / "disk2/app.log"): saved[str(log.path)]}).saved
