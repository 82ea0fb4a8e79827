"""Where machine code of kernels is kept: a folder for each state of the sources that it was made from.

numba looks at a kernel's own file only. Of a helper in another file, or of a constant from there, it would go on to run
what it was when the kernel was compiled. So the folder's name is a digest of all that a kernel reaches: of this
package's kernels the whole package, of a plug-in's also the files and the values that its kernels name.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGE = Path(__file__).parent
_trouble: list[str] = []


def directory() -> Path:
    """The folder of this package's own kernels."""
    return _base() / f"{sys.implementation.cache_tag}-{_own()}"


def folder(kernel: Any) -> Path | None:
    """Where a kernel's machine code is kept, made where it is missing; None where no place can be trusted."""
    ours = (kernel.function.__module__ or "").partition(".")[0] == __name__.partition(".")[0]
    path = directory() if ours else _base() / f"{sys.implementation.cache_tag}-{_reached(kernel)}"
    try:
        path.parent.parent.mkdir(parents=True, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)  # whatever the umask
        path.mkdir(mode=0o700, exist_ok=True)
        for each in (path.parent, path):
            found = each.stat()
            if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return _untold(f"{each}: not used for compiled kernels: others own it or may write there")
    except OSError as error:
        return _untold(f"{path}: no place for compiled kernels ({error.strerror}); each run compiles them anew")
    return path


def trouble() -> str:
    """Why compiled kernels are not kept, once; empty where they are."""
    return _trouble.pop() if _trouble else ""


@functools.cache
def _untold(message: str) -> None:
    _trouble.append(message)


def _base() -> Path:
    given = os.environ.get("NUMBA_CACHE_DIR")
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(given or home) / "clipdetect"


@functools.cache
def _own() -> str:
    """Digest of every source of the package. [6 ms]"""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(PACKAGE.rglob("*.py")):
        digest.update(str(path.relative_to(PACKAGE)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _reached(kernel: Any) -> str:
    """Digest of what another package's kernel reaches: sources, and the values of the names that it reads."""
    digest = hashlib.blake2b(_own().encode(), digest_size=8)
    for part in sorted(set(_parts(kernel, set()))):
        digest.update(part + b"\0")
    return digest.hexdigest()


def _parts(kernel: Any, seen: set[int]) -> Iterator[bytes]:
    if id(kernel) in seen:
        return
    seen.add(id(kernel))
    function = kernel.function
    yield _source(function.__code__.co_filename)
    for name in function.__code__.co_names:
        value = function.__globals__.get(name)
        if hasattr(value, "function"):
            yield from _parts(value, seen)
        elif isinstance(value, ModuleType):
            yield from _module(value, seen)
        elif value is not None and not callable(value):
            yield f"{name}={value!r}".encode()


def _module(module: ModuleType, seen: set[int]) -> Iterator[bytes]:
    """A module that a kernel names: its source, and its kernels; of the standard library nothing."""
    path = getattr(module, "__file__", None)
    if path and module.__name__.partition(".")[0] not in sys.stdlib_module_names:
        yield _source(path)
        for value in vars(module).values():
            if hasattr(value, "function"):
                yield from _parts(value, seen)


def _source(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:  # typed in, not read from a file
        return path.encode()
