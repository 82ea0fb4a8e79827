"""The laws of the whole command: cuts, engines, keys, resuming; each for every format that has records."""

from __future__ import annotations

import json
import re
import subprocess

import launcher
import numpy as np
import pytest
from feeding import feed, random_sizes

from clipdetect.state import load


def jsonl(n: int = 1300, seed: int = 0) -> bytes:
    """Records with fields that come late or vanish, nesting, gaps, odd lines and odd values."""
    rng = np.random.default_rng(seed)
    lines = []
    for i in range(n):
        record: dict[str, object] = {"ts": i, "x": round(float(rng.normal(100, 5)), 3), "host": f"h{rng.integers(3)}"}
        if i > 40:
            record["late"] = round(float(rng.standard_t(3)), 2)
        if i % 5 and i < 900:
            record["deep"] = {"a": float(rng.integers(9)), "b": "text"}
        if rng.random() < 0.03:
            record["x"] = [None, "n/a", True, 10**400, float("nan"), 1e6][int(rng.integers(6))]
        line = json.dumps(record)
        if i == 1150:
            record["newcomer"] = 3
            line = json.dumps(record)
        if rng.random() < 0.02:
            line = [
                "",
                "oops",
                line[:-3],
                line + line,
                "[1,2]",
                '{"x":1}  ',
                '{ "x" : 2 }\r',
                "{}",
                "\ufeff" + line,
                '{"x":1,"score":2}',
            ][int(rng.integers(10))]
        lines.append(line)
    return "\n".join(lines).encode()


def csv(n: int = 1300, seed: int = 1) -> bytes:
    rng = np.random.default_rng(seed)
    lines = ["time,x,note,y,host"]
    for i in range(n):
        note = ['"a, b"', "plain", '"two\nlines"', '"say ""hi"""', ""][int(rng.integers(5))] if i % 300 > 150 else "n"
        x = (
            f"{rng.normal():.3f}"
            if rng.random() > 0.03
            else ["", "n/a", "1e999", "nan", " 7 ", "+.5"][int(rng.integers(6))]
        )
        line = f"{i},{x},{note},{rng.standard_t(3):.2f},h{rng.integers(3)}"
        if rng.random() < 0.02:
            line = ["", "1,2", line + ",9", '5" pipe,1,2,3,4', line + "\r"][int(rng.integers(5))]
        lines.append(line)
    return "\n".join(lines).encode()


def plain(n: int = 1300, seed: int = 2) -> bytes:
    rng = np.random.default_rng(seed)
    odd = ["", "x", " 12 ", "1e999", "nan", "+5", "7\r", "1_000"]
    return "\n".join(
        odd[int(rng.integers(8))] if rng.random() < 0.03 and i else f"{rng.normal():.4f}" for i in range(n)
    ).encode()


def array(n: int = 300, seed: int = 3) -> bytes:
    records = [line for line in jsonl(n, seed).decode().split("\n") if line.startswith("{") and line.endswith("}")]
    good = []
    for line in records:
        try:
            good.append(json.dumps(json.loads(line), indent=[None, 1][len(good) % 2]))
        except ValueError:
            continue
    return ("[\n" + " ,\n".join(good) + "\n]\n").encode()


STREAMS = {"jsonl": jsonl(), "csv": csv(), "plain": plain(), "json": array(), "text": b"some words\nand more\n\nend"}

BYTES = 5_000  # one at a time: past the warm-up in every format


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"on_error": "skip"},
        {"only_anomalies": True},
        {"bands": True},
        {"changepoint": "focus"},
        {"episode": "20", "rate": 0.02},
    ],
    ids=str,
)
def test_cuts_change_no_byte(name, flags):
    data = STREAMS[name]
    whole, said, _ = feed(data, input_format=name, **flags)
    assert whole or name == "text" or flags
    for sizes in ([65536], random_sizes(1, 3000), random_sizes(2, 40_000)):
        out, others, _ = feed(data, input_format=name, sizes=sizes, **flags)
        assert out == whole
        assert sorted(others) == sorted(said)
    data = data[:BYTES]
    assert feed(data, input_format=name, sizes=[1], **flags)[0] == feed(data, input_format=name, **flags)[0]


