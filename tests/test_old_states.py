"""A state that was saved by an earlier run, or release, goes on to the same bytes, or is refused in words."""

from __future__ import annotations

import re

import pytest
import states

from clipdetect.state import VERSION


@pytest.mark.parametrize("case", states.cases(), ids=lambda case: f"{case.parent.name}-{case.name}")
def test_a_saved_state_goes_on_or_is_refused_by_its_version(case):
    done, version = states.go_on(case), int(case.parent.name)
    if version == VERSION:
        assert (done.stderr, done.returncode) == (b"", 0)
        assert done.stdout == (case / "out").read_bytes()
    else:
        assert (done.stdout, done.returncode) == (b"", 1)
        assert done.stderr.startswith(b"clipdetect: state: ")
        assert f"version {version}".encode() in done.stderr


def test_there_are_states_of_this_version():
    """Where the version has moved: `python tests/states.py`."""
    assert [case.name for case in states.cases() if int(case.parent.name) == VERSION] == sorted(states.FLAGS)


def test_what_the_states_answer_is_worth_comparing():
    for case in states.cases():
        out = (case / "out").read_bytes()
        assert out.count(b"\n") == states.AFTER
        assert len(set(re.findall(rb'"score":[^,]+', out))) > 10
