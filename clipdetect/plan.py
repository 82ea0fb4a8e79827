"""Which model judges a run, and why: from what is asked for, the format, and the first records.

The estimator, by the first line that fits:

| asked for, watched, or seen | estimator |
| --- | --- |
| one is asked for (`-e`) | that one |
| nothing but columns of which only large values are strange (rates, rarities, pauses), no `--field` | `evidence` |
| columns of other sorts beside the fields (`--derive log`, `diff`, `hour`, ...) | `level` |
| one model a key (`--by`; keys in Python) | `level` |
| fields by name (`--field a`; `fields` in Python) | of one `level`, of more `horizons` |
| two fields have had a number | `horizons` |
| a text that repeats was found before a second number | `horizons` |
| of `FIRST` records with anything to judge, one field has had a number | `level` |
| of as many, none (texts alone) | `horizons` |
| less than that so far | `level`, which still may change |

The threshold: the one asked for (`-t`); with `evidence` `counted`; else `tail`.
The features: what the format brings where nothing else is asked for, then those asked for. Texts that repeat are
watched where the format can have them, nothing else is asked for, and the estimator knows what to do with them:
not beside a lone number, and not by key.
The fields: those asked for; else, where columns are made, what these need; else every measure. `t` and its like are
no measures where they rise evenly through the first records and there is something else to judge.

A record of the first few has no score whatever the choice: `level` and `fields` have no opinion before the 9th value
of a field, no text is watched before it has been there 8 times, and no key is scored before its warm-up. So the choice
waits for records, and nobody for the choice; what came before it is kept, and learned when it is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from clipdetect import registry
from clipdetect.clocks import LEAST_TICKS, is_epoch, may_count, rises_evenly
from clipdetect.registry import ComponentSpec

if TYPE_CHECKING:
    from clipdetect.records import Format

FIRST = 7  # records with anything to judge that the choice waits for at most
RECORDS = ("csv", "tsv", "ssv", "jsonl", "json")  # formats whose texts can be categories
CATEGORIES = ComponentSpec("categories")
EVERY = "*"  # the pattern that every field fits


class Brought(msgspec.Struct, frozen=True):
    """What records of a format are judged by, where nothing else is asked for.

    features : specs. measures : every numeric field beside them. texts : those that repeat, beside several fields.
    """

    features: tuple[str, ...] = ()
    measures: bool = False
    texts: bool = False


class Asked(msgspec.Struct, frozen=True):
    """What is asked for, by the settings of the command or the arguments of a `Detector`.

    estimator, threshold, features : specs, or instances. fields, texts : names and patterns. finds : whether texts
    that repeat are wanted, where nothing says otherwise.
    keyed : one model a key; None: the first rows tell. alone : fields, columns or a recipe are asked for, so that a
    format brings nothing. brought : what a run had from its format so far; None: what the format at hand says.
    """

    estimator: Any = ComponentSpec("level", chosen=False)
    threshold: Any = ComponentSpec("tail", chosen=False)
    features: tuple[Any, ...] = ()
    fields: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    finds: bool = True
    keyed: bool | None = None
    alone: bool = False
    brought: Brought | None = None


class First(msgspec.Struct, frozen=True):
    """What the first records with anything to judge have shown.

    records : how many there were. measures : fields that had a number and are no clock. texts : whether a text that
    repeats has come. keyed : whether they have keys. clocks : fields that hold times. rising : fields that may be a
    clock and rise evenly; unsure : likewise with too few values to say so.
    """

    records: int = 0
    measures: int = 0
    texts: bool = False
    keyed: bool = False
    clocks: tuple[str, ...] = ()
    rising: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()

    def dump(self) -> dict[str, Any]:
        """Plain JSON values."""
        found = msgspec.structs.asdict(self)
        return {name: list(each) if isinstance(each, tuple) else each for name, each in found.items()}

    @classmethod
    def load(cls, saved: Mapping[str, Any]) -> First:
        """From a `dump`."""
        known: dict[str, Any] = {name: saved[name] for name in cls.__struct_fields__}
        values: dict[str, Any] = {name: tuple(each) if type(each) is list else each for name, each in known.items()}
        return cls(**values)


class Why(msgspec.Struct, frozen=True):
    """The reasons of a plan, each a clause; empty where there is nothing to say."""

    estimator: str = ""
    threshold: str = ""
    features: str = ""
    fields: str = ""
    texts: str = ""


UNSEEN, UNSAID = First(), Why()


class Plan(msgspec.Struct, frozen=True):
    """What judges a run, and what it is given.

    estimator, threshold, features : specs, or instances as they were asked for.
    fields : names and patterns of the numbers that are watched; every : whether every measure is instead.
    texts : names and patterns of texts; finds : whether those that repeat are looked for.
    clocks : fields that turned out to be no measures.
    judged : as what the records are judged: `several fields`, `one series`, or nothing to be said of it.
    chosen : whether the estimator will stay. open : whether more records may still change anything.
    """

    estimator: Any
    threshold: Any
    features: tuple[Any, ...] = ()
    fields: tuple[str, ...] = ()
    every: bool = True
    texts: tuple[str, ...] = ()
    finds: bool = False
    clocks: tuple[str, ...] = ()
    judged: str = ""
    why: Why = UNSAID
    chosen: bool = True
    open: bool = False

    def told(self, columns: Iterable[str]) -> str:
        """In one line, with the columns that are judged."""
        names = ", ".join(name for name in columns if name not in self.clocks) or "no field yet"
        by = f"{name_of('estimator', self.estimator)}, {name_of('threshold', self.threshold)}"
        return f"judged {f'as {self.judged} ' if self.judged else ''}by {by}: {names} ({self.why.estimator})"

    def lines(self, columns: Iterable[str] = (), when: str = "before any record") -> list[str]:
        """In some lines, a part each, with the reasons. columns : that are judged, where they are known, and `when`."""
        found = {
            "estimator": name_of("estimator", self.estimator) if self.chosen else "",
            "threshold": name_of("threshold", self.threshold),
            "features": ", ".join(name_of("feature", each) for each in self.features),
            "fields": ", ".join(columns or self.fields),
            "texts": ", ".join(self.texts),
        }
        lines = [f"The plan, {when}:"]
        for part, names in found.items():
            why = getattr(self.why, part)
            lines.append(f"  {part:<9}  {names or why or 'none'}" + (f" ({why})" if names and why else ""))
        if self.clocks:
            lines.append(f"  {'clocks':<9}  {', '.join(self.clocks)} (by how they rise, so they are not watched)")
        return lines


Choose = Callable[[First], Plan]


def look(names: Sequence[str], rows: Sequence[Sequence[float]], texts: bool = False, keyed: bool = False) -> First:
    """What records show. names : of the fields. rows : each record's values, NaN missing."""
    measures = 0
    clocks: list[str] = []
    rising: list[str] = []
    unsure: list[str] = []
    for j, name in enumerate(names):
        values = [row[j] for row in rows if math.isfinite(row[j])]
        if not values:
            continue
        if not may_count(name):
            measures += 1
        elif any(map(is_epoch, values)):
            clocks.append(name)
        elif not rises_evenly(values):
            measures += 1
        else:
            (rising if len(values) >= LEAST_TICKS else unsure).append(name)
    return First(len(rows), measures, texts, keyed, tuple(clocks), tuple(rising), tuple(unsure))


