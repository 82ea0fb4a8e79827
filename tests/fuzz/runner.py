"""One run of the pipeline in this process, and all that can be seen of it; nothing that it raises gets past."""

from __future__ import annotations

import contextlib
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any, NamedTuple

import clipdetect
from clipdetect.config import load
from clipdetect.errors import ConfigError
from clipdetect.formats.fast import Fast
from clipdetect.pipeline import Pipeline
from clipdetect.source import Signals
from tests.feeding import Memory, Pieces, Quiet, cut

DEEP = 3000  # levels of calls that the command allows itself
LONGEST = 120  # seconds of CPU that a run may take; compiling is among them
EARLY = (
    "--prefix",
    "needs the time",
    "cannot be written so",
    "cannot be watched too",
    "records have none",
)  # found out by the first record


class Slow(BaseException):
    """A run took longer than any should."""


class Outcome(NamedTuple):
    """What a run gave.

    kinds : unreadable records and values by kind; unreadable : the records among them.
    error, place : the exception that came out of it, and the innermost function of the product on its way; or the
        first warning, which a person would see on stderr.
    refused : why the settings do not suit the records, found out before anything was scored.
    """

    out: bytes = b""
    kinds: dict[str, int] = {}  # noqa: RUF012  # never changed
    unreadable: dict[str, int] = {}  # noqa: RUF012
    records: int = 0
    flagged: int = 0
    code: int = 0
    said: tuple[str, ...] = ()
    error: str = ""
    place: str = ""
    refused: str = ""

    def seen(self) -> tuple[Any, ...]:
        """What must not depend on how the bytes came and by which way they were read."""
        return self.kinds, self.unreadable, self.records, self.flagged, self.code, self.error, self.refused


def run(data: bytes, flags: dict[str, Any], sizes: Sequence[int] | None = None, stop: int | None = None) -> Outcome:
    """Score the bytes, in pieces of these sizes; stop : the output breaks like a closed pipe after so many writes."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), DEEP))
    sink, talk = Memory(stop), Quiet()
    pipeline, code, warned = None, 0, []
    refused = error = place = ""
    try:
        with limited(LONGEST), warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            config = load(flags, None, {}).config
            with Signals() as signals:
                pipeline = Pipeline(config, signals, talk, sink)
                pipeline.open = lambda path: Pieces(cut(data, sizes))  # type: ignore[method-assign, assignment]
                code = pipeline.run(["stdin"])
    except (Exception, Slow) as raised:
        message = f"{type(raised).__name__}: {raised}"
        early = pipeline is None or any(each in message for each in EARLY)
        if isinstance(raised, ConfigError) and early:
            refused = message
        else:
            error, place = message, innermost(raised)
    if warned and not error:
        first = warned[0]
        error, place = f"{first.category.__name__}: {first.message}", f"{shortened(first.filename)}:{first.lineno}"
    if pipeline is None:
        return Outcome(error=error, place=place, refused=refused)
    kinds, unreadable = dict(sorted(talk.kinds.items())), dict(sorted(talk.unreadable.items()))
    return Outcome(
        sink.data, kinds, unreadable, pipeline.records, pipeline.flagged, code, tuple(talk.said), error, place, refused
    )


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raises Slow after so many seconds of CPU."""

    def late(number: int, frame: FrameType | None) -> None:
        raise Slow(f"more than {seconds:g} s of CPU")

    before = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@contextlib.contextmanager
def plain_path() -> Iterator[None]:
    """JSON lines are read leaf by leaf, never by the typed decoder."""
    wanted = Fast.wanted
    Fast.wanted = lambda self: False  # type: ignore[method-assign]
    try:
        yield
    finally:
        Fast.wanted = wanted  # type: ignore[method-assign]


def innermost(error: BaseException) -> str:
    """File and function of the product in which an exception arose."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if each.filename != shortened(each.filename)]
    return f"{shortened(own[-1].filename)}:{own[-1].lineno} {own[-1].name}" if own else ""


def shortened(path: str) -> str:
    """The path of a file of the product, from its own folder on."""
    return path.removeprefix(clipdetect.__path__[0] + "/")
