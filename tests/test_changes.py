"""Change points in what the command writes, and what they do to the model."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from feeding import feed

from clipdetect.errors import ConfigError, StateError

AT = 400  # record at which the level changes
DETECTORS = ("clipped_mean", "focus")


def values(size: float = 4.0) -> list[float]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=900)
    x[AT:] += size
    return np.round(x, 3).tolist()


def jsonl(rows: list[float]) -> bytes:
    return "".join(f'{{"x":{x}}}\n' for x in rows).encode()


@pytest.mark.parametrize("name", DETECTORS)
def test_change_is_declared_once_soon_and_says_since_when(name):
    out, _, _ = feed(jsonl(values()), changepoint=name)
    records = [json.loads(line) for line in out.splitlines()]
    found = [i for i, record in enumerate(records) if "changepoint" in record]
    assert len(found) == 1
    [at] = found
    assert AT <= at < AT + 40
    assert records[at]["changepoint"] is True
    said = records[at]["why"][-1]
    assert said["field"] == "changepoint"
    assert abs(at + 1 - said["value"] - AT) <= 5
    assert said["text"] == f"a new normal since {said['value']} records ago"
    assert all("why" not in record or record["anomaly"] for i, record in enumerate(records) if i != at)


def test_csv_has_a_column_and_plain_numbers_a_cell():
    rows = values()
    out, _, _ = feed(("t,x\n" + "".join(f"a,{x}\n" for x in rows)).encode(), changepoint="focus")
    table = list(csv.DictReader(io.StringIO(out.decode())))
    assert list(table[0]) == ["t", "x", "score", "anomaly", "why", "changepoint"]
    cells = [record["changepoint"] for record in table]
    assert cells.count("true") == 1 and cells.count("") == len(rows) - 1
    assert "a new normal since" in table[cells.index("true")]["why"]
    plain, _, _ = feed("".join(f"{x}\n" for x in rows).encode(), changepoint="focus")
    lines = [line.split("\t") for line in plain.decode().splitlines()]
    assert {len(line) for line in lines} == {4}
    assert [line[3] for line in lines] == cells
    assert feed("".join(f"{x}\n" for x in rows).encode())[0] == "".join("\t".join(a[:3]) + "\n" for a in lines).encode()


def test_a_log_on_a_screen_says_so():
    from clipdetect.formats.log import Log
    from clipdetect.formats.select import Selection
    from clipdetect.records import Annotation, FormatOptions, Reason

    format = Log(FormatOptions(marks=("changepoint",), as_text=True, terminal=True), Selection((), (), 9, ()))
    clear, reason = np.zeros(2, bool), Reason("changepoint", 7, np.nan, np.nan, "a new normal since 7 records ago")
    marks = {"changepoint": np.array([True, False])}
    annotation = Annotation(["x"], np.array([0.5, 0.1]), clear, {0: [reason]}, marks)
    shown = format._shown_rows([b"first", b"second"], annotation)
    assert shown == [b"0.50 change point a new normal since 7 records ago | first", b"second"]


def test_only_flagged_records_are_written_with_only_anomalies():
    out, _, _ = feed(jsonl(values(2.0)), changepoint="focus", only_anomalies=True)
    assert all(json.loads(line)["anomaly"] for line in out.splitlines())


@pytest.mark.parametrize("name", DETECTORS)
def test_rebase_starts_the_estimator_afresh_and_ignore_does_not(name):
    given = {"estimator": "zscore:half_life=2000", "bands": True}
    plain, ignored, rebased = (
        [json.loads(line) for line in feed(jsonl(values()), **given, **more)[0].splitlines()]
        for more in ({}, {"changepoint": name}, {"changepoint": name, "on_change": "rebase"})
    )
    assert [record["score"] for record in plain] == [record["score"] for record in ignored]
    at = next(i for i, record in enumerate(rebased) if "changepoint" in record)
    assert [record["score"] for record in rebased[: at + 1]] == [record["score"] for record in plain[: at + 1]]
    assert [record["score"] for record in rebased[at + 1 : at + 9]] == [None] * 8  # no opinion on its first records
    assert abs(rebased[at + 60]["expected"]["x"] - 4.0) < 0.5 < abs(plain[at + 60]["expected"]["x"] - 4.0)


def test_keys_change_apart():
    rows = values()
    lines = "".join(f'{{"k":"a","x":{x}}}\n{{"k":"b","x":{y}}}\n' for x, y in zip(rows, values(0.0), strict=True))
    out, _, _ = feed(lines.encode(), changepoint="focus", by="k")
    changed = [record["k"] for record in map(json.loads, out.splitlines()) if "changepoint" in record]
    assert changed == ["a"]


def test_a_state_belongs_to_its_detector(tmp_path):
    state = str(tmp_path / "m.bin")
    data = jsonl(values())
    feed(data, changepoint="focus", state=state)
    with pytest.raises(StateError, match="changepoint"):
        feed(data, state=state)
    with pytest.raises(StateError, match="on_change"):
        feed(data, changepoint="focus", on_change="rebase", state=state)


def test_wrong_settings_are_refused():
    with pytest.raises(ConfigError, match="--on-change: rebase needs a change-point detector: --changepoint NAME"):
        feed(b"1\n", on_change="rebase")
    with pytest.raises(ConfigError, match="must be one of ignore, rebase, got 'rebas', did you mean 'rebase'"):
        feed(b"1\n", changepoint="focus", on_change="rebas")
    with pytest.raises(ConfigError, match="--changepoint: unknown changepoint 'focas', did you mean 'focus'"):
        feed(b"1\n", changepoint="focas")
    assert feed(b"1\n2\n", changepoint="none")[0] == feed(b"1\n2\n")[0]
