"""Which past moments a change-point detector keeps: a dyadic grid, dense near the present.

A segment's records are numbered from 1. Split s stands between record s and record s + 1. Of the
splits that 2^c divides and 2^(c+1) does not, the last four are kept, so a split stays until it is
8 * 2^c records old: 76 places reach back 2^20 records, with a gap of at most a quarter of the age.
"""

from __future__ import annotations

from clipdetect.jit import kernel

LEVELS = 19
EACH = 4  # splits kept a level
PLACES = LEVELS * EACH
TESTED = LEVELS - 1  # levels whose splits are looked at; the last one only completes them
NEAR = 8  # a level is asked for ages from 4 to 8 times its spacing, the first for younger ones too


@kernel
def place(multiple: int, level: int) -> int:
    """Where split multiple * 2^level >= 1 is kept, from 0 to 75."""
    while level < LEVELS - 1 and multiple % 2 == 0:
        multiple //= 2
        level += 1
    if level < LEVELS - 1:
        multiple //= 2
    return level * EACH + multiple % EACH


@kernel
def due(n: int) -> int:
    """How many levels are looked at with record n: each every quarter of its spacing."""
    levels = 3
    while levels < TESTED and n % 2 == 0:
        n //= 2
        levels += 1
    return levels
