"""Real and made logs through the command: is every line read, and is what is known to be there found?

    python benchmarks/logs.py DATA [--only every|scans|guessing|made|cloudtrail|bgl]...

DATA holds the folders loghub, weblogs and cloudtrail; `made` needs none of them. "x" before a number is a factor on
the recipe's rate or on all of its windows: what does not move with them did not hang on having been tuned.
"""

from __future__ import annotations

import argparse
import gzip
import math
import os
import re
import statistics
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from common import COMMAND, FOLDER, answers, table
from made_logs import SLOW, attacks

from clipdetect.metrics import average_precision, roc_auc

Record = dict[str, Any]
OWN = {"line", "score", "anomaly", "why"}
RECIPES = {"OpenSSH": "sshd", "Linux": "sshd", "access": "access", "stratus": "cloudtrail", "status": "metrics"}
SPREAD: list[tuple[str, dict[str, float]]] = [
    ("as shipped", {}),
    ("rate x 0.3", {"rate": 0.3}),
    ("rate x 3", {"rate": 3.0}),
    ("windows x 0.5", {"window": 0.5}),
    ("windows x 2", {"window": 2.0}),
]


def content(path: Path) -> bytes:
    """A file's bytes, unpacked."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def recipe(name: str, rate: float = 1.0, window: float = 1.0, without: str = "") -> list[str]:
    """Flags for a recipe with its rate and its windows multiplied, or without one of its features."""
    if rate == window == 1.0 and not without:
        return ["--recipe", name]
    shown = subprocess.run([*COMMAND, "config", "--recipe", name], capture_output=True, check=True).stdout
    settings = yaml.safe_load(shown)
    settings["rate"] *= rate
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    kept = []
    for each in settings["derive"]:
        (made,) = each.values()
        if "window" in made:
            made["window"] = f"{float(made['window'][:-1]) * units[made['window'][-1]] * window:g}s"
        if made["name"] != without:
            kept.append(each)
    settings["derive"] = kept
    for kind in ("estimator", "threshold"):
        for own in settings[kind].values() if isinstance(settings[kind], dict) else ():
            if own and own.get("counter") == without:
                del own["counter"]
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{os.getpid()}-{name}-{rate:g}-{window:g}-{re.sub(r'[^a-z]+', '-', without)}.yaml"
    path.write_text(yaml.safe_dump(settings))
    return ["-c", str(path)]


def features(name: str) -> list[str]:
    """Names of a recipe's features, without those that only others take."""
    shown = subprocess.run([*COMMAND, "config", "--recipe", name], capture_output=True, check=True).stdout
    settings = yaml.safe_load(shown)
    names = [made["name"] for each in settings["derive"] for made in each.values()]
    return [each for each in names if each not in settings["exclude"]]


def first_words(record: Record) -> str:
    """The first reason of a flagged record, in words."""
    if not record.get("why"):
        return ""
    first = record["why"][0]
    return str(first.get("text") or f"{first['field']} {first['value']:g}, usually {first['expected']:g}")


# -- every log ---------------------------------------------------------------------------------


def every(data: Path) -> None:
    """Each log through the bare command, and through the recipe where one fits."""
    shown = []
    paths = [*sorted((data / "loghub").glob("*.log")), *sorted((data / "weblogs").glob("*.*[lg]*"))]
    for path in [*paths, data / "cloudtrail" / "stratus-sim.jsonl.gz"]:
        if path.suffix not in (".log", ".gz"):
            continue
        raw = content(path)
        fitting = next((name for part, name in RECIPES.items() if part in path.name), "")
        for name in ("", *filter(None, [fitting])):
            flags = ["--recipe", name] if name else []
            records = answers(flags, path)
            count = len(raw.split(b"\n")) - raw.endswith(b"\n")
            text = raw if raw.endswith(b"\n") else raw + b"\n"
            plain = subprocess.run(
                [*COMMAND, "-q", *flags, "--to", "text", str(path)], capture_output=True, check=False
            )
            same = "" if ".jsonl" in path.name else "yes" if plain.stdout == text else "NO"
            parsed = sum(bool(record.keys() - OWN) for record in records)
            flagged = [record for record in records if record["anomaly"]]
            top = max(flagged or records, key=lambda record: record.get("score") or 0.0)
            shown.append(
                [
                    path.name,
                    f"--recipe {name}" if name else "bare",
                    f"{count:,}",
                    f"{len(records):,}",
                    same,
                    f"{parsed / count:.2%}",
                    str(len(flagged)),
                    f"{top.get('score') or 0.0:.2f}",
                    first_words(top).replace("|", "/")[:110],
                ]
            )
    heads = ["log", "command", "lines in", "out", "bytes same", "parsed", "flagged", "top score", "top finding"]
    table("Every log", heads, shown)


