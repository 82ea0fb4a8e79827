"""What the benchmarks share: seeded streams, the command under test, CPU time of a whole process."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

FOLDER = Path(os.environ.get("CLIPDETECT_BENCH", Path(tempfile.gettempdir()) / "clipdetect-bench"))
COMMAND = [sys.executable, "-m", "clipdetect"]
NULL_LOOP = [
    sys.executable,
    "-c",
    "import sys, orjson\nout = sys.stdout.buffer\n"
    "for line in sys.stdin.buffer: out.write(orjson.dumps(orjson.loads(line)) + b'\\n')",
]


def cpu(command: Sequence[str], stdin: Path | None = None, env: dict[str, str] | None = None) -> tuple[float, float]:
    """CPU seconds (user + system) and peak memory in MB of one process; its output is thrown away."""
    with open(stdin or os.devnull, "rb") as source, open(os.devnull, "wb") as sink:
        process = subprocess.Popen(command, stdin=source, stdout=sink, env={**os.environ, **(env or {})})
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def installed(name: str) -> str | None:
    """Path of a peer command, or None."""
    return shutil.which(name)


def rows(n: int, d: int, seed: int = 0) -> np.ndarray:
    """(n, d) t(3) values with three decimals."""
    return np.round(np.random.default_rng(seed).standard_t(3, (n, d)) * 10 + 100, 3)


def jsonl(n: int, d: int, keys: int = 0) -> Path:
    """A file of n records: d floats and two strings; `host` takes `keys` values in random order, each as often."""
    path = FOLDER / f"rows-{n}-{d}-{keys}.jsonl"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(1)
        host = rng.permutation(np.arange(n) % keys) if keys else np.zeros(n, int)
        with open(path.with_suffix(".tmp"), "w") as file:
            for start in range(0, n, 100_000):
                X = rows(min(100_000, n - start), d, seed=start)
                for i, values in enumerate(X.tolist()):
                    fields = ",".join(f'"f{j}":{v}' for j, v in enumerate(values))
                    file.write(f'{{{fields},"host":"web-{host[start + i]}","message":"request served"}}\n')
        path.with_suffix(".tmp").rename(path)
    return path


def csv(n: int, d: int) -> Path:
    """A file of n rows of d numeric columns under a header."""
    path = FOLDER / f"rows-{n}-{d}.csv"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        with open(path.with_suffix(".tmp"), "w") as file:
            file.write(",".join(f"f{j}" for j in range(d)) + "\n")
            for start in range(0, n, 100_000):
                X = rows(min(100_000, n - start), d, seed=start)
                file.writelines(",".join(map(str, values)) + "\n" for values in X.tolist())
        path.with_suffix(".tmp").rename(path)
    return path


def slope(command: Sequence[str], make: object, few: int, many: int, **env: str) -> tuple[float, float, float]:
    """Microseconds of CPU a record between `few` and `many` records, seconds of start, peak MB at `many`."""
    assert callable(make)
    low, _ = cpu(command, make(few), env)
    high, memory = cpu(command, make(many), env)
    each = (high - low) / (many - few)
    return 1e6 * each, low - each * few, memory


def median_slope(
    command: Sequence[str], make: object, few: int, many: int, times: int = 3
) -> tuple[float, float, float, float]:
    """`slope`, the median of several runs by microseconds a record; and the largest less the smallest of these."""
    runs = [slope(command, make, few, many) for _ in range(times)]
    each = [run[0] for run in runs]
    return statistics.median(each), *[statistics.median(run[i] for run in runs) for i in (1, 2)], max(each) - min(each)


def answers(arguments: Sequence[str], data: bytes | Path) -> list[dict[str, Any]]:
    """What the command writes for a file or for bytes on stdin, one object a record, as JSON Lines."""
    file = [] if isinstance(data, bytes) else [str(data)]
    done = subprocess.run(
        [*COMMAND, "-q", *arguments, *file],
        input=data if isinstance(data, bytes) else b"",
        stdout=subprocess.PIPE,
        check=True,
    )
    return [orjson.loads(line.decode(errors="replace")) for line in done.stdout.split(b"\n") if line]


def table(title: str, header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    print(f"\n## {title}\n\n| {' | '.join(header)} |\n|{' --- |' * len(header)}")
    for line in lines:
        print(f"| {' | '.join(line)} |")
    sys.stdout.flush()


def perturbed(constants: Any, rng: np.random.Generator, spread: float) -> Any:
    """A component's constants, each number times exp N(0, spread)."""
    if isinstance(constants, np.ndarray):
        return constants * np.exp(spread * rng.normal(size=len(constants)))
    if hasattr(constants, "_make"):
        return constants._make(perturbed(each, rng, spread) for each in constants)
    return constants * float(np.exp(spread * rng.normal()))
