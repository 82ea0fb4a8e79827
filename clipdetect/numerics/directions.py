"""A few main directions of a stream of vectors, learned on line, and what they leave unexplained."""

from __future__ import annotations

import math

import numpy as np

from clipdetect.jit import kernel

NOTHING = 1e-9  # squared length up to which a direction is none: rounding errors would turn it
LEAST_SEEN = 0.25  # of a direction's squared length: with less of it present, its share is not made up for


@kernel
def along(
    u: np.ndarray, there: np.ndarray, k: int, first: int, most: int, directions: np.ndarray, about: np.ndarray
) -> None:
    """How far u goes along the directions from `first` to `most` - 1, in their lengths, from the fields that are there.

    directions: (K, P, d). about (P, 2) gets that, and the squared length. 0 where there is no direction yet.
    """
    for p in range(first, most):
        dot = 0.0
        present = 0.0
        whole = 0.0
        for j in range(u.shape[0]):
            v = directions[k, p, j]
            whole += v * v
            if there[j]:
                present += v * v
                dot += u[j] * v
        about[p, 0] = dot / max(present, LEAST_SEEN * whole) if whole > NOTHING else 0.0
        about[p, 1] = whole


@kernel
def learn_directions(
    u: np.ndarray, there: np.ndarray, k: int, most: int, rate: float, clock: int, directions: np.ndarray,
    about: np.ndarray,
) -> None:  # fmt: skip
    """The first `most` directions learn u one after the other, each what those before leave; a fresh one begins as it.

    The length of a direction is the variance along it. u: (d,), changed; about: (P, 2), of the first direction as
    `along` left it. clock: records before this one.
    """
    for p in range(most):
        if p > 0:
            along(u, there, k, p, p + 1, directions, about)
        if not about[p, 1] > NOTHING:
            whole = 0.0
            for j in range(u.shape[0]):
                whole += u[j] * u[j] if there[j] else 0.0
            if clock > p and whole > NOTHING:
                for j in range(u.shape[0]):
                    directions[k, p, j] = u[j] if there[j] else 0.0
            return
        h = about[p, 0] * math.sqrt(about[p, 1])
        dot = 0.0
        present = 0.0
        whole = 0.0
        for j in range(u.shape[0]):
            v = directions[k, p, j]
            if there[j]:
                v += rate * (u[j] * h - v)
                directions[k, p, j] = v
                present += v * v
                dot += u[j] * v
            whole += v * v
        if p < most - 1 and whole > NOTHING:
            explained = dot / max(present, LEAST_SEEN * whole)
            for j in range(u.shape[0]):
                if there[j]:
                    u[j] -= explained * directions[k, p, j]
