"""The laws, on every feature: cuts, keys, engines, missing values, records not to be learned."""

from __future__ import annotations

import numpy as np
import pytest
from naive.features import Stream, bound, drive, wild

from clipdetect import documentation, registry
from clipdetect.jit import available
from clipdetect.testing import parameters_are_documented

SPECS = (
    "log", "log:field=a,unit=0.01,keep=true", "diff", "diff:field=b,per_second=true,counter=true", "rate",
    "rate:of=a,where=b>=5", "rate:shape=window,where=x=1", "distinct:field=x,window=10s", "distinct:field=x+y+z,log=no",
    "interval", "hour", "hour:weekly=true,offset=-3.5", "rare:field=x,half_life=3,buckets=64", "rare:field=x+z,given=y",
    "template:field=y", "categories", "gap:limit=5s", "flatline:length=2", "flatline:field=a,length=3",
)  # fmt: skip
NASTY = (0.0, -0.0, 5e-324, 1e-300, 1.7e308, -1.7e308, 9e149, 1e150, np.inf, -np.inf, np.nan, 1.0, 1.0)
each = pytest.mark.parametrize("spec", SPECS)


def feature(spec, engine="python"):
    return bound(spec, ["a", "b"], engine)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a, b, equal_nan=True)


def same_state(a, b) -> bool:
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)


def hostile(seed: int = 0) -> Stream:
    stream, rng = wild(seed=seed), np.random.default_rng(seed)
    for column in (*stream.numbers.values(), stream.time):
        at = rng.random(len(column)) < 0.3
        column[at] = rng.choice(NASTY, int(at.sum()))
    return stream


def test_every_feature_is_here():
    assert {spec.partition(":")[0] for spec in SPECS} == set(registry.names("feature"))


@each
@pytest.mark.parametrize("make", [wild, hostile])
def test_cuts_change_nothing(spec, make):
    stream = make()
    whole, state = drive(feature(spec), stream)
    cuts = sorted(np.random.default_rng(1).choice(np.arange(1, 300), 60, replace=False).tolist())
    parts, other = drive(feature(spec), stream, cuts=cuts)
    assert same(whole, parts) and same_state(state, other)


@each
def test_keys_do_not_touch_each_other(spec):
    stream = wild()
    mixed, _ = drive(feature(spec), stream)
    for k in range(3):
        at = stream.slots == k
        alone = Stream(
            stream.time[at],
            {name: x[at] for name, x in stream.numbers.items()},
            {name: [t for t, own in zip(x, at, strict=True) if own] for name, x in stream.texts.items()},
            learn=stream.learn[at],
        )
        assert same(drive(feature(spec), alone)[0], mixed[at])


@each
@pytest.mark.parametrize("make", [wild, hostile])
def test_the_engines_agree_to_the_bit(spec, make):
    if not available():
        pytest.skip("needs numba")
    interpreted, state = drive(feature(spec), make())
    compiled, other = drive(feature(spec, "numba"), make())
    assert same(interpreted, compiled) and same_state(state, other)


@each
def test_what_is_not_learned_leaves_the_state_bit_equal(spec):
    stream = wild()
    own = feature(spec)
    _, state = drive(own, stream)
    before = {name: array.copy() for name, array in state.items()}
    copies = [array.copy() for array in (stream.time, *stream.numbers.values())]
    stream.learn = np.zeros(300, bool)
    drive(own, stream, state)
    assert same_state(state, before)
    assert all(map(same, copies, (stream.time, *stream.numbers.values())))


@each
def test_a_missing_value_gives_none_and_changes_nothing(spec):
    own = feature(spec)
    _, state = drive(own, wild())
    before = {name: array.copy() for name, array in state.items()}
    nothing = Stream(
        np.full(4, np.nan), dict.fromkeys("ab", np.full(4, np.nan)), dict.fromkeys("xyz", [""] * 4), np.arange(4) % 3
    )
    out, _ = drive(own, nothing, state)
    assert np.isnan(out).all() and same_state(state, before)


@each
def test_values_are_finite_where_there_is_one(spec):
    out, _ = drive(feature(spec), hostile())
    assert not np.isinf(out).any()


@each
def test_a_value_can_be_said_with_and_without_an_expected_one(spec):
    own = feature(spec)
    out, _ = drive(own, wild(600))
    for j in range(out.shape[1]):
        value = float(out[np.isfinite(out[:, j]), j][0])
        said = own.say(j, value, float("nan"), {})
        assert said and "usually" not in said and "nan" not in said
        assert own.say(j, value, value, {"x": "1", "y": "2", "z": "3", "shape(y)": "s"})


@pytest.mark.parametrize("name", registry.names("feature"))
def test_parameters_are_documented(name):
    component = registry.get("feature", name)
    parameters_are_documented(component)
    assert documentation.describe(component).cost


@pytest.mark.parametrize("spec", ["log", "diff", "flatline"])
def test_a_pattern_takes_the_columns_that_are_open(spec):
    own = bound(spec, [])
    stream = wild()
    assert own.inputs() == [] and own.names() == [] and drive(own, stream)[0].shape == (300, 0)
    own.bind(["a"], own.params)
    first = own.inputs()
    own.bind(["a", "b"], own.params)
    assert own.inputs()[:1] == first and len(own.names()) == 2
