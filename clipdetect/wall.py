"""The wall: what one record makes the program raise stays that record's problem.

A record may deserve a problem: it cannot be read, and the format says so (`Unreadable`). Anything else that is raised
for a record, by a format, a feature, a component, an explanation or a plug-in, is a *fault* of the program's own. The
record passes by `--on-error` like one that cannot be read, the others get the answers that they would have had without
it, the fault is shown with its type, its place and the record, counted, and the run ends with exit code 1.

Where a block raises, it is done again piece by piece, from the moment before it: `formats.lines` does so for reading,
`answers` for all that comes after it. So nothing is spent on the wall until somebody runs into it.
"""

from __future__ import annotations

from clipdetect.errors import ClipdetectError
from clipdetect.records import Problem


def is_fault(error: Exception) -> bool:
    """Whether an exception is a fault; those of `errors` are said on purpose, and end what they end."""
    return not isinstance(error, ClipdetectError)


def fault(error: Exception, piece: int, line: int, lost: bool = True) -> Problem:
    """The problem of a record in whose work a fault was raised.

    line : of the input, 0 where that is not known. lost : whether the record passes unscored for it.
    """
    name = type(error).__name__
    what = "the record passes as unreadable" if lost else "the record lost nothing but words"
    message = f"internal error, {name}: {error} ({place(error)}); {what}; please report this"
    return Problem(piece, line, f"with an internal error ({name})", message, True)


def place(error: BaseException) -> str:
    """Module and line that raised, such as `formats.extract:57`; of a library, the line of ours that called it."""
    found, trace = "?", error.__traceback__
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", "?"))
        if name.startswith("clipdetect.") or found == "?" or not _library(trace.tb_frame.f_code.co_filename):
            found = f"{name.removeprefix('clipdetect.')}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _library(path: str) -> bool:
    return "site-packages" in path or "/lib/python" in path
