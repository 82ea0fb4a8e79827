"""On-line isolation forest on a guarded reservoir."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from clipdetect.components import Estimator, Params, RowArrays, Rows, Shares, Spec, State
from clipdetect.estimators._forest_state import (
    ForestConstants,
    ForestParameters,
    ForestState,
    forget,
    learn_age,
    learn_fields,
    learn_score,
    read,
    trusted,
    with_memory,
)
from clipdetect.jit import kernel
from clipdetect.numerics.isolation import (
    Reservoir,
    Trees,
    Workspace,
    build,
    depth,
    find_flat,
    home_depth,
    strays,
    usual_depths,
)
from clipdetect.numerics.random_numbers import draw, uniform

__all__ = ["Forest"]

START = 8  # values of a field before something is expected of it
LN2 = 0.6931471805599453
BUILT_AT = (32, 64, 128, 200)  # records at which all trees are built; later one at a time


@kernel
def judge(
    k: int, i: int, v: np.ndarray, reservoir: Reservoir, trees: Trees, home: np.ndarray, share: np.ndarray
) -> tuple[float, float]:
    """2 to the minus mean depth of v (d,), in usual depths; each field's part in it into row i of share (n, d).

    And the same of records that are at home in the reservoir.
    """
    count, flat, level = reservoir.count, reservoir.flat, reservoir.level
    n_trees = home.shape[1]
    moving = 0
    new = 0
    present = 0
    for j in range(v.shape[0]):
        share[i, j] = 0.0
        if not math.isnan(v[j]):
            present += 1
        if strays(k, j, v[j], count, flat, level):
            new += 1
        elif count[k, j] > 0 and not flat[k, j]:
            moving += 1
    fresh = new / (new + moving) if new > 0 else 0.0
    total = 0.0
    by_new = 0.0
    homes = 0.0
    for t in range(n_trees):
        one, cut = depth(k, t, i, v, fresh, trees, share)
        total += one
        homes += home[k, t]
        by_new += cut
    whole = 0.0
    for j in range(v.shape[0]):
        if strays(k, j, v[j], count, flat, level):
            share[i, j] += by_new / new  # older trees may still split it
        whole += share[i, j]
    for j in range(v.shape[0]):
        if math.isnan(v[j]):
            share[i, j] = math.nan
        else:
            share[i, j] = share[i, j] / whole if whole > 0.0 else 1.0 / present
    return math.exp(-LN2 * total / n_trees), math.exp(-LN2 * homes / n_trees)


@kernel
def enter(
    k: int, v: np.ndarray, probability: float, random: np.ndarray, held: np.ndarray, reservoir: Reservoir
) -> None:
    """Put v (d,) into the reservoir with this probability, in place of any row once it is full."""
    values, count, flat, level = reservoir.values, reservoir.count, reservoir.flat, reservoir.level
    if not uniform(k, random) < probability:
        return
    at = held[k]
    if at < values.shape[2]:
        held[k] = at + 1
    else:
        at = draw(k, values.shape[2], random)
    for j in range(values.shape[1]):
        if count[k, j] > 0:
            values[k, j, at] = v[j]
            if strays(k, j, v[j], count, flat, level):
                flat[k, j] = False


@kernel
def grow(
    k: int, sample: int, horizon: float, state: ForestState, reservoir: Reservoir, trees: Trees, work: Workspace
) -> None:
    """Build what is due: all trees at some early counts of records, later one at a time, each once an age."""
    built, due, home, random = state.built, state.due, state.home, state.random
    n_trees = home.shape[1]
    n = state.records[k]
    held = state.held[k]
    first = built[k] - 1
    many = 1
    if n == BUILT_AT[0] or n == BUILT_AT[1] or n == BUILT_AT[2] or n == BUILT_AT[3]:
        first = 0
        many = n_trees
    elif built[k] == 0:
        return
    else:
        due[k] += n_trees / min(state.age[k], horizon)
        if due[k] < 1.0:
            return
        due[k] = min(due[k] - 1.0, 1.0)
    find_flat(k, held, reservoir)
    wanted = min(sample, held)
    for t in range(first, first + many):
        build(k, t, held, wanted, reservoir, trees, random, work)
        home[k, t] = home_depth(k, t, held, wanted, reservoir.values, trees, work)
    built[k] = (first + many) % n_trees + 1


@kernel
def step(rows: RowArrays, parameters: ForestParameters, state: ForestState, out: Shares, work: Workspace) -> None:
    """Score each row of X (n, d), then learn it."""
    X, slots, learn, restart = rows.X, rows.slots, rows.learn, rows.restart
    constants, horizon = parameters.constants, parameters.horizon
    count, built, random, age = state.count, state.built, state.random, state.age
    reservoir = Reservoir(state.reservoir, count, state.flat, state.level)
    trees = Trees(state.code, state.size, state.split, state.low, state.high, parameters.usual)
    places = state.reservoir.shape[2]
    v = work.v
    for i in range(X.shape[0]):
        k = slots[i]
        if restart[i] and learn[i]:
            forget(k, state)
        for j in range(X.shape[1]):
            if count[k, j] >= START:
                out.expected[i, j] = state.origin[k, j] + state.centre[k, j]
                out.scale[i, j] = state.spread[k, j]
        if read(X, i, k, parameters, state, v) == 0:
            continue
        probability = min(1.0, places / min(age[k] + 1.0, horizon))
        q = math.nan
        at_home = math.nan
        if built[k] > 0:
            q, at_home = judge(k, i, v, reservoir, trees, state.home, out.share)
            out.raw[i] = with_memory(q, k, constants, state.judged, state.recent)
            probability *= trusted(q, k, constants.guard, state)
        if not learn[i]:
            continue
        if random[k] == 0:
            random[k] = max(state.seed[k], 1)
        if built[k] > 0:
            learn_age(q, at_home, k, parameters.patience, constants, state)
            learn_score(q, k, constants, state)
        learn_fields(X, i, k, constants, state)
        enter(k, v, probability, random, state.held, reservoir)
        state.records[k] += 1
        age[k] += 1.0
        grow(k, parameters.sample, horizon, state, reservoir, trees, work)


class Forest(Estimator):
    """Isolation forest that learns on line: how few random splits cut a record off from recent normal ones.

    Best for tables and network connections: clusters with gaps, no order in time.
    For records of several fields whose normal has clusters and gaps between them, or no order in time: tables,
    network connections, mixed sensors; also for bursts, which stay strange for a thousand records and more. A new
    normal is flagged until it has lasted for about `patience` records, and then adopted. Not for a level that drifts,
    unless with a `horizon` of 1000; on its own it is followed late, and flagged often. Not for what shows
    in the correlation of fields only, where `fields` is better, and not for single series: for one field `level` is
    far cheaper and closer.

    Parameters
    ----------
    trees : how many, at least 1. Half as many cost half as much, and scores are rougher.
    sample : records a tree is built from, at least 8; also its depth, log2 of it.
    reservoir : records that samples are drawn from, at least `sample`.
    horizon : how far back the reservoir and the trees reach, at least `reservoir`. Shorter follows drift, and takes a
        burst for normal the sooner. [records]
    patience : about how long strange records must last to be taken for the new normal. A burst of a third of it is not;
        raise it where anomalies last for thousands of records. No effect where `sample` is all of `reservoir`.
        [records]

    Cost
    ----
    O(trees * log(sample)) a record, and O(fields * sample) for the tree that is renewed every horizon / trees records:
    compiled 9 us at 1 and at 8 fields, 10 us at 64, 190 us at 1500 (on a busy core); interpreted 600 us.

    State
    -----
    326 KB for the trees and 2.1 KB a field for the reservoir: 400 KB at 38 fields, 3.5 MB at 1500. With trees=16 and
    sample=64, 41 KB and 2.1 KB a field. For hundreds of keys, not for many thousands.

    Notes
    -----
    Isolation forest [1]_ on a reservoir sample [2]_. A record enters with probability reservoir / horizon (more while
    the stream is young), times (2 / t)^2 where its score is t > 2 spreads above the usual: so few anomalies get in,
    and a burst is not soon at home. All trees are built at 32, 64, 128 and 200 records, then one at a time. There is
    no opinion before 32 records.

    Deviations from [1]_. A record beyond the range of a node's sample would have been cut off there with probability
    gap / (range + gap), so what is deeper counts with the rest: farther out is stranger even outside all that was
    seen, and so is the inside of a gap. A field that is constant in the reservoir and differs in the record takes
    part in every split. Half of the score is the mean of the latest scores, at a rate of .1, as anomalies come in runs.

    The raw score is usual depth over depth: 1 is usual, 2 is cut off in half as many splits. It ranks as the score of
    [1]_, 2^(-depth / usual), does, but that one has a ceiling: with one field, the highest 1% and .1% of Gaussian
    records lay at .69 and .71, too close for a threshold to tell them apart.

    The reservoir's records that a tree was not built from say how deep in it a normal one lies. Where the stream is
    stranger than these by 1.25 spreads, on the mean of `patience` records with none counting for more than 2.5, it has
    become another, and the key young again: as if its reservoir stood for patience / 3 records, it takes in new ones
    at that pace and builds its trees from them. A shift of 3 or 5 units in half of 8 fields, or in one of one, is
    adopted within 3000 to 3500 records; 1000 copies of one such record are not, nor 1000 more after 1000 others.

    Under `tail`, on stationary noise of eight laws (100,000 records), .01 and .001 are held within a factor 2 with one
    field and with eight; but for AR(1) noise in one field, at 4.7 times .001, as its runs of rare scores are taken for
    bursts. On a random walk of .02 units a record up to 33 times .001 is flagged, and 9 with a horizon of 1000.

    On six families of labelled data (13 tables, 2 of network connections, 17 + 4 + 6 + 41 series; scored before they
    are learned), mean ROC-AUC and average precision of the raw score are .761 and .452 with one seed.

    A missing value takes the way that most of the sample went; a record is scored by the fields that it has. 20% of
    cells blanked at random cost .005 of ROC-AUC and .025 of average precision there, in files cut to 50,000 records.

    A column in decades (a rarity) counts by what lies more than half a decade above its usual value, and never by
    being low; so an identifier, which is always new, says nothing.

    `expected` and `scale` are each field's clipped location and spread. The share of a field is what its splits cut
    off, as logarithms, over all trees. On events whose causes are labelled, the field with the largest was a true one
    in .57 of 91 (38 fields, chance .18) and .75 of 40 (19 fields, chance .51).

    References
    ----------
    .. [1] F. T. Liu, K. M. Ting, Z.-H. Zhou, "Isolation forest", ICDM 2008, doi:10.1109/ICDM.2008.17.
    .. [2] J. S. Vitter, "Random sampling with a reservoir", ACM TOMS 11(1), 1985, doi:10.1145/3147.3165.
    """

    raw_kind = "level"
    takes_decades = True
    steady = True
    state_class = ForestState

    def __init__(
        self, trees: int = 64, sample: int = 128, reservoir: int = 256, horizon: int = 10_000, patience: int = 3000
    ) -> None:
        if trees < 1:
            raise ValueError(f"trees must be at least 1, got {trees}")
        if sample < 8:
            raise ValueError(f"sample must be at least 8 records, got {sample}")
        if reservoir < sample:
            raise ValueError(f"reservoir must be at least sample = {sample} records, got {reservoir}")
        if horizon < reservoir:
            raise ValueError(f"horizon must be at least reservoir = {reservoir} records, got {horizon}")
        if patience < 1:
            raise ValueError(f"patience must be at least 1 record, got {patience}")
        self.trees, self.sample, self.reservoir, self.horizon = trees, sample, reservoir, horizon
        self.patience = patience
        self.constants = ForestConstants()
        self._usual = np.zeros(sample + 1)
        usual_depths(self._usual)
        self._decades = np.zeros(0, bool)

    def bind(self, fields: Sequence[str], params: Params) -> None:
        super().bind(fields, params)
        self._decades = np.array([name in params.decades for name in fields], bool)

    def state_spec(self, n_features: int) -> Spec:
        d, inner = n_features, (1 << (self.sample - 1).bit_length()) - 1
        return {
            "seed": ((), np.int64),
            **dict.fromkeys(("random", "records", "held", "built", "judged"), ((), np.int64)),
            **dict.fromkeys(("age", "stale", "due", "location", "width", "recent"), ((), np.float64)),
            "count": ((d,), np.int64),
            **dict.fromkeys(("origin", "orient", "centre", "spread", "last"), ((d,), np.float64)),
            "reservoir": ((d, self.reservoir), np.float64),
            "flat": ((d,), np.bool_),
            "level": ((d,), np.float64),
            **dict.fromkeys(("code", "size"), ((self.trees, 2 * inner + 1), np.int32)),
            **dict.fromkeys(("split", "low", "high"), ((self.trees, inner), np.float64)),
            "home": ((self.trees,), np.float64),
        }

    def reset(self, state: State, slots: np.ndarray, seeds: np.ndarray) -> None:
        state["seed"][slots] = 1 + seeds % 2147483646

    def step(self, state: State, slots: np.ndarray, rows: Rows) -> Shares:
        n, d = rows.X.shape
        out = Shares.none(rows)
        self.run(
            step, n, rows.arrays(slots),
            ForestParameters(
                self.sample, float(self.horizon), float(self.patience), self.constants, self._decades, self._usual
            ),
            self.state_arrays(state), out,
            Workspace(
                np.empty(d), np.empty(self.reservoir, np.int64), np.empty(state["code"].shape[2], np.int64),
                np.empty(d + 1, np.int64), np.empty(2), np.zeros((1, d)),
            ),
        )  # fmt: skip
        return out
