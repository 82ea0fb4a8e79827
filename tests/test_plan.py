"""Which model a run gets, and why: the table of `plan`, what the first records show, and what is said of it."""

from __future__ import annotations

import math

import pytest

from clipdetect import registry
from clipdetect.clocks import holds_times, is_clock, may_count, rises_evenly
from clipdetect.config import load, to_yaml
from clipdetect.formats.logfmt import Logfmt
from clipdetect.formats.select import Selection, measures
from clipdetect.plan import FIRST, Asked, Brought, First, Plan, look, name_of, plan

NAN = math.nan
FEW = First(records=3, measures=1)
ONE, TWO = First(records=FIRST, measures=1), First(records=1, measures=2)
TEXTS = First(records=1, texts=True)
OPEN = "the first records tell: horizons for several fields, or texts; level for one"


def planned(flags: dict, format: str | None = "jsonl", first: First = First()) -> Plan:  # noqa: B008
    made = None if format is None else registry.get("format", format)
    return plan(load(flags, None, {}).config.asked(), made, first)


@pytest.mark.parametrize(
    ("flags", "format", "first", "estimator", "threshold", "why"),
    [
        # one is asked for
        ({"estimator": "zscore"}, "jsonl", TWO, "zscore", "tail", "asked for"),
        ({"estimator": "level"}, "jsonl", TWO, "level", "tail", "asked for"),
        ({"estimator": "evidence"}, "jsonl", ONE, "evidence", "counted", "asked for"),
        ({"estimator": "evidence", "threshold": "spot"}, "jsonl", ONE, "evidence", "spot", "asked for"),
        ({"threshold": "spot"}, "jsonl", TWO, "horizons", "spot", "records have several numbers"),
        # nothing but columns of which only large values are strange
        ({}, "access", First(), "evidence", "counted", "only large values of its columns are strange"),
        ({}, "syslog", TWO, "evidence", "counted", "only large values of its columns are strange"),
        ({"derive": ["rate"], "gap": "9s"}, "jsonl", TWO, "evidence", "counted", "only large values of its columns"),
        ({"derive": ["rate"], "by": "h"}, "csv", TWO, "evidence", "counted", "only large values of its columns"),
        ({"derive": ["rate"], "field": ["x"]}, "csv", TWO, "level", "tail", "columns are derived from the fields"),
        # columns of other sorts
        ({"derive": ["log:field=x"]}, "jsonl", TWO, "level", "tail", "columns are derived from the fields"),
        ({"derive": ["log:field=x", "rate"]}, "csv", TWO, "level", "tail", "columns are derived from the fields"),
        # keys
        ({"by": "h"}, "jsonl", TWO, "level", "tail", "each key has a model of its own"),
        ({"by": "h", "field": ["x", "y"]}, "csv", First(), "level", "tail", "each key has a model of its own"),
        # fields by name
        ({"field": ["x"]}, "jsonl", First(), "level", "tail", "one field is named"),
        ({"field": ["x", "y"]}, "csv", First(), "horizons", "tail", "2 fields are named"),
        ({"field": ["x"], "categories": "s"}, "csv", TEXTS, "level", "tail", "one field is named"),
        # what the first records show
        ({}, "jsonl", TWO, "horizons", "tail", "records have several numbers"),
        ({"field": ["x*"]}, "csv", TWO, "horizons", "tail", "records have several numbers"),
        ({"gap": "9s", "flatline": 9}, "csv", TWO, "horizons", "tail", "records have several numbers"),
        ({"categories": "s,t"}, "csv", TWO, "horizons", "tail", "records have several numbers"),
        ({}, "jsonl", TEXTS, "horizons", "tail", "records have texts that repeat"),
        ({}, "csv", First(1, 1, True), "horizons", "tail", "records have texts that repeat"),
        ({"categories": "s"}, "csv", TEXTS, "level", "tail", OPEN),
        ({"categories": "s"}, "csv", First(FIRST, 1, True), "level", "tail", "records have one number"),
        ({"categories": "s"}, "csv", First(FIRST, 0, True), "horizons", "tail", "records have no number"),
        ({"derive": ["rare:field=s"], "field": ["*"]}, "csv", First(FIRST), "horizons", "tail", "records have no"),
        ({}, "jsonl", ONE, "level", "tail", "records have one number"),
        ({}, "plain", ONE, "level", "tail", "records have one number"),
        ({"field": ["x*"]}, "csv", ONE, "level", "tail", "records have one number"),
        ({}, None, First(), "level", "tail", OPEN),
        ({}, "csv", FEW, "level", "tail", OPEN),
    ],
)
def test_the_table_of_estimators(flags, format, first, estimator, threshold, why):
    made = planned(flags, format, first)
    assert (name_of("estimator", made.estimator), name_of("threshold", made.threshold)) == (estimator, threshold)
    assert made.why.estimator.startswith(why)


