"""The laws of the whole command for logs, features, recipes: cuts, engines, resuming, keys."""

from __future__ import annotations

import json

import numpy as np
import pytest
from feeding import feed, random_sizes

from clipdetect import registry
from clipdetect.config import load
from clipdetect.errors import StateError
from clipdetect.formats.csv import Csv
from clipdetect.settings import recipes
from clipdetect.state import load as load_state

N = 900
NAMES = ("alice", "bob", "carol", "x' OR 1=1", "root\x1b[31m")


def when(i, rng):
    """Seconds, with ties and steps back, into a December that turns into January."""
    return 1_735_600_000 + 40 * i - int(rng.integers(0, 90)) * int(rng.random() < 0.1)


def stamp(seconds, form):
    return np.datetime64(int(seconds), "s").astype(object).strftime(form)


def odd(rng, line):
    """Now and then a line that is hostile or none."""
    if rng.random() < 0.03:
        return [b"", b"oops", line[:11], b"\xff\xfe " + line, line + b"\r", b"\x00", b"\xef\xbb\xbf" + line, line * 2][
            int(rng.integers(8))
        ]
    return line


def line_of(name, i, t, client, user, size, status, text):
    """One line of a format."""
    if name == "access":
        day = stamp(t, "%d/%b/%Y:%H:%M:%S +0000")
        return f'{client} - - [{day}] "GET /{user}/{i % 7} HTTP/1.1" {status} {size} "-" "a" 0.{i % 9}'
    if name == "syslog":
        return f"{stamp(t, '%b %e %H:%M:%S')} gate sshd[{i % 50}]: {text}"
    if name == "logfmt":
        return f'time={stamp(t, "%Y-%m-%dT%H:%M:%SZ")} level=info msg="{text}" ms={size} host={client}'
    if name == "log":
        return f"{stamp(t, '%Y-%m-%d %H:%M:%S')},{i % 1000} INFO [main] app.Thing: {text}"
    if name == "pattern":
        return f"{t} <{client}> {size} {text}"
    journal = {"PRIORITY": str(i % 7), "SYSLOG_IDENTIFIER": "sshd", "MESSAGE": text}
    return json.dumps({"__REALTIME_TIMESTAMP": f"{t}000000", **journal})


def logs(name, n=N, seed=0):
    """Lines of a format, some of them odd after the first."""
    rng = np.random.default_rng(seed)
    lines = []
    for i in range(n):
        client, user = f"10.0.{rng.integers(3)}.{rng.integers(6)}", NAMES[int(rng.integers(5))]
        size, status = int(rng.lognormal(7, 1)), [200, 200, 200, 404, 500][int(rng.integers(5))]
        texts = [
            f"session {i} opened for {user}",
            f"took {size} ms",
            f"Failed password for {user} from {client} port {i} ssh2",
            f"{'never seen '.join(NAMES[: i % 5])} before",
        ]
        text = texts[int(rng.integers(3 + (i % 40 == 0)))]
        line = line_of(name, i, when(i, rng), client, user, size, status, text).encode()
        lines.append(odd(rng, line) if i else line)
    return b"\n".join(lines)


PATTERN = r"(?P<time>\d+) <(?P<client>[\d.]+)> (?P<size>\d+) (?P<message>.*)"
LOGS = {name: logs(name) for name in ("access", "syslog", "logfmt", "log", "journald", "pattern")}
MORE = {"pattern": {"pattern": PATTERN, "derive": ("template", "rate:of=size,per=client", "interval")}}
FORMATTED = sorted(name for name in registry.names("format") if registry.get("format", name).timed)


def test_every_format_with_a_time_is_tested():
    assert sorted(LOGS) == FORMATTED


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize(
    "flags",
    [{}, {"on_error": "skip"}, {"only_anomalies": True}, {"output_format": "text"}, {"output_format": "csv"}],
    ids=str,
)
def test_cuts_change_no_byte(name, flags):
    if name == "journald" and flags.get("output_format") == "text":
        flags = {"bands": True}
    flags = {**flags, "rate": 0.3, **MORE.get(name, {})}
    whole, said, pipeline = feed(LOGS[name], **flags)
    assert pipeline.reader.format.name == name
    assert pipeline.flagged > 0
    for sizes in ([65536], random_sizes(1, 300), random_sizes(2, 20_000)):
        out, others, _ = feed(LOGS[name], sizes=sizes, **flags)
        assert out == whole
        assert sorted(others) == sorted(said)


