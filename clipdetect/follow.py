"""Following files that grow, through rotation, truncation and re-creation: `clipdetect --follow FILE...`.

Every line of every file is given once, in the order of its file. Files are polled (`stat` and a
read), which works on every file system; a read before each new one checks that the bytes before it
are still those that were read, so a file emptied and refilled between two polls is noticed.

What cannot be helped:
- `copytruncate`: lines written after the copy was made and before the file was emptied are lost by
  the rotation itself, where they were not read in time. Lines that are in the copy are read from
  there, unless it is compressed at once, or nothing of the file had been read before.
- A file replaced in place by one that has the same bytes before the place reached (a log of equal
  lines) is taken for the old one.
- A deleted file is read for as long as it is written to, with pauses of up to `QUIET` seconds; what
  comes to it later, or while nobody follows, is lost.
- Network file systems: sizes and times may be seconds old, and so are the lines; a writer on another
  machine that rotates twice meanwhile can go unnoticed.
- A line that is longer than the limit goes through in parts, and other files wait for its end, for
  `QUIET` seconds; then it is ended with a newline.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple, Protocol

from clipdetect import rotation
from clipdetect.errors import InputError
from clipdetect.growing import GrowingFile, Truncated
from clipdetect.rotation import Identity, Position
from clipdetect.source import FIRST_READ, GZIP, ZSTD

QUIET = 5.0  # seconds without a byte after which a file that was rotated away is done with
SHORTEST, LONGEST = 0.02, 0.2  # seconds between two polls, while lines come and when none do
SLOWER = 1.25  # factor from one idle poll to the next
MOST_OPEN = 16  # generations of one path that are kept open
REMEMBERED = 64  # files done with, kept in mind in case they turn up under another followed path


class Piece(NamedTuple):
    """Lines of one file.

    name : the path as it was given. data : whole lines, each with its newline (but an over-long line
    comes in parts); empty when a signal asked for the counters. line : number of the first, counted
    from 1 in each incarnation of the file. begins : the first piece of an incarnation, so that a
    header may come. inside : `data` goes on in an over-long line.
    """

    name: str
    data: bytes
    line: int
    begins: bool
    inside: bool = False


class Sleeper(Protocol):
    """What is needed of `Signals`: `sleep` returns early for `report`, raises Interrupted at the end."""

    report: bool

    def sleep(self, seconds: float) -> None: ...


class _Path:
    """A path that is followed: what is at it now comes last in `chain`, what was there before first."""

    def __init__(self, name: str, saved: Sequence[dict[str, Any]]) -> None:
        self.name, self.path = name, os.path.abspath(name)
        self.chain: list[GrowingFile] = []
        self.pending = [Position(**each) for each in saved]  # not found again yet
        self.searched = False
        self.emptied = 0  # inode of a file that was emptied while nobody followed
        self.told = ""  # the trouble that was told last

    @property
    def last(self) -> GrowingFile | None:
        return self.chain[-1] if self.chain else None


class Follower:
    """Several files read at once, for ever, as they grow.

    Iterating gives a `Piece` at a time, files in turn, and never ends but by Interrupted. Each read
    takes at most `read_size` bytes; memory is that and one line without its end per file. When
    nothing comes, a poll of every path each 0.2 s is all it costs (measured with 10 files: 0.1 % of
    one core). Use `Source` for what does not grow.

    paths : as given; one that is given twice is followed once. signals : ends the waiting.
    saved : a `position()` to go on from; paths not in it are read from their beginning.
    max_line : a longer line comes in parts. [bytes] tell : takes notes to the user.
    clock : seconds, never going back.

    Raises InputError for what can never be followed: stdin, a directory, a pipe, a compressed file.

    name : the file of the last piece. saturated : whether its read filled the buffer. idle : what to do, again and
    again, where nothing comes.
    """

    def __init__(
        self,
        paths: Sequence[str],
        signals: Sleeper,
        saved: dict[str, Any] | None,
        max_line: int,
        tell: Callable[[str], None] = lambda message: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.signals, self.max_line, self.tell, self.clock = signals, max_line, tell, clock
        self.read_size = FIRST_READ
        self.saturated = False
        self.idle: Callable[[], None] | None = None
        self.share = None  # what grows has no end
        self._others = dict(saved or {})  # positions of files that are not followed now are kept
        self._paths: list[_Path] = []
        self._done: dict[Identity, Position] = {}
        seen: set[str | Identity] = set()
        for path in paths:
            marks = _checked(path)
            if not seen & marks:
                self._paths.append(_Path(path, self._others.pop(os.path.abspath(path), [])))
            else:
                self.tell(f"{path}: named twice, followed once")
            seen |= marks
        self.name = self._paths[0].name if self._paths else ""

    def position(self) -> dict[str, list[dict[str, Any]]]:
        """Where to go on after the last piece given: by absolute path, its incarnations, the oldest first."""
        found = dict(self._others)
        for path in self._paths:
            found[path.path] = [asdict(each) for each in (*(file.position() for file in path.chain), *path.pending)]
        return found

    @property
    def waiting(self) -> bool:
        """Whether more bytes are there already."""
        try:
            return any(
                os.fstat(file.fd).st_size > file.place and not file.refused
                for path in self._paths
                for file in path.chain
            )
        except OSError:
            return False

    def first_line(self) -> bytes:
        """The first line of the newest incarnation of the file that the last piece came from, with its newline.

        For a format that needs its header when it goes on in the middle of a file. Empty where there is none yet.
        """
        for path in self._paths:
            if path.name == self.name and path.last is not None:
                with open(path.last.fd, "rb", closefd=False) as file:
                    file.seek(0)
                    line = file.readline(self.max_line)
                return line if line.endswith(b"\n") else b""
        return b""

    def __iter__(self) -> Iterator[Piece]:
        """Raises Interrupted when a signal asks for the end."""
        delay = SHORTEST
        try:
            while True:
                idle = True
                for piece in self._round():
                    idle, self.name = False, piece.name
                    yield piece
                    self.signals.sleep(0.0)
                if self.signals.report:
                    yield Piece(self.name, b"", 1, False)
                elif idle:
                    self.signals.sleep(delay)
                    if self.idle is not None:
                        self.idle()
                delay = min(delay * SLOWER, LONGEST) if idle else SHORTEST
        finally:
            for file in [file for path in self._paths for file in path.chain]:
                os.close(file.fd)

    # -- one round over all files -------------------------------------------------------------

    def _round(self) -> Iterator[Piece]:
        for path in self._paths:
            self._look(path)
            for file in list(path.chain):
                yield from self._take(path, file)
                if self._is_done(path, file):
                    yield from self._finish(path, file)
                elif file is not path.last and not file.drained:
                    break  # its lines come before those of the next

    def _take(self, path: _Path, file: GrowingFile) -> Iterator[Piece]:
        """What has come to a file: one piece, or all of an over-long line."""
        begun = self.clock()
        while not file.over:
            now = self.clock()
            try:
                data = file.read(self.read_size, now)
            except Truncated:
                self._truncated(path, file, now)
                return
            except OSError as error:  # a server has forgotten the file: it is opened anew if it is still there
                self._trouble(path, f"cannot be read: {error.strerror}")
                file.over = True
                return
            if data:
                file.active, self.saturated = now, len(data) == self.read_size
            file.drained = file.drained or (file.left is not None and len(data) < self.read_size)
            if file.hollow:
                data = file.skip_zeros(data)
            piece = self._cut(path, file, data)
            if piece is not None:
                yield piece
            if not file.inside:
                return
            if piece is not None:
                self.signals.sleep(0.0)
            elif now - begun < QUIET:
                self.signals.sleep(SHORTEST)
            else:
                file.inside = False
                yield Piece(path.name, b"\n", file.line, False, True)

    def _cut(self, path: _Path, file: GrowingFile, data: bytes) -> Piece | None:
        """A piece of what is there by now; the line without an end waits."""
        old = len(file.rest)
        file.rest += data
        if file.line == 1 and file.offset == 0 and file.rest.startswith((GZIP, ZSTD)):
            file.refused = True
            file.rest.clear()
            self.tell(f"{path.name}: compressed, so it does not grow; waiting for another file in its place")
            return None
        size = data.rfind(b"\n") + 1
        if size:
            size += old
        elif file.inside or len(file.rest) > self.max_line:
            size = len(file.rest)
        return self._give(path, file, size) if size else None

    def _give(self, path: _Path, file: GrowingFile, size: int, newline: bytes = b"") -> Piece:
        line, inside = file.line, file.inside
        data = file.given(size) + newline
        return Piece(path.name, data, line, line == 1 and not inside, inside)

    # -- rotation -----------------------------------------------------------------------------

    def _look(self, path: _Path) -> None:
        """What is at the path now; a file that is new there joins the chain."""
        try:
            there = os.stat(path.path)
        except OSError as error:
            if not isinstance(error, FileNotFoundError | NotADirectoryError):
                self._trouble(path, f"{error.strerror}; trying on")
                return
            if path.pending and not path.searched:
                self._resume(path, False)
            if path.last is None:
                self._trouble(path, "not there; waiting for it")
            return
        if path.pending:
            self._resume(path, True)
        last = path.last
        if last is not None and last.identity == rotation.identity(there):
            if not last.over:
                last.left, last.drained, last.copy = None, False, False
            if last.seen[0] >= 0:
                path.told = ""
            return
        if rotation.identity(there) in self._held():  # read already, under another followed path
            self._leave(path)
            return
        new = self._open(path)
        if new is not None:
            self._leave(path)
            path.chain += [*([] if last is None else self._missed(path, last, new.identity)), new]
            new.hollow = new.identity[1] == path.emptied

    def _leave(self, path: _Path) -> None:
        """Something else is at the path now."""
        for file in path.chain:
            file.left = self.clock() if file.left is None else file.left

    def _open(self, path: _Path) -> GrowingFile | None:
        """A file from its beginning, or from where it was left when it was followed before."""
        try:
            fd = rotation.open_regular(path.path)
        except OSError as error:
            self._trouble(path, f"{error.strerror}" + ("; trying on" if error.errno else ""))
            return None
        try:
            start = self._done.get(rotation.identity(os.fstat(fd)))
            before = None if start is None else rotation.recognised(fd, start)
            if before is None:
                return GrowingFile(fd, os.path.realpath(path.path), self.clock())
            return GrowingFile(fd, os.path.realpath(path.path), self.clock(), start, before)
        except OSError as error:
            os.close(fd)
            self._trouble(path, f"cannot be read: {error.strerror}")
            return None

    def _missed(self, path: _Path, last: GrowingFile, current: Identity) -> list[GrowingFile]:
        """Generations that came and went between `last` and what is at the path now."""
        opened, unread = rotation.between(last.identity, last.seen[1], path.path)
        for name in unread:
            self.tell(f"{path.name}: lines may be missing: {name} is compressed or cannot be read")
        known, missed, before = {*self._held(), *self._done}, [], True
        for fd, name in opened:
            file = GrowingFile(fd, os.path.realpath(name), self.clock())
            before = before and file.identity != current  # what is newer still comes by its own turn
            if before and file.identity not in known:
                file.left = self.clock()
                missed.append(file)
            else:
                os.close(fd)
        return missed

    def _truncated(self, path: _Path, file: GrowingFile, now: float) -> None:
        """A new incarnation in the same file. What was not read of the old one may be in a copy."""
        new = GrowingFile(os.dup(file.fd), file.file, now)
        new.hollow, new.left, file.left, file.drained = True, file.left, now, False
        copy = rotation.find_copy(file.reached(), path.path, self._held())
        missed = []
        if copy is None:
            file.over = True
            self.tell(f"{path.name}: truncated, reading it from its beginning; lines just before may be missing")
        else:
            file.move(copy)
            missed = self._missed(path, file, new.identity)
        here = path.chain.index(file) + 1
        path.chain[here:here] = [*missed, new]

    def _held(self) -> set[Identity]:
        return {file.identity for path in self._paths for file in path.chain}

    def _is_done(self, path: _Path, file: GrowingFile) -> bool:
        if file.over:
            return True
        if file.left is None or not file.drained:
            return False
        if file.copy:
            return True
        quiet = self.clock() - max(file.left, file.active) >= QUIET
        return quiet or (len(path.chain) > MOST_OPEN and file is path.chain[0])

    def _finish(self, path: _Path, file: GrowingFile) -> Iterator[Piece]:
        """The end of an incarnation; the newline that its last line lacks is added."""
        unended = bool(file.rest) or file.inside
        piece = self._give(path, file, len(file.rest), b"\n") if unended else None
        file.inside = False
        path.chain.remove(file)
        if file.identity not in self._held() and not file.deleted:
            self._done.pop(file.identity, None)
            self._done[file.identity] = file.position()
            if len(self._done) > REMEMBERED:
                del self._done[next(iter(self._done))]
        os.close(file.fd)
        if piece is not None:
            yield piece

    # -- going on after a stop ----------------------------------------------------------------

    def _resume(self, path: _Path, there: bool) -> None:
        """Find the files again that were being read; what is not found while its path is missing may come back."""
        path.searched = True
        pending, path.pending = path.pending, []
        for position in pending:
            found = rotation.find(position, path.path, self._held())
            if found is not None:
                self._leave(path)
                file = os.path.realpath(found.file)
                path.chain.append(GrowingFile(found.fd, file, self.clock(), position, found.before))
            elif position is pending[-1] and not there:
                path.pending = [position]
                return
            else:
                place = f"line {position.line - 1:,} (byte {position.offset:,})"
                hint = ", ".join(rotation.newer(path.path, position.mtime))
                self.tell(
                    f"{path.name}: the file read up to {place} was removed or emptied in the meantime; "
                    "what was added to it may be missing" + (f"; see {hint}" if hint else "")
                )
            if found is None or path.chain[-1].identity[1] != position.inode:
                path.emptied = position.inode
                if found is not None:
                    path.chain[-1].copy = True

    def _trouble(self, path: _Path, message: str) -> None:
        """Told once, until it is over or another."""
        if path.told != message:
            path.told = message
            self.tell(f"{path.name}: {message}")


def _checked(path: str) -> set[str | Identity]:
    """What tells whether two paths are the same file. Raises InputError for what can never be followed."""
    if path == "-":
        raise InputError("-: stdin cannot be followed, it is read as it comes; name files with --follow")
    marks: set[str | Identity] = {os.path.realpath(path)}
    try:
        status = os.stat(path)
    except OSError:
        return marks  # it may come
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}: {rotation.unfit(status.st_mode)}")
    try:
        with open(path, "rb") as file:
            head = file.read(4)
    except OSError:
        head = b""
    if head.startswith((GZIP, ZSTD)):
        raise InputError(f"{path}: compressed, so it does not grow; read it without --follow")
    return marks | {rotation.identity(status)}