@pytest.mark.parametrize(
    ("flags", "format", "first", "features", "fields", "every", "texts"),
    [
        ({}, "csv", First(), ["categories"], (), True, ("auto",)),
        ({}, "csv", FEW, ["categories"], (), True, ("auto",)),
        ({}, "csv", TWO, ["categories"], (), True, ("auto",)),
        ({}, "csv", ONE, [], (), True, ()),
        ({}, "plain", TWO, [], (), True, ()),
        ({"estimator": "fields"}, "csv", ONE, ["categories"], (), True, ("auto",)),  # it knows rarities
        ({"estimator": "horizons"}, "csv", ONE, ["categories"], (), True, ("auto",)),
        ({"estimator": "horizons:slow=level"}, "csv", ONE, [], (), True, ()),
        ({"estimator": "level"}, "csv", TWO, [], (), True, ()),
        ({"categories": "none"}, "csv", TWO, [], (), True, ()),
        ({"categories": "s"}, "csv", TWO, ["categories"], (), True, ("s",)),
        ({"by": "h"}, "csv", TWO, [], (), True, ()),
        ({"field": ["x", "y*"]}, "csv", TWO, [], ("x", "y*"), False, ()),
        ({"gap": "9s", "flatline": 9}, "csv", TWO, ["gap", "flatline", "categories"], (), True, ("auto",)),
        ({"derive": ["rate"]}, "csv", TWO, ["rate"], (), False, ()),
        ({"derive": ["log:field=x,keep=yes"]}, "csv", TWO, ["log"], ("x",), False, ()),
        ({"derive": ["log"]}, "csv", TWO, ["log"], (), True, ()),
        ({"recipe": "metrics"}, "csv", TWO, ["flatline"], (), True, ()),
        ({}, "syslog", TWO, ["template", "rare", "rate", "interval"], (), False, ()),
        ({}, "logfmt", TWO, ["template", "rare", "rate", "interval"], (), True, ()),
        ({"field": ["ms"]}, "syslog", TWO, [], ("ms",), False, ()),
    ],
)
def test_the_table_of_what_is_watched(flags, format, first, features, fields, every, texts):
    made = planned(flags, format, first)
    assert [name_of("feature", each) for each in made.features] == features
    assert (made.fields, made.every, ("auto",) if made.finds else made.texts) == (fields, every, texts)


@pytest.mark.parametrize(
    ("flags", "first", "open"),
    [
        ({}, First(), True),
        ({}, FEW, True),
        ({}, ONE, False),
        ({}, TWO, False),
        ({}, TEXTS, False),
        ({}, First(1, 2, unsure=("t",)), True),  # `t` may be a clock
        ({}, First(FIRST, 2, unsure=("t",)), False),
        ({"field": ["x", "t"]}, First(), False),
        ({"by": "h"}, First(), False),
        ({"derive": ["rate"]}, First(), False),
        ({"estimator": "zscore"}, First(), True),
        ({"estimator": "zscore"}, First(records=1, measures=1), False),
        ({"estimator": "zscore"}, First(records=1, measures=1, unsure=("t",)), True),
    ],
)
def test_the_plan_is_open_as_long_as_more_records_may_change_it(flags, first, open):
    assert planned(flags, "csv", first).open is open


@pytest.mark.parametrize("flags", [{}, {"estimator": "zscore"}, {"gap": "1s"}, {"field": ["x*"]}])
@pytest.mark.parametrize("rising", [(), ("t",)])
def test_no_plan_stays_open_beyond_the_first_records(flags, rising):
    for measured in range(3):
        for texts in (False, True):
            assert not planned(flags, "csv", First(FIRST, measured, texts, rising=rising)).open