@pytest.mark.parametrize("name", LOGS)
def test_one_byte_at_a_time_engines_and_resuming_give_the_same_bytes(tmp_path, name):
    flags = {"rate": 0.3, **MORE.get(name, {})}
    whole = feed(LOGS[name], **flags)[0]
    assert feed(LOGS[name][:5000], sizes=[1], **flags)[0] == feed(LOGS[name][:5000], **flags)[0]
    assert feed(LOGS[name], **flags, engine="numba")[0] == whole
    lines = LOGS[name].split(b"\n")
    for at in (1, 300, 777):
        state = str(tmp_path / f"{at}.bin")
        first = feed(b"\n".join(lines[:at]) + b"\n", state=state, **flags)[0]
        assert first + feed(b"\n".join(lines[at:]), state=state, **flags, input_format=name)[0] == whole


@pytest.mark.parametrize("name", sorted(set(LOGS) - {"journald"}))
def test_text_gives_back_every_byte_and_json_every_line(name):
    flags = MORE.get(name, {})
    assert feed(LOGS[name], output_format="text", **flags)[0] == LOGS[name] + b"\n"
    records = [json.loads(line) for line in feed(LOGS[name], **flags)[0].splitlines()]
    texts = [
        line.removesuffix(b"\r").decode("utf-8", "replace").removeprefix("\ufeff") for line in LOGS[name].split(b"\n")
    ]
    assert [record["line"] for record in records] == [text for text in texts if text.strip(" \t\r")]
    assert all("score" in record and "anomaly" in record for record in records)


# -- every feature, with and without entities -------------------------------------------------------


def records(n=N, seed=3):
    rng = np.random.default_rng(seed)
    lines = []
    for i in range(n):
        record = {
            "time": when(i, rng),
            "k": f"k{rng.integers(2)}",
            "who": f"w{rng.integers(7)}",
            "x": round(float(rng.lognormal(3, 1)), 2),
        }
        record["message"] = f"user {record['who']} did {['this', 'that', 'all of it'][int(rng.integers(3))]} {i} times"
        for name in ("x", "who", "message", "time"):
            if rng.random() < 0.03:
                record[name] = None
        lines.append(json.dumps(record))
    return "\n".join(lines).encode()


RECORDS = records(560)
SPECS = {
    "rate": ["rate", "rate:per=who,where=message~that", "rate:of=x,shape=window,per=k+who", "rate:where=x>30,log=true"],
    "distinct": ["distinct:field=who", "distinct:field=who+message,per=k"],
    "interval": ["interval", "interval:per=who"],
    "hour": ["hour", "hour:weekly=true,per=who"],
    "rare": ["rare:field=who", "rare:field=who+k", "rare:field=message,given=who", "rare:field=who,per=k,missing=true"],
    "template": ["template", "template:per=who"],
    "log": ["log:field=x", "log:field=*"],
    "diff": ["diff:field=x", "diff:field=x,per=who,per_second=true", "diff:field=*,counter=true"],
    "gap": ["gap:limit=60s", "gap:limit=10m,per=who"],
    "flatline": ["flatline:length=3", "flatline:field=x,length=2,per=who"],
}
ALL = [(spec,) for specs in SPECS.values() for spec in specs]
ALL += [
    ("rare:field=who,name=odd", "rate:of=odd,per=k,name=sum"),
    ("log:field=x,name=lx", "diff:field=lx,per=who", "gap:limit=5m"),
]


def test_every_feature_is_tested():
    assert sorted([*SPECS, "categories"]) == registry.names("feature")  # that one in test_categories.py


@pytest.mark.parametrize("derive", ALL, ids=lambda each: ";".join(each))
def test_features_keep_the_laws_of_the_stream(tmp_path, derive):
    flags = {"derive": derive, "time": "time", "rate": 0.02}
    whole, _, pipeline = feed(RECORDS, **flags)
    assert pipeline.detector.columns
    assert feed(RECORDS, sizes=random_sizes(4, 900), **flags)[0] == whole
    assert feed(RECORDS, engine="numba", **flags)[0] == whole
    lines, state = RECORDS.split(b"\n"), str(tmp_path / "s.bin")
    first = feed(b"\n".join(lines[:411]) + b"\n", state=state, **flags)[0]
    assert first + feed(b"\n".join(lines[411:]), state=state, **flags)[0] == whole
    mixed = feed(RECORDS, by="k", **flags)[0].splitlines()
    for key in (b'"k0"', b'"k1"'):
        own = [line for line in lines if key in line]
        assert feed(b"\n".join(own), by="k", **flags)[0].splitlines() == [line for line in mixed if key in line]


