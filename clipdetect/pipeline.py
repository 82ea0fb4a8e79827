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

from clipdetect import cache, registry
from clipdetect.admission import admitted
from clipdetect.answers import Parts, answer
from clipdetect.config import Config
from clipdetect.detector import Detector
from clipdetect.display import Talk
from clipdetect.errors import ClipdetectError, ConfigError, InputError
from clipdetect.follow import Follower
from clipdetect.formats import sniff
from clipdetect.formats.lines import Lines
from clipdetect.formats.log_lines import LogLines
from clipdetect.formats.select import Selection
from clipdetect.model import Model
from clipdetect.records import Batch, Format, Order
from clipdetect.remarks import Remarks
from clipdetect.session import Session
from clipdetect.sink import ClosedPipe, Sink
from clipdetect.source import FULL_READ, Interrupted, Signals, Source, working
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
        self.remarks = Remarks(config, talk, self.verdicts.events)
        self.model = Model(config, self.verdicts.categories())
        self.detector.engine.join = signals.join
        self.follower: Follower | None = None
        self.session = Session(self)
        self.session.mark()
        self.reader: Format | None = None
        self.writer: Format | None = None
        self.records = self.flagged = 0
        self.order = Order()
        self.failed = self.writing = False
        self.switch_told = self.eviction_told = False
        self._told: set[str] = set()

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
                self.reader, self.records = None, 0
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
                self._file(self.open(path))
            except InputError as error:
                if self.config.on_error == "fail":
                    raise
                self.talk.error(str(error))  # the remaining files are still scored
                self.failed = True

    def _follow(self, paths: list[str]) -> None:
        """Score what files have and what comes to them; ends by a signal."""
        followed, longest = self.session.followed, self.config.max_line
        follower = self.follower = Follower(paths, self.signals, followed, longest, self.talk.note)
        for piece in follower:
            if piece.data:
                if self.reader is None:
                    first = piece.data if piece.begins else follower.first_line()
                    self._choose(first, True)
                    if not isinstance(self.reader, Lines):
                        raise ConfigError("--follow: a JSON array does not grow line by line; use JSON Lines")
                    self.remarks.begins(piece.name, first, self.reader, self.sink.terminal)
                    if not piece.begins:
                        self.reader.adopt(first.rstrip(b"\n"))
                assert isinstance(self.reader, Lines)
                if piece.begins:
                    self.reader.start(piece.name)
                self.reader.resume(piece.name, piece.line, piece.inside)
                self._block(self._decode(piece.data, False), follower)
            self._report()

    def open(self, path: str) -> Source:
        """The bytes of a path, or of stdin for `-`."""
        return Source(path, self.signals)

    def _file(self, source: Source) -> None:
        head, pieces = b"", iter(source)
        failure: InputError | None = None
        try:
            if self.reader is None:
                for piece in pieces:
                    head += piece
                    if self._choose(head, False):
                        break
                else:
                    if not self._choose(head, True):
                        return  # an empty file
            else:
                head = next(pieces, b"")
        except InputError as error:
            failure = error
            if not head or not self._choose(head, True):
                raise
        assert self.reader is not None
        self.remarks.begins(source.name, head, self.reader, self.writing and self.sink.terminal)
        self.reader.start(source.name)
        if head:
            self._block(self._decode(head, False), source)
        try:
            if failure is None:
                self._pump(pieces, source)
        except InputError as error:
            failure = error
        self._block(self._decode(b"", True), source)  # what a truncated file had is still scored
        if failure is not None:
            raise failure

    def _pump(self, pieces: Iterator[bytes], source: Source) -> None:
        assert self.reader is not None
        for piece in pieces:
            if piece:
                self._block(self._decode(piece, False), source)
            self._report()

    def _decode(self, data: bytes, final: bool) -> Batch:
        assert self.reader is not None
        with working:
            return self.reader.decode(data, final)

    def _report(self) -> None:
        if self.signals.report:
            self.signals.report = False
            self.talk.note("; ".join(self._counters()))

    def _choose(self, head: bytes, final: bool) -> bool:
        """Settle the formats from the first record; False where more bytes are needed."""
        name = self.config.input_format
        if name == "auto":
            found = sniff(head, final or len(head) > self.config.max_line)
            if found is None:
                return False
            name = found
        made: type[Format] = registry.get("format", name)
        self._suit(made)
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
        self.reader = made(settled, self.selection)
        if converts:
            self.writer = registry.get("format", target)(settled, self.selection)
            self._write(self.writer.begin())
        return True

    def _suit(self, made: type[Format]) -> None:
        """The model for this format, and whether its records have the times that are needed."""
        self.model.suit(made)
        self.session.mark()
        timed = bool(self.config.time) or made.timed
        self.verdicts.check(self.detector, timed)
        if not timed:
            for each in self.detector.features.features:
                if each.timed:
                    name = type(each).__name__.lower()
                    raise ConfigError(f"{name} needs the time of each record: name its field with --time")

    # -- one block ----------------------------------------------------------------------------

    def _block(self, batch: Batch, source: Source | Follower) -> None:
        assert self.reader is not None
        self.talk.problems(source.name, batch.faults)
        stop, strict = None, self.config.on_error == "fail"
        if batch.problems and strict:
            stop = batch.problems[0]
            batch = batch.until(stop.piece)
        batch = admitted(self.detector, self.selection, batch)
        self.talk.problems(source.name, batch.problems, batch.values)
        parts = Parts(self.detector, self.verdicts, self.reader, self.writer, self.selection.columns)
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
                self.remarks.see(part, scored, self.reader, self.selection, self.detector)
        self._after_block(source)

    def _write(self, out: bytes) -> None:
        if out:
            self.talk.writes()
            self.sink.write(out)

    def _held(self, source: Source | Follower) -> None:
        """Rows that wait for their end are told of, also where nothing more comes."""
        assert self.reader is not None
        self.remarks.held(source.name, self.reader)
        source.idle = partial(self._held, source) if self.reader.waiting() else None

    def _after_block(self, source: Source | Follower) -> None:
        self._held(source)
        engine = self.detector.engine
        if engine.switched:
            source.read_size = FULL_READ
            if not self.switch_told:
                self.switch_told = True
                self.talk.detail(f"kernels are compiled from record {self.records + 1} on")
                self.talk.detail(cache.trouble())
        else:
            engine.between_blocks(source.waiting, source.saturated)
            if engine.error is not None and not self.switch_told:
                self.switch_told = True
                self.talk.note(f"the compiler failed, going on interpreted: {engine.error}")
        if self.detector.evicted and not self.eviction_told:
            self.eviction_told = True
            self.talk.note(f"more than {self.config.max_keys:,} keys: the least recently used are evicted (--max-keys)")
        for text in (*self.selection.drain(), *self.detector.news()):
            if text not in self._told:
                self._told.add(text)
                self.talk.note(text)
        self.talk.progress(self.records, self.flagged, source)

    def _counters(self) -> list[str]:
        return self.verdicts.told(self.detector, self.order, self.records, self.flagged)
