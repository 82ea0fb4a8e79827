"""The laws that every component keeps, as one call for yours: `check_component(MyEstimator)`.

from clipdetect.testing import check_component

def test_my_estimator_keeps_the_laws():
    check_component(MyEstimator, window=50)
"""

from __future__ import annotations

import inspect
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from clipdetect import registry, state
from clipdetect.components import ChangePointDetector, Component, Estimator, Feature, Threshold
from clipdetect.detector import Detector
from clipdetect.jit import EngineName, available
from clipdetect.numerics.hashing import category
from clipdetect.scored import Scored

Make = Callable[..., Detector]
NASTY = (0.0, -0.0, 5e-324, 1e-300, 1.7e308, -1.7e308, 1e150, np.inf, -np.inf, np.nan, 1.0, 1.0, 1.0 + 2.3e-16)


def check_component(component: type[Component], *, compiled: bool = True, **params: Any) -> None:
    """Assert every law on a component class with these parameters.

    compiled : also compare the engines, which compiles the component's kernels (seconds).
    Raises AssertionError naming the law that is broken, and where a number differs its row and both values.
    """
    make = _maker(_factory(component), params)
    for law in laws(component):
        if compiled or law not in (engines_agree, long_streams_agree):
            try:
                law(make)
            except AssertionError as error:
                raise AssertionError(f"{law.__name__}: {error}") from error
    parameters_are_documented(component)


def laws(component: type[Component]) -> list[Callable[[Make], None]]:
    """The laws that concern a class of component, each a function of a detector factory."""
    common: list[Callable[[Make], None]] = [
        cuts_change_nothing,
        restored_is_as_never_stopped,
        keys_do_not_touch_each_other,
        missing_is_skipped,
        not_learning_changes_nothing,
        unseen_columns_add_nothing,
        engines_agree,
        state_is_bounded,
    ]
    units: list[Callable[[Make], None]] = [scores_are_in_order, units_do_not_matter, equal_values_have_no_unit]
    return [*common, *(units if getattr(component, "scale_free", True) else []), long_streams_agree]


def _factory(component: type[Component]) -> Callable[..., Component]:
    """What makes one: of a registered component the registry, which builds nested ones too."""
    name = registry.name_of(component) if issubclass(component, Component) else ""
    if not name or name not in registry.names(component.kind):
        return component
    return lambda **params: registry.build(component.kind, {name: params})


def _maker(component: Callable[..., Component], params: dict[str, Any]) -> Make:
    def make(engine: EngineName = "python", **more: Any) -> Detector:
        part = component(**params)
        more = {"labelled": True, **more}
        if isinstance(part, Estimator):
            return Detector(part, "tail", engine=engine, **more)
        if isinstance(part, Threshold):
            return Detector("zscore", part, engine=engine, **more)
        if isinstance(part, ChangePointDetector):
            return Detector("zscore", "tail", changepoint=part, rebase=True, engine=engine, **more)
        assert isinstance(part, Feature), f"{part} is no component"
        return Detector("zscore", "tail", features=[part], engine=engine, **more)

    return make


