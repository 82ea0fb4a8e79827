"""The loop: read a block, decode, score, annotate, write. Start reading here.

bytes -> source -> format -> detector -> format -> sink -> bytes, block by block: whatever has
arrived is processed and written at once. After each block the stream, the models and the state
file agree, so that the end can come at any moment: end of input, a signal, a closed pipe, a full disk.
"""

from __future__ import annotations

import gc
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from clipdetect import registry
from clipdetect.admission import admitted
from clipdetect.announcements import Announcements
from clipdetect.answers import Parts, answer
from clipdetect.config import Config
from clipdetect.detector import Detector
from clipdetect.display import Talk
from clipdetect.errors import ClipdetectError, ConfigError, InputError
from clipdetect.follow import Follower
from clipdetect.formats.log_lines import LogLines
from clipdetect.formats.select import Selection
from clipdetect.model import Model
from clipdetect.reader import Reader
from clipdetect.records import Batch, Format, Order
from clipdetect.remarks import Remarks
from clipdetect.session import Session
from clipdetect.sink import ClosedPipe, Sink
from clipdetect.source import FULL_READ, Interrupted, Signals, Source
from clipdetect.verdicts import Verdicts
from clipdetect.wall import place

CLOSED_PIPE, FOUND, FAILED = 141, 10, 1  # exit codes
WRITABLE = ("jsonl", "json", "csv", "tsv")  # formats that any record can be written in


def run(config: Config, paths: Sequence[str], sink: Sink | None = None) -> int:
    """Score the files (or stdin) and return the exit code. Raises ConfigError for what is wrong from the start."""
    talk = Talk(config.quiet, config.verbose, config.color, config.progress)
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 3000))  # nested records, whatever the caller's depth
    gc.freeze()
    gc.disable()  # blocks of records hold no cycles
    try:
        signals = Signals()
        pipeline = Pipeline(config, signals, talk, sink or Sink())  # while it reads files, a signal just ends it
        with signals:
            return pipeline.run(list(paths) or ["-"])
    finally:
        talk.close()
        gc.enable()
        gc.unfreeze()


