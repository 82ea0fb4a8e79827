"""Saving on the way: a large state from a child process, so that the stream does not wait for the disk.

The child writes the file beside its place; this process puts it there once the child is done. So a
child that outlives its parent can spoil nothing, and it ends before the next piece that it would write.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterable

from clipdetect import state
from clipdetect.errors import StateError

SAVED = b"saved"


class Checkpoints:
    """Saves by a child process, or here; at most one child at a time.

    path : of the state. content : what is to be saved now.
    waits : what the process waits for beside its input, by file descriptor: what to call when it can be
        read. So a child that is done is served though no records come.
    failed : why a checkpoint could not be saved; emptied by whoever tells it.
    """

    def __init__(self, path: str, content: Callable[[], state.Content], waits: dict[int, Callable[[], object]]) -> None:
        self.path, self.content, self.waits = path, content, waits
        self.failed = ""
        self._child = 0
        self._heard = -1  # what the child says when it is done
        self._draft: state.Draft | None = None

    def now(self, apart: bool) -> bool:
        """Save; `apart` in a child process. False where the child before is not done yet."""
        if not self.reap():
            return False  # the disk is slower than the stream: at the next block, then
        try:
            if not (apart and self._fork()):
                state.save(self.path, *self.content())
        except StateError as error:
            self.failed = str(error)
        return True

    def _fork(self) -> bool:
        """Start a child; False where the system has no process for it."""
        try:
            draft = state.Draft(self.path)
        except OSError as error:
            raise state.unsaved(self.path, error.strerror) from error
        parent, (heard, said) = os.getpid(), os.pipe()
        try:
            child = os.fork()
        except OSError:
            draft.discard()
            os.close(heard)
            os.close(said)
            return False
        if not child:
            self._write(draft, said, parent)
        os.close(said)
        self._child, self._heard, self._draft = child, heard, draft
        self.waits[heard] = self.reap
        return True

    def _write(self, draft: state.Draft, said: int, parent: int) -> None:
        """The child's whole life."""

        def between() -> None:
            if os.getppid() != parent:
                os._exit(1)  # nobody is left who would put the file in its place

        try:
            signal.set_wakeup_fd(-1)
            _close_all_but((draft.fd, said))
            try:
                draft.write(self.content(), between)
                word = SAVED
            except OSError as error:
                word = str(error.strerror).encode()
            except Exception as error:  # the parent tells it and goes on
                word = f"{type(error).__name__}: {error}".encode(errors="replace")
            os.write(said, word[:1000])
        finally:
            os._exit(0)

    def reap(self) -> bool:
        """Whether no child is saving any more; what it has written is put in its place."""
        if self._child:
            poll = select.poll()
            poll.register(self._heard, select.POLLIN)
            if not poll.poll(0):
                return False
            self._settle()
        return True

    def _settle(self) -> None:
        """Hear what the child has to say, or that it is dead; then there is none."""
        assert self._draft is not None
        word = os.read(self._heard, 1000)
        how = self._bury()
        with self._draft as draft:
            if word == SAVED:
                try:
                    draft.publish()
                except OSError as error:
                    self.failed = str(state.unsaved(self.path, error.strerror))
            else:
                self.failed = str(state.unsaved(self.path, word.decode(errors="replace") or how))

    def _bury(self) -> str:
        """Take leave of the child, which is ending; how it ended."""
        del self.waits[self._heard]
        os.close(self._heard)
        child, self._child = self._child, 0
        with contextlib.suppress(ChildProcessError):  # where SIGCHLD is ignored, nothing is left of it
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if code < 0:
                return f"the process that saved it was ended by signal {-code}"
        return "the process that saved it ended early"

    def abandon(self) -> None:
        """End a child before its time: what it saves is of no use any more."""
        if not self.reap():
            assert self._draft is not None
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)
            self._bury()
            self._draft.discard()


def _close_all_but(kept: Iterable[int]) -> None:
    """A child must hold neither the lock nor the end of a pipe that others wait for."""
    try:
        there: Iterable[int] = [int(name) for name in os.listdir("/dev/fd")]
    except OSError:
        there = range(256)
    for fd in there:
        if fd not in kept:
            with contextlib.suppress(OSError):
                os.close(fd)
