"""Clipped SGD for a mean, and how far it may be from it: theorem 3.1 and algorithm 1 of UAI 2023.

A. Sankararaman, B. Narayanaswamy, "Online heavy-tailed change-point detection", PMLR 216:1815-1826.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.jit import kernel


class BoundConstants(NamedTuple):
    """The numbers of the bound, by the term they stand in."""

    gamma_clip: float  # of gamma: the factor of clip sigma (sigma + 1)
    gamma_noise: float  # and that of sigma^2
    factor_noise: float  # of C: the factor of sigma^4
    factor_clip: float  # and that of the clip
    noise_clip: float  # of the noise term: the factor of sigma^2 / clip
    noise: float  # and that of sigma^2
    last: float  # of the last term


class Descent(NamedTuple):
    """The problem that the estimates solve, in one unit."""

    sigma: float  # bound of the noise
    diameter: float  # of the ball of possible means
    clip: float
    gamma: float
    constants: BoundConstants


@kernel
def radius(t: float, log_inverse: float, descent: Descent) -> float:
    """B(t, delta) of theorem 3.1, t >= 1: squared distance of an estimate from the mean. log_inverse: ln(1 / delta)."""
    sigma, diameter, clip, gamma = descent.sigma, descent.diameter, descent.clip, descent.gamma
    constants = descent.constants
    level = math.log(2.0 * t * t * (t + 1.0)) + log_inverse
    factor = max(
        constants.factor_noise * sigma * sigma * sigma * sigma / (diameter * diameter * clip * clip),
        constants.factor_clip * clip * math.sqrt(level) / (gamma * gamma * diameter),
    )
    start = gamma * diameter / (t + 1.0)
    noise = (constants.noise_clip * sigma * sigma / clip + constants.noise * sigma * sigma) / (2.0 * (t + 1.0))
    last = constants.last * clip * clip * level * sigma * (sigma + 1.0) / ((t + gamma) * math.sqrt(t + 1.0))
    return factor * (start * start + noise + last)


@kernel
def descend(
    k: int, p: int, t: float, value: np.ndarray, clip: float, gamma: float, bound: float, mean: np.ndarray
) -> None:
    """One step of clipped SGD number t from mean[k, p] towards value (d,), NaN where missing; then into the ball."""
    d = value.shape[0]
    square = 0.0
    for j in range(d):
        if not math.isnan(value[j]):
            gap = value[j] - mean[k, p, j]
            square += gap * gap
    share = 2.0 / (t + gamma)
    if square > clip * clip:
        share *= clip / math.sqrt(square)
    square = 0.0
    for j in range(d):
        if not math.isnan(value[j]):
            mean[k, p, j] += share * (value[j] - mean[k, p, j])
        square += mean[k, p, j] * mean[k, p, j]
    if square > bound * bound:
        for j in range(d):
            mean[k, p, j] *= bound / math.sqrt(square)


@kernel
def excess(
    k: int, p: int, n: int, log_inverse: float, descent: Descent, split_at: np.ndarray, mean: np.ndarray,
    before: np.ndarray,
) -> float:  # fmt: skip
    """By how much the squared difference about a split passes its bound. mean, before: (K, ..., d)."""
    s = split_at[k, p]
    if s < 2 or n - s < 2:
        return -math.inf
    square = 0.0
    for j in range(mean.shape[2]):
        gap = mean[k, p, j] - before[k, p, j]
        square += gap * gap
    square -= radius(s - 1.0, log_inverse, descent)
    if square <= 0.0:
        return square
    return square - radius(n - s - 1.0, log_inverse, descent)