@pytest.mark.parametrize("name", ["jsonl", "csv", "plain", "json"])
def test_one_byte_at_a_time_and_no_format_named(name):
    data = STREAMS[name][:BYTES]
    assert feed(data, sizes=[1])[0] == feed(data)[0]


@pytest.mark.parametrize("name", ["jsonl", "csv", "plain", "json"])
def test_engines_give_the_same_bytes(name):
    assert feed(STREAMS[name], engine="numba")[0] == feed(STREAMS[name], engine="python")[0]


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"by": ("host",)},
        {"by": ("host", "ts"), "max_keys": 20},
        {"bands": True},
        {"by": ("host",), "changepoint": "focus", "on_change": "rebase"},
        {"by": ("host",), "episode": "30", "rate": 0.02},
        {"by": ("ts",), "group": "host", "rate": 0.02, "max_keys": 20},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["jsonl", "csv"])
def test_stopped_and_resumed_is_as_never_stopped(tmp_path, name, flags):
    flags = {key: value for key, value in flags.items() if name == "jsonl" or value != ("host", "ts")}
    data = STREAMS[name]
    whole = feed(data, **flags)[0]
    lines = data.split(b"\n")
    for at in (3 if flags.get("bands") else 1, 37, 700, 1100):
        while name == "csv" and at > 1 and not re.match(rb"\d+,[^\"]*,h\d$", lines[at - 1]):
            at += 1  # a whole row
        first, second = b"\n".join(lines[:at]) + b"\n", b"\n".join(lines[at:])
        state = str(tmp_path / f"{at}-{len(flags)}.bin")
        if name == "csv":
            second = lines[0] + b"\n" + second
        a = feed(first, state=state, **flags)[0]
        b = feed(second, state=state, **flags)[0]
        if name == "csv":
            b = b.partition(b"\n")[2]  # the header again
        assert a + b == whole


@pytest.mark.parametrize("name", ["jsonl", "csv", "plain"])
def test_a_closed_pipe_loses_nothing(tmp_path, name):
    """After it the state is the one before the first block that was not written whole."""
    data = STREAMS[name]
    whole = feed(data)[0]
    for limit in (0, 1, 5):
        state = str(tmp_path / f"{limit}.bin")
        sizes = random_sizes(limit, 9000)
        part, _, pipeline = feed(data, sizes=sizes, limit=limit, state=state)
        assert pipeline.code == 141
        lines = data.split(b"\n")
        taken = part.count(b"\n")
        assert part == b"".join(line + b"\n" for line in whole.split(b"\n")[:taken])
        if name == "csv":
            continue  # records may span lines; the rest is the same code
        rest = b"\n".join(lines[taken:])
        assert part + feed(rest, state=state)[0] == whole


def test_many_keys_interleaved_are_each_alone():
    """1,000 keys, 120 records each."""
    rng = np.random.default_rng(5)
    keys, each = 1000, 120
    order = rng.permutation(np.repeat(np.arange(keys), each))
    values = np.round(rng.standard_t(3, len(order)) * 10, 3)
    lines = [b'{"k":"key-%d","x":%.3f}' % pair for pair in zip(order.tolist(), values.tolist(), strict=True)]
    mixed = feed(b"\n".join(lines), by=("k",), field=("x",), engine="numba")[0].split(b"\n")
    for key in rng.choice(keys, 25, replace=False):
        own = np.flatnonzero(order == key)
        alone = feed(b"\n".join(lines[i] for i in own), by=("k",), field=("x",), engine="numba")[0]
        assert alone == b"".join(mixed[i] + b"\n" for i in own)


