"""Calls features on hand-made streams, and their slow, obvious twins: the whole past kept and gone through anew."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from clipdetect import registry
from clipdetect.components import Feature, Params, Rows, State, full_spec
from clipdetect.jit import Engine, EngineName
from clipdetect.numerics.hashing import category


@dataclass
class Stream:
    """Records of several keys: numbers and categories by field, times, slots, which are learned."""

    time: np.ndarray
    numbers: dict[str, np.ndarray] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)  # "" is missing
    slots: np.ndarray | None = None
    learn: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.time)
        self.time = np.asarray(self.time, float)
        self.slots = np.zeros(n, np.int64) if self.slots is None else self.slots
        self.learn = np.ones(n, bool) if self.learn is None else self.learn

    def column(self, name: str, kind: str) -> np.ndarray:
        if kind == "number":
            return np.array(self.numbers[name], float)
        name = name.removeprefix("shape(").removesuffix(")")
        return np.array([category(text) if text else -1 for text in self.texts[name]], np.int64)


def bound(spec: Any, columns: Sequence[str] = (), engine: EngineName = "python") -> Feature:
    feature = registry.build("feature", spec)
    assert isinstance(feature, Feature)
    feature.bind(columns, Params(engine=Engine(engine)))
    return feature


def fresh(feature: Feature, keys: int) -> State:
    spec = full_spec(feature, len(feature.inputs()))
    return {name: np.zeros((keys, *shape), dtype) for name, (shape, dtype) in spec.items()}


def drive(
    feature: Feature, stream: Stream, state: State | None = None, cuts: Sequence[int] = ()
) -> tuple[np.ndarray, State]:
    """(n, m) columns and the state left behind."""
    state = fresh(feature, int(stream.slots.max()) + 1) if state is None else state
    columns = [stream.column(*each) for each in feature.inputs()]
    parts = []
    for a, b in pairwise([0, *cuts, len(stream.time)]):
        n = b - a
        rows = Rows(
            np.empty((n, 0)), stream.time[a:b].copy(), np.full(n, np.nan), stream.learn[a:b].copy(), np.zeros(n, bool)
        )
        parts.append(feature.step(state, stream.slots[a:b].copy(), [each[a:b].copy() for each in columns], rows))
    return np.concatenate(parts), state


def run(spec: Any, stream: Stream, columns: Sequence[str] = ()) -> np.ndarray:
    """The only column of a feature, (n,)."""
    out, _ = drive(bound(spec, columns), stream)
    assert out.shape[1] == 1
    return out[:, 0]


def wild(n: int = 300, keys: int = 3, seed: int = 0) -> Stream:
    """Missing values, ties, times that go back, that are missing and that jump; some records not to be learned."""
    rng = np.random.default_rng(seed)
    time = 1.7e9 + np.cumsum(np.round(rng.exponential(3.0, n), rng.integers(0, 3)) * (rng.random(n) < 0.8))
    time[rng.random(n) < 0.1] -= rng.choice([0.5, 5.0, 400.0])
    time[n // 2 : n // 2 + 40] -= 3600.0
    time[3 * n // 4 :] += 86400.0
    time[rng.random(n) < 0.03] = np.nan
    numbers = {}
    for name in "ab":
        numbers[name] = np.round(rng.lognormal(2.0, 2.0, n)) * rng.choice([1.0, 1.0, -1.0], n)
        numbers[name][rng.random(n) < 0.3] = 5.0
        numbers[name][rng.random(n) < 0.05] = np.nan
    texts = {name: [str(v) if v < 40 else "" for v in rng.zipf(1.6, n)] for name in "xyz"}
    return Stream(time, numbers, texts, rng.integers(0, keys, n), rng.random(n) < 0.95)


class Clock:
    """Times of one key's records as features see them: never back, unless sixteen in a row are late."""

    def __init__(self) -> None:
        self.now = math.nan
        self.late = 0

    def at(self, t: float) -> tuple[float, bool, int]:
        """The time of a record, whether the clock was set back for it, and how many are late in a row."""
        if math.isnan(self.now) or t >= self.now:
            return t, False, 0
        return (t, True, 0) if self.late == 15 else (self.now, False, self.late + 1)

    def learn(self, t: float) -> None:
        self.now, _, self.late = self.at(t)


@dataclass
class Past:
    """What a twin keeps of one key."""

    clock: Clock = field(default_factory=Clock)
    records: list[tuple[float, Any]] = field(default_factory=list)


def each_key(stream: Stream, values: Sequence[Any], judge: Any) -> np.ndarray:
    """A twin's answers in order. judge(past, now, back, value) -> answer; a value of None is missing.

    back: whether the clock was set back for this record.
    """
    pasts: dict[int, Past] = {}
    out = []
    for i, value in enumerate(values):
        t = float(stream.time[i])
        if value is None or math.isnan(t):
            out.append(math.nan)
            continue
        past = pasts.setdefault(int(stream.slots[i]), Past())
        now, back, _ = past.clock.at(t)
        out.append(judge(past, now, back, value))
        if stream.learn[i]:
            past.clock.learn(t)
            past.records.append((now, value))
    return np.array(out)


