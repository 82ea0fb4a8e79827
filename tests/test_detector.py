"""The Python API: columns, keys, eviction, saving, going back, and every stage, with small parts of its own."""

from __future__ import annotations

import numpy as np
import pytest

import clipdetect
from clipdetect.components import ChangePointDetector, Estimator, Feature, Input, child_state
from clipdetect.detector import BLOCK, Detector


def noise(n=300, d=1, seed=0):
    return np.random.default_rng(seed).normal(10.0, 2.0, (n, d))


def same(a, b):
    for name in type(a).__slots__:
        left, right = getattr(a, name), getattr(b, name)
        assert (left is None) == (right is None), name
        assert left is None or np.array_equal(left, right, equal_nan=left.dtype == np.float64), name


def image(detector):
    head, texts, arrays = detector.dump()
    return head, texts, {name: (array.shape, array.tobytes()) for name, array in arrays.items()}


def new(*args, **more):
    return Detector(*args, engine="python", **more)


# -- columns ----------------------------------------------------------------------------------


def test_one_column_may_come_as_a_vector():
    X = noise()
    same(new().step(X[:, 0]), new().step(X))


def test_fields_are_found_or_given():
    found, given = new(), new(fields=["a", "b"])
    found.step(noise(d=2))
    given.step(noise(d=2))
    assert (found.columns, given.columns) == (["c1", "c2"], ["a", "b"])


def test_a_wrong_number_of_columns_is_refused():
    detector = new(fields=["a", "b"])
    with pytest.raises(ValueError, match=r"X has 1 columns, the detector 2: a, b"):
        detector.step(noise())


def test_a_wrong_number_of_keys_is_refused():
    with pytest.raises(ValueError, match="3 rows but 2 keys"):
        new().step(noise(3), ["a", "b"])


def test_whole_numbers_and_lists_are_read():
    same(new().step([[1], [2], [3]]), new().step(np.array([1.0, 2.0, 3.0])))


def test_an_empty_block_is_scored_as_nothing():
    detector = new(fields=["a"])
    scored = detector.step(np.empty((0, 1)))
    assert (scored.score.shape, scored.expected.shape) == ((0,), (0, 1))
    same(detector.step(noise()), new(fields=["a"]).step(noise()))


def test_a_column_opens_in_mid_block_as_between_blocks():
    X = noise(300, 2)
    X[:120, 1] = np.nan
    one, two = new(fields=["a"]), new(fields=["a"])
    whole = one.step(X, opened=[(120, 2)], fields=["a", "b"])
    first = two.step(X[:120, :1])
    two.open_columns(["a", "b"])
    second = two.step(X[120:])
    assert np.array_equal(whole.score, np.concatenate([first.score, second.score]), equal_nan=True)
    assert whole.expected.shape == (300, 2)
    assert np.isnan(whole.expected[:120, 1]).all()
    assert image(one) == image(two)


def test_columns_can_only_be_added():
    detector = new(fields=["a", "b"])
    with pytest.raises(ValueError, match="only be added"):
        detector.open_columns(["b", "a"])


def test_a_long_block_is_as_its_parts():
    X = noise(BLOCK + 700)
    one, two = Detector("zscore", engine="numba"), Detector("zscore", engine="numba")
    whole = one.step(X)
    parts = [two.step(X[a : a + 999]) for a in range(0, len(X), 999)]
    assert np.array_equal(whole.score, np.concatenate([part.score for part in parts]), equal_nan=True)
    assert image(one) == image(two)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"rate": 0}, "rate must be between 0 and 1"),
        ({"warmup": 3}, "warmup must be at least 8"),
        ({"max_keys": 0}, "max_keys must be >= 1"),
        ({"engine": "fast"}, "engine must be"),
        ({"estimator": "nosuch"}, "unknown estimator 'nosuch'"),
        ({"estimator": "tail"}, "unknown estimator 'tail'"),
        ({"threshold": "fixed:limt=3"}, "did you mean"),
    ],
    ids=str,
)
def test_bad_parameters_are_refused(more, message):
    with pytest.raises(ValueError, match=message):
        Detector(**more)


def test_an_instance_of_another_kind_is_refused():
    from clipdetect.thresholds.tail import Tail

    with pytest.raises(ValueError, match="Tail is no estimator"):
        Detector(Tail())


