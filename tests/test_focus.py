"""The change-point detector `focus`."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from naive.focus import focus as slow_focus
from naive.focus import hull
from naive.runs import block, nasty

from clipdetect.changepoints.focus import PIECES, Focus, Splits, one_test, prune, push
from clipdetect.components import Params
from clipdetect.jit import Engine, EngineName, available
from clipdetect.testing import check_component

FAST: EngineName = "numba" if available() else "python"


def run(detector: Focus, X: Any, engine: EngineName = "python", learn: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """changed, since of one key."""
    rows = block(np.asarray(X, float), learn)
    d = rows.X.shape[1]
    detector.bind([f"f{j}" for j in range(d)], Params(engine=Engine(engine)))
    state = {name: np.zeros((1, *shape), dtype) for name, (shape, dtype) in detector.state_spec(d).items()}
    return detector.step(state, np.zeros(len(rows.X), np.int64), rows)


def shifted(n: int = 200, at: int = 120, by: float = 3.0, d: int = 1, seed: int = 0) -> np.ndarray:
    X = np.random.default_rng(seed).normal(size=(n, d))
    X[at:] += by
    return X


def streams() -> dict[str, np.ndarray]:
    gaps = shifted(160, 100, 2.5, 2)
    gaps[np.random.default_rng(1).random(gaps.shape) < 0.2] = np.nan
    return {
        "normal": shifted(by=1.5),
        "twice": np.concatenate([shifted(130, 80, 4.0), shifted(120, 80, -2.0)]),
        "constant": np.where(np.arange(120) < 60, 5.0, 6.0)[:, None],
        "two values": 1.0
        * (np.random.default_rng(2).random((200, 1)) < np.where(np.arange(200) < 120, 0.2, 0.9)[:, None]),
        "gaps": gaps,
        "nasty": nasty(150, 2, 3),
    }


@pytest.mark.parametrize("name", streams())
def test_kernel_agrees_with_the_slow_twin(name: str) -> None:
    X = streams()[name]
    changed, since = run(Focus(), X)
    assert (changed.tolist(), since.tolist()) == slow_focus(X.tolist(), one_test(0.05))
    assert changed.any() or name == "nasty"


def hulls(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """size (2,) and split (2, PIECES) after all values, by the kernels."""
    size, split = np.zeros((1, 2, 1), np.int64), np.zeros((1, 2, PIECES, 1), np.int64)
    splits = Splits(size, split, np.zeros((1, 2, PIECES, 1)), np.zeros((1, 2, PIECES, 1), np.int64))
    for n, total in enumerate(accumulate(values.tolist()), 1):
        for side in range(2):
            prune(0, side, 0, 1.0 - 2.0 * side, n, total, splits)
            push(0, side, 0, n, total, n, splits)
    return size[0, :, 0], split[0, :, :, 0]


def test_pruning_keeps_the_corners_of_the_hull_and_with_them_the_largest_ratio() -> None:
    rng = np.random.default_rng(4)
    for values in (rng.normal(size=60), rng.integers(0, 3, 60) * 1.0, np.ones(40), rng.standard_t(2, 60)):
        size, split = hulls(values)
        sums = list(accumulate(values.tolist()))
        points = list(zip(range(1, len(sums) + 1), sums, strict=True))
        for side, sign in enumerate((1, -1)):
            assert split[side, : size[side]].tolist() == hull(points, sign)
        total, n = sums[-1] + 1.0, len(sums) + 1  # one more value of 1

        def ratio(s: int, total: float = total, n: int = n, sums: list = sums) -> float:
            return abs(total * s - sums[s - 1] * n) / math.sqrt(s * (n - s))

        kept = {int(s) for side in range(2) for s in split[side, : size[side]]}
        assert max(map(ratio, kept)) == pytest.approx(max(ratio(s) for s in range(1, n)))


def test_few_splits_are_kept_and_the_oldest_leaves_where_there_is_no_room() -> None:
    size, _ = hulls(np.random.default_rng(5).normal(size=5000))
    assert size.max() < PIECES
    size, split = hulls(np.arange(100.0))  # a convex sum: every split is a corner
    assert size[0] == PIECES
    assert split[0].tolist() == list(range(100 - PIECES + 1, 101))


def test_a_shift_is_found_and_placed() -> None:
    changed, since = run(Focus(), shifted(400, 300, 3.0))
    (at,) = np.flatnonzero(changed)
    assert 300 <= at < 310
    assert abs(at - since[at] - 300) <= 1


def test_outliers_and_heavy_tails_raise_no_alarm() -> None:
    X = np.random.default_rng(1).standard_t(2.1, 3000)
    X[::50] += 1e6
    assert not run(Focus(), X, FAST)[0].any()


def test_a_change_in_one_field_of_many_is_found() -> None:
    X = np.random.default_rng(2).normal(size=(500, 6)) * 10.0 ** np.arange(-3, 3)
    X[400:, 0] += 3e-3
    changed, _ = run(Focus(), X, FAST)
    assert 400 <= np.flatnonzero(changed)[0] < 420


def test_what_is_not_learned_is_not_judged() -> None:
    X = shifted(200, 100, 5.0)
    assert run(Focus(), X)[0].any()
    assert not run(Focus(), X, learn=np.arange(200) < 100)[0].any()


def test_it_keeps_the_laws() -> None:
    check_component(Focus, compiled=available())


def test_compiled_and_interpreted_are_bit_identical() -> None:
    pytest.importorskip("numba")
    for X in (nasty(1500, 3), shifted(400, 200, 2.0, 3)):
        both = [run(Focus(0.5), X, engine) for engine in ("python", "numba")]
        assert all(np.array_equal(a, b) for a, b in zip(*both, strict=True))


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1])
def test_delta_is_a_probability(delta: float) -> None:
    with pytest.raises(ValueError, match=f"delta must be between 0 and 1, got {delta}"):
        Focus(delta)
