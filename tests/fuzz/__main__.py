"""Try many cases, each by its seed and number, and tell of what is not as it must be.

    python -m tests.fuzz [--lines 100000] [--seed 1] [--jobs 2] [--formats jsonl,csv] [--folder fuzz-faults]
    python -m tests.fuzz --seed 1 --case 17          one case again

The same seed, number of lines and jobs try the same cases. Exit code 1 where a fault was found.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from clipdetect import jit
from tests.fuzz.cases import case, smaller, told
from tests.fuzz.laws import Fault, faults
from tests.fuzz.reading import KNOWN
from tests.fuzz.streams import MAKERS


class Found(NamedTuple):
    """What a worker found. faults : by signature, how often, and what is told of the first."""

    cases: int
    lines: Counter[str]
    faults: dict[tuple[str, ...], tuple[int, str]]


def work(options: argparse.Namespace, job: int) -> Found:
    """Every `jobs`-th case, until this job's share of the lines is done."""
    cases, lines, found = 0, Counter[str](), dict[tuple[str, ...], tuple[int, str]]()
    number = job if options.case is None else options.case
    while lines.total() < options.lines / options.jobs:
        tried = case(options.seed, number, options.formats, options.longest, options.engine)
        for fault in faults(tried):
            count, text = found.get(fault.signature, (0, ""))
            found[fault.signature] = (count + 1, text or tell(fault, number, options))
        cases += 1
        lines[tried.stream.format] += len(tried.stream.records)
        number += options.jobs
        if options.case is not None:
            break
    return Found(cases, lines, found)


def tell(fault: Fault, number: int, options: argparse.Namespace) -> str:
    """Make the first fault of its kind smaller, and say how to see it."""
    whole = case(options.seed, number, options.formats, options.longest, options.engine)
    formats = "" if set(options.formats) == set(MAKERS) else f" --formats {','.join(options.formats)}"
    again = f"python -m tests.fuzz --seed {options.seed} --case {number} --longest {options.longest}{formats}"
    name = f"{options.seed}-{number}-{fault.law}"
    least = smaller(whole, fault, options.reduce)
    shown = next((each for each in faults(least, fault.law) if each.signature == fault.signature), fault)
    text = told(shown, least, name, options.folder, again)
    print(text, flush=True)
    return text


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    start = time.perf_counter()
    if options.jobs == 1:
        results = [work(options, 0)]
    else:
        with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
            results = pool.starmap(work, [(options, job) for job in range(options.jobs)])
    lines = sum((each.lines for each in results), Counter[str]())
    kinds: Counter[tuple[str, ...]] = Counter()
    for each in results:
        kinds.update({signature: count for signature, (count, _) in each.faults.items()})
    for signature, count in kinds.most_common():
        print(f"{count:6,} x {', '.join(filter(None, signature))}")
    each_format = ", ".join(f"{name} {count:,}" for name, count in sorted(lines.items()))
    print(
        f"fuzz: seed {options.seed}, {sum(each.cases for each in results):,} cases, {lines.total():,} lines ({each_format}), "
        f"{len(kinds)} kinds of fault, {time.perf_counter() - start:.0f} s"
    )
    return int(bool(kinds))


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("tests.fuzz", description="Fuzz the whole command.")
    parser.add_argument("--lines", type=int, default=100_000, help="records to try, about")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", type=int, help="this one alone")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--formats", default=",".join(MAKERS), help="some of them, with commas between")
    parser.add_argument("--folder", type=Path, default=Path("fuzz-faults"), help="where inputs with faults go")
    parser.add_argument("--longest", type=int, default=400, help="characters of the longest word")
    parser.add_argument("--reduce", type=float, default=10.0, help="seconds in which a fault is made smaller")
    parser.add_argument("--engine", choices=("python", "numba"), default="numba" if jit.available() else "python")
    options = parser.parse_args(argv)
    options.formats = tuple(options.formats.split(","))
    unknown = set(options.formats) - set(MAKERS) | set(MAKERS) - KNOWN
    if unknown:
        parser.error(f"unknown format {min(unknown)}; there are {', '.join(MAKERS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
