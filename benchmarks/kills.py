"""Kills at random moments: does the state always load, and does the run go on to the bytes of an unbroken one?

    python benchmarks/kills.py [--kills 300] [--seed 0] [--large 0.5] [--jobs 2]

A run of `clipdetect --state` is ended by SIGKILL at a random moment, one in three times the run that
goes on after it too, and so forth; half of the kills of large states come while a child process is
saving. The last run of each such chain comes to its end. After each kill:

- the state file loads, or was never there;
- what was written since the last start is the beginning of what an unbroken run writes from there;
- every record that the state has counted was written: the next run begins with the one after it, so
  some records come again and none is missing.

After each chain the folder holds nothing but the state, and no process is left. Small states have one
key; large ones are over 16 MB, so that a child process saves them. Exits 1 where anything else is found.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from clipdetect.state import read  # noqa: E402

COMMAND = [sys.executable, "-m", "clipdetect"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
COMMON = ["--engine", "python", "--warmup", "8", "-q"]  # one engine: an even speed, and a fork at any time
PADDING = b"-" * 200  # some 300 records a block, so that a checkpoint comes after several
LONGEST = 60.0  # seconds that a run may take


@dataclass
class Kind:
    """A run that is killed: its flags, and its records."""

    name: str
    flags: Sequence[str]
    lines: list[bytes]
    whole: list[bytes] = field(default_factory=list)  # what an unbroken run writes
    seconds: float = 0.0  # that it takes, once it has begun

    def measure(self, folder: Path) -> None:
        """Run it once, unbroken."""
        process, out = started(self, folder, 0)
        begin(folder, process)
        begun = time.monotonic()
        assert process.wait(LONGEST) == 0
        self.seconds = time.monotonic() - begun
        self.whole = out.read_bytes().splitlines(keepends=True)
        assert len(self.whole) == len(self.lines)


@dataclass
class Found:
    """What came of the kills: how many, how many records came again, what lay about, what was wrong."""

    kills: int = 0
    repeated: list[int] = field(default_factory=list)
    drafts: int = 0
    locks: int = 0
    none_yet: int = 0
    wrong: list[str] = field(default_factory=list)


def small(n: int = 10_000) -> Kind:
    """One series."""
    chance = random.Random(1)
    lines = [b'{"x":%.3f,"text":"%s"}\n' % (chance.gauss(0, 1), PADDING) for _ in range(n)]
    return Kind("small", ["--checkpoint-every", "700", "-f", "x"], lines)


def large(n: int = 6000) -> Kind:
    """150 keys of 130 KB: 19 MB."""
    chance = random.Random(2)
    lines = [b'{"k":"k%d","x":%.3f,"text":"%s"}\n' % (i % 150, chance.gauss(0, 1), PADDING) for i in range(n)]
    return Kind("large", ["--checkpoint-every", "900", "--by", "k", "-e", "neighbours:window=8000"], lines)


def started(kind: Kind, folder: Path, taken: int) -> tuple[subprocess.Popen[bytes], Path]:
    """A run on the records after the first `taken`, and where its output goes."""
    stream, out = folder / "in.jsonl", folder / "out.jsonl"
    stream.write_bytes(b"".join(kind.lines[taken:]))
    command = [*COMMAND, *COMMON, *kind.flags, "--state", str(folder / "m.bin"), str(stream)]
    with out.open("wb") as file, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=err, env=ENVIRONMENT, start_new_session=True
        )
    return process, out


def chain(kind: Kind, seed: int, most: int) -> Found:
    """Kill up to `most` runs one after the other, and let the last one end."""
    chance, found, taken = random.Random(seed), Found(), 0
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        state = folder / "m.bin"
        groups = []
        while True:
            last = found.kills == most or (found.kills > 0 and chance.random() < 2 / 3)
            process, out = started(kind, folder, taken)
            groups.append(process.pid)
            if last:
                code = process.wait(LONGEST)
            else:
                wait(kind, folder, process, chance)
                process.kill()
                found.kills += 1
                code = process.wait(LONGEST)
            written = out.read_bytes()
            if not b"".join(kind.whole[taken:]).startswith(written):
                found.wrong.append(f"seed {seed}, after record {taken}: other bytes")
            if last:
                break
            found.drafts += bool(drafts(folder))
            found.locks += (folder / ".m.bin.lock").exists()
            found.none_yet += not state.exists()
            before, taken = taken, read(state)[0]["records"] if state.exists() else 0
            found.repeated.append(before + written.count(b"\n") - taken)
            if not before <= taken <= before + written.count(b"\n"):
                found.wrong.append(f"seed {seed}: a state of {taken} records, {before} and then {len(written)} bytes")
        rest = b"".join(kind.whole[taken:])
        if (code, written, (folder / "err").read_bytes()) != (0, rest, b""):
            found.wrong.append(f"seed {seed}, after record {taken}: exit {code}, {len(written)} bytes of {len(rest)}")
        if read(state)[0]["records"] != len(kind.lines):
            found.wrong.append(f"seed {seed}: the state at the end has not counted all records")
        left = {each.name for each in folder.iterdir()} - {"m.bin", "in.jsonl", "out.jsonl", "err"}
        if left:
            found.wrong.append(f"seed {seed}: left behind: {', '.join(sorted(left))}")
        if not all(map(over, groups)):
            found.wrong.append(f"seed {seed}: a process is left")
    return found


def wait(kind: Kind, folder: Path, process: subprocess.Popen[bytes], chance: random.Random) -> None:
    """Until the moment of the kill: any, or one while a draft is being written."""
    if chance.random() < 0.1:
        time.sleep(chance.uniform(0.0, 0.3))  # while it starts
        return
    begin(folder, process)
    if kind.name == "large" and chance.random() < 0.5:
        begun, some, seen = time.monotonic(), chance.randrange(1, 4), set()
        while time.monotonic() - begun < kind.seconds and process.poll() is None and len(seen) < some:
            with contextlib.suppress(FileNotFoundError):
                seen.update(each.stat().st_ino for each in drafts(folder))
            time.sleep(0.001)
        time.sleep(chance.uniform(0.0, 0.1))
    else:
        time.sleep(chance.uniform(0.0, 1.05) * kind.seconds)


def begin(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until a run has its state, before which there is little to be killed."""
    lock = folder / ".m.bin.lock"
    old = lock.stat().st_mtime_ns if lock.exists() else 0
    while process.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            if lock.stat().st_mtime_ns > old:
                return
        time.sleep(0.001)


