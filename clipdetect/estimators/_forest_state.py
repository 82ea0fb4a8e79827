"""What the forest keeps besides its trees: of each field, of its own scores, of how old its reservoir is."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from clipdetect.components import UNREADABLE
from clipdetect.jit import kernel

CAUTIOUS = 8  # scores before any is too strange for the reservoir
LN2 = 0.6931471805599453


class ForestConstants(NamedTuple):
    """Numbers that were chosen rather than derived."""

    guard: float = 2.0  # spreads of the score; a stranger record enters the reservoir the less often
    memory: float = 0.1  # rate of the mean of the latest scores
    remembered: float = 0.5  # its share of the raw score
    rate: float = 0.002  # of locations and spreads: some 500 records
    clip: float = 2.5  # spreads; a larger deviation teaches no more than this
    nothing: float = 0.5  # decades above the usual rarity that mean nothing; an identifier's grows with its column
    stale: float = 1.25  # spreads by which, over `patience`, records must be stranger than those in the reservoir
    young: float = 0.3333333333333333  # of `patience`: the age of which a key that is out of date becomes again


class ForestState(NamedTuple):
    """The arrays of all keys; T trees of S leaves, R places in the reservoir."""

    seed: np.ndarray  # (K,) int64, of the generator, before it is first used
    random: np.ndarray  # (K,) int64, state of the generator, 0 before
    records: np.ndarray  # (K,) int64, learned
    held: np.ndarray  # (K,) int64, places of the reservoir in use
    built: np.ndarray  # (K,) int64, 1 + the tree to be built next, 0 where there is none yet
    judged: np.ndarray  # (K,) int64, scores learned
    age: np.ndarray  # (K,) records that the reservoir stands for
    stale: np.ndarray  # (K,) mean of how much stranger records are than those in the reservoir, in spreads
    due: np.ndarray  # (K,) trees to be built, a part of one
    location: np.ndarray  # (K,) of the score
    width: np.ndarray  # (K,) spread of the score
    recent: np.ndarray  # (K,) mean of the latest scores
    count: np.ndarray  # type: ignore[assignment]  # (K, d) int64, values learned
    origin: np.ndarray  # (K, d) first value, in the field's unit
    orient: np.ndarray  # (K, d) 1 where the field first moved up, -1 down, 0 not yet
    centre: np.ndarray  # (K, d) clipped location less the origin, in the field's unit
    spread: np.ndarray  # (K, d) clipped mean of |deviation|, in the field's unit
    last: np.ndarray  # (K, d) the last value
    reservoir: np.ndarray  # (K, d, R) see `Reservoir`
    flat: np.ndarray  # (K, d) bool
    level: np.ndarray  # (K, d)
    code: np.ndarray  # (K, T, 2S - 1) int32, see `Trees`
    size: np.ndarray  # (K, T, 2S - 1) int32
    split: np.ndarray  # (K, T, S - 1)
    low: np.ndarray  # (K, T, S - 1)
    high: np.ndarray  # (K, T, S - 1)
    home: np.ndarray  # (K, T) usual depth of records that the tree was not built from


class ForestParameters(NamedTuple):
    """The settings, and what follows from them."""

    sample: int  # records a tree is built from
    horizon: float  # records that the reservoir reaches back
    patience: float  # records that must be strange to be taken for normal
    constants: ForestConstants
    decades: np.ndarray  # (d,) bool, columns that are rarities
    usual: np.ndarray  # (S + 1,) see `usual_depths`


@kernel
def forget(k: int, state: ForestState) -> None:
    """Key k begins afresh."""
    state.records[k] = 0
    state.held[k] = 0
    state.built[k] = 0
    state.judged[k] = 0
    state.age[k] = 0.0
    state.stale[k] = 0.0
    state.due[k] = 0.0
    for j in range(state.count.shape[1]):
        state.count[k, j] = 0
        state.orient[k, j] = 0.0
        state.centre[k, j] = 0.0
        state.spread[k, j] = 0.0


@kernel
def read(X: np.ndarray, i: int, k: int, parameters: ForestParameters, state: ForestState, v: np.ndarray) -> int:
    """Row i into v (d,): less the field's first value, and turned as the field first moved; NaN missing.

    A column in decades is what it lies above its usual value. Returns how many values there are.
    """
    count, origin, orient, centre = state.count, state.origin, state.orient, state.centre
    decades, nothing = parameters.decades, parameters.constants.nothing
    present = 0
    for j in range(X.shape[1]):
        x = X[i, j]
        if not abs(x) < UNREADABLE:
            v[j] = math.nan
            continue
        present += 1
        if count[k, j] == 0:
            v[j] = 0.0
        elif decades[j]:
            v[j] = max(x - origin[k, j] - centre[k, j] - nothing, 0.0)
        elif orient[k, j] == 0.0:
            v[j] = abs(x - origin[k, j])
        else:
            v[j] = (x - origin[k, j]) * orient[k, j]
    return present


@kernel
def clipped_step(gap: float, rate: float, clip: float, size: float) -> tuple[float, float]:
    """What a deviation moves: a location, in spreads of this size; a spread, as the logarithm of a factor."""
    return rate * min(max(gap / size, -clip), clip), 0.5 * min(rate, 0.1) * (min(abs(gap) / size, clip) - 1.0)


@kernel
def learn_fields(X: np.ndarray, i: int, k: int, constants: ForestConstants, state: ForestState) -> None:
    """Take row i into each field's clipped location and spread; open fields that are new."""
    count, origin, orient, centre = state.count, state.origin, state.orient, state.centre
    spread, last = state.spread, state.last
    lowest, clip = constants.rate, constants.clip
    for j in range(X.shape[1]):
        x = X[i, j]
        if not abs(x) < UNREADABLE:
            continue
        n = count[k, j]
        count[k, j] = n + 1
        if n == 0:
            origin[k, j] = x
            last[k, j] = x
            state.flat[k, j] = True
            state.level[k, j] = math.nan
            for r in range(state.held[k]):
                state.reservoir[k, j, r] = math.nan
            continue
        moved = x - origin[k, j]
        if orient[k, j] == 0.0 and moved != 0.0:
            orient[k, j] = 1.0 if moved > 0.0 else -1.0
        gap = moved - centre[k, j]
        rate = max(lowest, 1.0 / (n + 1.0))
        if spread[k, j] > 0.0:
            shift, growth = clipped_step(gap, rate, clip, spread[k, j])
            centre[k, j] += spread[k, j] * shift
            if x != last[k, j]:  # a repeated value says nothing of the spread
                spread[k, j] *= math.exp(growth)
        elif gap != 0.0:
            spread[k, j] = abs(gap)
            centre[k, j] += rate * gap
        last[k, j] = x


