"""Categories: texts found in the stream, their codes, their rarity; the same however the stream is cut."""

from __future__ import annotations

import json

import numpy as np
import pytest
from feeding import feed

from clipdetect.config import load
from clipdetect.errors import ConfigError, StateError
from clipdetect.features.categories import NONE, Categories
from clipdetect.features.rare import Rare
from clipdetect.formats.select import Selection
from clipdetect.numerics.categories import code, column_of, field_of, is_text, values
from clipdetect.numerics.hashing import category


def records(n: int = 400, seed: int = 0) -> list[dict]:
    """Numbers, categories of few values, identifiers, messages, times; an error code in some records only."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(n):
        record = {
            "ms": round(float(rng.normal(100, 5)), 3),
            "bytes": int(rng.integers(1000)),
            "method": str(rng.choice(["GET", "POST", "PUT"], p=[0.8, 0.15, 0.05])),
            "page": f"/p/{int(rng.integers(12))}",
            "request": f"{rng.integers(1 << 60):x}-{i}",
            "message": f"request {i} served",
            "when": f"2024-01-02T03:{i // 60 % 60:02d}:{i % 60:02d}Z",
            "url": f"https://a.example/{i}?q={i}",
            "number": str(i % 3),
            "user": {"name": str(rng.choice(["ann", "bob"])), "admin": bool(rng.random() < 0.2)},
            "label": 0,
        }
        if rng.random() < 0.3:
            record["error"] = str(rng.choice(["denied", "throttled"]))
        made.append(record)
    return made


def jsonl(made: list[dict]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in made)


def as_csv(made: list[dict]) -> bytes:
    names = ["ms", "bytes", "method", "page", "request", "message", "when", "url", "error", "label"]
    return "\n".join(
        [",".join(names), *(",".join(str(each.get(name, "")) for name in names) for each in made), ""]
    ).encode()


def watched(pipeline) -> list[str]:
    return pipeline.detector.columns


def test_texts_that_repeat_are_found_in_json():
    _, said, pipeline = feed(jsonl(records()))
    rarities = [name for name in watched(pipeline) if name.startswith("rare(")]
    assert sorted(rarities) == [f"rare({each})" for each in ("error", "method", "page", "user.admin", "user.name")]
    assert "ms" in watched(pipeline) and not any("\0" in name for name in (*watched(pipeline), *said))


def test_texts_that_repeat_are_found_in_csv():
    _, _, pipeline = feed(as_csv(records()))
    assert sorted(watched(pipeline)) == ["bytes", "ms", "rare(error)", "rare(method)", "rare(page)"]


def test_a_text_opens_when_it_has_repeated():
    selection = Selection((), (), 256, (), finds=True)
    for i in range(40):
        selection.text("kind", f"k{i % 3}")
        selection.records += 1
        assert (column_of("kind") in selection.columns) == (i >= 11)  # 12 records of 3 values


def test_a_text_that_few_records_have_is_none():
    selection = Selection((), (), 256, (), finds=True)
    for i in range(500):
        if i % 20 == 0:
            selection.text("kind", "a")
        selection.records += 1
    assert column_of("kind") not in selection.columns


@pytest.mark.parametrize("name", ["time", "created_at", "user_id", "id", "hidden", "key", "truth"])
def test_names_that_are_never_categories(name):
    selection = Selection((), ("hidden",), 256, ("key", "truth"), finds=True)
    for _ in range(100):
        selection.text(name, "a")
        selection.records += 1
    assert selection.columns == []


def test_by_time_and_label_are_no_categories():
    made = [{**each, "ok": "yes"} for each in records()]
    _, _, pipeline = feed(jsonl(made), categories=("*",), by="method", label="ok", exclude=("page",))
    assert not {"rare(method)", "rare(ok)", "rare(page)"} & set(watched(pipeline))
    assert "rare(user.name)" in watched(pipeline) and "rare(request)" in watched(pipeline)


@pytest.mark.parametrize(
    "flags", [{"field": ("ms",)}, {"derive": ("rate:per=method",), "time": "when"}, {"by": "page"}]
)
def test_what_is_asked_for_leaves_categories_out(flags):
    _, _, pipeline = feed(jsonl(records()), **flags)
    assert not any(name.startswith("rare(") for name in watched(pipeline))


@pytest.mark.parametrize("make", [jsonl, as_csv])
def test_off_leaves_the_numbers_as_they_were(make):
    data = make(records())
    off, _, pipeline = feed(data, categories="none")
    assert pipeline.detector.columns[0] == "ms" and not pipeline.detector.features.features
    assert feed(data, field=("ms", "bytes"))[0] == off


@pytest.mark.parametrize("make", [jsonl, as_csv])
def test_numbers_alone_give_the_same_bytes(make):
    numbers = [{"ms": each["ms"], "label": 0} for each in records()]
    assert feed(jsonl(numbers))[0] == feed(jsonl(numbers), categories="none")[0]


@pytest.mark.parametrize("make", [jsonl, as_csv])
@pytest.mark.parametrize("sizes", [[1000], [7, 333, 50], [1 << 20]])
def test_cuts_change_nothing(make, sizes):
    data = make(records(1300))
    assert feed(data, sizes=sizes)[0] == feed(data, sizes=[4096])[0]


@pytest.mark.parametrize("make", [jsonl, as_csv])
def test_a_prefix_gives_the_same_bytes(make):
    whole, part = make(records(1200)), make(records(1100))
    assert whole.startswith(part)
    assert feed(whole)[0].startswith(feed(part)[0])


@pytest.mark.parametrize("make", [jsonl, as_csv])
@pytest.mark.parametrize("stop", [6, 60, 1150])
def test_a_restored_state_is_as_never_stopped(make, stop, tmp_path):
    made = records(1200)
    state = str(tmp_path / "s")
    head = b"" if make is jsonl else make([])
    first = feed(make(made[:stop]), state=state)[0]
    second = feed(head + make(made[stop:]).removeprefix(head), state=state)[0]
    whole = feed(make(made))[0].splitlines()
    second_lines = second.splitlines()[1 if head else 0 :]
    assert [*first.splitlines(), *second_lines] == whole


def test_fast_and_careful_reading_agree():
    made = records(1400)
    fast = feed(jsonl(made))[0]
    careful = feed(jsonl(made), output_format="json")[0]
    assert [json.loads(line)["score"] for line in fast.splitlines()] == [each["score"] for each in json.loads(careful)]
    quoted = as_csv(made).replace(b"GET", b'"GET"')
    plain = [line.split(b",")[9:] for line in feed(as_csv(made))[0].splitlines()]
    assert [line.split(b",")[9:] for line in feed(quoted)[0].splitlines()] == plain


def test_a_state_without_categories_goes_on_without(tmp_path):
    data, state = jsonl(records()), str(tmp_path / "s")
    feed(data, state=state, categories="none")
    _, _, pipeline = feed(data, state=state)
    assert not any(name.startswith("rare(") for name in watched(pipeline))


def test_a_state_with_categories_is_not_taken_without(tmp_path):
    data, state = jsonl(records()), str(tmp_path / "s")
    feed(data, state=state)
    with pytest.raises(StateError, match="derive is"):
        feed(data, state=state, categories=("method",))
    _, said, pipeline = feed(data, state=state, categories="none")
    assert pipeline.code == 1 and any("learned from the fields and the texts that repeat, but" in each for each in said)


def test_named_fields_open_at_once_and_identifiers_can_be_asked_for():
    _, _, pipeline = feed(jsonl(records(5)), categories=("user.name", "request"), field=("ms",))
    assert watched(pipeline) == ["ms", "rare(user.name)", "rare(request)"]
    assert pipeline.model.options.numbers == () and pipeline.detector.state["feature0/weight"].all()


@pytest.mark.parametrize("make", [jsonl, as_csv])
def test_named_fields_are_as_rare_as_derived_ones(make):
    data = make(records())
    named, _, _ = feed(data, categories=("method",), estimator="evidence", threshold="counted", field=("ms",))
    derive = ("rare:field=method,missing=yes",)
    assert named == feed(data, derive=derive, estimator="evidence", threshold="counted", field=("ms",))[0]


def test_a_misspelt_name_is_told():
    _, said, _ = feed(jsonl(records()), categories=("metod",))
    assert any("no record has the field 'metod', did you mean 'method'?" in each for each in said)


def test_csv_keeps_its_columns():
    out = feed(as_csv(records()), bands=True, exclude=("bytes",))[0].splitlines()
    assert out[0].decode().split(",")[10:] == ["score", "anomaly", "why", "ms_expected", "ms_lower", "ms_upper"]
    assert {line.count(b",") for line in out if b'"' not in line} == {out[0].count(b",")}


def test_a_rare_value_is_said_in_words():
    made = [{"x": 1.0 + i % 5, "service": "http" if i % 7 else "smtp"} for i in range(3000)]
    made.append({"x": 1.0, "service": "ecr_i"})
    line = json.loads(feed(jsonl(made), estimator="evidence")[0].splitlines()[-1])
    assert line["anomaly"] and line["why"][0]["field"] == "rare(service)"
    assert line["why"][0]["text"] == "service ecr_i: one in 5,700 records"


def test_other_formats_have_none():
    with pytest.raises(ConfigError, match="--derive rare"):
        feed(b"Jan  1 10:00:00 web sshd[1]: x\n" * 3, categories=("host",), input_format="syslog")


@pytest.mark.parametrize("bad", ["auto,page", "none,page", "a+b"])
def test_bad_settings(bad):
    with pytest.raises(ConfigError, match="--categories"):
        load({"categories": bad}, None, {})


def test_settings_of_every_layer(tmp_path):
    assert load({}, None, {}).config.categories == ("auto",)
    assert load({}, None, {"CLIPDETECT_CATEGORIES": "a, b"}).config.categories == ("a", "b")
    assert load({"categories": "none"}, None, {}).config.categories == ()


def test_codes():
    assert is_text(column_of("a")) and field_of(column_of("a")) == "a" == field_of("a")
    one = category("one")
    assert values(np.array([code(one), code(-1)]), 5).tolist() == [one >> 9, 5]
    with pytest.raises(ValueError, match="buckets"):
        Categories(buckets=65)
    with pytest.raises(ValueError, match="half_life"):
        Categories(half_life=-1.0)
    with pytest.raises(ValueError, match="field"):
        Categories(field="")


def test_each_column_is_what_rare_gives():
    from clipdetect.components import Params, Rows
    from clipdetect.jit import Engine

    rng, n, params = np.random.default_rng(1), 300, Params(Engine("python"))
    texts = rng.choice(["a", "b", "c", ""], (n, 2), p=[0.6, 0.3, 0.05, 0.05])
    codes = np.array([[code(category(each) if each else -1) for each in row] for row in texts])
    slots = rng.integers(2, size=n)
    nan = np.full(n, np.nan)
    rows = Rows(np.empty((n, 0)), nan, nan, rng.random(n) < 0.9, np.zeros(n, bool))

    def run(feature, columns, fields):
        feature.bind(fields, params)
        spec = feature.state_spec(2)
        state = {name: np.zeros((2, *shape), kind) for name, (shape, kind) in spec.items()}
        return feature.step(state, slots, columns, rows)

    both = run(Categories(buckets=64), list(codes.T.copy()), [column_of("x"), column_of("y")])
    for j, name in enumerate("xy"):
        own = run(Rare(field=name, buckets=64), [values(codes[:, j], NONE)], [name])
        assert np.array_equal(own[:, 0], both[:, j])
