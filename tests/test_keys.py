"""The key table: exact least recently used, whatever the blocks."""

from collections import OrderedDict

import numpy as np
import pytest

from clipdetect.keys import KeyTable


def reference(keys: list[str], most: int) -> tuple[list[str], int]:
    live: OrderedDict[str, None] = OrderedDict()
    evicted = 0
    for key in keys:
        if key in live:
            live.move_to_end(key)
        else:
            if len(live) == most:
                live.popitem(last=False)
                evicted += 1
            live[key] = None
    return list(live), evicted


def in_blocks(table: KeyTable, keys: list[str], sizes: list[int]) -> list[int]:
    slots, at = [], 0
    while at < len(keys):
        size = sizes[at % len(sizes)]
        block = keys[at : at + size]
        slots += table.assign(block, len(block))[0].tolist()
        at += size
    return slots


@pytest.mark.parametrize("most", [1, 2, 7, 50])
@pytest.mark.parametrize("sizes", [[1], [5], [1, 64, 3], [10_000]])
def test_eviction_is_exactly_least_recently_used(most, sizes):
    rng = np.random.default_rng(most)
    keys = [f"k{i}" for i in rng.zipf(1.3, 3000) % 90]
    table = KeyTable(most)
    in_blocks(table, keys, sizes)
    expected, evicted = reference(keys, most)
    assert table.in_order()[0] == expected
    assert table.evicted == evicted


def test_rows_of_one_block_never_share_a_slot_between_keys():
    table = KeyTable(2)
    keys = ["a", "b", "c", "a", "d", "c", "a"]
    slots, fresh = table.assign(keys, len(keys))
    holders: dict[int, set[str]] = {}
    for key, slot in zip(keys, slots.tolist(), strict=True):
        holders.setdefault(slot, set()).add(key)
    assert all(len(each) == 1 for each in holders.values())
    assert len(fresh) == len(set(fresh)) == 7  # a comes back twice, c once, as new keys


def test_slots_are_given_out_again():
    table = KeyTable(3)
    for block in range(200):
        table.assign([f"{block}-{i}" for i in range(3)], 3)
    assert table.capacity <= 6


def test_undo_goes_back_to_the_live_keys_and_their_order():
    table = KeyTable(4)
    table.assign(list("abcd"), 4)
    table.assign(list("ba"), 2)
    before = table.in_order()[0], table.evicted, table.clock
    table.begin()
    start = table.mark()
    table.assign(list("cxyzc"), 5)
    table.assign(list("ab"), 2)
    table.back(start)
    assert (table.in_order()[0], table.evicted, table.clock) == before


@pytest.mark.parametrize("seed", range(20))
def test_a_table_that_went_back_goes_on_as_if_nothing_had_been(seed):
    """Slots are neither lost nor given to two keys, and the next keys to leave are the same."""
    rng = np.random.default_rng(seed)
    table, other = KeyTable(12), KeyTable(12)
    for _ in range(60):
        keys = [f"k{i}" for i in rng.integers(0, 30, rng.integers(1, 20))]
        table.begin()
        start = table.mark()
        for _ in range(rng.integers(1, 3)):
            kept = table.mark()
            table.assign([f"k{i}" for i in rng.integers(0, 40, rng.integers(1, 30))], 0)
            if rng.random() < 0.3:
                table.back(kept)
        table.back(start)
        slots, fresh = table.assign(keys, len(keys))
        expected, expected_fresh = other.assign(keys, len(keys))
        assert (slots.tolist(), fresh) == (expected.tolist(), expected_fresh)
        assert table.in_order()[0] == other.in_order()[0]
        assert table.evicted == other.evicted


def test_without_keys_there_is_one_slot():
    table = KeyTable(1)
    assert table.assign(None, 3)[0].tolist() == [0, 0, 0]
    assert table.assign(None, 2)[0].tolist() == [0, 0]
    assert len(table) == 1
