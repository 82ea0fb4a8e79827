"""One user at a time for a state file: a lock on a file beside it, which the system lifts when its holder ends.

It is on `.NAME.lock`, not on the state itself, which may not be there yet and is replaced at each save.
The holder removes that file at its end. After a kill it stays, without meaning, until the next run.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from clipdetect.errors import StateError

WAIT = 0.5  # seconds that a lock is asked for: a process killed a moment ago may not be gone yet
AGAIN = 0.02  # seconds between two attempts
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)  # some network file systems
KINDS = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a FIFO", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


class Lock:
    """Keeps others from a state file from `take` to `release`.

    path : of the state; a link stands for what it leads to.
    fd : of the lock. A process forked from ours must close it, or it holds the lock too.
    missing : why the file system has no locks; empty where it has.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.file = Path()
        self.fd = -1
        self.missing = ""

    def take(
        self, sleep: Callable[[float], object] = time.sleep, tell: Callable[[str], object] = lambda note: None
    ) -> None:
        """Raises StateError where another holds it, or where there can be no state file.

        tell : is told where the file system has no locks.
        """
        refuse_special(self.path)
        target = Path(os.path.realpath(self.path))
        self.file = target.with_name(f".{target.name}.lock")
        begun = time.monotonic()
        try:
            while not self._taken():
                if time.monotonic() - begun > WAIT:
                    raise StateError(
                        f"{self.path}: the state is in use by {self._holder()}; end that first, or name another file"
                    )
                sleep(AGAIN)
        except OSError as error:
            raise StateError(f"{self.path}: cannot lock the state: {self.file}: {error.strerror}") from error
        if self.missing:
            tell(f"{self.path}: cannot be locked here ({self.missing}); see that nothing else uses it")

    def _taken(self) -> bool:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        fd = os.open(self.file, flags, 0o666)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # its holder may have removed it between the two calls
            there = os.path.samestat(os.fstat(fd), os.stat(self.file, follow_symlinks=False))
        except (BlockingIOError, FileNotFoundError):
            there = False
        except OSError as error:
            os.close(fd)
            if error.errno not in NO_LOCKS:
                raise
            self.missing = str(error.strerror)
            self._remove()
            return True
        if not there:
            os.close(fd)
            return False
        self.fd = fd
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()} {os.uname().nodename}\n".encode())
        return True

    def _holder(self) -> str:
        """Who has it, as far as that is known."""
        try:
            pid, host = self.file.read_text(errors="replace").split()
        except (OSError, ValueError):
            return "another process"
        return f"process {pid}" if host == os.uname().nodename else f"process {pid} on {host}"

    def release(self) -> None:
        """Let others have it."""
        if self.fd >= 0:
            self._remove()  # while it is still ours
            os.close(self.fd)
            self.fd = -1

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            self.file.unlink()


def refuse_special(path: str) -> None:
    """Raises StateError for what is there and no regular file."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise StateError(f"{path}: cannot read the state: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        kind = KINDS.get(stat.S_IFMT(mode), "no file")
        raise StateError(f"{path}: is {kind}, and a state needs a regular file; name another")
