"""Prints the flagged records of a scored JSON Lines stream as a table: `show.py [KEY] < scored.jsonl`."""

from __future__ import annotations

import json
import sys

MOST = 12  # rows printed

key = sys.argv[1] if len(sys.argv) > 1 else ""
flagged = [record for record in map(json.loads, sys.stdin) if record["anomaly"]]
for record in flagged[:MOST]:
    why = "; ".join(
        f"{each['field']} {each['value']:g}"
        + (f" (expected {each['expected']:.4g})" if each["expected"] is not None else "")
        for each in record["why"]
    )
    truth = "planted" if record["label"] == 1 else "false"
    print(f"  {record['time']}  {record.get(key, ''):<{10 if key else 0}}{record['score']:7.2f}  {truth:<7}  {why}")
if len(flagged) > MOST:
    print(f"  and {len(flagged) - MOST} more")
