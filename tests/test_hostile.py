"""Bad input: no traceback, no lost or reordered record, no invalid JSON of our making; all of it counted and named."""

from __future__ import annotations

import json
import os
import re
import subprocess

import launcher
import pytest
from feeding import feed

MODES = ("pass", "skip", "fail")
BEFORE, AFTER = 45, 6  # readable records before and after the odd one; past warm-up, so that they have scores
DEEP = 10_000


def deep(opening, inner, closing):
    return opening * DEEP + inner + closing * DEEP


JSON_RECORDS = {
    "malformed": b"oops",
    "truncated": b'{"x":1,"s":"ab',
    "cut after a comma": b'{"x":1,',
    "two objects": b'{"x":1}{"x":2}',
    "text behind": b'{"x":1} and more',
    "list": b"[1,2]",
    "number": b"3",
    "text": b'"a"',
    "null": b"null",
    "zero bytes": b"\0\0\0",
    "not UTF-8": b'{"x":1,"s":"\xff\xfe"}',
    "name not UTF-8": b'{"\xff":1,"x":2}',
    "half a character": b'{"x":1,"s":"\xc3"}',
    "control character": b'{"x":1,"s":"a\x01"}',
    "trailing comma": b'{"x":1,}',
    "single quotes": b"{'x':1}",
    "leading zero": b'{"x":01}',
    "plus sign": b'{"x":+1}',
    "hexadecimal": b'{"x":0x1}',
    "no colon": b'{"x" 1}',
    "deep list": b'{"x":' + deep(b"[", b"", b"]") + b"}",
    "deep object": deep(b'{"a":', b"1", b"}"),
    "deep and open": b'{"x":' + b"[" * DEEP,
    "other brackets": b'{"x":1]',
    "long digits and more": b'{"x":' + b"7" * 5000 + b"x}",
    "taken name": b'{"x":1,"score":2}',
}
JSON_VALUES = {
    "missing": (b'{"y":"-"}', "missing"),
    "empty object": (b"{}", "missing"),
    "empty object with blanks": (b" { } ", "missing"),
    "null": (b'{"x":null}', "null"),
    "text": (b'{"x":"abc"}', "text"),
    "number as text": (b'{"x":"12.5"}', "text"),
    "empty text": (b'{"x":""}', "text"),
    "NaN": (b'{"x":NaN}', "not finite"),
    "Infinity": (b'{"x":Infinity}', "not finite"),
    "-Infinity": (b'{"x":-Infinity}', "not finite"),
    "1e999": (b'{"x":1e999}', "not finite|too large"),
    "400 digits": (b'{"x":' + b"9" * 400 + b"}", "not finite|too large"),
    "5,000 digits": (b'{"x":-' + b"9" * 5000 + b"}", "not finite|too large"),
    "true": (b'{"x":true}', "boolean"),
    "object": (b'{"x":{"a":"b"}}', "object"),
    "list": (b'{"x":[1,2]}', "object"),
    "twice, the last unreadable": (b'{"x":1,"x":null}', "null"),
}
JSON_FINE = {
    "twice": b'{"x":"a","x":2}',
    "lone surrogate": b'{"x":1,"s":"\\ud800"}',
    "byte order mark": b'\xef\xbb\xbf{"x":1}',
    "blanks around": b' \t{ "x" : 1 } \t',
    "carriage return": b'{"x":1}\r',
    "line separator": '{"x":1,"s":"\u2028\u0085"}'.encode(),
    "escaped name": b'{"\\u0078":1}',
    "brace in a string": b'{"x":1,"s":"}"}',
    "long digits elsewhere": b'{"x":1,"n":' + b"7" * 5000 + b"}",
    "400 levels": b'{"x":1,"n":' + b"[" * 400 + b"]" * 400 + b"}",
    "minus zero": b'{"x":-0.0}',
    "large": b'{"x":1e149}',
    "smallest": b'{"x":5e-324}',
    "NaN elsewhere": b'{"x":1,"n":NaN}',
}
CSV_RECORDS = {
    "too few cells": b"1,2",
    "too many cells": b"1,2,3,4",
    "one word": b"oops",
    "not UTF-8": b"1,2,\xff",
    "text behind a quote": b'1,2,"a"b',
    "open quote": b'1,2,"a',
    "blanks": b"  ",
}
CSV_VALUES = {
    "empty": (b"1,,a", "null"),
    "blank": (b"1,  ,a", "null"),
    "text": (b"1,n/a,a", "text"),
    "the header again": (b"i,x,s", "text"),
    "digits of another script": ("1,\u0663,a".encode(), "text"),
    "underscore": (b"1,1_0,a", "text"),
    "hexadecimal": (b"1,0x10,a", "text"),
    "nan": (b"1,nan,a", "not finite"),
    "infinity": (b"1,-Infinity,a", "not finite"),
    "1e999": (b"1,1e999,a", "not finite|too large"),
    "400 digits": (b"1," + b"9" * 400 + b",a", "not finite|too large"),
    "5,000 digits": (b"1," + b"9" * 5000 + b",a", "not finite|too large"),
}
CSV_FINE = {
    "quoted": b'1,"2",a',
    "quote inside": b'1,2,a"b',
    "zero byte": b"1,2,\0",
    "carriage return": b"1,2,a\r",
    "two lines": b'1,2,"a\nb"',
    "blanks around": b"1, 2 ,a",
    "plus sign": b"1,+2,a",
}
PLAIN_RECORDS = {
    "word": b"oops",
    "not UTF-8": b"\xff\xfe",
    "two numbers": b"1 2",
    "underscore": b"1_0",
    "hexadecimal": b"0x10",
    "digits of another script": "\u0663".encode(),
    "zero byte": b"\0",
    "percent": b"5%",
}
PLAIN_VALUES = {
    "nan": (b"nan", "not finite"),
    "infinity": (b"-inf", "not finite"),
    "1e999": (b"1e999", "not finite|too large"),
    "5,000 digits": (b"9" * 5000, "not finite|too large"),
}
PLAIN_FINE = {"blanks around": b" 3 ", "plus sign": b"+3", "carriage return": b"3\r", "no digit before": b".5"}

