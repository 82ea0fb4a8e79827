"""Streams whose mean is to be followed: heavy tails, corruption and drift in any mixture, the truth beside them.

The unit of every length (errors, jumps, steps, distances of corruption) is the scale of the noise,
median ||noise|| / .6745: one standard deviation where the noise is Gaussian and has one dimension. The
length of a vector is measured whole, so a figure means the same in any number of dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CLEAN = 10  # records at the start that are never corrupted, so that every method starts from data


@dataclass(frozen=True)
class Stream:
    """Records and what lies behind them.

    X : (n, d) what is observed. truth : (n, d) the mean of the distribution that each record was drawn from.
    scale : the unit, in units of X. jumps : records at which the truth jumps.
    """

    X: np.ndarray
    truth: np.ndarray
    scale: float
    jumps: tuple[int, ...]


@dataclass(frozen=True)
class Drift:
    """Jumps of `jump` scales in random directions, evenly spaced, and a walk of `walk` scales a record."""

    jumps: int = 0
    jump: float = 0.0
    walk: float = 0.0


DRIFTS = {
    "none": Drift(),
    "jump 5": Drift(jumps=4, jump=5.0),
    "jump 50": Drift(jumps=4, jump=50.0),
    "walk .01": Drift(walk=0.01),
    "walk .03": Drift(walk=0.03),
}


def directions(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    """(n, d) unit vectors, uniform on the sphere; signs where d is 1."""
    vectors = rng.normal(size=(n, d))
    return vectors / np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))


def noise(rng: np.random.Generator, law: str, n: int, d: int) -> np.ndarray:
    """(n, d) of mean zero and finite variance: `t` with 2.1 degrees of freedom, `pareto` of shape 2.1, or `normal`.

    The t is the multivariate one. The Pareto law is skewed in one dimension, centred at its mean; in
    more it is that of the length of vectors in random directions.
    """
    if law == "normal":
        return rng.normal(size=(n, d))
    if law == "t":
        return rng.normal(size=(n, d)) / np.sqrt(rng.chisquare(2.1, size=(n, 1)) / 2.1)
    if law == "pareto":
        length = (1.0 - rng.random((n, 1))) ** (-1.0 / 2.1)
        return length - 2.1 / 1.1 if d == 1 else length * directions(rng, n, d)
    raise ValueError(f"noise must be normal, t or pareto, got {law!r}")


def stream(
    seed: int,
    law: str = "t",
    d: int = 1,
    corrupt: float = 0.05,
    distance: float = 30.0,
    drift: Drift = DRIFTS["none"],
    n: int = 20_000,
) -> Stream:
    """A stream by its seed. Corrupted records lie at one point, `distance` scales from the truth of their moment."""
    rng = np.random.default_rng(seed)
    off = noise(rng, law, n, d)
    scale = float(np.median(np.sqrt((off * off).sum(axis=1))) / 0.6745)
    truth = np.zeros((n, d))
    jumps = tuple(n * (i + 1) // (drift.jumps + 1) for i in range(drift.jumps))
    for at, direction in zip(jumps, directions(rng, len(jumps), d), strict=True):
        truth[at:] += drift.jump * scale * direction
    if drift.walk:
        truth += np.cumsum(rng.normal(size=(n, d)), axis=0) * (drift.walk * scale / np.sqrt(d))
    X = truth + off
    bad = rng.random(n) < corrupt
    bad[:CLEAN] = False
    where = np.ones(1) if d == 1 else directions(rng, 1, d)[0]
    X[bad] = truth[bad] + distance * scale * where
    return Stream(X, truth, scale, jumps)
