"""Writes the sample streams beside this file, the same bytes every time.

    python sample_data/generate.py            write the files
    python sample_data/generate.py --check    compare them with what would be written; exit 1 if they differ

Everything is made up here, with numpy's seeded generator; nothing comes from elsewhere. Faults are short (1 to 4
records in a row), rare (under 0.5% of the records) and far from the recent normal of their own series. The truth is
in `label`; for the logs, which come from `logs.py` and `weblog.py`, in truth.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import logs
import numpy as np
import weblog

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
DAY = 86_400.0  # [s]
QUIET_START = 100  # records of a series before its first fault
TOWNS = logs.words("Lyon Turin Bern Graz Linz Brno Bonn Kiel Oslo Malmo Riga Gent Metz Pau")
FAR = logs.words("Lima Osaka Perth Quito Miami Dubai Lagos Delhi Cairo Busan")
GAP = 40  # normal records between two faults of a series, at least


def clock(seconds: float) -> str:
    """RFC 3339 text of a moment, in seconds after the start."""
    return (START + timedelta(seconds=int(seconds))).strftime("%Y-%m-%dT%H:%M:%SZ")


def faults(rng: np.random.Generator, n: int, count: int, longest: int) -> list[tuple[int, int]]:
    """(first record, length) of up to `count` faults in a series of n records, well apart."""
    room = (n - QUIET_START) // count
    if room < GAP + longest:
        raise ValueError(f"no room for {count} faults in {n} records")
    places = QUIET_START + room * np.arange(count) + rng.integers(0, room - GAP - longest + 1, count)
    return [(int(place), int(rng.integers(1, longest + 1))) for place in places]


def wave(seconds: np.ndarray, phase: float = 0.0) -> np.ndarray:
    """A daily rhythm between -1 and 1, with an evening shoulder."""
    turn = 2.0 * np.pi * (seconds / DAY - phase)
    return (np.sin(turn) + 0.3 * np.sin(2.0 * turn + 0.8)) / 1.2


def metrics() -> str:
    """One web service, a record a minute for 13 days: rhythm of the day, slow growth, three kinds of faults."""
    rng = np.random.default_rng(11)
    n = 19_000
    seconds = 60.0 * np.arange(n)
    day = wave(seconds, 0.35)
    growth = 1.0 + 0.15 * np.arange(n) / n
    requests = growth * (1400.0 + 600.0 * day) + rng.normal(0.0, 45.0, n)
    latency = 85.0 + 20.0 * day + 6.0 * np.sin(2.0 * np.pi * np.arange(n) / 9_000.0) + rng.normal(0.0, 3.0, n)
    cpu = growth * (38.0 + 14.0 * day) + rng.normal(0.0, 1.2, n)
    label = np.zeros(n, int)
    for place, length in faults(rng, n, 26, 4):
        during = slice(place, place + length)
        label[during] = 1
        kind, size = rng.integers(3), rng.uniform(1.0, 2.0, length)
        if kind == 0:  # a dependency hangs: requests pile up
            latency[during] += 150.0 * size
            cpu[during] *= 0.35
        elif kind == 1:  # a runaway job takes the processors
            cpu[during] = 100.0 - rng.uniform(0.0, 1.0, length)
            latency[during] += 90.0 * size
        else:  # an outage upstream: hardly a request comes in
            requests[during] *= 0.02 * size
            cpu[during] *= 0.1 * size
    lines = ["time,cpu,latency_ms,requests,label"]
    for i in range(n):
        lines.append(f"{clock(seconds[i])},{cpu[i]:.1f},{latency[i]:.1f},{requests[i]:.0f},{label[i]}")
    return "\n".join(lines) + "\n"


def interleaved(seconds: list[np.ndarray]) -> list[tuple[int, int]]:
    """(series, record within the series) in the order of time."""
    places = [(when, k, i) for k, each in enumerate(seconds) for i, when in enumerate(each.tolist())]
    return [(k, i) for _, k, i in sorted(places)]


def places(counts: list[int], stolen: list[np.ndarray]) -> list[list[str]]:
    """Where each payment of each card is made: at home or nearby, on a journey; far away while the card is stolen.

    counts : payments of each card. stolen: the numbers of those by a thief.
    """
    rng = np.random.default_rng(15)
    found = []
    for n, theirs in zip(counts, stolen, strict=True):
        home = int(rng.integers(len(TOWNS)))
        near = [TOWNS[(home + i) % len(TOWNS)] for i in range(4)]
        own = [near[int(i)] for i in rng.choice(4, n, p=[0.72, 0.18, 0.07, 0.03])]
        if rng.random() < 0.35:  # a journey
            first, length = int(rng.integers(0, n - 12)), int(rng.integers(3, 12))
            own[first : first + length] = [FAR[int(rng.integers(len(FAR)))]] * length
        there = [place for place in FAR if place not in own]
        thief = there[int(rng.integers(len(there)))]
        for i in theirs.tolist():
            own[i] = thief
        found.append(own)
    return found


def cards() -> str:
    """Payments by 80 cards, amounts lognormal around each card's own habit.

    Stolen ones pay far more, in quick succession, in a place where they never were.
    """
    rng = np.random.default_rng(12)
    shops = ["grocery", "fuel", "pharmacy", "restaurant", "clothing", "books"]
    seconds, amounts, labels = [], [], []
    for k in range(80):
        n = int(rng.integers(110, 160))
        seconds.append(np.sort(rng.uniform(0.0, 30.0 * DAY, n)))
        usual = np.exp(rng.normal(3.6, 0.7))
        amount = usual * np.exp(rng.normal(0.0, 0.35, n))
        label = np.zeros(n, int)
        if k % 4 == 0:  # this card's number gets out, once
            place = int(rng.integers(QUIET_START, n - 4))
            length = int(rng.integers(1, 4))
            during = slice(place, place + length)
            amount[during] = usual * rng.uniform(25.0, 60.0, length)
            label[during] = 1
            seconds[k][during] = seconds[k][place] + 90.0 * np.arange(length)  # in quick succession
            seconds[k].sort()
        amounts.append(amount)
        labels.append(label)
    where = places([len(label) for label in labels], [np.flatnonzero(label) for label in labels])
    lines = []
    for k, i in interleaved(seconds):
        record = {
            "time": clock(seconds[k][i]),
            "card": f"card-{k:03d}",
            "merchant": shops[int(rng.integers(len(shops)))],
            "place": where[k][i],
            "amount": round(float(amounts[k][i]), 2),
            "label": int(labels[k][i]),
        }
        lines.append(json.dumps(record, separators=(",", ":")))
    return "\n".join(lines) + "\n"


def sensors() -> str:
    """Six weather sensors, a reading every ten minutes, with gaps; a failing one reports its end of scale."""
    rng = np.random.default_rng(13)
    n = 2_000
    seconds, cells = [], []
    for k in range(6):
        when = 600.0 * np.arange(n) + 20.0 * k
        day = wave(when, 0.4)
        weather = np.cumsum(rng.normal(0.0, 0.03, n))
        temperature = 12.0 + 2.0 * k + 5.0 * day + weather + rng.normal(0.0, 0.25, n)
        humidity = 60.0 - 3.0 * k - 12.0 * day - 1.5 * weather + rng.normal(0.0, 0.8, n)
        label = np.zeros(n, int)
        for place, length in faults(rng, n, 6, 4):
            during = slice(place, place + length)
            label[during] = 1
            low = rng.integers(2) == 0
            temperature[during] = -40.0 if low else 85.0  # a lost wire, or the value after power-on
            humidity[during] = 0.0 if low else 99.9
        columns = [[f"{value:.1f}" for value in temperature], [f"{value:.1f}" for value in humidity]]
        for column in columns:  # single readings get lost, and a few hours now and then
            for i in np.flatnonzero(rng.random(n) < 0.03):
                column[i] = ""
        for place in rng.integers(0, n - 30, 3):
            for i in range(int(place), int(place) + int(rng.integers(6, 30))):
                columns[0][i] = columns[1][i] = ""
        seconds.append(when)
        for i in np.flatnonzero(label):  # nothing was read: nothing was wrong
            if columns[0][i] == columns[1][i] == "":
                label[i] = 0
        cells.append((columns[0], columns[1], label))
    lines = ["time,sensor,temperature,humidity,label"]
    for k, i in interleaved(seconds):
        temperature_text, humidity_text, label = cells[k]
        lines.append(f"{clock(seconds[k][i])},s{k + 1},{temperature_text[i]},{humidity_text[i]},{label[i]}")
    return "\n".join(lines) + "\n"


def logins() -> str:
    """Login sessions at eight gateways; now and then somebody guesses passwords through one of them."""
    rng = np.random.default_rng(14)
    users = ["ana", "bo", "chen", "dina", "emil", "fatou", "goran", "hana", "ivo", "june", "kofi", "lea"]
    seconds, sessions = [], []
    for k in range(8):
        n = int(rng.integers(850, 1150))
        when = np.sort(rng.uniform(0.0, 14.0 * DAY, n))
        failed = rng.poisson(0.25, n)
        label = np.zeros(n, int)
        if k in (1, 4, 6):
            for place, length in faults(rng, n, 4, 3):
                during = slice(place, place + length)
                failed[during] = rng.integers(40, 150, length)
                label[during] = 1
        duration = (350.0 + 40.0 * k) * np.exp(rng.normal(0.0, 0.15, n)) + 30.0 * wave(when)
        duration = np.where(label == 1, 120.0 * failed, duration + 90.0 * failed)
        seconds.append(when)
        sessions.append((failed, duration, label))
    lines = []
    for k, i in interleaved(seconds):
        failed, duration, label = sessions[k]
        record = {
            "time": clock(seconds[k][i]),
            "source": f"10.0.{k}.1",
            "user": users[int(rng.integers(len(users)))] if not label[i] else "admin",
            "failed_attempts": int(failed[i]),
            "duration_ms": round(float(duration[i])),
            "label": int(label[i]),
        }
        lines.append(json.dumps(record, separators=(",", ":")))
    return "\n".join(lines) + "\n"


LOGS: dict[str, Callable[[], tuple[str, list[dict[str, Any]]]]] = {
    "auth.log": cache(logs.auth),
    "access.log": cache(weblog.access),
    "app.log": cache(logs.app),
}


def truth() -> str:
    """What is planted in each log: kind, address, and the runs of lines, first and last, from 1."""
    texts = []
    for name, make in LOGS.items():
        events = ",\n".join(f"  {json.dumps(event)}" for event in make()[1])
        texts.append(f" {json.dumps(name)}: [\n{events}\n ]")
    return "{\n" + ",\n".join(texts) + "\n}\n"


FILES: dict[str, Callable[[], str]] = {
    "metrics.csv": metrics,
    "cards.jsonl": cards,
    "sensors.csv": sensors,
    "logins.jsonl": logins,
    **{name: lambda make=make: make()[0] for name, make in LOGS.items()},
    "truth.json": truth,
}


def main() -> int:
    """Write the files, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    check = parser.parse_args().check
    code = 0
    for name, make in FILES.items():
        path, data = Path(__file__).parent / name, make().encode()
        if not check:
            path.write_bytes(data)
        elif not path.exists() or path.read_bytes() != data:
            print(f"{path.name} is not what the generator writes", file=sys.stderr)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
