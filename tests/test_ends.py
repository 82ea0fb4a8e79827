"""How a run ends: signals, closed pipes, full disks, broken files, SIGKILL at any moment."""

from __future__ import annotations

import gzip
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import launcher
import pytest
from commands import PATIENCE

from benchmarks.kills import kills, large, small
from clipdetect.state import load

SOME = 800  # records past every warm-up
MANY = 6_000  # more than a pipe holds, in several blocks
ROOT = str(Path(__file__).parents[1])
COMMAND = [sys.executable, "-m", "clipdetect"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": ROOT}


def run(*args, **more):
    more = {"stdin": subprocess.DEVNULL, "env": ENVIRONMENT, **({} if "input" not in more else {"stdin": None}), **more}
    if "input" in more:
        del more["stdin"]
    return subprocess.run([*launcher.command(), *map(str, args)], capture_output=True, timeout=PATIENCE, **more)


def start(*args, **more):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": ENVIRONMENT}
    return subprocess.Popen([*COMMAND, *map(str, args)], bufsize=0, **{**pipes, **more})


def records(n, seed=0):
    chance = random.Random(seed)
    return b"".join(b'{"i":%d,"x":%.3f}\n' % (i, chance.gauss(0, 1)) for i in range(n))


def quiet(done):
    assert b"Traceback" not in done.stderr
    return done


@pytest.fixture
def stream(tmp_path):
    path = tmp_path / "stream.jsonl"
    path.write_bytes(records(SOME))
    return path


# -- signals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_run_with_its_state(tmp_path, number, code):
    """Points 30 and 31: complete last line, state saved, whatever else may come."""
    state, data = tmp_path / "m.bin", records(800)
    process = start("--state", state, "-v")
    process.stdin.write(data)
    got = b""
    while got.count(b"\n") < 800:
        got += os.read(process.stdout.fileno(), 1 << 16)
    process.send_signal(number)
    rest, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert rest == b""
    assert got.endswith(b"\n")
    assert b"Traceback" not in said
    assert said.splitlines()[-1].startswith(b"clipdetect: 800 records")
    assert load(state)[0]["records"] == 800
    whole = run(input=data + records(200, 1)).stdout
    assert got + run("--state", state, input=records(200, 1)).stdout == whole


def test_a_signal_in_the_middle_of_a_line_leaves_that_line_for_later(tmp_path):
    state = tmp_path / "m.bin"
    process = start("--state", state)
    process.stdin.write(b'{"x":1}\n{"x":2}\n{"x":')
    got = b""
    while got.count(b"\n") < 2:
        got += os.read(process.stdout.fileno(), 1 << 16)
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, rest) == (143, b"")
    assert load(state)[0]["records"] == 2


def test_a_signal_in_mid_stream_leaves_a_state_that_goes_on(tmp_path):
    state, data = tmp_path / "m.bin", records(MANY)
    path = tmp_path / "long.jsonl"
    path.write_bytes(data)
    whole = run(path).stdout
    process = start("--state", state, "--engine", "python", path)
    got = os.read(process.stdout.fileno(), 1 << 16)
    process.send_signal(signal.SIGINT)
    rest, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (130, b"")
    got += rest
    taken = load(state)[0]["records"]
    assert got == b"".join(line + b"\n" for line in whole.split(b"\n")[:taken])
    assert 0 < taken < MANY
    more = b"".join(line + b"\n" for line in data.split(b"\n")[taken:-1])
    assert got + run("--state", state, input=more).stdout == whole


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_served_though_nobody_reads_the_output(tmp_path, number):
    """Points 30 and 31: `clipdetect F | less`; the block that did not go out whole is not in the state."""
    state, path = tmp_path / "m.bin", tmp_path / "long.jsonl"
    data = records(MANY)
    path.write_bytes(data)
    process = start("--engine", "python", "--state", state, path)
    got = os.read(process.stdout.fileno(), 100)
    time.sleep(0.7)  # the pipe is full now
    process.send_signal(number)
    assert process.wait(timeout=PATIENCE) == 128 + number
    got += process.stdout.read()
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()
    taken = load(state)[0]["records"]
    assert taken <= got.count(b"\n")
    lines = data.splitlines(keepends=True)
    whole = run(path).stdout
    assert whole.startswith(got)
    assert whole.endswith(run("--state", state, input=b"".join(lines[taken:])).stdout)


def test_a_second_signal_stops_at_once():
    """Point 30."""
    process = start("--engine", "python")
    process.stdin.write(records(3000))
    os.read(process.stdout.fileno(), 100)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 130


