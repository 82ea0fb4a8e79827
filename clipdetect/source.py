"""Where bytes come from: files and stdin, compressed or not, read as they arrive.

`os.read` gives what is there: one record on a slow pipe, a full buffer on a fast one. So batches
follow the load by themselves, without a timer.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Protocol

from clipdetect.errors import InputError

FIRST_READ = 1 << 16  # bytes a read while kernels are interpreted: keeps a block's answer prompt
FULL_READ = 1 << 18  # bytes a read once compiled
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
GRACE = 0.5  # seconds that a block or its write has to finish after a signal
IDLE = 1.0  # seconds without input after which it is looked at what is held back
TICK = 0.1  # seconds between two looks at whether there was one


class Interrupted(BaseException):
    """A signal asked for the end; `number` is the signal's.

    No error, and so nothing that a record can be blamed for.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


_catching = False  # whether there are handlers, so that a timer's signal does no harm
_grace = math.inf  # seconds that the call at hand has after a signal; endless where it must not be broken off


class Breakable:
    """Around a call that may wait for ever: a signal breaks it off with Interrupted, after `grace` seconds.

    A timer ticks meanwhile, because a signal that comes just before the call begins does not break it off.
    """

    def __init__(self, grace: float) -> None:
        self.grace = grace

    def __enter__(self) -> None:
        global _grace
        _grace = self.grace
        if _catching:
            signal.setitimer(signal.ITIMER_REAL, TICK, TICK)

    def __exit__(self, *_: object) -> None:
        global _grace
        _grace = math.inf
        if _catching:
            signal.setitimer(signal.ITIMER_REAL, 0.0)


opening = Breakable(0.0)  # such as of a FIFO, which waits for its writer
writing = Breakable(GRACE)  # such as to a pipe that nobody empties
working = Breakable(GRACE)  # on what can be undone as a whole: a user's expression may take for ever


class Signals:
    """Turns SIGINT, SIGTERM and SIGHUP into a clean end between two blocks.

    The first signal ends the next wait for input; a second one ends the process at once. SIGUSR1
    asks for the counters. Usable in the main thread only; elsewhere it does nothing.

    also : what else is waited for beside input: what to call when a file descriptor can be read.
    """

    def __init__(self) -> None:
        self.number = 0
        self.report = False
        self.also: dict[int, Callable[[], object]] = {}
        self._since = 0.0  # when the first signal came
        self._old: dict[int, Any] = {}
        self._wake: tuple[int, int] | None = None
        self._old_fd = -1

    def __enter__(self) -> Signals:
        global _catching
        with contextlib.suppress(ValueError):  # not the main thread
            self._old_fd = signal.set_wakeup_fd(-1)
            read, write = os.pipe()
            os.set_blocking(write, False)
            os.set_blocking(read, False)
            self._wake = (read, write)
            signal.set_wakeup_fd(write, warn_on_full_buffer=False)
            for name in (*STOP_SIGNALS, "SIGUSR1", "SIGALRM"):
                number = getattr(signal, name, None)
                if number is not None and (name == "SIGALRM" or signal.getsignal(number) is not signal.SIG_IGN):
                    self._old[number] = signal.signal(number, self._caught)
            _catching = True
        return self

    def __exit__(self, *_: object) -> None:
        global _catching
        if self._wake is not None:
            _catching = False
            signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in self._old.items():
            signal.signal(number, handler)
        if self._wake is not None:
            signal.set_wakeup_fd(self._old_fd)
            for fd in self._wake:
                os.close(fd)

    def _caught(self, number: int, _frame: FrameType | None) -> None:
        if number == getattr(signal, "SIGUSR1", None):
            self.report = True
            return
        if number != getattr(signal, "SIGALRM", None):
            if self.number:
                os._exit(128 + number)
            self.number, self._since = number, time.monotonic()
        if self.number and time.monotonic() - self._since >= _grace:
            writing.__exit__()  # once is enough, also where `with` has hardly begun
            raise Interrupted(self.number)

    def wait(self, fd: int, timeout: float | None = None) -> bool:
        """Wait until `fd` can be read; False after `timeout` seconds or on SIGUSR1 and such. Raises Interrupted."""
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return fd in self._ready(poll, timeout)

    def sleep(self, seconds: float) -> None:
        """Wait that long, or until SIGUSR1 and such. Raises Interrupted when a signal asks for the end, at once."""
        self._ready(select.poll(), seconds)

    def join(self, thread: threading.Thread) -> None:
        """Wait for a thread to end. Raises Interrupted."""
        while thread.is_alive():
            thread.join(TICK)
            self.stop()

    def stop(self) -> None:
        """Raises Interrupted where a signal has asked for the end."""
        if self.number:
            raise Interrupted(self.number)

    def _ready(self, poll: select.poll, timeout: float | None) -> set[int]:
        """Which of the file descriptors asked for, and of ours, have something within `timeout` seconds."""
        self.stop()
        wake = -1 if self._wake is None else self._wake[0]
        for each in (wake, *self.also) if self.also else (wake,):
            if each >= 0:
                poll.register(each, select.POLLIN)
        ready = {each for each, _ in poll.poll(None if timeout is None else timeout * 1000.0)}
        if wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wake, 4096)
        self.stop()  # also where the signal came with the end of the input, which is then nobody's last line
        if self.also:
            for each in ready & self.also.keys():
                self.also[each]()
        return ready


