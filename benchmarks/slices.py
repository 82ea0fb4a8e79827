"""One budget of false flags over 1,000 keys of very different volume: `slices` beside plain `tail`.

    python benchmarks/slices.py [--records 2000000] [--keys 1000]

Shares of traffic are lognormal over some four decades; noise is mixed: eight families, key by key, each with a level
and a scale of its own. Everything is seeded. "x" is the share of flagged records over the asked-for.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise

import noise
import numpy as np
from common import table

from clipdetect import Detector
from clipdetect.components import Rows, State, Threshold
from clipdetect.thresholds.slices import Slices
from clipdetect.thresholds.tail import Tail


class Faulty(Tail):
    """`tail`, whose scores are too high by some decades while `decades` is not 0."""

    decades = 0.0

    def step(self, state: State, slots: np.ndarray, raw: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        score, flag = super().step(state, slots, raw, rows)
        return score + self.decades, flag


class Traffic:
    """Records of many keys: `key` (n,) numbers, `x` (n,) values, `unit` (keys,) the scale of each."""

    def __init__(self, n: int, keys: int, first: int = 0, seed: int = 1) -> None:
        rng = np.random.default_rng(seed)
        share = np.exp(1.55 * rng.normal(size=keys))  # 99.8% of the keys lie within four decades
        self.key = rng.choice(keys, n, p=share / share.sum())
        self.x, self.unit = np.zeros(n), np.exp(rng.normal(size=keys))
        families = list(noise.FAMILIES.values())
        for k in range(keys):
            at = np.flatnonzero(self.key == k)
            self.x[at] = self.unit[k] * (families[k % len(families)](rng, len(at)) + 10.0 * rng.normal())
        self.names = [f"k{k + first}" for k in range(keys)]
        self.volume = np.bincount(self.key, minlength=keys)

    @property
    def texts(self) -> list[str]:
        """The key of each record."""
        return [self.names[k] for k in self.key.tolist()]

    def counts(self, flag: np.ndarray) -> np.ndarray:
        """Flags of each key."""
        return np.bincount(self.key[flag], minlength=len(self.names))


def flags(threshold: object, rate: float, x: np.ndarray, keys: list[str]) -> tuple[np.ndarray, Detector]:
    """Flagged rows of (n,), and the detector after them."""
    detector = Detector("level", threshold, fields=["x"], rate=rate, engine="numba")
    return detector.step(x, keys).flag == 1, detector


def news(detector: Detector) -> list[str]:
    """What the threshold has to tell."""
    return detector.threshold.news(detector._view("threshold"))


def spread(values: np.ndarray) -> str:
    """Least, median and most."""
    return f"{values.min():.0f} / {np.median(values):.0f} / {values.max():.0f}"


def above_cap(traffic: Traffic, flagged: np.ndarray, threshold: Threshold) -> int:
    """Keys with more flags than `cap` and `burst` allow."""
    assert isinstance(threshold, Slices)
    return int((traffic.counts(flagged) > threshold._cap * traffic.volume + threshold.burst).sum())


def budget(traffic: Traffic) -> None:
    """Clean streams: the total, and who is heard."""
    lines, deciles = [], []
    n, order = len(traffic.x), np.argsort(traffic.volume, kind="stable")
    for rate in (0.01, 0.001):
        plain, _ = flags("tail", rate, traffic.x, traffic.texts)
        for cap in (0.0, 3.0 * rate):
            sliced, detector = flags(f"slices:cap={cap:g}", rate, traffic.x, traffic.texts)
            tenths = " ".join(f"{part.mean() / rate:.2f}" for part in np.array_split(sliced, 10))
            over = above_cap(traffic, sliced, detector.threshold)
            tally = detector.shared["threshold/tally"]
            shown = f"{detector.threshold._cap:g}"  # type: ignore[attr-defined]
            cells = [f"{rate:g}", shown, f"{plain.mean() / rate:.2f}", f"{sliced.mean() / rate:.2f}", tenths]
            lines.append([*cells, str(over), str(tally[3]), str(tally[6])])
            if cap == 0.0:
                for d, part in enumerate(np.array_split(order, 10)):
                    volume = traffic.volume[part]
                    own, each = traffic.counts(plain)[part], traffic.counts(sliced)[part]
                    cells = [f"{rate:g}", str(d + 1), f"{volume.min():,} to {volume.max():,}", spread(own)]
                    deciles.append([*cells, spread(each), str((own == 0).sum()), str((each == 0).sum())])
    header = ["rate", "cap", "tail x", "slices x", "by tenth of the stream", "keys above cap", "withheld", "holds"]
    table(f"Budget: {n:,} records, {len(traffic.names):,} keys", header, lines)
    header = ["rate", "tenth of the keys", "records", "tail: flags a key", "slices", "tail: keys without", "slices"]
    table("Flags of each key (least / median / most)", header, deciles)


def planted(traffic: Traffic) -> None:
    """Single records moved by a few units, one in 200, in every key: how many are flagged."""
    n, rng = len(traffic.x), np.random.default_rng(5)
    hit = rng.random(n) < 1 / 200
    order = np.argsort(traffic.volume, kind="stable")
    fifth = np.zeros(len(traffic.names), int)
    for f, part in enumerate(np.array_split(order, 5)):
        fifth[part] = f
    lines = []
    for rate in (0.01, 0.001):
        for size in (4.0, 8.0):
            x = traffic.x + np.where(hit, size * traffic.unit[traffic.key], 0.0)
            for name in ("tail", "slices"):
                flagged, _ = flags(name, rate, x, traffic.texts)
                shares = [flagged[hit & (fifth[traffic.key] == f)].mean() for f in range(5)]
                heard = len(np.unique(traffic.key[flagged & hit])), len(np.unique(traffic.key[hit]))
                cells = [f"{rate:g}", f"{size:g}", name, *[f"{share:.2f}" for share in shares]]
                lines.append([*cells, f"{heard[0]} of {heard[1]}", f"{flagged[~hit].mean() / rate:.2f}"])
    header = ["rate", "units", "threshold", "recall: smallest fifth of keys", "2", "3", "4", "largest", "keys heard"]
    table("Single records moved, one in 200", [*header, "x of the others"], lines)


def storm(traffic: Traffic) -> None:
    """In 5% of the keys half of the records are far off, for a tenth of the stream."""
    n, keys, rng = len(traffic.x), len(traffic.names), np.random.default_rng(2)
    stormy = rng.permutation(keys)[: keys // 20]
    hit = np.isin(traffic.key, stormy) & (np.arange(n) // (n // 10) == 5) & (rng.random(n) < 0.5)
    x = traffic.x + np.where(hit, 30.0 * traffic.unit[traffic.key], 0.0)
    others = ~np.isin(traffic.key, stormy)
    lines = []
    for rate in (0.01, 0.001):
        for name in ("tail", "slices"):
            calm, _ = flags(name, rate, traffic.x, traffic.texts)
            flagged, detector = flags(name, rate, x, traffic.texts)
            heard = len(np.unique(traffic.key[flagged & hit])), len(np.unique(traffic.key[hit]))
            same = int((calm != flagged)[others].sum())
            over = "" if name == "tail" else str(above_cap(traffic, flagged, detector.threshold))
            cells = [f"{rate:g}", name, f"{hit.sum():,}", f"{(flagged & hit).sum():,}", f"{heard[0]} of {heard[1]}"]
            lines.append([*cells, f"{flagged[others].sum():,}", str(same), over, "; ".join(news(detector))])
    header = ["rate", "threshold", "hit", "of these flagged", "keys heard", "flags elsewhere", "changed there"]
    table("A storm in 5% of the keys", [*header, "keys above cap", "news"], lines)


def broken(traffic: Traffic) -> None:
    """The child's scores wrong by some decades, for a twentieth of the stream and for the second half of it."""
    n, texts = len(traffic.x), traffic.texts
    for rate in (0.01, 0.001):
        lines = []
        for decades, until in ((2.0, 0.55), (2.0, 1.0), (-3.0, 0.55)):
            child = Faulty()
            detector = Detector("level", Slices(of=child), fields=["x"], rate=rate, engine="numba")
            shares, told = [], []
            for a, b in pairwise(np.linspace(0, n, 101).astype(int).tolist()):
                child.decades = decades if n // 2 <= a < until * n else 0.0
                flag = detector.step(traffic.x[a:b], texts[a:b]).flag == 1
                shares.append(flag.mean() / rate)
                told += [text for text in news(detector) if text not in told and "withheld" not in text]
            tenths = " ".join(f"{share:.1f}" for share in np.reshape(shares, (20, 5)).mean(axis=1)[9:])
            first = " ".join(f"{share:.1f}" for share in shares[50:60])
            lines.append([f"{decades:+g}", f"50% to {until:.0%}", tenths, first, "; ".join(told)])
        header = ["decades", "of the stream", "x, by twentieth from 45%", "x, by hundredth from 50%", "news"]
        table(f"A broken calibration, rate {rate:g}", header, lines)


