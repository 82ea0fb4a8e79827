"""The paper on heavy-tailed change points, its guarantee and its experiment, and a calibrated detector beside it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.reproduce.cells import Cell
from benchmarks.reproduce.changes import DELTA, FAMILIES, OTHERS, RECORDS, Family, alarmed, delays, each, run, shifts
from benchmarks.reproduce.page import number, table, verdicts
from clipdetect.changepoints.clipped_mean import ClippedMean
from clipdetect.changepoints.focus import Focus

TITLE = "Change points under heavy tails"
STREAMS = {1: 500, 32: 100}
LATE = (200, 5)  # streams of a delay after 1,000 records, and after 50,000
CALIBRATED, GUARANTEED, PRINTED, FOCUS = "calibrated", "guaranteed", "printed", "focus"
COSTS = {
    "`clipped_mean`": (1e-12,),
    "`clipped_mean:constants=guaranteed`": (1e-12, "guaranteed", 1.0, 12.0, 0.0),
    "`focus`": None,
}
# the paper's table 1: a change every 400 records of 1,600, sigma 1, diameter 12; medians and half intervals
PAPER = {
    ("normal", 1, 1.0): ("274 ± 38", "64 ± 45"),
    ("normal", 32, 1.0): ("300 ± 6", "2400 ± 0"),
    ("normal", 1, 0.5): ("694 ± 191", "356 ± 150"),
    ("normal", 32, 0.5): ("1427 ± 14", "2400 ± 1"),
    ("Pareto(2.01)", 1, 1.0): ("296 ± 35", "19913 ± 8143"),
    ("Pareto(2.01)", 32, 1.0): ("302 ± 7", "1616 ± 921"),
    ("Pareto(2.01)", 1, 0.5): ("868 ± 365", "1891 ± 663"),
    ("Pareto(2.01)", 32, 0.5): ("1431 ± 14", "1667 ± 653"),
}
RUNS = 30


def false_alarms(name: str, d: int, streams: int) -> dict[str, float]:
    """Share of stationary streams with an alarm, by detector."""
    family = FAMILIES[name]
    return {
        CALIBRATED: alarmed(ClippedMean, family, streams, d),
        GUARANTEED: alarmed(lambda: family.theorem("guaranteed", d), family, streams, d),
        PRINTED: alarmed(lambda: family.theorem("printed", d), family, streams, d),
        FOCUS: alarmed(Focus, family, streams, d),
    }


def others(streams: int) -> dict[str, list[float]]:
    """The same on noise that no constant was set on."""
    return {
        name: [
            alarmed(make, Family(draw, 0.0, 1.0), streams if d == 1 else max(10, streams // 4), d)
            for make in (ClippedMean, Focus)
        ]
        for name, (draw, d) in OTHERS.items()
    }


def soon(name: str, streams: int) -> list[list[str]]:
    """Delays of `calibrated`, and of `focus` at the same rate of false alarms, after 1,000 records."""
    family = FAMILIES[name]
    rates = (-math.log1p(-max(alarmed(make, family, STREAMS[1], 1), 0.002)) for make in (ClippedMean, Focus))
    ours, theirs = rates
    tuned = -math.expm1(math.log1p(-DELTA) * ours / theirs)
    return [
        [
            text,
            delays(ClippedMean, family, 1000, shift, streams, 2000),
            delays(lambda: Focus(tuned), family, 1000, shift, streams, 2000),
        ]
        for text, shift in shifts(name, family, family.unit())
    ]


def late(name: str, streams: int) -> list[list[str]]:
    """Delays of `guaranteed` after 50,000 records."""
    family = FAMILIES[name]
    return [
        [text, delays(lambda: family.theorem("guaranteed"), family, 50_000, shift, streams, 150_000)]
        for text, shift in shifts(name, family, family.unit())
    ]


def costs() -> dict[str, dict[str, list[float]]]:
    """Microseconds of CPU a record, around records 1,000 and 100,000 of one key, by fields."""
    return {
        name: {
            str(d): [
                each(Focus(1e-12) if given is None else ClippedMean(*given), d, at, n, engine)  # type: ignore[arg-type]
                for engine, at, n in (("numba", 1_000, 2_000), ("numba", 100_000, 20_000), ("python", 1_000, 200))
            ]
            for d in (1, 8, 32)
        }
        for name, given in COSTS.items()
    }


def paper(law: str, d: int, size: float) -> dict[str, list[float]]:
    """The paper's measure, sum over records of |alarms so far - changes so far|, by detector and run."""
    rng = np.random.default_rng([7, d])
    shape = (1600, RUNS, d)
    if law == "normal":
        X = rng.normal(size=shape) / math.sqrt(d)
    elif d == 1:
        X = (1.0 + rng.pareto(2.01, shape) - 2.01 / 1.01) / math.sqrt(2.01 / (1.01**2 * 0.01))
    else:
        X = rng.normal(size=shape)
        X *= (
            (1.0 + rng.pareto(2.01, (*shape[:2], 1)))
            / np.linalg.norm(X, axis=2, keepdims=True)
            / math.sqrt(2.01 / 0.01)
        )
    level = (np.arange(1600) // 400 % 2)[:, None, None] * size / math.sqrt(d)
    true = np.repeat(np.arange(4), 400)[:, None]
    found = {}
    for name, detector in (
        (PRINTED, ClippedMean(DELTA, "printed", 1.0, 12.0, 0.0)),
        (GUARANTEED, ClippedMean(DELTA, "guaranteed", 1.0, 12.0, 0.0)),
        (CALIBRATED, ClippedMean(DELTA)),
        (FOCUS, Focus(DELTA)),
    ):
        changed, _ = run(detector, X + level)
        found[name] = np.abs(np.cumsum(changed, axis=0) - true).sum(axis=0).tolist()
    return found


def cells(data: Path | None) -> list[Cell]:
    """False alarms, delays, the paper's experiment, cost."""
    found = [
        Cell(f"false {name} {d}", false_alarms, (name, d, streams))
        for d, streams in STREAMS.items()
        for name in FAMILIES
    ]
    found += [Cell(f"late {name}", late, (name, LATE[1])) for name in FAMILIES]
    found += [Cell(f"soon {name}", soon, (name, LATE[0])) for name in FAMILIES]
    found += [Cell(f"paper {law} {d} {size}", paper, (law, d, size), quick=d == 1) for law, d, size in PAPER]
    return [*found, Cell("others", others, (LATE[0],)), Cell("cost", costs)]


def false_table(results: dict[str, Any]) -> str:
    """Shares of streams with an alarm."""
    rows = []
    for name in FAMILIES:
        for d, streams in STREAMS.items():
            found = results.get(f"false {name} {d}")
            if found:
                rows.append([name, str(d), str(streams), *(number(each) for each in found.values())])
    more = [[name, *(number(each) for each in found)] for name, found in results.get("others", {}).items()]
    text = table(["family", "fields", "streams", CALIBRATED, GUARANTEED, PRINTED, FOCUS], rows)
    if more:
        text += f"\n{OTHER}\n{table(['noise', CALIBRATED, FOCUS], more)}"
    return text


def delay_table(results: dict[str, Any]) -> str:
    """Delays after 1,000 and after 50,000 records."""
    rows, slow = [], []
    for name in FAMILIES:
        rows += [[name, *line] for line in results.get(f"soon {name}", [])]
        slow += [[name, *line] for line in results.get(f"late {name}", [])]
    if not rows:
        return ""
    head = ["family", "change", CALIBRATED, f"{FOCUS}, alarming as often"]
    return f"{table(head, rows)}\n{SLOW}\n{table(['family', 'change', GUARANTEED], slow)}"


def paper_table(results: dict[str, Any]) -> str:
    """The paper's table 1 beside ours."""
    rows = []
    for (law, d, size), (theirs, rival) in PAPER.items():
        found = results.get(f"paper {law} {d} {size}")
        if found:
            own = []
            for name in (PRINTED, GUARANTEED, CALIBRATED, FOCUS):
                low, middle, high = np.quantile(found[name], (0.025, 0.5, 0.975))
                own.append(f"{middle:.0f} ± {(high - low) / 2:.0f}")
            rows.append([law, str(d), f"{size:g}", theirs, rival, *own])
    head = ["noise", "fields", "change", "paper: theirs", "paper: Improved-GLR", PRINTED, GUARANTEED, CALIBRATED, FOCUS]
    return table(head, rows)


def cost_table(results: dict[str, Any]) -> str:
    """Microseconds a record."""
    rows = [
        [name, d, *(number(each) for each in figures)]
        for name, found in results.get("cost", {}).items()
        for d, figures in found.items()
    ]
    return table(["detector", "fields", "compiled, t = 1,000", "compiled, t = 100,000", "interpreted"], rows)


def verdict(results: dict[str, Any]) -> str:
    """What was claimed."""
    claims = []
    found = {(n, d): results.get(f"false {n} {d}") for n in FAMILIES for d in STREAMS}
    if all(found.values()):
        most = max(each[GUARANTEED] for each in found.values() if each)
        claims.append((f"`guaranteed` alarms on at most {DELTA:g} of the streams ({number(most)})", most <= DELTA))
        shares = [each[CALIBRATED] for each in found.values() if each]
        text = f"`calibrated` alarms within a factor of 2 of {DELTA:g} ({number(min(shares))} to {number(max(shares))})"
        claims.append((text, min(shares) >= DELTA / 2 and max(shares) <= 2 * DELTA))
        worst = min(results[f"false {name} 1"][PRINTED] for name in FAMILIES)
        claims.append(
            (f"the printed constants keep no promise: {number(worst)} of the streams or more", worst > 2 * DELTA)
        )
    rows = {key: results.get(f"paper {key[0]} {key[1]} {key[2]}") for key in PAPER}
    if all(rows.values()):
        better = [
            float(np.median(found[CALIBRATED])) < float(PAPER[key][0].split()[0])
            for key, found in rows.items()
            if found
        ]
        text = (
            f"in the paper's experiment `calibrated` is nearer to the truth than the paper in {sum(better)} of 8 rows"
        )
        claims.append((text, all(better)))
    cost = results.get("cost")
    if cost:
        first, last, _ = cost["`clipped_mean`"]["1"]
        text = f"a record costs the same at t = 1,000 and 100,000 ({number(first)} and {number(last)} us)"
        claims.append((text, last < 1.5 * first))
    return f"### Verdict\n\n{verdicts(claims)}" if claims else ""


def report(results: dict[str, Any], pictures: Path) -> str:
    """The section."""
    parts = [
        INTRO,
        f"### False alarms\n\n{FALSE}\n{false_table(results)}",
        f"### Delay\n\n{DELAY}\n{delay_table(results)}",
        f"### The paper's experiment\n\n{EXPERIMENT}\n{paper_table(results)}",
        f"### Cost\n\nMicroseconds of CPU a record.\n\n{cost_table(results)}" if "cost" in results else "",
        verdict(results),
    ]
    return "\n".join(part for part in parts if part)


INTRO = """`clipped_mean` follows the paper (Sankararaman and Narayanaswamy, "Online heavy-tailed change-point
detection", UAI 2023): a clipped mean before and one after every split, an alarm where they differ by more than
a bound. `constants=guaranteed` takes those of theorem 3.1 with the true sigma and diameter given, `printed`
those of the paper's section 5.1, `calibrated`, the default, needs nothing given. `focus` is the fast detector
of the field for comparison.

    python -m benchmarks.reproduce --only changepoints
"""
FALSE = f"""Share of stationary streams of {RECORDS:,} records with an alarm; asked for: {DELTA:g}. `guaranteed`
needs thousands of records before its bound is small enough to alarm at all, so its zeros say little.
"""
OTHER = """Noise that no constant was set on, but for the last two, which a correction for related fields was
made for. Strong autocorrelation is not held:
"""
DELAY = """Median delay in records [10%, 90%] and how far off the reported place is, in the median. A scale unit
is median |x - median| / .6745; t(2.1) and Pareto(2.1) have a standard deviation sigma of 4 and 10 of these. The
change comes after 1,000 records; `focus` is tuned, family by family, to alarm as often as `calibrated` on
streams without change.
"""
SLOW = """After 50,000 records, `guaranteed`:
"""
EXPERIMENT = """A change every 400 of 1,600 records, sigma = 1, diameter 12, 30 runs; the measure is the sum
over records of |alarms so far - changes so far|, median ± half the 95% interval. The second line of the paper's
figures, Improved-GLR, is its baseline; both columns are quoted from its table 1. The printed bound has (t + 1)
where the theorem has its square; with the former nothing is ever detected in this very setting, so `printed`
takes the square. With it our figures are lower than the paper's: its code was more cautious than its formula.
"""
