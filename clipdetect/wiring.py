"""What the configuration means for the parts of a run: which fields are read, and how."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from clipdetect import registry
from clipdetect.config import Config
from clipdetect.detector import Detector
from clipdetect.errors import ConfigError
from clipdetect.explain import MARKS
from clipdetect.features.categories import Categories
from clipdetect.formats.beside import subject
from clipdetect.formats.select import FOUND, Selection, is_glob
from clipdetect.numerics.categories import is_text
from clipdetect.records import Batch, Format, FormatOptions

RECORDS = ("csv", "tsv", "ssv", "jsonl", "json")  # formats whose texts can be categories
FOUND_TEXTS = ("*", "categories")  # all measures, and the texts that repeat


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
        marks=tuple(name for name in MARKS if marked[name]),
        max_line=config.max_line,
        numbers=tuple(numbers),
        categories=tuple(categories),
        pattern=config.pattern,
        extract=config.extract,
        records_at=config.records_at,
    )


def brought(config: Config, made: type[Format], before: Sequence[str], learned: bool) -> tuple[str, ...]:
    """The features that records of a format bring along; "*": all measures too.

    before : those of the run so far. learned : whether anything was learned with them; a state goes on with the
    categories it has.
    """
    if config.named_categories() and made.name not in RECORDS:
        raise ConfigError(f"--categories: {made.name} records have none; use --derive rare:field=NAME")
    if config.field or config.derive or config.recipe:
        return ()
    own = tuple(made.derive)
    if own or config.by or config.categories != (FOUND,) or made.name not in RECORDS or not _takes_decades(config):
        return own
    return tuple(before) if learned and tuple(before) in ((), FOUND_TEXTS) else FOUND_TEXTS


def _takes_decades(config: Config) -> bool:
    """Whether the estimator asked for, or the default for several fields, can make use of rarities."""
    spec = config.estimator
    return not spec.chosen or bool(registry.get("estimator", spec.name).takes_decades)


def several(config: Config, batch: Batch, columns: Sequence[str]) -> bool:
    """Whether records are several fields rather than one series: by what is asked for, else by the first record.

    With keys they count as series: each is short, and has to be judged soon.

    columns : names of the columns of the batch, which has a record.
    """
    if config.by:
        return False
    if config.field and not any(map(is_glob, config.field)):
        return len(set(config.field)) > 1
    numbers = [j for j, name in enumerate(columns[: batch.X.shape[1]]) if not is_text(name)]
    return int(np.count_nonzero(np.isfinite(batch.X[0, numbers]))) != 1


def selection(config: Config, detector: Detector, derive: Sequence[str] = ()) -> Selection:
    """The fields to watch: those asked for; else, where columns are derived, what these need; else all measures.

    derive : what the format brings.
    """
    measures = "*" in derive
    features = [each for each in detector.features.features if not isinstance(each, Categories)]
    texts = config.named_categories() or ((FOUND,) if "categories" in derive else ())
    fields, watch, needed = config.field, True, []
    if not fields and not all(each.alarms for each in features):
        fields = tuple(dict.fromkeys(name for each in features for name in each.watches()))
        watch = measures or "*" in fields
        fields = () if watch else fields
    if config.derive and not config.recipe:
        made = {name for each in (config.pattern, *config.extract) for name in re.compile(each).groupindex}
        needed = [name for names in detector.features.wanted() for name in map(subject, names) if name not in made]
    reserved = (*config.by, config.time, config.label)
    return Selection(fields, config.exclude, config.max_fields, reserved, watch, needed, texts)
