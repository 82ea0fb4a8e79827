"""Clipped SGD for a mean, and how far it may be from it: theorem 3.1 and algorithm 1 of UAI 2023.

A. Sankararaman, B. Narayanaswamy, "Online heavy-tailed change-point detection", PMLR 216:1815-1826.
"""

from __future__ import annotations

import math

from clipdetect.jit import kernel


@kernel
def radius(t, log_inverse, sigma, diameter, clip, gamma, constants):
    """B(t, delta) of theorem 3.1, t >= 1: squared distance of an estimate from the mean. log_inverse: ln(1 / delta)."""
    level = math.log(2.0 * t * t * (t + 1.0)) + log_inverse
    factor = max(
        constants[2] * sigma * sigma * sigma * sigma / (diameter * diameter * clip * clip),
        constants[3] * clip * math.sqrt(level) / (gamma * gamma * diameter),
    )
    start = gamma * diameter / (t + 1.0)
    noise = (constants[4] * sigma * sigma / clip + constants[5] * sigma * sigma) / (2.0 * (t + 1.0))
    last = constants[6] * clip * clip * level * sigma * (sigma + 1.0) / ((t + gamma) * math.sqrt(t + 1.0))
    return factor * (start * start + noise + last)


@kernel
def descend(k, p, d, t, value, clip, gamma, bound, mean):
    """One step of clipped SGD number t from mean[k, p] towards value (d,), NaN where missing; then into the ball."""
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
def excess(k, p, n, d, log_inverse, sigma, diameter, clip, gamma, constants, split_at, mean, before):
    """By how much the squared difference about a split passes its bound."""
    s = split_at[k, p]
    if s < 2 or n - s < 2:
        return -math.inf
    square = 0.0
    for j in range(d):
        gap = mean[k, p, j] - before[k, p, j]
        square += gap * gap
    square -= radius(s - 1.0, log_inverse, sigma, diameter, clip, gamma, constants)
    if square <= 0.0:
        return square
    return square - radius(n - s - 1.0, log_inverse, sigma, diameter, clip, gamma, constants)