class Pipeline:
    """One run of the command over its inputs."""

    def __init__(self, config: Config, signals: Signals, talk: Talk, sink: Sink) -> None:
        self.config, self.signals, self.talk, self.sink = config, signals, talk, sink
        self.verdicts = Verdicts(config)
        self.announcements = Announcements(config, talk)
        self.remarks = Remarks(config, talk, self.verdicts.events)
        self.model = Model(config, self.verdicts.categories())
        self.detector.engine.join = signals.join
        self.follower: Follower | None = None
        self.session = Session(self)
        self.session.mark()
        self.reader = Reader(self._make, self._begins, config.input_format, config.max_line)
        self.writer: Format | None = None
        self.records = self.flagged = 0
        self.order = Order()
        self.failed = self.writing = False

    @property
    def detector(self) -> Detector:
        """What scores."""
        return self.model.detector

    @property
    def selection(self) -> Selection:
        """What is read."""
        return self.model.selection

    # -- the whole run ------------------------------------------------------------------------

    def run(self, paths: list[str]) -> int:
        """Exit code of the run; the state is saved however it ends."""
        try:
            resumed = self.session.resume()
            return self._run(paths, resumed)
        except Interrupted as stop:  # while others had the state
            return 128 + stop.number
        finally:
            self.session.close()

    def _run(self, paths: list[str], resumed: bool) -> int:
        code = 0
        try:
            if self.config.backfill and not resumed:
                self._stream([self.config.backfill])
                self.reader.format, self.records = None, 0
            self.writing = True
            if self.config.follow:
                self._follow(paths)
            else:
                self._stream(paths)
            if self.writer is not None:
                self._write(self.writer.finish())
            self.failed = self.remarks.end(self.selection, self.detector) or self.failed
        except Interrupted as stop:
            code = 128 + stop.number
        except ClosedPipe:
            code = CLOSED_PIPE
        except ConfigError as error:
            if not self.detector.keys.clock:
                raise  # found out by the first record: nothing has been learned
            self.talk.error(str(error))
            code = error.exit_code
        except ClipdetectError as error:
            self.talk.error(str(error))
            self.failed = True
        except Exception as error:  # a fault that no record can be blamed for
            self.talk.error(f"internal error, {type(error).__name__}: {error} ({place(error)}); please report this")
            self.talk.detail(traceback.format_exc())
            self.failed = True
        self.session.undo()  # what was not written whole, such as on a full disk, was not learned either
        if self.writing:  # else the history was broken off, and is to be read again
            self.session.finish()
        self.talk.close()
        if code != CLOSED_PIPE:
            self.talk.summary(self._counters(), self.remarks.closing(self.detector, self.flagged, self.talk.seconds))
        if code:
            return code
        if self.failed or self.session.failed or self.talk.faults:
            return FAILED
        return FOUND if self.config.exit_code and self.flagged else 0

    def _stream(self, paths: list[str]) -> None:
        for i, path in enumerate(paths, 1):
            self.talk.file = (i, len(paths))
            try:
                source = self.open(path)
                self._blocks(self.reader.batches(source), source)
            except InputError as error:
                if self.config.on_error == "fail":
                    raise
                self.talk.error(str(error))  # the remaining files are still scored
                self.failed = True

    def _follow(self, paths: list[str]) -> None:
        """Score what files have and what comes to them; ends by a signal."""
        followed, longest = self.session.followed, self.config.max_line
        self.follower = Follower(paths, self.signals, followed, longest, self.talk.note)
        self._blocks(self.reader.followed(self.follower), self.follower)

    def open(self, path: str) -> Source:
        """The bytes of a path, or of stdin for `-`."""
        return Source(path, self.signals)

    def _blocks(self, batches: Iterator[Batch | None], source: Source | Follower) -> None:
        for batch in batches:
            if batch is not None:
                self._block(batch, source)
            if self.signals.report:
                self.signals.report = False
                self.talk.note("; ".join(self._counters()))

    def _make(self, name: str) -> Format:
        """The format of the input is known: what reads it, and what writes its records."""
        made: type[Format] = registry.get("format", name)
        self.model.suit(made)
        self.session.mark()
        self.verdicts.check(self.detector, self.model.is_timed(made))
        target = self.config.output_format
        as_text = target == "text" and issubclass(made, LogLines)
        own = target in ("auto", name) or (target == "jsonl" and issubclass(made, LogLines)) or name == "text"
        converts = self.writing and not (own or as_text)
        if converts and target not in WRITABLE:
            raise ConfigError(f"--to {target}: {name} records cannot be written so; use one of {', '.join(WRITABLE)}")
        screen = self.sink.terminal and (as_text or name == "text")
        settled = replace(
            self.model.options, objects=converts, as_text=as_text, terminal=screen, color=screen and self.talk.paints(1)
        )
        format = made(settled, self.selection)
        if converts:
            self.writer = registry.get("format", target)(settled, self.selection)
            self._write(self.writer.begin())
        return format

    def _begins(self, name: str, head: bytes, format: Format) -> None:
        """An input begins."""
        self.remarks.begins(name, head, format, self.writing and self.sink.terminal)

    # -- one block ----------------------------------------------------------------------------

    def _block(self, batch: Batch, source: Source | Follower) -> None:
        format = self.reader.format
        assert format is not None
        self.talk.problems(source.name, batch.faults)
        stop, strict = None, self.config.on_error == "fail"
        if batch.problems and strict:
            stop = batch.problems[0]
            batch = batch.until(stop.piece)
        batch = admitted(self.detector, self.selection, batch)
        self.talk.problems(source.name, batch.problems, batch.values)
        parts = Parts(self.detector, self.verdicts, format, self.writer, self.selection.columns)
        self.session.begin(parts)
        learn = not (self.config.freeze and self.writing)
        found = answer(parts, batch, learn=learn, writing=self.writing, strict=strict)
        for line in self.model.settled():
            self.talk.detail(line)
        if found.faults:
            self.talk.problems(source.name, found.faults)
            if strict:
                stop = found.faults[0]
                batch = batch.until(stop.piece)
        self.order.see(batch.time)
        self.records += len(batch.rows) + len(batch.problems)
        if self.writing:
            self.flagged += found.flagged
            self._write(found.out)
        self.session.done()
        if stop is not None:
            raise InputError(f"{source.name}:{stop.line}: {stop.message or stop.kind}")
        if self.writing:
            for part, scored in found.parts:
                self.remarks.see(part, scored, format, self.selection, self.detector)
        self._after_block(source)

    def _write(self, out: bytes) -> None:
        if out:
            self.talk.writes()
            self.sink.write(out)

    def _held(self, source: Source | Follower) -> None:
        """Rows that wait for their end are told of, also where nothing more comes."""
        format = self.reader.format
        assert format is not None
        self.remarks.held(source.name, format)
        source.idle = partial(self._held, source) if format.waiting() else None

    def _after_block(self, source: Source | Follower) -> None:
        self._held(source)
        engine = self.detector.engine
        if engine.switched:
            source.read_size = FULL_READ
        else:
            engine.between_blocks(source.waiting, source.saturated)
        self.announcements.after_block(self.detector, self.selection, self.records)
        self.talk.progress(self.records, self.flagged, source)

    def _counters(self) -> list[str]:
        return self.verdicts.told(self.detector, self.order, self.records, self.flagged)
