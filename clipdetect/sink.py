"""Where bytes go: stdout, written whole block by whole block."""

from __future__ import annotations

import errno
import os
import select

from clipdetect.errors import OutputError
from clipdetect.source import writing


class ClosedPipe(Exception):
    """Whoever read our output has gone; a normal end."""


class Sink:
    """Writes to a file descriptor at once, with no buffer of its own."""

    def __init__(self, fd: int = 1) -> None:
        self.fd = fd

    @property
    def terminal(self) -> bool:
        """Whether a person looks at it."""
        return self.fd >= 0 and os.isatty(self.fd)

    def goes_to(self, path: str) -> bool:
        """Whether this file is what is written to."""
        return self.fd >= 0 and os.path.samestat(os.fstat(self.fd), os.stat(path))

    def write(self, data: bytes) -> None:
        """Write all of it.

        Raises ClosedPipe; OutputError such as on a full disk; Interrupted where a signal came and
        the reader takes nothing more. In each case some of it may have been written.
        """
        with writing:
            self._write(memoryview(data))

    def _write(self, view: memoryview) -> None:
        while view:
            try:
                view = view[os.write(self.fd, view) :]
            except BlockingIOError:  # somebody made the pipe non-blocking
                select.select([], [self.fd], [])
            except BrokenPipeError as error:
                raise ClosedPipe from error
            except OSError as error:
                if error.errno == errno.EINTR:
                    continue
                raise OutputError(f"stdout: {error.strerror}") from error