class _Decompressor(Protocol):
    def take(self, data: bytes, final: bool) -> Iterator[bytes]: ...


class _Plain:
    def take(self, data: bytes, final: bool) -> Iterator[bytes]:
        yield data


class _Gzip:
    """gzip, several members in a row included; output in pieces of bounded size."""

    def __init__(self) -> None:
        self._member: Any = zlib.decompressobj(31)
        self._begun = False

    def take(self, data: bytes, final: bool) -> Iterator[bytes]:
        while data:
            if self._member.eof:
                data = data.lstrip(b"\0")  # padding between members
                if not data:
                    return
                self._member, self._begun = zlib.decompressobj(31), False
            self._begun = True
            yield self._member.decompress(data, FULL_READ)
            data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        if final and self._begun and not self._member.eof:
            yield self._member.flush()
            raise EOFError("the compressed file is truncated")


class _Zstd:
    """Zstandard, several frames in a row included; needs the package zstandard."""

    def __init__(self) -> None:
        try:
            import zstandard
        except ImportError as error:
            raise ValueError("zstd needs the package zstandard: pip install 'clipdetect[zstd]'") from error
        self._library = zstandard
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._begun = False

    def take(self, data: bytes, final: bool) -> Iterator[bytes]:
        try:
            while data:
                if self._begun and self._frame.eof:
                    self._frame = self._library.ZstdDecompressor().decompressobj()
                self._begun = True
                yield self._frame.decompress(data)
                data = self._frame.unused_data if self._frame.eof else b""
        except self._library.ZstdError as error:
            raise zlib.error(str(error)) from error
        if final and self._begun and not self._frame.eof:
            raise EOFError("the compressed file is truncated")


class Source:
    """One input: a path, or `-` for stdin. Iterating gives its bytes, decompressed, as they arrive.

    waiting : after each piece, whether more is there already.
    saturated : whether the last read filled its buffer, so that nobody waits for a single answer.
    idle : what to do, again and again, where nothing has come for `IDLE` seconds.
    """

    def __init__(self, path: str, signals: Signals) -> None:
        self.path = path
        self.name = "stdin" if path == "-" else path
        self.signals = signals
        self.read_size = FIRST_READ
        self.saturated = False
        self.idle: Callable[[], None] | None = None
        self._regular = False
        self._fd = -1

    def __iter__(self) -> Iterator[bytes]:
        """Raises InputError where the file cannot be opened, read or decompressed."""
        try:
            self._fd = self._open()
            self._regular = os.path.isfile(f"/dev/fd/{self._fd}") or os.path.isfile(self.path)
            _widen(self._fd)
            yield from self._pieces()
        except OSError as error:
            raise InputError(f"{self.name}: {error.strerror}") from error
        except (zlib.error, EOFError) as error:
            raise InputError(f"{self.name}: cannot decompress: {error}") from error
        except ValueError as error:
            raise InputError(f"{self.name}: {error}") from error
        finally:
            if self.path != "-" and self._fd >= 0:
                os.close(self._fd)

    def _open(self) -> int:
        if self.path == "-":
            if sys.stdin is None:
                raise InputError("stdin: is closed; name the files to read")
            return sys.stdin.fileno()
        with opening:
            return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)

    def _read(self) -> bytes:
        while not self.signals.wait(self._fd, None if self.idle is None else IDLE):
            if self.signals.report:
                return b""
            if self.idle is not None:
                self.idle()
        data = os.read(self._fd, self.read_size)
        self.saturated = self._regular or len(data) == self.read_size
        return data

    def _pieces(self) -> Iterator[bytes]:
        head, decoder = b"", None
        while True:
            if self.signals.report:
                yield b""
            data = self._read()
            if not data and self.signals.report:
                continue
            final = not data
            if decoder is None:
                head += data
                if not final and any(magic.startswith(head) and head != magic for magic in (GZIP, ZSTD)):
                    continue  # too short to tell
                decoder, data = _decoder(head), head
            for piece in decoder.take(data, final):
                if piece:
                    yield piece
                    self.signals.stop()  # a little compressed input may give a lot
            if final:
                return

    @property
    def share(self) -> float | None:
        """How much of a file has been read, by its bytes on disk; None where its size is not known."""
        if not self._regular or self._fd < 0:
            return None
        try:
            size = os.fstat(self._fd).st_size
            return min(1.0, os.lseek(self._fd, 0, os.SEEK_CUR) / size) if size else None
        except OSError:
            return None

    @property
    def waiting(self) -> bool:
        """Whether more input is there already."""
        return self._regular or self.signals.wait(self._fd, 0.0)


def _decoder(head: bytes) -> _Decompressor:
    if head.startswith(GZIP):
        return _Gzip()
    return _Zstd() if head.startswith(ZSTD) else _Plain()


def _widen(fd: int) -> None:
    """Ask for a larger pipe buffer (Linux); no harm where that is not possible."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, 1 << 20)
