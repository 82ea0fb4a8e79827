"""The section of docs/benchmarks.md, from what is stored."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

from benchmarks.detection import checks, nab_rules, ours, peers, table
from benchmarks.detection.sets import FAMILIES, SERIES, Prepared
from benchmarks.detection.table import Method, figure, mean

BEGIN = "<!-- detection: written by make bench-detection -->"
END = "<!-- detection: end -->"

INTRO = """## Detection on public streams

`make bench-detection DATA=FOLDER` runs the installed command on every labelled set of a folder, and detectors from PyPI
on the same records; both go on where they were after an interruption. The peers are in an environment of their own
(`.bench/peers`; versions in `benchmarks/detection/requirements-peers.txt`).

One pass; each record is scored before it is learned; nothing is tuned to a set. Labels, attack names, difficulties and
change points are hidden (`clipdetect --label label --exclude ...`). Every record after the first 200 counts; in smd and
asd the test part counts, after a run through the training part; each skab file starts cold; kdd99 is without smurf and
neptune, which are four fifths of it. Cells are ROC-AUC / PR-AUC (average precision); a record without a score ranks
below all others. Means are over files within a family, then over the six families, equally. Of the peers, each has its
own default parameters:
"""
LEFT_OUT = (
    f"A star marks what looks ahead: a reference, not a rival. Not run: {peers.NOT_RUN}. A ring marks a mean over "
    "fewer streams than there are."
)
SLOW = """Peers that are too slow for all records, and ours, on the same first 20,000 records of each stream (smd and
asd: of the test part, the slow ones after only the last 10,000 of the training part):
"""
OTHERS = f"""### Other sets

Series of one value ({", ".join(SERIES)}), nested records (cloudtrail) and a parsed log (bgl); the last two have no
numeric fields for the peers. `forecast` and `extremes` are told the column of times. Slow peers: the first 20,000
records.
"""
FLAGS = """### Flags

At the shipped thresholds, counts of a family's files added up. An event is a run of anomalies, found if any of its
records is flagged; the delay, in records, is the median over those found. Tables without an order have no events. False
flags are those outside of events, of 1,000 records outside. Of the peers, DSPOT (on the first 20,000 records) and the
z-score set flags of their own.
"""
COST = """### Cost