def rate(stream: Stream, weights: Sequence[float | None], window: float) -> np.ndarray:
    def judge(past: Past, now: float, back: bool, weight: float) -> float:
        total = weight
        if back:  # nothing of what was counted fades while the clock goes back
            past.records[:] = [(now, w * math.exp(-(past.clock.now - t) / window)) for t, w in past.records]
        return total + math.fsum(w * math.exp(-(now - t) / window) for t, w in past.records)

    return each_key(stream, weights, judge)


def windowed(stream: Stream, weights: Sequence[float | None], window: float, parts: int = 12) -> np.ndarray:
    def judge(past: Past, now: float, back: bool, weight: float) -> float:
        place = now * parts / window

        def share(t: float, number: int, left: float) -> float:
            age = number - math.floor(t * parts / window)
            return 1.0 if age < parts else left if age == parts else 0.0

        if back:
            newest = math.floor(past.clock.now * parts / window)
            past.records[:] = [(now, w * share(t, newest, 1.0)) for t, w in past.records]
        number = math.floor(place)
        return weight + math.fsum(w * share(t, number, 1.0 - (place - number)) for t, w in past.records)

    return each_key(stream, weights, judge)


def distinct(stream: Stream, values: Sequence[int | None], window: float, buckets: int) -> np.ndarray:
    def judge(past: Past, now: float, back: bool, value: int) -> float:
        last = {v % buckets: t for t, v in past.records}
        filled = {b for b, t in last.items() if abs(now - t) < window} | {value % buckets}
        return -buckets * math.log(max(buckets - len(filled), 0.5) / buckets)

    return each_key(stream, values, judge)


def interval(stream: Stream) -> np.ndarray:
    def judge(past: Past, now: float, back: bool, value: Any) -> float:
        return max(0.0, now - past.clock.now) if past.records else math.nan

    return each_key(stream, [0] * len(stream.time), judge)


def hour(stream: Stream, offset: float = 0.0, period: float = 24.0) -> np.ndarray:
    """The usual hour from all records: each moves it by its weight's share of all weights, faded."""

    def nearest(hour: float, usual: float) -> float:
        return min((hour + turn * period for turn in range(-50, 51)), key=lambda each: (abs(each - usual), each))

    def judge(past: Past, now: float, back: bool, t: float) -> float:
        usual, weights, last = math.nan, [], math.nan
        for moment, time in past.records:
            h = (time / 3600.0 + offset) % period
            gone = 0.0 if math.isnan(last) else max(0.0, moment - last)
            weights = [w * math.exp(-gone / (30 * 86400.0)) for w in weights]
            weights.append(1.0 if not weights else min(1.0, max(0.001, gone / 3600.0)))
            if math.isnan(usual):
                usual = h
            else:
                off = nearest(h, usual) - usual
                usual += weights[-1] / math.fsum(weights) * max(-period / 8, min(period / 8, off))
            last = moment
        h = (t / 3600.0 + offset) % period
        return h if math.isnan(usual) else nearest(h, usual)

    return each_key(stream, [None if math.isnan(t) else float(t) for t in stream.time], judge)


def differences(stream: Stream, values: np.ndarray, per_second: bool = False, counter: bool = False) -> np.ndarray:
    out, last = [], {}
    for i, x in enumerate(values.tolist()):
        t, k = float(stream.time[i]) if per_second else 0.0, int(stream.slots[i])
        out.append(math.nan)
        if math.isnan(x) or math.isnan(t):
            continue
        if k in last:
            before, then = last[k]
            if per_second and t == then:
                continue
            if not (counter and x < before) and t >= then:
                out[-1] = (x - before) / (t - then) if per_second else x - before
        if stream.learn[i]:
            last[k] = (x, t)
    return np.array(out)


def flatline(stream: Stream, values: np.ndarray, length: int) -> np.ndarray:
    past: dict[int, list[float]] = {}
    out = []
    for i, x in enumerate(values.tolist()):
        own = past.setdefault(int(stream.slots[i]), [])
        out.append(math.nan)
        if math.isnan(x):
            continue
        run = 1
        while run <= len(own) and own[-run] == x:
            run += 1
        if run in (length, 10 * length, 100 * length):
            out[-1] = run
        if stream.learn[i]:
            own.append(x)
    return np.array(out)


def rare(stream: Stream, values: Sequence[str], contexts: Sequence[str], half_life: float) -> np.ndarray:
    """Surprise by counting all the key's records of the context anew, each weighing half every half_life records."""
    past: dict[int, list[tuple[str, str]]] = {}
    out = []
    for i, (value, context) in enumerate(zip(values, contexts, strict=True)):
        own = past.setdefault(int(stream.slots[i]), [])
        if not (value and context):
            out.append(math.nan)
            continue
        weights = [0.5 ** (age / half_life) if half_life else 1.0 for age in range(len(own))][::-1]
        here = [(w, v) for w, (c, v) in zip(weights, own, strict=True) if c == context]
        total = math.fsum(w for w, _ in here)
        count = math.fsum(w for w, v in here if v == value)
        out.append(max(0.0, math.log10((total + 1) / (count + 0.5))))
        if stream.learn[i]:
            own.append((context, value))
    return np.array(out)


def missing(values: Mapping[int, Any] | Sequence[Any]) -> list[Any]:
    """Texts and numbers with None for what is missing."""
    return [None if v == "" or (isinstance(v, float) and math.isnan(v)) else v for v in values]
