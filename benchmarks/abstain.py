"""Mistakes and abstentions of `confidence` beside those printed in its paper: 1,000 streams of 2,000 scores.

    python benchmarks/abstain.py [--streams 1000] [--records 2000] [--seed 1]

A score above the true 99% quantile of its law is an anomaly. Streams are standard normal; with shifts, the mean jumps
at three random places to another of five standard deviations around 0. The law of the paper's streams, its number of
shifts and its settings for the rules beside are not known here, so only the order of size can be compared. Seeded.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from common import table

from clipdetect import registry
from clipdetect.components import Params, Rows, Threshold, full_spec
from clipdetect.jit import Engine

RATE = 0.01
QUANTILE = 2.3263478740408408  # of the standard normal law, at 1 - RATE
SHIFTS, SPREAD = 3, 5.0
STATIC = 0.3  # of a stream, whose quantile the static rule takes
AT_ONCE = 100  # streams a call
PRINTED = {  # share abstained, false positives and false negatives a stream, as the paper's table 1 is quoted
    "the paper's rule": ("12.1% / 0", "32.7% / 5.2"),
    "DSPOT": ("15% / 9.1", "- / 225"),
    "static-30%": ("- / 5.3", "- / 195"),
    "online quantile": ("- / 3.9", "- / 219"),
}
Decide = Callable[[np.ndarray], np.ndarray]


def streams(count: int, n: int, seed: int, shifts: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores (count, n), and which of them are anomalies."""
    rng = np.random.default_rng([seed, shifts])
    noise = rng.normal(size=(count, n))
    mean = np.zeros((count, n))
    for i in range(count):
        for place in np.sort(rng.integers(1, n, shifts)):
            mean[i, place:] = SPREAD * rng.normal()
    return mean + noise, noise > QUANTILE


def threshold(spec: str, warmup: int = 32) -> Decide:
    """Decisions of a threshold of this package, abstained where there is no score yet.

    A rate that it would refuse is not refused here.
    """

    def decide(x: np.ndarray) -> np.ndarray:
        parts = []
        for start in range(0, len(x), AT_ONCE):
            part = x[start : start + AT_ONCE]
            made = registry.build("threshold", spec)
            assert isinstance(made, Threshold)
            made.bind(["x"], Params(engine=Engine("numba"), rate=RATE, warmup=warmup, raw_kind="level"))
            keys, n = part.shape
            state = {name: np.zeros((keys, *shape), dtype) for name, (shape, dtype) in full_spec(made, 1).items()}
            made.reset(state, np.arange(keys), np.arange(keys) + 1)
            nothing = np.full(part.size, np.nan)
            rows = Rows(np.zeros((part.size, 1)), nothing, nothing, np.ones(part.size, bool), np.zeros(part.size, bool))
            slots = np.repeat(np.arange(keys, dtype=np.int64), n)
            score, flag = made.step(state, slots, part.ravel().copy(), rows)
            parts.append(np.where(np.isnan(score), 2, flag).reshape(keys, n))
        return np.concatenate(parts)

    return decide


def static(x: np.ndarray) -> np.ndarray:
    """Above the quantile of the first 30% of the stream; nothing is decided within these."""
    start = int(STATIC * x.shape[1])
    flag = (x > np.quantile(x[:, :start], 1.0 - RATE, axis=1)[:, None]).astype(np.int8)
    flag[:, :start] = 2
    return flag


def online(x: np.ndarray) -> np.ndarray:
    """Above the quantile of all scores before it."""
    flag = np.zeros(x.shape, np.int8)
    for i, stream in enumerate(x):
        past: list[float] = []
        for j, value in enumerate(stream.tolist()):
            if past:
                flag[i, j] = value > past[min(int((1.0 - RATE) * len(past)), len(past) - 1)]
            past.insert(int(np.searchsorted(past, value)), value)
    return flag


def cell(flag: np.ndarray, bad: np.ndarray) -> list[str]:
    """Share abstained, wrong decisions a stream, and recall."""
    wrong = ((flag == 1) & ~bad) | ((flag == 0) & bad)
    return [f"{100 * np.mean(flag == 2):.1f}%", f"{wrong.sum(1).mean():.2f}", f"{np.mean(flag[bad] == 1):.2f}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    n = arguments.records
    rules: dict[str, Decide] = {
        "`confidence:patience=1`": threshold("confidence:patience=1"),
        "`confidence`": threshold("confidence"),
        "`confidence:bound=paper,patience=1`": threshold(f"confidence:bound=paper,patience=1,kept={n // 2}"),
        "`tail`": threshold("tail"),
        f"static-{100 * STATIC:.0f}%": static,
        "online quantile": online,
    }
    if "spot" in registry.names("threshold"):
        rules["`spot`"] = threshold("spot")
    sets = [streams(arguments.streams, n, arguments.seed, shifts) for shifts in (0, SHIFTS)]
    lines = []
    for name, decide in rules.items():
        lines.append([name, *[text for x, bad in sets for text in cell(decide(x), bad)]])
    header = ["rule", "iid: abstained", "wrong a stream", "recall"]
    header += [f"{SHIFTS} shifts: abstained", "wrong a stream", "recall"]
    table(f"{arguments.streams:,} streams of {n:,} normal scores, rate {RATE:g}", header, lines)
    table(
        "As printed in the paper, on its own streams: abstained / wrong a stream",
        ["rule", "iid", "with shifts"],
        [[name, *cells] for name, cells in PRINTED.items()],
    )


if __name__ == "__main__":
    main()
