"""How long a record waits: first answer on a slow pipe, each record at 10 and 1,000 a second, the engine switch.

    python benchmarks/latency.py [--seconds 20]

Writes one record at a time into a pipe, reads the answer from another, and times the way through.
"""

from __future__ import annotations

import argparse
import os
import select
import subprocess
import time

import numpy as np
from common import COMMAND, table


def feed(rate: float, records: int, flags: list[str], hold: float = 0.0) -> tuple[np.ndarray, float, str]:
    """Latencies in ms of each record, ms until the first answer (from process start), stderr."""
    values = np.random.default_rng(0).normal(100, 5, records)
    start = time.perf_counter()
    process = subprocess.Popen(
        [*COMMAND, "-v", *flags], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin and process.stdout and process.stderr
    fd = process.stdout.fileno()
    os.set_blocking(fd, False)
    sent, taken, first, pending = [], [], 0.0, b""
    due = start
    while len(taken) < records:
        now = time.perf_counter()
        if len(sent) < records and now >= due:
            os.write(process.stdin.fileno(), b'{"x":%.3f,"host":"a"}\n' % values[len(sent)])
            sent.append(time.perf_counter())
            if len(sent) == 1 and hold:
                due = now + hold
            else:
                due = max(due + 1.0 / rate, now) if len(sent) > 1 else now + 1.0 / rate
        wait = max(0.0, due - time.perf_counter()) if len(sent) < records else 5.0
        if select.select([fd], [], [], wait)[0]:
            data = os.read(fd, 1 << 16)
            at = time.perf_counter()
            if not data:
                break
            pending += data
            for _ in range(pending.count(b"\n")):
                taken.append(1000 * (at - sent[len(taken)]))
                first = first or 1000 * (at - start)
            pending = pending[pending.rfind(b"\n") + 1 :]
    process.stdin.close()
    errors = process.stderr.read().decode()
    process.wait()
    return np.array(taken), first, errors


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    feed(100, 20, ["--engine", "numba"])  # fills the caches
    firsts = sorted(feed(1, 1, [])[1] for _ in range(7))
    print(f"First record on a slow pipe, from process start: median {firsts[3]:.0f} ms, worst {firsts[-1]:.0f} ms of 7")
    lines = []
    for rate in (10, 1000):
        n = int(rate * arguments.seconds)
        waits, _, errors = feed(rate, n, [], hold=1.0)
        late = waits[1:]
        switch = [line for line in errors.splitlines() if "compiled" in line]
        lines.append(
            [
                str(rate),
                f"{n:,}",
                *(f"{np.percentile(late, q):.2f}" for q in (50, 99)),
                f"{np.sort(late)[-2]:.1f}",
                f"{late.max():.1f}",
                f"{(late > 10).sum()}",
                str(len(switch)),
            ]
        )
    table(
        "One record at a time, ms from written to answered",
        ["a second", "records", "median", "99%", "second worst", "worst", "over 10 ms", "switches of engine"],
        lines,
    )


if __name__ == "__main__":
    main()