CPU seconds for 1,000 records over the streams of at least 20,000: of ours the whole command, start, reading and writing
included; of the peers the loop of scoring and learning only.
"""


def filled(text: str) -> str:
    """Lines of at most 120 characters; those of a list are indented."""
    return textwrap.fill(text, 120, subsequent_indent="  " if text.startswith("- ") else "", break_on_hyphens=False)


def grid(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    parts = [f"| {' | '.join(header)} |", "|" + " --- |" * len(header)]
    return "\n".join([*parts, *(f"| {' | '.join(line)} |" for line in lines)]) + "\n"


def pair(method: Method, over: str, streams: Sequence[Prepared]) -> str:
    """ROC / PR over a group; a ring where streams are missing from the mean."""
    roc, pr = (mean(method.values(over, measure, streams)) for measure in ("roc", "pr"))
    if math.isnan(roc):
        return "–"
    return f"{figure(roc)} / {figure(pr)}{'°' if method.missing(streams) else ''}"


def whole(method: Method, over: str, streams: Sequence[Prepared]) -> str:
    """ROC / PR over the six families."""
    groups = [mine for name, mine in table.families(streams).items() if name in FAMILIES]
    roc, pr = (table.over_families(method, over, measure, streams) for measure in ("roc", "pr"))
    if not groups or any(not method.values(over, "roc", mine) for mine in groups):
        return "–"
    return f"{figure(roc)} / {figure(pr)}{'°' if any(method.missing(mine) for mine in groups) else ''}"


def by_family(methods: Sequence[Method], over: str, streams: Sequence[Prepared]) -> str:
    """Methods against families."""
    groups = {name: mine for name, mine in table.families(streams).items() if name in FAMILIES}
    lines = [
        [method.title, *(pair(method, over, mine) for mine in groups.values()), whole(method, over, streams)]
        for method in methods
        if any(method.values(over, "roc", mine) for mine in groups.values())
    ]
    return grid(["", *groups, "all six"], lines)


def others(methods: Sequence[Method], streams: Sequence[Prepared]) -> str:
    """Methods against the sets that are in none of the six families."""
    groups = {name: mine for name, mine in table.families(streams).items() if name not in FAMILIES}
    lines = [
        [method.title, *(pair(method, "short" if method.short else "all", mine) for mine in groups.values())]
        for method in methods
        if any(method.values("short", "roc", mine) for mine in groups.values())
    ]
    return grid(["", *groups], lines)


def by_set(methods: Sequence[Method], streams: Sequence[Prepared]) -> str:
    """The twenty sets against methods."""
    lines = []
    for name, mine in table.rows(streams).items():
        line = [name]
        for method in methods:
            roc, pr = (mean(method.values("all", measure, mine)) for measure in ("roc", "pr"))
            line.append("–" if math.isnan(roc) else f"{figure(roc, 2)} / {figure(pr, 2)}")
        lines.append(line)
    return grid(["", *(method.title for method in methods)], lines)


def against(mine: Method, methods: Sequence[Method], streams: Sequence[Prepared]) -> str:
    """Sets won against each other method."""
    lines = []
    for other in methods:
        (roc, _, sets, _), (pr, _, also, _) = (table.wins(mine, other, each, streams) for each in ("roc", "pr"))
        if sets:
            rows = "first 20,000" if other.short else "all"
            lines.append([other.title, rows, f"{roc} of {sets}", f"{pr} of {also}"])
    return grid([f"{mine.title} wins against", "rows", "by ROC-AUC", "by PR-AUC"], lines)


def losses(mine: Method, methods: Sequence[Method], streams: Sequence[Prepared]) -> str:
    """Every set that is lost, by ROC-AUC and by PR-AUC."""
    lines = []
    for other in methods:
        for measure, title in (("roc", "ROC-AUC"), ("pr", "PR-AUC")):
            *_, lost = table.wins(mine, other, measure, streams)
            if lost:
                lines.append(filled(f"- {other.title}, {title}: {'; '.join(lost)}."))
    return "\n".join(lines) + "\n"


def flagged(methods: Sequence[Method], streams: Sequence[Prepared]) -> str:
    """What the flags are worth, by family, for the methods that set any."""
    lines = []
    for name, group in table.families(streams).items():
        for method in methods:
            found = table.flags(method, group)
            if found:
                timed = found["events"] > 0
                shown = [figure(found["precision"]), figure(found["recall"])]
                shown += [figure(found["event recall"]) if timed else "–"]
                shown += ["–" if math.isnan(found["delay"]) or not timed else f"{found['delay']:g}"]
                lines.append([name, method.title, *shown, f"{found['false']:.2f}"])
    return grid(["", "", "precision", "recall", "events found", "median delay", "false of 1,000"], lines)


def costs(methods: Sequence[Method], streams: Sequence[Prepared]) -> str:
    """CPU seconds for 1,000 records of few and of many fields."""
    few = [each for each in streams if each.stream.name.startswith(("adbench/http", "adbench/smtp"))]
    many = [each for each in streams if each.stream.set == "smd"]
    single = [each for each in streams if each.stream.set in ("nab", "ecg")]
    lines = []
    for method in methods:
        found = [table.cost(method, group) for group in (single, few, many)]
        if not all(math.isnan(each) for each in found):
            lines.append([method.title, *("–" if math.isnan(each) else f"{each:.4f}" for each in found)])
    return grid(["", "1 field", "3 fields (http, smtp)", "38 fields (smd)"], lines)


def sanity(name: str, streams: list[Prepared], cache: Path) -> str:
    """The checks, run now."""
    cells = ours.our_cells(name, streams, cache)
    auc = checks.shuffled(cells)
    files = [each for each in streams if each.stream.set == "skab"] or streams
    return grid(
        ["check of the defaults", "found"],
        [
            ["mean ROC-AUC over the families, labels shuffled", figure(auc)],
            ["flags on 5,000 records of three constant fields", str(checks.constant(name))],
            [
                "half of a stream gives the first half of the whole's bytes",
                "yes" if checks.prefix(name, files) else "NO",
            ],
            ["records written for a stream of one", str(checks.single(name))],
        ],
    )


def absent(methods: Sequence[Method], streams: Sequence[Prepared]) -> str:
    """Cells that failed or were not run."""
    lines = []
    for method in methods:
        names = method.missing(streams)
        failed = [f"{name} ({method.results[name]['error'][:80]})" for name in names if name in method.results]
        rest = [name for name in names if name not in method.results]
        if failed:
            lines.append(filled(f"- {method.title} failed on {', '.join(failed)}."))
        if rest:
            lines.append(f"- {method.title}: not run on {len(rest)} streams ({', '.join(sorted(set(_sets(rest))))}).")
    return "\n".join(lines) + "\n" if lines else ""


def _sets(names: Sequence[str]) -> list[str]:
    return [name.partition("/")[0] for name in names]


def nab(methods: Sequence[Method], data: Path) -> str:
    """NAB by its own rules, at the cut that is best in hindsight and at the flags as they are."""
    if not (data / "nab").is_dir():
        return ""
    module = nab_rules.rules()
    series, lines = module.read(data / "nab"), []
    for method in methods:
        found = nab_rules.scores(method, series, module)
        if found:
            best, own = (["–" if math.isnan(each) else f"{each:.1f}" for each in row] for row in found)
            lines.append([method.title, *best, *own])
    header = ["", *nab_rules.PROFILES, *(f"{each}, own flags" for each in nab_rules.PROFILES)]
    said = "NAB by its own rules (see also `benchmarks/nab.py`), at the best common cut and at the flags as they are:\n"
    return f"{said}\n{grid(header, lines)}" if lines else ""


def section(streams: list[Prepared], data: Path, cache: Path, stale: bool) -> str:
    """The whole section in Markdown."""
    methods = table.load(streams, cache, stale)
    own = [method for method in methods if method.own]
    full = [method for method in methods if not method.own and not method.short]
    short = [method for method in methods if method.short]
    rivals = [method for method in [*full, *short] if not method.ahead] + [method for method in full if method.ahead]
    mine = next((method for method in own if method.name == "default"), None)
    pins = peers.pins()
    used = [
        f"- {peer.title}: {peer.package} {pins[peer.package]}{', ' + peer.note if peer.note else ''}."
        for peer in peers.PEERS
    ]
    main = [method for method in own if method.name in ("default", "forest", "fields", "level")]
    parts = [INTRO, "\n".join(map(filled, used)) + "\n", filled(LEFT_OUT) + "\n"]
    parts += ["### By family\n", by_family([*own, *full], "all", streams)]
    if short:
        parts += [SLOW, by_family([*own, *short], "short", streams)]
    parts += ["### By set\n", by_set([*main, *full], streams)]
    if mine:
        parts += [against(mine, rivals, streams), "Losses, the largest first:\n", losses(mine, rivals, streams)]
    parts += [OTHERS, others(methods, streams), nab(methods, data), FLAGS, flagged([*own, *full, *short], streams)]
    parts += [COST, costs([*own, *full, *short], streams)]
    if mine:
        parts += ["### Checks\n", sanity(mine.name, streams, cache)]
    left = absent(methods, streams)
    if left:
        parts += ["Missing from the tables:\n", left]
    return "\n".join(part for part in parts if part)


def put(page: Path, text: str) -> None:
    """Put the section between its markers; a file that does not exist is made. Raises SystemExit without markers."""
    old = page.read_text(encoding="utf-8") if page.exists() else f"{BEGIN}\n{END}\n"
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page}: no place for the section; put these lines where it is to go:\n{BEGIN}\n{END}")
    page.write_text(f"{before}{BEGIN}\n{text.strip()}\n{END}{after}", encoding="utf-8")


def write(page: Path, streams: list[Prepared], data: Path, cache: Path, stale: bool = False) -> None:
    """Write the section."""
    put(page, section(streams, data, cache, stale))