def brings(asked: Asked, made: type[Format] | None) -> Brought:
    """What a format brings to a run; None: it is not known yet."""
    if asked.brought is not None:
        return asked.brought
    if made is None or asked.alone:
        return Brought()
    free = asked.finds and not asked.keyed and not made.derive and made.name in RECORDS
    return Brought(tuple(made.derive), made.measures, free and _takes_rarities(asked.estimator))


def plan(asked: Asked, made: type[Format] | None = None, first: First = UNSEEN) -> Plan:
    """The plan of a run. made : the format of the input, where it is known. first : what its records have shown."""
    brought = brings(asked, made)
    keyed = bool(asked.keyed) or first.keyed
    fields, every = _fields(asked, brought)
    measures, clocks, sure = _measures(first)
    finds = every and not keyed  # by key the records of many clocks are mixed
    if finds and not sure:  # a plan that is open is that of no records
        measures, clocks, first = 0, (), UNSEEN
    estimator, judged, why, decided = _estimator(asked, brought, keyed, measures, first)
    several = judged == "several fields"
    repeating = brought.texts and (several or not decided or is_chosen(asked.estimator))
    threshold, by = asked.threshold, "asked for"
    if not is_chosen(threshold):
        by = "the default"
        if name_of("estimator", estimator) == "evidence":
            threshold, by = ComponentSpec("counted"), "goes with evidence"
    return Plan(
        estimator,
        threshold,
        (*brought.features, *asked.features, *((CATEGORIES,) if repeating else ())),
        fields,
        every,
        asked.texts,
        repeating,
        clocks if finds else (),
        judged,
        Why(why, by, *_reasons(asked, brought, made, fields, every, several)),
        decided,
        open=not decided or (finds and not sure),
    )


def _measures(first: First) -> tuple[int, tuple[str, ...], bool]:
    """How many measures there are, which fields are clocks, and whether more records will not change that."""
    measures, clocks = first.measures, first.clocks
    if first.records < FIRST:
        return measures, clocks, bool(first.records) and not (first.rising or first.unsure)
    measures += len(first.unsure)
    if measures or first.texts:
        clocks = (*clocks, *first.rising)
    else:  # nothing else is there to be judged
        measures += len(first.rising)
    return measures, clocks, True


