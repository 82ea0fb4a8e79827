"""Every feature against its slow, obvious twin, on streams with all that can go wrong in them."""

from __future__ import annotations

import numpy as np
import pytest
from naive import features as naive
from naive.features import drive, missing, run, wild

from clipdetect.numerics.hashing import category, joined

SEEDS = range(6)
CLOSE = {"rtol": 1e-9, "atol": 1e-9, "equal_nan": True}  # the twins add in another order


def assert_close(actual: np.ndarray, expected: np.ndarray) -> None:
    assert np.isfinite(expected).sum() > 20
    np.testing.assert_allclose(actual, expected, **CLOSE)


@pytest.mark.parametrize("seed", SEEDS)
def test_rate_is_the_faded_sum_of_the_past(seed):
    stream = wild(seed=seed)
    assert_close(run("rate:log=false,window=30s", stream), naive.rate(stream, [1.0] * 300, 30.0))
    sums = naive.rate(stream, missing(stream.numbers["a"].tolist()), 300.0)
    assert_close(run("rate:log=false,window=5m,of=a", stream), sums)


@pytest.mark.parametrize("seed", SEEDS)
def test_rate_counts_only_what_meets_its_condition(seed):
    stream = wild(seed=seed)
    met = [1.0 if x > 4 else 0.0 for x in stream.numbers["a"]]
    assert_close(run("rate:log=false,window=30s,where=a>4", stream), naive.rate(stream, met, 30.0))


@pytest.mark.parametrize("seed", SEEDS)
def test_rate_in_a_window_is_the_sum_over_its_parts(seed):
    stream = wild(seed=seed)
    spec = "rate:log=false,window=60s,shape=window,of=a"
    assert_close(run(spec, stream), naive.windowed(stream, missing(stream.numbers["a"].tolist()), 60.0))


@pytest.mark.parametrize("seed", SEEDS)
def test_distinct_counts_filled_buckets(seed):
    stream = wild(seed=seed)
    values = missing([category(text) if text else "" for text in stream.texts["x"]])
    found = run("distinct:field=x,window=60s,buckets=16,log=false", stream)
    assert_close(found, naive.distinct(stream, values, 60.0, 16))


@pytest.mark.parametrize("seed", SEEDS)
def test_interval_and_gap_are_the_time_since_the_last_record(seed):
    stream = wild(seed=seed)
    gone = naive.interval(stream)
    assert_close(run("interval:unit=500ms", stream), np.log1p(gone / 0.5))
    assert_close(run("gap:limit=5s", stream), np.where(gone > 5.0, gone, np.nan))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("spec", "offset", "period"), [("hour:offset=5.5", 5.5, 24.0), ("hour:weekly=true", 72, 168.0)]
)
def test_hour_is_unwrapped_around_a_clipped_circular_mean(seed, spec, offset, period):
    stream = wild(120, seed=seed)
    pause = 1800.0 if seed % 2 else 5.0
    stream.time = stream.time + np.random.default_rng(seed).integers(0, 40, 120).cumsum() * pause
    np.testing.assert_allclose(run(spec, stream), naive.hour(stream, offset, period), rtol=0, atol=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("per_second", [False, True])
@pytest.mark.parametrize("counter", [False, True])
def test_diff_is_the_change_since_the_last_value(seed, per_second, counter):
    stream = wild(seed=seed)
    found = run({"diff": {"field": "a", "per_second": per_second, "counter": counter}}, stream)
    assert_close(found, naive.differences(stream, stream.numbers["a"], per_second, counter))


@pytest.mark.parametrize("seed", SEEDS)
def test_flatline_tells_the_length_of_a_run_once(seed):
    stream = wild(600, seed=seed)
    rng = np.random.default_rng(seed)
    stream.numbers["a"] = np.where(rng.random(600) < 0.1, np.nan, (rng.random(600) < 0.3).cumsum() // 8.0)
    assert_close(run("flatline:field=a,length=3", stream), naive.flatline(stream, stream.numbers["a"], 3))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("half_life", [0, 30])
def test_rare_is_the_share_among_the_records_before(seed, half_life):
    stream = wild(seed=seed)
    found = run(f"rare:field=x,half_life={half_life}", stream)
    assert_close(found, naive.rare(stream, stream.texts["x"], ["all"] * 300, half_life))
    given = run(f"rare:field=x,given=y,half_life={half_life}", stream)
    assert_close(given, naive.rare(stream, stream.texts["x"], stream.texts["y"], half_life))


def test_rare_of_several_fields_is_that_of_the_combination():
    stream = wild()
    x, y, z = (stream.texts[name] for name in "xyz")
    both = [f"{a} {b} {c}" if a and b and c else "" for a, b, c in zip(x, y, z, strict=True)]
    assert_close(run("rare:field=x+y+z", stream), naive.rare(stream, both, ["all"] * 300, 20000))


def test_template_is_the_rarity_of_the_shape():
    stream = wild()
    assert np.array_equal(run("template:field=x", stream), run("rare:field=x", stream), equal_nan=True)


def test_distinct_pairs_are_hashed_together():
    stream = wild()
    x, y = stream.column("x", "category"), stream.column("y", "category")
    values = [None if v < 0 else int(v) for v in joined(x, y)]
    found = run("distinct:field=x+y,window=1h,log=false", stream)
    assert_close(found, naive.distinct(stream, values, 3600.0, 128))


def test_log_is_signed_and_loses_nothing():
    stream = wild()
    a = stream.numbers["a"]
    assert_close(run("log:field=a,unit=0.1", stream), np.sign(a) * np.log1p(np.abs(a) / 0.1))


def test_a_tiny_rebase_leaves_rarity_as_it_was():
    stream = wild(600, keys=1)
    found = run("rare:field=x,half_life=10", stream)  # the unit of weight doubles every ten records, so it is reset
    assert_close(found, naive.rare(stream, stream.texts["x"], ["all"] * 600, 10))


def test_twins_and_features_see_the_same_streams():
    stream = wild()
    assert np.isnan(stream.time).any() and (np.diff(stream.time[np.isfinite(stream.time)]) < 0).any()
    assert not stream.learn.all() and len(set(stream.slots.tolist())) == 3
    out, _ = drive(naive.bound("log", ["a", "b"]), stream)
    assert out.shape == (300, 2)
