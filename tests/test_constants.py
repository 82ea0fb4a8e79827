"""A constant's first move, its next ones in the unit of that, and what moves far more than it ever did."""

from __future__ import annotations

import numpy as np
import pytest
from commands import run

from clipdetect import Detector

STANDS = (40, 60, 100, 200, 500, 2000, 20_000)


def stepped(n: int) -> np.ndarray:
    """A stand, a step, a stand, and a jump of ten steps."""
    return np.concatenate([np.full(n, 42.0), np.full(n, 43.0), [53.0]])


def spiked(n: int) -> np.ndarray:
    """Zeros, a lone one, zeros, and a far larger one."""
    return np.concatenate([np.zeros(n), [1.0], np.zeros(n), [30.0]])


@pytest.mark.parametrize("threshold", ["tail", "conformal", "slices", "spliced", "quantile"])
@pytest.mark.parametrize("estimator", ["level", "zscore", "forecast"])
def test_a_jump_of_ten_steps_is_flagged_however_long_it_stood(estimator, threshold):
    slow = (estimator, threshold) == ("zscore", "spliced")  # the way back to a value is a side's only records
    for n in STANDS:
        for x in (stepped(n), spiked(n)):
            flag = Detector(estimator, threshold).step(x[:, None]).flag
            assert flag[-1], f"{n} records"
            assert np.count_nonzero(flag) <= (80 if slow else 8), f"{n} records: a storm"


@pytest.mark.parametrize("other", [[], [7.0]])
def test_the_first_move_is_flagged_alone_and_beside_another_field(other):
    x = np.concatenate([np.full(1000, 42.0), [43.0]])
    X = np.column_stack([x, *(np.full(len(x), value) for value in other)])
    flag = Detector().step(X).flag
    assert flag[-1]
    assert not flag[:-1].any()


@pytest.mark.parametrize("flags", [(), ("-e", "forecast"), ("--threshold", "spliced"), ("--engine", "python")])
def test_the_command_flags_what_no_constant_ever_did(flags):
    data = b"42\n" * 1000 + b"43\n" * 1000 + b"57\n"
    assert run("-q", *flags, input=data).stdout.splitlines()[-1].endswith(b"true")


def test_two_values_in_turn_are_a_habit_soon():
    data = b"42\n" * 1000 + b"43\n" * 1000 + b"43\n44\n" * 1000
    assert run("-q", input=data).stdout.count(b"true") <= 12
