"""Calls an estimator on arrays, for tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clipdetect.components import Estimator, Params, Rows, State, full_spec
from clipdetect.jit import Engine, EngineName

NASTY = [0.0, -0.0, 5e-324, 1e-300, 1e-160, 1.7e308, -1.7e308, 9e149, -9e149, 1e150, np.inf, -np.inf, np.nan]


def fresh(estimator: Estimator, d: int, keys: int = 1, engine: EngineName = "python") -> State:
    """Bind it and allocate its arrays."""
    estimator.bind([f"f{j}" for j in range(d)], Params(engine=Engine(engine)))
    return {name: np.zeros((keys, *shape), dtype) for name, (shape, dtype) in full_spec(estimator, d).items()}


def block(X: np.ndarray, learn: np.ndarray | None = None, restart: Sequence[int] = ()) -> Rows:
    X = np.ascontiguousarray(X if np.ndim(X) == 2 else np.asarray(X, float)[:, None], dtype=float)
    n = len(X)
    begins = np.zeros(n, bool)
    begins[list(restart)] = True
    return Rows(X, np.full(n, np.nan), np.full(n, np.nan), np.ones(n, bool) if learn is None else learn, begins)


def run(
    estimator: Estimator, X: np.ndarray, engine: EngineName = "python", restart: Sequence[int] = ()
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """raw, expected, scale of one fresh key."""
    rows = block(X, restart=restart)
    state = fresh(estimator, rows.X.shape[1], engine=engine)
    return estimator.step(state, np.zeros(len(rows.X), np.int64), rows)


def same(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> bool:
    """Bit-equal, NaN equal to NaN."""
    return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b, strict=True))


def nasty(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Repeats, heavy tails, gaps and extreme values."""
    rng = np.random.default_rng(seed)
    X = rng.standard_t(2, (n, d))
    X[n // 3 : n // 2] = np.round(X[n // 3 : n // 2])
    X[n // 2 : n // 2 + 60] = 7.25
    at = rng.random((n, d)) < 0.08
    X[at] = rng.choice(NASTY, int(at.sum()))
    return X
