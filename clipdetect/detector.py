"""Components for all keys: features, change-point detector, estimator and threshold over arrays.

The detector owns the state: one set of named arrays, first axis the key's slot. It gives each row
its slot, grows the arrays when keys or columns come, and calls each component once per block.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
import numpy as np

from clipdetect import arrays, opening
from clipdetect.blocks import block_of, copies, padded, seed_of
from clipdetect.components import (
    ChangePointDetector,
    Component,
    Params,
    Rows,
    State,
    child_state,
)
from clipdetect.derive import Inputs, Place
from clipdetect.jit import Engine, EngineName
from clipdetect.journal import Journal, Mark
from clipdetect.keys import SOLE_KEY, KeyTable
from clipdetect.numerics.gates import carry, correct, gate
from clipdetect.parts import Parts, bind, component
from clipdetect.plan import Asked, Choose, First, Plan, plan
from clipdetect.scored import Scored, joined

MODEL = ("estimator", "threshold")  # the stages that a plan chooses
BLOCK = 8192  # rows a kernel call handles at most; bounds the slots that wait to be given out again
WIDE = 1 << 19  # numbers likewise, so that many fields take no more memory


class Detector:
    """Scores rows of numbers, one model per key, and learns from each after scoring it.

    Parameters
    ----------
    estimator, threshold, changepoint, features : a name, `name:param=value,...`, a mapping as in the
        YAML file, or an instance. Where estimator or threshold is None, they are chosen as the command
        chooses them, by columns, keys and features: `level` and `tail` for one column or with keys,
        `horizons` for several columns; the table is in `clipdetect/plan.py`, and `plan` says which and why.
    hidden : names or patterns of derived columns that only other features take.
    fields : names of the columns; found from the first rows (`c1`, `c2`, ...) if None.
    rate : wanted share of flagged records on clean data, in (0, 1).
    warmup : raw scores a key must have given before it is scored, >= 8.
    max_keys : live keys at most; the least recently used one is evicted.
    rebase : a declared change point restarts the key's estimator.
    labelled : `step` will be given labels. feedback : they move the limit of their key.
    bands : also compute low and high.
    seed : of every random choice.
    engine : `auto`, `python` or `numba`; the result is the same.
    choose : what makes the plan of what the first rows show; the other arguments do if None.

    Raises ValueError on bad parameters. Memory: the components' arrays for the live keys.
    """

    def __init__(
        self,
        estimator: Any = None,
        threshold: Any = None,
        *,
        changepoint: Any = None,
        features: Sequence[Any] = (),
        hidden: Sequence[str] = (),
        fields: Sequence[str] | None = None,
        rate: float = 0.001,
        warmup: int = 32,
        max_keys: int = 100_000,
        rebase: bool = False,
        labelled: bool = False,
        feedback: bool = False,
        bands: bool = False,
        seed: int = 0,
        engine: EngineName | Engine = "auto",
        choose: Choose | None = None,
    ) -> None:
        if not 0.0 < rate < 1.0:
            raise ValueError(f"rate must be between 0 and 1, got {rate}")
        if warmup < 8:
            raise ValueError(f"warmup must be at least 8, got {warmup}")
        self.engine = engine if isinstance(engine, Engine) else Engine(engine)
        chosen = {"estimator": estimator, "threshold": threshold}
        chosen = {name: each for name, each in chosen.items() if each is not None}
        asked = Asked(features=tuple(features), fields=tuple(fields or ()), **chosen)
        self._choose = choose or partial(plan, asked, None)
        self.first, self.kept = First(), opening.nothing()
        params = Params(self.engine, float(rate), int(warmup), labelled=labelled)
        self.take(Parts.of(self._choose(self.first), params, max_keys, hidden))
        self.changepoint = None if changepoint is None else component("changepoint", changepoint, ChangePointDetector)
        self.rebase, self.bands, self.seed, self.feedback = rebase, bands, seed, feedback
        self.keys = KeyTable(max_keys)
        self.base: list[str] = []  # columns that the caller hands in
        self.columns: list[str] = []  # those watched and the derived ones, in order of appearance
        self.state: State = {}
        self.shared: State = {}
        self.capacity: dict[str, int] = {}  # rows of the arrays, by table: "" is the model's
        self.arrays_of: dict[str, list[str]] = {}  # names of the arrays, by table
        self._viewed: State | None = None
        self._views: dict[str, State] = {}
        self.paces_engine = True  # whether it starts the compiler itself, when that pays
        self.journal = Journal(self)
        self._fields_given = fields is not None
        for each in self.stages().values():
            each.check(self.params)
        if fields is not None:
            self.open_columns(fields)

    def stages(self) -> dict[str, Component]:
        """Every component by the prefix of its arrays."""
        stages: dict[str, Component] = dict(self.features.stages())
        if self.changepoint is not None:
            stages["changepoint"] = self.changepoint
        return {**stages, "estimator": self.estimator, "threshold": self.threshold}

    def tables(self) -> dict[str, KeyTable]:
        """Every key table by name: "" is the model's, the others belong to features."""
        return {"": self.keys, **self.features.tables}

    def table_of(self, array: str) -> str:
        """The table whose slots are the rows of an array."""
        stage = self.features.stages().get(array.partition("/")[0])
        return "" if stage is None else stage.per

    def news(self) -> list[str]:
        """What components have to tell people of what has happened so far."""
        return [text for prefix, stage in self.stages().items() for text in stage.news(self._view(prefix))]

    def lacks(self) -> list[str]:
        """What components still need from the fields seen so far, a message each."""
        found = [(prefix, stage.lacks()) for prefix, stage in self.stages().items()]
        return [f"{prefix}: {text}" for prefix, text in found if text]

    # -- the plan -----------------------------------------------------------------------------

    def replan(self, choose: Choose) -> None:
        """Choose the plan in another way; before the first row, or on going on from a state."""
        self._choose = choose
        self.take(self.parts.by(choose(self.first)))
        if self.state:
            self.open_columns(self.base)

    def take(self, parts: Parts) -> None:
        """Judge by these from here on; they are to be bound next."""
        self.parts = parts
        self.plan, self.features, self.estimator, self.threshold, self.params = msgspec.structs.astuple(parts)

    def _settle(self, plan: Plan) -> None:
        """The plan is made: its model learns the rows that were kept."""
        before, kept = self.parts, self.kept
        self.take(before.by(plan))
        if not self.parts.are(before):
            self.journal.arrays()
            self.state = {name: each for name, each in self.state.items() if name.partition("/")[0] not in MODEL}
            self.shared = {name: each for name, each in self.shared.items() if name.partition("/")[0] not in MODEL}
            self.open_columns(self.base)
            self._begin(MODEL, "", list(self.keys.slot_of.values()))
        slot = self.keys.slot_of.get(SOLE_KEY)
        if len(kept.X) and slot is not None:
            learned = replace(kept, X=opening.hidden(kept.X, self.columns, plan, 0))
            self._score(np.full(len(kept.X), slot), learned)
        self.kept = opening.nothing()

    # -- columns and rows of the state --------------------------------------------------------

    def open_columns(self, fields: Sequence[str]) -> None:
        """Add columns; `fields` starts with those that are open already."""
        if list(fields[: len(self.base)]) != self.base:
            raise ValueError(f"columns can only be added: have {self.base}, got {list(fields)}")
        self.base = list(fields)
        self.bind()
        self.resize({})

    def bind(self) -> None:
        """Tell every component the columns."""
        self.features.bind(self.base, self.params)
        for name in self.features.watched + self.features.derived:
            if name not in self.columns:
                self.columns = [*self.columns, name]
        self.params.decades = self.features.decades()
        for prefix, stage in self.stages().items():
            if not prefix.startswith("feature"):
                bind(stage, self.columns, self.params)

    def refusal(self, fields: Sequence[str]) -> str:
        """Why these columns cannot be opened, or nothing."""
        base, columns = self.base, self.columns
        try:
            self.base = list(fields)
            self.bind()
        except ValueError as error:
            return str(error)
        finally:
            self.base, self.columns = base, columns
            self.bind()
        return ""

    def resize(self, capacity: dict[str, int]) -> None:
        """Arrays for `capacity` keys a table and the open columns; what was there keeps its place."""
        self.journal.arrays()
        self.capacity = {**self.capacity, **capacity}
        spec, shared_spec = arrays.specs(self)
        tables, state = self.tables(), {}
        for name, (shape, dtype) in spec.items():
            table = self.table_of(name)
            rows = self.capacity.get(table, 0)
            used = min(rows, tables[table].capacity)
            state[name] = padded(self.state.get(name), (rows, *shape), dtype, used)
        self.state = state
        self.arrays_of = {table: [name for name in state if self.table_of(name) == table] for table in tables}
        self.shared = {
            name: padded(self.shared.get(name), shape, dtype, shape[0] if shape else 0)
            for name, (shape, dtype) in shared_spec.items()
        }

    def _view(self, prefix: str) -> State:
        """A stage's arrays under its own names; remembered until the arrays are made anew."""
        if self._viewed is not self.state:
            self._viewed, self._views = self.state, {}
        if prefix not in self._views:
            self._views[prefix] = {**child_state(self.state, prefix), **child_state(self.shared, prefix)}
        return self._views[prefix]

    # -- scoring ------------------------------------------------------------------------------

    def step(
        self,
        X: Any,
        keys: Sequence[str] | None = None,
        *,
        time: np.ndarray | None = None,
        label: np.ndarray | None = None,
        learn: np.ndarray | bool = True,
        widen: np.ndarray | None = None,
        opened: Sequence[tuple[int, int]] = (),
        fields: Sequence[str] | None = None,
        numbers: Mapping[str, np.ndarray] | None = None,
        categories: Mapping[str, np.ndarray] | None = None,
    ) -> Scored:
        """Score n rows in order, learning from each after it is scored.

        X : (n, d) or (n,) float64, NaN missing. keys : (n,) text or None. time, label : (n,) or None.
        learn : bool or (n,) bool. widen : (n,) by what raw scores are divided before they are judged, or None.
        opened : [(row, columns open from this row on)] with `fields` the
        names of all columns at the end of the block. numbers, categories : what features take, by field:
        (n,) float64, NaN missing, and (n,) int64 of `numerics.hashing.category`, -1 missing.
        """
        X = np.asarray(X, dtype=np.float64)
        X = X[:, None] if X.ndim == 1 else X
        n = len(X)
        if not self._fields_given and not self.base and fields is None:
            fields = [f"c{j + 1}" for j in range(X.shape[1])]
        names = list(fields) if fields is not None else self.base
        if not self.state:  # features alone need no column to be opened
            self.open_columns(self.base)
        if X.shape[1] != len(names):
            raise ValueError(f"X has {X.shape[1]} columns, the detector {len(names)}: {', '.join(names)}")
        if keys is not None and len(keys) != n:
            raise ValueError(f"{n} rows but {len(keys)} keys")
        rows = block_of(X, time, label, learn, widen)
        if not opened and len(names) > len(self.base):
            opened = [(0, len(names))]
        inputs = Inputs(copies(numbers, np.float64), copies(categories, np.int64))
        parts, start = [], 0
        for stop, columns in [*opened, (n, len(names))]:
            size = min(BLOCK, WIDE // max(columns, 1) + 1)
            for at in range(start, stop, size):
                end = min(at + size, stop)
                part = rows.part(at, end, len(self.base))
                own = None if keys is None else keys[at:end]
                parts.append(self._block(part, own, inputs.part(at, end)))
                if self.paces_engine:
                    self.engine.between_blocks(waiting=True, saturated=end < n)
            start = stop
            if columns > len(self.base):
                self.open_columns(names[:columns])
        return parts[0] if len(parts) == 1 else joined(parts, len(self.columns))

    def _block(self, rows: Rows, keys: Sequence[str] | None, inputs: Inputs) -> Scored:
        slots, fresh = self.keys.assign(keys, len(rows.X))
        places = self.features.places(slots, fresh, keys, inputs)
        self._make_room(places, keys is not None)
        views = {prefix: self._view(prefix) for prefix in self.features.stages()}
        alarms = self.features.derive(views, places, rows, inputs, self.base, self.columns)
        changed = since = None
        derived, waits, decided = rows.X, 0, None
        if self.plan.open:
            decided = opening.decide(self._choose, self.kept, derived, self.columns, self.base, keys is not None)
            waits = decided.waits
        rows.X = opening.hidden(derived, self.columns, decided.plan if decided else self.plan, waits)
        if self.changepoint is not None:
            changed, since = self.changepoint.step(self._view("changepoint"), slots, rows)
            if self.rebase:
                self.engine.call(carry, len(slots), slots, changed, rows.learn, self.state["pending"], rows.restart)
        done: list[Scored] = []
        if decided is not None:
            self.first, self.kept = decided.first, opening.keep(self.kept, rows, derived, decided.kept)
            if not decided.plan.open:
                self._settle(decided.plan)
        if waits:
            done.append(opening.unjudged(rows.X[:waits], self.bands))
            rows, slots = rows.part(waits, len(slots), len(self.columns)), slots[waits:]
        if len(slots) and not self.bands:
            done.append(self._score(slots, rows))
        else:  # limits move with every record, so each is asked for just before its record is learned
            done += [self._banded(slots, rows, i) for i in range(len(slots))]
        scored = done[0] if len(done) == 1 else joined(done, len(self.columns))
        scored.changed, scored.since, scored.alarms = changed, since, alarms
        return scored

    def _make_room(self, places: Mapping[str, Place], keyed: bool) -> None:
        """Rows of the arrays for every slot of a block; fresh ones are reset."""
        wanted = {}
        for name, table in self.tables().items():
            have = self.capacity.get(name, 0)
            if table.capacity > have:  # grow in leaps, so that copying stays a small share
                wanted[name] = max(table.capacity, 4 * have if keyed or name else 1)
        if wanted:
            self.resize(wanted)
        self.journal.rows(places)
        for name, place in places.items():
            if place.fresh:
                self._reset(name, place.fresh)

    def _score(self, slots: np.ndarray, rows: Rows) -> Scored:
        raw, expected, scale, *share = self.estimator.step(self._view("estimator"), slots, rows)
        judged = raw if rows.widen is None else raw / rows.widen
        score, flag = self.threshold.step(self._view("threshold"), slots, self.threshold.prepared(judged), rows)
        n = len(slots)
        self.engine.call(gate, n, slots, raw, rows.learn, self.params.warmup, self.state["given"], score, flag)
        limit, moved = -math.log10(self.params.rate), self.state["moved"]
        teach = self.feedback and self.threshold.calibrated
        self.engine.call(correct, n, slots, rows.label, rows.learn, teach, limit, moved, score, flag)
        return Scored(score, flag, raw, rows.X, expected, scale, *share)

    def _banded(self, slots: np.ndarray, rows: Rows, i: int) -> Scored:
        row, slot = rows.part(i, i + 1, rows.X.shape[1]), slots[i : i + 1].copy()
        low, high = self.threshold.limits(self._view("threshold"), slot)
        if self.state["given"][slot[0]] < self.params.warmup:
            low, high = np.full(1, np.nan), np.full(1, np.nan)
        low, high = self.estimator.multiples(self._view("estimator"), slot, low, high)
        if row.widen is not None:
            low, high = low * row.widen, high * row.widen
        scored = self._score(slot, row)
        with np.errstate(over="ignore", invalid="ignore"):  # too far, or no limit times no scale: no band
            scored.low = scored.expected + low[:, None] * scored.scale
            scored.high = scored.expected + high[:, None] * scored.scale
        return scored

    def _reset(self, table: str, fresh: Sequence[int]) -> None:
        slots = np.array(fresh, np.int64)
        for name, array in self.state.items():
            if self.table_of(name) == table:
                array[slots] = 0
        self._begin([prefix for prefix in self.stages() if self.table_of(prefix) == table], table, fresh)

    def _begin(self, prefixes: Iterable[str], table: str, fresh: Sequence[int]) -> None:
        """Let stages begin with fresh keys, whose arrays are zero."""
        texts, stages = self.tables()[table].text, self.stages()
        for prefix in prefixes:
            seeds = np.array([seed_of(self.seed, prefix, texts[slot]) for slot in fresh], np.int64)
            stages[prefix].reset(self._view(prefix), np.array(fresh, np.int64), seeds)

    # -- going back, saving -------------------------------------------------------------------

    def begin(self) -> None:
        """Remember from here on what changes, so that `back` can undo it."""
        self.journal.begin()

    def mark(self) -> Mark:
        """This moment, for `back`; after `begin`."""
        return self.journal.mark()

    def back(self, mark: Mark) -> None:
        """Go back to a moment since the last `begin`; see `Journal.keep_rows` for what that takes with many keys."""
        self.journal.back(mark)

    @property
    def nbytes(self) -> int:
        """Size of the state of the live keys. [bytes]"""
        tables = self.tables()
        return sum(
            array.nbytes // max(len(array), 1) * len(tables[self.table_of(name)]) for name, array in self.state.items()
        )

    @property
    def evicted(self) -> int:
        """Keys and entities that were dropped to make room."""
        return sum(table.evicted for table in self.tables().values())

    def dump(self) -> tuple[dict[str, Any], list[str], dict[str, np.ndarray]]:
        """Everything to save: a JSON-able head, the key texts (least recently used first), the arrays."""
        if not self.state:
            self.open_columns(self.base)
        head, texts, saved = arrays.dump(self)
        return {**head, "first": self.first.dump()}, texts, {**saved, **opening.dump(self.kept)}

    def load(self, head: dict[str, Any], texts: Sequence[str], saved: dict[str, np.ndarray]) -> None:
        """Continue from a `dump`; of more keys than `max_keys`, the most recently used are kept.

        Raises ValueError where the arrays are not those of these components.
        """
        self.first, self.kept = First.load(head["first"]), opening.load(saved)
        self.take(self.parts.by(self._choose(self.first)))
        arrays.load(self, head, texts, {name: each for name, each in saved.items() if not opening.is_kept(name)})
