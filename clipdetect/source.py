"""Where bytes come from: files and stdin, compressed or not, read as they arrive.

`os.read` gives what is there: one record on a slow pipe, a full buffer on a fast one. So batches
follow the load by themselves, without a timer.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import zlib
from collections.abc import Iterator
from types import FrameType
from typing import Any, Protocol

from clipdetect.errors import InputError

FIRST_READ = 1 << 16  # bytes a read while kernels are interpreted: keeps a block's answer prompt
FULL_READ = 1 << 18  # bytes a read once compiled
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
STOP_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


GRACE = 0.5  # seconds that a write may take to finish after a signal


class Interrupted(BaseException):
    """A signal asked for the end; `number` is the signal's. `stuck`: in the middle of a write.

    No error, and so nothing that a record can be blamed for.
    """

    def __init__(self, number: int, stuck: bool = False) -> None:
        super().__init__(number)
        self.number = number
        self.stuck = stuck


_writing = False


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Around a write, which a signal lets finish, but not for ever."""
    global _writing
    _writing = True
    try:
        yield
    finally:
        _writing = False


class Signals:
    """Turns SIGINT, SIGTERM and SIGHUP into a clean end between two blocks.

    The first signal ends the next wait for input; a second one ends the process at once. SIGUSR1
    asks for the counters. Usable in the main thread only; elsewhere it does nothing.
    """

    def __init__(self) -> None:
        self.number = 0
        self.report = False
        self._old: dict[int, Any] = {}
        self._wake: tuple[int, int] | None = None
        self._old_fd = -1

    def __enter__(self) -> Signals:
        with contextlib.suppress(ValueError):  # not the main thread
            self._old_fd = signal.set_wakeup_fd(-1)
            read, write = os.pipe()
            os.set_blocking(write, False)
            os.set_blocking(read, False)
            self._wake = (read, write)
            signal.set_wakeup_fd(write, warn_on_full_buffer=False)
            for name in (*STOP_SIGNALS, "SIGUSR1", "SIGALRM"):
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                    self._old[number] = signal.signal(number, self._caught)
        return self

    def __exit__(self, *_: object) -> None:
        if self.number:
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
        elif number == getattr(signal, "SIGALRM", None):
            if _writing and self.number:
                raise Interrupted(self.number, stuck=True)
        elif self.number:
            os._exit(128 + number)
        else:
            self.number = number
            if _writing:
                signal.setitimer(signal.ITIMER_REAL, GRACE)

    def wait(self, fd: int, timeout: float | None = None) -> bool:
        """Wait until `fd` can be read; False after `timeout` seconds or on SIGUSR1. Raises Interrupted."""
        if self.number:
            raise Interrupted(self.number)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        if self._wake is not None:
            poll.register(self._wake[0], select.POLLIN)
        ready = {each for each, _ in poll.poll(None if timeout is None else timeout * 1000.0)}
        if self._wake is not None and self._wake[0] in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake[0], 4096)
        if self.number:
            raise Interrupted(self.number)
        return fd in ready

    def sleep(self, seconds: float) -> None:
        """Wait that long, or until SIGUSR1. Raises Interrupted when a signal asks for the end, at once."""
        if not self.number:
            poll = select.poll()
            if self._wake is not None:
                poll.register(self._wake[0], select.POLLIN)
            if poll.poll(seconds * 1000.0) and self._wake is not None:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake[0], 4096)
        if self.number:
            raise Interrupted(self.number)


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
    """

    def __init__(self, path: str, signals: Signals) -> None:
        self.path = path
        self.name = "stdin" if path == "-" else path
        self.signals = signals
        self.read_size = FIRST_READ
        self.saturated = False
        self._regular = False
        self._fd = -1

    def __iter__(self) -> Iterator[bytes]:
        """Raises InputError where the file cannot be opened, read or decompressed."""
        try:
            self._fd = sys.stdin.fileno() if self.path == "-" else os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
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

    def _read(self) -> bytes:
        while not self.signals.wait(self._fd):
            if self.signals.report:
                return b""
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
            if decoder is None:
                head += data
                if data and any(magic.startswith(head) and head != magic for magic in (GZIP, ZSTD)):
                    continue  # too short to tell
                decoder = _decoder(head)
                yield from (piece for piece in decoder.take(head, not data) if piece)
            else:
                yield from (piece for piece in decoder.take(data, not data) if piece)
            if not data:
                return

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
