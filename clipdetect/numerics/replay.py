"""Experts of a logistic regression that learn each record, and a learner that learns old ones again along with it.

Expert 0, the learner, takes a step on each record, on a partner of the other class, and on `replay`
more pairs drawn from memory; expert 1 is its running average. With labels there are four more,
which take smaller steps on the record and its partner only, on a partner the smaller the more
common its class is. Experts 1 and up are mixed by credit, which their losses cost them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.jit import kernel
from clipdetect.numerics.margin import (
    CONSTANT,
    LARGEST,
    Experts,
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
from clipdetect.numerics.units import Units, follow_norm, product, scaled

AVERAGE = 0.2  # rate of the learner's average
SLOWER = 4.0  # each further expert's step is smaller by this
LEARNING = 1.0  # rate at which losses turn into credit
SWITCH = 1e-3  # credit that all experts share at each record, so that a change of the best one is found
MOST_LOSS = 3.0
REBASE = 0.05  # of an equal share; an expert with less credit starts again from the mixture
SHARE_RATE = 0.01  # of the share of class 1
WIDTH = 0.8  # of the kernel that the cosines stand for, in typical norms


class Cosines(NamedTuple):
    """The random cosine features; of size 0 where the features are the row itself."""

    signs: np.ndarray  # (3, m)
    phases: np.ndarray  # (m,)


class Memory(NamedTuple):
    """What is kept of the records of all keys."""

    rows: np.ndarray  # (K, 1 or 2, W, d) the last ones by class, less the columns' origins
    taken: np.ndarray  # (K, 1 or 2) int64, how many have come
    random: np.ndarray  # (K,) int64, see `random_numbers`
    share: np.ndarray  # (K,) of class 1
    arrived: np.ndarray  # (K,) int64, records


class Lesson(NamedTuple):
    """The settings of a step."""

    replay: int  # pairs of old records that are learned with each
    step: float  # of the learner, on features of norm 1
    clip: float  # quantile of the gradient norms
    pool: np.ndarray  # (p, d) the reference, relative to the origins, or empty
    cosines: Cosines


class LogisticScratch(NamedTuple):
    """Room for what is worked out on the way."""

    spare: np.ndarray  # (d,)
    v: np.ndarray  # (d,) the record less the origins
    z: np.ndarray  # (d,) in units
    other: np.ndarray  # (d,) a record of the memory
    x: np.ndarray  # (m,) features
    mixed: np.ndarray  # (m,) weights of the mixture


@kernel
def features(
    v: np.ndarray, k: int, units: Units, random: Cosines, z: np.ndarray, x: np.ndarray
) -> tuple[float, float, float]:
    """Features x (m,) of row v (d,): itself in units, or random cosines.

    Returns the row's norm in units, what it was divided by, and the squared norm of the features.
    """
    if random.phases.shape[0] == 0:
        norm, by = scaled(v, k, units, x)
        short = norm / by if by > 0.0 else 0.0
        return norm, by, short * short
    norm, by = scaled(v, k, units, z)
    cosines(z, random.signs, random.phases, WIDTH, x)
    return norm, by, product(x, x)


@kernel
def judge(k: int, x: np.ndarray, label: float, experts: Experts, share: np.ndarray) -> None:
    """Experts lose credit by their loss on an example; the more, the rarer its class has been."""
    weights, bias, credit = experts.weights, experts.bias, experts.credit
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
def follow(
    k: int, c: int, x: np.ndarray, size: float, truth: float, step: float, clip: float, experts: Experts
) -> None:
    """One clipped step of the experts that do not replay; the clip is that of the mixture's gradients, channel c."""
    weights, bias, credit = experts.weights, experts.bias, experts.credit
    ordered, norms = experts.ordered, experts.norms
    most = limit(k, c, clip, ordered, norms)
    mixed = 0.0
    for e in range(1, weights.shape[1]):
        m = margin(k, e, x, weights, bias)
        mixed += credit[k, e - 1] * m
        if e > 1:
            move(k, e, x, -step * clipped(probability(m) - truth, size, most), 0.0, weights, bias)
        step = step / SLOWER if e > 1 else step
    push(abs(probability(mixed) - truth) * size, k, c, experts.ring, ordered, norms)


@kernel
def settle(k: int, experts: Experts, x: np.ndarray) -> None:
    """The average follows the learner; experts without credit start again from the mixture. x: (m,) scratch."""
    weights, bias, credit = experts.weights, experts.bias, experts.credit
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
    v: np.ndarray, label: float, k: int, lesson: Lesson, units: Units, experts: Experts, kept: Memory,
    scratch: LogisticScratch,
) -> None:  # fmt: skip
    """Key k learns row v (d,) of class `label`, with a partner of the other class, and `replay` pairs of old ones.

    With a pool, class 1 is drawn from it.
    """
    pool, step, clip = lesson.pool, lesson.step, lesson.clip
    memory, taken, random, share, arrived = kept.rows, kept.taken, kept.random, kept.share, kept.arrived
    z, x, other = scratch.z, scratch.x, scratch.other
    own = 1 if label > 0.5 else 0
    pooled = pool.shape[0] > 0
    at = taken[k, own] % memory.shape[2]
    for j in range(v.shape[0]):
        memory[k, own, at, j] = v[j]
    both = not pooled and taken[k, 0] > 0 and taken[k, 1] > 0
    taken[k, own] += 1
    for r in range(lesson.replay + 1):
        for turn in range(2):
            c = own if turn == 0 else 1 - own
            if pooled and c == 1:
                i = draw(k, pool.shape[0], random)
                for j in range(v.shape[0]):
                    other[j] = pool[i, j]
            else:
                filled = min(taken[k, c], memory.shape[2])
                if filled == 0:
                    continue
                i = at
                if r > 0 or turn > 0:
                    i = draw(k, filled, random)
                for j in range(v.shape[0]):
                    other[j] = memory[k, c, i, j]
            norm, _, square = features(other, k, units, lesson.cosines, z, x)
            size = math.sqrt(CONSTANT * CONSTANT + square)
            channel = 0 if pooled else c
            if r == 0:
                if c == 1 or not pooled:  # what is typical is for the reference to say, where there is one
                    follow_norm(norm, k, arrived[k], units.typical, units.large, units.run)
                if both and turn == 0:
                    judge(k, x, label, experts, share)
                if not pooled:
                    own_step = step
                    if turn > 0:  # so that a class weighs as much as the other, whatever its share
                        others = share[k] if c == 1 else 1.0 - share[k]
                        own_step = step * max(0.0, 1.0 - others / (1.0 - others))
                    follow(k, 2 + c, x, size, c * 1.0, own_step, clip, experts)
            descend(k, channel, x, size, c * 1.0, step, clip, experts)
    if not pooled:
        rate = max(SHARE_RATE, 1.0 / (taken[k, 0] + taken[k, 1] + 1.0))
        share[k] = min(max(share[k] + rate * (label - share[k]), 1e-3), 1.0 - 1e-3)
    settle(k, experts, x)
