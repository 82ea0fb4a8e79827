"""Where machine code of kernels is kept: a folder for each state of the sources that it was made from.

numba looks at a kernel's own file only. Of a helper in another file, or of a constant from there, it would go on to run
what it was when the kernel was compiled. So the folder's name is a digest of all that a kernel reaches: of this
package's kernels the whole package, of a plug-in's also every file that its own imports, and theirs, and the values
that kernels in them name.
"""

from __future__ import annotations

import functools
import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

_STILL = {*sys.stdlib_module_names, "clipdetect", "numpy", "numba", "llvmlite"} - {"__main__"}
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
    """Digest of what another package's kernel reaches: sources, and the values of the names that kernels read there."""
    modules: dict[int, dict[str, Any]] = {}
    _explore(kernel.function.__globals__, modules)
    names = set(_names(kernel.function.__code__))
    for globals_ in modules.values():
        for value in globals_.values():
            function = _function(value)
            if function is not None:
                names.update(_names(function.__code__))
    parts = {_source(kernel.function.__code__.co_filename)}
    for globals_ in modules.values():
        if globals_.get("__file__"):
            parts.add(_source(globals_["__file__"]))
        where = globals_.get("__name__", "")
        parts.update(f"{where}.{name}=".encode() + _value(globals_[name]) for name in names & globals_.keys())
    digest = hashlib.blake2b(_own().encode(), digest_size=8)
    for part in sorted(parts):
        digest.update(part + b"\0")
    return digest.hexdigest()


def _explore(globals_: dict[str, Any], seen: dict[int, dict[str, Any]]) -> None:
    """Note the globals of a module and of all that it names, as far as they can change: not of numpy and such."""
    if id(globals_) in seen or globals_.get("__name__", "").partition(".")[0] in _STILL:
        return
    seen[id(globals_)] = globals_
    for value in list(globals_.values()):
        function = _function(value)
        if isinstance(value, ModuleType):
            _explore(vars(value), seen)
        elif function is not None:
            _explore(function.__globals__, seen)
        elif getattr(value, "__module__", None) in sys.modules:
            _explore(vars(sys.modules[value.__module__]), seen)


def _function(value: Any) -> FunctionType | None:
    """The plain function of a kernel, or of a function that numba has compiled."""
    own = getattr(value, "__dict__", None)
    if isinstance(value, FunctionType) or not isinstance(own, dict) or isinstance(value, ModuleType):
        return value if isinstance(value, FunctionType) else None
    function = own.get("function", own.get("py_func"))
    return function if isinstance(function, FunctionType) else None


def _names(code: CodeType) -> Iterator[str]:
    """The names that code reads, that of functions within it, too."""
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _names(each)


def _value(value: Any) -> bytes:
    """What compiled code takes from a name as a constant; of other things nothing."""
    if isinstance(value, (int, float, complex, str, bytes, bool)):
        return repr(value).encode()
    if isinstance(value, np.ndarray) and value.dtype != object:
        return f"{value.dtype}{value.shape}".encode() + hashlib.blake2b(value.tobytes()).digest()
    if isinstance(value, tuple):
        return b"(" + b",".join(map(_value, value)) + b")"
    return b""


@functools.cache
def _source(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:  # typed in, not read from a file
        return path.encode()
