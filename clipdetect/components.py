"""The contracts of what is pluggable: feature, change-point detector, estimator, threshold.

All models of all keys live in one set of named arrays whose first axis is the key's slot. A
component declares its arrays in `state_spec`, the detector allocates them and calls `step` once per
block with one slot number per row. A row of zeros is a fresh key, and zero padding along the field
axes is a column never seen, so that arrays grow without the component's help. A new component is
one file: a class here subclassed, its kernel beside it, its docstring its documentation.

A kernel has the shape `step(rows, parameters, state, out[, scratch])`, each a NamedTuple of arrays and
numbers, so that none is told apart by its position alone; its helpers take `(state, k)`, or the few
arrays they need.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from clipdetect.jit import Engine, Kernel

State = dict[str, np.ndarray]
Spec = dict[str, tuple[tuple[int, ...], Any]]
RawKind = Literal["residual", "distance", "level"]
UNREADABLE = 1e150  # a value this large or larger is skipped like a missing one: its square would overflow


@dataclass(slots=True)
class Rows:
    """One block of records as plain arrays, all C-contiguous and writable; kernels get the arrays.

    X : (n, d) float64, NaN where missing.
    time : (n,) float64, epoch seconds or NaN.
    label : (n,) float64, 0, 1 or NaN; to be used after scoring only.
    learn : (n,) bool, whether the record may change the state.
    restart : (n,) bool, whether the key's estimator starts afresh with this row.
    widen : (n,) float64, by how much a raw score is divided before it is judged, or None for 1.
    """

    X: np.ndarray
    time: np.ndarray
    label: np.ndarray
    learn: np.ndarray
    restart: np.ndarray
    widen: np.ndarray | None = None

    def part(self, start: int, stop: int, columns: int) -> Rows:
        """Rows `start` to `stop`, the first `columns` fields, contiguous."""
        return Rows(
            np.ascontiguousarray(self.X[start:stop, :columns]),
            self.time[start:stop],
            self.label[start:stop],
            self.learn[start:stop],
            self.restart[start:stop],
            None if self.widen is None else self.widen[start:stop],
        )

    def arrays(self, slots: np.ndarray) -> RowArrays:
        """The rows as a kernel takes them; slots (n,) int64: the row of the state that is the record's key."""
        return RowArrays(self.X, slots, self.time, self.label, self.learn, self.restart)

    def of(self, index: np.ndarray | None) -> Rows:
        """The rows at `index` (None: all), without X, for features."""
        X = np.empty((len(self.time) if index is None else len(index), 0))
        if index is None:
            return Rows(X, self.time, self.label, self.learn, self.restart)
        return Rows(X, self.time[index], self.label[index], self.learn[index], self.restart[index])


class RowArrays(NamedTuple):
    """A block of records in a kernel."""

    X: np.ndarray  # (n, d) float64, NaN where missing
    slots: np.ndarray  # (n,) int64, the record's key
    time: np.ndarray  # (n,) float64, epoch seconds or NaN
    label: np.ndarray  # (n,) float64, 0, 1 or NaN; to be used after scoring only
    learn: np.ndarray  # (n,) bool, whether the record may change the state
    restart: np.ndarray  # (n,) bool, whether the key's estimator starts afresh with this record


class RawArrays(NamedTuple):
    """A block of raw scores in a threshold's kernel."""

    raw: np.ndarray  # (n,) float64, NaN where the estimator has no opinion
    slots: np.ndarray  # (n,) int64, the record's key
    learn: np.ndarray  # (n,) bool, whether the record may change the state


class Estimates(NamedTuple):
    """What an estimator's kernel says of a block: `Estimator.step` returns it."""

    raw: np.ndarray  # (n,) float64, NaN where it has no opinion yet
    expected: np.ndarray  # (n, d) float64, in the field's unit; NaN where none
    scale: np.ndarray  # (n, d) float64, in the field's unit; NaN where none

    @classmethod
    def none(cls, rows: Rows) -> Estimates:
        """No opinion on any of the rows."""
        n, d = rows.X.shape
        return cls(np.full(n, np.nan), np.full((n, d), np.nan), np.full((n, d), np.nan))


