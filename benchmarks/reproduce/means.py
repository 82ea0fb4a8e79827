"""Methods that follow the mean of a stream, and how far off they are."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.reproduce.streams import CLEAN, DRIFTS, Drift, Stream, stream
from clipdetect import Detector
from clipdetect.components import Estimator
from clipdetect.estimators.clipped_sgd import ClippedSgd
from clipdetect.jit import kernel
from clipdetect.numerics.rolling import push, quantile

NEAR = 1.0  # scales; a method is back after a jump when it is nearer than this
STAYS = 30  # records in a row


@kernel
def clipped_steps(X, start, eta, lam, out):
    """th <- th + eta clip(x - th, lam); the estimate before each record goes into out (n, d). start: (d,)."""
    d = X.shape[1]
    theta = start.copy()
    for t in range(X.shape[0]):
        square = 0.0
        for j in range(d):
            out[t, j] = theta[j]
            square += (X[t, j] - theta[j]) * (X[t, j] - theta[j])
        size = math.sqrt(square)
        step = eta if size <= lam else eta * lam / size
        for j in range(d):
            theta[j] += step * (X[t, j] - theta[j])


@kernel
def medians(X, window, ring, ordered, count, out):
    """Coordinatewise median of the last `window` records before each record. ring, ordered: (1, d, window)."""
    for t in range(X.shape[0]):
        for j in range(X.shape[1]):
            out[t, j] = quantile(0, j, 0.5, ordered, count) if t > 0 else X[0, j]
            push(X[t, j], 0, j, ring, ordered, count)


def sgd(X: np.ndarray, eta: float, lam: float = math.inf) -> np.ndarray:
    """The recursion alone, from the median of the first records, clipped at length `lam`; for settings in dozens."""
    out = np.empty_like(X)
    clipped_steps.compiled(X, np.median(X[:CLEAN], axis=0), eta, lam, out)
    return out


def running_median(X: np.ndarray, window: int = 101) -> np.ndarray:
    """Median of the last records, column by column."""
    d, out = X.shape[1], np.empty_like(X)
    ring, ordered = np.zeros((1, d, window)), np.zeros((1, d, window))
    medians.compiled(X, window, ring, ordered, np.zeros((1, d), np.int64), out)
    return out


def expected(X: np.ndarray, estimator: str | Estimator) -> np.ndarray:
    """What a detector with this estimator expects before each record."""
    return Detector(estimator, engine="numba").step(X).expected


def errors(estimate: np.ndarray, stream: Stream) -> np.ndarray:
    """(n,) distance from the truth in scales; NaN for the first records, which are judged for no method."""
    off = estimate - stream.truth
    error = np.sqrt((off * off).sum(axis=1)) / stream.scale
    error[:CLEAN] = np.nan
    return error


def recoveries(error: np.ndarray, jumps: tuple[int, ...]) -> list[int]:
    """Records from each jump to the first of 30 in a row with an error under one scale; at most to the next jump.

    So many records of the new level had been learned when the estimate was good again.
    """
    found = []
    for start, stop in itertools.pairwise([*jumps, len(error)]):
        near = error[start:stop] < NEAR
        run = np.convolve(near, np.ones(STAYS, int), "valid") == STAYS
        found.append(int(np.argmax(run)) if run.any() else stop - start)
    return found


SGD, EWMA, MEDIAN = "SGD, T^-2/3", "EWMA, rate .05", "running median of 101"
CLIPPED, DOUBLING, TUNED, LEVEL = (
    "clipped_sgd, T^-2/3",
    "clipped_sgd, nothing given",
    "clipped SGD, best of 25",
    "level",
)
LINE = "linear, a target alone"  # in one dimension
METHODS: dict[str, Callable[[Stream], np.ndarray]] = {
    SGD: lambda stream: sgd(stream.X, len(stream.X) ** (-2.0 / 3.0)),
    EWMA: lambda stream: sgd(stream.X, 0.05),
    MEDIAN: lambda stream: running_median(stream.X),
    CLIPPED: lambda stream: clipped(stream, 2.0 / 3.0),
    DOUBLING: lambda stream: expected(stream.X, "clipped_sgd"),
    LEVEL: lambda stream: expected(stream.X, "level"),
    LINE: lambda stream: expected(stream.X, "linear"),
}
ALL = (SGD, EWMA, MEDIAN, CLIPPED, DOUBLING, TUNED, LEVEL, LINE)
ETAS = (0.002, 0.006, 0.02, 0.06, 0.2)
CLIPS = (0.5, 1.0, 2.0, 4.0, 8.0)  # scales


def clipped(stream: Stream, alpha: float) -> np.ndarray:
    """The paper's clipped SGD told the scale and the length of the stream: clip at two scales, step T^-alpha."""
    return expected(stream.X, ClippedSgd(alpha=alpha, horizon=len(stream.X), clip=f"oracle:{stream.scale!r}"))


