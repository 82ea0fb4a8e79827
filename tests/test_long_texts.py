"""Memory does not grow with the length of the texts that were met: long ones are hashed, not kept."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from feeding import Memory, Pieces, Quiet

from clipdetect.config import load
from clipdetect.formats import values
from clipdetect.formats.select import LONGEST_NAME, leaves
from clipdetect.numerics import hashing
from clipdetect.pipeline import Pipeline
from clipdetect.source import Signals

LENGTH, SETTLED, RECORDS = 12_000, 40, 90  # characters of a text; records before memory is looked at, and in all


def text(i):
    """A text of words, unlike all others."""
    return " ".join([f"w{chr(97 + i % 26)}{chr(97 + i // 26)}" + "x" * 55] * (LENGTH // 58))


def name(i):
    return text(i).replace(" ", "_")


LINES = {
    "log": lambda i: f"2026-03-04 20:18:{i % 60:02d},000 INFO [w] shop: {text(i)}",
    "log of one word": lambda i: f"2026-03-04 20:18:{i % 60:02d},000 INFO [w] shop: {name(i)}",
    "syslog": lambda i: f"Mar  4 00:02:{i % 60:02d} gate app[1]: {text(i)}",
    "a program": lambda i: f"Mar  4 00:02:{i % 60:02d} gate {name(i)}[1]: x",
    "a time": lambda i: f"<1>1 2026-03-04T00:00:00.{'1' * LENGTH}{i}Z gate app 1 - - x",
    "access": lambda i: (
        f'10.0.0.1 - - [04/Mar/2026:00:00:{i % 60:02d} +0000] "GET /{name(i)} HTTP/1.1" 200 5 "-" "{text(i)}"'
    ),
    "logfmt": lambda i: f'ts={name(i)} level={name(i)} msg="{text(i)}" {name(i)}=1 ms=3',
    "journald": lambda i: json.dumps({"__REALTIME_TIMESTAMP": "1", "MESSAGE": text(i), "_PID": name(i)}),
    "jsonl": lambda i: json.dumps({"x": i % 7, "s": text(i), "t": text(i)}),
    "names": lambda i: json.dumps({"x": i % 7, name(i): 1, "o": {name(i): {"a": 1}}}),
    "csv": lambda i: f'{i % 7},{text(i)},"{text(i)}"' if i else "x,s,t",
    "tsv": lambda i: f"{i % 7}\t{text(i)}\t{text(i)}" if i else "x\ts\tt",
}
SMALL = {"estimator": "zscore", "threshold": "fixed"}  # little for each key
CASES = [
    *((form, {}) for form in LINES),
    ("jsonl", {"by": ("s",), **SMALL}),
    ("jsonl", {"by": ("s", "t"), **SMALL}),
    ("csv", {"by": ("s",), **SMALL}),
    ("jsonl", {"by": ("s",), "group": "t", "time": "x", **SMALL}),
    ("jsonl", {"by": ("s",), "derive": ["rate:window=60s,per=t", "hour"], "time": "t", **SMALL}),
    ("jsonl", {"categories": ("s", "t")}),
    ("tsv", {"categories": ("s", "t")}),
    ("jsonl", {"derive": ["template:field=s", "distinct:window=1h,field=t"], "time": "x"}),
    ("jsonl", {"output_format": "csv"}),
    ("names", {"output_format": "csv"}),
    ("csv", {"output_format": "jsonl"}),
    ("log", {"output_format": "text"}),
]


class Measured(Pieces):
    """Gives a record at a time, and looks at memory twice."""

    def __init__(self, line):
        super().__init__([])
        self.line, self.seen = line, []

    def __iter__(self):
        for i in range(RECORDS):
            if i in (SETTLED, RECORDS - 1):
                self.seen.append(tracemalloc.get_traced_memory()[0])
            yield self.line(i).encode() + b"\n"


class Nowhere(Memory):
    def write(self, data):
        pass


@pytest.mark.parametrize(("form", "flags"), CASES, ids=lambda each: str(each))
def test_memory_does_not_grow_with_long_texts(form, flags):
    config = load({"engine": "python", **flags}, None, {}).config
    source = Measured(LINES[form])
    values._CATEGORIES.clear()  # other tests have met these texts
    with Signals() as signals:
        pipeline = Pipeline(config, signals, Quiet(), Nowhere())
        pipeline.open = lambda path: source
        tracemalloc.start()
        try:
            pipeline.run(["a"])
        finally:
            tracemalloc.stop()
    assert pipeline.records > RECORDS - 3
    before, after = source.seen
    assert after - before < 0.2 * LENGTH * (RECORDS - SETTLED)


def test_a_long_key_is_its_hash_and_its_beginning():
    long = "k" * 300
    key = values.joint_key([long])
    assert len(key) < values.LONGEST and key.endswith(" " + "k" * values.SHOWN)
    assert key != values.joint_key([long + "k"]) != values.joint_key([key])
    assert values.joint_key(["k" * values.LONGEST]) == "k" * values.LONGEST
    assert len({values.joint_key(each) for each in ([long, "a"], [long, "b"], ["a", long], [key, "a"])}) == 4


def test_a_long_text_has_the_category_of_its_hash():
    for size in (values.LONGEST, values.LONGEST + 1, 5000):
        assert values.category("c" * size) == hashing.category("c" * size)


def test_leaves_with_very_long_names_are_left_out():
    long = "n" * (LONGEST_NAME + 1)
    record = {long: 1, "a": {"b" * LONGEST_NAME: {"c": 1}, "d": 2}, "e": [{long: 1}, 3]}
    assert list(leaves(record, "", True)) == [("a.d", 2), ("e[1]", 3)]
