"""Special events through the command line: flags before and after, and what it costs in true findings.

    python benchmarks/special_events.py

Three kinds: known in advance (`--events`), shared by many keys (`--group`), a level shift that stays (`--episode`).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import answers, table

BEGIN = 1_700_000_000
STREAMS = 20


def scored(x: np.ndarray, arguments: Sequence[str], keys: int = 1, every: float = 60.0) -> np.ndarray:
    """Flags (n,) of records with value, time and, in turn, the hosts of one region."""
    lines = [
        f'{{"t":{BEGIN + every * (i // keys):.0f},"host":"h{i % keys}","region":"eu","x":{v:.4f}}}\n'
        for i, v in enumerate(x.tolist())
    ]
    by = ["--by", "host"] if keys > 1 else []
    found = answers(["-f", "x", "--time", "t", *by, *arguments], "".join(lines).encode())
    return np.array([record["anomaly"] for record in found])


def launch() -> None:
    """A launch day: traffic times three for eight hours; a spike the day after must still be found."""
    at, length, n, spike = 6000, 480, 8000, 7500
    counts: dict[str, list[tuple[int, int, int]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for action in ("", "mute", "mute freeze", "freeze", "widen:3"):
            path = Path(folder) / "events.csv"
            path.write_text(
                f"start,end,selector,action\n{BEGIN + 60 * at},{BEGIN + 60 * (at + length)},,{action or 'mute'}\n"
            )
            for seed in range(STREAMS):
                x = np.random.default_rng(seed).normal(100.0, 10.0, n)
                x[at : at + length] *= 3.0
                x[spike] += 80.0
                flag = scored(x, ["--events", os.fspath(path)] if action else [])
                after = flag[at + length : at + length + 500].sum()
                counts.setdefault(action, []).append((flag[at : at + length].sum(), after, flag[spike]))
    lines = [
        [
            action or "no events file",
            *[f"{value:.1f}" for value in np.mean(own, axis=0)[:2]],
            f"{np.mean(own, axis=0)[2]:.2f}",
        ]
        for action, own in counts.items()
    ]
    table(
        f"Known in advance: traffic times 3 for 480 records, mean of {STREAMS} streams",
        ["action", "flags in the span", "in the 500 records after", "later spike found"],
        lines,
    )


def shared() -> None:
    """60% of 200 keys shift at one moment; beside it lone spikes of single keys that should be found."""
    keys, rounds, at = 200, 260, 200
    lines = []
    for name, arguments in (("one model a key", []), ("--group region", ["--group", "region"])):
        counts = []
        for seed in range(5):
            rng = np.random.default_rng(seed)
            X = rng.normal(size=(rounds, keys))
            X[at:, : keys * 6 // 10] += 8.0
            lone = [
                (int(r), int(k)) for r, k in zip(rng.integers(100, 190, 20), rng.integers(0, keys, 20), strict=True)
            ]
            for r, k in lone:
                X[r, k] += 15.0
            flag = scored(X.ravel(), arguments, keys).reshape(X.shape)
            found = np.mean([flag[r, k] for r, k in lone])
            counts.append((flag[at:].sum(), flag[at:].any(axis=0).sum(), found))
        mean = np.mean(counts, axis=0)
        lines.append([name, f"{mean[0]:.1f}", f"{mean[1]:.1f}", f"{mean[2]:.2f}"])
    table(
        "A shift of 8 units in 120 of 200 keys at once, the 60 rounds from then on, mean of 5 streams",
        ["", "flags", "keys flagged", "lone spikes found before it"],
        lines,
    )


def lasting() -> None:
    """A level shift of one key that stays."""
    lines = []
    for name, arguments in (
        ("as it is", []),
        ("--episode 50", ["--episode", "50"]),
        ("--episode 50 --changepoint clipped_mean", ["--episode", "50", "--changepoint", "clipped_mean"]),
    ):
        counts, declared = [], 0
        keys, at = 100, 1000
        rng = np.random.default_rng(1)
        X = rng.normal(size=(1500, keys))
        X[at:] += 8.0
        flag = scored(X.ravel(), arguments, keys).reshape(X.shape)
        counts = flag[at : at + 100].sum(axis=0)
        declared = int((counts == 1).sum())
        lines.append(
            [name, f"{counts.mean():.2f}", str(counts.max()), str(declared), f"{flag[:at].sum() / at / keys:.5f}"]
        )
    table(
        "A level shift of 8 units that stays, 100 keys: flags in the 100 records from it on",
        ["", "mean", "most", "keys with one flag", "flagged share before"],
        lines,
    )


def main() -> None:
    """Print every table."""
    launch()
    shared()
    lasting()


if __name__ == "__main__":
    main()