def _estimator(asked: Asked, brought: Brought, keyed: bool, measures: int, first: First) -> tuple[Any, str, str, bool]:
    """The estimator, as what records are judged, why, and whether that will stay."""
    if is_chosen(asked.estimator):
        return asked.estimator, "", "asked for", True
    kinds = [_class("feature", each) for each in (*brought.features, *asked.features)]
    if not asked.fields and any(each.upward for each in kinds) and all(each.upward or each.alarms for each in kinds):
        return ComponentSpec("evidence"), "", "only large values of its columns are strange", True
    if not all(each.alarms or each.decades for each in kinds):
        return asked.estimator, "", "columns are derived from the fields", True
    if keyed:
        return asked.estimator, "one series a key", "each key has a model of its own", True
    if asked.fields and not any(map(_is_pattern, asked.fields)):
        count = len(set(asked.fields))
        if count == 1:
            return asked.estimator, "one series", "one field is named", True
        known = asked.keyed is not None or first.records > 0
        return _horizons(asked.estimator), "several fields", f"{count} fields are named", known
    if measures > 1:
        return _horizons(asked.estimator), "several fields", "records have several numbers", True
    if brought.texts and first.texts:
        return _horizons(asked.estimator), "several fields", "records have texts that repeat", True
    if first.records >= FIRST and measures:
        return asked.estimator, "one series", "records have one number", True
    if first.records >= FIRST:
        return _horizons(asked.estimator), "several fields", "records have no number", True
    return asked.estimator, "", "the first records tell: horizons for several fields, or texts; level for one", False


def _horizons(asked: ComponentSpec) -> ComponentSpec:
    """The default for several fields; `--patience` is that of its slow half."""
    own = {"slow": {"fields": asked.params}} if asked.params else {}
    return ComponentSpec("horizons", own, chosen=False)


def _fields(asked: Asked, brought: Brought) -> tuple[tuple[str, ...], bool]:
    """Names and patterns of the numbers to watch, and whether every measure is instead."""
    made = [each for each in (*brought.features, *asked.features) if not _watches_texts(each)]
    if asked.fields or all(_class("feature", each).alarms for each in made):
        return asked.fields, not asked.fields
    needed = tuple(dict.fromkeys(name for each in made for name in _built("feature", each).watches()))
    every = brought.measures or EVERY in needed
    return () if every else needed, every


def _reasons(
    asked: Asked, brought: Brought, made: type[Format] | None, fields: tuple[str, ...], every: bool, several: bool
) -> tuple[str, str, str]:
    """Why the features, the fields and the texts."""
    unknown = made is None and asked.brought is None and not asked.alone
    if brought.features:
        features = "what the format brings"
    else:
        features = "asked for" if asked.features else "those of the format, where it is a log" if unknown else ""
    if asked.fields:
        of_fields = "asked for"
    elif every:
        of_fields = "every numeric field but times, identifiers and labels"
    else:
        of_fields = "what the columns need" if fields else "the columns alone"
    if not asked.finds:
        texts = "asked for" if asked.texts else "none are asked for"
    elif brought.texts or (unknown and not asked.keyed and _takes_rarities(asked.estimator)):
        texts = "those that repeat" if several else "those that repeat, beside several fields"
    else:
        texts = ""
    return features, of_fields, texts


# -- specs and instances ----------------------------------------------------------------------


def is_chosen(spec: Any) -> bool:
    """Whether somebody asked for the component, rather than nobody for another."""
    return not isinstance(spec, ComponentSpec) or spec.chosen


def name_of(kind: str, spec: Any) -> str:
    """The name of a component."""
    if hasattr(spec, "state_spec"):
        return registry.name_of(type(spec))
    return registry.parse_spec(spec).name


def _class(kind: str, spec: Any) -> type[Any]:
    return type(spec) if hasattr(spec, "state_spec") else registry.get(kind, registry.parse_spec(spec).name)


def _built(kind: str, spec: Any) -> Any:
    return spec if hasattr(spec, "state_spec") else registry.build(kind, spec)


def _watches_texts(spec: Any) -> bool:
    return bool(getattr(_class("feature", spec), "texts", False))


def _takes_rarities(estimator: Any) -> bool:
    """Whether the estimator asked for, or the default for several fields, can make use of rarities."""
    return not is_chosen(estimator) or bool(getattr(_built("estimator", estimator), "takes_decades", False))


def _is_pattern(name: str) -> bool:
    return "*" in name or "?" in name
