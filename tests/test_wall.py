"""Whatever one record makes the program raise stays that record's problem, for every component and format."""

from __future__ import annotations

import json

import numpy as np
import pytest
from feeding import feed, random_sizes

from clipdetect import registry
from clipdetect.formats.annotate import JsonAnnotator
from clipdetect.formats.fast import Fast
from clipdetect.formats.json import Json
from clipdetect.formats.lines import Lines
from clipdetect.state import load

N, AT, POISON = 240, 150, 666.0
KINDS = ("feature", "changepoint", "estimator", "threshold")
COMPONENTS = [(kind, name) for kind in KINDS for name in registry.names(kind)]
SPECS = {
    "linear": "linear:target=y", "rate": "rate:window=60s", "distinct": "distinct:field=k", "diff": "diff:field=x",
    "log": "log:field=x", "rare": "rare:field=k", "template": "template:field=k", "gap": "gap:limit=60s",
    "flatline": "flatline:field=x,length=9",
}  # fmt: skip


def records(n: int = N) -> list[bytes]:
    """Lines of JSON with two measures, a clock, a text and a label."""
    rng = np.random.default_rng(5)
    rows = np.round(rng.normal(10.0, 1.0, (n, 2)), 3)
    return [
        json.dumps({"time": 1e9 + 5 * i, "x": x, "y": y, "k": f"k{i % 3}", "l": int(i % 50 == 9)}).encode()
        for i, (x, y) in enumerate(rows.tolist())
    ]


def poisoned(lines: list[bytes], at: int = AT) -> tuple[bytes, bytes]:
    """The stream with a readable record that is going to raise, and the same with one that cannot be read."""
    record = json.loads(lines[at]) | {"x": POISON}
    bad = [*lines[:at], b'{"time":', *lines[at + 1 :]]
    return b"\n".join([*lines[:at], json.dumps(record).encode(), *lines[at + 1 :], b""]), b"\n".join([*bad, b""])


def raising(method, late: bool):
    """The method of a component, which raises on the poison; `late`: once it has changed its state."""

    def step(self, *args):
        rows = args[-1]
        if late:
            found = method(self, *args)
        if (rows.time == 1e9 + 5 * AT).any():
            raise TypeError("cannot digest this")
        return found if late else method(self, *args)

    return step


def flags(kind: str, name: str) -> dict:
    spec = SPECS.get(name, name)
    common = {"field": ("x", "y"), "time": "time", "label": "l", "warmup": 8, "input_format": "jsonl"}
    if name == "categories":
        return {**common, "categories": ("k",)}
    if kind == "feature":
        return {**common, "derive": (spec,)}
    return {**common, kind: spec}


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(("kind", "name"), COMPONENTS, ids=[name for _, name in COMPONENTS])
def test_a_component_that_raises_loses_one_record(kind, name, late, monkeypatch):
    given = flags(kind, name)
    stream, reference = poisoned(records())
    expected, _, _ = feed(reference, **given)
    monkeypatch.setattr(registry.get(kind, name), "step", raising(registry.get(kind, name).step, late))
    for sizes in (None, random_sizes(3, 900)):
        out, said, pipeline = feed(stream, sizes=sizes, **given)
        lines = out.split(b"\n")
        assert lines[AT] == stream.split(b"\n")[AT]
        lines[AT] = reference.split(b"\n")[AT]
        assert lines == expected.split(b"\n")
        assert pipeline.code == 1 and pipeline.talk.faults == 1
        (message,) = [text for text in said if "internal error" in text and "TypeError" in text]
        assert f":{AT + 1}: " in message and "cannot digest this" in message


LINES = {
    "jsonl": [b'{"x":%d,"k":"%d"}' % (i % 7, i) for i in range(60)],
    "journald": [
        b'{"__REALTIME_TIMESTAMP":"17725824%08d","MESSAGE":"m %d","_PID":"%d"}' % (i, i, i) for i in range(60)
    ],
    "csv": [b"x,k"] + [b'%d,"a ""b"" %d"' % (i % 7, i) for i in range(60)],
    "tsv": [b"x\tk"] + [b"%d\ta%d" % (i % 7, i) for i in range(60)],
    "ssv": [b"x k"] + [b"%d a%d" % (i % 7, i) for i in range(60)],
    "plain": [b"%d.%02d" % (i % 7, i) for i in range(60)],
    "logfmt": [b"ts=2026-01-02T03:04:%02dZ level=info ms=%d" % (i, i % 5) for i in range(60)],
    "log": [b"2026-03-04 20:18:%02d,000 INFO [w] shop: order %d" % (i, i) for i in range(60)],
    "syslog": [b"Mar  4 00:02:%02d gate app[1]: order %d ok" % (i, i) for i in range(60)],
    "access": [b'10.0.0.9 - - [04/Mar/2026:00:00:%02d +0000] "GET /a HTTP/1.1" 200 %d' % (i, i) for i in range(60)],
    "pattern": [b"db%d;%d" % (i % 3, i) for i in range(60)],
}


def test_every_format_of_lines_is_here():
    assert set(registry.names("format")) - {"json", "text"} == set(LINES)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("name", LINES)