HEADS = {"jsonl": b"", "csv": b"i,x,s\n", "plain": b""}


def good(kind, i):
    line = {"jsonl": b'{"i":%d,"x":%d.5,"s":"a"}', "csv": b"%d,%d.5,a"}
    return line[kind] % (i, i * 7 % 10) if kind in line else b"%d.%d" % (i * 7 % 10, i % 10)


def around(kind, *odd):
    """A stream with odd lines after the first `BEFORE` good ones."""
    lines = [*(good(kind, i) for i in range(BEFORE)), *odd, *(good(kind, i) for i in range(AFTER))]
    return HEADS[kind] + b"\n".join(lines) + b"\n"


def scored(kind, data, **flags):
    more = {} if kind == "plain" else {"field": ("x",)}
    out, said, pipeline = feed(data, input_format=kind, **more, **flags)
    assert not any("Traceback" in each for each in said)
    return out, said, pipeline


def own(kind, line):
    """An output line without what was appended."""
    if kind == "jsonl":
        return re.sub(rb',?"score":(null|[-+.e0-9]+),"anomaly":(true,"why":\[.*\]|false)\}([ \t\r]*)$', rb"}\3", line)
    return (
        re.sub(rb"\t[^\t]*\t(true|false)(\r?)$", rb"\2", line)
        if kind == "plain"
        else re.sub(rb",[^,]*,(true|false),[^,\r]*(\r?)$", rb"\2", line)
    )


def cases(kind, which):
    return [pytest.param(kind, each, id=f"{kind}: {name}") for name, each in which.items()]


RECORDS = [*cases("jsonl", JSON_RECORDS), *cases("csv", CSV_RECORDS), *cases("plain", PLAIN_RECORDS)]
VALUES = [*cases("jsonl", JSON_VALUES), *cases("csv", CSV_VALUES), *cases("plain", PLAIN_VALUES)]
FINE = [*cases("jsonl", JSON_FINE), *cases("csv", CSV_FINE), *cases("plain", PLAIN_FINE)]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kind", "line"), RECORDS)
def test_an_unreadable_record_goes_the_way_asked_for(kind, line, mode):
    """Points 17, 18, 25, 40; the records around it are scored as if it were not there."""
    without = scored(kind, around(kind))[0].splitlines(keepends=True)
    out, said, pipeline = scored(kind, around(kind, line), on_error=mode)
    at = BEFORE + HEADS[kind].count(b"\n")
    if mode == "fail":
        assert out == b"".join(without[:at])
        assert (pipeline.code, pipeline.records) == (1, BEFORE)
    else:
        middle = [line + b"\n"] if mode == "pass" else []
        assert out == b"".join([*without[:at], *middle, *without[at:]])
        assert (pipeline.code, pipeline.records) == (0, BEFORE + 1 + AFTER)
        assert sum(pipeline.talk.kinds.values()) == 1
    assert len(said) == 1
    assert said[0].startswith(f"file0:{at + 1}: ")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kind", "case"), VALUES)
