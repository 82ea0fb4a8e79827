"""The sample streams: reproducible, small, and their faults found by the defaults."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DATA = ROOT / "sample_data"
RATE = 0.001
STREAMS = [("metrics.csv", ""), ("cards.jsonl", "card"), ("sensors.csv", "sensor"), ("logins.jsonl", "source")]


def records(text: str, name: str) -> list[dict[str, str]]:
    """Rows as texts, whatever the format."""
    if name.endswith(".csv"):
        return list(csv.DictReader(text.splitlines()))
    return [{key: str(value).lower() for key, value in json.loads(line).items()} for line in text.splitlines()]


def flagged(path: Path, *options: str) -> list[bool]:
    command = [sys.executable, "-m", "clipdetect", "--quiet", *options, str(path)]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [record["anomaly"] == "true" for record in records(out, path.name)]


def without_label(text: str, name: str) -> str:
    if name.endswith(".csv"):
        return "".join(line.rpartition(",")[0] + "\n" for line in text.splitlines())
    kept = [{k: v for k, v in json.loads(line).items() if k != "label"} for line in text.splitlines()]
    return "".join(json.dumps(record) + "\n" for record in kept)


def test_the_files_are_what_the_generator_writes() -> None:
    subprocess.run([sys.executable, str(DATA / "generate.py"), "--check"], check=True)


@pytest.mark.parametrize(("name", "key"), STREAMS)
def test_streams_are_small_and_their_faults_rare(name: str, key: str) -> None:
    assert (DATA / name).stat().st_size < 2**20
    rows = records((DATA / name).read_text(), name)
    assert 0 < sum(row["label"] == "1" for row in rows) < 0.01 * len(rows)
    seen: Counter[str] = Counter()
    for row in rows:
        of = row.get(key, "")
        assert row["label"] == "0" or seen[of] >= 60
        seen[of] += 1


def test_times_never_go_back() -> None:
    for name, _ in STREAMS:
        times = [row["time"] for row in records((DATA / name).read_text(), name)]
        assert times == sorted(times)


def test_sensors_have_gaps() -> None:
    rows = records((DATA / "sensors.csv").read_text(), "sensors.csv")
    assert any(row["temperature"] == "" != row["humidity"] for row in rows)
    assert any(row["temperature"] == row["humidity"] == "" for row in rows)


@pytest.mark.parametrize(("name", "key"), STREAMS)
def test_defaults_find_the_faults_with_and_without_the_label(name: str, key: str, tmp_path: Path) -> None:
    by = ["--by", key] if key else []
    text = (DATA / name).read_text()
    truth = [row["label"] == "1" for row in records(text, name)]
    flags = flagged(DATA / name, "--label", "label", *by)
    found = sum(flag and bad for flag, bad in zip(flags, truth, strict=True))
    assert found >= 0.9 * sum(truth)
    assert sum(flags) - found <= 2.0 * RATE * (len(truth) - sum(truth))
    bare = tmp_path / name
    bare.write_text(without_label(text, name))
    assert flagged(bare, *by) == flags
