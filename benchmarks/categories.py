"""What categories are worth, and what they cost: ranking with and without them, and CPU time.

    python benchmarks/categories.py FOLDER [--estimators level fields] [--speed]

FOLDER holds kdd99, nsl_kdd, cloudtrail and loghub. Records count after the first 200; kdd99 is without smurf and
neptune. Each line is one run of the command, label hidden.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
from common import COMMAND, FOLDER, rows, slope, table

from clipdetect.metrics import average_precision, roc_auc

HIDDEN = ("attack", "difficulty", "Label", "LineId")
START = 200  # records before the first that counts
FLOODS = ("smurf", "neptune")


def sets(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name and prepared file of each set; the truth is its field `truth`."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, path, truth in (
        ("kdd99", "kdd99/kdd99-train10.csv.gz", "label"),
        ("nsl_kdd", "nsl_kdd/nsl-train20.csv.gz", "label"),
        ("bgl", "loghub/BGL_2k.structured.csv.gz", "Label"),
    ):
        made = FOLDER / f"categories-{name}.csv"
        if not made.exists():
            with gzip.open(folder / path, "rt", newline="") as source, open(made, "w", newline="") as sink:
                reader = csv.DictReader(source)
                fields = [each for each in reader.fieldnames or () if each != "label"]
                writer = csv.DictWriter(sink, [*fields, "truth"], extrasaction="ignore")
                writer.writeheader()
                for record in reader:
                    if record.get("attack") not in FLOODS or name != "kdd99":
                        writer.writerow({**record, "truth": int(record[truth] not in ("0", "-"))})
        yield name, made
    made = FOLDER / "categories-cloudtrail.jsonl"
    if not made.exists():
        with gzip.open(folder / "cloudtrail/stratus-sim.jsonl.gz", "rb") as lines, open(made, "wb") as out:
            for line in lines:
                record = orjson.loads(line)
                record["truth"] = record.pop("label")
                out.write(orjson.dumps(record) + b"\n")
    yield "cloudtrail", made


def ranking(path: Path, flags: list[str]) -> tuple[float, float, int, int]:
    """ROC-AUC and PR-AUC of a run's scores, its flags, and how many of them are right."""
    hidden = [word for name in HIDDEN for word in ("--exclude", name)]
    command = [*COMMAND, "-q", "--label", "truth", *hidden, *flags, str(path)]
    output = subprocess.run(command, capture_output=True, check=True).stdout
    if path.suffix == ".csv":
        found = list(csv.DictReader(io.StringIO(output.decode())))
        score = np.array([float(each["score"] or "nan") for each in found])
        flag = np.array([each["anomaly"] == "true" for each in found])
    else:
        found = [orjson.loads(line) for line in output.splitlines()]
        score = np.array([each["score"] for each in found], np.float64)
        flag = np.array([each["anomaly"] for each in found])
    truth = np.array([int(each["truth"]) for each in found]) == 1
    known = np.arange(len(score)) >= START
    score[np.isnan(score)] = -1.0  # what is not scored is not suspected
    if not known.any():
        return float("nan"), float("nan"), 0, 0
    score, truth, flag = score[known], truth[known], flag[known]
    return roc_auc(score, truth), average_precision(score, truth), int(flag.sum()), int((flag & truth).sum())


def texts(n: int, d: int, kind: str) -> Path:
    """A file of n rows of d numbers and four texts: methods and codes, or identifiers that never repeat."""
    path = FOLDER / f"texts-{n}-{d}-{kind}.csv"
    if path.exists():
        return path
    FOLDER.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(2)
    few = [["GET", "POST", "PUT"], ["ok", "failed"], [f"web-{i}" for i in range(20)], [f"/p/{i}" for i in range(80)]]
    with open(path.with_suffix(".tmp"), "w") as file:
        file.write(",".join([*(f"f{j}" for j in range(d)), "method", "result", "host", "page"]) + "\n")
        for start in range(0, n, 100_000):
            X = rows(min(100_000, n - start), d, seed=start)
            for values in X.tolist():
                at = rng.random(4)
                if kind == "few":
                    words = [each[int(len(each) * u * u)] for each, u in zip(few, at.tolist(), strict=True)]
                else:
                    words = [f"k{u:.15f}" for u in at.tolist()]
                file.write(",".join([*map(str, values), *words]) + "\n")
    path.with_suffix(".tmp").rename(path)
    return path


def speed(few: int, many: int) -> None:
    """CPU a record with and without categories, on rows with four texts."""
    lines = []
    for kind in ("few", "new"):
        for d in (1, 8):
            cost = []
            for categories in ("none", "auto"):
                command = [*COMMAND, "--from", "csv", "--categories", categories]
                each, _, memory = slope(command, lambda n, d=d, kind=kind: texts(n, d, kind), few, many)
                cost.append(each)
            lines.append([kind, str(d), *(f"{each:.2f}" for each in cost), f"{cost[1] / cost[0]:.2f}", f"{memory:.0f}"])
    table(
        f"CPU, CSV with four texts, {few:,} to {many:,} records",
        ["texts", "numbers", "us a record, none", "auto", "ratio", "peak MB"],
        lines,
    )


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--estimators", nargs="*", default=["level", "fields"])
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--few", type=int, default=100_000)
    parser.add_argument("--many", type=int, default=400_000)
    arguments = parser.parse_args()
    lines = []
    for name, path in sets(arguments.folder) if arguments.folder else ():
        if arguments.only and name not in arguments.only:
            continue
        for estimator in arguments.estimators:
            for categories in ("none", "auto"):
                flags = ["-e", estimator, "--categories", categories]
                roc, pr, flagged, right = ranking(path, flags)
                lines.append([name, estimator, categories, f"{roc:.3f}", f"{pr:.3f}", f"{flagged:,}", f"{right:,}"])
                print(*lines[-1], flush=True)
    if lines:
        table("Ranking", ["set", "estimator", "categories", "ROC-AUC", "PR-AUC", "flagged", "right"], lines)
    if arguments.speed:
        speed(arguments.few, arguments.many)


if __name__ == "__main__":
    main()
