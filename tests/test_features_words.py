"""What features say in words, and what they say to parameters that are wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
from naive.features import bound

from clipdetect import registry
from clipdetect.numerics import conditions
from clipdetect.numerics.durations import said, seconds, span
from clipdetect.numerics.hashing import category
from clipdetect.numerics.words import cut, matching, number, rough, times, whose

NONE = float("nan")


# -- durations --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("60s", 60), ("60", 60), (60, 60), (0.25, 0.25), ("500ms", 0.5), ("5m", 300), ("5min", 300), ("1h", 3600),
        ("1h30m", 5400), ("1h 30m", 5400), ("1.5h", 5400), ("1d", 86400), ("2w", 1209600), (" 10 S ", 10),
    ],
)  # fmt: skip
def test_durations_are_read(text, expected):
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "h", "5x", "-5s", "0", "0s", "1h30", "30 1h", "1,5h", "nan", math.nan, -1.0, 0, "1e5s"]
)
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match=r"^window must be a duration of at least 1ms such as 60s.*got "):
        seconds(text, "window")


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (60, "a minute"), (3600, "an hour"), (600, "10 minutes"), (86400, "a day"), (30, "30 s"), (90, "90 s"),
        (604800, "a week"), (172800, "2 days"), (0.5, "0.5 s"),
    ],
)  # fmt: skip
def test_windows_are_said(duration, text):
    assert said(duration) == text


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (0, "0 s"), (0.0025, "0.0025 s"), (3, "3 s"), (59.9, "1 min"), (312, "5 min 12 s"), (39600, "11 h"),
        (40000, "11 h 6 min"), (86400 * 3 + 7200, "3 d 2 h"), (86400 * 400, "400 d"),
    ],
)  # fmt: skip
def test_spans_are_said_in_two_units(duration, text):
    assert span(duration) == text


# -- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1203444, "1,203,444"),
        (0.2, "0.2"),
        (14.0, "14"),
        (-5.25, "-5.25"),
        (1e300, "1e+300"),
        (0.0, "0"),
        (NONE, "none"),
    ],
)
def test_numbers_are_said(value, text):
    assert number(value) == text


def test_rough_numbers_have_two_digits():
    assert [rough(x) for x in (4987.0, 13.6, 0.1999, 0.0, -230.4)] == ["5,000", "14", "0.2", "0", "-230"]


def test_times_are_said_both_ways_and_only_where_they_say_something():
    assert times(1200.0, 5.0) == " (240 times)"
    assert times(5.0, 60.0) == " (12 times less)"
    assert [times(5.0, 4.0), times(-5.0, 1.0), times(5.0, 0.0), times(1e308, 1e-300)] == ["", "", "", ""]


def test_texts_are_cut_to_one_line():
    assert cut("a\n b\tc") == "a b c"
    assert len(cut("x" * 500)) == 80 and cut("x" * 500).endswith("...")


@pytest.mark.parametrize(
    ("per", "text"),
    [
        ("remote_addr", " from v"), ("client", " from v"), ("src.ip", " from v"), ("sourceIPAddress", " from v"),
        ("host", " from v"), ("user", " for v"), ("card", " for v"), ("recipient", " for v"), ("", ""),
    ],
)  # fmt: skip
def test_an_address_is_from_and_others_are_for(per, text):
    assert whose(per, {"per": "v"}) == text
    assert whose(per, {}) == ""


def test_patterns_match_columns_and_names_stand_for_themselves():
    assert matching("b*", ["a", "b1", "b2"]) == ["b1", "b2"]
    assert matching("v[0]", []) == ["v[0]"]
    assert matching("v[?]", ["v[0]", "v0"]) == ["v[0]"]


# -- what each feature says -------------------------------------------------------------------


def log1p(x):
    return math.log1p(x)


@pytest.mark.parametrize(
    ("spec", "value", "expected", "texts", "text"),
    [
        ("log:field=bytes", log1p(1203444), log1p(5010), {}, "bytes 1,203,444, usually 5,000 (240 times)"),
        ("log:field=bytes,unit=10", log1p(3), NONE, {}, "bytes 30"),
        ("diff:field=temp", 3.5, -0.1, {}, "temp +3.5 since the last record, usually -0.1"),
        (
            {"diff": {"field": "bytes", "per_second": True, "counter": True, "per": "host"}},
            1200.0, 400.0, {"per": "web-1"}, "bytes 1,200 a second from web-1, usually 400 (3 times)",
        ),
        (
            {"rate": {"per": "remote_addr", "name": "failed logins", "where": "failed", "log": True}},
            log1p(14), log1p(0.2), {"per": "10.0.0.9"},
            "14 failed logins a minute from 10.0.0.9, usually 0.2 (70 times)",
        ),
        ("rate:window=10m,log=yes,where=status>=400", log1p(5), NONE, {}, "5 records with status>=400 in 10 minutes"),
        ("rate:of=bytes,log=no", 5e6, 1e6, {}, "5,000,000 bytes a minute, usually 1,000,000 (5 times)"),
        (
            "distinct:field=path,log=yes,per=remote_addr", log1p(57.3), log1p(3.02), {"per": "1.2.3.4"},
            "57 different path in a minute from 1.2.3.4, usually 3 (19 times)",
        ),
        ("interval:per=card", log1p(3), log1p(39600), {"per": "c-12"}, "3 s since the last of c-12, usually 11 h"),
        ("interval", log1p(3), NONE, {}, "3 s since the last record"),
        ("hour", 3.2, 14.0 + 5 / 60, {}, "at 03:12, usually 14:05"),
        ("hour", -0.5, 24.2, {}, "at 23:30, usually 00:12"),
        ("hour:weekly=true", -21.0, 38.0, {}, "at Sunday 03:00, usually Tuesday 14:00"),
        (
            "rare:field=status+method", math.log10(4000), 0.1, {"status": "500", "method": "POST"},
            "status 500 with method POST: 1 in 4,000",
        ),
        (
            "rare:field=call,given=user", 3.0, 0.1, {"call": "Delete", "user": "alice"},
            "call Delete for user alice: 1 in 1,000",
        ),
        ("template", 2.0, 0.1, {"shape(message)": "no <*> left"}, "message like 'no <*> left': 1 in 100"),
        ("gap:limit=60s", 312.0, NONE, {}, "no record for 5 min 12 s (limit 1 min)"),
        ("gap:limit=60s,per=host", 61.0, NONE, {"per": "h1"}, "no record from h1 for 1 min 1 s (limit 1 min)"),
        ("flatline:field=t", 100.0, NONE, {"t": "21.5"}, "t unchanged at 21.5 for 100 records"),
    ],
)  # fmt: skip
def test_features_say(spec, value, expected, texts, text):
    assert bound(spec).say(0, value, expected, texts) == text


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("log:field=bytes", "log(bytes)"), ("diff:field=bytes", "diff(bytes)"), ("rate", "rate"),
        ("rate:of=bytes", "rate(bytes)"), ("rate:where=status>=400", "rate(status>=400)"),
        ("rate:of=bytes,where=failed", "rate(bytes where failed)"), ("distinct:field=path", "distinct(path)"),
        ("rare:field=method + status", "rare(method+status)"), ("rare:field=call,given=user", "rare(call|user)"),
        ("interval", "interval"), ("hour", "hour"), ("template", "template"), ("template:field=m", "template(m)"),
        ("gap", "gap"), ("flatline:field=t", "flatline(t)"), ("rate:name=logins", "logins"),
        ("log:field=a,name=size", "size"),
    ],
)  # fmt: skip
def test_columns_are_named_after_their_parameters(spec, name):
    assert bound(spec).names() == [name]


@pytest.mark.parametrize(
    ("spec", "value", "shown"),
    [
        ("log:field=a,unit=0.1", -math.log1p(50), -5.0), ("diff:field=a", -5.0, -5.0),
        ("rate:log=yes", math.log1p(14), 14.0),
        ("rate:log=no", 14.0, 14.0), ("distinct:log=yes", math.log1p(3), 3.0),
        ("interval:unit=1m", math.log1p(2), 120.0),
        ("interval", -0.5, 0.0), ("hour", -0.5, 23.5), ("hour:weekly=true", 170.0, 2.0), ("rare", 2.0, 2.0),
    ],
)  # fmt: skip
def test_values_are_shown_in_their_own_unit(spec, value, shown):
    feature = bound(spec)
    assert feature.shown(0, value) == pytest.approx(shown)
    assert math.isnan(feature.shown(0, NONE))


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ("log", ["*"]), ("log:field=a", []), ("log:field=a,keep=true", ["a"]), ("diff:field=n*", ["n*"]),
        ("flatline:field=t*", ["t*"]), ("flatline:field=t", []), ("rate", []), ("rare", []),
    ],
)  # fmt: skip
def test_patterns_and_what_is_kept_are_watched(spec, fields):
    assert bound(spec).watches() == fields


# -- parameters that are wrong ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("log:unit=0", "unit must be > 0, got 0"),
        ("rate:window=soon", "window must be a duration"),
        ("rate:shape=square", "must be one of decay, window, got 'square'"),
        ("rate:where=>=400", "needs the name of a field before '>='"),
        ("rate:where=status>=", "needs a value after '>='"),
        ("rate:where=status>=many", "needs a number after '>=', got 'many'"),
        ("distinct:buckets=3", "buckets must be at least 16, got 3"),
        ("distinct:field=a++b", "field must name one field, or several different ones"),
        ("interval:unit=0s", "unit must be a duration"),
        ("hour:offset=99", "offset must be between -24 and 24 hours, got 99"),
        ("rare:field=a+a", "several different ones as A.B, got 'a.a'"),
        ("rare:field=a,given=a", "given must be another field than 'a'"),
        ("rare:half_life=-1", "half_life must be >= 0, got -1"),
        ("rare:buckets=100", "buckets must be a multiple of 8, at least 64, got 100"),
        ("template:buckets=8", "buckets must be a multiple of 8, at least 64, got 8"),
        ("gap:limit=-1", "limit must be a duration"),
        ("flatline:length=1", "length must be at least 2 records, got 1"),
    ],
)
def test_a_wrong_parameter_is_named(spec, message):
    with pytest.raises(registry.SpecError, match=message) as caught:
        registry.build("feature", spec)
    assert caught.value.path[-1] in spec


@pytest.mark.parametrize("text", ["a=b=c", "a==b=c"])
def test_the_first_comparison_counts(text):
    condition = conditions.parse(text)
    assert condition.field == "a" and category("b=c") in condition.categories


def test_a_record_without_the_field_meets_no_condition():
    missing = {"category": np.array([-1]), "number": np.array([NONE])}
    for text in ("a", "a=b", "a!=b", "a<3", "a<=3", "a>3", "a>=3"):
        condition = conditions.parse(text)
        assert not condition.met(missing[condition.kind]).any()