class Shares(NamedTuple):
    """The same with the share of each field."""

    raw: np.ndarray  # (n,)
    expected: np.ndarray  # (n, d)
    scale: np.ndarray  # (n, d)
    share: np.ndarray  # (n, d) float64, of a field in the raw score, 0 to 1; NaN where none

    @classmethod
    def none(cls, rows: Rows) -> Shares:
        """No opinion on any of the rows."""
        return cls(*Estimates.none(rows), np.full(rows.X.shape, np.nan))


class Changes(NamedTuple):
    """What a change-point detector's kernel says of a block: `ChangePointDetector.step` returns it."""

    changed: np.ndarray  # (n,) bool
    since: np.ndarray  # (n,) int64, how many of the key's records ago

    @classmethod
    def none(cls, n: int) -> Changes:
        """No change in n records."""
        return cls(np.zeros(n, bool), np.zeros(n, np.int64))


class Verdicts(NamedTuple):
    """What a threshold's kernel says of a block: `Threshold.step` returns it."""

    score: np.ndarray  # (n,) float64, NaN where none
    flag: np.ndarray  # (n,) int8: 0 clear, 1 flag, 2 abstained

    @classmethod
    def none(cls, n: int) -> Verdicts:
        """No score and no flag for n records."""
        return cls(np.full(n, np.nan), np.zeros(n, np.int8))


class NoArrays(NamedTuple):
    """The state of a component that keeps nothing."""


@dataclass(slots=True)
class Params:
    """What a component is told of the run when it is bound.

    rate : wanted share of flagged records on clean data, in (0, 1).
    warmup : raw scores a key must have given before it is scored; the detector holds it.
    raw_kind : what the estimator's raw score is; for thresholds.
    decades : names of columns that are -log10 of a probability already.
    labelled : whether records come with the truth (`--label`).
    steady : whether the estimator's raw scores keep one unit by themselves; for thresholds.
    """

    engine: Engine = field(default_factory=Engine)
    rate: float = 0.001
    warmup: int = 32
    raw_kind: RawKind = "residual"
    decades: Sequence[str] = ()
    labelled: bool = False
    steady: bool = False


@dataclass(frozen=True)
class Table:
    """Records of a file that a component is given as a parameter: `reference=pool.csv`.

    names : (d,) the numeric fields. X : (n, d) float64, NaN missing. source : its path, or what it is.
    digest : of the content, so that a saved state knows whether it is still the same.
    """

    names: tuple[str, ...]
    X: np.ndarray
    source: str = ""
    digest: str = ""

    def columns(self, fields: Sequence[str]) -> np.ndarray:
        """(n, len(fields)) float64, NaN where the table has no such field."""
        place = {name: j for j, name in enumerate(self.names)}
        found = np.full((len(self.X), len(fields)), np.nan)
        for j, name in enumerate(fields):
            if name in place:
                found[:, j] = self.X[:, place[name]]
        return found


