"""Run the sections and write docs/reproduction.md."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.reproduce import SECTIONS
from benchmarks.reproduce.cells import ROOT, Cell, Done, Missing, run
from benchmarks.reproduce.page import write

PAGE = ROOT / "docs" / "reproduction.md"


def jobs(module: ModuleType, data: Path | None, quick: bool) -> list[Cell]:
    """The cells of a section; in a quick run those marked for it."""
    return [cell for cell in module.cells(data) if cell.quick or not quick]


def main() -> None:
    """Parse the arguments, run the cells, write or print the sections."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reproduce", description=__doc__)
    parser.add_argument("data", nargs="?", type=Path, metavar="FOLDER", help="holds mnist/; without it, small digits")
    parser.add_argument("--only", action="append", choices=SECTIONS, metavar="NAME", help="a section; repeatable")
    parser.add_argument("--quick", action="store_true", help="a smoke test: few cells, printed and not written")
    parser.add_argument("--again", action="store_true", help="run every cell, also those whose results are kept")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the page [docs/reproduction.md]")
    arguments = parser.parse_args()
    data: Path | None = arguments.data
    if data is not None and not data.is_dir():
        parser.error(f"no such folder: {data}")
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # two processes of one thread each
        os.environ[name] = "1"
    page: Path = arguments.out or (ROOT / "build" / "reproduce" / "quick.md" if arguments.quick else PAGE)
    pictures = page.parent / page.stem

    try:
        modules = {name: import_module(f"benchmarks.reproduce.{name}") for name in arguments.only or SECTIONS}
    except ModuleNotFoundError as error:
        parser.exit(1, f"{error}: pip install 'clipdetect[reproduce]'\n")
    missing: dict[str, str] = {}
    cells: dict[str, list[Cell]] = {}
    for name, module in modules.items():
        try:
            cells[name] = jobs(module, data, arguments.quick)
        except Missing as error:
            missing[name] = str(error)
    try:
        results = run([(name, cell) for name in cells for cell in cells[name]], arguments.again)
    except KeyboardInterrupt:
        parser.exit(130, "interrupted; what was done is kept, and the next run goes on from there\n")

    sections: dict[str, str] = {}
    times: dict[str, tuple[int, float]] = {}
    for name, module in modules.items():
        if name in missing:
            body = f"Not run: {missing[name]}\n"
        else:
            mine: dict[str, Done] = {cell.name: results[name, cell.name] for cell in cells[name]}
            values: dict[str, Any] = {cell: done.value for cell, done in mine.items()}
            body = module.report(values, pictures) if values else "Nothing of it is in a quick run.\n"
            times[name] = len(mine), sum(done.seconds for done in mine.values()) / 60
        sections[name] = f"## {module.TITLE}\n\n{body}"
    if arguments.quick and arguments.out is None:
        print("\n".join(sections.values()))
        return
    write(page, SECTIONS, sections, times)
    print(f"wrote {page}", file=sys.stderr)


if __name__ == "__main__":
    main()