def test_an_unreadable_value_is_missing(kind, case, mode):
    """Point 19; no score, nothing learned, counted, and never an end of the run."""
    line, name = case
    without = scored(kind, around(kind))[0].splitlines(keepends=True)
    out, said, pipeline = scored(kind, around(kind, line), on_error=mode)
    lines, at = out.splitlines(keepends=True), BEFORE + HEADS[kind].count(b"\n")
    assert lines[:at] + lines[at + 1 :] == without
    answer = lines[at].rstrip(b"\n")
    assert own(kind, answer) == line
    if kind == "jsonl":
        assert answer.rstrip().endswith(b'"score":null,"anomaly":false}')
        json.loads(answer.replace(line.strip()[1:-1], b"", 1).replace(b"{,", b"{"), parse_constant=pytest.fail)
    else:
        assert answer.endswith(b"\t\tfalse" if kind == "plain" else b",,false,")
    assert pipeline.code == 0
    assert pipeline.records == BEFORE + 1 + AFTER
    ((found, count),) = pipeline.talk.kinds.items()
    assert found in name.split("|")
    assert count == 1
    assert len(said) == 1
    assert said[0].startswith(f"file0:{at + 1}: ")


@pytest.mark.parametrize(("kind", "line"), FINE)
def test_what_only_looks_odd_is_scored(kind, line):
    """Points 16, 22, 24: its own bytes leave as they came."""
    out, said, pipeline = scored(kind, around(kind, line), on_error="fail")
    head = scored(kind, around(kind))[0].split(b"\n")[: BEFORE + HEADS[kind].count(b"\n")]
    assert out.split(b"\n")[: len(head)] == head
    rest = out.split(b"\n", len(head))[len(head)]
    answer = rest[: rest.index(b"\n" + good(kind, 0)[:-1])]
    assert own(kind, answer) == line
    assert not re.search(rb'"score":null|,,false,$|\t\tfalse$', answer)
    if kind == "jsonl":
        json.loads(answer.decode("utf-8-sig"), parse_constant=lambda text: 0, parse_int=float)
    assert (pipeline.code, said) == (0, [])


@pytest.mark.parametrize("kind", ["jsonl", "csv", "plain"])
def test_all_of_it_at_once_is_counted_by_kind(kind):
    bad = {"jsonl": JSON_RECORDS, "csv": CSV_RECORDS, "plain": PLAIN_RECORDS}[kind]
    values = {"jsonl": JSON_VALUES, "csv": CSV_VALUES, "plain": PLAIN_VALUES}[kind]
    records = [line for name, line in bad.items() if name != "open quote"]
    odd = [*records, *(line for line, _ in values.values())]
    out, said, pipeline = scored(kind, around(kind, *odd, *odd))
    lines = out.split(b"\n")[HEADS[kind].count(b"\n") :]
    assert [own(kind, line) for line in lines[BEFORE : BEFORE + 2 * len(odd)]] == odd * 2
    assert len(lines) == BEFORE + 2 * len(odd) + AFTER + 1
    counts = pipeline.talk.kinds
    assert sum(counts.values()) == 2 * len(odd)
    assert sum(counts[name] for name in pipeline.talk.unreadable) == 2 * len(records)
    firsts = [each for each in said if each.startswith("file0:")]
    assert len(firsts) == len(counts)  # each kind once
    assert len([each for each in said if "(first: file0:" in each]) == sum(n > 1 for n in counts.values())


