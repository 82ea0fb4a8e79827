"""Run ours and the peers on every labelled set of a folder, and write the section into docs/benchmarks.md."""

from __future__ import annotations

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.detection import page, peers, sets
from benchmarks.detection.ours import CONFIGURATIONS, available, our_cells, run_ours
from benchmarks.detection.store import Cell

ROOT = Path(__file__).resolve().parents[2]


def names(text: str) -> tuple[str, ...]:
    """A list between commas."""
    return tuple(part for part in text.split(",") if part)


def main() -> None:
    """Parse the arguments, run what is not stored, write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=__doc__)
    parser.add_argument("data", type=Path, metavar="FOLDER", help=f"holds {', '.join(sets.NAMES)} (bgl: loghub)")
    parser.add_argument("--only", type=names, default=sets.NAMES, metavar="SET,...", help="these sets")
    parser.add_argument("--method", type=names, default=(), metavar="NAME,...", help="ours, peers, or names of methods")
    parser.add_argument("--cache", type=Path, default=ROOT / ".bench", metavar="FOLDER", help="[.bench]")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at a time [1]")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "benchmarks.md", metavar="FILE")
    parser.add_argument("--no-page", action="store_true", help="run only")
    parser.add_argument("--no-run", action="store_true", help="write the page from what is stored")
    parser.add_argument("--stale", action="store_true", help="accept results of older code")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        parser.error(f"no such folder: {arguments.data}")
    known = [*CONFIGURATIONS, *(peer.name for peer in peers.PEERS)]
    unknown = [name for name in arguments.method if name not in (*known, "ours", "peers")]
    if unknown:
        parser.error(f"unknown method: {', '.join(unknown)} (there are: ours, peers, {', '.join(known)})")
    unknown = [name for name in arguments.only if name not in sets.NAMES]
    if unknown:
        parser.error(f"unknown set: {', '.join(unknown)} (there are: {', '.join(sets.NAMES)})")

    def chosen(name: str, kind: str) -> bool:
        return not arguments.method or name in arguments.method or kind in arguments.method

    cache: Path = arguments.cache
    everything = [sets.prepare(stream, cache) for stream in sets.streams(arguments.data)]
    wanted = [stream for stream in everything if _in(stream.stream, arguments.only)]
    if not arguments.no_run:
        try:
            if any(chosen(name, "ours") for name in available()):  # compile once, outside the measured time
                subprocess.run([sys.executable, "-m", "clipdetect.warm"], check=True, stdout=sys.stderr)
            for name in available():
                if chosen(name, "ours"):
                    run_ours(our_cells(name, wanted, cache), arguments.stale, arguments.jobs)
            mine = [peer for peer in peers.PEERS if chosen(peer.name, "peers")]
            if mine:
                python = peers.environment(cache / "peers")
                for series in (False, True):  # the twenty sets first
                    part = [stream for stream in wanted if stream.stream.series == series]
                    with ThreadPoolExecutor(arguments.jobs) as pool:
                        list(pool.map(lambda cells: peers.run(cells, python), _of(mine, part, cache)))
        except KeyboardInterrupt:
            parser.exit(130, "interrupted; what was done is kept, and the next run goes on from there\n")
    if not arguments.no_page:
        page.write(arguments.page, everything, arguments.data, cache, arguments.stale)
        print(f"wrote {arguments.page}", file=sys.stderr)


def _of(mine: list[peers.Peer], streams: list[sets.Prepared], cache: Path) -> list[list[Cell]]:
    return [peers.cells(peer, streams, cache) for peer in mine]


def _in(stream: sets.Stream, only: tuple[str, ...]) -> bool:
    return stream.set in only or ("smap_msl" in only and stream.set in sets.FAMILIES["smap_msl"])


if __name__ == "__main__":
    main()