def drafts(folder: Path) -> list[Path]:
    """States that are not in their place yet."""
    return list(folder.glob(".m.bin.*.tmp"))


def over(group: int) -> bool:
    """Whether no process of a run is left; a child that its parent's end surprised has two seconds to see it."""
    for _ in range(200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    os.killpg(group, signal.SIGKILL)
    return False


def kills(kind: Kind, count: int, seed: int, jobs: int = 1) -> Found:
    """At least `count` kills, in chains."""
    total = Found()
    with tempfile.TemporaryDirectory() as folder:
        kind.measure(Path(folder))
    with ThreadPoolExecutor(jobs) as pool:
        while total.kills < count:
            seeds = range(seed, seed + jobs)
            seed += jobs
            for found in pool.map(lambda each: chain(kind, each, min(5, count - total.kills)), seeds):
                total.kills += found.kills
                total.repeated += found.repeated
                total.drafts += found.drafts
                total.locks += found.locks
                total.none_yet += found.none_yet
                total.wrong += found.wrong
    return total


def main() -> None:
    """Print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--large", type=float, default=0.5, help="share of the kills that large states get")
    parser.add_argument("--jobs", type=int, default=2, help="runs at the same time")
    arguments = parser.parse_args()
    of_large = round(arguments.kills * arguments.large)
    wrong = []
    for kind, count in ((small(), arguments.kills - of_large), (large(), of_large)):
        begun = time.monotonic()
        found = kills(kind, count, arguments.seed, arguments.jobs)
        again = sorted(found.repeated) or [0]
        print(
            f"{kind.name}: {found.kills} kills in {time.monotonic() - begun:.0f} s, {found.none_yet} before a state "
            f"was there, {found.drafts} with a draft and {found.locks} with a lock lying about; records that came "
            f"again: median {again[len(again) // 2]}, at most {again[-1]}; wrong: {len(found.wrong)}"
        )
        wrong += found.wrong
    print(*wrong, sep="\n", end="\n" if wrong else "")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
