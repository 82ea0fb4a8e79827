"""The model is chosen by the first records together: not by the very first one, nor by how the stream is cut."""

from __future__ import annotations

import json
import random

import pytest
from feeding import cut, feed
from hypothesis import given, settings
from hypothesis import strategies as st

from clipdetect.errors import StateError
from clipdetect.plan import FIRST

START = 1_700_000_000


def jsonl(records: list[dict]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def as_csv(records: list[dict]) -> bytes:
    names = list(dict.fromkeys(name for record in records for name in record))
    rows = [["" if record.get(name) is None else str(record[name]) for name in names] for record in records]
    return "".join(",".join(row) + "\n" for row in [names, *rows]).encode()


def results(out: bytes) -> list[tuple]:
    """Score, flag and fields of `why` of each record."""
    found = []
    for line in out.splitlines():
        record = json.loads(line)
        found.append((record["score"], record["anomaly"], [each["field"] for each in record.get("why", ())]))
    return found


def flags_of_csv(out: bytes) -> list[bool]:
    header, *rows = out.decode().splitlines()
    place = header.split(",").index("anomaly")
    return [row.split(",")[place] == "true" for row in rows]


# -- one series, whatever its first cell ------------------------------------------------------


@pytest.fixture(scope="module")
def series() -> tuple[list[float], list[bool]]:
    """6,000 values with a jump, and which of them are flagged."""
    rng = random.Random(1)
    values = [round(rng.gauss(10, 1) + (30 if i >= 3000 else 0), 3) for i in range(6000)]
    flags = [flag for _, flag, _ in results(feed(jsonl([{"x": x} for x in values]))[0])]
    assert 5 < sum(flags) < 30
    return values, flags


@pytest.mark.parametrize("before", [[{}], [{"x": None}], [{"x": "-"}], [{"other": None}, {"x": None}] * 20])
def test_records_without_a_number_at_the_start_change_no_flag(series, before):
    values, flags = series
    out = feed(jsonl([*before, *({"x": x} for x in values)]))[0]
    assert [flag for _, flag, _ in results(out)] == [False] * len(before) + flags


@pytest.mark.parametrize("first", ["", " ", "nan"])
def test_an_empty_first_cell_changes_no_flag(series, first):
    values, flags = series
    data = ("time,x\n" + "".join(f"{START + i},{x}\n" for i, x in enumerate([first, *values]))).encode()
    assert flags_of_csv(feed(data)[0]) == [False, *flags]


@pytest.mark.parametrize(
    ("clock", "start", "step"),
    [("ts", START, 60), ("t", START, 60), ("t", START * 1e3, 1e3), ("t", START * 1e9, 1e9), ("t", 0, 1),
     ("t", 0.5, 0.1), ("unix_ms", START * 1000, 60_000), ("epoch_time", START, 60),
     ("eventTime", START, 60), ("start", START, 60)],
)  # fmt: skip
@pytest.mark.parametrize("make", [jsonl, as_csv])
def test_a_clock_changes_no_flag(series, clock, start, step, make):
    values, flags = series[0][:2000], series[1][:2000]
    out = feed(make([{clock: start + step * i, "x": x} for i, x in enumerate(values)]))[0]
    assert (flags_of_csv(out) if make is as_csv else [flag for _, flag, _ in results(out)]) == flags


def test_a_clock_that_counts_is_told_with_the_way_out():
    records = [{"t": i, "x": float(i * i % 7)} for i in range(60)]
    said = feed(jsonl(records))[1]
    assert "t: a clock, by how it rises, so it is not watched; --field t watches it" in said
    assert not any("a clock" in line for line in feed(jsonl(records), field=("t", "x"))[1])


@pytest.mark.parametrize("values", [[21.5, 21.4, 21.7], [20.0, 20.0, 21.0], [20.0, 21.0, 25.0]])
def test_a_temperature_called_t_is_a_measure_from_its_first_value_on(values):
    rng = random.Random(3)
    rest = [round(rng.gauss(20, 1), 2) for _ in range(200)]
    called = [
        [{name: t, "h": round(rng.gauss(50, 3), 1) if i else 50.0} for i, t in enumerate([*values, *rest])]
        for name, rng in (("t", random.Random(4)), ("c", random.Random(4)))
    ]
    one, other = (results(feed(jsonl(records))[0]) for records in called)
    assert [(score, flag) for score, flag, _ in one] == [(score, flag) for score, flag, _ in other]


def test_a_lone_t_is_watched_even_where_it_rises():
    out = feed(jsonl([{"t": i + (0.0 if i < 90 else 500.0)} for i in range(100)]))[0]
    assert any(flag for _, flag, _ in results(out))


# -- several fields, whatever the first record has --------------------------------------------


def two(n: int = 300, seed: int = 0) -> list[dict]:
    rng = random.Random(seed)
    return [{"x": round(rng.gauss(0, 1), 3), "y": round(rng.gauss(5, 2), 3)} for _ in range(n)]


@pytest.mark.parametrize("gone", [{"x": None}, {"y": None}, {"x": None, "y": None}])
@pytest.mark.parametrize("records", [1, 3, FIRST - 1])
def test_the_first_of_several_fields_may_be_missing(gone, records):
    made = two()
    made[:records] = [{**record, **gone} for record in made[:records]]
    bare = [{name: value for name, value in record.items() if value is not None} for record in made]
    expected = results(feed(jsonl(made), estimator="horizons")[0])
    assert results(feed(jsonl(made))[0]) == results(feed(jsonl(bare))[0]) == expected
    scored = [line.rsplit(",", 3)[1] for line in feed(as_csv(made))[0].decode().splitlines()[1:]]
    assert [float(score) if score else None for score in scored] == [score for score, _, _ in expected]


@pytest.mark.parametrize("empty", [0, 1, 30])
def test_texts_alone_are_several_fields_and_a_null_is_no_text(empty):
    rng = random.Random(2)
    made = [{"a": rng.choice("xyz"), "b": rng.choice(["p", "q"])} for _ in range(300)]
    nulls = [{"a": None, "b": None}] * empty
    out, _, pipeline = feed(jsonl([*nulls, *made]))
    assert pipeline.detector.plan.judged == "several fields"
    assert results(out)[empty:] == results(feed(jsonl(made), estimator="horizons")[0])


def test_texts_beside_a_lone_number_are_not_watched():
    records = [{"x": float(i % 9), "s": "ab"[i % 2], "n": None if i < 40 else i % 3} for i in range(300)]
    for sizes in (None, [40], [4000]):
        out, _, pipeline = feed(jsonl(records), sizes=sizes)
        assert pipeline.detector.columns == ["x", "n"] and not pipeline.detector.plan.finds
        assert results(out) == results(feed(jsonl([{**record, "s": 0} for record in records]), field=("x", "n"),
                                            estimator="level")[0])  # fmt: skip


# -- cuts, stops, closed pipes ----------------------------------------------------------------


@st.composite
def streams(draw) -> list[dict]:
    """Some 60 records that begin in every odd way."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    numbers = draw(st.integers(0, 3))
    texts = draw(st.integers(0, 2))
    clock = draw(st.sampled_from([None, "ts", "t", "tick"]))
    start = draw(st.sampled_from([0, 20.5, START]))
    uneven = draw(st.booleans())
    late = [draw(st.integers(0, 12)) for _ in range(numbers + texts)]
    gaps = draw(st.sampled_from([0.0, 0.3, 0.8]))
    records = []
    for i in range(60):
        record: dict = {}
        if clock and rng.random() >= gaps / 4:
            record[clock] = start + i * (0.25 if not uneven else rng.random())
        for j in range(numbers):
            if i >= late[j]:
                record[f"x{j}"] = None if rng.random() < gaps else round(rng.gauss(j, 1), 2)
        for j in range(texts):
            if i >= late[numbers + j]:
                record[f"s{j}"] = None if rng.random() < gaps / 2 else rng.choice("ab")
        records.append(record)
    return records


SOME = [{}, {"bands": True}, {"estimator": "zscore", "bands": True}, {"warmup": "8"}, {"flatline": "3"},
        {"changepoint": "focus", "on_change": "rebase"}, {"exclude": ("x0",)}, {"max_fields": "2"}]  # fmt: skip


@settings(max_examples=60, deadline=None, derandomize=True)
@given(records=streams(), flags=st.sampled_from(SOME), sizes=st.lists(st.integers(1, 400), min_size=1, max_size=9),
       make=st.sampled_from([jsonl, as_csv]))  # fmt: skip
def test_cuts_change_nothing(records, flags, sizes, make):
    data = make(records)
    whole = feed(data, **flags)[0]
    assert feed(data, sizes=sizes, **flags)[0] == whole
    assert feed(data, sizes=[len(line) for line in data.splitlines(keepends=True)], **flags)[0] == whole


@settings(max_examples=40, deadline=None, derandomize=True)
@given(records=streams(), flags=st.sampled_from(SOME), stop=st.integers(0, 25), again=st.integers(0, 12))
def test_a_stop_at_any_record_changes_nothing(records, flags, stop, again, tmp_path_factory):
    state = str(tmp_path_factory.mktemp("stops") / "state")
    whole = feed(jsonl(records), **flags)[0]
    out = b"".join(
        feed(jsonl(part), state=state, **flags)[0]
        for part in (records[:stop], records[stop : stop + again], records[stop + again :])
    )
    assert out == whole


@settings(max_examples=40, deadline=None, derandomize=True)
@given(records=streams(), flags=st.sampled_from(SOME), blocks=st.integers(0, 12), each=st.integers(1, 4))
def test_a_closed_pipe_at_any_block_changes_nothing(records, flags, blocks, each, tmp_path_factory):
    state = str(tmp_path_factory.mktemp("pipes") / "state")
    whole = feed(jsonl(records), **flags)[0]
    lines = jsonl(records).splitlines(keepends=True)
    pieces = [b"".join(lines[i : i + each]) for i in range(0, len(lines), each)]
    first = feed(b"".join(lines), sizes=[len(piece) for piece in pieces], limit=blocks, state=state, **flags)[0]
    rest = feed(b"".join(lines[blocks * each :]), state=state, **flags)[0]
    assert first + rest == whole


@pytest.mark.parametrize("stop", range(FIRST + 2))
@pytest.mark.parametrize("clock", [lambda i: i, lambda i: i + 5.0 * (i > 4), lambda i: -i])
def test_a_stop_while_a_field_may_be_a_clock_changes_nothing(stop, clock, tmp_path):
    records = [{"t": clock(i), **record} for i, record in enumerate(two(60))]
    whole, state = feed(jsonl(records))[0], str(tmp_path / "state")
    assert feed(jsonl(records[:stop]), state=state)[0] + feed(jsonl(records[stop:]), state=state)[0] == whole


@pytest.mark.parametrize("records", [0, 1, FIRST - 1, FIRST, 30])
def test_a_state_says_what_it_waits_for(records, tmp_path):
    state = str(tmp_path / "state")
    _, _, pipeline = feed(jsonl([{"x": float(i % 5)} for i in range(records)]), state=state)
    head, _, arrays = pipeline.detector.dump()
    assert head["first"]["records"] == min(records, FIRST)
    assert len(arrays.get("kept/X", ())) == (records if records < FIRST else 0)
    assert pipeline.model.dump()["config"]["estimator"]["name"] == ("default" if records < FIRST else "level")


def test_an_estimator_named_goes_on_from_the_same_one_chosen(tmp_path):
    state = str(tmp_path / "state")
    records = [{"x": float(i % 5), "s": "a"} for i in range(50)]
    feed(jsonl(records), state=state)
    assert feed(jsonl(records), state=state, estimator="level")[2].records == 100


def test_a_state_of_an_open_plan_is_not_that_of_a_named_estimator(tmp_path):
    state = str(tmp_path / "state")
    feed(jsonl([{"x": 1.0}]), state=state)
    with pytest.raises(StateError, match=r'estimator\.name is "default" in the state, "level" now'):
        feed(jsonl([{"x": 1.0}]), state=state, estimator="level")


def test_a_state_of_an_earlier_kind_is_refused_in_a_sentence(tmp_path):
    from clipdetect import state

    path = str(tmp_path / "state")
    feed(jsonl(two(30)), state=path)
    head, keys, arrays = state.load(path)
    del head["brought"]
    state.save(path, {name: head[name] for name in head if name not in ("version", "keys", "key_bytes")}, keys, arrays)
    with pytest.raises(StateError, match="missing required field `brought`"):
        feed(jsonl(two(30)), state=path)


# -- built once, and told ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "flags"),
    [(jsonl(two(60)), {}), (as_csv([{"x": 1.0}] * 60), {}), (b"1\n2\n" * 30, {}), (jsonl(two(60)), {"by": "x"}),
     (b"Jan  1 10:00:00 web sshd[1]: x\n" * 60, {}), (jsonl(two(60)), {"field": ("x", "y")})],
)  # fmt: skip
def test_the_detector_is_built_once(data, flags, monkeypatch):
    from clipdetect import detector

    built, start = [], detector.Detector.__init__

    def counted(self, *args, **more):
        built.append(self)
        start(self, *args, **more)

    monkeypatch.setattr(detector.Detector, "__init__", counted)
    feed(data, **flags)
    assert len(built) == 1


def test_the_plan_is_told_once_it_is_made(capfd):
    from feeding import Memory, Pieces, Quiet

    from clipdetect.config import load
    from clipdetect.pipeline import Pipeline
    from clipdetect.source import Signals

    lines = jsonl([{"x": 1.0}, *two(60)]).splitlines(keepends=True)
    talk = Quiet()
    talk.detail = talk.said.append  # type: ignore[method-assign]
    with Signals() as signals:
        pipeline = Pipeline(load({"engine": "python"}, None, {}).config, signals, talk, Memory())
        pipeline.open = lambda path: Pieces(cut(b"".join(lines), [len(lines[0]), 1 << 20]))  # type: ignore[method-assign, assignment, return-value]
        pipeline.run(["-"])
    told = [line for line in talk.said if line.startswith("judged")]
    assert told == ["judged as several fields by horizons, tail: x, y (records have several numbers)"]
