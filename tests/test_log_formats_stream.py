"""Log formats in a stream: what comes out, whatever the lines hold and however they are cut."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from feeding import cut, feed, random_sizes
from hypothesis import given, settings
from hypothesis import strategies as st

from clipdetect import registry
from clipdetect.errors import ConfigError
from clipdetect.formats.select import Selection
from clipdetect.records import Annotation, FormatOptions, Reason

NAMES = ("access", "syslog", "logfmt", "log", "pattern")
PATTERN = r"(?P<time>\S+ \S+) (?P<what>\w+) (?P<size>\d+)"
LINES = {
    "access": '10.0.0.{k} - - [17/May/2015:10:{m:02}:{s:02} +0000] "GET /{i} HTTP/1.1" 200 {size} "-" "curl/8" 0.{k}',
    "syslog": "May {d:2} 10:{m:02}:{s:02} host sshd[{i}]: Failed password for root from 10.0.0.{k} port {size}",
    "logfmt": 'time=2015-05-17T10:{m:02}:{s:02}Z level=info msg="done {i}" ms={size} host=h{k}',
    "log": "2015-05-17 10:{m:02}:{s:02},{k:03} INFO [main] a.b.C: took {size}",
    "pattern": "2015-05-17 10:{m:02}:{s:02} done {size}",
}
HOSTILE = [
    b"", b" ", b"\r", b"\xef\xbb\xbf", b"no log line", b"\x1b[2J\x07\x9b31m", b"\x00", b"caf\xe9 \xff\xfe", b"a\rb",
    "\u202eevil\u2066 \x85".encode(), b"\tat a.b.C(C.java:5)", b"{}", b'"quoted" \\',
    "\ud7ff\U0010ffff".encode(), b"\xed\xa0\x80",
]  # fmt: skip


def lines_of(name, n=1400, hostile=True, seed=0):
    """Readable lines with hostile ones between, some of these ending in CR or beginning with a good line's text."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        size = int(rng.integers(100, 999)) * (1000 if i == n - 100 else 1)
        line = LINES[name].format(i=i, d=1 + i // 700, m=i // 60 % 60, s=i % 60, k=i % 9, size=size).encode()
        made.append(line + b"\r" * (i % 13 == 0))
        if hostile and i % 5 == 0:
            bad = HOSTILE[i // 5 % len(HOSTILE)]
            made.append(bad if i % 2 else line[: i % 40] + bad + line[i % 40 :])
    return made


def run(name, data, sizes=None, **flags):
    flags = {"estimator": "zscore", "input_format": name, "rate": 0.01, **flags}
    return feed(data, sizes=sizes, **flags, **({"pattern": PATTERN} if name == "pattern" else {}))


def alone(name, data, sizes=None, **options):
    """What a format on its own makes of bytes: every third row flagged."""
    pattern = PATTERN if name == "pattern" else ""
    format = registry.get("format", name)(FormatOptions(pattern=pattern, **options), Selection([], [], 256, []))
    format.start("x")
    out, rows, time, X = [], 0, [], []
    pieces = [*((each, False) for each in cut(data, sizes)), (b"", True)]
    for piece, final in pieces:
        batch = format.decode(piece, final)
        n = len(batch.rows)
        flagged = (np.arange(rows, rows + n) % 3) == 2
        rows += n
        why = {i: [Reason("x\x1b[1m", 5.0, 1.0, 4.0)] for i in np.flatnonzero(flagged).tolist()}
        keep = flagged if options.get("only_anomalies") else None
        out.append(format.splice(batch, Annotation([], np.where(flagged, 4.0, 0.5), flagged, why, keep=keep)))
        time += batch.time.tolist()
        X += [row[~np.isnan(row)].tolist() for row in batch.X]
    return b"".join(out), time, X


MODES = [{}, {"as_text": True}, {"as_text": True, "terminal": True}, {"as_text": True, "terminal": True, "color": True}]


@pytest.mark.parametrize("mode", MODES, ids=["json", "text", "terminal", "color"])
@pytest.mark.parametrize("name", NAMES)
def test_cuts_change_nothing(name, mode):
    data = b"\n".join(lines_of(name, 160))
    for more in ({}, {"only_anomalies": True}, {"pass_bad": False}, {"max_line": 90}):
        whole = alone(name, data, **mode, **more)
        assert whole[0]
        for sizes in ([1], [7, 1, 200], random_sizes(1, 3000)):
            again = alone(name, data, sizes, **mode, **more)
            assert again[0] == whole[0]
            np.testing.assert_array_equal(again[1], whole[1])
            assert again[2] == whole[2]


@pytest.mark.parametrize("name", NAMES)
def test_cuts_change_nothing_in_the_pipeline(name):
    data = b"\n".join(lines_of(name)) + b"\n"
    whole, _, pipeline = run(name, data)
    assert pipeline.flagged > 0
    for seed in (1, 2):
        assert run(name, data, random_sizes(seed, 20000))[0] == whole


@pytest.mark.parametrize("name", NAMES)
def test_every_line_comes_out_as_json_with_its_text(name):
    lines = lines_of(name)
    out, _said, pipeline = run(name, b"\n".join(lines))
    texts = [line.removesuffix(b"\r").decode("utf-8", "replace").removeprefix("\ufeff") for line in lines]
    texts = [text for text in texts if text.strip(" \t\r")]
    objects = [json.loads(line) for line in out.splitlines()]
    assert [each["line"] for each in objects] == texts
    assert all(
        next(iter(each)) == "line" and list(each)[-2:] == ["score", "anomaly"]
        for each in objects
        if not each["anomaly"]
    )
    assert pipeline.records == len(texts)
    unread = [each for each in objects if len(each) == 3]
    assert unread and all(each["score"] is None and each["anomaly"] is False for each in unread)


@pytest.mark.parametrize("name", NAMES)
def test_the_way_columns_are_read_does_not_show(name):
    """Field by field in the first records, column by column later."""
    data = b"\n".join(lines_of(name, 1300))
    careful = type("Careful", (Selection,), {"careful": True})  # never settles
    fast, slow = Selection([], [], 256, ["status"]), careful([], [], 256, ["status"])
    results = []
    for selection in (fast, slow):
        options = FormatOptions(pattern=PATTERN, by=("host",), categories=("line", "method"), numbers=("bytes", "ms"))
        format = registry.get("format", name)(options, selection)
        format.start("x")
        batches = [format.decode(data[i : i + 4000], i + 4000 >= len(data)) for i in range(0, len(data), 4000)]
        d = len(selection.columns)
        results.append(
            (
                np.concatenate([np.pad(b.X, ((0, 0), (0, d - b.X.shape[1])), constant_values=np.nan) for b in batches]),
                np.concatenate([b.time for b in batches]),
                [key for b in batches for key in b.keys],
                *[np.concatenate([b.categories[each] for b in batches]) for each in options.categories],
                *[np.concatenate([b.numbers[each] for b in batches]) for each in options.numbers],
                [each for b in batches for each in b.objects],
                [(p.line, p.kind) for b in batches for p in b.problems],
                selection.records,
                selection.columns,
            )
        )
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


# -- text -------------------------------------------------------------------------------------


ANY = st.one_of(st.binary(max_size=30), st.sampled_from([*HOSTILE, *(lines_of(name, 1)[0] for name in NAMES)]))


@settings(max_examples=60, deadline=None)
@given(st.lists(ANY, max_size=20), st.sampled_from(NAMES), st.integers(1, 40))
def test_text_gives_back_the_bytes_and_json_is_valid(pieces, name, size):
    data = b"\n".join(pieces)
    ended = data if not data or data.endswith(b"\n") else data + b"\n"
    assert alone(name, data, [size], as_text=True)[0] == ended
    for more in ({}, {"max_line": 12}):
        for line in alone(name, data, [size], **more)[0].splitlines():
            assert isinstance(json.loads(line)["line"], str)


@pytest.mark.parametrize("name", NAMES)
def test_only_flagged_lines_leave_as_text(name):
    lines = lines_of(name, 300, hostile=False)
    out = alone(name, b"\n".join(lines), as_text=True, only_anomalies=True)[0]
    assert out == b"".join(line + b"\n" for line in lines[2::3])


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_no_control_character_reaches_a_terminal(name, color):
    data = b"\n".join([*lines_of(name, 200), b"x" * 300 + b"\x1b[2J", b"\x9b" * 200])
    out = alone(name, data, [50], as_text=True, terminal=True, color=color, max_line=150)[0].decode()
    plain = re.sub(r"\x1b\[1;31m([^\x1b\n]*)\x1b\[0m", r"\1", out) if color else out
    assert all(c == "\n" or c.isprintable() for c in plain)
    assert ("\x1b[1;31m4.00 x\\x1b[1m 5 (expected 1, 4 deviations above)\x1b[0m | " in out) == color
    assert out.count("\n") == len(data.split(b"\n"))


# -- on_error ---------------------------------------------------------------------------------


def test_unreadable_lines_by_on_error():
    good, bad = b"Jun 14 15:16:01 h app: x", b"oops"
    data = b"\n".join([good, bad, b"", good])
    passed, said, pipeline = run("syslog", data)
    assert [json.loads(line)["line"] for line in passed.splitlines()] == [good.decode(), "oops", good.decode()]
    assert b'{"line":"oops","score":null,"anomaly":false}\n' in passed
    assert any("file0:2: does not begin with a time" in message for message in said)
    assert pipeline.records == 3
    assert b"oops" not in run("syslog", data, on_error="skip")[0]
    assert run("syslog", data, only_anomalies=True)[0] == b""
    out, said, pipeline = run("syslog", data, on_error="fail")
    assert out.count(b"\n") == 1 and pipeline.code == 1 and said[-1].startswith("file0:2: ")


def test_bytes_that_are_no_utf8_are_counted():
    _, said, _ = run("syslog", b"Jun 14 15:16:01 h app: caf\xe9\nJun 14 15:16:01 h app: \xff\xff\n")
    assert "file0:1: line: not UTF-8 at byte 27, read as U+FFFD" in said
    assert any(message.startswith("2 values: not UTF-8") for message in said)


def test_a_line_over_the_limit_is_one_problem_and_valid_json():
    good = b"level=info ms=5"
    long = b"x=" + 'é\\"\x00'.encode() * 400 + b"\r"
    for data in (b"\n".join([good, long, good, b""]), b"\n".join([good, long])):
        whole = alone("logfmt", data, max_line=100)[0]
        for sizes in ([1], [3], [64], [99, 2]):
            assert alone("logfmt", data, sizes, max_line=100)[0] == whole
        objects = [json.loads(line) for line in whole.splitlines()]
        assert objects[1] == {"line": long[:-1].decode(), "score": None, "anomaly": False}


# -- names ------------------------------------------------------------------------------------


def test_a_field_called_line_is_watched_and_not_written():
    data = b"".join(b"level=info line=%d ms=5\n" % (i % 7) for i in range(50))
    out, _, pipeline = run("logfmt", data, field=["line", "ms"])
    assert pipeline.detector.columns == ["line", "ms"]
    assert pipeline.selection.met == {"line", "ms"}
    first = out.split(b"\n")[0]
    assert first == b'{"line":"level=info line=0 ms=5","level":"info","ms":5,"score":null,"anomaly":false}'


def test_an_appended_name_is_refused_in_the_first_record_and_a_problem_later():
    with pytest.raises(ConfigError, match="--prefix"):
        run("logfmt", b"a=1 score=2\n")
    out, said, _ = run("logfmt", b"a=1\na=1 score=2\n")
    assert json.loads(out.splitlines()[1]) == {"line": "a=1 score=2", "score": None, "anomaly": False}
    assert any("--prefix" in message for message in said)
    assert json.loads(run("logfmt", b"a=1 score=2\n", prefix="cd_")[0])["score"] == 2


def test_records_can_be_written_in_another_format():
    data = b"\n".join(lines_of("access", 40, hostile=False))
    header, first = run("access", data, output_format="csv")[0].splitlines()[:2]
    assert header.startswith(b"line,remote_addr,time,method,path") and b"10.0.0.0" in first


def test_the_year_turns_across_a_restart(tmp_path):
    lines = [b"Dec 31 23:59:5%d h app: x" % i for i in range(9)] + [b"Jan  1 00:00:0%d h app: x" % i for i in range(9)]
    whole = alone("syslog", b"\n".join(lines))[1]
    assert whole == [978307190.0 + i for i in range(9)] + [978307200.0 + i for i in range(9)]
    selection, times = Selection([], [], 256, []), []
    for line in lines:
        saved, selection = json.loads(json.dumps(selection.snapshot())), Selection([], [], 256, [])
        selection.restore(saved)
        format = registry.get("format", "syslog")(replace(FormatOptions()), selection)
        format.start("x")
        times += format.decode(line, True).time.tolist()
    assert times == whole


def test_time_may_be_another_field():
    data = b"when=2015-05-17T10:00:00Z time=2020-01-01T00:00:00Z x=1\n"
    assert alone("logfmt", data, time="when")[1] == [1431856800.0]
    assert alone("logfmt", data)[1] == [1577836800.0]