def test_names_of_the_package_are_few_and_there():
    assert set(clipdetect.__all__) == {"ClipdetectError", "Detector", "Scored", "__version__"}
    assert all(getattr(clipdetect, name) for name in clipdetect.__all__)
    with pytest.raises(AttributeError, match="nosuch"):
        clipdetect.nosuch  # noqa: B018


# -- keys -------------------------------------------------------------------------------------


def test_the_least_recently_used_key_is_evicted_and_starts_afresh():
    detector = new(max_keys=2)
    X = noise(100)
    detector.step(X, ["a"] * 100)
    detector.step(X, ["b"] * 100)
    detector.step(X[:1], ["a"])
    detector.step(X[:1], ["c"])  # b has waited longest
    assert sorted(detector.keys.slot_of) == ["a", "c"]
    assert detector.keys.evicted == 1
    same(detector.step(X, ["b"] * 100), new().step(X, ["b"] * 100))


def test_a_reused_slot_has_nothing_of_the_key_before():
    rng = np.random.default_rng(3)
    keys = [f"k{i}" for i in rng.integers(0, 30, 3000)]
    X = noise(3000) * 1e6
    one, many = new(max_keys=5), new(max_keys=5)
    whole = one.step(X, keys)
    parts = [many.step(X[i : i + 7], keys[i : i + 7]) for i in range(0, 3000, 7)]
    assert np.array_equal(whole.score, np.concatenate([part.score for part in parts]), equal_nan=True)
    assert image(one) == image(many)
    assert one.keys.evicted > 2000
    assert many.capacity[""] < 64  # slots are given out again


def test_any_text_is_a_key():
    keys = ["", "\x00", "\ud800", "é", "a" * 10_000, "\n"]
    detector = new()
    detector.step(noise(600), keys * 100)
    assert set(detector.keys.slot_of) == set(keys)


# -- learning, saving, going back -------------------------------------------------------------


def test_rows_not_learned_are_scored_as_the_state_stands():
    X, learn = noise(), np.ones(300, bool)
    learn[200:] = False
    a, b = new(), new()
    scored = a.step(X, learn=learn)
    b.step(X[:200])
    before = image(b)
    same(b.step(X[200:], learn=False), a.step(X[200:], learn=False))
    assert image(a) == image(b) == before
    assert np.isfinite(scored.score[200:]).all()


@pytest.mark.parametrize("keyed", [False, True])
def test_what_is_dumped_goes_on_in_a_fresh_detector(keyed):
    X = noise(600, 2)
    keys = [f"k{i % 7}" for i in range(600)] if keyed else None
    whole, first, second = new(), new(), new()
    expected = whole.step(X, keys)
    first.step(X[:250], keys and keys[:250])
    second.load(*first.dump())
    rest = second.step(X[250:], keys and keys[250:])
    assert np.array_equal(rest.score, expected.score[250:], equal_nan=True)
    assert image(second) == image(whole)


def test_a_dump_is_a_copy():
    detector = new()
    detector.step(noise())
    before = image(detector)
    dumped = detector.dump()
    detector.step(noise(seed=1))
    other = new()
    other.load(*dumped)
    assert image(other) == before


def test_a_smaller_limit_keeps_the_most_recent_keys():
    X, keys = noise(500), [f"k{i % 5}" for i in range(500)]
    big, small = new(), new(max_keys=2)
    big.step(X, keys)
    small.load(*big.dump())
    assert sorted(small.keys.slot_of) == ["k3", "k4"]
    assert small.keys.evicted == 3
    same(small.step(X[:20], ["k4"] * 20), big.step(X[:20], ["k4"] * 20))


def test_arrays_of_other_components_are_refused():
    a, b = new("zscore"), new("level")
    a.step(noise())
    with pytest.raises(ValueError, match="not those of the components"):
        b.load(*a.dump())


