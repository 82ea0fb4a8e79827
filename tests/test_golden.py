"""The command line gives what `golden/` holds; `make golden` rewrites it, and the difference is reviewed like code."""

from __future__ import annotations

import golden
import pytest


@pytest.mark.parametrize("name", golden.names())
def test_the_command_gives_what_it_gave(name):
    actual, expected = golden.given(name), golden.kept(name)
    for answer in ("err", "code", "out"):
        assert actual[answer].decode("utf-8", "surrogateescape") == expected[answer].decode(
            "utf-8", "surrogateescape"
        ), answer


def test_there_are_cases():
    assert len(golden.names()) >= 25
