"""A few main directions of a stream of vectors, learned on line, and what they leave unexplained."""

from __future__ import annotations

import math

from clipdetect.jit import kernel

LEAST_SEEN = 0.25  # of a direction's squared length: with less of it present, its share is not made up for


@kernel
def along(u, there, k, p, directions, about):
    """How far u goes along direction p, in its lengths, from the fields that are there.

    directions: (K, P, d). about (P, 2) gets that, and the squared length. 0 where there is no direction yet.
    """
    dot = 0.0
    present = 0.0
    whole = 0.0
    for j in range(u.shape[0]):
        v = directions[k, p, j]
        whole += v * v
        if there[j]:
            present += v * v
            dot += u[j] * v
    about[p, 0] = dot / max(present, LEAST_SEEN * whole) if whole > 0.0 else 0.0
    about[p, 1] = whole


@kernel
def turn(u, there, k, p, rate, last, directions, about):
    """Direction p learns u, from which what it explains is then taken away, unless it is the last.

    The length of a direction is the variance along it. u: (d,), changed; about: (P, 2) as `along` left it.
    """
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
    if last or not whole > 0.0:
        return
    explained = dot / max(present, LEAST_SEEN * whole)
    for j in range(u.shape[0]):
        if there[j]:
            u[j] -= explained * directions[k, p, j]


@kernel
def learn_directions(u, there, k, most, rate, clock, directions, about):
    """The first `most` directions learn u one after the other; a fresh one begins as what is left of u.

    u: (d,), changed; about: (P, 2), of the first direction as `along` left it. clock: records before this one.
    """
    for p in range(most):
        if p > 0:
            along(u, there, k, p, directions, about)
        if not about[p, 1] > 0.0:
            if clock > p:
                for j in range(u.shape[0]):
                    if there[j]:
                        directions[k, p, j] = u[j]
            return
        turn(u, there, k, p, rate, p == most - 1, directions, about)
