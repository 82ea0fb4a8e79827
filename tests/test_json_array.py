"""A JSON array is the same wherever the input is cut, and long elements cost no more for it."""

from __future__ import annotations

import json
import random
import time

import pytest
from feeding import feed

NAMES = ("x", "y,", "\\", '"', "]")
VALUES = (1, 2.5, ",\\", '\\",}', '"', "\\\\,", [1, '"},'], {"a": "\\"}, "],[")


def document(rng):
    records = [{rng.choice(NAMES): rng.choice(VALUES) for _ in range(rng.randint(0, 3))} for _ in range(4)]
    return json.dumps(records, separators=(rng.choice([",", ", "]), ":")).encode()


@pytest.mark.parametrize("seed", range(12))
def test_an_array_is_the_same_wherever_a_string_is_cut(seed):
    data = document(random.Random(seed))
    whole = feed(data)[:2]
    assert "unreadable" not in str(whole[1]) and len(json.loads(whole[0])) == 4
    for size in (1, 2, 3, 5, 7):
        assert feed(data, sizes=[size])[:2] == whole


def test_a_long_string_of_commas_is_looked_through_once():
    took = []
    for n in (50_000, 200_000):
        data = b'[{"x":1},{"x":2,"s":"' + b"a," * n + b'"},{"x":3}]'
        best = float("inf")
        for _ in range(2):
            start = time.process_time()
            out = feed(data, sizes=[100])[0]
            best = min(best, time.process_time() - start)
        assert len(json.loads(out)) == 3
        took.append(best)
    assert took[1] < 7.0 * took[0]  # in proportion 4; it was 12, as each piece looked through the whole string again
