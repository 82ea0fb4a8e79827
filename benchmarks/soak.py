"""Memory of long runs: millions of records on each default path, through a pipe; it must be flat.

    python benchmarks/soak.py [--records 2000000] [--paths one,eight,access,keys]

Prints the command's peak memory after the first tenth of the records and at the end. Exit code 1 where the second is
more than 5% above the first. Values, times, addresses and identifiers never repeat as a whole; levels wander. Kernels
are compiled from the start, so that the compiler's own memory is in both.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from common import COMMAND, table

GROWTH = 0.05  # of the peak after the first tenth
SIZE = 20_000  # records a chunk
SAMPLE = Path(__file__).parents[1] / "sample_data" / "access.log"
MONTHS = np.frombuffer(b"JanFebMarAprMayJunJulAugSepOctNovDec", np.uint8).reshape(12, 3)
START = np.datetime64("2026-03-04T00:00:00")


class Blanks:
    """Lines with blanks to be filled again and again: runs of the bytes 1, 2, ..., each as often in every line."""

    def __init__(self, lines: list[bytes]) -> None:
        self.n = len(lines)
        self.bytes = np.frombuffer(b"".join(lines), np.uint8).copy()
        self.places = {
            mark: np.flatnonzero(self.bytes == mark).reshape(self.n, -1) for mark in range(1, 10) if mark in self.bytes
        }

    def number(self, mark: int, values: np.ndarray) -> None:
        """Write whole numbers (n,) into the blanks, in as many digits as there are places."""
        powers = 10 ** np.arange(self.places[mark].shape[1])[::-1]
        self.bytes[self.places[mark]] = values[:, None] // powers % 10 + ord("0")

    def text(self, mark: int, letters: np.ndarray) -> None:
        """Write letters (n, width)."""
        self.bytes[self.places[mark]] = letters


Filled = Iterator[bytes]


def levels(rng: np.random.Generator, n: int, chunk: int, lowest: int = 10_000, highest: int = 99_999) -> np.ndarray:
    """(n,) whole numbers around a level that wanders with the chunk; one in a thousand is far off."""
    middle = (lowest + highest) / 2.0
    values = middle * (1.0 + 0.1 * np.sin(chunk / 50.0)) + rng.standard_t(4, n) * middle * 0.03
    values[rng.random(n) < 0.001] *= 1.5
    return np.clip(values, lowest, highest).astype(np.int64)


def one(rng: np.random.Generator) -> Filled:
    """Plain numbers."""
    blanks = Blanks([b"\1\1\1.\1\1\n"] * SIZE)
    for chunk in range(1 << 40):
        blanks.number(1, levels(rng, SIZE, chunk))
        yield blanks.bytes.tobytes()


def eight(rng: np.random.Generator) -> Filled:
    """JSON Lines of eight numbers, two texts that repeat, and an identifier that never does."""
    numbers = ",".join(f'"f{j}":{chr(j + 1) * 3}.{chr(j + 1) * 2}' for j in range(8))
    calls = rng.choice(["get", "put", "list", "delete"], SIZE, p=[0.7, 0.2, 0.09, 0.01])
    hosts = rng.integers(10, 30, SIZE)
    lines = [
        f'{{"request":"{chr(9) * 12}",{numbers},"host":"web-{host}","call":"{call}"}}\n'.encode()
        for host, call in zip(hosts.tolist(), calls.tolist(), strict=True)
    ]
    blanks = Blanks(lines)
    for chunk in range(1 << 40):
        for j in range(8):
            blanks.number(j + 1, levels(rng, SIZE, chunk + 11 * j))
        blanks.number(9, np.arange(SIZE) + SIZE * chunk)
        yield blanks.bytes.tobytes()


def access(rng: np.random.Generator) -> Filled:
    """The sample's access log with other addresses, sizes and times; ten records a second."""
    requests = [line.partition(b'] "')[2].rpartition(b" ")[0] for line in SAMPLE.read_bytes().splitlines()]
    lines = [
        b'10.\1\1.1\2\2.1\2\2 - - [\3\3/\4\4\4/\3\3\3\3:\3\3:\3\3:\3\3 +0000] "'
        + requests[i % len(requests)]
        + b" 0.\5\5\5\n"
        for i in range(SIZE)
    ]
    blanks = Blanks(lines)
    for chunk in range(1 << 40):
        moments = START + (np.arange(SIZE) + SIZE * chunk) // 10
        parts = np.array([list(each.encode()) for each in np.datetime_as_string(moments)], np.uint8)
        year, month, day, clock = (
            parts[:, 0:4],
            parts[:, 5:7] - ord("0"),
            parts[:, 8:10],
            parts[:, [11, 12, 14, 15, 17, 18]],
        )
        blanks.text(3, np.hstack([day, year, clock]))
        blanks.text(4, MONTHS[month[:, 0] * 10 + month[:, 1] - 1])
        blanks.number(1, 10 + (chunk // 100) % 90 + np.zeros(SIZE, np.int64))
        blanks.number(2, rng.zipf(1.3, SIZE) % 10_000)
        blanks.number(5, levels(rng, SIZE, chunk, 1, 999))
        yield blanks.bytes.tobytes()


def keys(rng: np.random.Generator) -> Filled:
    """JSON Lines of a number and one of 10,000 keys."""
    blanks = Blanks([b'{"key":"k\2\2\2\2","x":\1\1\1.\1\1}\n'] * SIZE)
    for chunk in range(1 << 40):
        blanks.number(1, levels(rng, SIZE, chunk))
        blanks.number(2, rng.permutation(SIZE) % 10_000)
        yield blanks.bytes.tobytes()


PATHS: dict[str, tuple[Callable[[np.random.Generator], Filled], list[str]]] = {
    "one": (one, []),
    "eight": (eight, []),
    "access": (access, ["--recipe", "access"]),
    "keys": (keys, ["--by", "key"]),
}


class Soaked(NamedTuple):
    """What a run took. early, peak : memory after a tenth of the records, and at most [MB]; cpu [s]; wall [s]."""

    early: float
    peak: float
    cpu: float
    wall: float

    @property
    def growth(self) -> float:
        return self.peak / self.early - 1.0


def soak(name: str, records: int, seed: int = 0) -> Soaked:
    """Feed a path with so many records. Raises RuntimeError where the command fails."""
    make, flags = PATHS[name]
    start, early = time.perf_counter(), 0.0
    command = [*COMMAND, "-q", "--engine", "numba", *flags]
    with open(os.devnull, "wb") as sink:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=sink)
    assert process.stdin is not None
    written = 0
    for chunk in make(np.random.default_rng(seed)):
        process.stdin.write(chunk)
        written += SIZE
        if not early and written >= records / 10:
            early = peak(process.pid)
        if written >= records:
            break
    process.stdin.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    cpu = usage.ru_utime + usage.ru_stime
    return Soaked(early, usage.ru_maxrss / 1024, cpu, time.perf_counter() - start)


def peak(pid: int) -> float:
    """The most memory that a process has had so far. [MB]"""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def main() -> int:
    parser = argparse.ArgumentParser(description="Memory of long runs.")
    parser.add_argument("--records", type=int, default=2_000_000, help="on each path")
    parser.add_argument("--paths", default=",".join(PATHS), help="some of them, with commas between")
    options = parser.parse_args()
    lines, grown = [], []
    for name in options.paths.split(","):
        found = soak(name, options.records)
        grown += [name] if found.growth > GROWTH else []
        speed = f"{found.cpu / options.records * 1e6:.2f}"
        lines.append(
            [name, f"{found.early:.1f}", f"{found.peak:.1f}", f"{found.growth:+.1%}", speed, f"{found.wall:.0f}"]
        )
        print(" ".join(lines[-1]), file=sys.stderr, flush=True)
    table(
        f"Peak memory of {options.records:,} records a path",
        ["path", "MB after a tenth", "MB at the end", "growth", "us CPU a record", "s"],
        lines,
    )
    if grown:
        print(f"memory grows: {', '.join(grown)}")
    return int(bool(grown))


if __name__ == "__main__":
    sys.exit(main())