@pytest.mark.parametrize("kind", ["jsonl", "csv", "plain"])
@pytest.mark.parametrize("sizes", [[7], [1000]])
def test_a_line_beyond_the_limit_is_a_bad_record(kind, sizes):
    line = good(kind, 3).replace(b"a", b"a" * 3000) if kind != "plain" else b"1" * 3000
    without = scored(kind, around(kind))[0].splitlines(keepends=True)
    at = BEFORE + HEADS[kind].count(b"\n")
    for mode in MODES:
        out, said, pipeline = scored(kind, around(kind, line), sizes=sizes, on_error=mode, max_line="1K")
        middle = {"pass": [line + b"\n", *without[at:]], "skip": without[at:], "fail": []}[mode]
        assert out == b"".join([*without[:at], *middle])
        assert pipeline.code == (mode == "fail")
        assert said[0] == f"file0:{at + 1}: longer than --max-line (1,024 bytes)"


def test_a_long_cell_is_no_trouble():
    out, said, _ = feed(around("csv", b"1,2," + b"a" * 200_000, b'1,2,"' + b"b\n" * 100_000 + b'"'), input_format="csv")
    assert said == []
    _, found, rest = out.partition(b"," + b"a" * 200_000 + b",")
    assert found
    assert float(rest.partition(b",")[0]) > 0.0


@pytest.mark.parametrize("kind", ["auto", "jsonl", "json", "csv", "tsv", "plain", "text"])
def test_an_empty_file_is_no_error(kind):
    out, said, pipeline = feed(b"", input_format=kind)
    assert (out, said, pipeline.code, pipeline.records) == (b"", [], 0, 0)


@pytest.mark.parametrize("head", [b"a,b\n", b"a,b", b"\xef\xbb\xbfa,b\r\n"])
def test_a_lone_header_is_a_header(head):
    out, said, pipeline = feed(head)
    assert out == head.rstrip(b"\r\n") + b",score,anomaly,why" + (b"\r\n" if b"\r" in head else b"\n")
    assert (said, pipeline.code, pipeline.records) == ([], 0, 0)


@pytest.mark.parametrize(
    "odd", [b"\n\n\n", b"\xef\xbb\xbf", b"\0\0", b"\xff\xfe1\0\n\0", b"oops", b" ", b"[12:03] started"]
)
def test_what_has_no_format_passes_through(odd):
    out, said, pipeline = feed(odd)
    assert out == odd + (b"" if odd.endswith(b"\n") else b"\n")
    assert pipeline.code == 0
    blank = not odd.removeprefix(b"\xef\xbb\xbf").strip()
    assert len(said) == (not blank)
    assert all(each.startswith("file0: no known format, so all of it passes through unscored") for each in said)


# -- JSON arrays ------------------------------------------------------------------------------

ELEMENTS = {
    name: line for name, line in JSON_RECORDS.items() if name in ("list", "number", "text", "null", "taken name")
}
TORN = {
    "truncated": b'[{"x":1},{"x":2},{"x":',
    "no end": b'[{"x":1},{"x":2}',
    "only begun": b"[",
    "something behind": b'[{"x":1},{"x":2}] oops',
    "two arrays": b'[{"x":1},{"x":2}]\n[{"x":3}]',
    "open string": b'[{"x":1},{"x":2},{"s":"abc}]',
    "not UTF-8": b'[{"x":1},{"s":"\xff"},{"x":2}]',
    "malformed": b'[{"x":1},{"x":+},{"x":2}]',
    "a word": b'[{"x":1},oops,{"x":2}]',
    "deep": b'[{"x":1},' + deep(b"[", b"", b"]") + b',{"x":2}]',
    "wrong bracket": b'[{"x":1}},{"x":2}]',
}


def array(*elements):
    return b"[\n" + b",\n".join(elements) + b"\n]\n"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("element", ELEMENTS.values(), ids=ELEMENTS)
def test_an_array_stays_an_array(element, mode):
    lines = [good("jsonl", i) for i in range(BEFORE)]
    out, said, pipeline = feed(array(*lines, element, *lines[:AFTER]), on_error=mode)
    assert said[0].startswith(f"file0:{BEFORE + 2}: ")
    if mode == "fail":
        assert (pipeline.code, out.count(b'"score"')) == (1, BEFORE)
        return
    answers = json.loads(out, parse_constant=pytest.fail)
    middle = [json.loads(element)] if mode == "pass" else []
    assert len(answers) == BEFORE + len(middle) + AFTER
    assert answers[BEFORE : BEFORE + len(middle)] == middle
    assert [each["i"] for each in answers[:BEFORE]] == list(range(BEFORE))
    assert pipeline.code == 0


