"""Saving on the way: a large state from a child process, so that the stream does not wait for the disk."""

from __future__ import annotations

import os
from collections.abc import Callable


class Checkpoints:
    """Saves by calling `save`, which raises where that fails. At most one child process at a time."""

    def __init__(self, save: Callable[[], None]) -> None:
        self.save = save
        self._child = 0
        self.failed = False  # whether a child could not save

    def now(self, apart: bool) -> bool:
        """Save; `apart` in a child process. False where the child before is not done yet."""
        if not apart or not hasattr(os, "fork"):
            self.save()
            return True
        if not self.reap(os.WNOHANG):
            return False  # the disk is slower than the stream: at the next block, then
        self._child = os.fork()
        if not self._child:
            code = 1
            try:
                self.save()
                code = 0
            finally:
                os._exit(code)
        return True

    def reap(self, options: int = 0) -> bool:
        """Whether no child is saving any more; `failed` says where one could not."""
        if self._child:
            pid, status = os.waitpid(self._child, options)
            if not pid:
                return False
            self._child = 0
            self.failed = self.failed or bool(status)
        return True