def stream(n: int = 400, d: int = 2, seed: int = 0) -> np.ndarray:
    """(n, d) rows with spikes, a shift, a scale change, ties, gaps and a constant stretch."""
    rng = np.random.default_rng(seed)
    X = rng.standard_t(3, (n, d))
    X[n // 4 : n // 3] = np.round(X[n // 4 : n // 3])
    X[n // 2 :] += 20.0
    X[3 * n // 4 :] *= 3.0
    X[n // 3 : n // 3 + 30, 0] = 1.0
    X[rng.random((n, d)) < 0.03] = np.nan
    X[rng.random((n, d)) < 0.02] += 40.0
    X[n // 5] = np.nan
    return X


def feed(detector: Detector, X: np.ndarray, first: Any = 0, keys: Any = None, learn: bool = True) -> Scored:
    """Hand rows to a detector, with what its features take made from the rows themselves.

    first : number of the first row in its stream, or (n,) numbers; the times, some of which are equal
    or step back, depend on it. A row without a value in the first column has no time, number or category,
    and no label either.
    """
    index = np.asarray(first) if np.ndim(first) else np.arange(first, first + len(X))
    value = np.where(np.abs(X[:, 0]) < 1e15, X[:, 0], np.nan)
    time = np.where(np.isnan(value), np.nan, 1.7e9 + 5.0 * index - 12.0 * (index % 11 == 4) - 5.0 * (index % 7 == 2))
    label = np.where(np.isnan(value) | (index % 5 == 3), np.nan, value > 3.0)
    numbers, categories = detector.features.wanted()
    numbers = [name for name in numbers if name not in detector.base]

    def hashes(name: str) -> np.ndarray:
        kinds = np.round(np.nan_to_num(value) / (1 + len(name)))
        found = [category(f"{name}={kind:g}") for kind in kinds]
        return np.where(np.isnan(value), -1, np.array(found, np.int64))

    return detector.step(
        X,
        keys,
        time=time,
        label=label,
        learn=learn,
        numbers=dict.fromkeys(numbers, value),
        categories={n: hashes(n) for n in categories},
    )


def _same(a: np.ndarray | None, b: np.ndarray | None) -> bool:
    if a is None or b is None:
        return a is b
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def _assert_equal(a: np.ndarray | None, b: np.ndarray | None, problem: str) -> None:
    """Both bit for bit the same; else the first row that differs is named, with both values."""
    if _same(a, b):
        return
    if a is None or b is None or a.shape != b.shape or a.dtype != b.dtype:
        kinds = ["nothing" if each is None else f"{each.dtype} {each.shape}" for each in (a, b)]
        raise AssertionError(f"{problem}: {kinds[0]} for {kinds[1]}")
    a, b = np.atleast_1d(a), np.atleast_1d(b)
    row = next(i for i in range(len(a)) if a[i].tobytes() != b[i].tobytes())
    raise AssertionError(f"{problem}: in row {row} {a[row].tolist()!r} for {b[row].tolist()!r}")


def _assert_same(a: Scored, b: Scored, law: str) -> None:
    for name in Scored.__slots__:
        left, right = getattr(a, name), getattr(b, name)
        if left is not None and left.dtype == np.float64:
            left, right = np.where(np.isnan(left), np.nan, left), np.where(np.isnan(right), np.nan, right)
        _assert_equal(left, right, f"{law}: {name} differs")


def _state(detector: Detector) -> dict[str, bytes]:
    _, _, arrays = detector.dump()
    return {name: array.tobytes() for name, array in arrays.items()}


def _assert_same_state(one: Detector, other: Detector, problem: str) -> None:
    """Both keep the same arrays; else the first that differs is named, with its row and both values."""
    (_, _, mine), (_, _, theirs) = one.dump(), other.dump()
    assert mine.keys() == theirs.keys(), f"{problem}: {sorted(mine.keys() ^ theirs.keys())}"
    for name, array in mine.items():
        _assert_equal(array, theirs[name], f"{problem}: {name}")


def _in_parts(detector: Detector, X: np.ndarray, cuts: list[int], keys: list[str] | None = None) -> Scored:
    edges = [0, *cuts, len(X)]
    parts = [feed(detector, X[a:b], a, None if keys is None else keys[a:b]) for a, b in pairwise(edges) if b > a]
    whole = [[getattr(part, name) for part in parts] for name in Scored.__slots__]
    return Scored(*[None if each[0] is None else np.concatenate(each) for each in whole])  # type: ignore[arg-type]


def cuts_change_nothing(make: Make) -> None:
    """Law 1: where the stream is cut into blocks changes no bit."""
    X = stream()
    one, many = make(), make()
    cuts = sorted(np.random.default_rng(1).choice(np.arange(1, len(X)), 60, replace=False).tolist())
    _assert_same(feed(one, X), _in_parts(many, X, cuts), "a cut of the stream changed the result")
    _assert_same_state(one, many, "a cut of the stream changed the state")


def restored_is_as_never_stopped(make: Make) -> None:
    """Law 2: save to a file, load into a fresh detector, continue = never having stopped."""
    X = stream()
    whole, first, second = make(), make(), make()
    expected = feed(whole, X)
    feed(first, X[:230])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "state")
        state.save(path, *first.dump())
        second.load(*state.load(path))
    rest = feed(second, X[230:], 230)
    _assert_same(_in_parts(make(), X, [230]), expected, "a cut of the stream changed the result")
    _assert_equal(rest.score, expected.score[230:], "the score differs after a restore")
    _assert_same_state(second, whole, "the state differs after a restore")


def keys_do_not_touch_each_other(make: Make) -> None:
    """Law 3: interleaved keys get what each gets alone."""
    rng = np.random.default_rng(2)
    streams = {f"k{i}": stream(150, seed=i) * 10.0**i for i in range(3)}
    order = rng.permutation(np.repeat(list(streams), 150))
    place = dict.fromkeys(streams, 0)
    X, index = np.empty((len(order), 2)), np.empty(len(order))
    for i, key in enumerate(order):
        X[i], index[i] = streams[key][place[key]], place[key]
        place[key] += 1
    mixed = feed(make(), X, index, order.tolist())
    for key, own in streams.items():
        alone = feed(make(), own, 0, [key] * len(own))
        _assert_equal(mixed.score[order == key], alone.score, f"key {key} is scored otherwise among others")
        if not make().threshold.shares_budget:
            _assert_equal(mixed.flag[order == key], alone.flag, f"key {key} is flagged otherwise among others")


def missing_is_skipped(make: Make) -> None:
    """Law 5: a record with nothing readable gets no score, teaches nothing and spreads nowhere."""
    X = stream()
    detector = make()
    feed(detector, X)
    before = _state(detector)
    nothing = feed(detector, np.full((5, 2), np.nan), len(X))
    assert np.isnan(nothing.score).all() and not nothing.flag.any(), "a record without numbers was scored"
    after = _state(detector)
    changed = [name for name in before if before[name] != after[name]]
    assert not changed, f"a record without numbers changed the state: {changed}"
    readable = feed(detector, X[-20:], len(X))
    assert np.isfinite(readable.score[np.isfinite(X[-20:]).all(axis=1)]).all(), "a missing value spread to later scores"


def not_learning_changes_nothing(make: Make) -> None:
    """Law 8: `learn` false leaves the state bit-equal; the inputs are never modified."""
    X = stream()
    detector = make()
    feed(detector, X)
    before, copy = _state(detector), X.copy()
    feed(detector, X, len(X), learn=False)
    assert _state(detector) == before, "a record that must not be learned changed the state"
    _assert_equal(X, copy, "the input was modified")
    first, second = feed(make(), X), feed(make(), X)
    _assert_same(first, second, "the same input and seed gave another result")


def unseen_columns_add_nothing(make: Make) -> None:
    """A column in which a key never had a number changes nothing for that key."""
    X = stream(d=1)
    narrow = feed(make(fields=["a"]), X)
    wide = feed(make(fields=["a", "b"]), np.column_stack([X[:, 0], np.full(len(X), np.nan)]))
    _assert_equal(narrow.score, wide.score, "a column never seen changed the score")


def engines_agree(make: Make) -> None:
    """Law 7: interpreted and compiled kernels give the same bits, on hostile values too."""
    if not available():
        return
    rng = np.random.default_rng(3)
    hostile = stream(200)
    hostile[50:150] = rng.choice(NASTY, (100, 2))
    for X in (stream(), hostile, np.full((60, 2), 7.0)):
        interpreted, compiled = make("python"), make("numba")
        _assert_same(feed(interpreted, X), feed(compiled, X), "the engines differ")
        _assert_same_state(interpreted, compiled, "the engines leave different states")


def regimes(n: int, first: int) -> np.ndarray:
    """(first + 6 n,) one value; then rare ones, two values in turn, a ramp, a jump, counts, and many missing."""
    rng, i = np.random.default_rng(8), np.arange(n)
    parts = [
        np.full(first, 7.0),
        np.where(rng.random(n) < 0.01, 1.0, 0.0),
        i % 2 * 1.0,
        i * 1.0,
        np.where(i < n // 2, 3.0, 50.0),
        rng.poisson(0.3, n) * 1.0,
        np.where(rng.random(n) < 0.5, np.nan, rng.poisson(3.0, n)),
    ]
    return np.concatenate(parts)


def long_streams_agree(make: Make) -> None:
    """Law 7 over more records than anything remembers: no exception in either engine, and the same bits."""
    keys = {"still": regimes(800, 10_400), "lively": regimes(2_550, 0)}
    X = np.concatenate(list(keys.values()))[:, None]
    index = np.concatenate([np.arange(len(x)) for x in keys.values()])
    names = [key for key, x in keys.items() for _ in range(len(x))]
    interpreted, compiled = make("python"), make("numba" if available() else "python")
    _assert_same(
        feed(interpreted, X, index, names), feed(compiled, X, index, names), "the engines differ in the long run"
    )
    _assert_same_state(interpreted, compiled, "the engines leave different states in the long run")


def state_is_bounded(make: Make) -> None:
    """Law 6: what a component keeps depends on parameters and columns, not on how much it has seen."""
    detector = make()
    sizes = []
    for n in (300, 900):
        feed(detector, stream(n))
        sizes.append([len(pickle.dumps({**vars(part), "params": None})) for part in detector.stages().values()])
    assert sizes[0] == sizes[1], "a component grew with the stream"


def scores_are_in_order(make: Make) -> None:
    """A score is finite and >= 0, and at one moment a stranger raw score gets a higher one."""
    detector = make()
    detector.step(stream(400, 1))
    centre = detector.step(stream(1, 1, seed=9), learn=False)
    probe = float(centre.expected[0, 0]) if np.isfinite(centre.expected[0, 0]) else 0.0
    X = (probe + np.geomspace(1e-3, 1e12, 60))[:, None]
    scored = detector.step(X, learn=False)
    given = scored.score[np.isfinite(scored.score)]
    assert len(given) == 0 or (np.isfinite(given).all() and (given >= 0.0).all()), "a score is negative or infinite"
    raw = scored.raw[np.isfinite(scored.score)]
    rising = np.diff(np.abs(raw)) > 1e-3 * np.abs(raw[1:])
    assert (np.diff(given)[rising] > 0.0).all(), "a stranger record got no higher score"


def units_do_not_matter(make: Make) -> None:
    """Law 4: x -> a x + b changes no flag, and no score beyond rounding."""
    X = np.random.default_rng(4).normal(size=(600, 2))
    X[::97] += 30.0
    label = (np.arange(600) % 97 == 0).astype(float)
    plain = make().step(X, label=label)
    for a, b in ((2.0**20, 0.0), (2.0**-20, 0.0), (1.0, 1e6), (-1.0, 0.0), (1e6, 0.0)):
        moved = make().step(X * a + b, label=label)
        _assert_equal(plain.flag, moved.flag, f"x -> {a:g} x + {b:g} changed a flag")
        close = np.isclose(plain.score, moved.score, rtol=1e-3, atol=1e-4, equal_nan=True)
        row = int(np.argmin(close))
        both = f"in row {row} {plain.score[row]} for {moved.score[row]}"
        assert close.all(), f"x -> {a:g} x + {b:g} changed a score: {both}"


RUNS = {  # records and their value: steps, single others, and a long stand
    "steps": "60*3 200*4 1*14 120*4 1*-30 90*4 300*3 40*3.5 1*0 90*3.5",
    "back": "1000*0 400*3 1*0 400*1 100*0 2000*1 2000*3 400*0",
    "stand": "100*.7 9000*.1 300*.3",
}


def equal_values_have_no_unit(make: Make) -> None:
    """Law 4 on runs of equal values, both signs and three scales; by powers of two, which add no rounding."""
    each = [[run.split("*") for run in runs.split()] for runs in RUNS.values()]
    parts = [np.concatenate([np.full(int(n), float(value)) for n, value in runs]) for runs in each]
    keys = [name for name, part in zip(RUNS, parts, strict=True) for _ in part]
    alone, first = np.concatenate(parts)[:, None], parts[0]
    beside = np.column_stack([first, np.full(len(first), 7.0), np.roll(first, 30)])
    engine: EngineName = "numba" if available() else "python"
    for X, names in ((alone, keys), (beside, None)):
        label = (np.arange(len(X)) % 97 == 0).astype(float)
        plain = make(engine).step(X, names, label=label)
        for a in (-1.0, 2.0**20, -(2.0**-20)):
            moved = make(engine).step(a * X, names, label=label)
            _assert_equal(plain.flag, moved.flag, f"x -> {a:g} x changed a flag among equal values")
            close = np.isclose(plain.score, moved.score, rtol=0.02, atol=0.02, equal_nan=True)
            row = int(np.argmin(close))
            both = f"in row {row} {plain.score[row]} for {moved.score[row]}"
            assert close.all(), f"x -> {a:g} x changed a score among equal values: {both}"


def parameters_are_documented(component: type[Component]) -> None:
    """Every parameter has a type, a default and a line in the docstring."""
    text = inspect.getdoc(component) or ""
    assert text, f"{component.__name__} has no docstring"
    for name, parameter in _parameters(component):
        assert parameter.annotation is not inspect.Parameter.empty, f"parameter {name} has no type"
        assert parameter.default is not inspect.Parameter.empty, f"parameter {name} has no default"
        assert f"{name} :" in text, f"parameter {name} is not in the docstring's Parameters"


def _parameters(component: type[Component]) -> Iterator[tuple[str, inspect.Parameter]]:
    for name, parameter in inspect.signature(component).parameters.items():
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            yield name, parameter
