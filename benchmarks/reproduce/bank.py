"""A bank of step sizes for a line or a logistic model: fixed share among them, idle ones begin again.

What one would try first against the slow rate of one step: experts on steps 2^-i, weighted by how well each
predicts, every step clipped by the last 64 residuals or gradient norms of the mixture; an expert that nobody
trusts goes on from the mixture.
"""

from __future__ import annotations

import math

import numpy as np

from clipdetect.jit import kernel
from clipdetect.numerics.rolling import push, quantile

SHARE = 1e-3  # of the weight that all experts share anew with every record
IDLE = 0.05  # of an equal share; an expert below it begins again
WINDOW = 64
LINE = (3, 7)  # first exponent of the steps, and how many
LABEL = (0, 9)


@kernel
def settle(theta, weights, mean):
    """Share the weights, and the mixture begins in idle experts' places. theta: (e, p); weights: (e,); mean: (p,)."""
    experts = theta.shape[0]
    total = 0.0
    for e in range(experts):
        total += weights[e]
    for e in range(experts):
        weights[e] = (1.0 - SHARE) * weights[e] / total + SHARE / experts
    mixture(theta, weights, mean)
    for e in range(experts):
        if weights[e] < IDLE / experts:
            for j in range(theta.shape[1]):
                theta[e, j] = mean[j]


@kernel
def mixture(theta, weights, mean):
    """Weighted mean of the experts into mean (p,)."""
    for j in range(theta.shape[1]):
        mean[j] = 0.0
        for e in range(theta.shape[0]):
            mean[j] += weights[e] * theta[e, j]


@kernel
def follow_line(X, y, first, theta, weights, ring, ordered, pushed, mean, out):
    """Normalised steps on |residual| clipped at twice its median; the mixture before each record in out (n, p)."""
    d = X.shape[1]
    for t in range(X.shape[0]):
        mixture(theta, weights, mean)
        value = 0.0
        square = 0.0
        for j in range(d):
            out[t, j] = mean[j]
            value += mean[j] * X[t, j]
            square += X[t, j] * X[t, j]
        push(abs(y[t] - value), 0, 0, ring, ordered, pushed)
        limit = 2.0 * quantile(0, 0, 0.5, ordered, pushed)
        step = 1.0
        for _ in range(first):
            step *= 0.5
        for e in range(theta.shape[0]):
            own = 0.0
            for j in range(d):
                own += theta[e, j] * X[t, j]
            error = y[t] - own
            z = error / limit if limit > 0.0 else 1.0
            weights[e] *= math.exp(-min(1.0, z * z))
            for j in range(d):
                theta[e, j] += step * d * min(max(error, -limit), limit) * X[t, j] / square
            step *= 0.5
        settle(theta, weights, mean)


@kernel
def follow_labels(X, y, first, theta, weights, ring, ordered, pushed, mean, out):
    """Steps clipped at the .9-quantile of the mixture's gradient norms; out as above."""
    d = X.shape[1]
    for t in range(X.shape[0]):
        mixture(theta, weights, mean)
        value = 0.0
        square = 0.0
        for j in range(d):
            out[t, j] = mean[j]
            value += mean[j] * X[t, j]
            square += X[t, j] * X[t, j]
        norm = math.sqrt(square)
        push(abs(y[t] - 1.0 / (1.0 + math.exp(min(-value, 700.0)))) * norm, 0, 0, ring, ordered, pushed)
        limit = quantile(0, 0, 0.9, ordered, pushed)
        step = 1.0
        for _ in range(first):
            step *= 0.5
        for e in range(theta.shape[0]):
            own = 0.0
            for j in range(d):
                own += theta[e, j] * X[t, j]
            error = y[t] - 1.0 / (1.0 + math.exp(min(-own, 700.0)))
            weights[e] *= math.exp(-0.3 * min(3.0, -math.log(max(1.0 - abs(error), 1e-9))))
            part = min(1.0, limit / max(abs(error) * norm, 1e-12))
            for j in range(d):
                theta[e, j] += step * part * error * X[t, j]
            step *= 0.5
        settle(theta, weights, mean)


def followed(X: np.ndarray, y: np.ndarray, labels: bool) -> np.ndarray:
    """(n, d) slopes of the bank before each record."""
    first, experts = LABEL if labels else LINE
    d, out = X.shape[1], np.empty_like(X)
    ring, ordered, pushed = np.zeros((1, 1, WINDOW)), np.zeros((1, 1, WINDOW)), np.zeros((1, 1), np.int64)
    kernel = follow_labels if labels else follow_line
    kernel.compiled(
        X, y, first, np.zeros((experts, d)), np.full(experts, 1.0 / experts), ring, ordered, pushed, np.zeros(d), out
    )
    return out
