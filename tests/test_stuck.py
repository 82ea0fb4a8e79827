"""Work that takes for ever is broken off by a signal: nothing of its block is in the output or in the state."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import PATIENCE
from feeding import Memory, Pieces, Quiet

from clipdetect import source
from clipdetect.config import load as configure
from clipdetect.pipeline import Pipeline
from clipdetect.source import GRACE, TICK, Interrupted, Signals, working
from clipdetect.state import load

ROOT = str(Path(__file__).parents[1])
ENDLESS = "a" * 60 + "!"
CASES = {
    "pattern": (["--pattern", r"(?P<n>[0-9]+);(?:a+)+$"], "{n};aa", f"7;{ENDLESS}"),
    "extract": (
        ["--extract", r"x=(?P<x>[0-9]+) (?:a+)+$"],
        "2026-03-04 00:00:00 INFO x={n} aa",
        f"2026-03-04 00:00:00 INFO x=7 {ENDLESS}",
    ),
    "where": (
        ["--derive", "rate:window=60s,where=s~^(a+)+$", "--time", "t"],
        '{{"t":17000000{n},"x":{n},"s":"aa"}}',
        f'{{"t":1700000099,"x":7,"s":"{ENDLESS}"}}',
    ),
}


def start(*args):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-m", "clipdetect", *map(str, args)]
    return subprocess.Popen(command, bufsize=0, env={**os.environ, "PYTHONPATH": ROOT}, **pipes)


@pytest.mark.parametrize("case", CASES)
def test_an_endless_expression_ends_with_the_first_signal(tmp_path, case):
    flags, line, endless = CASES[case]
    lines = [line.format(n=10 + i % 13) for i in range(120)]
    state, good, more = tmp_path / "m.bin", "\n".join(lines[:80]) + "\n", "\n".join(lines[80:]) + "\n"
    process = start("--state", state, *flags)
    process.stdin.write(good.encode())
    got = b""
    while got.count(b"\n") < 80:
        got += os.read(process.stdout.fileno(), 1 << 16)
    process.stdin.write((more + endless + "\n").encode())
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    rest, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, rest) == (143, b"")
    assert b"Traceback" not in said
    assert load(state)[0]["records"] == 80
    again = start("--state", state, *flags).communicate(more.encode(), timeout=PATIENCE)[0]
    assert got + again == start(*flags).communicate((good + more).encode(), timeout=PATIENCE)[0]


def test_all_of_it_takes_less_than_a_second():
    assert GRACE + 2 * TICK < 0.8


# -- broken off anywhere ----------------------------------------------------------------------

MOMENTS = 25
MODELS = {
    "one field": {},
    "keys that are evicted": {"by": ("k",), "max_keys": 3},
    "entities": {"by": ("k",), "derive": ["rate:window=60s,per=s", "distinct:window=60s,field=s,per=k"], "time": "t"},
    "texts": {"categories": ("s",)},
    "change points": {"changepoint": "focus", "on_change": "rebase", "field": ("x",)},
    "incidents": {"episode": "3", "group": "s", "field": ("x",), "threshold": "fixed:limit=1"},
    "bands": {"bands": True, "field": ("x", "y")},
    "logs": {"output_format": "text"},
}


def pieces(logs):
    """Three blocks; in the second one come new fields, keys and texts."""
    rng, blocks = random.Random(5), []
    for block in range(3):
        lines = []
        for i in range(45):
            record = {
                "t": 1_700_000_000 + 60 * block + i,
                "x": round(rng.gauss(0, 1), 3),
                "s": f"s{rng.randint(0, 3 + block)}",
            }
            record["k"] = f"k{rng.randint(0, 4 + block)}"
            if i == 30:
                record["x"] = 99.0
            if block:
                record["y"] = i
            stamp = f"2026-03-04 00:{block:02d}:{i:02d} INFO "
            lines.append(stamp + f"from {record['s']}: {record['x']}" if logs else json.dumps(record))
        blocks.append("\n".join(lines).encode() + b"\n")
    return blocks


def writes(frame):
    return frame.f_code.co_filename.endswith("sink.py")


class Tracing(Pieces):
    """Counts the instructions of the work on one piece, and breaks off at one of them."""

    def __init__(self, blocks, which, at=None):
        super().__init__(blocks)
        self.which, self.at, self.count = which, at, 0

    def __iter__(self):
        for i, block in enumerate(self.pieces):
            sys.settrace(self.trace if i == self.which else None)
            yield block
        sys.settrace(None)

    def trace(self, frame, event, argument):
        if "clipdetect" not in frame.f_code.co_filename or "tests" in frame.f_code.co_filename:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode" and source._grace == GRACE and not writes(frame):
            self.count += 1
            if self.count == self.at:
                sys.settrace(None)
                source._grace = math.inf
                raise Interrupted(15)
        return self.trace


def run(tmp_path, given, **flags):
    """Output and exit code."""
    config = configure({"engine": "python", "state": str(tmp_path / "m.bin"), **flags}, None, {}).config
    sink = Memory()
    with Signals() as signals:
        pipeline = Pipeline(config, signals, Quiet(), sink)
        pipeline.open = lambda path: given
        code = pipeline.run(["a"])
    return sink.data, code


def saved(tmp_path):
    head, keys, arrays = load(tmp_path / "m.bin")
    return head, keys, {name: (each.shape, each.tobytes()) for name, each in arrays.items()}


@pytest.mark.parametrize(("model", "which"), [*((model, 1) for model in MODELS), ("one field", 0), ("texts", 0)])
def test_broken_off_anywhere_the_state_is_that_of_the_block_before(tmp_path, model, which):
    blocks, flags = pieces(model == "logs"), MODELS[model]
    for name in ("first", "whole", "before", *map(str, range(MOMENTS))):
        (tmp_path / name).mkdir()
    run(tmp_path / "first", Pieces(blocks), **flags)  # so that each further run takes as many instructions
    counting = Tracing(blocks, which)
    whole, _ = run(tmp_path / "whole", counting, **flags)
    run(tmp_path / "before", Pieces(blocks[:which]), **flags)
    assert counting.count > 1000
    moments = [1, counting.count, *random.Random(7).sample(range(2, counting.count), MOMENTS - 2)]
    for i, at in enumerate(moments):
        folder = tmp_path / f"{i}"
        first, code = run(folder, Tracing(blocks, which, at), **flags)
        assert code == 143
        if which:
            assert saved(folder) == saved(tmp_path / "before")
        assert first + run(folder, Pieces(blocks[which:]), **flags)[0] == whole


def spin(seconds=math.inf):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_what_is_not_breakable_is_left_to_finish():
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        spin(GRACE + 4 * TICK)
        assert signals.number == signal.SIGTERM
        with pytest.raises(Interrupted), working:
            spin()
        assert source._grace == math.inf