def test_a_column_that_a_key_never_had_adds_nothing_to_it():
    rng = np.random.default_rng(6)
    rows = [({"k": "a", "x": float(v)}, {"k": "b", "x": float(w), "y": float(w)}) for v, w in rng.normal(size=(300, 2))]
    mixed = "\n".join(json.dumps(record) for pair in rows for record in pair).encode()
    alone = "\n".join(json.dumps(a) for a, _ in rows).encode()
    out = feed(mixed, by=("k",), bands=True)[0].split(b"\n")[0::2]
    assert b"\n".join(out[:300]) + b"\n" == feed(alone, by=("k",), bands=True)[0]


def test_a_field_that_comes_late_can_be_held_too():
    data = b"".join(b'{"x":1}\n' if i < 3 else b'{"x":1,"y":2}\n' for i in range(9))
    whole = feed(data, flatline=3, gap="1h", time="t")[0]
    assert whole == feed(data, flatline=3, gap="1h", time="t", sizes=[5])[0]
    assert [line.decode().partition('"field":"')[2].partition('"')[0] for line in whole.splitlines()] == [
        "", "", "flatline(x)", "", "", "flatline(y)", "", "", "",
    ]  # fmt: skip


@pytest.mark.parametrize("data", [b"s,t\na,b\nc,d\ne,f\n", b"1,x\n2,3\n", b"1,\n1,2\n3,4\n", b"1,2\n\n3,4\n"])
def test_rows_of_csv_have_the_cells_for_bands_that_the_header_names(data):
    out = feed(data, bands=True)[0]
    assert out == feed(data, bands=True, sizes=[1])[0]
    assert len({line.count(b",") for line in out.splitlines() if line}) == 1


def test_every_input_byte_comes_out_again():
    """Taking the annotation away gives the input."""
    data = STREAMS["jsonl"]
    out = feed(data)[0].rstrip(b"\n").split(b"\n")
    for line, annotated in zip(data.split(b"\n"), out, strict=True):
        if line != annotated:
            end = line.rindex(b"}")
            assert annotated.startswith(line[:end]) and annotated.endswith(line[end:])
            json.loads(annotated.decode("utf-8-sig"), parse_constant=lambda text: 0)


def test_fast_and_careful_reading_agree(monkeypatch):
    data = jsonl(4000, 9) + b"\n" + jsonl(4000, 10).replace(b"n/a", b"1")
    with_fast = feed(data, sizes=[3000])[0]
    monkeypatch.setattr("clipdetect.formats.fast.Fast.wanted", lambda self: False)
    assert feed(data, sizes=[3000])[0] == with_fast


def test_checkpoints_by_a_child_process_hold_the_same_state(tmp_path, monkeypatch):
    data = STREAMS["jsonl"]
    feed(data, sizes=[4000], by=("host",), state=str(tmp_path / "a.bin"), checkpoint_every=200)
    monkeypatch.setattr("clipdetect.session.FORK_FROM", 0)
    feed(data, sizes=[4000], by=("host",), state=str(tmp_path / "b.bin"), checkpoint_every=200)
    assert (tmp_path / "a.bin").read_bytes() == (tmp_path / "b.bin").read_bytes()
    feed(data, sizes=[4000], by=("host",), state=str(tmp_path / "c.bin"), checkpoint_every=200, limit=30)
    head, _, _ = load(tmp_path / "c.bin")
    assert 200 < head["records"] < 1300


def test_frozen_models_learn_nothing(tmp_path):
    path, data = tmp_path / "m.bin", STREAMS["plain"]
    feed(data, state=str(path))
    head, keys, arrays = load(path)
    feed(data, state=str(path), freeze=True)
    later, same_keys, same_arrays = load(path)
    assert keys == same_keys
    assert later["records"] > head["records"]
    assert all(arrays[name].tobytes() == same_arrays[name].tobytes() for name in arrays)


def test_backfill_learns_and_writes_nothing(tmp_path):
    history = tmp_path / "history.csv"
    rng = np.random.default_rng(7)
    history.write_text("x,y\n" + "\n".join(f"{v:.3f},1" for v in rng.normal(size=500)) + "\n")
    command = [*launcher.command(), "-f", "x", "--backfill", str(history)]
    done = subprocess.run(command, input=b'{"x":0.1}\n{"x":99}\n', capture_output=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["anomaly"] for line in lines] == [False, True]
    assert lines[0]["score"] is not None