@kernel
def learn_score(q: float, k: int, constants: ForestConstants, state: ForestState) -> None:
    """One clipped step of the score's location and spread, and one of the mean of the latest scores."""
    judged, location, width, recent = state.judged, state.location, state.width, state.recent
    n = judged[k]
    judged[k] = n + 1
    rate = max(constants.rate, 1.0 / (n + 1.0))
    recent[k] += max(constants.memory, 1.0 / (n + 1.0)) * (q - recent[k])
    if n == 0:
        recent[k] = q
        location[k] = q
        width[k] = 0.0
    elif width[k] > 0.0:
        shift, growth = clipped_step(q - location[k], rate, constants.clip, width[k])
        location[k] += width[k] * shift
        width[k] *= math.exp(growth)
    elif q != location[k]:
        width[k] = abs(q - location[k])
        location[k] += 0.5 * (q - location[k])


@kernel
def with_memory(q: float, k: int, constants: ForestConstants, judged: np.ndarray, recent: np.ndarray) -> float:
    """The raw score: usual depths over the depth that q and the mean of the latest scores, q among them, stand for."""
    both = q
    if judged[k] > 0:
        mean = recent[k] + max(constants.memory, 1.0 / (judged[k] + 1.0)) * (q - recent[k])
        both = (1.0 - constants.remembered) * q + constants.remembered * mean
    return -LN2 / math.log(both)


@kernel
def learn_age(
    q: float, at_home: float, k: int, patience: float, constants: ForestConstants, state: ForestState
) -> None:
    """Over `patience` records, by how many spreads they are stranger than those at home; too many make key k young.

    A young key takes in records, and builds trees, at the pace of its age.
    """
    width, stale = state.width, state.stale
    if state.judged[k] < CAUTIOUS or not width[k] > 0.0 or math.isnan(at_home):
        return
    z = min(max((q - at_home) / width[k], -constants.clip), constants.clip)
    stale[k] += (z - stale[k]) / patience
    if stale[k] > constants.stale:
        stale[k] = 0.0
        state.age[k] = min(state.age[k], constants.young * patience)


@kernel
def trusted(q: float, k: int, guard: float, state: ForestState) -> float:
    """How likely a record of score q is to be let into the reservoir when its turn comes."""
    judged, location, width = state.judged, state.location, state.width
    if judged[k] < CAUTIOUS or not width[k] > 0.0 or not q > location[k]:
        return 1.0
    part = guard * width[k] / (q - location[k])
    return min(1.0, part * part)