# -- a scanner in a web log --------------------------------------------------------------------

STAMP = re.compile(rb"\[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]")
FORM = "%d/%b/%Y:%H:%M:%S %z"


def moment(line: bytes) -> datetime:
    """Time of an access log's line."""
    found = STAMP.search(line)
    assert found is not None, line[:100]
    return datetime.strptime(found[1].decode(), FORM)


def spliced(usual: Sequence[bytes], scan: Sequence[bytes], at: int, mixed: bool, moved: bool) -> bytes:
    """The scan's lines after line `at` of the log: as one block, or `mixed` with it line by line.

    moved : their times are shifted so that the first one is at the time of line `at`.
    """
    if moved:
        shift = moment(usual[at - 1]) - moment(scan[0])
        scan = [STAMP.sub(f"[{(moment(line) + shift).strftime(FORM)}]".encode(), line, count=1) for line in scan]
    rest = list(usual[at:])
    if not mixed:
        return b"".join([*usual[:at], *scan, *rest])
    n = min(len(scan), len(rest))
    both = [line for pair in zip(scan[:n], rest[:n], strict=True) for line in pair]
    return b"".join([*usual[:at], *both, *scan[n:], *rest[n:]])


@dataclass
class Found:
    """How a source that is known to attack came out.

    place : among the flagged sources by first flag, from 1; by_score : by highest score. nth : which of its records
    is flagged first. All three inf where it was not flagged. others, lines : other sources and their records flagged.
    """

    place: float
    by_score: float
    nth: float
    others: int
    lines: int
    words: str = ""


def judge(records: Iterable[Record], field: str, attacker: str) -> Found:
    """How the attacker came out among the values of that field."""
    nth, own = math.inf, 0
    words, flagged, best = "", Counter[str](), dict[str, float]()
    for record in records:
        source = record.get(field, "")
        own += source == attacker
        if record["anomaly"]:
            if source == attacker and source not in flagged:
                nth, words = own, first_words(record)
            flagged[source] += 1
            best[source] = max(best.get(source, 0.0), record["score"])
    if attacker not in flagged:
        return Found(math.inf, math.inf, math.inf, len(flagged), flagged.total())
    ranked = sorted(best, key=lambda source: -best[source])
    others = flagged.total() - flagged[attacker]
    place, by_score = list(flagged).index(attacker) + 1, ranked.index(attacker) + 1
    return Found(place, by_score, nth, len(flagged) - 1, others, words)


def cell(number: float) -> str:
    """`never` for infinity."""
    return "never" if math.isinf(number) else f"{number:g}"


def scans(data: Path) -> None:
    """A scanner's lines in an ordinary web log, at three places and in every arrangement."""
    usual = content(data / "weblogs" / "semicomplete-access.log").splitlines(keepends=True)
    whole = content(data / "weblogs" / "scan-acunetix-access.log.gz").splitlines(keepends=True)
    client = whole[0].split()[0].decode()
    cases = [
        (at, count, mixed, moved)
        for moved in (True, False)
        for mixed in (False, True)
        for count in (len(whole), 500)
        for at in (2000, 5000, 8000)
    ]
    logs = {case: spliced(usual, whole[: case[1]], case[0], *case[2:]) for case in cases}
    shown = []
    for at, count, mixed, moved in cases:
        found = judge(answers(recipe("access"), logs[at, count, mixed, moved]), "remote_addr", client)
        how = f"{'moved' if moved else 'as they are'}, {'line by line' if mixed else 'one block'}"
        numbers = (found.place, found.by_score, found.nth, found.others, found.lines)
        shown.append([how, f"{count:,}", f"{at:,}", *map(cell, numbers), found.words])
    heads = ["times, order", "scan lines", "after line", "place", "place by score", "first flagged at its line"]
    table("A scanner, --recipe access", [*heads, "other clients", "their lines", "why"], shown)
    gets = [line for line in whole if b'"GET ' in line][:500]
    some = [spliced(usual, whole, at, False, True) for at in (2000, 5000, 8000)]
    some += [spliced(usual, whole[:500], at, True, True) for at in (2000, 5000, 8000)]
    only_gets = [spliced(usual, gets, at, True, True) for at in (2000, 5000, 8000)]
    summary = []
    settings = [(name, recipe("access", **factors)) for name, factors in SPREAD]
    settings += [(f"without {each}", recipe("access", without=each)) for each in features("access")]
    for name, flags in [*settings, ("bare", [])]:
        runs = [judge(answers(flags, log), "remote_addr", client) for log in some]
        hidden = [judge(answers(flags, log), "remote_addr", client) for log in only_gets]
        clean = judge(answers(flags, b"".join(usual)), "remote_addr", client)
        summary.append([name, *worst(runs), *worst(hidden)[:4], str(clean.others), str(clean.lines)])
    heads = ["setting", "found", "worst place", "median line", "worst line", "other clients at most"]
    heads += ["their lines", "GET only: found", "worst place", "median line", "worst line"]
    heads += ["no scan: clients", "their lines"]
    table(
        "A scanner, times moved: all its lines as one block and 500 line by line; 500 GET lines line by line",
        heads,
        summary,
    )