def test_what_a_component_has_to_tell_is_told_once(monkeypatch):
    monkeypatch.setattr("clipdetect.thresholds.tail.Tail.news", lambda self, state: [f"{len(state)} arrays", "again"])
    _, said, _ = feed(STREAMS["plain"], sizes=[900])
    assert said.count("again") == 1 and sum(text.endswith(" arrays") for text in said) == 1


def test_a_field_may_begin_within_a_block_where_alarms_are_asked_for():
    """Each alarm is its own field's, whatever was there before: of x, then of z, then the pause."""
    records = [{"t": i if i < 41 else 1000 + i, "x": min(i, 30), "z": None if i < 20 else 7} for i in range(50)]
    data = "\n".join(map(json.dumps, records)).encode()
    flags = {"time": "t", "gap": "60s", "flatline": 12}
    whole = feed(data, **flags)[0]
    assert feed(data, sizes=[40], **flags)[0] == whole
    found = {i: [why["field"] for why in json.loads(line).get("why", ())] for i, line in enumerate(whole.splitlines())}
    assert {i: names for i, names in found.items() if names} == {31: ["flatline(z)"], 41: ["gap", "flatline(x)"]}


@pytest.mark.parametrize("head", [b"", b'{"rows":'], ids=["alone", "in a document"])
def test_an_array_may_be_cut_behind_a_backslash(head):
    data = head + b'[{"s":"a\\nb","x":1},{"s":"\\"]","x":2},{"s":"\\\\","x":3}]' + (b"}" if head else b"")
    flags = {"input_format": "json", "records_at": "rows" if head else ""}
    for size in range(1, len(data)):
        out, _, pipeline = feed(data, sizes=[size], **flags)
        assert (out.count(b'"score"'), pipeline.records, pipeline.talk.kinds) == (3, 3, {})


BANDED = {
    "of texts": (b"x,s\n1,a\n2,b\n", {"derive": [{"template": {"field": "s"}}]}, ["template(s)"]),
    "in the field's place": (b"x,y\n1,2\n2,3\n", {"derive": [{"log": {"field": "y"}}]}, ["log(y)"]),
    "no number at first": (b"x,y\na,\n1,2\n2,3\n", {}, []),
    "no header": (b"1,2\n1,x\n2,3\n", {}, ["c1", "c2"]),
    "one begins later": (b'{"x":1}\n{"x":1,"y":2}\n', {"output_format": "csv"}, ["x"]),
    "none at first": (b'{"s":"a"}\n{"s":"a","x":1}\n', {"output_format": "csv"}, []),
}


@pytest.mark.parametrize(("data", "flags", "names"), BANDED.values(), ids=BANDED)
def test_rows_have_the_bands_that_the_header_names(data, flags, names):
    out, _, pipeline = feed(data, bands=True, **flags)
    own, widths = data.split(b"\n")[0].count(b",") + 1, {line.count(b",") for line in out.splitlines()}
    own = 1 if "output_format" in flags else own
    assert widths == {own + 2 + 3 * len(names)}
    found = [f"{name}_{edge}" for name in names for edge in ("expected", "lower", "upper")]
    assert out.startswith(b"1,2,") or out.splitlines()[0].decode().split(",")[own + 3 :] == found
    assert feed(data, bands=True, sizes=[4], **flags)[0] == out
    assert pipeline.code == 0


@pytest.mark.parametrize("mark", ["\x85", "\u2028", "\x0b", "\x1c", "\r"], ids=ascii)
@pytest.mark.parametrize("format", ["csv", "auto"])
def test_only_a_newline_ends_a_header(mark, format):
    header = f"a{mark}b,c".encode()
    out, said, _ = feed(header + b"\n1,2\n", input_format=format)
    assert out == header + b",score,anomaly,why\n1,2,,false,\n"
    assert not any("ragged" in message for message in said)
