"""Features for all keys: what they take from records, whose state they use, and the columns they make.

A feature's state belongs to the model's key, or, with `per=FIELD`, to an entity: a value of that
field within the key. Entities have key tables of their own, named by the field, so that a rate per
client can feed one model of all clients.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from clipdetect.components import Feature, Params, Rows, State
from clipdetect.errors import FieldsError
from clipdetect.keys import KeyTable
from clipdetect.numerics.categories import is_text
from clipdetect.numerics.hashing import category, joined
from clipdetect.numerics.words import matching

SEEN = 1 << 16  # hashes of key texts that are remembered


@dataclass(slots=True)
class Inputs:
    """What features take beside the watched columns: (n,) arrays by field name.

    numbers : float64, NaN missing. categories : int64 hashes, -1 missing.
    """

    numbers: Mapping[str, np.ndarray] = field(default_factory=dict)
    categories: Mapping[str, np.ndarray] = field(default_factory=dict)

    def part(self, start: int, stop: int) -> Inputs:
        """Rows `start` to `stop`."""
        return Inputs(
            {name: each[start:stop] for name, each in self.numbers.items()},
            {name: each[start:stop] for name, each in self.categories.items()},
        )


@dataclass(slots=True)
class Place:
    """Which rows of a block a group of features sees, at which slots.

    index : (m,) rows, or None for all of them. slots : (m,) int64. fresh : slots that are new.
    """

    index: np.ndarray | None
    slots: np.ndarray
    fresh: Sequence[int]


class Derivation:
    """The features of a run, in order; a later one may take what an earlier one makes.

    hidden : names or patterns of columns that are made for later features only, and not judged.
    tables : key table by `per` field; the model's own keys are not among them.
    watched : base columns that go to the estimator; derived : names of the columns made;
    alarms : names of the columns that are flags by themselves, in order of appearance, however they are named later.
    """

    def __init__(self, features: Sequence[Feature], max_keys: int, hidden: Sequence[str] = ()) -> None:
        self.features = list(features)
        self.max_keys, self.hidden = max_keys, hidden
        self.tables = {each.per: KeyTable(max_keys) for each in self.features if each.per}
        self.watched: list[str] = []
        self.derived: list[str] = []
        self.alarms: list[str] = []
        self.makers: dict[str, tuple[Feature, int]] = {}  # of each derived column and alarm
        self._base: dict[str, int] = {}
        self._hashes: dict[str, int] = {}

    def having(self, features: Sequence[Feature]) -> Derivation:
        """The same with other features, to be bound again."""
        made = Derivation(features, self.max_keys, self.hidden)
        made.tables.update({per: table for per, table in self.tables.items() if per in made.tables})
        return made

    def bind(self, base: Sequence[str], params: Params) -> None:
        """Learn the columns that are open. Raises FieldsError where two features make the same column."""
        self._base = {name: j for j, name in enumerate(base)}
        numbers = [name for name in base if not is_text(name)]
        replaced = {name for name in base if is_text(name)}
        alarms = [self.makers[name] for name in self.alarms]
        self.derived, self.makers, made = [], {}, []
        for each in self.features:
            each.bind(base if getattr(each, "texts", False) else numbers, params)
            if each.replaces:
                replaced.update(name for name, kind in each.inputs() if kind == "number")
            made += each.names()
            self.derived += [] if each.alarms else each.names()
            self.makers.update({name: (each, column) for column, name in enumerate(each.names())})
        named = {maker: name for name, maker in self.makers.items() if maker[0].alarms}
        self.alarms = [named[maker] for maker in dict.fromkeys([*alarms, *named]) if maker in named]
        self.watched = [name for name in base if name not in replaced]
        self.derived = [
            name for name in self.derived if not any(name in matching(each, [name]) for each in self.hidden)
        ]
        twice = [name for name in made if made.count(name) > 1 or name in self.watched]
        if twice:
            raise FieldsError(f"two columns are called {twice[0]!r}; give one of the features another name=")

    def stages(self) -> dict[str, Feature]:
        """Features by the prefix of their arrays."""
        return {f"feature{i}": each for i, each in enumerate(self.features)}

    def decades(self) -> list[str]:
        """Names of the columns that are -log10 of a probability."""
        return [name for feature in self.features if feature.decades for name in feature.names()]

    def wanted(self) -> tuple[list[str], list[str]]:
        """Names of the numbers and of the categories that features take, each once."""
        made: set[str] = set()
        numbers: dict[str, None] = {}
        categories: dict[str, None] = {}
        for feature in self.features:
            for name, kind in feature.inputs():
                if kind == "category":
                    categories[name] = None
                elif name not in made and not is_text(name):
                    numbers[name] = None
            made.update(feature.names())
        entities = dict.fromkeys(name for per in self.tables for name in per.split("+"))
        return list(numbers), list({**categories, **entities})

    def places(
        self, slots: np.ndarray, fresh: Sequence[int], keys: Sequence[str] | None, inputs: Inputs
    ) -> dict[str, Place]:
        """Where each group of features finds its state: by `per` field, "" being the model's key.

        keys : text of each row's key, None for one key.
        """
        found = {"": Place(None, slots, fresh)}
        own = None if keys is None or not self.tables else self._hashed(keys)
        for per, table in self.tables.items():
            values, *others = [self._column(inputs.categories, name, len(slots)) for name in per.split("+")]
            for each in others:
                values = joined(values, each)
            index = np.flatnonzero(values >= 0)
            entities = values[index] if own is None else joined(own[index], values[index])
            found[per] = Place(index, *table.assign(entities.tolist(), len(index)))
        return found

    def _hashed(self, keys: Sequence[str]) -> np.ndarray:
        if len(self._hashes) > SEEN:
            self._hashes.clear()
        for key in set(keys) - self._hashes.keys():
            self._hashes[key] = category(key)
        return np.array([self._hashes[key] for key in keys], np.int64)

    def derive(
        self,
        views: Mapping[str, State],
        places: Mapping[str, Place],
        rows: Rows,
        inputs: Inputs,
        base: Sequence[str],
        columns: Sequence[str],
    ) -> np.ndarray | None:
        """Put all columns into `rows.X`, in their places; returns those of features that flag by themselves.

        base : names of the columns that stand there. columns : of all.
        """
        if not self.features and columns == base:  # else some are texts that nothing takes
            return None
        place = {name: j for j, name in enumerate(columns)}
        full = np.full((len(rows.X), len(columns)), np.nan)
        watched = set(self.watched)
        for j, name in enumerate(base):
            if name in watched:
                full[:, place[name]] = rows.X[:, j]
        alarms = np.full((len(rows.X), len(self.alarms)), np.nan)
        for each, made in self.step(views, places, rows, inputs):
            for column, name in enumerate(each.names()):
                if each.alarms:
                    alarms[:, self.alarms.index(name)] = made[:, column]
                elif name in place:
                    full[:, place[name]] = made[:, column]
        rows.X = full
        return alarms if any(each.alarms for each in self.features) else None

    def step(
        self, views: Mapping[str, State], places: Mapping[str, Place], rows: Rows, inputs: Inputs
    ) -> Iterator[tuple[Feature, np.ndarray]]:
        """Each feature with its columns (n, m), all rows."""
        n, known = len(rows.X), dict(inputs.numbers)
        for prefix, each in self.stages().items():
            place = places[each.per]
            columns = [self._input(name, kind, rows, known, inputs.categories) for name, kind in each.inputs()]
            own = rows.of(place.index)
            if place.index is None:
                made = each.step(views[prefix], place.slots, columns, own)
            else:
                made = np.full((n, len(each.names())), np.nan)
                if len(place.index):
                    columns = [column[place.index] for column in columns]
                    made[place.index] = each.step(views[prefix], place.slots, columns, own)
            known.update(zip(each.names(), made.T, strict=True))
            yield each, made

    def _input(
        self, name: str, kind: str, rows: Rows, numbers: Mapping[str, np.ndarray], categories: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """(n,) contiguous; a number that is not handed in may be one of the base columns."""
        if kind == "number" and name not in numbers and name in self._base:
            return np.ascontiguousarray(rows.X[:, self._base[name]])
        return np.array(self._column(numbers if kind == "number" else categories, name, len(rows.X)))

    @staticmethod
    def _column(given: Mapping[str, np.ndarray], name: str, n: int) -> np.ndarray:
        if name not in given:
            raise ValueError(f"a feature takes {name!r}, which is not handed in")
        if len(given[name]) != n:
            raise ValueError(f"{name!r} has {len(given[name])} values for {n} rows")
        return given[name]