def worst(runs: Sequence[Found]) -> list[str]:
    """The worst of several runs, in cells: found, place, median and worst line, others, lines."""
    nth = [run.nth for run in runs]
    return [
        f"{sum(math.isfinite(each) for each in nth)} of {len(runs)}",
        cell(max(run.place for run in runs)),
        cell(statistics.median(nth)),
        cell(max(nth)),
        str(max(run.others for run in runs)),
        str(max(run.lines for run in runs)),
    ]


# -- password guessing -------------------------------------------------------------------------


def guessing(data: Path) -> None:
    """Sources of OpenSSH_2k.log by score and by failed attempts."""
    path = data / "loghub" / "OpenSSH_2k.log"
    failed: Counter[str] = Counter()
    for line in content(path).decode().splitlines():
        found = re.search(r"Failed (?:password|none|publickey) for .*? from (\S+) port", line)
        if found:
            again = re.search(r"message repeated (\d+) times", line)
            failed[found[1]] += int(again[1]) if again else 1
    for name, factors in [each for each in SPREAD if "rate" not in each[1]]:
        best: dict[str, float] = {}
        flagged: Counter[str] = Counter()
        for record in answers(recipe("sshd", **factors), path):
            source = record.get("source", "")
            best[source] = max(best.get(source, 0.0), record["score"] or 0.0)
            flagged[source] += record["anomaly"]
        ranked = sorted((each for each in best if each), key=lambda source: -best[source])
        shown = [
            [
                str(i + 1),
                source,
                f"{best[source]:.2f}",
                str(flagged[source]),
                other,
                str(tries),
                f"{best[other]:.2f}",
            ]
            for i, (source, (other, tries)) in enumerate(zip(ranked[:6], failed.most_common(6), strict=True))
        ]
        heads = ["", "by highest score", "score", "flagged lines", "by failed attempts", "attempts", "score"]
        table(f"OpenSSH_2k.log, --recipe sshd, {name}", heads, shown)
        top, most = set(ranked[:5]), {source for source, _ in failed.most_common(5)}
        print(f"\nTop five have {len(top & most)} in common.")


@dataclass
class Guessed:
    """`guess` is the attacker's failed password at its first flag, inf where there was none.

    sixths : how many percent of its lines are flagged, in each sixth of them.
    """

    guess: float
    words: str
    false_lines: int
    false_sources: int
    sixths: str


def guessed(records: Sequence[Record], attackers: Sequence[str], attacker: str) -> Guessed:
    """How one attacker came out, and what else was flagged."""
    guess, words, count = math.inf, "", 0
    others: Counter[str] = Counter()
    own: list[bool] = []
    for record in records:
        source = record.get("source", "")
        own += [record["anomaly"]] if source == attacker else []
        count += source == attacker and record["message"].startswith("Failed")
        if record["anomaly"]:
            if source not in attackers:
                others[source] += 1
            elif source == attacker and math.isinf(guess):
                guess, words = max(count, 1), first_words(record)
    sixths = " ".join(f"{100 * part.mean():.0f}" for part in np.array_split(np.array(own), 6) if len(part))
    return Guessed(guess, words, others.total(), len(others), sixths)


