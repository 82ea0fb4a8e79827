"""What outlives a run: it resumes from a state file, saves to it, and goes back where a block was not written whole."""

from __future__ import annotations

import os
from typing import Any, Protocol

from clipdetect import state
from clipdetect.answers import Parts
from clipdetect.checkpoints import Checkpoints
from clipdetect.config import Config
from clipdetect.display import Talk
from clipdetect.errors import ConfigError, StateError
from clipdetect.follow import Follower
from clipdetect.lock import Lock
from clipdetect.model import Model
from clipdetect.printable import printable
from clipdetect.sink import Sink
from clipdetect.source import Signals
from clipdetect.verdicts import Verdicts

FORK_FROM = 1 << 24  # bytes of state from which a checkpoint is saved by a child process


class Run(Protocol):
    """What a session needs of the pipeline, whose parts may be made anew while it runs."""

    config: Config
    signals: Signals
    talk: Talk
    sink: Sink
    model: Model
    verdicts: Verdicts
    follower: Follower | None
    writing: bool
    records: int
    flagged: int


class Session:
    """Keeps a run and its state file together; does next to nothing where there is none.

    The state is locked from `resume` to `close`, and saved as of the last block that was written whole.

    followed : where to go on in the files followed. feedback : what people said of flags.
    failed : whether something could not be saved.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.path = run, run.config.state
        self.lock = Lock(self.path)
        self.checkpoints = Checkpoints(self.path, self._content, run.signals.also)
        self.followed: dict[str, Any] = {}
        self.feedback: list[Any] = []
        self.failed = False
        self._saved = 0  # records as of the last checkpoint
        self._selection: dict[str, Any] = {}
        self._begun: tuple[Parts, Any, int, int] | None = None  # before the block at hand: parts, records, flags
        self._told = ""

    def resume(self) -> bool:
        """Continue from the state file; False where there is none yet. Raises StateError, ConfigError, Interrupted."""
        path, run = self.path, self.run
        if not path:
            return False
        folder = os.path.dirname(os.path.realpath(path))
        if not os.path.isdir(folder):
            raise ConfigError(f"{path}: no such folder for the state file: {folder}")
        self.lock.take(run.signals.sleep, run.talk.note)
        if not self.lock.missing:
            state.clear(path)
        if not os.path.exists(path):
            return False
        if run.sink.goes_to(path):
            raise StateError(f"{path}: is where the records go; name another file for the state")
        head, keys, arrays = state.read(path)
        try:
            run.model.resume(path, head, keys, arrays)
        except (ValueError, ConfigError) as error:
            raise StateError(f"{path}: cannot continue from this state: {printable(str(error))}") from error
        run.verdicts.load(head["incidents"])
        run.records = self._saved = head["records"]
        self.followed, self.feedback = head["followed"], head["feedback"]
        self.mark()
        run.talk.detail(f"continuing from {path} after {run.records:,} records")
        return True

    # -- one block ----------------------------------------------------------------------------

    def mark(self) -> None:
        """All is settled: the parts of the run are new, or the last block is out."""
        if self.path:
            self._selection = self.run.model.selection.snapshot()

    def begin(self, parts: Parts) -> None:
        """A block comes, and `parts` work on it; until it is `done`, `undo` goes back to this moment."""
        parts.detector.begin()
        if self.path:
            self._begun = (parts, parts.mark(), self.run.records, self.run.flagged)

    def done(self) -> None:
        """The block has been written whole. Saves where it is time for it."""
        self._begun = None
        run = self.run
        self.mark()
        if not (self.path and run.writing):
            return
        if run.follower is not None:
            self.followed = run.follower.position()
        if run.records - self._saved >= run.config.checkpoint_every:
            apart = run.model.detector.nbytes >= FORK_FROM and not run.model.detector.engine.loading
            if self.checkpoints.now(apart):
                self._saved = run.records
        else:
            self.checkpoints.reap()
        if self.checkpoints.failed not in ("", self._told):
            self._told = self.checkpoints.failed
            self._fail()

    def undo(self) -> None:
        """Forget the block at hand, where one was begun and is not done, and what was read of the next."""
        run = self.run
        if self._begun is not None:
            parts, mark, run.records, run.flagged = self._begun
            parts.back(mark)
            self._begun = None
        if self.path:
            run.model.selection.restore(self._selection)

    # -- the end ------------------------------------------------------------------------------

    def finish(self) -> None:
        """Save. Where that fails it is told."""
        if self.path:
            self.checkpoints.abandon()
            self.checkpoints.failed = ""
            self.checkpoints.now(apart=False)
            if self.checkpoints.failed:
                self._fail()

    def _fail(self) -> None:
        self.run.talk.error(self.checkpoints.failed)
        self.failed = True

    def close(self) -> None:
        """Let others have the state."""
        self.checkpoints.abandon()
        self.lock.release()

    def _content(self) -> state.Content:
        run = self.run
        detector, keys, arrays = run.model.detector.dump()
        head = {
            "records": run.records,
            "fields": run.model.detector.columns,
            **run.model.dump(),
            "selection": self._selection,
            "followed": self.followed,
            "detector": detector,
            "incidents": run.verdicts.dump(),
            "feedback": self.feedback,
        }
        return head, keys, arrays
