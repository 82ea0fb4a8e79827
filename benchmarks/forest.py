"""How well does `forest` rank on six families of labelled data? ROC-AUC and average precision.

    python benchmarks/forest.py DATA [--seeds 5] [--families adbench,net] [--jitter 8] [--blank 0.2] [--peer]

One pass, each record scored before it is learned; all records after the first 200 count (smd and asd: the test part,
after the train part). The label is hidden. Means over the files of a family, then over families.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from common import table

from clipdetect import Detector
from clipdetect.estimators.forest import Forest

FAMILIES = ("adbench", "net", "skab", "smd", "asd", "smap_msl")
HIDDEN = ("label", "attack", "difficulty", "changepoint", "timestamp", "protocol_type", "service", "flag")
FIRST = 200


def read(path: Path, drop: tuple[str, ...] = ()) -> tuple[np.ndarray, np.ndarray]:
    """(n, d) numeric fields and (n,) labels of a file, without records whose attack is in `drop`."""
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    names = next(csv.reader(io.StringIO(text)))
    shown = [j for j, name in enumerate(names) if name not in HIDDEN]
    rows = list(csv.reader(io.StringIO(text)))[1:]
    if drop:
        rows = [row for row in rows if row[names.index("attack")] not in drop]
    X = np.array([[row[j] or "nan" for j in shown] for row in rows], float)
    label = np.array([float(row[names.index("label")]) for row in rows]) if "label" in names else np.zeros(len(rows))
    return X, label


def sets(data: Path, family: str) -> Iterator[tuple[str, np.ndarray, np.ndarray, int]]:
    """Name, X, label and first counted record of each file of a family."""
    if family == "net":
        yield "kdd99", *read(data / "kdd99/kdd99-train10.csv.gz", ("smurf", "neptune")), FIRST
        yield "nsl_kdd", *read(data / "nsl_kdd/nsl-train20.csv.gz"), FIRST
    elif family in ("smd", "asd"):
        for path in sorted((data / family).glob("*.test.csv.gz")):
            X, label = read(path)
            before, _ = read(path.with_name(path.name.replace(".test.", ".train.")))
            yield path.name, np.vstack([before, X]), np.append(np.zeros(len(before)), label), len(before)
    else:
        for path in sorted((data / family).rglob("*.csv*")):
            if path.name != "anomaly-free.csv":
                yield path.name, *read(path), FIRST


def ranks(label: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    """ROC-AUC and average precision; a record without score is the least strange."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    score = np.where(np.isnan(score), -1.0, score)
    return float(roc_auc_score(label, score)), float(average_precision_score(label, score))


def run(X: np.ndarray, seed: int, params: dict[str, int], factors: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Raw and final scores."""
    forest = Forest(**params)
    if factors is not None:
        forest.constants = forest.constants._make((np.array(forest.constants) * factors).tolist())
    names = [f"f{j}" for j in range(X.shape[1])]
    detector = Detector(forest, "tail", fields=names, engine="numba", seed=seed)
    raw, score = [], []
    for at in range(0, len(X), 4096):
        part = detector.step(X[at : at + 4096])
        raw.append(part.raw)
        score.append(part.score)
    return np.concatenate(raw), np.concatenate(score)


def peer(X: np.ndarray, seed: int) -> np.ndarray:
    """scikit-learn's isolation forest, fitted on the whole file first."""
    from sklearn.ensemble import IsolationForest

    return -IsolationForest(random_state=seed).fit(X).score_samples(X)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jitter", type=int, default=0, help="runs with every constant times exp N(0, .25)")
    parser.add_argument("--blank", type=float, default=0.0, help="share of cells to blank at random")
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--most", type=int, default=10**9, help="records of a file")
    parser.add_argument("--files", action="store_true", help="a line a file, too")
    asked = parser.parse_args()
    families = asked.families.split(",")
    runs = asked.jitter or asked.seeds
    kinds = ["raw", "tail", *(["IsolationForest*"] if asked.peer else [])]
    found = np.full((len(families), len(kinds), runs, 2), np.nan)
    each = []
    for f, family in enumerate(families):
        own = []
        for name, X, label, first in sets(asked.data, family):
            X, label = X[: asked.most], label[: asked.most]
            if not 0 < label[first:].sum() < len(label) - first:
                continue
            if asked.blank:
                X[np.random.default_rng(5).random(X.shape) < asked.blank] = np.nan
            cells = []
            for run_number in range(runs):
                rng = np.random.default_rng([run_number, 77])
                factors = None
                params: dict[str, int] = {}
                if asked.jitter:
                    jitter = np.exp(rng.normal(0.0, 0.25, 20))
                    factors = jitter[: len(Forest().constants)]
                    wanted = {"trees": 64, "sample": 128, "reservoir": 256, "horizon": 10_000, "patience": 3000}
                    params = {key: int(v * jitter[-1 - j]) for j, (key, v) in enumerate(wanted.items())}
                    params["reservoir"] = max(params["reservoir"], params["sample"])
                raw, score = run(X, run_number, params, factors)
                made = [raw, score]
                if asked.peer:
                    made.append(peer(X, run_number))
                cells.append([ranks(label[first:], s[first:]) for s in made])
            own.append(np.array(cells).transpose(1, 0, 2))
            each.append([family, name, *[" / ".join(f"{v:.3f}" for v in own[-1][0].mean(0))]])
        found[f] = np.mean(own, axis=0)
    if asked.files:
        table("Raw, by file", ["family", "file", "ROC / PR"], each)
    whole = np.concatenate([found, found.mean(0, keepdims=True)])
    lines = []
    for c, kind in enumerate(kinds):
        mean, spread = whole[:, c].mean(1), whole[:, c].std(1)
        lines.append([kind, *[f"{m[0]:.3f}/{m[1]:.3f}" for m in mean]])
        lines.append(["spread", *[f"{m[0]:.3f}/{m[1]:.3f}" for m in spread]])
    table(f"ROC / PR, {runs} runs", ["score", *families, "ALL"], lines)


if __name__ == "__main__":
    main()
