"""How well many fields are judged: ROC and PR areas of an estimator, before and after a threshold.

    python benchmarks/many_fields.py DATA [--estimator fields] [--threshold tail] [--only skab] [--jitter 8]

DATA is a folder of labelled sets: adbench, kdd99 (without its two floods), nsl_kdd, skab, smd, asd, smap_msl. All
records count after the first 200; of smd and asd those of the test part, after running through the train part.
Files are averaged within a family, families in the last column. Read tables are kept for the next run.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import FOLDER, table

from clipdetect import Detector, registry
from clipdetect.components import Estimator, Params, RawKind, Rows, Threshold, full_spec
from clipdetect.jit import Engine
from clipdetect.metrics import average_precision, roc_auc

HIDDEN = {"label", "changepoint", "timestamp", "attack", "difficulty", "class"}
TEXT = {"protocol_type", "service", "flag"}
FLOODS = {"smurf", "neptune"}
SKIPPED = 200  # records at the start of a stream that do not count
FAMILIES = ("adbench", "net", "skab", "smd", "asd", "smap_msl")
RATE = 0.001


@dataclass
class Stream:
    """X (n, d), truth (n,) bool, and the first record that counts."""

    family: str
    name: str
    X: np.ndarray
    truth: np.ndarray
    start: int


def columns(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """X and truth of a file; kept as an array for the next run."""
    kept = FOLDER / f"many-{path.parent.name}-{path.name.split('.csv')[0]}.npz"
    if kept.exists():
        with np.load(kept) as file:
            return file["X"], file["truth"]
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", newline="") as lines:  # type: ignore[operator]
        rows = csv.reader(lines)
        header = next(rows)
        taken = [j for j, name in enumerate(header) if name not in HIDDEN | TEXT]
        attack = header.index("attack") if "attack" in header else -1
        label = header.index("label") if "label" in header else -1
        floods = FLOODS if path.name.startswith("kdd99") else set()
        values, truth = [], []
        for row in rows:
            if attack >= 0 and row[attack] in floods:
                continue
            values.append([float(row[j] or "nan") for j in taken])
            truth.append(label >= 0 and float(row[label]) == 1.0)
    FOLDER.mkdir(parents=True, exist_ok=True)
    np.savez(kept, X=np.array(values), truth=np.array(truth, bool))
    return np.array(values), np.array(truth, bool)


def streams(data: Path, only: set[str]) -> Iterator[Stream]:
    """Every stream of the protocol, of the families asked for (all if none)."""

    def plain(family: str, paths: list[Path]) -> Iterator[Stream]:
        for path in paths if not only or family in only else []:
            X, truth = columns(path)
            yield Stream(family, f"{path.parent.name}/{path.name.split('.csv')[0]}", X, truth, SKIPPED)

    yield from plain("adbench", sorted((data / "adbench").glob("*.csv.gz")))
    yield from plain("net", [data / "kdd99/kdd99-train10.csv.gz", data / "nsl_kdd/nsl-train20.csv.gz"])
    yield from plain("skab", sorted(p for p in (data / "skab").glob("*/*.csv") if p.parent.name != "anomaly-free"))
    for family in ("smd", "asd"):
        for path in sorted((data / family).glob("*.test.csv.gz")) if not only or family in only else []:
            before, _ = columns(path.with_name(path.name.replace(".test.", ".train.")))
            X, truth = columns(path)
            both = np.concatenate([before, X])
            quiet = np.zeros(len(before), bool)
            yield Stream(family, path.name.split(".")[0], both, np.concatenate([quiet, truth]), len(before))
    yield from plain("smap_msl", sorted((data / "smap_msl").glob("*/*.csv.gz")))


def raw_scores(estimator: str | Estimator, X: np.ndarray) -> np.ndarray:
    """(n,) sizes of the raw scores of one key; a signed one without its sign."""
    names = [f"f{j}" for j in range(X.shape[1])]
    made = registry.build("estimator", estimator) if isinstance(estimator, str) else estimator
    assert isinstance(made, Estimator)
    found = Detector(made, "fixed", fields=names, engine="numba").step(X).raw
    return np.abs(found) if made.raw_kind == "residual" else found


def after(raw: np.ndarray, threshold: str, kind: RawKind, steady: bool) -> np.ndarray:
    """(n,) scores that a threshold makes of raw scores of a kind."""
    made = registry.build("threshold", threshold)
    assert isinstance(made, Threshold)
    made.bind(["x"], Params(engine=Engine("numba"), rate=RATE, raw_kind=kind, steady=steady))
    state = {name: np.zeros((1, *shape), dtype) for name, (shape, dtype) in full_spec(made, 1).items()}
    made.reset(state, np.zeros(1, np.int64), np.ones(1, np.int64))
    n, none = len(raw), np.full(len(raw), np.nan)
    rows = Rows(np.zeros((n, 1)), none, none.copy(), np.ones(n, bool), np.zeros(n, bool))
    return made.step(state, np.zeros(n, np.int64), made.prepared(raw), rows)[0]


def robust_z(X: np.ndarray) -> np.ndarray:
    """Mean of log(1 + |z|), z from median and deviation of the whole stream: it looks ahead."""
    middle = np.nanmedian(X, axis=0)
    unit = np.nanmedian(np.abs(X - middle), axis=0) / 0.6745
    unit = np.where(unit > 0, unit, np.nanstd(X, axis=0))
    z = np.abs(X - middle) / np.where(unit > 0, unit, 1.0)
    return np.asarray(np.nanmean(np.log1p(np.minimum(z, 100.0)), axis=1))


def areas(score: np.ndarray, stream: Stream) -> tuple[float, float]:
    """ROC and PR area over the records that count; one without a score is the least strange."""
    own, truth = np.nan_to_num(score[stream.start :], nan=-1e300), stream.truth[stream.start :]
    return roc_auc(own, truth), average_precision(own, truth)


def macro(found: dict[tuple[str, str], tuple[float, float]]) -> dict[str, np.ndarray]:
    """Mean of the files of each family, and of the families."""
    means = {}
    for family in FAMILIES:
        own = [each for (name, _), each in found.items() if name == family]
        if own:
            means[family] = np.nanmean(np.array(own), axis=0)
    means["ALL"] = np.mean(list(means.values()), axis=0)
    return means


def cells(means: dict[str, np.ndarray]) -> list[str]:
    """`ROC/PR` by family."""
    return [
        "/".join(f"{x:.3f}".lstrip("0") for x in means[name]) if name in means else "" for name in [*FAMILIES, "ALL"]
    ]


def measure(chosen: list[Stream], score: Callable[[Stream], np.ndarray], shown: bool = False) -> dict[str, np.ndarray]:
    """Macro means of a way to score; every stream too if shown."""
    found = {(each.family, each.name): areas(score(each), each) for each in chosen}
    if shown:
        for (_, name), (roc, pr) in found.items():
            print(f"{name:30s} {roc:.3f} {pr:.3f}")
    return macro(found)


def jittered(estimator: str, seed: int) -> Estimator:
    """The estimator with each of its constants times exp N(0, .25)."""
    made = registry.build("estimator", estimator)
    assert isinstance(made, Estimator)
    rng = np.random.default_rng(seed)
    made.constants = made.constants * np.exp(0.25 * rng.normal(size=len(made.constants)))  # type: ignore[attr-defined]
    return made


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--estimator", default="fields", help="names with blanks between them")
    parser.add_argument("--threshold", default="tail", help="names with commas; empty for none")
    parser.add_argument("--only", default="", help=f"some of {', '.join(FAMILIES)}")
    parser.add_argument("--jitter", type=int, default=0, help="runs with the constants moved")
    parser.add_argument("--files", action="store_true", help="every stream by itself")
    asked = parser.parse_args()
    chosen = list(streams(asked.data, set(filter(None, asked.only.split(",")))))
    lines = [["robust z, looks ahead", *cells(measure(chosen, lambda each: robust_z(each.X))), ""]]
    for estimator in asked.estimator.split():
        start = time.process_time()
        raws = {each.name: raw_scores(estimator, each.X) for each in chosen}
        numbers = sum(each.X.size for each in chosen)
        cost = f"{1e6 * (time.process_time() - start) / numbers:.2f}"
        raw_means = measure(chosen, lambda each, raws=raws: raws[each.name], asked.files)
        lines.append([f"`{estimator}`, raw", *cells(raw_means), cost])
        of = registry.build("estimator", estimator)
        assert isinstance(of, Estimator)
        for threshold in filter(None, asked.threshold.split(",")):
            judged = {name: after(raw, threshold, of.raw_kind, of.steady) for name, raw in raws.items()}
            means = measure(chosen, lambda each, judged=judged: judged[each.name])
            lines.append([f"`{estimator}`, `{threshold}`", *cells(means), ""])
        spread = []
        for seed in range(asked.jitter):
            made = [jittered(estimator, seed) for _ in chosen]
            by_name = dict(zip([each.name for each in chosen], made, strict=True))
            spread.append(measure(chosen, lambda each, by=by_name: raw_scores(by[each.name], each.X)))
        if spread:
            for what, average in (("mean", np.mean), ("deviation", np.std)):
                means = {name: average([each[name] for each in spread], axis=0) for name in spread[0]}
                lines.append([f"`{estimator}`, {asked.jitter} jitters: {what}", *cells(means), ""])
    table("ROC / PR", ["score", *FAMILIES, "ALL", "us a number"], lines)


if __name__ == "__main__":
    main()