def test_a_signal_that_is_ignored_stays_ignored():
    """Such as SIGHUP under nohup."""
    process = start(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    process.stdin.write(b'{"x":1}\n')
    os.read(process.stdout.fileno(), 1000)
    process.send_signal(signal.SIGHUP)
    rest, _ = process.communicate(b'{"x":2}\n', timeout=PATIENCE)
    assert (process.returncode, rest.count(b"\n")) == (0, 1)


def test_sigusr1_prints_the_counters_and_goes_on():
    process = start()
    process.stdin.write(b'{"x":1}\n')
    os.read(process.stdout.fileno(), 1000)
    process.send_signal(signal.SIGUSR1)
    said = process.stderr.readline()
    rest, _ = process.communicate(b'{"x":2}\n', timeout=PATIENCE)
    assert said == b"clipdetect: 1 records, 0 flagged, 1 keys\n"
    assert (process.returncode, rest.count(b"\n")) == (0, 1)


# -- the other side of the output -------------------------------------------------------------


def test_a_closed_pipe_is_silent_and_saves_the_state(tmp_path):
    """Point 10."""
    state, path = tmp_path / "m.bin", tmp_path / "long.jsonl"
    data = records(MANY)
    path.write_bytes(data)
    process = start("--state", state, "--engine", "python", path)
    got = process.stdout.read(50)
    process.stdout.close()
    assert process.wait(timeout=PATIENCE) == 141
    assert process.stderr.read() == b""
    process.stderr.close()
    process.stdin.close()
    taken = load(state)[0]["records"]
    assert taken < MANY
    whole = run(path).stdout
    assert whole.startswith(got)
    more = b"".join(line + b"\n" for line in data.split(b"\n")[taken:-1])
    tail = run("--state", state, input=more).stdout
    assert whole.endswith(tail)
    assert tail.count(b"\n") == MANY - taken


def test_the_shell_sees_141(stream):
    """Point 10: head ends first."""
    script = f"{sys.executable} -m clipdetect {stream} {stream} {stream} | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, env=ENVIRONMENT, timeout=PATIENCE)
    assert done.stderr == b""
    assert done.stdout.splitlines()[1] in (b"141", b"0")  # 0 where the pipe held everything
    script = f"(sleep .3; exec {sys.executable} -m clipdetect {stream}) | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, env=ENVIRONMENT, timeout=PATIENCE)
    assert (done.stdout, done.stderr) == (b"141\n", b"")


def test_a_full_disk_is_one_line_and_saves_what_was_written(stream, tmp_path):
    """Point 11."""
    state = tmp_path / "m.bin"
    with open("/dev/full", "wb") as full:
        process = subprocess.run(
            [*COMMAND, str(stream), "--state", str(state)],
            stdout=full,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            timeout=PATIENCE,
        )
    assert process.returncode == 1
    assert process.stderr == b"clipdetect: stdout: No space left on device\n"
    assert load(state)[0]["records"] == 0
    assert run("--state", state, stream).stdout == run(stream).stdout


def test_stdout_closed_from_the_start_is_no_crash(stream):
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m clipdetect {stream} >&-"],
        capture_output=True,
        env=ENVIRONMENT,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert done.stderr.startswith(b"clipdetect: stdout: ")


@pytest.mark.parametrize("end", ["2>&-", "2>/dev/full"])
def test_stderr_closed_or_full_changes_no_record(stream, end):
    expected = run(stream).stdout
    stream.write_bytes(b"oops\n" + stream.read_bytes())
    script = f"{sys.executable} -m clipdetect -i jsonl {stream} {end}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, env=ENVIRONMENT, timeout=PATIENCE)
    assert done.stdout == b"oops\n" + expected
    assert done.returncode == 0


# -- compressed input -------------------------------------------------------------------------


def test_gzip_and_zstd_are_read_from_files_and_stdin(stream, tmp_path):
    """Point 26."""
    zstandard = pytest.importorskip("zstandard")
    data = stream.read_bytes()
    expected = run(stream).stdout
    half = len(data) // 2
    packed = {
        "a.gz": gzip.compress(data),
        "two members.gz": gzip.compress(data[:half]) + gzip.compress(data[half:]) + b"\0" * 512,
        "a.zst": zstandard.compress(data),
        "misnamed.jsonl": gzip.compress(data),
    }
    for name, content in packed.items():
        path = tmp_path / name
        path.write_bytes(content)
        assert quiet(run(path)).stdout == expected, name
    assert run(input=packed["a.gz"]).stdout == expected
    assert run(input=packed["a.zst"]).stdout == expected


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_of_a_truncated_file_the_readable_part_is_scored(tmp_path, stream, kind):
    data = records(9_000)
    if kind == "gz":
        packed = gzip.compress(data)
    else:
        packed = pytest.importorskip("zstandard").ZstdCompressor(level=1).compress(data)
    path = tmp_path / f"half.{kind}"
    path.write_bytes(packed[: 7 * len(packed) // 10])
    done = quiet(run(path))
    assert done.returncode == 1
    assert f"clipdetect: {path}: cannot decompress: the compressed file is truncated".encode() in done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) > 2000
    whole = run(input=data).stdout.splitlines()
    assert lines[:-1] == whole[: len(lines) - 1]  # the last line may be half a record
    both = quiet(run(path, stream))
    assert both.returncode == 1
    assert both.stdout.count(b"\n") == len(lines) + SOME  # the other file is still scored


def test_damaged_gzip_is_one_line(tmp_path):
    packed = bytearray(gzip.compress(records(20_000)))
    packed[len(packed) // 2] ^= 0xFF
    path = tmp_path / "bad.gz"
    path.write_bytes(packed)
    done = quiet(run(path))
    assert done.returncode == 1
    assert done.stdout.count(b"\n") > 1000
    assert b"cannot decompress" in done.stderr


# -- state files that do not fit --------------------------------------------------------------


@pytest.mark.parametrize(
    "flags",
    [["-e", "zscore"], ["--patience", "55"], ["-f", "y"], ["--by", "i"], ["--seed", "3"], ["--coerce"], ["-x", "i"]],
    ids=" ".join,
)
def test_a_state_of_another_configuration_is_refused(tmp_path, stream, flags):
    state = tmp_path / "m.bin"
    run("--state", state, stream)
    before = state.read_bytes()
    done = quiet(run("--state", state, *flags, stream))
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(f"clipdetect: {state}: the state belongs to another configuration: ".encode())
    assert b" in the state, " in done.stderr
    assert b" now" in done.stderr
    assert state.read_bytes() == before


def test_what_is_not_in_the_fingerprint_may_change(tmp_path, stream):
    state = tmp_path / "m.bin"
    run("--state", state, stream)
    model = ["--rate", ".01", "--warmup", "50", "--engine", "numba", "--max-keys", "7", "--direction", "up"]
    output = ["-a", "--bands", "--prefix", "c_", "-q", "--max-line", "1M", "--on-error", "skip"]
    done = run("--state", state, *model, *output, "--checkpoint-every", "100", stream)
    assert (done.returncode, done.stderr) == (0, b"")
    assert load(state)[0]["records"] == 2 * SOME


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "foreign", "folder"])
def test_a_damaged_state_is_refused_and_left_alone(tmp_path, stream, damage):
    state = tmp_path / "m.bin"
    run("--state", state, stream)
    good = state.read_bytes()
    bad = {
        "cut": good[:-9],
        "flip": good[:99] + b"\xff" + good[100:],
        "empty": b"",
        "foreign": b'{"x":1}\n',
        "folder": None,
    }[damage]
    if bad is None:
        state.unlink()
        state.mkdir()
    else:
        state.write_bytes(bad)
    done = quiet(run("--state", state, stream))
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(f"clipdetect: {state}: ".encode())
    assert state.is_dir() if bad is None else state.read_bytes() == bad
    assert [each.name for each in tmp_path.iterdir() if each.name.endswith(".tmp")] == []


def test_no_folder_for_the_state_is_told_before_the_work(tmp_path, stream):
    done = quiet(run("--state", tmp_path / "none" / "m.bin", stream))
    assert done.returncode == 2
    assert done.stdout == b""
    assert b"no such folder" in done.stderr


def test_usage_errors_leave_the_state_alone(tmp_path, stream):
    state, taken = tmp_path / "m.bin", tmp_path / "taken.jsonl"
    taken.write_bytes(b'{"x":1,"score":3}\n')
    done = quiet(run("--state", state, taken))
    assert (done.returncode, done.stdout, state.exists()) == (2, b"", False)
    assert b"--prefix" in done.stderr
    run("--state", state, stream)
    before = state.read_bytes()
    assert quiet(run("--state", state, "--rate", "5", stream)).returncode == 2
    assert state.read_bytes() == before


# -- SIGKILL ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "count"), [(small(4_000), 3), (large(3_000), 2)], ids=["small", "large"])
def test_killed_at_random_moments_it_goes_on_from_the_last_checkpoint(kind, count):
    """Point 32; `benchmarks/kills.py` does it as often as is wanted."""
    found = kills(kind, count, seed=1)
    assert found.kills >= count
    assert found.wrong == []
