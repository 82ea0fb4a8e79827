"""Digests of what every component gives on hostile streams, to see that a change of the code changes no bit.

    python benchmarks/same_bits.py FILE [NAME]...        writes FILE: a digest for each component, stream and engine
    python benchmarks/same_bits.py --compare FILE FILE   prints how many are equal, and which are not

NAME : a component, with its parameters if wanted (`forest`, `tail`, `clipped_sgd:loss=linear`); all where none is
given. Another checkout is measured with PYTHONPATH set to it. The streams hold gaps, infinities, values beyond the
readable range, constants, jumps, drift, several keys, restarts and records that must not be learned.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from clipdetect import registry
from clipdetect.detector import Detector
from clipdetect.scored import Scored
from clipdetect.testing import NASTY, feed

KINDS = ("feature", "changepoint", "estimator", "threshold")
MORE = [
    ("changepoint", "clipped_mean:constants=guaranteed"),
    ("changepoint", "clipped_mean:constants=printed"),
    ("estimator", "clipped_sgd:loss=linear"),
    ("estimator", "clipped_sgd:loss=logistic"),
    ("estimator", "level:reject=false"),
    ("estimator", "neighbours:project=8"),
    ("estimator", "neighbours:window=50"),
    ("feature", "rate:shape=decay"),
    ("threshold", "spot:depth=0"),
]
ROWS = {"numba": 3000, "python": 700}


def streams(n: int) -> Iterator[tuple[str, np.ndarray, int]]:
    """Name, X (n, d) and number of keys."""
    rng = np.random.default_rng(11)
    for d in (1, 3, 8):
        X = rng.standard_t(3, (n, d)) + 5.0 * rng.random(d)
        X[rng.random((n, d)) < 0.1] = np.nan
        X[n // 3 : n // 2] += 8.0
        X[:: n // 7] *= 30.0
        yield f"gaps, jumps and spikes, {d}", X, 1
    X = rng.normal(size=(n, 3))
    at = rng.random(X.shape) < 0.2
    X[at] = rng.choice(NASTY, int(at.sum()))
    yield "hostile values", X, 1
    yield "hostile values, 3 keys", X[::-1].copy(), 3
    X = np.repeat(rng.integers(0, 3, (n // 50 + 1, 3)) * 1.0, 50, axis=0)[:n]
    yield "constants that change", X, 1
    X = np.full((n, 1), 7.25)
    X[n // 2] = 9.0
    X[-40:] += np.arange(40)[:, None] % 2
    yield "a constant, one other value, another regime", X, 1
    walk = np.cumsum(rng.normal(size=(n, 8)), axis=0)
    walk[:, 3] = np.sin(np.arange(n) * 0.26) * 4.0 + 0.1 * rng.normal(size=n)
    yield "walks and a season", walk, 1
    X = np.exp(rng.normal(size=(n, 3)) * 4.0) * rng.choice([1e-200, 1.0, 1e140], 3)
    yield "many decades", X, 2
    X = rng.normal(size=(n, 8)) @ rng.normal(size=(8, 8))
    X[:, 5:] = np.round(X[:, 5:])
    yield "related fields, counts", X, 5


def detector(kind: str, spec: str, engine: str) -> Detector:
    """One in which the component has its place."""
    part = registry.build(kind, spec)
    estimator = part if kind == "estimator" else "zscore"
    threshold = part if kind == "threshold" else "tail"
    more = {"features": [part]} if kind == "feature" else {"changepoint": part} if kind == "changepoint" else {}
    return Detector(estimator, threshold, engine=engine, labelled=True, **more)  # type: ignore[arg-type]


def digest(kind: str, spec: str, engine: str, X: np.ndarray, keys: int) -> str:
    """Of all that is scored and of the state after it."""
    found = hashlib.blake2b(digest_size=12)
    tested = detector(kind, spec, engine)
    names = None if keys == 1 else [f"k{(i * i) % keys}" for i in range(len(X))]
    tested.rebase = True
    for a, b, learn in cuts(len(X)):
        scored = feed(tested, X[a:b], a, names and names[a:b], learn)
        for each in Scored.__slots__:
            array = getattr(scored, each)
            if array is not None:
                if array.dtype == np.float64:
                    array = np.where(np.isnan(array), np.nan, array)
                found.update(each.encode() + array.tobytes())
    for name, array in sorted(tested.dump()[2].items()):
        found.update(name.encode() + array.tobytes())
    return found.hexdigest()


def cuts(n: int) -> list[tuple[int, int, bool]]:
    """First and last row of a block, and whether it is learned."""
    return [(0, 1, True), (1, n // 2, True), (n // 2, n // 2 + 30, False), (n // 2 + 30, n, True)]


def write(path: Path, wanted: list[str]) -> None:
    """Digests of the components wanted."""
    every = [*((kind, name) for kind in KINDS for name in registry.names(kind)), *MORE]
    lines = []
    for kind, spec in every:
        if wanted and spec not in wanted and spec.partition(":")[0] not in wanted:
            continue
        start = time.process_time()
        for engine in ("numba", "python"):
            for name, X, keys in streams(ROWS[engine]):
                lines.append(f"{digest(kind, spec, engine, X, keys)} {kind} {spec} | {engine} | {name}")
        print(f"{kind} {spec}: {time.process_time() - start:.0f} s", flush=True)
    path.write_text("\n".join(lines) + "\n")


def compare(one: Path, other: Path) -> int:
    """1 where a digest that both files have differs."""
    left, right = (dict(line.split(" ", 1)[::-1] for line in each.read_text().splitlines()) for each in (one, other))
    both = left.keys() & right.keys()
    unlike = sorted(name for name in both if left[name] != right[name])
    print(f"{len(both) - len(unlike)} of {len(both)} equal")
    for name in unlike:
        print("differs:", name)
    return int(bool(unlike) or not both)


if __name__ == "__main__":
    np.seterr(all="ignore")
    if sys.argv[1] == "--compare":
        sys.exit(compare(Path(sys.argv[2]), Path(sys.argv[3])))
    write(Path(sys.argv[1]), sys.argv[2:])
