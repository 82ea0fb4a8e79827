"""Logistic regression by clipped steps: features of a record, margins, one step on one example.

The clip of a step is a quantile of the last gradient norms, so that it has no unit and needs no
bound on the data.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.jit import kernel
from clipdetect.numerics.rolling import push, quantile

CONSTANT = 0.5  # the feature that the bias belongs to; features have norm about 1
RIDGE = 1e-4  # makes the loss strongly convex, as the theory of the clipped step asks
FIRST_NORMS = 8  # gradient norms before there is a quantile to clip at
LARGEST = 500.0  # margin; exp of it is still finite


class Experts(NamedTuple):
    """The E experts of all keys on m features, and the norms of their last gradients, C channels of S."""

    weights: np.ndarray  # (K, E, m)
    bias: np.ndarray  # (K, E)
    credit: np.ndarray  # (K, E - 1) how much experts 1, 2, ... are trusted, 1 in all
    ring: np.ndarray  # (K, C, S) this and the next two: see `rolling`
    ordered: np.ndarray  # (K, C, S)
    norms: np.ndarray  # (K, C) int64


@kernel
def probability(margin: float) -> float:
    """1 / (1 + exp(-margin))."""
    return 1.0 / (1.0 + math.exp(-min(max(margin, -LARGEST), LARGEST)))


@kernel
def margin(k: int, e: int, x: np.ndarray, weights: np.ndarray, bias: np.ndarray) -> float:
    """Margin of features x (m,) under expert e, added as in `product`."""
    a = 0.0
    b = 0.0
    c = 0.0
    d = 0.0
    fours = x.shape[0] // 4
    for q in range(fours):
        j = 4 * q
        a += weights[k, e, j] * x[j]
        b += weights[k, e, j + 1] * x[j + 1]
        c += weights[k, e, j + 2] * x[j + 2]
        d += weights[k, e, j + 3] * x[j + 3]
    j = 4 * fours
    if j < x.shape[0]:
        a += weights[k, e, j] * x[j]
    if j + 1 < x.shape[0]:
        b += weights[k, e, j + 1] * x[j + 1]
    if j + 2 < x.shape[0]:
        c += weights[k, e, j + 2] * x[j + 2]
    return (a + b) + (c + d) + bias[k, e]


@kernel
def hadamard(a: np.ndarray) -> None:
    """The fast Walsh-Hadamard transform of a (m,), in place; m a power of two."""
    m = a.shape[0]
    h = 1
    while h < m:
        for block in range(m // (2 * h)):
            start = 2 * h * block
            for j in range(start, start + h):
                x = a[j]
                y = a[j + h]
                a[j] = x + y
                a[j + h] = x - y
        h *= 2


@kernel
def cosines(z: np.ndarray, signs: np.ndarray, phases: np.ndarray, width: float, out: np.ndarray) -> None:
    """Random cosine features of z (d,) into out (m,), of squared norm about 2. signs: (3, m); phases: (m,)."""
    m = out.shape[0]
    for j in range(m):
        out[j] = 0.0
    for j in range(z.shape[0]):
        out[j] = z[j]
    for r in range(3):
        for j in range(m):
            out[j] *= signs[r, j]
        hadamard(out)
    size = 1.0 / (m * width)  # two of the three transforms made orthonormal; sqrt(m) / width for the last
    height = 2.0 / math.sqrt(m * 1.0)
    for j in range(m):
        out[j] = height * math.cos(out[j] * size + phases[j])


@kernel
def move(k: int, e: int, x: np.ndarray, by: float, shrink: float, weights: np.ndarray, bias: np.ndarray) -> None:
    """Expert e moves along features x (m,)."""
    keep = 1.0 - shrink
    for j in range(x.shape[0]):
        weights[k, e, j] = keep * weights[k, e, j] + by * x[j]
    bias[k, e] += by * (CONSTANT * CONSTANT)


@kernel
def clipped(error: float, size: float, limit: float) -> float:
    """The gradient's coefficient `error`, with the gradient's norm |error| * size at most `limit`."""
    norm = abs(error) * size
    return error if norm <= limit else error * (limit / norm)


@kernel
def limit(k: int, c: int, clip: float, ordered: np.ndarray, norms: np.ndarray) -> float:
    """The gradient norm beyond which a step is clipped: infinite in the first steps."""
    return quantile(k, c, clip, ordered, norms) if norms[k, c] >= FIRST_NORMS else math.inf


@kernel
def descend(
    k: int, c: int, x: np.ndarray, size: float, truth: float, step: float, clip: float, experts: Experts
) -> None:
    """One clipped step of expert 0 on an example; norms of channel c. size: of the gradient's x, constant included."""
    weights, bias, ordered, norms = experts.weights, experts.bias, experts.ordered, experts.norms
    error = probability(margin(k, 0, x, weights, bias)) - truth
    most = limit(k, c, clip, ordered, norms)
    push(abs(error) * size, k, c, experts.ring, ordered, norms)
    move(k, 0, x, -step * clipped(error, size, most), step * RIDGE, weights, bias)


@kernel
def mix(k: int, credit: np.ndarray, weights: np.ndarray, bias: np.ndarray, out: np.ndarray) -> float:
    """Mean of experts 1, 2, ... by their credit (K, E - 1), into out (m,); returns its bias."""
    for j in range(out.shape[0]):
        out[j] = credit[k, 0] * weights[k, 1, j]
    constant = credit[k, 0] * bias[k, 1]
    for e in range(1, credit.shape[1]):
        share = credit[k, e]
        for j in range(out.shape[0]):
            out[j] += share * weights[k, e + 1, j]
        constant += share * bias[k, e + 1]
    return constant