def test_a_format_that_raises_loses_one_record(name, late, monkeypatch):
    made = registry.get("format", name)
    block, own = made.block, LINES[name]
    at = 41
    mark = own[at]

    def raises(self, lines, text, first_line):
        if late:
            found = block(self, lines, text, first_line)
        if mark in lines:
            raise KeyError("what is this")
        return found if late else block(self, lines, text, first_line)

    given = {"input_format": name, "warmup": 8}
    if name == "pattern":
        given["pattern"] = "(?P<host>[^;]+);(?P<took>.+)"
    without, _, _ = feed(b"\n".join([*own[:at], *own[at + 1 :], b""]), **given)
    monkeypatch.setattr(made, "block", raises)
    for sizes in (None, random_sizes(1, 300)):
        out, said, pipeline = feed(b"\n".join([*own, b""]), sizes=sizes, **given)
        lines = out.split(b"\n")
        lost = lines.pop(at)
        as_json = issubclass(made, registry.get("format", "log").__mro__[1])
        assert json.loads(lost)["line"] == mark.decode() if as_json else lost == mark
        assert lines == without.split(b"\n")
        assert pipeline.code == 1 and pipeline.talk.faults == 1
        assert any(f":{at + 1}: internal error, KeyError" in text for text in said)


def test_an_element_of_an_array_that_raises_is_lost_alone(monkeypatch):
    elements = [b'{"x": %d,\n"k": "a"}' % (i % 7) for i in range(50)]
    rows = Json._rows

    def raises(self, pieces, places, trouble):
        if elements[33] in pieces and places:
            raise TypeError("no")
        return rows(self, pieces, places, trouble)

    elements[33] = b'{"x": 99}'
    without, _, _ = feed(b"[" + b",\n".join([*elements[:33], *elements[34:]]) + b"]\n", warmup=8)
    monkeypatch.setattr(Json, "_rows", raises)
    for sizes in (None, random_sizes(2, 200)):
        out, said, pipeline = feed(b"[" + b",\n".join(elements) + b"]\n", sizes=sizes, warmup=8)
        assert out.replace(b",\n" + elements[33], b"") == without
        assert pipeline.talk.faults == 1 and any("file0:67: internal error" in text for text in said)


def test_the_fast_path_that_raises_is_done_without():
    lines = records(400)
    data = b"\n".join([*lines, b""])
    given = {"field": ("x",), "input_format": "jsonl", "warmup": 8}
    expected, _, _ = feed(data, **given)
    decode = Fast.decode
    try:
        Fast.decode = lambda self, *args: (decode(self, *args), 1 / 0)
        out, _, pipeline = feed(data, sizes=[3000], **given)
    finally:
        Fast.decode = decode
    assert out == expected
    assert pipeline.code == 1 and pipeline.talk.faults == 1