@pytest.mark.parametrize("max_keys", [3, 100_000])
@pytest.mark.parametrize("keyed", [False, True])
def test_back_is_as_if_nothing_had_been(keyed, max_keys):
    """Through new keys, evictions, grown arrays and opened columns."""
    rng = np.random.default_rng(4)
    X = noise(900, 2)
    keys = [f"k{i}" for i in rng.integers(0, 12, 900)] if keyed else None
    detector = new(max_keys=max_keys, fields=["a"])
    detector.step(X[:300, :1], keys and keys[:300])
    before = image(detector)
    detector.begin()
    start = detector.mark()
    detector.step(X[300:600], keys and [key + "x" for key in keys[300:600]], opened=[(100, 2)], fields=["a", "b"])
    detector.step(X[600:], keys and keys[600:])
    assert image(detector) != before
    detector.back(start)
    assert image(detector) == before


def test_undo_before_anything_was_seen_is_a_fresh_detector():
    detector = new()
    before = image(detector)
    detector.begin()
    start = detector.mark()
    detector.step(noise())
    detector.back(start)
    assert image(detector) == before


def test_the_seed_reaches_every_key_by_its_text():
    seen = {}

    class Seeded(Estimator):
        """Remembers its seeds."""

        def reset(self, state, slots, seeds):
            seen.setdefault(self.run_seed, []).extend(seeds.tolist())

        def step(self, state, slots, rows):
            nothing = np.full(rows.X.shape, np.nan)
            return nothing[:, 0].copy(), nothing, nothing

    for run, order in ((1, "abc"), (1, "cba"), (2, "abc")):
        part = Seeded()
        part.run_seed = (run, order)
        new(part, seed=run).step(noise(3), list(order))
    assert seen[1, "abc"] == seen[1, "cba"][::-1]
    assert not set(seen[1, "abc"]) & set(seen[2, "abc"])
    assert all(0 <= seed < 2**31 for seeds in seen.values() for seed in seeds)


# -- bands ------------------------------------------------------------------------------------


def test_bands_change_no_score_and_hold_the_decision():
    X = noise(800)
    X[500:510] += [[d] for d in np.linspace(-15, 15, 10)]
    with_bands, without = new(bands=True).step(X), new().step(X)
    assert np.array_equal(with_bands.score, without.score, equal_nan=True)
    assert without.low is None
    assert without.high is None
    judged = np.isfinite(with_bands.low[:, 0]) & np.isfinite(with_bands.high[:, 0])
    assert judged[200:].all()
    outside = (X[:, 0] > with_bands.high[:, 0]) | (X[:, 0] < with_bands.low[:, 0])
    assert np.array_equal(outside[judged], with_bands.flag[judged] == 1)


def test_there_are_no_bands_before_warm_up():
    scored = new(bands=True, warmup=50).step(noise())
    first = int(np.flatnonzero(np.isfinite(scored.score))[0])
    assert np.isnan(scored.low[:first]).all()
    assert np.isfinite(scored.low[first:]).any()


# -- stages of one's own ----------------------------------------------------------------------


class Double(Feature):
    """Each column twice as large, and how many records the key has had."""

    def state_spec(self, n_features):
        return {"seen": ((), np.int64), "last": ((n_features,), np.float64)}

    def inputs(self):
        return [Input(name, "number") for name in self.fields]

    def names(self):
        return [f"{name}_doubled" for name in self.fields]

    def step(self, state, slots, columns, rows):
        for i, k in enumerate(slots.tolist()):
            if rows.learn[i]:
                state["seen"][k] += 1
                state["last"][k] = [column[i] for column in columns]
        return np.column_stack([2.0 * column for column in columns])


class At(ChangePointDetector):
    """Declares a change at each key's record number `at`."""

    def __init__(self, at: int = 100) -> None:
        self.at = at

    def state_spec(self, n_features):
        return {"seen": ((), np.int64)}

    def step(self, state, slots, rows):
        changed, since = np.zeros(len(slots), bool), np.zeros(len(slots), np.int64)
        for i, k in enumerate(slots.tolist()):
            number = int(state["seen"][k]) + 1
            changed[i], since[i] = number == self.at, 5 * (number == self.at)
            if rows.learn[i]:
                state["seen"][k] = number
        return changed, since


class Wrapped(Estimator):
    """Another estimator's raw score, and a count that all keys share."""

    def __init__(self, inner: Estimator) -> None:
        self.inner = inner

    def shared_spec(self, n_features):
        return {"total": ((1,), np.int64)}

    def step(self, state, slots, rows):
        state["total"][0] += int(rows.learn.sum())
        return self.inner.step(child_state(state, "inner"), slots, rows)


