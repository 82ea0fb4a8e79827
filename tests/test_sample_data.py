"""The sample streams and logs: reproducible, small, and what is planted in them found."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections import Counter
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import launcher
import pytest

ROOT = Path(__file__).parent.parent
DATA = ROOT / "sample_data"
RATE = 0.001
STREAMS = [("metrics.csv", ""), ("cards.jsonl", "card"), ("sensors.csv", "sensor"), ("logins.jsonl", "source")]
LARGEST = 1_250_000  # [bytes]
TRUTH = json.loads((DATA / "truth.json").read_text())
# Options, what tells the others apart, and the planted events that must be found with them.
LOGS = [
    ("auth.log", ["--recipe", "sshd"], "source", {"fast password guessing", "slow password guessing"}),
    ("access.log", ["--recipe", "access"], "remote_addr", {"scanner"}),
    ("access.log", ["--recipe", "traffic"], "remote_addr", {"mass download"}),
    ("app.log", ["--gap", "15m"], "line", {event["kind"] for event in TRUTH["app.log"]}),
]


def records(text: str, name: str) -> list[dict[str, str]]:
    """Rows as texts, whatever the format."""
    if name.endswith(".csv"):
        return list(csv.DictReader(text.splitlines()))
    return [{key: str(value).lower() for key, value in json.loads(line).items()} for line in text.splitlines()]


def flagged(path: Path, *options: str) -> list[bool]:
    return [record["anomaly"] == "true" for record in records(output(path, *options), path.name)]


def output(path: Path, *options: str) -> str:
    command = [*launcher.command(), "--quiet", *options, str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()


def lines_of(name: str) -> list[str]:
    return (DATA / name).read_text().removesuffix("\n").split("\n")


def numbers(event: dict[str, Any]) -> set[int]:
    """Of an event's lines, from 1."""
    return {number for first, last in event["lines"] for number in range(first, last + 1)}


def without_label(text: str, name: str) -> str:
    if name.endswith(".csv"):
        return "".join(line.rpartition(",")[0] + "\n" for line in text.splitlines())
    kept = [{k: v for k, v in json.loads(line).items() if k != "label"} for line in text.splitlines()]
    return "".join(json.dumps(record) + "\n" for record in kept)


def test_the_files_are_what_the_generator_writes() -> None:
    subprocess.run([sys.executable, str(DATA / "generate.py"), "--check"], check=True)


@pytest.mark.parametrize(("name", "key"), STREAMS)
def test_streams_are_small_and_their_faults_rare(name: str, key: str) -> None:
    assert (DATA / name).stat().st_size < LARGEST
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
    assert found >= (0.9 if key else 0.6) * sum(truth)  # of several fields without a key bursts are judged, too
    assert sum(flags) - found <= 2.0 * RATE * (len(truth) - sum(truth))
    bare = tmp_path / name
    bare.write_text(without_label(text, name))
    assert flagged(bare, *by) == flags


def test_a_stolen_card_pays_where_it_never_was_and_others_were() -> None:
    rows = records((DATA / "cards.jsonl").read_text(), "cards.jsonl")
    honest = {(row["card"], row["place"]) for row in rows if row["label"] == "0"}
    stolen = {(row["card"], row["place"]) for row in rows if row["label"] == "1"}
    assert len(stolen) == 20 and not stolen & honest
    assert {place for _, place in stolen} & {place for _, place in honest}


def test_the_card_recipe_finds_stolen_cards() -> None:
    rows = records(output(DATA / "cards.jsonl", "--recipe", "card", "--label", "label"), "cards.jsonl")
    found = {row["card"] for row in rows if row["anomaly"] == "true" and row["label"] == "1"}
    assert len(found) >= 10
    assert sum(row["anomaly"] == "true" and row["label"] == "0" for row in rows) <= RATE * len(rows)


@pytest.mark.parametrize("name", [each[0] for each in LOGS])
def test_logs_are_small_and_their_events_have_lines_of_their_own(name: str) -> None:
    assert (DATA / name).stat().st_size < 2**20
    lines = lines_of(name)
    seen: set[int] = set()
    for event in TRUTH[name]:
        own = numbers(event)
        assert own and not own & seen
        seen |= own
        if "source" in event:
            pattern = re.compile(rf"(?<![0-9.]){re.escape(event['source'])}(?![0-9.])")
            with_it = {number for number, line in enumerate(lines, 1) if pattern.search(line)}
            assert with_it <= own
            assert all("user unknown" in lines[number - 1] for number in own - with_it)
    assert max(seen) <= len(lines)
    assert not re.search("planted|attack|anomal", "\n".join(lines), re.IGNORECASE)


def test_planted_errors_are_new_and_the_silence_is_the_longest() -> None:
    lines = lines_of("app.log")
    for event in TRUTH["app.log"]:
        first = event["lines"][0][0]
        if event["kind"] != "silence":
            message = lines[first - 1].partition(": ")[2].partition("order")[0] or lines[first - 1][-24:]
            assert " ERROR " in lines[first - 1]
            assert {n for n, line in enumerate(lines, 1) if "ERROR" in line and message in line} <= numbers(event)
    times = [datetime.fromisoformat(line[:19]) for line in lines if line[:4] == "2026"]
    pauses = [after - before for before, after in pairwise(times)]
    assert times == sorted(times)
    assert max(pauses) > 3 * sorted(pauses)[-2]


@pytest.mark.parametrize(("name", "options", "key", "wanted"), LOGS)
def test_planted_events_are_found_early_and_little_else(
    name: str, options: list[str], key: str, wanted: set[str]
) -> None:
    out = output(DATA / name, *options)
    lines = lines_of(name)
    scored = [json.loads(line) for line in out.splitlines()]
    assert [record["line"] for record in scored] == lines
    flags = {number for number, record in enumerate(scored, 1) if record["anomaly"]}
    events = {event["kind"]: sorted(numbers(event)) for event in TRUTH[name]}
    found = {kind for kind, own in events.items() if flags & set(own)}
    assert found >= wanted
    for kind in wanted:
        own = events[kind]
        assert min(flags & set(own)) <= own[len(own) // 2]
    planted = {number for own in events.values() for number in own}
    assert len({scored[number - 1].get(key) for number in flags - planted}) <= 2


def test_the_log_of_findings_says_what_was_missed() -> None:
    found = output(DATA / "app.log", "--gap", "15m", "--only-anomalies")
    command = [sys.executable, str(DATA / "show.py"), "--log", "app.log"]
    shown = subprocess.run(command, input=found, capture_output=True, check=True, text=True).stdout
    assert "no record for 31 min" in shown
    assert re.search(r"^  [1-5] of 5 planted found", shown, re.MULTILINE)
