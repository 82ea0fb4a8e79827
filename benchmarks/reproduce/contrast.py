"""Logistic regression against a reference pool by plain steps: the article's experiment under our reading."""

from __future__ import annotations

import numpy as np

STATIC, PAPER = "logistic, static after 300 records", "logistic, clipped, step T^-2/3"
CLIPPED, UNCLIPPED = "logistic, clipped, step 2", "logistic, not clipped, step 2"
BASELINES = (STATIC, PAPER, CLIPPED, UNCLIPPED)
FIRST = 300  # records that the static model is fitted on
STEP = 2.0
FIRST_STEP = 8.0  # of the falling steps, in the same unit
RIDGE = 1e-4
QUANTILE, WINDOW = 0.9, 128  # of gradient norms


def baseline(method: str, X: np.ndarray, pool: np.ndarray, seed: int) -> np.ndarray:
    """Margins (n,) of being a pool record, each before the record is learned; of X and pool, unit rows."""
    X, pool = unit(X), unit(pool)
    if method == STATIC:
        from sklearn.linear_model import LogisticRegression

        both = np.concatenate([X[:FIRST], pool[:FIRST]])
        truth = np.repeat([0, 1], FIRST)
        return np.asarray(LogisticRegression(C=10.0, max_iter=1000).fit(both, truth).decision_function(X))
    rng = np.random.default_rng(seed)
    steps = np.full(len(X), STEP)
    if method == PAPER:
        steps = FIRST_STEP * len(X) ** (-2.0 / 3.0) * np.ones(len(X))
    weights, bias, norms = np.zeros(X.shape[1]), 0.0, np.zeros(0)
    margins = np.empty(len(X))
    for i, x in enumerate(X):
        margins[i] = weights @ x + bias
        for row, y in ((x, 0.0), (pool[rng.integers(len(pool))], 1.0)):
            error = 1.0 / (1.0 + np.exp(-(weights @ row + bias))) - y
            norm = abs(error) * np.sqrt(1.0 + row @ row)
            norms = np.append(norms, norm)[-WINDOW:]
            share = 1.0
            if method != UNCLIPPED and norm > 0.0:
                share = min(1.0, np.quantile(norms, QUANTILE) / norm)
            step = steps[i] * share
            weights -= step * (error * row + RIDGE * weights)
            bias -= step * error
    return margins


def unit(X: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1."""
    length = np.sqrt((X * X).sum(axis=1, keepdims=True))
    return X / np.where(length > 0.0, length, 1.0)
