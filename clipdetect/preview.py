"""How the records of a file would be judged, by its first ones; nothing is written."""

from __future__ import annotations

from typing import NamedTuple

from clipdetect import registry
from clipdetect.admission import admitted
from clipdetect.answers import Parts, answer
from clipdetect.config import Config
from clipdetect.formats.select import DISCOVERY
from clipdetect.model import Model
from clipdetect.numerics.categories import field_of
from clipdetect.plan import Plan
from clipdetect.reader import Reader
from clipdetect.records import Format
from clipdetect.source import Signals, Source
from clipdetect.verdicts import Verdicts


class Preview(NamedTuple):
    """The format of a file, the plan for its records, and the columns that are judged.

    The format is empty for an empty file.
    """

    format: str
    plan: Plan
    columns: tuple[str, ...]


def preview(config: Config, path: str) -> Preview:
    """Look at the first records of a file, so many as discovery takes. Raises InputError, ConfigError."""
    verdicts = Verdicts(config)
    model = Model(config, verdicts.categories())

    def make(name: str) -> Format:
        made: type[Format] = registry.get("format", name)
        model.suit(made)
        verdicts.check(model.detector, model.is_timed(made))
        return made(model.options, model.selection)

    reader = Reader(make, given=config.input_format, longest=config.max_line)
    for batch in reader.batches(Source(path, Signals())):
        if batch is None or reader.format is None:
            continue
        admission = admitted(model.detector, model.selection, batch)
        model.detector.begin()
        parts = Parts(model.detector, verdicts, reader.format, None, model.selection.columns)
        answer(parts, admission, learn=True, writing=False, strict=False)
        if model.selection.records >= DISCOVERY:
            break
    plan = model.detector.plan
    names = tuple(field_of(name) for name in model.detector.columns if name not in plan.clocks)
    return Preview(reader.format.name if reader.format else "", plan, names)