def newcomers(traffic: Traffic) -> None:
    """As many new keys again, all at once, with half of the traffic."""
    n = len(traffic.x) // 2
    second = Traffic(n // 2, len(traffic.names), first=len(traffic.names), seed=3)
    lines = []
    for rate in (0.01, 0.001):
        mixed = np.random.default_rng(4).random(n) < 0.5
        x, texts = traffic.x[: n + n // 2].copy(), traffic.texts[: n + n // 2]
        at = n // 2 + np.flatnonzero(mixed)[: len(second.x)]
        x[at] = second.x[: len(at)]
        for i, text in zip(at.tolist(), second.texts, strict=False):
            texts[i] = text
        flagged, detector = flags("slices", rate, x, texts)
        parts = " ".join(f"{part.mean() / rate:.2f}" for part in np.array_split(flagged, 15))
        lines.append([f"{rate:g}", parts, "; ".join(news(detector))])
    table("As many new keys, from a third on", ["rate", "x, by fifteenth", "news"], lines)


def cost(traffic: Traffic) -> None:
    """Microseconds a record, all keys in turn."""
    lines = []
    for engine, count in (("numba", len(traffic.x)), ("python", 50_000)):
        cells = []
        for name in ("tail", "slices"):
            threshold = Detector("level", name, fields=["x"], engine=engine)  # type: ignore[arg-type]
            threshold.step(traffic.x[:8192], traffic.texts[:8192])
            texts = traffic.texts[:count]
            start = time.process_time()
            threshold.step(traffic.x[:count], texts)
            cells.append((time.process_time() - start) / count * 1e6)
        lines.append([engine, *[f"{cell:.2f}" for cell in cells], f"{cells[1] - cells[0]:.2f}"])
    table("Cost, level and threshold through the detector [us a record]", ["engine", "tail", "slices", "more"], lines)


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument("--keys", type=int, default=1000)
    parser.add_argument("--only", default="", help="one of budget, planted, storm, broken, newcomers, cost")
    arguments = parser.parse_args()
    traffic = Traffic(arguments.records, arguments.keys)
    for part in (budget, planted, storm, broken, newcomers, cost):
        if arguments.only in ("", part.__name__):
            part(traffic)


if __name__ == "__main__":
    main()
