"""Input to records: its format told by how it begins, decoded block by block; whatever the records are for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from clipdetect.errors import ConfigError, InputError
from clipdetect.formats import sniff
from clipdetect.formats.lines import Lines
from clipdetect.records import Batch, Format
from clipdetect.source import Source, working

if TYPE_CHECKING:
    from clipdetect.follow import Follower

AUTO = "auto"
LONGEST = 16 << 20  # bytes of a first record that are waited for


class Reader:
    """Reads inputs of one format, one after the other; the first one tells which, unless it is given.

    make : makes the format of this name, once. begins : is told of each input: its name, its first bytes, the format.
    given : name of the format, or `auto`. longest : bytes of a first record that are waited for.
    format : as soon as it is known.
    """

    def __init__(
        self,
        make: Callable[[str], Format],
        begins: Callable[[str, bytes, Format], None] | None = None,
        given: str = AUTO,
        longest: int = LONGEST,
    ) -> None:
        self.make, self.begins, self.given, self.longest = make, begins, given, longest
        self.format: Format | None = None

    def batches(self, source: Source) -> Iterator[Batch | None]:
        """The records of an input as they arrive; None where nothing has, but there is something to be told.

        Nothing of an empty input whose format is not known. Raises InputError where it cannot be read to its end, after
        the records that came before.
        """
        failures: list[InputError] = []
        pieces = _unbroken(source, failures)
        if self.format is None:
            name, head = first_bytes(pieces, self.given, self.longest)
        else:
            name, head = self.given, next(pieces, b"")
        if failures and not head:
            raise failures[0]
        if name is None:
            return
        format = self._format(name)
        self._tell(source.name, head, format)
        format.start(source.name)
        if head:
            yield _decoded(format, head)
        for piece in pieces:
            yield _decoded(format, piece) if piece else None
        yield _decoded(format, b"", final=True)  # what a truncated file had is still scored
        if failures:
            raise failures[0]

    def followed(self, follower: Follower) -> Iterator[Batch | None]:
        """Likewise of files that grow; has no end. Raises ConfigError where their format does not grow by lines."""
        for piece in follower:
            if not piece.data:
                yield None
                continue
            if self.format is None:
                first = piece.data if piece.begins else follower.first_line()
                format = self._format(first_bytes(iter(()), self.given, self.longest, first)[0] or "text")
                if not isinstance(format, Lines):
                    raise ConfigError("--follow: a JSON array does not grow line by line; use JSON Lines")
                self._tell(piece.name, first, format)
                if not piece.begins:
                    format.adopt(first.rstrip(b"\n"))
            assert isinstance(self.format, Lines)
            if piece.begins:
                self.format.start(piece.name)
            self.format.resume(piece.name, piece.line, piece.inside)
            yield _decoded(self.format, piece.data)

    def _format(self, name: str) -> Format:
        if self.format is None:
            self.format = self.make(name)
        return self.format

    def _tell(self, name: str, head: bytes, format: Format) -> None:
        if self.begins is not None:
            self.begins(name, head, format)


def first_bytes(
    pieces: Iterator[bytes], given: str = AUTO, longest: int = LONGEST, head: bytes = b""
) -> tuple[str | None, bytes]:
    """The format of a stream, None where it is empty; and what has been taken of it to tell.

    Raises ConfigError where a plug-in that is to be asked cannot be loaded.
    """
    try:
        for piece in pieces:
            head += piece
            name = sniff(head, len(head) > longest) if given == AUTO else given
            if name is not None:
                return name, head
        return sniff(head, True) if given == AUTO else given, head
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _decoded(format: Format, data: bytes, final: bool = False) -> Batch:
    with working:
        return format.decode(data, final)


def _unbroken(source: Source, failures: list[InputError]) -> Iterator[bytes]:
    """The bytes of a source; where it breaks off they end, with the reason among the failures."""
    try:
        yield from source
    except InputError as error:
        failures.append(error)