class Component:
    """Named arrays per key and a `step` over blocks.

    The constructor takes the component's own parameters as keywords, each with a type annotation
    and a default, stores each under its name, and raises ValueError on a bad value. A parameter
    annotated with a component class is built by the registry from the nested spec; its arrays
    appear as `child/name`. One annotated with `Table` is read from the file named.

    state_class : NamedTuple of its arrays per key, for its kernels: the names of `state_spec`, in that order.
    shared_class : likewise of `shared_spec`.
    """

    kind: ClassVar[str]
    state_class: type[Any] = NoArrays
    shared_class: type[Any] = NoArrays
    fields: Sequence[str] = ()
    params: Params

    def bind(self, fields: Sequence[str], params: Params) -> None:
        """Learn the field names and the run's settings: once, and again when a column opens.

        Raises ValueError where fields and parameters do not go together.
        """
        self.fields = tuple(fields)
        self.params = params
        for child in self.children().values():
            child.bind(fields, params)

    def check(self, params: Params) -> None:
        """Raise ValueError where the run cannot give what it needs; once, before the first record."""
        for child in self.children().values():
            child.check(params)

    def lacks(self) -> str:
        """What it still needs from the fields seen so far, for people; empty where nothing."""
        return "; ".join(filter(None, (child.lacks() for child in self.children().values())))

    def children(self) -> dict[str, Component]:
        """Nested components by parameter name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Component)}

    def news(self, state: State) -> list[str]:
        """What people should know of what has happened; each new sentence is told once. Reads only."""
        return [text for name, child in self.children().items() for text in child.news(child_state(state, name))]

    def state_spec(self, n_features: int) -> Spec:
        """Arrays per key: name -> (shape, dtype); field axes last."""
        return {}

    def shared_spec(self, n_features: int) -> Spec:
        """Arrays that all keys read, once; part of the checkpoint."""
        return {}

    def reset(self, state: State, slots: np.ndarray, seeds: np.ndarray) -> None:
        """Make `slots` fresh keys. The detector has zeroed their rows; override to do more.

        seeds : (len(slots),) int64 below 2**31, from the run's seed, component and key text.
        """
        for name, child in self.children().items():
            child.reset(child_state(state, name), slots, seeds)

    def state_arrays(self, state: State) -> Any:
        """Its own arrays per key as its kernels take them, a `state_class`."""
        return self.state_class(*[state[name] for name in self.state_class._fields])

    def shared_arrays(self, state: State) -> Any:
        """The arrays that all keys read as its kernels take them, a `shared_class`."""
        return self.shared_class(*[state[name] for name in self.shared_class._fields])

    def run(self, kernel: Kernel, rows: int, *args: Any) -> Any:
        """Call a kernel on the run's engine."""
        return self.params.engine.call(kernel, rows, *args)


def full_spec(component: Component, n_features: int, shared: bool = False) -> Spec:
    """A component's arrays with those of its nested components, as `child/name`."""
    spec = dict(component.shared_spec(n_features) if shared else component.state_spec(n_features))
    for name, child in component.children().items():
        spec.update({f"{name}/{key}": value for key, value in full_spec(child, n_features, shared).items()})
    return spec


def child_state(state: State, name: str) -> State:
    """The arrays of the nested component `name`, under their own names."""
    prefix = name + "/"
    return {key[len(prefix) :]: array for key, array in state.items() if key.startswith(prefix)}


class Input(NamedTuple):
    """What a feature takes from a record.

    kind : `number` (float64, NaN missing) or `category` (int64 of `hashing.category`, -1 missing).
        The category `shape(NAME)` is that of the text NAME without its variable parts.
    """

    field: str
    kind: Literal["number", "category"]


class Feature(Component):
    """Makes columns from records, with state per key, or per value of a field within a key.

    per : a field; the state is kept per value of it (`per=client`) instead of per key, and records
        without it get NaN.
    timed : whether it needs `rows.time`; `--time`, or a format with a time of its own.
    replaces : whether a field it takes is no longer watched itself.
    alarms : whether a finite value is a flag by itself; its columns do not go to the estimator.
    upward : whether only large values of its columns are strange. decades : whether they are -log10 of
    a probability.
    """

    kind = "feature"
    scale_free: ClassVar[bool] = False  # mostly: a count, a logarithm or an hour has its own unit
    timed: bool = False
    alarms: ClassVar[bool] = False
    upward: ClassVar[bool] = False
    decades: ClassVar[bool] = False
    per: str = ""
    replaces: bool = False

    def inputs(self) -> list[Input]:
        """What `step` is handed, in this order; known once it is bound, and only ever added to."""
        raise NotImplementedError

    def names(self) -> list[str]:
        """Names of the m columns it makes; known once it is bound, and only ever added to."""
        raise NotImplementedError

    def step(self, state: State, slots: np.ndarray, columns: Sequence[np.ndarray], rows: Rows) -> np.ndarray:
        """(n, m) float64, NaN where it has nothing to say.

        columns : one (n,) array per input. rows : X is empty here; time, learn and label are as ever.
        A row is judged by what came before it, and by itself: a rate counts the row, a rarity does not.
        """
        raise NotImplementedError

    def watches(self) -> list[str]:
        """Shell-style patterns of fields that are to be opened as base columns for it."""
        return []

    def shown(self, column: int, value: float) -> float:
        """A column's value as it is told to people: a count where the column is its logarithm."""
        return value

    def say(self, column: int, value: float, expected: float, texts: Mapping[str, str]) -> str:
        """One column's value in words: `14 failed logins a minute from 10.0.0.9, usually 0.2`.

        expected : NaN where there is none. texts : by input field, and `per`, what the record says.
        """
        raise NotImplementedError


