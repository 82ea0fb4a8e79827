"""Nothing is wrong in silence: a misspelt name, nothing to judge, too little; and no false alarm on good streams."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from feeding import feed

from clipdetect import registry
from clipdetect.cli.options import Flag
from clipdetect.cli.score import command
from clipdetect.components import Params
from clipdetect.formats.beside import subject

SAMPLES = Path(__file__).parents[1] / "sample_data"
REMARKS = (": no record ", ": no field ", "nothing to judge", "too few", "nothing was scored", "no score:", "after all")


def lines(n: int, **more: object) -> bytes:
    """Good records; `more` gives a field's value, maybe by the record's number; None leaves the field out."""
    records = []
    for i in range(n):
        record = {"t": 1e9 + i, "host": f"h{i % 3}", "http": {"code": f"c{i % 7}", "ms": i * 7 % 11}, "ms": i * 5 % 13}
        extra = {name: value(i) if callable(value) else value for name, value in more.items()}
        records.append({**record, **{name: value for name, value in extra.items() if value is not None}})
    return "\n".join(map(json.dumps, records)).encode()


def sample(name: str, n: int = 1500) -> bytes:
    """The first lines of a sample."""
    return b"\n".join((SAMPLES / name).read_bytes().split(b"\n")[:n])


def said(data: bytes, **flags: object) -> list[str]:
    """What is said of silence."""
    return [each for each in feed(data, **flags)[1] if any(mark in each for mark in REMARKS)]


# -- every option that names a field ----------------------------------------------------------

FLAGS = [each for each in command.params if isinstance(each, Flag)]
NAMING = [each for each in FLAGS if each.names_fields]
NEAREST = {"hosst": "host", "http.cod": "http.code", "CODE": "http.code"}


def test_every_flag_that_takes_a_name_is_known_to_name_fields_or_something_else():
    others = {"recipe", "records_at"}  # a recipe's, an array's
    assert {each.name for each in FLAGS if "NAME" in (each.metavar or "")} == {each.name for each in NAMING} | others
    assert len(NAMING) >= 7


@pytest.mark.parametrize("option", NAMING, ids=lambda option: option.name)
@pytest.mark.parametrize("name", NEAREST)
def test_a_misspelt_field_is_named_with_the_nearest(option, name):
    for n, when in ((60, ""), (1200, "so far ")):
        own = said(lines(n), **{option.name: (name,) if option.multiple else name})
        (message,) = [each for each in own if f"{name!r}, did you mean {NEAREST[name]!r}?" in each]
        assert message.startswith(f"--{option.opts[-1][2:]}: no ")
        assert when in message
        assert len(own) == 1


def field_parameters() -> list[tuple[str, str]]:
    """Parameters of features that name a field: what is put there is taken from the records."""
    found = []
    for name in registry.names("feature"):
        for parameter, about in registry.parameters(registry.get("feature", name)).items():
            if str not in registry.members(about.annotation):
                continue
            try:
                made = registry.build("feature", {name: {parameter: "hosst"}})
            except ValueError:  # a duration, say
                continue
            made.bind(["ms"], Params())
            if "hosst" in [*(subject(each.field) for each in made.inputs()), *made.watches(), made.per]:
                found.append((name, parameter))
    return found


def test_parameters_that_name_fields_are_found():
    known = {("rate", "of"), ("rate", "where"), ("rate", "per"), ("rare", "field"), ("rare", "given"), ("gap", "per")}
    assert known <= set(field_parameters())


@pytest.mark.parametrize(("feature", "parameter"), field_parameters())
def test_a_misspelt_field_of_a_feature_is_named(feature, parameter):
    for n in (60, 1200):
        own = said(lines(n), time="t", derive=({feature: {parameter: "hosst"}},))
        assert [each for each in own if each.startswith("--derive: no record ") and "did you mean 'host'?" in each]


@pytest.mark.parametrize("where", ["hosst=a", "hosst>3", "hosst~a|b", "hosst"])
def test_a_misspelt_field_of_a_condition_is_named(where):
    (own,) = said(lines(60), time="t", derive=({"rate": {"where": where}},))
    assert own.startswith("--derive: no record has the field 'hosst', did you mean 'host'?")


@pytest.mark.parametrize("spec", ["linear:target=hosst", "clipped_sgd:loss=linear,target=hosst"])
def test_a_misspelt_target_is_named(spec):
    assert any("no field 'hosst' to predict" in each for each in feed(lines(60), estimator=spec)[1])


def test_a_misspelt_field_of_an_event_is_named(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("start,end,selector,action\n,,hosst=a,mute\n")
    (own,) = said(lines(60), time="t", events=str(path))
    assert own.startswith("--events: no record has the field 'hosst', did you mean 'host'?")


def test_a_truth_that_is_watched_by_mistake_is_named():
    data = sample("metrics.csv", 400)
    (own,) = said(data.replace(b",label", b",fault", 1), label="fualt")
    assert own.endswith("did you mean 'fault'? That one is watched now, like any field")
    (own,) = said(data.replace(b",label", b",outlier", 1), label="gt")
    assert "did you mean 'outlier'? That one is watched now" in own


def test_what_is_inside_of_a_field_is_not_excluded_with_it():
    (own,) = said(lines(60), exclude=("http",))
    assert own == "--exclude: no field is called 'http', only such in it as 'http.code': write 'http.*'"
    assert said(lines(60), exclude=("http.*", "t", "h*.ms")) == []


@pytest.mark.parametrize("name", ["by", "group", "label", "time"])
def test_a_field_with_others_inside_is_there(name):
    assert not [each for each in said(lines(60), **{name: "http"}) if "no record" in each]


# -- when it is said, and that it is taken back ------------------------------------------------


def test_nothing_is_missing_before_a_thousand_records_or_the_end():
    late = lines(990, zone=lambda i: "z" if i > 980 else None)
    for sizes in (None, [2000]):
        assert said(late, by="zone", sizes=sizes) == []


@pytest.mark.parametrize("flags", [{}, {"field": ("ms",)}, {"coerce": True}], ids=str)
@pytest.mark.parametrize(
    "option",
    [{"by": "zone"}, {"label": "zone"}, {"group": "zone"}, {"time": "t", "derive": ({"rate": {"where": "zone=1"}},)}],
    ids=str,
)
def test_a_sparse_field_is_no_false_alarm(option, flags):
    """Where it is read fast, too: it comes once, after what is read with care."""
    flags = {} if "derive" in option else flags
    assert said(lines(1100, zone=lambda i: 1 if i == 700 else None), **option, **flags) == []
    assert said(lines(300, zone=lambda i: 1 if i == 200 else None), **option, **flags) == []


def test_what_comes_late_is_said_once_and_taken_back():
    data = lines(3000, zone=lambda i: "z" if i > 2000 else None)
    own = said(data, by="zone", group="zone", sizes=[4000])
    assert own == [
        "--by: no record so far has the field 'zone', so all records share one model (there are: t, host, http.code, "
        "http.ms, ms)",
        "--group: no record so far has the field 'zone', so all records are one group (there are: t, host, http.code, "
        "http.ms, ms)",
        "--by: the field 'zone' has come after all",
        "--group: the field 'zone' has come after all",
    ]


def test_names_are_known_however_many_there_are():
    wide = [{f"f{j}": j for j in range(2100)} | {"zone": "z", "x": i} for i in range(10)]
    data = "\n".join(map(json.dumps, wide)).encode()
    assert [each for each in said(data, by="zone", label="f2050", group="f2060") if "no record" in each] == []
    header = ",".join(f"f{j}" for j in range(2100))
    rows = "\n".join(",".join(["1"] * 2100) for _ in range(10))
    table = f"{header}\n{rows}".encode()
    assert [each for each in said(table, by="f2050", exclude=("f2060",)) if ": no " in each] == []


def test_a_missing_name_fails_the_run_where_records_must_be_right():
    for option in NAMING:
        flags = {option.name: ("hosst",) if option.multiple else "hosst"}
        assert feed(lines(60), on_error="fail", **flags)[2].code == 1
        assert feed(lines(60), **flags)[2].code == 0
    late = lines(1500, zone=lambda i: 1 if i > 1400 else None)
    assert feed(late, on_error="fail", by="zone", sizes=[4000])[2].code == 0


def test_a_resumed_run_knows_the_fields_of_the_runs_before(tmp_path):
    state = str(tmp_path / "m.bin")
    assert said(lines(300, zone=lambda i: 1 if i == 200 else None), by="zone", state=state) == []
    assert said(lines(5), by="zone", state=state) == []
    (own,) = said(lines(5), by="zone", state=state, group="zome")
    assert own.startswith("--group: no record has the field 'zome', did you mean 'zone'?")


def test_a_file_that_is_followed_is_judged_after_a_thousand_records(tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_bytes(lines(1200) + b"\n")
    process = subprocess.Popen(
        [sys.executable, "-m", "clipdetect", "--follow", "--by", "hosst", path],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(SAMPLES.parent)},
    )  # fmt: skip
    line = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=20)[1]
    assert line.startswith(b"clipdetect: --by: no record so far has the field 'hosst', did you mean 'host'?")
    assert (rest, process.returncode) == (b"", 130)


# -- values that cannot be read ----------------------------------------------------------------

ODD = {"time": ("yesterday", "not a time"), "label": ("maybe", "not a label")}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("way", ["fast", "careful", "csv", "quotes", "json"])
def test_times_and_labels_that_cannot_be_read_are_counted_and_the_first_is_shown(name, way):
    text, kind = ODD[name]
    values = ["0"] * 400
    values[150] = values[151] = text
    values[10] = ""
    line = {"fast": 151, "careful": 151, "csv": 152, "quotes": 152, "json": 152}[way]
    if way in ("csv", "quotes"):
        mark = '"' if way == "quotes" else ""
        data = "\n".join(["x,y", *(f"{i % 7},{mark}{value}{mark}" for i, value in enumerate(values))])
    else:
        data = "\n".join(json.dumps({"x": i % 7, "y": value}) for i, value in enumerate(values))
        data = f"[\n{data.replace('}', '},')[:-1]}\n]" if way == "json" else data
    _, found, _ = feed(data.encode(), coerce=way == "careful", exclude=("y",), **{name: "y"})
    (first,) = [each for each in found if f'y: {kind}: "{text}"; ' in each]
    assert first.startswith(f"file0:{line}: ")
    assert f"2 values: {kind} (first: file0:{line})" in found


def test_a_number_of_a_feature_that_cannot_be_read_is_named():
    data = lines(300, size=lambda i: "large" if i == 200 else i)
    _, found, _ = feed(data, time="t", derive=("rate:of=size",))
    assert 'file0:201: size: not a number: "large"' in found


def test_times_of_which_none_can_be_read_leave_nothing_to_judge():
    found = feed(lines(100, when="soon"), time="when", derive=("rate",))
    assert any("needs the time of each record, and none could be read" in each for each in found[1])
    assert found[2].code == 0
    assert feed(lines(100, when="soon"), time="when", on_error="fail")[2].code == 1


# -- nothing to judge ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "flags", "told"),
    [
        (b'{"ms":"20","s":"x"}', {}, "ms is a number written as text; --coerce reads such numbers"),
        (b'{"a":"20","b":"1.5"}', {}, "a, b are numbers written as text; --coerce"),
        (b'{"ms":"20"}', {"field": ("ms",)}, "ms is a number written as text; --coerce"),
        (b'{"rows":[{"x":1}]}', {}, "the array 'rows' looks like the records; --records-at rows reads them"),
        (b'{"a":{"rows":[{"x":1}]}}', {"input_format": "json"}, "--records-at a.rows reads them"),
        (b'{"v":[1,2]}', {}, "elements of lists are watched when they are named, such as --field 'v[0]'"),
        (b'{"id":5,"ts":7}', {}, "the only numbers, id, ts, are times or identifiers by their names; --field NAME"),
        (b"id,ts\n5,7\n", {}, "the only numbers, id, ts, are times or identifiers"),
        (b'{"x":5,"y":7}', {"exclude": ("x", "y")}, "all numbers are left out by --exclude: x, y"),
        (b'{"a":"b","t":null}', {}, "no field holds numbers; --categories a judges how rare texts are"),
        (b"a b,c\nx,y\n", {}, "--categories 'a b,c' judges"),
        (b"{}", {}, "they have no fields"),
        (b'{"a":true}', {}, "no field holds numbers"),
    ],
    ids=str,
)
def test_records_with_nothing_to_judge_say_what_helps(data, flags, told):
    (own,) = said(data, **flags)
    assert own.startswith("nothing to judge in 1 record: ")
    assert told in own
    assert [feed(data, on_error=how, **flags)[2].code for how in ("pass", "fail")] == [0, 1]


def test_there_may_be_something_to_judge_after_all():
    data = lines(2600, t=None).replace(b'"ms": ', b'"ms": null, "id": ')
    data += b"\n" + lines(50)
    first, *rest = said(data, field=("ms",), sizes=[5000])
    assert first.startswith("nothing to judge in the first 1,")
    assert rest == ["there is something to judge after all"]


@pytest.mark.parametrize("name", ["flatline", "gap"])
def test_a_limit_on_silence_is_something_to_judge_a_limit_on_no_field_is_not(name):
    flags = {"gap": "60s", "time": "ts"} if name == "gap" else {"flatline": "50"}
    data = b"\n".join(b'{"ts":%d,"s":"%d x"}' % (i, i) for i in range(1200))
    assert bool(said(data, **flags)) == (name != "gap")


RECIPES = {  # which records each of them knows
    "access": {"access.log"}, "traffic": {"access.log"}, "sshd": {"auth.log"}, "card": {"cards.jsonl"},
    "cloudtrail": set(), "flow": set(),
}  # fmt: skip


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", ["access.log", "auth.log", "cards.jsonl", "metrics.csv"])
def test_a_recipe_on_records_that_it_does_not_fit_says_so(recipe, name):
    flags = {} if name.endswith(".log") or recipe in ("card", "cloudtrail", "flow") else {"time": "time"}
    own = said(sample(name), recipe=recipe, **flags)
    if name in RECIPES[recipe]:
        assert own == []
        return
    (message,) = own
    assert message.startswith(f"--recipe {recipe}: nothing to judge in the first 1,")
    better = {"access.log": "access", "auth.log": "sshd"}.get(name)
    assert ("--recipe " + better if better else f"see 'clipdetect list {recipe}'") in message.partition(";")[2]


def test_every_recipe_is_tried_or_judges_any_records():
    from clipdetect.settings import recipes

    assert set(recipes()) - set(RECIPES) == {"latency", "metrics"}


def test_a_recipe_that_is_keyed_by_what_is_not_there_says_so():
    (own,) = said(sample("metrics.csv", 300), recipe="latency")
    assert own.startswith("--by: no record has the field 'caller', so all records share one model")


@pytest.mark.parametrize(
    ("data", "recipe"),
    [
        (b'[{"a":1}]', ""),
        (b'{"Records":[{"eventSource":"s3","eventName":"x"}]}', "cloudtrail"),
        (b'{"eventSource":"s3","eventName":"x"}', "cloudtrail"),
        (b'{"srcaddr":"10.0.0.1","dstaddr":"10.0.0.2","action":"ACCEPT"}', "flow"),
        (b"Mar  4 06:00:00 gate CRON[1]: x\nMar  4 06:00:01 gate sshd[1]: Connection closed by 192.0.2.1", "sshd"),
        (b"Mar  4 06:00:00 gate CRON[1]: x", ""),
        (b'192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 5', "access"),
    ],
    ids=str,
)
def test_a_recipe_is_advised_for_records_that_it_knows_only(data, recipe):
    for flags in ({}, {"input_format": "json"} if data[:1] in b"[{" else {}):
        hints = [each for each in feed(data, **flags)[1] if "--recipe" in each]
        assert [each.partition("--recipe ")[2].partition(" ")[0] for each in hints] == [recipe] * bool(recipe)


# -- too little ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["estimator", "threshold"])
def test_a_run_without_any_score_says_why_and_others_say_nothing(kind):
    for name in registry.names(kind):
        for n in (1, 20, 300):
            try:
                out, found, _ = feed(lines(n, t=None, label=lambda i: i % 2), label="label", **{kind: name})
            except Exception as error:
                assert "must" in str(error) or "needs" in str(error), name
                continue
            scored = any('"score":null' not in line for line in out.decode().splitlines())
            own = [each for each in found if any(mark in each for mark in REMARKS)]
            assert bool(own) == (not scored), (name, n, own)


def test_the_remedy_for_too_few_records_fits(tmp_path):
    state = str(tmp_path / "m.bin")
    (alone,) = said(lines(30))
    assert alone.startswith("30 records are too few for a score, which takes more than 40; --state FILE goes on ")
    assert "--backfill FILE learns from history first, --warmup 8 asks for fewer" in alone
    assert "--warmup" not in said(lines(5), warmup=8)[0]
    assert "the next run with this state goes on" in said(lines(30), state=state)[0]
    assert said(lines(30), state=state, freeze=True) == [
        "no score: the state is at 22 of 32 records of the warm-up; --freeze adds none"
    ]
    assert said(lines(30), state=state) == []
    (keyed,) = said(lines(60), by="host")
    assert keyed.startswith("too few records of each key for a score: of 3 keys the furthest is at ")
    assert said(lines(126), by="host") == []


# -- good streams -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("metrics.csv", {"label": "label", "time": "time"}),
        ("metrics.csv", {"episode": "1h", "time": "time", "exclude": ("cpu",), "recipe": "metrics"}),
        ("cards.jsonl", {"by": "card", "label": "label"}),
        ("cards.jsonl", {"recipe": "card", "label": "label"}),
        ("cards.jsonl", {"group": "place", "episode": "20", "categories": "place,merchant"}),
        ("logins.jsonl", {"by": "source", "label": "label", "time": "time"}),
        ("sensors.csv", {"by": "sensor", "field": ("temp*", "humidity")}),
        ("auth.log", {"recipe": "sshd"}),
        ("access.log", {"recipe": "access"}),
        ("access.log", {"recipe": "traffic"}),
        ("app.log", {}),
    ],
    ids=str,
)
def test_good_streams_are_told_nothing(name, flags):
    for n in (2400,) if "by" in flags else (1500, 200):
        assert said(sample(name, n), **flags) == []