@pytest.mark.parametrize("name", ["csv", "tsv", "ssv", "jsonl", "json"])
def test_formats_hand_the_same_to_features(name):
    """The same records in another format get the same scores; read fast and with care, too."""
    flags = {
        "derive": ("rate:of=x,per=who", "rare:field=who+k", "template:field=message"),
        "time": "time",
        "rate": 0.02,
    }
    table = [json.loads(line) for line in RECORDS.split(b"\n")]
    table = [{**each, "message": (each["message"] or "").replace(" ", "_") or None, "x": each["x"]} for each in table]
    if name in ("jsonl", "json"):
        text = "\n".join(map(json.dumps, table)) if name == "jsonl" else json.dumps(table)
    else:
        mark = {"csv": ",", "tsv": "\t", "ssv": " "}[name]
        cells = [
            ["-" if name == "ssv" and v is None else "" if v is None else str(v) for v in each.values()]
            for each in table
        ]
        text = "\n".join(map(mark.join, [list(table[0]), *cells]))
    out = feed(text.encode(), output_format="jsonl", input_format=name, sizes=[3000], **flags)[0]
    plain = feed("\n".join(map(json.dumps, table)).encode(), **flags)[0]
    assert [json.loads(line)["score"] for line in out.splitlines()] == [
        json.loads(line)["score"] for line in plain.splitlines()
    ]


def test_fast_and_careful_reading_hand_the_same_to_features(monkeypatch):
    flags = {
        "derive": ("rate:of=x,per=who", "rare:field=who+k,given=message", "template"),
        "time": "time",
        "rate": 0.02,
    }
    fast = feed(RECORDS, sizes=[5000], **flags)[0]
    monkeypatch.setattr("clipdetect.formats.fast.Fast.wanted", lambda self: False)
    assert feed(RECORDS, sizes=[5000], **flags)[0] == fast
    table = b"time,who,x\n" + b"\n".join(b"%d,w%d,%d" % (i, i % 5, i * i % 77) for i in range(600))
    flags["derive"] = ("rate:of=x,per=who", "rare:field=who")
    fast = feed(table, sizes=[2000], **flags)[0]
    monkeypatch.setattr(Csv, "_fast", lambda self, lines, first: None)
    assert feed(table, sizes=[2000], **flags)[0] == fast


# -- entities, evictions, closed pipes ---------------------------------------------------------------


def test_evicted_entities_start_afresh_and_are_counted():
    lines = [json.dumps({"t": i, "who": f"w{i % 50}"}) for i in range(600)]
    flags = {"derive": ("rate:window=1h,per=who",), "time": "t", "bands": True}
    out, said, pipeline = feed("\n".join(lines).encode(), max_keys=20, sizes=[700], **flags)
    assert pipeline.detector.evicted == 580
    assert any("max-keys" in message for message in said)
    again = feed("\n".join(lines).encode(), max_keys=20, **flags)[0]
    assert out == again
    assert b'"expected":{"rate":1.0}' in out.splitlines()[-1]


def test_a_closed_pipe_takes_back_what_entities_learned(tmp_path):
    flags = {"derive": ("rate:per=who", "rare:field=who"), "time": "time", "rate": 0.02}
    whole = feed(RECORDS, **flags)[0]
    lines = RECORDS.split(b"\n")
    for limit in (0, 2, 6):
        state = str(tmp_path / f"{limit}.bin")
        part, _, pipeline = feed(RECORDS, sizes=random_sizes(limit, 9000), limit=limit, state=state, **flags)
        assert pipeline.code == 141
        rest = b"\n".join(lines[part.count(b"\n") :])
        assert part + feed(rest, state=state, **flags)[0] == whole


# -- state and configuration ----------------------------------------------------------------------


def test_a_state_knows_the_features_that_its_format_brought(tmp_path):
    state = str(tmp_path / "s.bin")
    feed(LOGS["access"], state=state)
    head, _, _ = load_state(state)
    assert head["brought"][0][0].startswith("rare:")
    assert "errors" in head["fields"]
    _, said, pipeline = feed(LOGS["syslog"], state=state)
    assert pipeline.code == 1
    assert any("syslog records are judged by template" in message for message in said)
    with pytest.raises(StateError, match="derive is"):
        feed(LOGS["access"], state=state, derive=("rate",))


@pytest.mark.parametrize("name", recipes())
def test_a_recipe_is_complete(name):
    config = load({"recipe": name}, environ={}).config
    config.detector()
    assert config.recipe == name
    assert "about:" in recipes()[name].read_text().splitlines()[0]
    assert load({"recipe": name, "rate": 0.25}, environ={}).config.rate == 0.25  # one's own beats it
