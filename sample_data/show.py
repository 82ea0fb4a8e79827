"""Shows what was flagged.

show.py [KEY] < scored.jsonl            a stream with its truth in `label`: flagged records as a table
show.py --log NAME [KEY] < found.jsonl  a log beside this file, flagged lines only: the first of each KEY (such as the
                                        source), or each line, and how much of what is planted was found
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

MOST = 8  # rows printed


def reasons(record: dict[str, Any]) -> list[str]:
    """Why a record is flagged, in words."""
    return [
        each.get("text")
        or f"{each['field']} {each['value']:g}"
        + (f" (expected {each['expected']:.4g})" if each["expected"] is not None else "")
        for each in record["why"]
    ]


def table(key: str) -> None:
    """Flagged records, a row each."""
    flagged = [record for record in map(json.loads, sys.stdin) if record["anomaly"]]
    for record in flagged[:MOST]:
        truth = "planted" if record["label"] == 1 else "false"
        of = f"{record.get(key, ''):<{10 if key else 0}}"
        print(f"  {record['time']}  {of}{record['score']:7.2f}  {truth:<7}  {'; '.join(reasons(record)[:2])}")
    if len(flagged) > MOST:
        print(f"  and {len(flagged) - MOST} more")


def planted(name: str) -> dict[str, str]:
    """What each planted line of a log belongs to, by the line's text."""
    here = Path(__file__).parent
    lines = (here / name).read_text().split("\n")
    events = json.loads((here / "truth.json").read_text())[name]
    return {
        line: event["kind"]
        for event in events
        for first, last in event["lines"]
        for line in lines[first - 1 : last]
    }  # fmt: skip


def findings(name: str, key: str) -> None:
    """Flagged lines of a log, the first of each key's; how many planted events are found, and what else is flagged."""
    truth = planted(name)
    flagged = [json.loads(line) for line in sys.stdin]
    keys = [str(record.get(key, "")) if key else record["line"] for record in flagged]
    more, shown = Counter(keys), set()
    for record, own in zip(flagged, keys, strict=True):
        if own in shown:
            continue
        shown.add(own)
        if len(shown) <= MOST:
            what = f"{own}  " if key else ""
            first, *others = reasons(record)
            print(f"  {record['time']}  {what}{record['score']:.2f}  {first}")
            for each in others[:2]:
                print(f"  {'':{len(record['time'] + what) + 8}}{each}")
            if more[own] > 1:
                print(f"  {'':{len(record['time'] + what) + 8}}({more[own] - 1} more of its lines are flagged)")
    if len(shown) > MOST:
        print(f"  and {len(shown) - MOST} more")
    found = {truth[record["line"]] for record in flagged if record["line"] in truth}
    others = {own for record, own in zip(flagged, keys, strict=True) if record["line"] not in truth}
    missed = sorted(set(truth.values()) - found)
    print(f"  {len(found)} of {len(found) + len(missed)} planted found{': not ' * bool(missed)}{'; '.join(missed)}")
    named = f": {'; '.join(sorted(others)[:MOST])}" if key and others else ""
    print(f"  {len(others)} flagged besides{named}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--log"]:
        findings(sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "")
    else:
        table(sys.argv[1] if len(sys.argv) > 1 else "")
