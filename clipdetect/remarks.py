"""What a run has to say of its input: what would look like "all is well", and is not.

A name that no record has, records with nothing to judge, too few of them: each is one line on stderr, with what to
do. A name counts as missing once there were `DISCOVERY` records, or at the end of the input; it is said once, and
taken back where a record has it after all.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from clipdetect.config import Config
from clipdetect.contents import Contents, some
from clipdetect.detector import Detector
from clipdetect.display import Talk
from clipdetect.errors import InputError
from clipdetect.events import Events
from clipdetect.formats import binary, recipe_for
from clipdetect.formats.beside import subject
from clipdetect.formats.lines import Lines
from clipdetect.formats.log_lines import LogLines
from clipdetect.formats.select import DISCOVERY, Selection, is_glob, matches, nearest
from clipdetect.numerics.categories import field_of
from clipdetect.numerics.durations import span
from clipdetect.records import BOM, Batch, Format
from clipdetect.registry import name_of
from clipdetect.scored import Scored

PATIENCE = 1.0  # seconds
LOOKED = 100  # records that are looked at where nothing of them can be judged
TRUTHS = ("label", "labels", "is_anomaly", "anomaly", "truth", "target", "class", "fault", "attack", "outlier", "y")
LEAST_WARMUP = 8
MIXED = ("syslog", "journald")  # formats in which one of many programs may be what a recipe is for


class Asked(NamedTuple):
    """A field that the user named. option : by which. so : what follows where there is none."""

    name: str
    option: str
    so: str = ""


class Remarks:
    """Watches a run for what its user has to know: `begins` a file, `see` a block, `end` of the input."""

    def __init__(self, config: Config, talk: Talk, events: Events) -> None:
        self.config, self.talk, self.events = config, talk, events
        self.format = ""  # name of the input's
        self.rows = self.bad = 0  # records, and those that could not be read
        self.judged = self.raws = self.scored = 0  # records with a value, a raw score, a score; until there is a score
        self.timed = self.flagged = False  # whether any had a time, a flag by a limit
        self._named = self._weighed = False  # whether it was looked for what is missing, for what there is to judge
        self._idle = self._document = False  # whether there was nothing to judge, or a document instead of lines
        self._missing: list[Asked] = []  # as said
        self._names = 0  # there were when these were looked for last
        self._known = ("", "")  # the recipe for such records, and that it is
        self._contents = Contents()  # of records in which there was nothing to judge
        self._looked = 0
        self._waits, self._held = 0.0, False  # since when rows wait for the end of quotes, whether that was said

    # -- what comes in ------------------------------------------------------------------------

    def begins(self, name: str, head: bytes, reader: Format, shown: bool) -> None:
        """A file begins with these bytes. shown : what is written goes to a terminal.

        Raises InputError where they are no text, and would go there.
        """
        looked_at = head if reader.name == "text" else head.partition(b"\n")[0]  # where records may follow, their first
        kind = "" if isinstance(reader, LogLines) else binary.described(looked_at, "FILE" if name == "stdin" else name)
        guessed = reader.name == "text" and self.config.input_format != "text"
        if not self.format and guessed and head.removeprefix(BOM).strip():
            self.format = "unknown"
            fate = "nothing is scored" if self.config.only_anomalies else "all of it passes through unscored"
            if not (kind and shown):
                self.talk.note(f"{name}: no known format, so {fate}{f': {kind}' if kind else f'; {_unknown(head)}'}")
        self.format = self.format or reader.name
        if kind and shown:
            raise InputError(f"{name}: {kind}")

    def held(self, name: str, reader: Format) -> None:
        """Rows wait for the end of quotes; said once, where they have waited for `PATIENCE` seconds."""
        lines = reader.waiting()
        self._waits = (self._waits or time.monotonic()) if lines else 0.0
        if lines and not self._held and time.monotonic() - self._waits >= PATIENCE and isinstance(reader, Lines):
            self._held = True
            self.talk.note(
                f"{name}:{reader.line - lines}: a quote opens here and is not closed yet; the rows behind it wait for "
                "its end. Where quotes mean nothing, take them out first: tr -d '\"'"
            )

    @property
    def unread(self) -> bool:
        """Whether nothing of the input could be read as records."""
        return self.format == "unknown" or (bool(self.bad) and not self.rows)

    def see(self, batch: Batch, scored: Scored, reader: Format, selection: Selection, detector: Detector) -> None:
        """A block has been scored."""
        if not (self.rows or self.bad):
            self._begun(batch, reader)
        self.bad += len(batch.problems)
        if len(batch.rows):
            self.rows += len(batch.rows)
            if not self.scored:
                self.judged += int(np.count_nonzero(np.isfinite(scored.X).any(axis=1)))
                self.raws += int(np.count_nonzero(np.isfinite(scored.raw)))
                self.scored += int(np.count_nonzero(np.isfinite(scored.score)))
            self.timed = self.timed or (batch.time is not None and bool(np.isfinite(batch.time).any()))
            self.flagged = self.flagged or (scored.alarms is not None and bool(np.isfinite(scored.alarms).any()))
            wanted = LOOKED if not self.judged or self.config.recipe or reader.name in MIXED else 1
            if self._looked < wanted:
                self._look(batch, reader, wanted)
        if not self._named and self.rows and selection.records >= DISCOVERY:
            self._name(selection, detector, "so far ")
        elif self._missing:
            self._take_back(selection, detector)
        if not self._weighed and self.rows >= DISCOVERY:
            self._weigh(selection, detector, "the first ")
        elif self._idle and self._able(selection, detector):
            self._idle = False
            self.talk.note("there is something to judge after all")

    def _begun(self, batch: Batch, reader: Format) -> None:
        """The first records: whether they look like something that another setting would suit better."""
        first = batch.problems[0] if batch.problems else None
        if reader.name == "jsonl" and first and first.line == 1 and batch.pieces[first.piece].strip() in (b"{", b"["):
            self._document = True
            self.talk.note("this looks like one JSON document: --records-at NAME reads the records in its array NAME")

    def _look(self, batch: Batch, reader: Format, wanted: int) -> None:
        """Remember of what kind the fields of the first records are, and which recipe knows these records."""
        config, places = self.config, batch.rows[: wanted - self._looked].tolist()
        self._looked += len(places)
        for place in places:
            record = reader.record(batch.pieces[place])
            if not self._known[0]:
                self._known = recipe_for(reader.name, record)
                if self._known[0] and not (config.recipe or config.field or config.derive):
                    self.talk.note(self._known[1])
            if not self.judged:
                self._contents.look(record)

    # -- names that are missing ---------------------------------------------------------------

    def _asked(self, selection: Selection, detector: Detector) -> Iterator[Asked]:
        """The fields that are named, each with its option; of a recipe those that all of it depends on."""
        config, named = self.config, self.config.named_categories()
        yield from (Asked(name, "--field") for name in config.field)
        yield from (Asked(name, "--exclude") for name in config.exclude)
        yield from (Asked(name, "--categories") for name in named)
        yield from (Asked(name, "--by", "all records share one model") for name in config.by)
        if config.time and (not config.recipe or self._needs_time(detector)):
            yield Asked(config.time, "--time")
        if config.label:
            yield Asked(config.label, "--label")
        if config.group:
            yield Asked(config.group, "--group", "all records are one group")
        if config.derive and not config.recipe:
            patterns = [] if config.field else selection.fields
            derived = [name for name in (*selection.needed, *patterns) if name not in named]
            yield from (Asked(name, "--derive") for name in dict.fromkeys(derived))
        yield from (Asked(name, "--events") for name in dict.fromkeys(map(subject, self.events.categories())))

    def _needs_time(self, detector: Detector) -> bool:
        config = self.config
        silence = config.episode is not None and bool(config.episode.seconds)
        return bool(config.events) or silence or any(each.timed for each in detector.features.features)

    def _lacking(self, selection: Selection, detector: Detector) -> list[Asked]:
        """Of these, what no record had so far."""
        made = set(detector.features.makers)
        found = []
        for each in self._asked(selection, detector):
            name, whole = each.name, each.option == "--exclude"  # what is inside of a field is not left out with it
            there = name in made or (selection.fits(name) if whole else selection.has(name))
            if whole or is_glob(name):
                there = there or selection.crowded or any(matches(each, [name]) for each in made)
            if not there:
                found.append(each)
        return found

    def _name(self, selection: Selection, detector: Detector, so_far: str) -> None:
        """Say what is missing."""
        self._named, self._names = True, len(selection.known) + len(selection.met)
        self._missing = self._lacking(selection, detector)
        own = self._recipes_own() if self._strange(selection, detector) else ()
        for each in self._missing:
            if each.name not in own:
                self.talk.note(self._absent(each, selection, so_far))
        for message in detector.lacks():
            self.talk.note(message)
        gone = self._derives_from(selection, detector)[1]
        if self.config.recipe and gone and not self._strange(selection, detector):
            self.talk.detail(f"--recipe {self.config.recipe}: no record {so_far}has {some(gone)}")
        self.talk.detail("watching " + (", ".join(map(field_of, detector.columns)) or "no field"))

    def _absent(self, asked: Asked, selection: Selection, so_far: str) -> str:
        """That no record has a field, the nearest name, and what follows."""
        names, config = selection.names(), self.config
        free = [name for name in names if name not in (*config.by, config.time, config.label)]
        near = nearest(asked.name, free) or nearest(asked.name, names)
        text = f"{asked.option}: no record {so_far}has the field {asked.name!r}"
        if asked.option == "--exclude":
            inside = next((name for name in names if name.startswith((asked.name + ".", asked.name + "["))), "")
            text = f"--exclude: no field {so_far}{'matches' if is_glob(asked.name) else 'is called'} {asked.name!r}"
            if inside:
                return f"{text}, only such in it as {inside!r}: write '{asked.name}.*'"
        if asked.option == "--label":
            near = near or next((name for name in free if name.lower() in TRUTHS), "")
            if near in selection.columns:
                return f"{text}, did you mean {near!r}? That one is watched now, like any field"
        text += f", did you mean {near!r}?" if near else f", so {asked.so}" if asked.so else ""
        return text + (f" (there are: {some(names)})" if names else "")

    def _take_back(self, selection: Selection, detector: Detector) -> None:
        """Say which of what was missing has come."""
        names = len(selection.known) + len(selection.met)
        if names != self._names:
            self._names, lacking = names, self._lacking(selection, detector)
            for each in self._missing:
                if each not in lacking:
                    self.talk.note(f"{each.option}: the field {each.name!r} has come after all")
            self._missing = [each for each in self._missing if each in lacking]

    # -- nothing to judge, or too little ------------------------------------------------------

    def _weigh(self, selection: Selection, detector: Detector, first: str = "") -> None:
        """Say, once, that there is nothing to judge, unless a name that is missing has said it."""
        self._weighed, self._idle = True, not self._able(selection, detector)
        if self._idle and not any(each.option in ("--field", "--categories", "--derive") for each in self._missing):
            self.talk.note(self._nothing(selection, detector, first))

    def _able(self, selection: Selection, detector: Detector) -> bool:
        """Whether there is something to judge, as far as can be said."""
        if self._strange(selection, detector):
            return False
        if self.judged or any(each.alarms and each.names() for each in detector.features.features):
            return True
        return self.rows < DISCOVERY and _most_given(detector) > 0  # a state has learned from records like these

    def _derives_from(self, selection: Selection, detector: Detector) -> tuple[list[str], list[str]]:
        """The fields that columns are derived from, and those of them that no record has."""
        numbers, categories = detector.features.wanted()
        wanted = list(dict.fromkeys(map(subject, [*numbers, *categories])))
        return wanted, [name for name in wanted if not selection.has(name)]

    def _strange(self, selection: Selection, detector: Detector) -> list[str]:
        """The fields of a recipe that no record has, where it has nothing to judge without them."""
        wanted, gone = self._derives_from(selection, detector)
        return gone if self.config.recipe and (not self.judged or gone == wanted) else []

    def _nothing(self, selection: Selection, detector: Detector, first: str) -> str:
        """Why there is nothing to judge, and what may help."""
        config, text = self.config, f"nothing to judge in {first}{_count(self.rows, 'record')}"
        strange = self._strange(selection, detector)
        if strange:
            recipe, hint = self._known
            more = hint if recipe not in ("", config.recipe) else f"see 'clipdetect list {config.recipe}'"
            return f"--recipe {config.recipe}: {text}, for none has {some(strange)}; {more}"
        if self._needs_time(detector) and not self.timed:
            return f"{text}: what is derived needs the time of each record, and none could be read"
        if config.derive:
            return f"{text}: none of them gives a value to {some(detector.features.derived)}"
        return f"{text}: {self._contents.remedy(self.format, config.field, config.exclude, selection.reserved)}"

    def _too_few(self, detector: Detector) -> str:
        """That nothing got a score, and how it would; empty where a key of an earlier run has had enough."""
        config, given = self.config, _most_given(detector)
        enough = given > config.warmup
        if detector.lacks() or (enough and (not self.raws or (config.by and config.state))):
            return ""
        if config.freeze and not enough:
            return f"no score: the state is at {given} of {config.warmup} records of the warm-up; --freeze adds none"
        state = "the next run with this state goes on" if config.state else "--state FILE goes on in the next run"
        history = f"{state}, --backfill FILE learns from history first"
        more = f"; {history}" + (f", --warmup {LEAST_WARMUP} asks for fewer" if config.warmup > LEAST_WARMUP else "")
        if config.by and not enough:
            of = f"of {_count(len(detector.keys), 'key')} the furthest is at {given} of {config.warmup}"
            return f"too few records of each key for a score: {of}{more}"
        count = f"{_count(self.judged, 'record')}{' with a value' if self.judged < self.rows else ''}"
        text = f"{count} {'is' if self.judged == 1 else 'are'} too few for a score"
        if enough:
            return f"{text} by threshold {name_of(type(detector.threshold))}; {history}"
        need = config.warmup + (self.judged - given if given else 0)
        return f"{text}{f', which takes more than {need}' if need >= self.judged else ''}{more}"

    def _recipes_own(self) -> list[str]:
        """The fields that the recipe names outside of what it derives."""
        from clipdetect.settings import recipe

        values = recipe(self.config.recipe).values
        return [name for name in (values.get("by"), values.get("time"), values.get("label")) if isinstance(name, str)]

    # -- the end ------------------------------------------------------------------------------

    def end(self, selection: Selection, detector: Detector) -> bool:
        """The input has ended; whether the run has failed for what it was."""
        config = self.config
        if not self._named and self.rows:
            self._name(selection, detector, "")
        if self.bad and not (self.rows or self._document):
            guessed = "; name another format with --from" if config.input_format == "auto" else ""
            self.talk.note(f"nothing was scored: no record could be read as {self.format}{guessed}")
        elif self.rows:
            if not self._weighed:
                self._weigh(selection, detector)
            if self.judged and not (self._idle or self.scored or self.flagged or self.bad > self.rows):
                told = self._too_few(detector)
                if told:
                    self.talk.note(told)
        untimed = bool(config.time) and bool(self.rows) and not self.timed
        strict = config.on_error == "fail" and bool(self._missing or detector.lacks() or untimed or self._idle)
        return strict or (self.unread and (config.only_anomalies or config.exit_code))

    def closing(self, detector: Detector, flagged: int, seconds: float) -> str:
        """The run in a line: a screen that stays empty is healthy, unread or too short."""
        passed = span(seconds) if seconds >= 60.0 else f"{seconds:.1f} s"
        if not self.rows:
            what = "no known format, nothing was scored" if self.format == "unknown" else "no records"
            what = f"{_count(self.bad, 'record')}, none could be read" if self.bad else what
            return f"{what}, {passed}"
        bad = f", {self.bad:,} unreadable" if self.bad else ""
        if not (self.judged or flagged):
            return f"{_count(self.rows, 'record')} with nothing to judge{bad}, {passed}"
        made = set(detector.columns) - set(detector.base)
        fields = _count(len(detector.columns), "column" if made else "field")
        keys = f", {_count(len(detector.keys), 'key')}" if self.config.by else ""
        found = f"{flagged:,} flagged" if self.scored or flagged else "too few for a score"
        return f"{_count(self.rows, 'record')} of {fields}{keys}, {found}{bad}, {passed}"


def _most_given(detector: Detector) -> int:
    """The raw scores that the furthest key has given."""
    given = detector.state.get("given")
    return 0 if given is None or not len(given) else int(given.max())


def _unknown(head: bytes) -> str:
    """What to do with lines of no known format."""
    line = head.strip().partition(b"\n")[0].decode("utf-8", "replace")
    for mark in ";|":
        if line.count(mark) > 1 or re.fullmatch(rf"[^{mark}]+[{mark}][-0-9., ]+", line):
            return f"cells with {mark!r} between them are read after tr '{mark}' '\\t'"
    return "name one with --from, or pick out fields with --pattern"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