@pytest.mark.parametrize(
    "flags", [{}, {"estimator": "zscore"}, {"gap": "1s"}, {"field": ["x*"]}, {"categories": "s"}, {"patience": 50}]
)
@pytest.mark.parametrize("clock", [{}, {"rising": ("t",)}, {"unsure": ("t",)}, {"clocks": ("t",), "unsure": ("tick",)}])
def test_an_open_plan_is_that_of_no_records(flags, clock):
    """So a state that was saved meanwhile has the components that a fresh run begins with."""
    fresh = planned(flags, "csv")
    for records in range(FIRST):
        for measured in range(3):
            made = planned(flags, "csv", First(records, measured, **clock))
            assert made == fresh or not made.open


@pytest.mark.parametrize(
    ("first", "clocks", "estimator"),
    [
        (First(FIRST, 1, rising=("t",)), ("t",), "level"),
        (First(FIRST, 2, rising=("t",)), ("t",), "horizons"),
        (First(FIRST, 0, True, rising=("t",)), ("t",), "horizons"),
        (First(FIRST, 0, rising=("t",)), (), "level"),  # nothing else is there
        (First(FIRST, 1, unsure=("t",)), (), "horizons"),  # too few values
        (First(1, 2, clocks=("t",)), ("t",), "horizons"),
    ],
)
def test_what_rises_evenly_is_a_clock_where_there_is_something_else(first, clocks, estimator):
    made = planned({}, "csv", first)
    assert (made.clocks, name_of("estimator", made.estimator)) == (clocks, estimator)


def test_a_field_that_is_named_or_keyed_is_no_clock():
    rising = First(FIRST, 1, rising=("t",))
    assert planned({"field": ["t*", "x"]}, "csv", rising).clocks == ()
    assert planned({"by": "h"}, "csv", rising).clocks == ()


def test_patience_is_that_of_the_slow_half():
    made = planned({"patience": 50}, "csv", TWO)
    assert registry.spelled(registry.build("estimator", made.estimator))["horizons"]["slow"]["fields"]["patience"] == 50
    assert planned({"patience": 50}, "csv", ONE).estimator.params == {"patience": 50}


def test_a_saved_run_goes_on_with_what_its_format_brought():
    asked = Asked(brought=Brought(("rate:window=60s",), False, False))
    assert plan(asked, registry.get("format", "csv"), TWO).features == ("rate:window=60s",)


def test_instances_are_as_good_as_names():
    from clipdetect.estimators.evidence import Evidence
    from clipdetect.features.log import Log
    from clipdetect.features.rate import Rate

    assert name_of("threshold", plan(Asked(estimator=Evidence())).threshold) == "counted"
    assert name_of("estimator", plan(Asked(features=(Rate(),))).estimator) == "evidence"
    assert not plan(Asked(features=(Log(field="x"),))).open


# -- what the first records show --------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "rows", "first"),
    [
        (["x"], [], First()),
        (["x"], [[NAN]], First(1)),
        (["x", "y"], [[1.0, NAN]], First(1, 1)),
        (["x", "y"], [[1.0, NAN], [NAN, 2.0]], First(2, 2)),
        (["t", "x"], [[0.0, 5.0]], First(1, 1, unsure=("t",))),
        (["t", "x"], [[0.0, 5.0], [1.0, 5.0], [2.1, 5.0]], First(3, 1, unsure=("t",))),
        (["t", "x"], [[0.0, 5.0], [1.0, 5.0], [2.1, 5.0], [3.0, 5.0]], First(4, 1, rising=("t",))),
        (["t", "x"], [[0.0, 5.0], [1.0, 5.0], [NAN, 5.0], [3.0, 5.0]], First(4, 1, unsure=("t",))),
        (["t", "x"], [[21.5, 5.0], [21.4, 5.0]], First(2, 2)),
        (["t", "x"], [[21.5, 5.0], [21.5, 5.0]], First(2, 2)),
        (["t", "x"], [[0.0, 5.0], [1.0, 5.0], [9.0, 5.0]], First(3, 2)),
        (["t", "x"], [[0.0, 5.0], [1.7e9, 5.0]], First(2, 1, clocks=("t",))),
        (["x"], [[1.7e9]], First(1, 1)),
    ],
)
def test_what_records_show(names, rows, first):
    assert look(names, rows) == first