def test_a_features_columns_come_after_the_fields():
    X = noise()
    detector = new("zscore", features=[Double()], fields=["a"])
    scored = detector.step(X)
    assert detector.columns == ["a", "a_doubled"]
    assert np.array_equal(scored.X, np.column_stack([X, 2 * X]))
    assert scored.expected[-1, 1] == pytest.approx(2 * scored.expected[-1, 0])
    assert detector.state["feature0/seen"].tolist() == [300]


def test_a_column_that_opens_late_keeps_a_features_columns_in_place():
    detector = new("zscore", features=[Double()], fields=["a"])
    X = noise(300, 2)
    detector.step(X[:100, :1])
    scored = detector.step(X[100:], fields=["a", "b"])
    assert detector.columns == ["a", "a_doubled", "b", "b_doubled"]
    assert np.array_equal(scored.X, X[100:, [0, 0, 1, 1]] * [1, 2, 1, 2])
    other = new("zscore", features=[Double()])
    other.load(*detector.dump())
    assert other.columns == detector.columns
    same(other.step(X), detector.step(X))


def test_a_change_restarts_the_keys_estimator_at_its_next_row():
    X = np.repeat(noise(150), 2, axis=0)
    keys = ["a", "b"] * 150
    keys[0] = "b"  # a is one record behind
    detector = new("zscore", changepoint=At(100), rebase=True)
    scored = detector.step(X, keys)
    own = {key: np.flatnonzero(np.array(keys) == key) for key in "ab"}
    for rows in own.values():
        assert np.flatnonzero(scored.changed[rows]).tolist() == [99]
        assert scored.since[rows[99]] == 5
        assert np.isfinite(scored.raw[rows[8:100]]).all()
        assert np.isnan(scored.raw[rows[100:108]]).all()  # the estimator's own first records
        assert np.isfinite(scored.raw[rows[108:]]).all()
    again = new("zscore").step(X[own["a"][100:]])
    assert np.array_equal(scored.raw[own["a"][100:]], again.raw, equal_nan=True)


def test_a_change_is_only_reported_without_rebase():
    X = noise()
    with_changes, without = new("zscore", changepoint=At(100)).step(X), new("zscore").step(X)
    assert np.flatnonzero(with_changes.changed).tolist() == [99]
    assert np.array_equal(with_changes.score, without.score, equal_nan=True)
    assert without.changed is None


def test_a_restart_that_is_due_survives_saving_and_waits_for_a_learned_row():
    X = noise()
    whole, first, second = (new("zscore", changepoint=At(100), rebase=True) for _ in range(3))
    expected = whole.step(X)
    first.step(X[:100])
    second.load(*first.dump())
    before = image(second)
    second.step(X[:3], learn=False)
    assert image(second) == before
    assert np.array_equal(second.step(X[100:]).raw, expected.raw[100:], equal_nan=True)


def test_a_nested_component_and_what_keys_share():
    from clipdetect.estimators.zscore import Zscore

    X, keys = noise(400), ["a", "b"] * 200
    plain, wrapped = new("zscore"), new(Wrapped(Zscore()))
    expected, scored = plain.step(X, keys), wrapped.step(X, keys)
    assert np.array_equal(scored.score, expected.score, equal_nan=True)
    assert "estimator/inner/mean" in wrapped.state
    assert wrapped.shared["estimator/total"].tolist() == [400]
    other = new(Wrapped(Zscore()))
    other.load(*wrapped.dump())
    assert other.shared["estimator/total"].tolist() == [400]
    before = image(other)
    other.begin()
    start = other.mark()
    other.step(X, keys)
    other.back(start)
    assert image(other) == before


def test_a_threshold_that_takes_no_residual_gets_its_size():
    from clipdetect.components import Threshold

    class Level(Threshold):
        """Keeps what it is given."""

        takes = ("distance", "level")

        def step(self, state, slots, raw, rows):
            self.given = raw.copy()
            return np.abs(raw), np.zeros(len(raw), np.int8)

    threshold = Level()
    scored = new("zscore", threshold).step(noise())
    assert np.array_equal(threshold.given, np.abs(scored.raw), equal_nan=True)
