"""The three standard streams, where whoever started the program has closed some of them."""

from __future__ import annotations

import os

NAMES = ("stdin", "stdout", "stderr")


def occupy() -> set[str]:
    """Take the numbers of closed standard streams, so that no file opened later gets them; which were closed.

    A state file with number 1 would be given the records, a pipe with number 0 be waited for. What is
    put there is /dev/null the wrong way round: whoever reads stdin or writes to stdout all the same is told.
    """
    closed = set()
    for fd, name in enumerate(NAMES):
        try:
            os.fstat(fd)
        except OSError:
            closed.add(name)
            os.open(os.devnull, os.O_RDONLY if name == "stdout" else os.O_WRONLY)  # the lowest number that is free
    return closed


def silence(fd: int) -> None:
    """Nothing more to a stream that nobody reads, so that Python's own flush at exit neither fails nor waits."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, fd)
    os.close(null)