def test_reasons_that_cannot_be_put_into_words_cost_neither_score_nor_flag(monkeypatch):
    rate = registry.get("feature", "rate")
    say, calls = rate.say, []

    def raises(self, *args):
        calls.append(1)
        if len(calls) == 2:
            raise RuntimeError("lost for words")
        return say(self, *args)

    lines = [b'{"time":%d,"x":1}' % (1e9 + (60 * i if i < 200 else 12000 + (i - 200) // 20)) for i in range(260)]
    data = b"\n".join([*lines, b""])
    given = {"derive": ("rate:window=60s",), "time": "time", "warmup": 8, "rate": 0.02}
    expected, _, _ = feed(data, **given)
    monkeypatch.setattr(rate, "say", raises)
    out, said, pipeline = feed(data, sizes=[500], **given)
    found, wanted = ([json.loads(line) for line in text.splitlines()] for text in (out, expected))
    assert sum(each["anomaly"] for each in wanted) > 2
    assert [(each["score"], each["anomaly"]) for each in found] == [(e["score"], e["anomaly"]) for e in wanted]
    assert sum(a != b for a, b in zip(found, wanted, strict=True)) == 1
    assert pipeline.code == 1 and any("lost nothing but words" in text for text in said)


@pytest.mark.parametrize("on_error", ["pass", "skip", "fail"])
def test_a_record_that_cannot_be_written_passes_by_on_error(on_error, monkeypatch):
    stream, reference = poisoned(records())
    given = {"field": ("x",), "on_error": on_error, "warmup": 8, "bands": True}
    expected, _, _ = feed(reference, **given)
    members = JsonAnnotator.members

    def raises(self, annotation, i, score):
        if annotation.score[i] > 9.0:
            raise UnicodeError("no")
        return members(self, annotation, i, score)

    monkeypatch.setattr(JsonAnnotator, "members", raises)
    for sizes in (None, random_sizes(8, 700)):
        out, said, pipeline = feed(stream, sizes=sizes, **given)
        line = stream.split(b"\n")[AT]
        assert out.replace(line, reference.split(b"\n")[AT]) == expected
        assert (line in out) == (on_error == "pass")
        assert pipeline.code == 1 and any("UnicodeError" in text for text in said)


@pytest.mark.parametrize("keys", [3, 400])
def test_a_fault_leaves_a_state_as_if_the_record_could_not_be_read(keys, tmp_path, monkeypatch):
    lines = [
        line.replace(b'"k": "k%d"' % (i % 3), b'"k": "k%d"' % (i * 7 % keys)) for i, line in enumerate(records(900))
    ]
    stream, reference = poisoned(lines)
    given = {"field": ("x", "y"), "by": ("k",), "time": "time", "warmup": 8}
    feed(reference, state=str(tmp_path / "a"), **given)
    estimator = registry.get("estimator", "level")
    monkeypatch.setattr(estimator, "step", raising(estimator.step, True))
    feed(stream, state=str(tmp_path / "b"), **given)
    (head, keys, arrays), (other, other_keys, other_arrays) = (load(tmp_path / name) for name in "ab")
    other["selection"]["records"] -= 1  # it could be read, after all
    assert (head, keys) == (other, other_keys)
    assert {name: each.tobytes() for name, each in arrays.items()} == {n: e.tobytes() for n, e in other_arrays.items()}


def test_what_no_record_did_is_told_and_the_state_is_saved(tmp_path, monkeypatch):
    stream = b"\n".join([*records(), b""])
    decode = Lines.decode

    def raises(self, data, final):
        if final:
            raise AssertionError("the end is not expected")
        return decode(self, data, final)

    monkeypatch.setattr(Lines, "decode", raises)
    out, said, pipeline = feed(stream, state=str(tmp_path / "s"), field=("x",))
    assert out.count(b"\n") == N
    assert pipeline.code == 1 and any("the end is not expected" in text for text in said)
    assert (tmp_path / "s").exists()


def test_lone_surrogates_survive_everywhere():
    lines = [b'{"x":%d.5,"s":"%s","\\ud800":3}' % (i % 5, b"a" if i % 9 else b"\\udc00") for i in range(300)]
    lines[250] = b'{"x":1e6,"s":"\\ud83d","\\ud800":4}'
    for more in ({}, {"bands": True}, {"categories": ("s",)}, {"by": ("s",)}, {"output_format": "csv"}):
        given = {"rate": 0.01, "warmup": 8, **more}
        out, said, pipeline = feed(b"\n".join([*lines, b""]), **given)
        assert pipeline.code == 0 and not [text for text in said if "error" in text]
        assert out.count(b"\n") == 300 + ("output_format" in more)
        if "output_format" not in more:
            rows = [json.loads(line) for line in out.splitlines()]
            assert rows[250]["anomaly"] or "by" in more
            assert all(b"\\ud800" in line for line in out.splitlines())


def test_field_names_that_json_escapes_are_watched_like_others():
    names = ["\\\\\\\\Processor\\\\\\\\Time", '\\"q\\"', "\\u0001", "\\n", "a.\\\\b"]
    plain = [b'{"x":%d,"NAME":%d}' % (i % 97, i % 7 + 500 * (i == 1900)) for i in range(2000)]
    expected, _, _ = feed(b"\n".join([*plain, b""]))
    for name in names:
        data = b"\n".join([*plain, b""]).replace(b"NAME", name.encode())
        out, _, pipeline = feed(data, sizes=[9000])
        assert pipeline.code == 0
        assert out == expected.replace(b"NAME", name.encode())


def test_an_integer_of_thousands_of_digits_in_a_broken_line_is_unreadable():
    long = b"7" * 5000
    data = b'{"x":1}\n{"x":%b\n{"x":%b}x\n{"x":%b,"y":2}\n{"x":2}\n' % (long, long, long)
    out, _, pipeline = feed(data)
    assert pipeline.code == 0
    assert pipeline.talk.unreadable == {"truncated JSON": 1, "invalid JSON": 1}
    assert out.count(b'"score"') == 3


@pytest.mark.parametrize("sizes", [None, [200], [3000]])
def test_a_field_that_comes_late_under_the_name_of_a_derived_column_is_left_out(sizes):
    lines = [b'{"t":%d,"x":%d,"s":"a%d"}' % (i, i % 7, i % 3) for i in range(300)]
    odd = [*lines[:50], *(line[:-1] + b',"rare(s)":5,"z":%d}' % (i % 5) for i, line in enumerate(lines[50:]))]
    given = {"derive": ("rare:field=s", "log:field=x,keep=true"), "field": ("*",), "time": "t"}
    out, said, pipeline = feed(b"\n".join([*odd, b""]), sizes=sizes, **given)
    assert pipeline.code == 0 and out.count(b'"score"') == 300
    assert any("rare(s): not watched: two columns are called" in text for text in said)
    assert "z" in pipeline.detector.columns
    without, _, _ = feed(b"\n".join([*odd, b""]).replace(b'"rare(s)":5', b'"other":""'), sizes=sizes, **given)
    assert out.replace(b'"rare(s)":5', b'"other":""') == without


def test_columns_that_are_tried_leave_no_trace_in_features_that_flag():
    out, _, pipeline = feed(b'{"x":1,"y":""}\n{"x":1,"z":2}\n{"z":2,"x":1}\n', flatline=2, sizes=[9])
    assert pipeline.code == 0 and out.count(b'"score"') == 3
