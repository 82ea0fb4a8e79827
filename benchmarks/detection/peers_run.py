"""Runs in the peers' own environment: one detector over many arrays.

    python peers_run.py METHOD < jobs

A job is a line of JSON: the array's file, the rows to run (first, last), the file for the scores. Each record is scored
before it is learned; each detector has its own default parameters. Missing values are filled with the last one.
Answers a line a job: {"out": ..., "seconds": CPU seconds of scoring and learning, "error": ...}.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np

Answer = tuple[np.ndarray, "np.ndarray | None"]
START = 200  # records that RSHash's bounds and DSPOT's first fit are taken from


def half_space_trees(X: np.ndarray) -> Answer:
    from river import anomaly, preprocessing

    model = preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(seed=0)
    score = np.zeros(len(X))
    for i, row in enumerate(X.tolist()):
        record = dict(enumerate(row))
        if i:
            score[i] = model.score_one(record)
        model.learn_one(record)
    return score, None


def gaussian(X: np.ndarray) -> Answer:
    from river import anomaly

    scorers = [anomaly.GaussianScorer() for _ in range(X.shape[1])]
    constant = X[0].tolist()
    score = np.zeros(len(X))
    for i, row in enumerate(X.tolist()):
        top = 0.0
        for j, (scorer, value) in enumerate(zip(scorers, row, strict=True)):
            if value != constant[j]:  # of a field that never moved it would always say 1
                top = max(top, _finite(scorer.score_one(None, value)))
                constant[j] = math.nan
            scorer.learn_one(None, value)
        score[i] = top
    return score, None


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _pysad(make: Callable[[np.ndarray], object]) -> Callable[[np.ndarray], Answer]:
    def run(X: np.ndarray) -> Answer:
        model = make(X)
        score = np.zeros(len(X))
        for i, row in enumerate(X):
            if i:
                score[i] = float(np.ravel(model.score_partial(row))[0])  # type: ignore[attr-defined]
            model.fit_partial(row)  # type: ignore[attr-defined]
        return score, None

    return run


def xstream(X: np.ndarray) -> object:
    from pysad.models import xStream

    return xStream(random_state=0)


def rshash(X: np.ndarray) -> object:
    from pysad.models import RSHash

    low, high = X[:START].min(axis=0), X[:START].max(axis=0)
    return RSHash(low, np.where(high > low, high, low + 1.0), random_state=0)


def loda(X: np.ndarray) -> object:
    from pysad.models import LODA

    return LODA(random_state=0)


def storm(X: np.ndarray) -> object:
    from pysad.models import ExactStorm

    return ExactStorm()


def dspot(X: np.ndarray, q: float = 1e-3, depth: int = 10) -> Answer:
    """Per field and side, on the difference to the mean of the last `depth`; the most extreme tail probability."""
    from libspot import Spot

    n, d = X.shape
    score, flag = np.full(n, -400.0), np.zeros(n, bool)
    for j in range(d):
        x = X[:, j]
        sums = np.concatenate([[0.0], np.cumsum(x)])
        at = np.arange(n)
        low = np.maximum(at - depth, 0)
        mean = np.where(at > 0, (sums[at] - sums[low]) / np.maximum(at - low, 1), x)
        for side in (1.0, -1.0):
            values = side * (x - mean)
            spot = Spot(q=q)
            try:
                spot.fit(values[:START])
                for i, value in enumerate(values[START:].tolist(), START):
                    p = spot.probability(value)
                    if p == 0.0:
                        score[i] = max(score[i], 400.0)
                    elif p > 0.0:
                        score[i] = max(score[i], -math.log10(p))
                    flag[i] |= spot.step(value) == 1
            except Exception:  # a field without a tail, such as a constant, cannot be fitted
                continue
    return score, flag


def rolling_z(X: np.ndarray, window: int = 100) -> Answer:
    """Largest |x - mean| / sd over the fields, of the `window` records before."""
    n = len(X)
    score = np.zeros(n)
    centre = X[0]  # sums of squares stay small around it
    sums = np.vstack([np.zeros(X.shape[1]), np.cumsum(X - centre, axis=0)])
    squares = np.vstack([np.zeros(X.shape[1]), np.cumsum((X - centre) ** 2, axis=0)])
    for start in range(2, n, 10_000):
        at = np.arange(start, min(start + 10_000, n))
        low = np.maximum(at - window, 0)
        m = (at - low)[:, None]
        mean = (sums[at] - sums[low]) / m
        variance = (squares[at] - squares[low]) / m - mean**2
        deviation = np.abs(X[at] - centre - mean)
        sd = np.sqrt(np.maximum(variance, 1e-12 * (1.0 + mean**2)))
        score[at] = np.minimum(deviation / sd, 1e6).max(axis=1)
    return score, score > 3.0


def isolation_forest(X: np.ndarray) -> Answer:
    """Looks ahead: fitted on the whole stream first."""
    from sklearn.ensemble import IsolationForest

    model = IsolationForest(random_state=0).fit(X)
    return -model.score_samples(X), None


METHODS: dict[str, Callable[[np.ndarray], Answer]] = {
    "river_hst": half_space_trees,
    "river_gaussian": gaussian,
    "pysad_loda": _pysad(loda),
    "pysad_rshash": _pysad(rshash),
    "pysad_xstream": _pysad(xstream),
    "pysad_storm": _pysad(storm),
    "libspot_dspot": dspot,
    "rolling_z": rolling_z,
    "iforest": isolation_forest,
}


def filled(X: np.ndarray) -> np.ndarray:
    """Missing values as the last one of their column, 0 before the first; nothing beyond 1e30."""
    at = np.where(np.isfinite(X), np.arange(len(X))[:, None], 0)
    np.maximum.accumulate(at, axis=0, out=at)
    return np.clip(np.nan_to_num(np.take_along_axis(X, at, axis=0), nan=0.0, posinf=0.0, neginf=0.0), -1e30, 1e30)


def main() -> None:
    """Answer the jobs of stdin."""
    warnings.filterwarnings("ignore")
    method = METHODS[sys.argv[1]]
    method(np.random.default_rng(0).standard_normal((300, 2)))  # imports, outside the measured time
    for line in sys.stdin:
        job = json.loads(line)
        answer = {"out": job["out"], "seconds": 0.0, "error": ""}
        X = filled(np.load(job["array"])["X"][job["first"] : job["last"]].astype(float))
        before = time.process_time()
        try:
            with np.errstate(all="ignore"):
                score, flag = method(X)
            answer["seconds"] = time.process_time() - before
            parts = {"score": score, "seconds": np.array(answer["seconds"])}
            if flag is not None:
                parts["flag"] = flag
            with open(job["out"] + ".part", "wb") as file:
                np.savez_compressed(file, **parts)  # type: ignore[arg-type]
            os.replace(job["out"] + ".part", job["out"])
        except Exception as error:  # one detector's failure on one stream is a result
            answer["error"] = f"{type(error).__name__}: {error}"
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