def test_what_was_shown_survives_a_state_file():
    first = First(3, 2, True, False, ("t",), ("tick",), ())
    assert First.load(first.dump()) == first


# -- clocks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["time", "TS", "a.b.timestamp", "@timestamp", "date", "datetime", "epoch", "seen_at"])
def test_names_that_are_a_clock_whatever_the_values(name):
    assert is_clock(name) and not measures(name)


@pytest.mark.parametrize("name", ["t", "value", "runtime", "seat", "timer", "ticket", "cpu_time", "a.t", "start"])
def test_names_that_may_be_a_measure(name):
    assert not is_clock(name) and measures(name)


@pytest.mark.parametrize(
    "name", ["t", "a.T", "unix_ms", "epoch_time", "event_ts", "eventTime", "createdAt", "start", "last_seen", "t_ms"]
)
@pytest.mark.parametrize("value", [1.7e9, 1.7e12, 1.7e15, 1.7e18, 7e8])
def test_names_that_are_a_clock_where_the_values_are_times(name, value):
    assert holds_times(name, value)
    assert not any(holds_times(name, other) for other in (0.0, 21.5, -1.7e9, 9e9, 1e11, math.inf))


@pytest.mark.parametrize("name", ["value", "x", "bytes", "total", "seat", "at.x", "time_left", ""])
def test_values_alone_make_no_clock(name):
    assert not holds_times(name, 1.7e9)


@pytest.mark.parametrize(("name", "may"), [("t", True), ("T", True), ("r.t", True), ("tick", True), ("elapsed_s", True),
    ("time_ms", True), ("time", False), ("uptime", False), ("temperature", False), ("", False)])  # fmt: skip
def test_names_of_clocks_that_count(name, may):
    assert may_count(name) is may


@pytest.mark.parametrize(
    ("values", "even"),
    [([], True), ([5.0], True), ([0.0, 1.0, 2.0], True), ([0.0, 0.9, 2.1, 3.0], True), ([0.0, 1.0, 3.1], False),
     ([1.0, 1.0], False), ([2.0, 1.0], False), ([0.0, 1.0, 0.5], False)],
)  # fmt: skip
def test_what_rises_evenly(values, even):
    assert rises_evenly(values) is even


def test_the_time_of_logfmt_is_a_clock_everywhere():
    assert Logfmt.time_fields[:5] == ("time", "ts", "timestamp", "@timestamp", "datetime")
    assert all(is_clock(name) or may_count(name) for name in Logfmt.time_fields)


def test_a_clock_by_name_and_value_opens_no_column_and_stays_so():
    selection = Selection((), (), 256, ())
    selection.number("t", 1.7e9)
    selection.number("start", 5.0)
    assert (selection.columns, selection.clocks) == (["start"], {"t"})
    other = Selection((), (), 256, ())
    other.restore(selection.snapshot())
    other.number("t", 21.5)
    assert other.columns == ["start"]


def test_a_named_field_is_watched_whatever_it_is_called():
    selection = Selection(("t*",), (), 256, ())
    selection.number("t", 1.7e9)
    assert selection.columns == ["t"]


# -- what is said -----------------------------------------------------------------------------


def test_a_plan_in_one_line():
    made = planned({}, "csv", First(FIRST, 2, rising=("t",)))
    told = "judged as several fields by horizons, tail: cpu, ms (records have several numbers)"
    assert made.told(["t", "cpu", "ms"]) == told
    assert planned({"estimator": "zscore"}, "csv", ONE).told([]) == "judged by zscore, tail: no field yet (asked for)"


def test_the_configuration_ends_with_the_plan():
    lines = to_yaml(load({}, None, {})).splitlines()
    assert lines[lines.index("# The plan, before any record:") + 1 :] == [
        f"#   estimator  {OPEN}",
        "#   threshold  tail (the default)",
        "#   features   those of the format, where it is a log",
        "#   fields     every numeric field but times, identifiers and labels",
        "#   texts      those that repeat, beside several fields",
    ]
    assert "estimator: null  # default: as below" in lines and "threshold: null  # default: tail" in lines
    lines = to_yaml(load({"input_format": "access"}, None, {})).splitlines()
    assert lines[-5:-2] == [
        "#   estimator  evidence (only large values of its columns are strange)",
        "#   threshold  counted (goes with evidence)",
        "#   features   rare, rate, rate, rate (what the format brings)",
    ]
