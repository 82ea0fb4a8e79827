"""The model of a run and what is read for it: one detector, suited to the format and to the first records."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np

from clipdetect import state
from clipdetect.config import Config, fingerprint
from clipdetect.detector import Detector
from clipdetect.errors import ConfigError, StateError
from clipdetect.explain import MARKS
from clipdetect.formats.beside import subject
from clipdetect.formats.select import Selection
from clipdetect.plan import RECORDS, Asked, Brought, First, brings, is_chosen, plan
from clipdetect.records import Format, FormatOptions


class Model:
    """The detector of a run, built once; the fields that are read for it; what formats are told of both.

    more : categories that are to be read for others.
    """

    def __init__(self, config: Config, more: Sequence[str] = ()) -> None:
        self.config, self.asked, self.more = config, config.asked(), more
        self.brought = Brought()  # what the format brings to the plan
        self.detector = config.detector()
        self.detector.paces_engine = False  # that depends on what the input does
        self.detector.journal.keep_rows = bool(config.state)
        self._told = False
        self._read()

    def _read(self) -> None:
        """Read what the plan wants."""
        self.selection = selection(self.config, self.detector)
        try:
            self.detector.open_columns(self.selection.columns)
        except ValueError as error:
            raise ConfigError(str(error)) from error
        self.options = options(self.config, self.detector, self.more)

    def suit(self, made: type[Format]) -> None:
        """The format of the input is known. Raises ConfigError or StateError where it does not go with the rest."""
        if self.config.named_categories() and made.name not in RECORDS:
            raise ConfigError(f"--categories: {made.name} records have none; use --derive rare:field=NAME")
        brought, detector = brings(self.asked, made), self.detector
        wanted = plan(self._asked(brought), made, detector.first)
        if wanted.features != detector.plan.features and detector.keys.clock:
            if not (brought.texts and brought.features == self.brought.features):
                raise StateError(
                    f"the state was learned from {_words(self.brought)}, but {made.name} records are judged by "
                    f"{_words(brought)}; name the format with --from, or another state file"
                )
            return  # it goes on without texts
        before, self.brought = detector.plan, brought
        self._replan()
        if detector.plan != before and not detector.keys.clock:
            self._read()

    def is_timed(self, made: type[Format]) -> bool:
        """Whether records of the format have a time. Raises ConfigError where they have not, and it is needed."""
        if self.config.time or made.timed:
            return True
        for each in self.detector.features.features:
            if each.timed:
                name = type(each).__name__.lower()
                raise ConfigError(f"{name} needs the time of each record: name its field with --time")
        return False

    def _asked(self, brought: Brought) -> Asked:
        return msgspec.structs.replace(self.asked, brought=brought)

    def _replan(self) -> None:
        self.detector.replan(partial(plan, self._asked(self.brought), None))

    def settled(self) -> list[str]:
        """Once, after the block in which the plan was made: how the records are judged, and why."""
        detector = self.detector
        if self._told or detector.plan.open or not detector.keys.clock:
            return []
        self._told = True
        if not detector.plan.finds:
            self.selection.forget_texts()
        for name in detector.plan.clocks:
            self.selection.say(f"{name}: a clock, by how it rises, so it is not watched; --field {name} watches it")
        return [detector.plan.told(detector.columns)]

    def dump(self) -> dict[str, Any]:
        """What a state says of the plan, beside what the detector does: plain JSON values."""
        plan = self.detector.plan
        brought = [list(self.brought.features), self.brought.measures, plan.finds]
        return {"brought": brought, "config": fingerprint(self.config, plan)}

    def resume(self, path: str, head: Mapping[str, Any], keys: Sequence[str], arrays: dict[str, np.ndarray]) -> None:
        """Go on from a saved state. Raises StateError where it is of other settings, else ValueError."""
        features, measures, texts = head["brought"]
        self.brought = Brought(tuple(features), measures, texts)
        first = First.load(head["detector"]["first"])
        made = plan(self._asked(self.brought), None, first)
        state.check_config(path, head["config"], fingerprint(self.config, made))
        self._replan()
        self.detector.load(head["detector"], keys, arrays)
        self.selection = selection(self.config, self.detector)
        self.selection.restore(head["selection"])
        self.options = options(self.config, self.detector, self.more)
        self._told = not self.detector.plan.open


def _words(brought: Brought) -> str:
    """What is judged, for people."""
    if brought.features:
        return ", ".join(brought.features)
    return "the fields and the texts that repeat" if brought.texts else "the fields themselves"


def options(config: Config, detector: Detector, more: Sequence[str] = ()) -> FormatOptions:
    """What formats need to know; `more` categories to be read."""
    numbers, categories = detector.features.wanted()
    categories = list(dict.fromkeys([*categories, *more]))
    marked = {
        "abstain": detector.threshold.abstains,
        "changepoint": config.changepoint is not None,
        "incident": bool(config.group or config.episode),
    }
    return FormatOptions(
        by=tuple(config.by),
        time=config.time,
        label=config.label,
        coerce=config.coerce,
        prefix=config.prefix,
        pass_bad=config.on_error == "pass",
        only_anomalies=config.only_anomalies,
        bands=config.bands,
        judged=tuple(detector.columns),
        marks=tuple(name for name in MARKS if marked[name]),
        max_line=config.max_line,
        numbers=tuple(numbers),
        categories=tuple(categories),
        pattern=config.pattern,
        extract=config.extract,
        records_at=config.records_at,
    )


def selection(config: Config, detector: Detector) -> Selection:
    """The fields and texts to look for, by the detector's plan."""
    plan, needed = detector.plan, []
    if config.derive and not config.recipe:
        made = {name for each in (config.pattern, *config.extract) for name in re.compile(each).groupindex}
        needed = [name for names in detector.features.wanted() for name in map(subject, names) if name not in made]
    reserved = (*config.by, config.time, config.label)
    alone = not plan.finds or is_chosen(config.estimator)
    return Selection(
        plan.fields, config.exclude, config.max_fields, reserved, plan.every, needed, plan.texts, plan.finds, alone
    )
