"""Do thresholds keep their word? Flag rates, gross outliers, fresh and discrete streams, a table each.

    python benchmarks/thresholds.py [--threshold tail,conformal] [--estimator level] [--fields 1] [--only rates]

Everything is seeded. "x" is the achieved share of flagged records over the asked-for. The estimator's
raw scores are kept on disk, so that only the first run waits for them.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product

import noise
import numpy as np
from common import table

from clipdetect import Detector, registry
from clipdetect.components import Estimator

RATES = (1e-2, 1e-3, 1e-4)
THRESHOLDS = "tail,quantile,spot,spliced,conformal,confidence,slices"
SKEWED = ("Gaussian", "Laplace", "t(3)", "lognormal", "gamma(2)")
LABELLED = ("logistic",)  # estimators that learn from labels, here of one record in a hundred, at random
FRESH, YOUNG = 1000, 500  # streams, and records of each


def raw_of(X: np.ndarray, estimator: str) -> tuple[np.ndarray, str, bool]:
    """Raw scores of an estimator, their kind, and whether they are steady."""
    label = np.random.default_rng(7).random(len(X)) < 0.01 if estimator.split(":")[0] in LABELLED else None
    made = registry.build("estimator", estimator)
    assert isinstance(made, Estimator)
    raw = noise.raw(X, estimator, None if label is None else label.astype(float))
    return raw, made.raw_kind, made.steady


def rate_cell(job: tuple[str, str, int, int, str, str]) -> list[float]:
    """Achieved over asked-for share at each of RATES; NaN where the rate is refused."""
    threshold, estimator, fields, n, family, drift = job
    made = [noise.stream(family, drift, n, 11 + 100 * j) for j in range(fields)]
    X = np.column_stack([x for x, _ in made])
    raw, *kind = raw_of(X, estimator)
    counted, found = made[0][1], []
    for rate in RATES:
        try:
            flag = noise.judged(raw, threshold, rate, *kind)[1]
        except ValueError:
            found.append(np.nan)
            continue
        found.append(float((flag[counted] == 1).mean() / rate))
    return found


def shown(x: float) -> str:
    """A factor in few digits; refused where there is none."""
    return "refused" if np.isnan(x) else f"{x:.2f}"


class Bench:
    """What is measured, on how many records and processes."""

    def __init__(self, thresholds: Sequence[str], estimators: Sequence[str], fields: int, n: int) -> None:
        self.thresholds, self.estimators, self.fields, self.n = thresholds, estimators, fields, n

    def rates(self) -> None:
        """Every family and drift at three rates."""
        cells = list(product(noise.FAMILIES, noise.DRIFTS))
        summary = []
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            for estimator, threshold in product(self.estimators, self.thresholds):
                jobs = [(threshold, estimator, self.fields, self.n, *cell) for cell in cells]
                found = dict(zip(cells, pool.map(rate_cell, jobs), strict=True))
                lines = [
                    [family, *[" ".join(shown(x) for x in found[family, drift]) for drift in noise.DRIFTS]]
                    for family in noise.FAMILIES
                ]
                title = (
                    f"`{threshold}` on `{estimator}`, {self.fields} field(s), {self.n:,} records: x at 1e-2 1e-3 1e-4"
                )
                table(title, ["family", *noise.DRIFTS], lines)
                summary.append([f"`{threshold}`", f"`{estimator}`", *self._ranges(found)])
        header = ["threshold", "estimator", *[f"{rate:g} x: least, median, most" for rate in RATES], "uniform, most"]
        table("Flagged over asked-for share, all families and drifts", header, summary)

    @staticmethod
    def _ranges(found: dict[tuple[str, str], list[float]]) -> list[str]:
        """Least, median and largest factor at each rate but of the uniform; and the uniform's largest."""
        lines = []
        for at in range(len(RATES)):
            own = [x[at] for (family, _), x in found.items() if family != "uniform"]
            lines.append("refused" if np.isnan(own).all() else f"{min(own):.2f} {np.median(own):.2f} {max(own):.2f}")
        bounded = [x[:2] for (family, _), x in found.items() if family == "uniform"]
        most = np.array(bounded).ravel()
        return [*lines, "refused" if np.isnan(most).all() else f"{np.nanmax(most):.2f}"]

    def outliers(self) -> None:
        """1% and 5% gross outliers at 30 units from the first record on."""
        n = self.n
        for threshold in self.thresholds:
            lines = []
            for family in SKEWED:
                row = [family]
                for share, side in product((0.01, 0.05), noise.SIDES):
                    x, bad = noise.corrupted(family, share, side, n)
                    raw, *kind = raw_of(x, self.estimators[0])
                    flagged = noise.judged(raw, threshold, 1e-3, *kind)[1][500:] == 1
                    late = bad[500:]
                    row.append(f"{100 * flagged[late].mean():.1f}% {flagged[~late].mean() / 1e-3:.2f}")
                lines.append(row)
            header = ["family", *[f"{100 * share:.0f}% {side}" for share, side in product((0.01, 0.05), noise.SIDES)]]
            table(
                f"`{threshold}`: recall of outliers at 30 units, and the rest over 1e-3, {n:,} records", header, lines
            )

    def start(self) -> None:
        """Flags in the first 500 records of fresh streams."""
        keys = np.repeat(np.arange(FRESH), YOUNG)
        for threshold in self.thresholds:
            lines = []
            for name in [*noise.FAMILIES, *noise.DISCRETE]:
                family = {**noise.FAMILIES, **noise.DISCRETE}[name]
                x = np.concatenate([family(np.random.default_rng([i, 5]), YOUNG) for i in range(FRESH)])
                detector = Detector(self.estimators[0], threshold, fields=["x"], rate=1e-3, engine="numba")
                flag = detector.step(x[:, None], [f"k{i}" for i in keys.tolist()]).flag
                counts = (flag == 1).reshape(FRESH, YOUNG).sum(axis=1)
                lines.append([name, f"{counts.mean():.3f}", f"{np.percentile(counts, 99):.0f}", str(counts.max())])
            title = f"`{threshold}`: flags in the first {YOUNG} records of {FRESH:,} fresh streams at 1e-3"
            table(title, ["family", "mean", "99%", "most"], lines)

    def discrete(self) -> None:
        """Counts, constants, zeros: flags over the asked-for share, and the most in any 500 records."""
        n = min(self.n, 200_000)
        for threshold in self.thresholds:
            lines = []
            for name, family in noise.DISCRETE.items():
                row = [name]
                for estimator in self.estimators:
                    X = np.column_stack([family(np.random.default_rng([16, j]), n) for j in range(self.fields)])
                    raw, *kind = raw_of(X, estimator)
                    flag = noise.judged(raw, threshold, 1e-3, *kind)[1] == 1
                    most = flag[: n // 500 * 500].reshape(-1, 500).sum(axis=1).max()
                    row.append(f"{flag.mean() / 1e-3:.2f} {most}")
                lines.append(row)
            title = f"`{threshold}`, discrete streams, {n:,} records: x of 1e-3, and the most in any 500"
            table(title, ["family", *self.estimators], lines)

    def shift(self) -> None:
        """A level shift of 50 units: the last flag it causes, over 200 streams."""
        for threshold in self.thresholds:
            last = []
            for seed in range(200):
                x = np.random.default_rng(seed).normal(size=3000)
                x[2000:] += 50.0
                raw, *kind = raw_of(x, self.estimators[0])
                flagged = np.flatnonzero(noise.judged(raw, threshold, 1e-3, *kind)[1][2000:2300] == 1)
                gaps = np.flatnonzero(np.diff(flagged) > 20)  # a later flag on its own is a false one
                last.append((flagged[gaps[0]] if len(gaps) else flagged[-1]) + 1 if len(flagged) else 0)
            print(
                f"\n`{threshold}`, a level shift of 50: flags stop after {np.median(last):.0f} records (median), "
                f"{np.max(last)} at most (of 200 streams)"
            )

    def units(self) -> None:
        """The same flags in other units."""
        n = min(self.n, 50_000)
        for threshold in self.thresholds:
            lines = []
            for family in noise.FAMILIES:
                x, _ = noise.stream(family, "stationary", n)
                flags = [
                    noise.judged(*_swapped(raw_of(y, self.estimators[0]), threshold))[1]
                    for y in (x, x * 1e6, x * 1e-6, x + 1e6, -x)
                ]
                lines.append([family, str((flags[0] == 1).sum()), *[str((f != flags[0]).sum()) for f in flags[1:]]])
            header = ["family", "flags", "x * 1e6", "x * 1e-6", "x + 1e6", "-x"]
            table(f"`{threshold}`: flags that differ, {n:,} records", header, lines)


def _swapped(raw: tuple[np.ndarray, str, bool], threshold: str) -> tuple[np.ndarray, str, float, str, bool]:
    return raw[0], threshold, 1e-3, raw[1], raw[2]


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--threshold", default=THRESHOLDS, help="names with commas")
    parser.add_argument("--estimator", default="level", help="names with commas; the first where one is measured")
    parser.add_argument("--fields", type=int, default=1)
    parser.add_argument("--only", default="", help="some of rates, outliers, start, discrete, shift, units")
    asked = parser.parse_args()
    bench = Bench(asked.threshold.split(","), asked.estimator.split(","), asked.fields, asked.records)
    parts: dict[str, Callable[[], None]] = {
        "rates": bench.rates,
        "outliers": bench.outliers,
        "start": bench.start,
        "discrete": bench.discrete,
        "shift": bench.shift,
        "units": bench.units,
    }
    for name, part in parts.items():
        if not asked.only or name in asked.only.split(","):
            part()


if __name__ == "__main__":
    main()
