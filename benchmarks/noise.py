"""Noise families, drifts and gross outliers, and what an estimator makes of them, kept on disk for the next run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import FOLDER

import clipdetect
from clipdetect import Detector

Family = Callable[[np.random.Generator, int], np.ndarray]


def ar(rng: np.random.Generator, n: int, rho: float = 0.9) -> np.ndarray:
    """AR(1) with unit innovations."""
    from scipy.signal import lfilter

    return np.asarray(lfilter([1.0], [1.0, -rho], rng.normal(size=n)))


FAMILIES: dict[str, Family] = {
    "Gaussian": lambda rng, n: rng.normal(size=n),
    "Laplace": lambda rng, n: rng.laplace(size=n),
    "t(2.1)": lambda rng, n: rng.standard_t(2.1, n),
    "t(3)": lambda rng, n: rng.standard_t(3, n),
    "lognormal": lambda rng, n: rng.lognormal(size=n),
    "gamma(2)": lambda rng, n: rng.gamma(2, size=n),
    "AR(1) .9": ar,
    "uniform": lambda rng, n: rng.random(n),
}
DRIFTS = ("stationary", "walk", "scale", "shifts")
SHIFT_EVERY = 20_000  # records
SHIFT = 8.0  # units
AFTER = 100  # records after a shift that do not count
DISCRETE: dict[str, Family] = {
    "constant": lambda rng, n: np.full(n, 7.0),
    "two values": lambda rng, n: rng.integers(0, 2, n) * 1.0,
    "1% ones": lambda rng, n: (rng.random(n) < 0.01) * 1.0,
    "95% zeros": lambda rng, n: np.where(rng.random(n) < 0.95, 0.0, rng.exponential(size=n)),
    "Poisson .3": lambda rng, n: rng.poisson(0.3, n) * 1.0,
    "Poisson 3": lambda rng, n: rng.poisson(3, n) * 1.0,
    "Poisson 300": lambda rng, n: rng.poisson(300, n) * 1.0,
    "rounded normal": lambda rng, n: np.round(rng.normal(size=n), 1),
    "geometric": lambda rng, n: rng.geometric(0.3, n) * 1.0,
}
SIDES = {"+": (1.0,), "-": (-1.0,), "both": (1.0, -1.0)}


def unit(x: np.ndarray) -> float:
    """Median absolute deviation as a standard deviation."""
    return float(np.median(np.abs(x - np.median(x))) / 0.6745)


def stream(family: str, drift: str, n: int, seed: int = 11) -> tuple[np.ndarray, np.ndarray]:
    """x (n,) and counted (n,) bool: false in the records after a level shift."""
    rng = np.random.default_rng([seed, sum(map(ord, family))])
    x = FAMILIES[family](rng, n)
    counted = np.ones(n, bool)
    scale = unit(x)
    if drift == "walk":
        x = x + 0.02 * scale * np.cumsum(rng.normal(size=n))
    elif drift == "scale":
        x = x * np.exp(0.5 * np.sin(2.0 * np.pi * np.arange(n) / 18_000))
    elif drift == "shifts":
        at = np.arange(SHIFT_EVERY, n, SHIFT_EVERY)
        steps = np.zeros(n)
        steps[at] = SHIFT * scale * rng.choice([-1.0, 1.0], len(at))
        x = x + np.cumsum(steps)
        for start in at:
            counted[start : start + AFTER] = False
    return x, counted


def corrupted(
    family: str, share: float, side: str, n: int, size: float = 30.0, seed: int = 12
) -> tuple[np.ndarray, np.ndarray]:
    """x (n,) with `share` of the records moved by `size` units to a side, and which these are, (n,) bool."""
    rng = np.random.default_rng([seed, sum(map(ord, family))])
    x = FAMILIES[family](rng, n)
    bad = rng.random(n) < share
    x[bad] += size * unit(x) * rng.choice(SIDES[side], int(bad.sum()))
    return x, bad


def raw(X: np.ndarray, estimator: str = "level", label: np.ndarray | None = None) -> np.ndarray:
    """(n,) raw scores of an estimator on (n,) or (n, d), from disk where they were made before."""
    X = X if X.ndim == 2 else X[:, None]
    digest = hashlib.blake2b(np.ascontiguousarray(X).tobytes(), digest_size=8)
    root = Path(clipdetect.__file__).parent
    for path in sorted([*root.glob("estimators/*.py"), *root.glob("numerics/*.py")]):
        if not path.name.startswith("tail"):
            digest.update(path.read_bytes())
    path = FOLDER / f"raw-{estimator.replace(':', '-')}-{digest.hexdigest()}.npy"
    if path.exists():
        return np.asarray(np.load(path))
    names = [f"f{j}" for j in range(X.shape[1])]
    detector = Detector(estimator, "fixed", fields=names, labelled=label is not None, engine="numba")
    found = detector.step(X, label=label).raw
    FOLDER.mkdir(parents=True, exist_ok=True)
    np.save(path.with_suffix(f".{os.getpid()}.npy"), found)
    path.with_suffix(f".{os.getpid()}.npy").rename(path)
    return found


def judged(
    values: np.ndarray,
    threshold: object,
    rate: float,
    kind: str = "residual",
    steady: bool = False,
    keys: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """score and flag (n,) of a threshold alone, on raw scores of a kind, maybe steady; keys: (n,) int64 or None."""
    from clipdetect import registry
    from clipdetect.components import Params, Rows, Threshold, full_spec
    from clipdetect.jit import Engine

    made = threshold if isinstance(threshold, Threshold) else registry.build("threshold", threshold)
    assert isinstance(made, Threshold)
    params = Params(engine=Engine("numba"), rate=rate, warmup=32, raw_kind=kind, steady=steady)  # type: ignore[arg-type]
    made.check(params)
    made.bind(["x"], params)
    n = len(values)
    slots = np.zeros(n, np.int64) if keys is None else np.asarray(keys, np.int64)
    count = int(slots.max(initial=0)) + 1
    state = {name: np.zeros((count, *shape), dtype) for name, (shape, dtype) in full_spec(made, 1).items()}
    state |= {name: np.zeros(shape, dtype) for name, (shape, dtype) in full_spec(made, 1, True).items()}
    made.reset(state, np.arange(count), np.arange(count) + 1)
    empty = np.full(n, np.nan)
    rows = Rows(np.zeros((n, 1)), empty, empty.copy(), np.ones(n, bool), np.zeros(n, bool))
    return made.step(state, slots, made.prepared(np.ascontiguousarray(values, np.float64)), rows)
