"""Change-point detectors: false alarms, delay and cost, on streams whose changes are known.

    python benchmarks/changepoints.py [--streams 500] [--quick]

Everything is seeded and runs compiled. A scale unit is median |x - median| / .6745 of the family, sigma its
standard deviation; for t(2.1) and Pareto(2.1) these are 4 and 10 times apart. About 7 minutes,
5 of CPU.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from common import table

from clipdetect.changepoints.clipped_mean import ClippedMean
from clipdetect.changepoints.focus import Focus
from clipdetect.components import ChangePointDetector, Params, Rows
from clipdetect.jit import Engine

RECORDS = 10_000
DELTA = 0.05
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


@dataclass(frozen=True)
class Family:
    """A distribution with its mean and standard deviation; diameter of the known set of means in sigma."""

    draw: Draw
    mean: float
    sigma: float
    diameter: float = 12.0

    def unit(self) -> float:
        """The scale unit, from a million draws."""
        x = self.draw(np.random.default_rng(0), (1_000_000,))
        return float(np.median(np.abs(x - np.median(x))) / 0.6745)

    def theorem(self, constants: str, d: int = 1) -> ClippedMean:
        """The detector with the true sigma of d fields, a diameter and the true middle of the set of means."""
        sigma = self.sigma * math.sqrt(d)
        return ClippedMean(DELTA, constants, sigma, self.diameter * sigma, self.mean)  # type: ignore[arg-type]


FAMILIES = {
    "normal": Family(lambda rng, size: rng.normal(size=size), 0.0, 1.0),
    "t(2.1)": Family(lambda rng, size: rng.standard_t(2.1, size), 0.0, math.sqrt(21.0)),
    "Pareto(2.1)": Family(lambda rng, size: 1.0 + rng.pareto(2.1, size), 2.1 / 1.1, math.sqrt(2.1 / 0.121)),
    "Bernoulli(.5)": Family(lambda rng, size: (rng.random(size) < 0.5) * 1.0, 0.5, 0.5, 2.0),
}


def run(detector: ChangePointDetector, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """changed, since (n, streams) of X (n, streams, d), each stream a key of its own."""
    n, streams, d = X.shape
    detector.bind([f"f{j}" for j in range(d)], Params(engine=Engine("numba")))
    state = {name: np.zeros((streams, *shape), dtype) for name, (shape, dtype) in detector.state_spec(d).items()}
    rows = n * streams
    nothing = np.full(rows, np.nan)
    block = Rows(
        np.ascontiguousarray(X.reshape(rows, d)), nothing, nothing.copy(), np.ones(rows, bool), np.zeros(rows, bool)
    )
    changed, since = detector.step(state, np.tile(np.arange(streams), n), block)
    return changed.reshape(n, streams), since.reshape(n, streams)


def alarmed(make: Callable[[], ChangePointDetector], family: Family, streams: int, d: int) -> float:
    """Share of stationary streams with an alarm."""
    found, batch = 0, max(1, min(streams, 100 // d))
    for at in range(0, streams, batch):
        X = family.draw(np.random.default_rng([1, d, at]), (RECORDS, min(batch, streams - at), d))
        found += int(run(make(), X)[0].any(axis=0).sum())
    return found / streams


def false_alarms(streams: int, several: int) -> dict[str, tuple[float, float]]:
    """Prints the shares; returns those of `calibrated` and of `focus` at one field, by family."""
    lines, shares = [], {}
    for name, family in FAMILIES.items():
        for d, many in ((1, streams), (32, several)):
            found = [
                alarmed(make, family, many, d)
                for make in (
                    ClippedMean,
                    lambda family=family, d=d: family.theorem("guaranteed", d),
                    lambda family=family, d=d: family.theorem("printed", d),
                    Focus,
                )
            ]
            lines.append([name, str(d), str(many), *[f"{share:.3f}" for share in found]])
            if d == 1:
                shares[name] = (found[0], found[3])
    table(
        f"Share of stationary streams of {RECORDS} records with an alarm, delta = {DELTA}",
        ["family", "fields", "streams", "calibrated", "guaranteed", "printed", "focus"],
        lines,
    )
    return shares


def autoregressive(rho: float) -> Draw:
    """AR(1) with standard normal innovations."""

    def draw(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
        x = rng.normal(size=size)
        for i in range(1, len(x)):
            x[i] += rho * x[i - 1]
        return x

    return draw


def isotropic(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    """Vectors of uniform direction whose length is Pareto(2.01): the fields are large together."""
    x = rng.normal(size=size)
    return x / np.linalg.norm(x, axis=2, keepdims=True) * (1.0 + rng.pareto(2.01, (*size[:2], 1)))


def correlated(rng: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    """Normal fields, .8 of whose variance is common."""
    return math.sqrt(0.8) * rng.normal(size=(*size[:2], 1)) + math.sqrt(0.2) * rng.normal(size=size)


OTHERS: dict[str, tuple[Draw, int]] = {
    "exponential": (lambda rng, size: rng.exponential(size=size), 1),
    "lognormal": (lambda rng, size: rng.lognormal(size=size), 1),
    "Poisson(.3)": (lambda rng, size: rng.poisson(0.3, size) * 1.0, 1),
    "95% zeros, else exponential": (lambda rng, size: (rng.random(size) < 0.05) * rng.exponential(size=size), 1),
    "AR(1) .5": (autoregressive(0.5), 1),
    "AR(1) .9": (autoregressive(0.9), 1),
    "correlated normal": (correlated, 8),
    "isotropic Pareto(2.01)": (isotropic, 32),
}


def other_false_alarms(streams: int) -> None:
    """Shares on noise that no constant was set on."""
    lines = []
    for name, (draw, d) in OTHERS.items():
        many = streams if d == 1 else max(10, streams // 4)
        found = [alarmed(make, Family(draw, 0.0, 1.0), many, d) for make in (ClippedMean, Focus)]
        lines.append([name, str(d), str(many), *[f"{share:.3f}" for share in found]])
    table("The same on noise that no constant was set on", ["noise", "fields", "streams", "calibrated", "focus"], lines)


def delays(
    make: Callable[[], ChangePointDetector], family: Family, before: int, shift: float, streams: int, after: int
) -> str:
    """Median delay [10%, 90%] in records, share found at all, share alarmed too early, error of the place."""
    rng = np.random.default_rng([2, before])
    X = family.draw(rng, (before + after, streams, 1))
    if family is FAMILIES["Bernoulli(.5)"]:
        X[before:] = rng.random((after, streams, 1)) < 0.5 + shift
    else:
        X[before:] += shift
    changed, since = run(make(), X)
    early = changed[:before].any(axis=0)
    late = changed[before:]
    found = late.any(axis=0) & ~early
    if not found.any():
        return f"none of {streams} within {after}"
    delay = late.argmax(axis=0)[found] + 1
    off = np.abs(delay - 1 - since[before:][late.argmax(axis=0), np.arange(streams)][found])
    low, middle, high = np.quantile(delay, (0.1, 0.5, 0.9))
    place = f"place off {np.median(off):.0f}"
    kept = f"{found.sum() / max(1, (~early).sum()):.0%} found, {early.mean():.1%} early"
    return f"{middle:.0f} [{low:.0f}, {high:.0f}], {place}, {kept}"


def shifts(name: str, family: Family, unit: float) -> list[tuple[str, float]]:
    """Changes to try, as text and in the data's units."""
    if name == "Bernoulli(.5)":
        return [(f"p = {p}", p - 0.5) for p in (0.7, 0.85, 0.95)]
    found = [(f"{size} scale = {size * unit / family.sigma:.2f} sigma", size * unit) for size in (1, 2, 3)]
    if unit < 0.9 * family.sigma:
        found.append((f"1 sigma = {family.sigma / unit:.1f} scale", family.sigma))
    return found