@pytest.mark.parametrize("sizes", [None, [1], [5]], ids=str)
@pytest.mark.parametrize("data", TORN.values(), ids=TORN)
def test_a_torn_array_loses_nothing(data, sizes):
    if sizes and len(data) > 1000:
        sizes = [sizes[0] * 997]
    out, said, pipeline = feed(data, sizes=sizes, input_format="json")
    assert pipeline.code == 0
    bare = re.sub(rb',"score":null,"anomaly":false', b"", out)
    assert bare.rstrip(b"\n") == data.rstrip(b"\n")
    assert len(said) <= 2
    clean, _, _ = feed(data, sizes=sizes, input_format="json", on_error="skip")
    answers = json.loads(clean, parse_constant=pytest.fail)
    assert [each["x"] for each in answers][:2] == [1, 2][: len(answers)]
    assert len(answers) >= data.count(b'{"x":1}')
    failed = feed(data, sizes=sizes, input_format="json", on_error="fail")[2]
    assert failed.code == (1 if pipeline.talk.unreadable else 0)


# -- the command itself -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "flags", [[], ["--on-error", "skip"], ["-o", "csv"], ["-o", "jsonl", "--bands"], ["-a"], ["--coerce"]], ids=" ".join
)
def test_the_command_survives_all_of_it(tmp_path, flags):
    odd = [*JSON_RECORDS.values(), *(line for line, _ in JSON_VALUES.values()), *JSON_FINE.values()]
    path = tmp_path / "odd.jsonl"
    path.write_bytes(around("jsonl", *odd))
    done = subprocess.run(
        [*launcher.command(), "-x", "i", *flags, str(path)], capture_output=True, timeout=60, check=False
    )
    said = done.stderr.decode()
    assert done.returncode == 0, said
    assert "Traceback" not in said
    assert all(line.startswith("clipdetect: ") for line in said.splitlines())
    assert f"{path}:{BEFORE + 1}: invalid JSON: " in said
    assert " records: invalid JSON (first: " in said


ODD_USES = [
    (["-o", "plain"], b'{"x":1}\n'),
    (["-o", "text"], b'{"x":1}\n'),
    (["-o", "json"], b"1\n2\n"),
    (["-o", "tsv"], b'{"x":1,"s":"a\\tb"}\n'),
    (["-i", "csv"], b'{"x":1}\n'),
    (["-i", "json"], b'{"x":1}\n{"x":2}\n'),
    (["-i", "plain", "-o", "csv"], b'{"x":1}\n'),
    (["--prefix", "\udcff"], b'{"x":1}\n'),
    (["--prefix", '"\\'], b'{"x":1}\n'),
    (["-f", "[", "-f", "\udcff", "-x", "*"], b'{"x":1}\n'),
    (["--by", "\udcff,x"], b'{"x":1}\n'),
    (["--label", "x", "--time", "t"], b'{"x":7,"t":"never"}\n{"x":1,"t":1e400}\n{"t":-1e300}\n'),
    (["--max-fields", "1", "--max-keys", "1", "--by", "k"], b'{"x":1,"y":2,"k":[1,{"a":null}]}\n{"k":1e999}\n'),
    (["--backfill", os.devnull], b'{"x":1}\n'),
    (["--state", os.devnull], b'{"x":1}\n'),
    (["eval"], b'{"score":[1],"anomaly":true,"label":1}\n'),
    (["eval"], b'{"score":{},"anomaly":7,"label":0}\n{"score":1e999,"label":1}\n'),
    (["eval"], b'score,anomaly,label\n1,true\n2,true,1,5\n"x'),
    (["eval"], b"\xff\xfe\0\n"),
    (["eval"], b""),
]


@pytest.mark.parametrize(
    ("args", "data"), ODD_USES, ids=lambda each: " ".join(map(ascii, each)) if type(each) is list else ""
)
def test_odd_uses_are_no_crash(args, data):
    done = subprocess.run([*launcher.command(), *args], input=data, capture_output=True, timeout=60)
    assert b"Traceback" not in done.stderr
    assert done.returncode in (0, 1, 2)
    assert all(line.startswith(b"clipdetect: ") for line in done.stderr.splitlines())
    if done.returncode:
        assert done.stderr
