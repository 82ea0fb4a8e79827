"""Events known in advance: what the file says, and what it does to flags and to learning."""

from __future__ import annotations

import json

import numpy as np
import pytest
from feeding import feed, random_sizes

from clipdetect import events
from clipdetect.errors import ConfigError

DAY = 1_700_000_000
HEAD = "start,end,selector,action\n"


def written(tmp_path, text, head=HEAD):
    path = tmp_path / "events.csv"
    path.write_text(head + text)
    return str(path)


def launch(n: int = 900, start: int = 400, end: int = 600, size: float = 15.0, hosts: int = 1) -> bytes:
    """A record a minute of each host; between two of them traffic is higher."""
    rng = np.random.default_rng(5)
    lines = []
    for i in range(n):
        for h in range(hosts):
            x = rng.normal() + (size if start <= i < end else 0.0)
            lines.append(f'{{"t":{DAY + 60 * i},"host":"web-{h}","x":{x:.4f}}}\n')
    return "".join(lines).encode()


def flagged(out: bytes) -> list[int]:
    return [i for i, line in enumerate(out.splitlines()) if json.loads(line)["anomaly"]]


def span(start: int, end: int, rest: str) -> str:
    return f"{DAY + 60 * start},{DAY + 60 * end},{rest}\n"


def test_no_flag_in_a_muted_span_and_normal_service_after(tmp_path):
    data, path = launch(), written(tmp_path, span(400, 620, ",mute freeze"))
    before = feed(data, time="t")[0]
    assert len([i for i in flagged(before) if 400 <= i < 640]) > 10
    out, _, pipeline = feed(data, time="t", events=path)
    assert flagged(out) == [i for i in flagged(before) if i < 400]
    scores = [json.loads(line)["score"] for line in out.splitlines()]
    assert min(scores[400:600]) > 3.0  # scored all the same, by what was learned before
    spike = launch().replace(b'"x":', b'"x":9', 1)
    assert spike != data
    assert any("flags muted by" in line for line in pipeline._counters())
    rows = data.splitlines(keepends=True)
    rows[700] = b'{"t":%d,"host":"web-0","x":40}\n' % (DAY + 60 * 700)
    assert 700 in flagged(feed(b"".join(rows), time="t", events=path)[0])


def test_without_freeze_the_span_is_learned_and_with_it_is_not(tmp_path):
    data = launch()
    muted = feed(data, time="t", events=written(tmp_path, span(400, 600, ",mute")))[0]
    assert len([i for i in flagged(muted) if i >= 600]) > 3  # back from the new normal
    assert not [i for i in flagged(muted) if 400 <= i < 600]
    frozen = feed(data, time="t", events=written(tmp_path, span(400, 600, ",freeze")))[0]
    assert [i for i in flagged(frozen) if 400 <= i < 600] == list(range(400, 600))
    assert not [i for i in flagged(frozen) if i >= 600]


def test_widen_takes_limits_further_out(tmp_path):
    rng = np.random.default_rng(7)
    x = rng.normal(size=3000) * np.where(np.arange(3000) >= 2000, 3.0, 1.0)
    data = "".join(f'{{"t":{DAY + i},"x":{v:.5f}}}\n' for i, v in enumerate(x)).encode()
    path = written(tmp_path, f"{DAY + 2000},{DAY + 3000},,widen:3\n")
    before, after = (flagged(feed(data, time="t", events=each, engine="auto")[0]) for each in ("", path))
    assert len([i for i in before if i >= 2000]) > 7
    assert len([i for i in after if i >= 2000]) <= 2
    banded = feed(data, time="t", events=path, bands=True, engine="auto")[0].splitlines()
    wide = [(r := json.loads(banded[i]))["upper"]["x"] - r["expected"]["x"] for i in (1999, 2000)]
    assert wide[1] == pytest.approx(3 * wide[0], rel=0.05)


