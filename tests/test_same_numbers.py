"""The Python API gives the numbers of the command, bit for bit, where neither is told what to use."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
from feeding import feed, folder

from clipdetect import Detector
from clipdetect.jit import available
from clipdetect.numerics.categories import code, column_of
from clipdetect.numerics.hashing import category

FAST = "numba" if available() else "python"
SAMPLES = folder("..") / "sample_data"
Scores = list[float | None]


def commands(data: bytes, **flags) -> Scores:
    """The score of each record, by the command."""
    out = feed(data, engine=FAST, **flags)[0].decode().splitlines()
    if data.startswith(b"{"):
        return [json.loads(line)["score"] for line in out]
    return [float(row["score"]) if row["score"] else None for row in csv.DictReader(out)]


def pythons(detector: Detector, X: np.ndarray, keys: list[str] | None = None, **more) -> Scores:
    """The score of each row, handed over in blocks of a few and of many."""
    found: list[float] = []
    while len(found) < len(X):
        at, end = len(found), len(found) + (1, 2, 700)[len(found) % 3]
        found += detector.step(X[at:end], keys and keys[at:end], **more).score.tolist()
    return [None if math.isnan(score) else score for score in found]


def numbers(records: list[dict], names: list[str]) -> np.ndarray:
    cells = [[record.get(name) for name in names] for record in records]
    return np.array([[math.nan if cell in (None, "") else float(cell) for cell in row] for row in cells])


def sample(name: str) -> tuple[bytes, list[dict]]:
    data = (SAMPLES / name).read_bytes()
    lines = data.decode().splitlines()
    return data, list(csv.DictReader(lines)) if name.endswith(".csv") else list(map(json.loads, lines))


@pytest.mark.parametrize(
    ("name", "fields", "key"),
    [
        ("metrics.csv", ["cpu", "latency_ms", "requests"], None),
        ("cards.jsonl", ["amount"], None),
        ("cards.jsonl", ["amount"], "card"),
        ("sensors.csv", ["temperature", "humidity"], "sensor"),
        ("logins.jsonl", ["failed_attempts", "duration_ms"], "source"),
    ],
)
def test_the_sample_streams(name, fields, key):
    data, records = sample(name)
    expected = commands(data, **({"by": key} if key else {}))
    keys = [record[key] for record in records] if key else None
    assert pythons(Detector(engine=FAST), numbers(records, fields), keys) == expected
    assert pythons(Detector(engine=FAST, fields=fields), numbers(records, fields), keys) == expected
    assert sum(score is not None for score in expected) > 0.7 * len(records)


@pytest.mark.parametrize(
    ("fields", "gaps", "texts", "keys"),
    [
        (1, 0.0, 0, 0), (1, 0.3, 2, 0), (1, 0.1, 1, 5), (2, 0.0, 0, 0), (2, 0.5, 0, 0), (3, 0.1, 0, 4), (5, 0.2, 0, 0),
        (8, 0.0, 3, 6), (13, 0.4, 0, 0), (19, 0.1, 0, 3),
    ],
)  # fmt: skip
def test_made_streams_with_gaps_texts_and_keys(fields, gaps, texts, keys):
    rng = np.random.default_rng([fields, texts, keys])
    X = np.round(rng.normal(10.0, 2.0, (1500, fields)) + rng.normal(0.0, 0.1, (1500, fields)).cumsum(axis=0), 3)
    X[rng.random(X.shape) < gaps] = np.nan
    X[900:905] += 40.0
    texted = rng.choice(list("abcd"), (1500, texts))
    key = [f"k{i}" for i in rng.integers(keys or 1, size=1500)]
    records = [
        {
            "host": key[i],
            **{f"x{j}": None if math.isnan(X[i, j]) else X[i, j] for j in range(fields)},
            **{f"s{j}": str(texted[i, j]) for j in range(texts)},
        }
        for i in range(1500)
    ]
    data = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    expected = commands(data, **({"by": "host"} if keys else {"exclude": "host"}))
    assert pythons(Detector(engine=FAST), X, key if keys else None) == expected
    assert max(score or 0.0 for score in expected) > 3.0


def test_a_stream_whose_texts_are_watched():
    data, records = sample("logins.jsonl")
    fields, opened = ["failed_attempts", "duration_ms"], {}
    for text in ("source", "user"):
        seen: list[str] = []
        for i, record in enumerate(records):
            seen.append(record[text])
            if len(seen) >= max(8, 4 * len(set(seen))):
                opened[text] = i
                break
    X = numbers(records, fields)
    expected = commands(data)
    detector, found, start = Detector(features=["categories"], engine=FAST), [], 0
    for text in [*sorted(opened, key=opened.__getitem__), None]:
        end = len(records) if text is None else opened[text]
        found += pythons(detector, X[start:end], fields=fields)
        start = end
        if text is not None:
            fields = [*fields, column_of(text)]
            X = np.column_stack([X, [code(category(record[text])) for record in records]])
    assert opened and found == expected


def test_features_asked_for_choose_as_in_the_command():
    rng = np.random.default_rng(0)
    x = np.exp(rng.normal(size=800))
    data = b"".join(b'{"x":%r}\n' % value for value in x.tolist())
    assert pythons(Detector(features=["log:field=x"], engine=FAST), x, fields=["x"]) == commands(
        data, derive=("log:field=x",)
    )
    upward = Detector(features=["rate:window=60s"])
    assert (type(upward.estimator).__name__, type(upward.threshold).__name__) == ("Evidence", "Counted")


def test_what_is_asked_for_stays():
    X = np.random.default_rng(1).normal(size=(300, 3))
    level = Detector("level", engine=FAST)
    assert not np.array_equal(level.step(X).score, Detector(engine=FAST).step(X).score, equal_nan=True)
    assert (type(level.estimator).__name__, type(level.threshold).__name__) == ("Level", "Tail")
    assert level.plan.why.estimator == "asked for" and not level.plan.open
