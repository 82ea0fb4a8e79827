"""How far a record lies from the most similar ones of the recent past."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from clipdetect.components import Estimates, Estimator, Params, RowArrays, Rows, Spec, State
from clipdetect.jit import kernel
from clipdetect.numerics.combine import NEVER_MOVED
from clipdetect.numerics.geometry import (
    EVERY,
    LEVEL,
    LEVEL_FACTOR,
    SETTLE,
    SHAPE,
    SHAPE_FACTOR,
    Ranges,
    first_move,
    forget,
    learn,
    median_range,
    quiet_ends,
    read,
    seen,
    share_units,
    suits,
)
from clipdetect.numerics.nearest import (
    Distances,
    Shapes,
    Window,
    closest,
    enter,
    level_distances,
    norm,
    open_columns,
    radius,
    renew_radii,
    shape_distances,
)
from clipdetect.numerics.projection import embed, leave_out, median_norm, project, projected_distances, signs

__all__ = ["Neighbours"]

START = 8  # records before there is an opinion, or k if that is more
SAID = 256  # columns at most for which it says what it expects; at 784 that would cost 40% more
LEAST_PROJECT = 8  # columns; fewer say next to nothing of a distance
SHAPE_K, LEVEL_K = 3, 10  # of k=auto
METRICS = {"auto": 0, "level": LEVEL, "shape": SHAPE}


class NeighboursState(NamedTuple):
    """The arrays of all keys; see `Ranges`, `Window` and `Shapes`."""

    origin: np.ndarray  # (K, d)
    low: np.ndarray  # (K, d)
    high: np.ndarray  # (K, d)
    middle: np.ndarray  # (K, d)
    inverse: np.ndarray  # (K, d)
    ends: np.ndarray  # (K, d)
    unit: np.ndarray  # (K,)
    typical: np.ndarray  # (K,)
    count: np.ndarray  # type: ignore[assignment]  # (K, d) int64
    holes: np.ndarray  # (K, d) int64
    chosen: np.ndarray  # (K,) int64, the metric of `auto`, 0 before
    entered: np.ndarray  # (K,) int64
    ring: np.ndarray  # (K, d, W)
    radii: np.ndarray  # (K, W)


class ProjectedState(NamedTuple):
    """The same where projections are kept."""

    origin: np.ndarray  # (K, d)
    low: np.ndarray  # (K, d)
    high: np.ndarray  # (K, d)
    middle: np.ndarray  # (K, d)
    inverse: np.ndarray  # (K, d)
    ends: np.ndarray  # (K, d)
    unit: np.ndarray  # (K,)
    typical: np.ndarray  # (K,)
    count: np.ndarray  # type: ignore[assignment]  # (K, d) int64
    chosen: np.ndarray  # (K,) int64
    entered: np.ndarray  # (K,) int64
    ring: np.ndarray  # (K, N + 1, W) see `projection`
    norms: np.ndarray  # (K, W) of the records, in units


class NeighboursParameters(NamedTuple):
    """The settings."""

    asked: int  # the metric, 0 for `auto`
    shape_k: int  # neighbours in `shape`
    level_k: int  # and in `level`
    tau: float  # age at which a distance counts twice [records]


class NeighboursScratch(NamedTuple):
    """Room for what is worked out on the way."""

    z: np.ndarray  # (d,) the record less the origins, NaN where missing
    spare: np.ndarray  # (d,)
    distances: Distances
    best: np.ndarray  # (k,)
    places: np.ndarray  # (k,) int64


@kernel
def expect(
    i: int, k: int, found: int, metric: int, q: float, places: np.ndarray, state: NeighboursState, out: Estimates
) -> None:
    """What is expected of row i: the mean of the records at `places`, and the units.

    In `shape`, those records are brought to the size of row i, whose radius is q.
    """
    origin, ends, inverse, unit, ring, radii = (
        state.origin, state.ends, state.inverse, state.unit, state.ring, state.radii,
    )  # fmt: skip
    centre, scale = out.expected, out.scale
    for j in range(ring.shape[1]):
        if not inverse[k, j] > 0.0:
            continue
        end = ends[k, j]
        total = 0.0
        have = 0
        for m in range(found):
            v = ring[k, j, places[m]]
            if not math.isnan(v):
                total += end + (v - end) * radii[k, places[m]] * q if metric == SHAPE else v
                have += 1
        if have > 0:
            centre[i, j] = origin[k, j] + total / have
            scale[i, j] = 1.0 / inverse[k, j] if unit[k] > 0.0 else 0.0


@kernel
def step(
    rows: RowArrays, parameters: NeighboursParameters, state: NeighboursState, out: Estimates,
    scratch: NeighboursScratch,
) -> None:  # fmt: skip
    """Score each row of X (n, d), then learn it."""
    X, slots, learns, restart = rows.X, rows.slots, rows.learn, rows.restart
    asked, shape_k, level_k = parameters.asked, parameters.shape_k, parameters.level_k
    origin, count, low, high, middle, unit = (
        state.origin, state.count, state.low, state.high, state.middle, state.unit,
    )  # fmt: skip
    inverse, ends, chosen, ring, entered = state.inverse, state.ends, state.chosen, state.ring, state.entered
    typical, radii = state.typical, state.radii
    z, spare, distances, best, places = scratch.z, scratch.spare, scratch.distances, scratch.best, scratch.places
    ranges = Ranges(origin, count, low, high, middle, unit)
    window = Window(ring, state.holes, entered, inverse)
    shapes = Shapes(ends, typical, radii)
    for i in range(X.shape[0]):
        k = slots[i]
        if restart[i] and learns[i]:
            forget(k, count, unit)
            entered[k] = 0
            chosen[k] = 0
            for j in range(X.shape[1]):
                inverse[k, j] = 0.0
        metric = asked if asked > 0 else chosen[k]
        wanted = shape_k if metric == SHAPE else level_k
        n = min(entered[k], ring.shape[2])
        if n >= max(wanted, START) and read(X, i, k, ranges, z) > 0:
            q = 1.0
            if metric == SHAPE:
                columns = seen(k, count)
                q = radius(norm(k, columns, z, ends, inverse), typical[k])
                shape_distances(k, n, columns, q, z, window, shapes, distances)
            else:
                level_distances(k, n, z, window, distances)
            found = closest(k, n, wanted, parameters.tau, entered, distances.squares, best, places)
            if found > 0:
                total = 0.0
                for m in range(found):
                    total += best[m]
                mean = total / found
                if not unit[k] > 0.0:
                    mean = NEVER_MOVED if total > 0.0 else 0.0
                elif metric == SHAPE:
                    mean = mean * mean * mean * mean
                out.raw[i] = mean
                if seen(k, count) <= SAID:
                    expect(i, k, found, metric, q, places, state, out)
        if learns[i]:
            opened = open_columns(X, i, k, count, window)
            if learn(X, i, k, ranges, z) == 0:
                continue
            at = enter(k, z, count, window)
            if opened > 0 or entered[k] <= SETTLE or entered[k] % EVERY == 0 or first_move(k, count, low, high, unit):
                unit[k] = median_range(k, count, low, high, spare)
                if asked == 0 and entered[k] <= SETTLE:
                    chosen[k] = suits(k, seen(k, count), count, low, high, unit)
                    metric = chosen[k]
                share_units(k, SHAPE_FACTOR if metric == SHAPE else LEVEL_FACTOR, count, low, high, unit, inverse)
                if metric == SHAPE:
                    quiet_ends(k, count, low, high, middle, ends)
                    filled = min(entered[k], ring.shape[2])
                    renew_radii(k, filled, seen(k, count), count, window, shapes, distances)
            elif metric == SHAPE:
                length = norm(k, seen(k, count), z, ends, inverse)
                radii[k, at] = 1.0 / radius(length, typical[k])


@kernel
def projected_step(
    rows: RowArrays, parameters: NeighboursParameters, matrix: np.ndarray, state: ProjectedState, out: Estimates,
    scratch: NeighboursScratch, point: np.ndarray,
) -> None:  # fmt: skip
    """As `step`, on the projections. matrix: (d, N); point: (N + 1,) scratch."""
    X, slots, learns, restart = rows.X, rows.slots, rows.learn, rows.restart
    asked, shape_k, level_k = parameters.asked, parameters.shape_k, parameters.level_k
    count, low, high, middle, unit = state.count, state.low, state.high, state.middle, state.unit
    inverse, ends, chosen, ring, entered = state.inverse, state.ends, state.chosen, state.ring, state.entered
    typical, norms, squares = state.typical, state.norms, scratch.distances.squares
    z, spare, best, places = scratch.z, scratch.spare, scratch.best, scratch.places
    ranges = Ranges(state.origin, count, low, high, middle, unit)
    for i in range(X.shape[0]):
        k = slots[i]
        if restart[i] and learns[i]:
            forget(k, count, unit)
            entered[k] = 0
            chosen[k] = 0
        metric = asked if asked > 0 else chosen[k]
        wanted = shape_k if metric == SHAPE else level_k
        columns = seen(k, count)
        n = min(entered[k], ring.shape[2])
        if n >= max(wanted, START) and read(X, i, k, ranges, z) > 0:
            length = embed(k, columns, metric, count, middle, ends, inverse, z)
            q = radius(length, typical[k]) if metric == SHAPE else 1.0
            project(z, q, metric == SHAPE, matrix, point)
            projected_distances(k, n, 1.0 if metric == SHAPE else 1.0 / columns, point, ring, squares)
            found = closest(k, n, wanted, parameters.tau, entered, squares, best, places)
            if found == wanted:
                total = 0.0
                for m in range(found):
                    total += best[m]
                mean = total / found
                if not unit[k] > 0.0:
                    mean = NEVER_MOVED if total > 0.0 else 0.0
                elif metric == SHAPE:
                    mean = mean * mean * mean * mean
                out.raw[i] = mean
        if learns[i]:
            if learn(X, i, k, ranges, z) == 0:
                continue
            opened = seen(k, count) - columns
            columns += opened
            at = entered[k] % ring.shape[2]
            entered[k] += 1
            n = min(entered[k], ring.shape[2])
            renew = opened > 0 or entered[k] <= SETTLE or entered[k] % EVERY == 0
            renew = renew or first_move(k, count, low, high, unit)
            if renew:
                unit[k] = median_range(k, count, low, high, spare)
                if asked == 0 and entered[k] <= SETTLE:
                    chosen[k] = suits(k, columns, count, low, high, unit)
                    if chosen[k] != metric:
                        leave_out(k, n, ring)
                    metric = chosen[k]
                share_units(k, SHAPE_FACTOR if metric == SHAPE else LEVEL_FACTOR, count, low, high, unit, inverse)
                if metric == SHAPE:
                    quiet_ends(k, count, low, high, middle, ends)
            norms[k, at] = embed(k, columns, metric, count, middle, ends, inverse, z)
            if renew and metric == SHAPE:
                typical[k] = median_norm(k, n, at, ring, norms, squares)
            q = radius(norms[k, at], typical[k]) if metric == SHAPE else 1.0
            project(z, q, metric == SHAPE, matrix, point)
            for c in range(ring.shape[1]):
                ring[k, c, at] = point[c] if entered[k] > START else math.nan  # units are too new to last


class Neighbours(Estimator):
    """Mean distance to the k nearest of the last records, the more recent counting as nearer.

    Best for records of several kinds, such as images.
    For many fields whose normal has several or odd forms: images, spectra, machines with modes. A
    new normal is normal once k of its records have been seen; every record enters the window, and
    k - 1 copies of an outlier cannot vouch for themselves. Not for anomalies that come in runs of more
    than k alike: in one of hundreds they look more normal than the rest. Nor for a drift that is slow
    against the window, in which each record has its like. A field with gross outliers gets a wide
    unit and loses weight. For one field `level` is cheaper, and knows up from down.

    Parameters
    ----------
    k : neighbours, >= 1; `auto` is 3 for `shape` and 10 for `level`. More bears longer runs of
        like anomalies, and takes as much longer after a change.
    window : records that are kept, >= 10 and >= k. [records]
    tau : age at which a distance counts twice, > 0. It makes a change of the normal pass more
        quickly; on tables without time, 200 to 1e9 make no difference. [records]
    metric : `level` compares values, each field in its own unit unless the ranges of the fields agree
        within a factor of 10, and takes the root of the mean square. `shape` compares the directions
        of records with all fields in one unit, and half the logarithm of their sizes. `auto` decides in
        the first 64 records: `shape` where there are 100 fields or more and the ranges of 80% of
        those that move agree within a factor of 10, otherwise `level`.
    project : 0, or how many random sums of all fields, >= 8, a record is kept as. For many keys of many
        fields; 128 ranks rotated numerals nearly as well as all 784 pixels. Not for few fields, below twice
        as many, which it hardly shrinks, nor where it must say which field it was. [columns]

    Cost
    ----
    O(window) a field and record: compiled 1.4 us at one field, 3 us at 40, 24 us at 784 in `shape` and 18 us
    in `level`; interpreted 90 us at one field and 20 ms at 784. With `project`, O(project) a field and
    O(window * project): at 784 fields and 128 columns 21 us in `shape`, 19 us in `level`, interpreted 16 ms.

    State
    -----
    window + 8 numbers a field and window + 5 more: 1.7 KB at one field, 680 KB at 784. With `project`, 7
    a field and (project + 2) * window + 4 more: at 784 fields 97 KB with 64 columns, 148 KB with 128. The
    signs are fields * project numbers more, once for all keys.

    Notes
    -----
    Nearest neighbours of a window are classical [1]_; units, metric, weights by age and `auto` are ours.
    There is no opinion before 8 records, or k if that is more.

    In `shape` the raw score is the fourth power of the distance, as the volume that holds the
    neighbours would be in four dimensions. This does not change which of two records is stranger, but
    keeps a normal of small distances from narrowing the threshold's scale: the ROC AUC of the score
    rose from .91 to .93 on numerals that switch.

    Units come from the ranges, because fields that mostly stand still have no useful deviation. A change of
    unit of all fields alike changes nothing; that of one field within a factor of 1000 (`level`: 10) does.
    A field that either record lacks is left out, and the others stand for it.

    With `project`, a record is brought to the units of its time, in `shape` to its direction too, and
    multiplied by a fixed matrix of signs; half the logarithm of its size is a column of its own. So it
    stays as it entered: a change of units does not reach back. The first 8 records are not
    compared, their units being too new, nor those from before `auto` changed its mind: there is no opinion
    before 8 + k records. What a record lacks counts as the centre: the quiet end of the range in
    `shape`, the clipped mean in `level`. On 2,000 numerals turned by 30 (180) degrees the ROC AUC of the raw
    score was .958 (.911) with all pixels, .950 (.898) with 128 columns and .940 (.875) with 64; means of 4
    streams. Nothing is expected, and there are no bands. Few fields are projected, too, so that a column
    that opens changes nothing before it.

    `expected` is the mean of the neighbours (in `shape`, brought to the size of the record), `scale`
    the unit; beyond 256 fields neither is given. Bands are those of `level`, shared by all fields: a
    record outside is flagged, one inside may be, too, where it lies between its neighbours. `shape` has none.

    References
    ----------
    .. [1] E. Knorr, R. Ng, "Algorithms for mining distance-based outliers in large datasets", VLDB 1998.
    """

    raw_kind = "distance"

    def __init__(
        self,
        k: int | Literal["auto"] = "auto",
        window: int = 100,
        tau: float = 500.0,
        metric: Literal["auto", "level", "shape"] = "auto",
        project: int = 0,
    ) -> None:
        if k != "auto" and k < 1:
            raise ValueError(f"k must be auto or at least 1, got {k}")
        least = max(10, LEVEL_K if k == "auto" else k)
        if window < least:
            raise ValueError(f"window must be at least {least} records, got {window}")
        if not 0.0 < tau < math.inf:
            raise ValueError(f"tau must be > 0 and finite, got {tau}")
        if metric not in METRICS:
            raise ValueError(f"metric must be auto, level or shape, got {metric!r}")
        if project < 0 or 0 < project < LEAST_PROJECT:
            raise ValueError(f"project must be 0 or at least {LEAST_PROJECT} columns, got {project}")
        self.k = k
        self.window = window
        self.tau = tau
        self.metric = metric
        self.project = project
        self.state_class = ProjectedState if project else NeighboursState
        self._matrix = signs(0, project) if project else None

    def bind(self, fields: Sequence[str], params: Params) -> None:
        super().bind(fields, params)
        if self.project:
            self._matrix = signs(len(self.fields), self.project)

    def state_spec(self, n_features: int) -> Spec:
        d, w = n_features, self.window
        spec: Spec = {
            **dict.fromkeys(("origin", "low", "high", "middle", "inverse", "ends"), ((d,), np.float64)),
            **dict.fromkeys(("unit", "typical"), ((), np.float64)),
            **dict.fromkeys(("count", "holes"), ((d,), np.int64)),
            **dict.fromkeys(("chosen", "entered"), ((), np.int64)),
            "ring": ((self.project + 1 if self.project else d, w), np.float64),
            "norms" if self.project else "radii": ((w,), np.float64),
        }
        if self.project:
            del spec["holes"]
        return spec

    def step(self, state: State, slots: np.ndarray, rows: Rows) -> Estimates:
        n, d = rows.X.shape
        out = Estimates.none(rows)
        shape_k, level_k = (SHAPE_K, LEVEL_K) if self.k == "auto" else (self.k, self.k)
        most = max(shape_k, level_k)
        parameters = NeighboursParameters(METRICS[self.metric], shape_k, level_k, float(self.tau))
        scratch = NeighboursScratch(
            np.empty(d), np.empty(d), Distances(np.empty(self.window), np.empty(self.window)), np.empty(most),
            np.empty(most, np.int64),
        )  # fmt: skip
        arrays = self.state_arrays(state)
        if self._matrix is not None:
            point = np.empty(self.project + 1)
            self.run(projected_step, n, rows.arrays(slots), parameters, self._matrix, arrays, out, scratch, point)
        else:
            self.run(step, n, rows.arrays(slots), parameters, arrays, out, scratch)
        return out

    def multiples(
        self, state: State, slots: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        metric = METRICS[self.metric] if self.metric != "auto" else state["chosen"][slots]
        shared = np.where((metric == SHAPE) | (self.project > 0), np.nan, np.maximum(high, 0.0))
        return -shared, shared
