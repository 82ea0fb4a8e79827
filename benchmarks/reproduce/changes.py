"""False alarms, delay and cost of change-point detectors, on streams whose changes are known."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clipdetect.changepoints.clipped_mean import ClippedMean
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
    kept = f"{found.sum() / max(1, (~early).sum()):.0%} found"
    return f"{middle:.0f} [{low:.0f}, {high:.0f}], {place}, {kept}"


def shifts(name: str, family: Family, unit: float) -> list[tuple[str, float]]:
    """Changes to try, as text and in the data's units."""
    if name == "Bernoulli(.5)":
        return [(f"p = {p}", p - 0.5) for p in (0.7, 0.85, 0.95)]
    found = [(f"{size} scale = {size * unit / family.sigma:.2f} sigma", size * unit) for size in (1, 2, 3)]
    if unit < 0.9 * family.sigma:
        found.append((f"1 sigma = {family.sigma / unit:.1f} scale", family.sigma))
    return found


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
