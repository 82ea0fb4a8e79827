"""How well many fields are judged: ROC and PR areas of an estimator, before and after a threshold; and its manners.

    python benchmarks/many_fields.py DATA [--only protocol,jitter,blank,adopt,vanish,restart] [--families skab,smd]

DATA is a folder of labelled sets: adbench, kdd99 (without its two floods), nsl_kdd, skab, smd, asd, smap_msl, drift.
All records count after the first 200; of smd and asd those of the test part, after running through the train part.
Files are averaged within a family, families in the last column. Read tables are kept for the next run.

protocol: the areas, robust z beside them, and the cost. jitter: with every constant of the estimator times
exp N(0, .25). blank: with a fifth of the values missing at random. adopt: records until a shift of half of the fields
is normal: the median of 200 raw scores is back under the 95% quantile of before. vanish: flags more when a field is
missing for 1,000 records and returns, or is first seen late. restart: skab after its file without anomalies.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import FOLDER, perturbed, table

from clipdetect import Detector, registry
from clipdetect.components import Estimator, Params, RawKind, Rows, Threshold, full_spec
from clipdetect.jit import Engine
from clipdetect.metrics import average_precision, roc_auc
from clipdetect.scored import Scored

HIDDEN = {"label", "changepoint", "timestamp", "attack", "difficulty", "class"}
TEXT = {"protocol_type", "service", "flag"}
FLOODS = {"smurf", "neptune"}
SKIPPED = 200  # records at the start of a stream that do not count
FAMILIES = ("adbench", "net", "skab", "smd", "asd", "smap_msl")
RATE = 0.001
BLANK = 0.2  # of the values
SHIFTS = (5.0, 20.0)  # scale units
CHANGE: dict[str, Any] = {"changepoint": "clipped_mean", "rebase": True}


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
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", newline="") as lines:
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
    made = build(estimator) if isinstance(estimator, str) else estimator
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


def build(estimator: str) -> Estimator:
    """An estimator by its name."""
    made = registry.build("estimator", estimator)
    assert isinstance(made, Estimator)
    return made


def jittered(estimator: str, seed: int) -> Estimator:
    """The estimator with each of its constants times exp N(0, .25)."""
    made = build(estimator)
    rng = np.random.default_rng(seed)
    made.constants = perturbed(made.constants, rng, 0.25)  # type: ignore[attr-defined]
    return made


def blanked(X: np.ndarray) -> np.ndarray:
    """X without a fifth of its values."""
    return np.where(np.random.default_rng(0).random(X.shape) < BLANK, np.nan, X)


def run(estimator: str, X: np.ndarray, threshold: str = "fixed", **more: Any) -> Scored:
    """What a detector says of one key; None for what is off."""
    names = [f"f{j}" for j in range(X.shape[1])]
    return Detector(estimator, threshold, fields=names, engine="numba", **more).step(X)


def _of(scores: dict[str, np.ndarray], each: Stream) -> np.ndarray:
    return scores[each.name]


class Bench:
    """What is measured, of which estimator and thresholds, on which streams."""

    def __init__(self, data: Path, estimator: str, thresholds: Sequence[str], families: set[str], times: int) -> None:
        self.data, self.estimator, self.thresholds = data, estimator, thresholds
        self.families, self.times, self.shown = families, times, False
        self.chosen: list[Stream] = []

    def _streams(self) -> list[Stream]:
        self.chosen = self.chosen or list(streams(self.data, self.families))
        return self.chosen

    def _lines(self, what: str, make: Callable[[Stream], np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
        """Macro means of raw scores and after each threshold, by what is said of them."""
        of = build(self.estimator)
        raws = {each.name: make(each) for each in self._streams()}
        found = {f"`{self.estimator}`{what}, raw": measure(self.chosen, lambda each: raws[each.name], self.shown)}
        for threshold in self.thresholds:
            judged = {name: after(raw, threshold, of.raw_kind, of.steady) for name, raw in raws.items()}
            found[f"`{self.estimator}`{what}, `{threshold}`"] = measure(self.chosen, partial(_of, judged), self.shown)
        return found

    def protocol(self) -> None:
        """Areas of the families."""
        lines = [["robust z, looks ahead", *cells(measure(self._streams(), lambda each: robust_z(each.X))), ""]]
        raw_scores(self.estimator, self.chosen[0].X[:500])  # compiles
        start = time.process_time()
        for each in self.chosen:
            raw_scores(self.estimator, each.X)
        cost = f"{1e6 * (time.process_time() - start) / sum(each.X.size for each in self.chosen):.2f}"
        for name, means in self._lines("", lambda each: raw_scores(self.estimator, each.X)).items():
            lines.append([name, *cells(means), cost])
            cost = ""
        table("ROC / PR", ["score", *FAMILIES, "ALL", "us a number"], lines)

    def _jittered(self, seed: int, each: Stream) -> np.ndarray:
        return raw_scores(jittered(self.estimator, seed), each.X)

    def jitter(self) -> None:
        """Areas where the constants are others."""
        runs = [self._lines("", partial(self._jittered, seed)) for seed in range(self.times)]
        lines = []
        for name in runs[0]:
            for what, average in (("mean", np.mean), ("deviation", np.std), ("least", np.min), ("most", np.max)):
                means = {family: average([each[name][family] for each in runs], axis=0) for family in runs[0][name]}
                lines.append([f"{name}: {what}", *cells(means)])
        table(f"ROC / PR of {self.times} jitters", ["score", *FAMILIES, "ALL"], lines)

    def blank(self) -> None:
        """Areas with gaps."""
        found = self._lines("", lambda each: raw_scores(self.estimator, each.X))
        found |= self._lines(f", {BLANK:.0%} missing", lambda each: raw_scores(self.estimator, blanked(each.X)))
        table("ROC / PR with gaps", ["score", *FAMILIES, "ALL"], [[name, *cells(each)] for name, each in found.items()])

    def _sets(self) -> Iterator[tuple[str, np.ndarray, int]]:
        """Name, X and the record at which something happens."""
        yield "neweather", columns(self.data / "drift/neweather.csv.gz")[0], 9000
        for family, name, at in (("asd", "omi-5", 7000), ("smd", "machine-2-7", 11_000)):
            parts = [columns(self.data / family / f"{name}.{part}.csv.gz")[0] for part in ("train", "test")]
            yield name, np.concatenate(parts), at

    def adopt(self) -> None:
        """A new level for ever."""
        lines = []
        for name, X, at in self._sets():
            line = [name, str(len(X) - at)]
            before = X[:at]
            unit = np.median(np.abs(before - np.median(before, axis=0)), axis=0) / 0.6745
            deviation = before.std(axis=0)
            unit = np.where(unit > 0, unit, deviation)
            moved = np.flatnonzero(deviation > 0)[::2]
            for size in SHIFTS:
                Y = X.copy()
                Y[at:, moved] += size * unit[moved]
                raw = run(self.estimator, Y).raw
                usual = np.quantile(raw[200:at], 0.95)
                starts = np.arange(at, len(raw) - 200, 50)
                low = np.flatnonzero([np.median(raw[each : each + 200]) < usual for each in starts])
                line.append(str(50 * low[0]) if len(low) else "never")
            lines.append(line)
        table("Records until a shift is normal", ["set", "left", *[f"{size:g} units" for size in SHIFTS]], lines)

    def vanish(self) -> None:
        """A field missing for a while, and one that comes late; every field of a set in turn."""
        lines = []
        for threshold in self.thresholds:
            for name, X, at in self._sets():
                flagged = run(self.estimator, X, threshold).flag == 1
                for what, first, stop in (
                    ("missing", at, at + 1000),
                    ("first seen late", 0, min(10_000, len(X) - 2500)),
                ):
                    more = []
                    for j in np.flatnonzero(X.std(axis=0) > 0):
                        Y = X.copy()
                        Y[first:stop, j] = np.nan
                        flags = run(self.estimator, Y, threshold).flag == 1
                        own = [slice(first, stop), slice(stop, stop + 1000)]
                        more.append([int(flags[part].sum()) - int(flagged[part].sum()) for part in own])
                    worst, mean = np.max(more, axis=0), np.mean(more, axis=0)
                    lines.append([f"`{threshold}`", name, what, *[f"{mean[m]:+.1f} {worst[m]:+d}" for m in (0, 1)]])
        header = ["threshold", "set", "a field is", "while missing: mean, most", "in the 1,000 after"]
        table("Flags more than with every field", header, lines)

    def restart(self) -> None:
        """Another operating point after a file without anomalies."""
        quiet, _ = columns(self.data / "skab/anomaly-free/anomaly-free.csv")
        ways = {
            "cold": None,
            "after the quiet file": {},
            "with `--changepoint clipped_mean --on-change rebase`": CHANGE,
        }
        of, lines = build(self.estimator), []
        for way, options in ways.items():
            found: dict[str, dict[tuple[str, str], tuple[float, float]]] = {}
            for each in streams(self.data, {"skab"}):
                if options is None:
                    raw = run(self.estimator, each.X).raw
                else:
                    raw = run(self.estimator, np.concatenate([quiet, each.X]), **options).raw
                for threshold in ["raw", *self.thresholds]:
                    score = raw if threshold == "raw" else after(raw, threshold, of.raw_kind, of.steady)
                    score = score[len(score) - len(each.X) :]
                    found.setdefault(threshold, {})[each.family, each.name] = areas(score, each)
            lines.append([way, *[cells(macro(own))[-1] for own in found.values()]])
        table("ROC / PR of skab", ["run", "raw", *[f"`{threshold}`" for threshold in self.thresholds]], lines)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--estimator", default="fields", help="names with blanks between them")
    parser.add_argument("--threshold", default="tail", help="names with commas; empty for none")
    parser.add_argument("--only", default="protocol", help="some of protocol, jitter, blank, adopt, vanish, restart")
    parser.add_argument("--families", default="", help=f"some of {', '.join(FAMILIES)}")
    parser.add_argument("--times", type=int, default=8, help="runs with the constants moved")
    parser.add_argument("--files", action="store_true", help="every stream by itself")
    asked = parser.parse_args()
    for estimator in asked.estimator.split():
        thresholds = list(filter(None, asked.threshold.split(",")))
        bench = Bench(asked.data, estimator, thresholds, set(filter(None, asked.families.split(","))), asked.times)
        bench.shown = asked.files
        for part in asked.only.split(","):
            getattr(bench, part)()


if __name__ == "__main__":
    main()
