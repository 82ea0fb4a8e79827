"""Does the default keep its word? Flag rates, recall, start-up and discrete streams, in one table each.

    python benchmarks/calibration.py [--records 200000] [--estimator level] [--threshold tail] [--fields 1]

Everything is seeded. "x" is the achieved share of flagged records over the asked-for.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

import numpy as np
from common import table

from clipdetect import Detector

Family = Callable[[np.random.Generator, int], np.ndarray]


def ar(rng: np.random.Generator, n: int) -> np.ndarray:
    """AR(1) with coefficient .9, unit innovations."""
    noise = rng.normal(size=n)
    for i in range(1, n):
        noise[i] += 0.9 * noise[i - 1]
    return noise


FAMILIES: dict[str, Family] = {
    "Gaussian": lambda rng, n: rng.normal(size=n),
    "Laplace": lambda rng, n: rng.laplace(size=n),
    "t(2.1)": lambda rng, n: rng.standard_t(2.1, n),
    "t(3)": lambda rng, n: rng.standard_t(3, n),
    "lognormal": lambda rng, n: rng.lognormal(size=n),
    "gamma(2)": lambda rng, n: rng.gamma(2, size=n),
    "AR(1) .9": ar,
}
DISCRETE: dict[str, Family] = {
    "constant": lambda rng, n: np.full(n, 7.0),
    "two values": lambda rng, n: rng.integers(0, 2, n) * 1.0,
    "95% zeros": lambda rng, n: np.where(rng.random(n) < 0.95, 0.0, rng.exponential(size=n)),
    "Poisson .3": lambda rng, n: rng.poisson(0.3, n) * 1.0,
    "Poisson 3": lambda rng, n: rng.poisson(3, n) * 1.0,
    "Poisson 300": lambda rng, n: rng.poisson(300, n) * 1.0,
    "rounded normal": lambda rng, n: np.round(rng.normal(size=n), 1),
    "geometric": lambda rng, n: rng.geometric(0.3, n) * 1.0,
}


def unit(x: np.ndarray) -> float:
    """Median absolute deviation as a standard deviation."""
    return float(np.median(np.abs(x - np.median(x))) / 0.6745)


class Bench:
    """The components under test and the number of fields, each a stream of its own family."""

    def __init__(self, estimator: str, threshold: str, fields: int) -> None:
        self.estimator, self.threshold, self.fields = estimator, threshold, fields

    def flags(self, x: np.ndarray, rate: float, keys: list[str] | None = None) -> np.ndarray:
        """Flagged rows of (n,) or (n, d)."""
        X = x if x.ndim == 2 else x[:, None]
        names = [f"f{j}" for j in range(X.shape[1])]
        detector = Detector(self.estimator, self.threshold, fields=names, rate=rate, engine="numba")
        return detector.step(X, keys).flag == 1

    def sample(self, family: Family, seed: int, n: int) -> np.ndarray:
        """(n, fields) of independent streams."""
        rng = np.random.default_rng(seed)
        return np.column_stack([family(rng, n) for _ in range(self.fields)])

    def rates(self, n: int) -> None:
        """Clean streams, stationary and with a slow random walk."""
        lines = []
        for name, family in FAMILIES.items():
            cells = []
            for walk in (0.0, 0.02):
                x = self.sample(family, 11, n)
                x = x + walk * unit(x[:, 0]) * np.cumsum(np.random.default_rng(5).normal(size=x.shape), axis=0)
                cells += [f"{self.flags(x, rate).mean() / rate:.2f}" for rate in (0.01, 0.001)]
            lines.append([name, *cells])
        header = ["family", "stationary 1e-2 x", "1e-3 x", "walk 1e-2 x", "1e-3 x"]
        table(f"Flagged share over asked-for, {n:,} records", header, lines)

    def outliers(self, n: int) -> None:
        """5% gross outliers at 30 units from the first record on; spikes of 12 sigma."""
        lines = []
        for name in ("Gaussian", "Laplace", "t(3)", "gamma(2)", "lognormal"):
            cells = []
            for side in ("+", "-", "both"):
                x = self.sample(FAMILIES[name], 12, n)
                rng = np.random.default_rng(13)
                bad = rng.random(n) < 0.05
                sign = {"+": 1.0, "-": -1.0, "both": np.where(rng.random(n) < 0.5, 1.0, -1.0)[bad]}[side]
                x[bad, 0] += 30 * unit(x[:, 0]) * sign
                flagged = self.flags(x, 0.001)[500:]
                late = bad[500:]
                cells += [f"{flagged[late].mean():.4f}", f"{flagged[~late].mean() / 0.001:.2f}"]
            lines.append([name, *cells])
        table(
            "5% at 30 units: recall after 500 records, and the rest over 1e-3",
            ["family", "+: recall", "rest x", "-: recall", "rest x", "both: recall", "rest x"],
            lines,
        )
        x = self.sample(FAMILIES["Gaussian"], 14, n)
        rng = np.random.default_rng(15)
        bad = rng.random(n) < 0.001
        x[bad, 0] += 12.0 * np.where(rng.random(n) < 0.5, 1.0, -1.0)[bad]
        flagged = self.flags(x, 0.001)
        print(
            f"\n12-sigma spikes, 0.1%, Gaussian: recall {flagged[bad].mean():.4f} of {bad.sum()}, "
            f"rest {flagged[~bad].mean() / 0.001:.2f} x"
        )

    def shift(self) -> None:
        """A level shift of 50 units: the last flag it causes, over 200 streams."""
        last = []
        for seed in range(200):
            x = self.sample(FAMILIES["Gaussian"], seed, 3000)
            x[2000:] += 50.0
            flagged = np.flatnonzero(self.flags(x, 0.001)[2000:2300])
            gaps = np.flatnonzero(np.diff(flagged) > 20)  # a later flag on its own is a false one
            last.append((flagged[gaps[0]] if len(gaps) else flagged[-1]) + 1 if len(flagged) else 0)
        print(
            f"\nLevel shift of 50: flags stop after {np.median(last):.0f} records (median), "
            f"{np.max(last)} at most (of 200 streams)"
        )

    def start(self, streams: int) -> None:
        """Flags in the first 500 records of fresh streams, and storms on discrete data."""
        lines = []
        for name, family in {**FAMILIES, **DISCRETE}.items():
            X = np.concatenate([self.sample(family, 1000 + i, 500) for i in range(streams)])
            keys = np.repeat([f"k{i}" for i in range(streams)], 500).tolist()
            counts = self.flags(X, 0.001, keys).reshape(streams, 500).sum(axis=1)
            lines.append([name, f"{counts.mean():.3f}", f"{np.percentile(counts, 99):.0f}", str(counts.max())])
        table(f"Flags in the first 500 records of {streams:,} fresh streams", ["family", "mean", "99%", "most"], lines)

    def discrete(self, n: int) -> None:
        """Counts, constants, zeros: flags per 500 records."""
        lines = []
        for name, family in DISCRETE.items():
            flagged = self.flags(self.sample(family, 16, n), 0.001)
            blocks = flagged[: n // 500 * 500].reshape(-1, 500).sum(axis=1)
            lines.append([name, f"{flagged.mean() / 0.001:.2f}", str(blocks.max())])
        table(f"Discrete streams, {n:,} records", ["family", "x of 1e-3", "most in any 500"], lines)

    def units(self, n: int) -> None:
        """The same flags in other units."""
        lines = []
        for name, family in FAMILIES.items():
            x = self.sample(family, 17, n)
            plain = self.flags(x, 0.001)
            cells = [str((self.flags(y, 0.001) != plain).sum()) for y in (x * 1e6, x * 1e-6, x + 1e6, -x)]
            lines.append([name, str(plain.sum()), *cells])
        table(f"Flags that differ, {n:,} records", ["family", "flags", "x * 1e6", "x * 1e-6", "x + 1e6", "-x"], lines)


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--streams", type=int, default=1000)
    parser.add_argument("--estimator", default="level")
    parser.add_argument("--threshold", default="tail")
    parser.add_argument("--fields", type=int, default=1)
    parser.add_argument("--only", default="", help="one of rates, outliers, shift, start, discrete, units")
    arguments = parser.parse_args()
    bench = Bench(arguments.estimator, arguments.threshold, arguments.fields)
    parts: dict[str, Callable[[], None]] = {
        "rates": lambda: bench.rates(arguments.records),
        "outliers": lambda: bench.outliers(arguments.records),
        "shift": bench.shift,
        "start": lambda: bench.start(arguments.streams),
        "discrete": lambda: bench.discrete(arguments.records),
        "units": lambda: bench.units(arguments.records // 4),
    }
    for name, part in parts.items():
        if arguments.only in ("", name):
            part()
            sys.stdout.flush()


if __name__ == "__main__":
    main()
