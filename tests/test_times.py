"""Times in every form, and the year that is not written."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipdetect.formats import times, values
from clipdetect.formats.times import Clock


def at(*parts: int) -> float:
    """Epoch seconds of year, month, day, ... in UTC."""
    return datetime(*parts, tzinfo=UTC).timestamp()


FORMS = [
    ("1700000000", 1700000000.0),
    ("1700000000.25", 1700000000.25),
    ("1700000000123", 1700000000.123),
    ("1700000000123456", 1700000000.123456),
    ("1700000000123456789", 1700000000.1234567),
    ("2015-10-18 18:01:47,978", at(2015, 10, 18, 18, 1, 47, 978000)),
    ("2015-10-18T18:01:47.5", at(2015, 10, 18, 18, 1, 47, 500000)),
    ("2015-10-18T18:01:47.123456789Z", at(2015, 10, 18, 18, 1, 47, 123457)),
    ("2015-10-18T18:01:47.97800000000000000000000001Z", at(2015, 10, 18, 18, 1, 47, 978000)),
    ("2015-10-18t18:01:47z", at(2015, 10, 18, 18, 1, 47)),
    ("2015-10-18T18:01:47+02:00", at(2015, 10, 18, 16, 1, 47)),
    ("2015-10-18 18:01:47 -0530", at(2015, 10, 18, 23, 31, 47)),
    ("2015-10-18T18:01:47+02", at(2015, 10, 18, 16, 1, 47)),
    ("2015-10-18 18:01:47.978 UTC", at(2015, 10, 18, 18, 1, 47, 978000)),
    ("2015-10-18 18:01:47 GMT", at(2015, 10, 18, 18, 1, 47)),
    ("2015-10-18 18:01:47 EDT", at(2015, 10, 18, 22, 1, 47)),
    ("2015-10-18 18:01", at(2015, 10, 18, 18, 1)),
    ("2015-10-18", at(2015, 10, 18)),
    ("20151018T180147Z", at(2015, 10, 18, 18, 1, 47)),
    ("17/May/2015:10:05:03 +0000", at(2015, 5, 17, 10, 5, 3)),
    ("17/May/2015:10:05:03 +0300", at(2015, 5, 17, 7, 5, 3)),
    ("10/Jul/2023 10:05:03", at(2023, 7, 10, 10, 5, 3)),
    ("01-Jan-2023 10:05:03.5", at(2023, 1, 1, 10, 5, 3, 500000)),
    ("Mon, 02 Jan 2006 15:04:05 GMT", at(2006, 1, 2, 15, 4, 5)),
    ("Sun Dec 04 04:47:44 2005", at(2005, 12, 4, 4, 47, 44)),
    ("Fri Sep  9 10:42:29.902022 2011", at(2011, 9, 9, 10, 42, 29, 902022)),
    ("Jan 01, 2023 10:05:03 PM", at(2023, 1, 1, 22, 5, 3)),
    ("Jan 01, 2023 12:05:03 AM", at(2023, 1, 1, 0, 5, 3)),
    ("081109 203615", at(2008, 11, 9, 20, 36, 15)),
    ("081109  8:36:15", at(2008, 11, 9, 8, 36, 15)),
    ("990109 203615", at(1999, 1, 9, 20, 36, 15)),
    ("2005-06-03-15.42.50.675872", at(2005, 6, 3, 15, 42, 50, 675872)),
    ("17/06/09 20:10:40", at(2017, 6, 9, 20, 10, 40)),
    ("2025/03/04 05:06:07", at(2025, 3, 4, 5, 6, 7)),
    ("2016/9/28:16:00:46.635", at(2016, 9, 28, 16, 0, 46, 635000)),
    ("20171223-22:15:29:606", at(2017, 12, 23, 22, 15, 29, 606000)),
    ("20171223-22:15:29:6", at(2017, 12, 23, 22, 15, 29, 6000)),
    ("Dec 10 06:55:46", at(2000, 12, 10, 6, 55, 46)),
    ("Dec  1 06:55:46", at(2000, 12, 1, 6, 55, 46)),
    ("Dec 1 06:55:46.25", at(2000, 12, 1, 6, 55, 46, 250000)),
    ("Feb 29 00:00:00", at(2000, 2, 29)),
    ("03-17 16:13:38.811", at(2000, 3, 17, 16, 13, 38, 811000)),
    ("10.30 16:49:06", at(2000, 10, 30, 16, 49, 6)),
    ("I0704 12:34:56.789012", at(2000, 7, 4, 12, 34, 56, 789012)),
    ("10:00:00.5", at(2000, 1, 1, 10, 0, 0, 500000)),
    ("2016-12-31T23:59:60Z", at(2017, 1, 1)),
    ("2016-12-31T24:00:00Z", at(2017, 1, 1)),
]
NONE = [
    "", "garbage", "2023-02-30 10:00:00", "2023-02-29 10:00:00", "2023-13-01 10:00:00", "2023-00-01 10:00:00",
    "2023-01-01 25:00:00", "2023-01-01 24:00:01", "2023-01-01 10:60:00", "2023-01-01 10:00:61", "0000-01-01 00:00:00",
    "Feb 30 10:00:00", "Foo 10 10:00:00", "32/Jan/2023:10:00:00 +0000", "13:00:00 PM", "²", "ſep 10 10:00:00",
    "1e999", "nan", "inf", "-", "9" * 400, "2023-01-01 10:00:00 FOO", "2023-01-01T10:00:00+99:99:99x",
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), FORMS)
def test_form_is_read(text, expected):
    assert Clock({}).seconds(text) == pytest.approx(expected, abs=1e-6)  # a double at 1.7e9 resolves 2e-7
    assert values.seconds(text) == pytest.approx(expected, abs=1e-6)
    assert values.seconds(f" {text} ") == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_time_is_nan(text):
    assert math.isnan(Clock({}).seconds(text))
    assert math.isnan(values.seconds(text))


def test_a_number_is_read_by_its_size():
    assert values.seconds(1.7e9) == values.seconds(1.7e12) == values.seconds(1.7e15) == 1.7e9
    assert values.seconds(1.7e18) == pytest.approx(1.7e9)
    assert values.seconds(-5) == -5.0
    assert all(math.isnan(values.seconds(value)) for value in (None, True, [], math.nan, math.inf))


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)), st.sampled_from([" ", "T"]), st.sampled_from(".,"))
def test_iso_agrees_with_the_library(moment, between, mark):
    text = moment.strftime(f"%Y-%m-%d{between}%H:%M:%S{mark}%f").zfill(26)
    clock = Clock({})
    expected = moment.replace(tzinfo=UTC).timestamp()
    assert clock.seconds(text) == pytest.approx(expected, rel=1e-15, abs=1e-6)
    assert clock.seconds(text) == clock.seconds(text) == Clock({}).seconds(text)


@given(st.text(alphabet="0123456789:-/ .,TZ+JanDecSunIWpm[", max_size=30))
def test_no_text_stops_the_clock(text):
    memory: dict = {}
    clock = Clock(memory)
    assert isinstance(clock.seconds(text), float)
    assert isinstance(times.seconds(text), float)
    assert json.loads(json.dumps(memory)) == memory


# -- the year ---------------------------------------------------------------------------------


def resolved(texts, memory=None):
    clock = Clock({} if memory is None else memory)
    return [datetime.fromtimestamp(clock.seconds(text), UTC).strftime("%Y-%m-%d") for text in texts]


def test_year_goes_up_where_the_time_steps_back_by_more_than_half_a_year():
    texts = [
        "Jul 10 00:00:00",
        "Dec 31 23:59:59",
        "Jan  1 00:00:01",
        "Jul  1 00:00:00",
        "Dec 31 00:00:00",
        "Jan 2 00:00:00",
    ]
    assert resolved(texts) == ["2000-07-10", "2000-12-31", "2001-01-01", "2001-07-01", "2001-12-31", "2002-01-02"]


def test_records_out_of_order_over_the_turn_keep_their_year():
    texts = ["Dec 31 23:59:59", "Jan  1 00:00:01", "Dec 31 23:59:58", "Jan  1 00:00:02", "Jan  1 00:00:03"]
    assert resolved(texts) == ["2000-12-31", "2001-01-01", "2000-12-31", "2001-01-01", "2001-01-01"]


def test_a_step_back_of_less_than_half_a_year_is_none_of_the_year():
    assert resolved(["Dec 10 00:00:00", "Jun 20 00:00:00", "Dec 10 00:00:00"]) == [
        "2000-12-10",
        "2000-06-20",
        "2000-12-10",
    ]


def test_29_february_of_a_common_year_is_the_day_after_the_28th():
    assert resolved(["Dec 31 00:00:00", "Feb 28 00:00:00", "Feb 29 00:00:00"])[1:] == ["2001-02-28", "2001-03-01"]


def test_memory_goes_on_in_another_clock():
    texts = ["Nov  1 00:00:00", "Jan  3 00:00:00", "Nov  2 00:00:00", "Jan  1 00:00:00", "Dec 31 00:00:00"] * 3
    memory: dict = {}
    parts = []
    for text in texts:
        memory = json.loads(json.dumps(memory))
        parts += resolved([text], memory)
    assert parts == resolved(texts)


def test_a_time_of_day_goes_over_midnight_and_back():
    clock = Clock({})
    start = clock.seconds("23:59:59.5")
    steps = [clock.seconds(text) - start for text in ("00:00:00.5", "23:59:59.75", "12:00:00", "13:00:00")]
    assert steps == [1.0, 0.25, -43199.5, -39599.5]


def test_texts_remembered_are_bounded():
    clock = Clock({})
    for i in range(3 * times.MOST_TEXTS // 2):
        clock.seconds(f"17/May/2015:{i // 3600 % 24:02}:{i // 60 % 60:02}:{i % 60:02} +0000")
    assert len(clock._known) <= times.MOST_TEXTS
