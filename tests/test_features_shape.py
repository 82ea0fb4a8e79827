"""Lines of one kind have one shape; the shape keeps what tells kinds apart."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipdetect.formats import shape as module
from clipdetect.formats.shape import shape


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("took 35 ms", "took <*> ms"),
        ("Failed password for root from 1.2.3.4 port 22 ssh2", "Failed password for <*> from <*> port <*>"),
        ("Invalid user bob from h.example.org port 9", "Invalid user <*> from <*> port <*>"),
        ("login by user bob for invalid user eve", "login by user <*> for invalid user <*>"),
        ("session opened for user cyrus by (uid=0)", "session opened for user <*> by (uid=<*>"),
        ("logname= uid=0 rhost=a.b.de  user=root", "logname=<*> uid=<*> rhost=<*> user=<*>"),
        ("logname=x uid=7 rhost=  user=", "logname=<*> uid=<*> rhost=<*> user=<*>"),
        ("connection from 1.2.3.4 (a.b.com) at Fri Jun 17 07:07:00 2005", "connection from <*> at <*>"),
        ("connection from 1.2.3.4 () at Mon Jul 2 07:07:00 2005", "connection from <*> at <*>"),
        ("open /etc/passwd: denied", "open <*> denied"),
        ("GET https://example.org/a failed", "GET <*> failed"),
        (r"loading C:\Windows\x.dll done", "loading <*> done"),
        ("user 'alice' not found, see \"help\".", "user <*> not found, see <*>"),
        ("MAC FF:F2:9F:16:E2:23 up", "MAC <*> up"),
        ("lr:00004ed0 cr:28244842", "lr:<*> cr:<*>"),
        ("threshold....0 depth.....3", "threshold....<*> depth.....<*>"),
        ("deleted blk_1 blk_2 blk_3", "deleted <*>"),
        ("  two   blanks\tand a tab ", "two blanks and a tab"),
        ("java.io.IOException: Broken pipe", "java.io.IOException: Broken pipe"),
        ("disk (read-only) and/or I/O", "disk (read-only) and/or I/O"),
        ("don't stop, it's fine", "don't stop, it's fine"),
        ("", ""),
    ],
)  # fmt: skip
def test_shapes(text, expected):
    assert shape(text) == expected


def test_numbers_do_not_matter_and_words_do():
    assert shape("took 35 ms") == shape("took 4 ms")
    assert shape("link up") != shape("link down")
    assert shape("status=1 ok") != shape("status=1 failed")


@given(st.text(max_size=60))
def test_a_shape_is_the_same_whatever_came_before(text):
    first = shape(text)
    module._start()
    assert shape(text) == first


@given(st.text(max_size=60), st.integers(0, 10**9), st.integers(0, 10**9))
def test_any_number_is_as_good_as_another(text, a, b):
    assert shape(f"{text} {a}") == shape(f"{text} {b}")


def test_words_that_are_remembered_are_bounded():
    for i in range(2 * module.MOST_WORDS):
        shape(f"word{i}")
    shape("x" * 10000)
    assert len(module._words) <= module.MOST_WORDS + 1
    assert max(map(len, module._words)) <= module.LONGEST


@pytest.mark.parametrize("piece", ["a.", "x=", "/a", "a:", '"', "'", "(", "[", "-", "for user ", "<*> ", "a"])
def test_a_long_line_costs_no_more_than_its_length(piece):
    line = piece * (200_000 // len(piece))
    start = time.process_time()
    shape(line)
    assert time.process_time() - start < 2.0  # some .01 s; a quadratic rule takes minutes