class ChangePointDetector(Component):
    """Says that the normal itself has changed."""

    kind = "changepoint"

    def step(self, state: State, slots: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """changed (n,) bool and since (n,) int64: how many of the key's records ago."""
        raise NotImplementedError


class Estimator(Component):
    """Learns on line; says how strange each row is, and what it had expected.

    raw_kind : `residual` (signed, around 0, |raw| is the strangeness), `distance` (>= 0, 0 = as
        expected) or `level` (any location, higher = stranger).
    takes_decades : whether columns that are -log10 of a probability already are evidence to it as they are.
    steady : whether raw scores keep one unit by themselves, through all that they have adapted to, so that a
        threshold has to follow their law slowly only, and a burst of high ones can stand out for as long as it lasts.
    """

    kind = "estimator"
    raw_kind: RawKind = "residual"
    steady: bool = False
    takes_decades: bool = False

    def step(self, state: State, slots: np.ndarray, rows: Rows) -> tuple[np.ndarray, ...]:
        """raw (n,), expected (n, d), scale (n, d), all before the row is learned, and maybe share (n, d).

        NaN in raw = no opinion yet; NaN in expected or scale = none. share : of each field in the raw
        score, 0 to 1, by which `why` is then ordered instead of by (value - expected) / scale.
        """
        raise NotImplementedError

    def multiples(
        self, state: State, slots: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What raw limits low, high (n,) mean in units of a field's scale; for `--bands`.

        Override where the raw score is not (value - expected) / scale of the one field.
        """
        return low, high


class Threshold(Component):
    """Learns the tail of the raw scores; gives the calibrated score and the decision.

    takes : the raw kinds it understands; a residual becomes |raw| for those that do not take it.
    shares_budget : whether flags of one key depend on those of others; scores never do.
    abstains : whether it ever leaves a record undecided. calibrated : whether 10^-score is a probability.
    """

    kind = "threshold"
    shares_budget: bool = False
    abstains: bool = False
    calibrated: bool = True
    takes: tuple[RawKind, ...] = ("residual", "distance", "level")

    @property
    def signed(self) -> bool:
        """Whether the raw scores are residuals, signed and around 0."""
        return self.params.raw_kind == "residual"

    def prepared(self, raw: np.ndarray) -> np.ndarray:
        """The raw scores in a kind this threshold takes."""
        if self.signed and "residual" not in self.takes:
            return np.asarray(np.abs(raw))
        return raw

    def step(self, state: State, slots: np.ndarray, raw: np.ndarray, rows: Rows) -> tuple[np.ndarray, np.ndarray]:
        """score (n,) float64, NaN where none, and flag (n,) int8: 0 clear, 1 flag, 2 abstained."""
        raise NotImplementedError

    def limits(self, state: State, slots: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """low, high (n,): the raw scores at which it would flag now, NaN where it has none."""
        nothing = np.full(len(slots), np.nan)
        return nothing, nothing.copy()