def made(_: Path) -> None:
    """Guessing in a made log of ordinary days."""
    seeds = (0, 1, 2)
    logs = {
        (what, seed): ("\n".join(lines) + "\n", who) for seed in seeds for what, (lines, who) in attacks(seed).items()
    }
    shown, kinds = [], list(attacks(0))
    settings = [(name, recipe("sshd", **factors)) for name, factors in SPREAD]
    for name, flags in [*settings, ("bare", [])]:
        for what in kinds if name == "as shipped" else ["nothing", "both"]:
            runs = {seed: answers(flags, logs[what, seed][0].encode()) for seed in seeds}
            for attacker in logs[what, 0][1] or [""]:
                found = [guessed(runs[seed], logs[what, seed][1], attacker) for seed in seeds]
                shown.append(
                    [
                        name,
                        what + (f": {'slow' if attacker == SLOW else 'fast'}" if what == "both" else ""),
                        ", ".join(cell(each.guess) for each in found) if attacker else "",
                        ", ".join(str(each.false_lines) for each in found),
                        ", ".join(str(each.false_sources) for each in found),
                        found[0].sixths if attacker else "",
                        found[0].words,
                    ]
                )
    heads = ["setting", "put in", "guess at the first flag", "false lines", "false sources"]
    heads += ["% of its lines flagged, by sixths (first seed)", "why (first seed)"]
    table("50,000 ordinary sshd lines, three seeds, --recipe sshd", heads, shown)


# -- labelled logs -----------------------------------------------------------------------------


def rarity(values: Sequence[str]) -> np.ndarray:
    """-log10 of the share of the same value among those before: (count + 1/2) / (total + 1)."""
    seen: Counter[str] = Counter()
    found = []
    for total, value in enumerate(values):
        found.append(-math.log10((seen[value] + 0.5) / (total + 1.0)))
        seen[value] += 1
    return np.array(found)


def ranked(name: str, score: np.ndarray, truth: np.ndarray, flags: np.ndarray | None = None) -> list[str]:
    """Cells of a ranking: ROC-AUC, PR-AUC; flags and how many of them are true. No score counts as the lowest."""
    score = np.where(np.isnan(score), -1.0, score)
    told = [] if flags is None else [str(int(flags.sum())), str(int((flags & truth).sum()))]
    return [name, f"{roc_auc(score, truth):.3f}", f"{average_precision(score, truth):.3f}", *(told or ["", ""])]


def labelled(name: str, records: Sequence[Record], truth: np.ndarray) -> list[str]:
    """The same of scored records."""
    score = np.array([math.nan if record.get("score") is None else record["score"] for record in records])
    return ranked(name, score, truth, np.array([bool(record["anomaly"]) for record in records]))


HEADS = ["", "ROC-AUC", "PR-AUC", "flagged", "of them true"]


def cloudtrail(data: Path) -> None:
    """CloudTrail with labels, beside the running rarity of single fields."""
    path = data / "cloudtrail" / "stratus-sim.jsonl.gz"
    records = answers(["--recipe", "cloudtrail", "--label", "label"], path)
    truth = np.array([record["label"] == 1 for record in records])
    shown = [labelled("--recipe cloudtrail", records, truth)]
    settings = [(name, recipe("cloudtrail", **factors)) for name, factors in SPREAD if factors]
    settings += [(f"without {each}", recipe("cloudtrail", without=each)) for each in features("cloudtrail")]
    for name, flags in settings:
        shown.append(labelled(name, answers([*flags, "--label", "label"], path), truth))
    shown.append(labelled("bare", answers(["--label", "label"], path), truth))
    for name in ("eventName", "errorCode", "eventSource"):
        values = [str(record.get(name)) for record in records]
        shown.append(ranked(f"running rarity of {name}", rarity(values), truth))
    table(f"{path.name}, {len(truth):,} records, {truth.mean():.1%} attacks", HEADS, shown)


def bgl(data: Path) -> None:
    """BGL, whose first token says whether a line is an alert."""
    path = data / "loghub" / "BGL_2k.log"
    truth = np.array([not line.startswith(b"- ") for line in content(path).splitlines()])
    records = answers([], path)
    shown = [labelled("bare", records, truth)]
    for each in ("template", "rare:field=level", "rate:window=60s", "interval"):
        flags = ["--derive", each]
        shown.append(labelled(f"--derive {each}", answers(flags, path), truth))
    for name in ("level", "component"):
        values = [str(record.get(name)) for record in records]
        shown.append(ranked(f"running rarity of {name}", rarity(values), truth))
    table(f"{path.name}, {len(truth):,} lines, {truth.mean():.1%} alerts", HEADS, shown)


PARTS = {"every": every, "scans": scans, "guessing": guessing, "made": made, "cloudtrail": cloudtrail, "bgl": bgl}


def main() -> None:
    """Run all of it, or what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--only", action="append", choices=list(PARTS))
    arguments = parser.parse_args()
    for name in arguments.only or PARTS:
        PARTS[name](arguments.data)


if __name__ == "__main__":
    main()