def all_delays(shares: dict[str, tuple[float, float]], streams: int, few: int) -> None:
    """Delay of `calibrated` and `focus` after 1,000 records, and of `guaranteed` after 50,000."""
    lines, slow = [], []
    for name, family in FAMILIES.items():
        ours, theirs = (-math.log1p(-max(share, 0.002)) for share in shares[name])
        tuned = -math.expm1(math.log1p(-DELTA) * ours / theirs)  # focus alarms as often as calibrated does
        for text, shift in shifts(name, family, family.unit()):
            line = [name, text, delays(ClippedMean, family, 1000, shift, streams, 2000)]
            lines.append([*line, delays(lambda tuned=tuned: Focus(tuned), family, 1000, shift, streams, 2000)])
            slow.append(
                [name, text, delays(lambda f=family: f.theorem("guaranteed"), family, 50_000, shift, few, 150_000)]
            )
    table("Delay in records, change after 1,000 records", ["family", "change", "calibrated", "focus, as often"], lines)
    table("Delay in records, change after 50,000 records", ["family", "change", "guaranteed"], slow)


def cost() -> None:
    """Microseconds of CPU a record, around record 1,000 and record 100,000 of one key."""
    lines = []
    for name, make in (
        ("clipped_mean", lambda: ClippedMean(1e-12)),
        ("clipped_mean, guaranteed", lambda: ClippedMean(1e-12, "guaranteed", 1.0, 12.0, 0.0)),
        ("focus", lambda: Focus(1e-12)),
    ):
        for d in (1, 8, 32):
            line = [name, str(d)]
            for engine in ("numba", "python"):
                for at, n in ((1_000, 2_000), (100_000, 20_000)):
                    line.append(f"{each(make(), d, at, n if engine == 'numba' else 200, engine):.2f}")
            lines.append(line)
    header = ["detector", "fields", "compiled, 1e3", "compiled, 1e5", "interpreted, 1e3", "interpreted, 1e5"]
    table("Cost, us of CPU a record", header, lines)


def each(detector: ChangePointDetector, d: int, at: int, n: int, engine: str) -> float:
    """Microseconds a record for n records of one key that has seen `at`; the best of five."""
    rng = np.random.default_rng(3)

    def feed(count: int) -> float:
        nothing = np.full(count, np.nan)
        rows = Rows(rng.normal(size=(count, d)), nothing, nothing.copy(), np.ones(count, bool), np.zeros(count, bool))
        start = time.process_time()
        detector.step(state, np.zeros(count, np.int64), rows)
        return time.process_time() - start

    detector.bind([f"f{j}" for j in range(d)], Params(engine=Engine("numba")))
    state = {name: np.zeros((1, *shape), dtype) for name, (shape, dtype) in detector.state_spec(d).items()}
    feed(at)
    detector.params = Params(engine=Engine(engine))  # type: ignore[arg-type]
    return 1e6 * min(feed(n) for _ in range(5)) / n


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--quick", action="store_true", help="a tenth of the streams")
    arguments = parser.parse_args()
    streams = max(10, arguments.streams // (10 if arguments.quick else 1))
    shares = false_alarms(streams, max(10, streams // 5))
    other_false_alarms(max(10, 2 * streams // 5))
    all_delays(shares, max(10, 2 * streams // 5), 5)
    cost()


if __name__ == "__main__":
    main()
