"""The estimator `forest`: an on-line isolation forest."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from naive.forest import forest as slow_forest
from naive.runs import block, fresh, nasty, run, same

from clipdetect.components import Params
from clipdetect.detector import Detector
from clipdetect.estimators.forest import Forest
from clipdetect.jit import Engine, available

SMALL = {"trees": 8, "sample": 16, "reservoir": 40, "horizon": 200, "patience": 30}
ENGINE = "numba" if available() else "python"


def rough(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Heavy tails, units far apart, a shift, gaps, a column that comes late, one constant, one that is mostly 0."""
    rng = np.random.default_rng(seed)
    X = rng.standard_t(3, (n, d)) * np.logspace(0, 4, d)
    X[n // 2 :] += 5.0
    X[rng.random(X.shape) < 0.05] = np.nan
    X[rng.random(X.shape) < 0.01] = 1e9
    if d > 1:
        X[: n // 3, 1] = np.nan
    if d > 2:
        X[:, 2] = 7.0
        X[n // 2 + 20 :: 37, 2] = 8.0
    if d > 3:
        X[:, 3] = rng.random(n) < 0.05
    return X


def modes(n: int, seed: int = 0) -> np.ndarray:
    """Two fields, in two clusters that leave a gap between them."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)) + 12.0 * rng.integers(0, 2, n)[:, None]


def raws(X: np.ndarray, seed: int = 0, **params: int) -> np.ndarray:
    return Detector(Forest(**params), "fixed", engine=ENGINE, seed=seed).step(X).raw


def advantage(raw: np.ndarray, bad: np.ndarray) -> float:
    """ROC-AUC of records after the first 200."""
    raw, bad = raw[200:], bad[200:]
    return float((raw[bad][:, None] > raw[~bad][None]).mean())


# -- the kernel ------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("params", [SMALL, {**SMALL, "sample": 40, "trees": 3}])
def test_kernel_agrees_with_the_slow_twin(params: dict, d: int) -> None:
    X = rough(400, d)
    for made, slow in zip(run(Forest(**params), X), slow_forest(X.tolist(), **params), strict=True):
        np.testing.assert_allclose(made, np.array(slow), rtol=1e-9, atol=1e-12)


def test_kernel_agrees_with_the_slow_twin_after_a_restart() -> None:
    X = rough(300, 3)
    for made, slow in zip(run(Forest(**SMALL), X, restart=[170]), slow_forest(X.tolist(), [170], **SMALL), strict=True):
        np.testing.assert_allclose(made, np.array(slow), rtol=1e-9, atol=1e-12)


def test_the_twins_records_make_a_key_young_again() -> None:
    X = rough(400, 2)
    forest = Forest(**SMALL)
    state = fresh(forest, 2)
    forest.step(state, np.zeros(400, np.int64), block(X))
    assert state["age"][0] < 300


def test_a_tree_of_the_whole_reservoir_has_none_to_compare_with_and_ages_for_ever() -> None:
    X = rough(400, 2)
    forest = Forest(**{**SMALL, "sample": 40})
    state = fresh(forest, 2)
    forest.step(state, np.zeros(400, np.int64), block(X))
    assert state["age"][0] == state["records"][0]


def test_kernel_agrees_with_the_slow_twin_as_shipped() -> None:
    X = rough(260, 4)
    for made, slow in zip(run(Forest(), X), slow_forest(X.tolist()), strict=True):
        np.testing.assert_allclose(made, np.array(slow), rtol=1e-9, atol=1e-12)


def test_compiled_and_interpreted_are_bit_identical() -> None:
    pytest.importorskip("numba")
    for X in (nasty(500, 3), rough(500, 5)):
        assert same(run(Forest(**SMALL), X, "python"), run(Forest(**SMALL), X, "numba"))


def test_nasty_values_give_finite_scores_and_shares() -> None:
    X = nasty(900, 3, 1)
    raw, expected, scale, share = run(Forest(), X, ENGINE)
    readable = (np.abs(X) < 1e150)[100:]
    assert ((raw[100:] > 0.0) & (raw[100:] < 10.0))[readable.any(axis=1)].all()
    assert not np.isinf(expected).any()
    assert not np.isinf(scale).any()
    np.testing.assert_array_equal(np.isnan(share[100:]), ~(readable & readable.any(axis=1)[:, None]))


# -- what it finds ---------------------------------------------------------------------------


def test_far_and_in_the_gap_between_two_clusters_is_strange() -> None:
    X = modes(3000)
    bad = np.zeros(len(X), bool)
    bad[300::50] = True
    X[300::100] = [6.0, 6.0]
    X[350::100] = [40.0, -3.0]
    assert advantage(raws(X, trees=64), bad) > 0.97


def test_farther_out_is_stranger_even_beyond_all_that_was_seen() -> None:
    detector = Detector("forest", "fixed", engine=ENGINE)
    detector.step(np.random.default_rng(0).normal(size=(1000, 2)))
    far = np.column_stack([np.array([0.0, 4.0, 6.0, 10.0, 100.0]), np.zeros(5)])
    raw = detector.step(far, learn=False).raw
    assert (np.diff(raw) > 0.0).all()


def test_a_field_that_was_constant_and_moves_is_strange_and_named() -> None:
    X = np.random.default_rng(1).normal(size=(1000, 4))
    X[:, 2] = 5.0
    X[900, 2] = 5.1
    scored = Detector("forest", "tail", engine=ENGINE).step(X)
    assert scored.raw[900] > np.quantile(scored.raw[200:900], 0.99)
    assert scored.share is not None
    assert np.nanargmax(scored.share[900]) == 2


def test_the_share_names_the_field() -> None:
    X = np.random.default_rng(2).normal(size=(2000, 6))
    for at in range(500, 2000, 100):
        X[at, at // 100 % 6] = 15.0
    _, _, _, share = run(Forest(), X, ENGINE)
    first = share[500::100].argmax(axis=1)
    assert (first == np.arange(5, 20) % 6).all()
    np.testing.assert_allclose(share[100:].sum(axis=1), 1.0)


def test_a_burst_is_strange_throughout() -> None:
    X = np.random.default_rng(3).normal(size=(6000, 4))
    X[4000:4300] += [8.0, 8.0, 0.0, 0.0]
    raw = raws(X)
    assert (raw[4005:4300] > np.quantile(raw[1000:4000], 0.99)).all()


def test_a_new_level_becomes_normal() -> None:
    X = np.random.default_rng(4).normal(size=(30_000, 2))
    X[10_000:] += 8.0
    raw = raws(X)
    assert np.median(raw[25_000:]) < np.quantile(raw[5000:10_000], 0.8)


@pytest.mark.parametrize("d", [1, 8])
def test_a_shift_of_half_of_the_fields_is_adopted_about_as_late_as_patience_says(d: int) -> None:
    X = np.random.default_rng(4).normal(size=(14_000, d))
    X[10_000:, : max(d // 2, 1)] += 5.0
    raw = raws(X)
    usual = np.quantile(raw[5000:10_000], 0.99)
    assert (raw[10_000:11_000] > usual).all()
    assert (raw[13_500:] > usual).mean() < 0.05


def test_patience_decides_how_late() -> None:
    X = np.random.default_rng(5).normal(size=(14_000, 4))
    X[10_000:, :2] += 5.0
    strange = [(raws(X, patience=n)[10_000:] > 1.5).sum() for n in (1000, 3000, 10_000)]
    assert 2 * strange[0] < strange[1] < 3500 < strange[2]


@pytest.mark.parametrize("d", [1, 8])
def test_a_burst_of_a_thousand_copies_is_not_adopted(d: int) -> None:
    X = np.random.default_rng(6).normal(size=(10_000, d))
    X[8000:9000] = X[8000]
    X[8000:9000, : max(d // 2, 1)] += 5.0
    again = X[8000:9000].copy()
    raw = raws(np.vstack([X, again]))
    assert (raw[8020:9000] > 1.5 * np.quantile(raw[3000:8000], 0.999)).all()
    assert np.median(raw[9100:10_000]) < np.quantile(raw[3000:8000], 0.6)
    assert (raw[10_020:] > np.quantile(raw[3000:8000], 0.999)).all()


@pytest.mark.parametrize("d", [1, 8])
def test_tail_keeps_its_word_on_it(d: int) -> None:
    X = np.random.default_rng(13).normal(size=(60_000, d))
    flag = Detector("forest", "tail", rate=0.001, engine=ENGINE).step(X).flag[10_000:]
    assert 50 / 3 < (flag == 1).sum() < 50 * 3


def test_the_raw_score_is_1_where_a_record_lies_as_deep_as_usual() -> None:
    raw = raws(np.random.default_rng(14).normal(size=(3000, 1)))
    assert 0.9 < np.median(raw[500:]) < 1.1


def test_nothing_is_said_of_a_constant_and_its_first_move_is_flagged() -> None:
    X = np.full((400, 3), 7.0)
    scored = Detector("forest", "tail", engine=ENGINE).step(X)
    assert not scored.flag.any()
    X[300, 1] = 8.0
    assert Detector("forest", "tail", engine=ENGINE).step(X).flag[300] == 1


def test_missing_values_cost_little() -> None:
    X = modes(4000)
    bad = np.random.default_rng(5).random(len(X)) < 0.02
    X[bad] = np.random.default_rng(6).uniform(-10.0, 22.0, (int(bad.sum()), 2))
    X = np.hstack([X, X[:, ::-1] + np.random.default_rng(7).normal(size=X.shape)])
    whole = advantage(raws(X), bad)
    X[np.random.default_rng(8).random(X.shape) < 0.2] = np.nan
    assert whole > 0.85
    assert advantage(raws(X), bad) > whole - 0.05


def test_a_field_that_vanishes_and_returns_raises_no_storm() -> None:
    X = np.random.default_rng(9).normal(size=(8000, 5))
    X[5000:6000, 1] = np.nan
    flag = Detector("forest", "tail", rate=0.01, engine=ENGINE).step(X).flag
    assert flag[5000:6000].sum() < 30
    assert flag[6000:7000].sum() < 30


def test_a_field_that_opens_late_raises_no_storm() -> None:
    X = np.random.default_rng(10).normal(size=(6000, 3))
    X[:3000, 2] = np.nan
    assert Detector("forest", "tail", rate=0.01, engine=ENGINE).step(X).flag[3000:4000].sum() < 30


# -- columns in decades ----------------------------------------------------------------------


def rarities(n: int, seed: int = 0) -> np.ndarray:
    """Two columns as `rare` gives them: one mostly common values, one an id, new in every record; and a number."""
    rng = np.random.default_rng(seed)
    common = rng.exponential(0.3, n)
    return np.column_stack([common, np.log10(2.0 * np.arange(1, n + 1) + 2.0), rng.normal(size=n)])


def judged(X: np.ndarray, decades: list[str]) -> tuple[np.ndarray, ...]:
    forest = Forest()
    state = fresh(forest, X.shape[1])
    forest.bind([f"f{j}" for j in range(X.shape[1])], Params(engine=Engine(ENGINE), decades=decades))
    return forest.step(state, np.zeros(len(X), np.int64), block(X))


def test_a_rare_value_counts_and_an_identifier_does_not() -> None:
    X = rarities(3000)
    X[2000::100, 0] = 3.5
    raw, _, _, share = judged(X, ["f0", "f1"])
    bad = np.zeros(3000, bool)
    bad[2000::100] = True
    assert advantage(raw, bad) > 0.95
    assert (share[bad].argmax(axis=1) == 0).all()
    assert share[1000:, 1].mean() < 0.2


def test_a_common_value_is_never_strange() -> None:
    X = rarities(2000)[:, [0, 2]]
    X[:, 0] = 2.0 + 0.1 * X[:, 1]  # nearly all are rare
    X[1500, 0], X[1500, 1] = 0.0, 0.0  # and then a common one
    assert judged(X, ["f0"])[0][1500] < judged(X, [])[0][1500]


# -- life of a key ---------------------------------------------------------------------------


def test_it_has_no_opinion_before_32_records() -> None:
    raw, *_ = run(Forest(), np.random.default_rng(12).normal(size=(60, 2)))
    assert np.isnan(raw[:32]).all()
    assert np.isfinite(raw[32:]).all()


def test_one_record_is_no_error() -> None:
    raw, expected, _, share = run(Forest(), np.ones((1, 3)))
    assert np.isnan(raw).all()
    assert np.isnan(expected).all()
    assert np.isnan(share).all()


def test_nothing_readable_is_nothing() -> None:
    raw, *_ = run(Forest(), np.full((100, 2), np.inf))
    assert np.isnan(raw).all()


def test_a_restart_forgets_all() -> None:
    X = np.random.default_rng(11).normal(size=(600, 2))
    X[300:] += 100.0
    raw, expected, *_ = run(Forest(**SMALL), X, restart=[300])
    assert np.isnan(raw[300:332]).all()
    assert np.isnan(expected[300:308]).all()
    np.testing.assert_allclose(expected[400:], 100.0, atol=2.0)


def test_the_seed_decides_and_nothing_else_does() -> None:
    X = rough(300, 2)
    assert same([raws(X, 1)], [raws(X, 1)])
    assert not same([raws(X, 1)], [raws(X, 2)])


def test_the_constants_are_the_instances_own() -> None:
    X = rough(300, 2)
    forest = Forest(**SMALL)
    forest.constants = forest.constants._replace(memory=1.0)
    assert not same(run(forest, X), run(Forest(**SMALL), X))
    assert Forest().constants.memory == 0.1


def test_learning_can_be_withheld() -> None:
    X = rough(300, 2)
    forest = Forest(**SMALL)
    state = fresh(forest, 2)
    slots = np.zeros(300, np.int64)
    forest.step(state, slots, block(X))
    before = {name: array.copy() for name, array in state.items()}
    forest.step(state, slots, dataclasses.replace(block(X, restart=[0]), learn=np.zeros(300, bool)))
    assert all(np.array_equal(before[name], state[name], equal_nan=True) for name in state)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"trees": 0}, "trees must be at least 1, got 0"),
        ({"sample": 7}, "sample must be at least 8 records, got 7"),
        ({"sample": 300}, "reservoir must be at least sample = 300 records, got 256"),
        ({"patience": 0}, "patience must be at least 1 record, got 0"),
        ({"horizon": 100}, "horizon must be at least reservoir = 256 records, got 100"),
    ],
)
def test_bad_parameters_are_refused(params: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Forest(**params)