def test_a_selector_picks_records_by_any_field(tmp_path):
    data = launch(hosts=3)
    path = written(tmp_path, span(390, 640, "host=web-[01]&t=*,mute"))
    out = [json.loads(line) for line in feed(data, time="t", by="host", events=path)[0].splitlines()]
    hosts = {record["host"] for record in out[1200:1800] if record["anomaly"]}
    assert hosts == {"web-2"}


def test_events_act_the_same_however_the_stream_is_cut(tmp_path):
    path = written(tmp_path, span(400, 500, "host=web-0,mute freeze") + span(450, 620, ",widen:2"))
    data = launch(hosts=2)
    whole = feed(data, time="t", by="host", events=path)[0]
    assert feed(data, time="t", by="host", events=path, sizes=random_sizes(3, 4000))[0] == whole
    lines, state = data.splitlines(keepends=True), str(tmp_path / "s.bin")
    parts = [
        feed(b"".join(lines[a:b]), time="t", by="host", events=path, state=state)[0] for a, b in ((0, 901), (901, None))
    ]
    assert b"".join(parts) == whole


def test_what_overlaps_adds_up():
    found = events.Events(
        (
            events.Event(0.0, 10.0, (), True, False, 1.0),
            events.Event(5.0, 20.0, (), False, True, 3.0),
            events.Event(8.0, 9.0, ("host~a",), False, False, 5.0),
        )
    ).of(np.array([4.0, 6.0, 8.0, 8.5, 15.0, 20.0, np.nan]), {"host~a": np.array([1, 1, -1, 1, 1, 1, 1])})
    assert found is not None
    assert found.mute.tolist() == [True, True, True, True, False, False, False]
    assert found.freeze.tolist() == [False, True, True, True, True, False, False]
    assert found.widen.tolist() == [1.0, 3.0, 3.0, 5.0, 3.0, 1.0, 1.0]


def test_times_may_be_text_or_left_out(tmp_path):
    path = written(
        tmp_path, "2024-11-29T08:00:00+01:00,2024-11-30,*,mute\n\n,2020-01-01,,freeze\n1700000000,,,widen:2\n"
    )
    read = events.read(path).events
    assert [event.start for event in read] == [1732863600.0, -np.inf, 1700000000.0]
    assert [event.end for event in read] == [1732924800.0, 1577836800.0, np.inf]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("yesterday,2024-01-01,,mute", "events.csv:2: start must be a time"),
        ("2024-01-02,2024-01-01,,mute", "events.csv:2: end 2024-01-01 is not after start 2024-01-02"),
        ("2024-01-01,2024-01-02,host,mute", "events.csv:2: selector must be field=pattern"),
        ("2024-01-01,2024-01-02,,silence", "events.csv:2: action must be mute, freeze, widen:K"),
        ("2024-01-01,2024-01-02,,", "events.csv:2: action is missing"),
        ("2024-01-01,2024-01-02,,widen:0", "events.csv:2: widen needs a factor of 1 or more"),
        ("2024-01-01,2024-01-02,mute", "events.csv:2: 3 cells, the header has 4"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, message):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        events.read(written(tmp_path, line + "\n"))


def test_a_wrong_file_is_named(tmp_path):
    with pytest.raises(
        ConfigError, match=r"events\.csv:1: the columns must be start, end, selector, action, got from, to"
    ):
        events.read(written(tmp_path, "", "from,to\n"))
    with pytest.raises(ConfigError, match=r"none\.csv: cannot read the events: No such file"):
        events.read(str(tmp_path / "none.csv"))


def test_what_events_need_is_said(tmp_path):
    path = written(tmp_path, span(0, 1, ",widen:2"))
    with pytest.raises(ConfigError, match="--events needs the time of each record"):
        feed(b"1\n", events=path)
    with pytest.raises(ConfigError, match="widen has no meaning"):
        feed(launch(9), events=path, time="t", label="y", estimator="clipped_sgd:loss=logistic")