def judged(estimate: np.ndarray, stream: Stream) -> tuple[float, list[int]]:
    """Mean error a record in scales (regret / T), and the recoveries."""
    error = errors(estimate, stream)
    return float(np.nanmean(error)), recoveries(error, stream.jumps)


def compare(law: str, d: int, corrupt: float, distance: float, seeds: tuple[int, ...]) -> dict[str, Any]:
    """All methods on all drifts. By drift and method: error by seed, recoveries; of 25 (eta, clip) the best."""
    found: dict[str, Any] = {}
    for name, drift in DRIFTS.items():
        methods = {each: method for each, method in METHODS.items() if d == 1 or each != LINE}
        results: dict[str, Any] = {each: {"error": [], "recovery": []} for each in methods}
        pairs = [{"eta": eta, "clip": clip, "error": [], "recovery": []} for eta in ETAS for clip in CLIPS]
        for seed in seeds:
            made = stream(seed, law, d, corrupt, distance, drift)
            runs = [(results[each], method(made)) for each, method in methods.items()]
            runs += [(pair, sgd(made.X, pair["eta"], pair["clip"] * made.scale)) for pair in pairs]
            for into, estimate in runs:
                error, recovery = judged(estimate, made)
                into["error"].append(error)
                into["recovery"] += recovery
        results[TUNED] = min(pairs, key=lambda pair: float(np.mean(pair["error"])))
        found[name] = results
    return found


def apart(seeds: tuple[int, ...]) -> float:
    """Largest difference, in scales, of `clipped_sgd` from the recursion alone, when their starts are forgotten."""
    worst = 0.0
    for seed in seeds:
        for d in (1, 10):
            made = stream(seed, d=d, drift=DRIFTS["walk .01"])
            gap = clipped(made, 0.5) - sgd(made.X, len(made.X) ** -0.5, 2.0 * made.scale)
            worst = max(worst, float(np.abs(gap[len(gap) // 2 :]).max() / made.scale))
    return worst


def after_jumps(jump: float, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Median error of each method by records since the jump, on a grid, and the recoveries of `level`.

    One dimension, t noise, 5% corruption at 30 scales.
    """
    grid = np.unique(np.geomspace(1, 4000, 80).astype(int))
    back: list[int] = []
    errors_by_method: dict[str, list[np.ndarray]] = {each: [] for each in METHODS}
    for seed in seeds:
        made = stream(seed, "t", 1, 0.05, 30.0, Drift(jumps=4, jump=jump))
        for each, method in METHODS.items():
            error = errors(method(made), made)
            errors_by_method[each] += [error[at : at + 4000] for at in made.jumps]
            back += recoveries(error, made.jumps) if each == LEVEL else []
    curves = {each: np.median(rows, axis=0)[grid - 1].tolist() for each, rows in errors_by_method.items()}
    return {"records": grid.tolist(), "recovery": back, **curves}
