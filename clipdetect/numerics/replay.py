"""Experts of a logistic regression that learn each record, and a learner that learns old ones again along with it.

Expert 0, the learner, takes a step on each record, on a partner of the other class, and on `replay`
more pairs drawn from memory; expert 1 is its running average. With labels there are four more,
which take smaller steps on the record and its partner only, on a partner the smaller the more
common its class is. Experts 1 and up are mixed by credit, which their losses cost them.

Arrays, by their first axis the key: memory (K, 1 or 2, W, d), rows by class, and taken (K, 1 or 2)
int64, how many have come; credit (K, E - 1); share (K,), of class 1; the rest as in `margin`, `units`.
"""

from __future__ import annotations

import math

from clipdetect.jit import kernel
from clipdetect.numerics.margin import (
    CONSTANT,
    LARGEST,
    clipped,
    cosines,
    descend,
    limit,
    margin,
    mix,
    move,
    probability,
)
from clipdetect.numerics.random_numbers import draw
from clipdetect.numerics.rolling import push
from clipdetect.numerics.units import follow_norm, product, scaled

AVERAGE = 0.2  # rate of the learner's average
SLOWER = 4.0  # each further expert's step is smaller by this
LEARNING = 1.0  # rate at which losses turn into credit
SWITCH = 1e-3  # credit that all experts share at each record, so that a change of the best one is found
MOST_LOSS = 3.0
REBASE = 0.05  # of an equal share; an expert with less credit starts again from the mixture
SHARE_RATE = 0.01  # of the share of class 1
WIDTH = 0.8  # of the kernel that the cosines stand for, in typical norms


@kernel
def features(v, k, centre, inverse, typical, large, signs, phases, z, x):
    """Features x (m,) of row v (d,): itself in units, or random cosines.

    Returns the row's norm in units, what it was divided by, and the squared norm of the features.
    """
    if phases.shape[0] == 0:
        norm, by = scaled(v, k, centre, inverse, typical, large, x)
        short = norm / by if by > 0.0 else 0.0
        return norm, by, short * short
    norm, by = scaled(v, k, centre, inverse, typical, large, z)
    cosines(z, signs, phases, WIDTH, x)
    return norm, by, product(x, x)


@kernel
def judge(k, x, label, weights, bias, credit, share):
    """Experts lose credit by their loss on an example; the more, the rarer its class has been."""
    rare = share[k] / (1.0 - share[k])
    weight = min(1.0, 1.0 / rare if label > 0.5 else rare)
    total = 0.0
    for e in range(credit.shape[1]):
        m = margin(k, e + 1, x, weights, bias)
        loss = math.log1p(math.exp(min(max(-m if label > 0.5 else m, -LARGEST), LARGEST)))
        credit[k, e] *= math.exp(-LEARNING * weight * min(loss, MOST_LOSS))
        total += credit[k, e]
    for e in range(credit.shape[1]):
        credit[k, e] = (1.0 - SWITCH) * credit[k, e] / total + SWITCH / credit.shape[1]


@kernel
def follow(k, c, x, size, truth, step, clip, weights, bias, credit, ring, ordered, norms):
    """One clipped step of the experts that do not replay; the clip is that of the mixture's gradients, channel c."""
    most = limit(k, c, clip, ordered, norms)
    mixed = 0.0
    for e in range(1, weights.shape[1]):
        m = margin(k, e, x, weights, bias)
        mixed += credit[k, e - 1] * m
        if e > 1:
            move(k, e, x, -step * clipped(probability(m) - truth, size, most), 0.0, weights, bias)
        step = step / SLOWER if e > 1 else step
    push(abs(probability(mixed) - truth) * size, k, c, ring, ordered, norms)


@kernel
def settle(k, weights, bias, credit, x):
    """The average follows the learner; experts without credit start again from the mixture. x: (m,) scratch."""
    for j in range(weights.shape[2]):
        weights[k, 1, j] += AVERAGE * (weights[k, 0, j] - weights[k, 1, j])
    bias[k, 1] += AVERAGE * (bias[k, 0] - bias[k, 1])
    constant = 0.0
    mixed = False
    for e in range(2, weights.shape[1]):
        if credit[k, e - 1] < REBASE / credit.shape[1]:
            if not mixed:
                constant = mix(k, credit, weights, bias, x)
                mixed = True
            for j in range(weights.shape[2]):
                weights[k, e, j] = x[j]
            bias[k, e] = constant


@kernel
def learn(
    v, label, k, replay, step, clip, pool, signs, phases, inverse, centre, typical, large, random, weights, bias,
    credit, memory, taken, ring, ordered, norms, share, arrived, run, z, x, other,
):  # fmt: skip
    """Key k learns row v (d,) of class `label`, with a partner of the other class, and `replay` pairs of old ones.

    memory: (K, 1 or 2, W, d), rows by class. With a pool (p, d), class 1 is drawn from it. other: (d,) scratch.
    """
    own = 1 if label > 0.5 else 0
    pooled = pool.shape[0] > 0
    at = taken[k, own] % memory.shape[2]
    for j in range(v.shape[0]):
        memory[k, own, at, j] = v[j]
    both = not pooled and taken[k, 0] > 0 and taken[k, 1] > 0
    taken[k, own] += 1
    for r in range(replay + 1):
        for turn in range(2):
            c = own if turn == 0 else 1 - own
            if pooled and c == 1:
                i = draw(k, pool.shape[0], random)
                for j in range(v.shape[0]):
                    other[j] = pool[i, j]
            else:
                kept = min(taken[k, c], memory.shape[2])
                if kept == 0:
                    continue
                i = at
                if r > 0 or turn > 0:
                    i = draw(k, kept, random)
                for j in range(v.shape[0]):
                    other[j] = memory[k, c, i, j]
            norm, _, square = features(other, k, centre, inverse, typical, large, signs, phases, z, x)
            size = math.sqrt(CONSTANT * CONSTANT + square)
            channel = 0 if pooled else c
            if r == 0:
                if c == 1 or not pooled:  # what is typical is for the reference to say, where there is one
                    follow_norm(norm, k, arrived[k], typical, large, run)
                if both and turn == 0:
                    judge(k, x, label, weights, bias, credit, share)
                if not pooled:
                    own_step = step
                    if turn > 0:  # so that a class weighs as much as the other, whatever its share
                        others = share[k] if c == 1 else 1.0 - share[k]
                        own_step = step * max(0.0, 1.0 - others / (1.0 - others))
                    follow(k, 2 + c, x, size, c * 1.0, own_step, clip, weights, bias, credit, ring, ordered, norms)
            descend(k, 0, channel, x, size, c * 1.0, step, clip, weights, bias, ring, ordered, norms)
    if not pooled:
        rate = max(SHARE_RATE, 1.0 / (taken[k, 0] + taken[k, 1] + 1.0))
        share[k] = min(max(share[k] + rate * (label - share[k]), 1e-3), 1.0 - 1e-3)
    settle(k, weights, bias, credit, x)
