"""One kernel source, two engines: interpreted at once, compiled by numba when that pays.

A kernel is a module-level function of plain arrays and scalars, and of NamedTuples of them (classes at
module level, so that a compiled kernel can be kept on disk). Interpreted, it runs on memoryviews of the
same numpy arrays (twice as fast as numpy indexing, same bits); compiled, on the arrays. Both
give bit-identical results as long as a kernel keeps to full scalar indexing, `math` functions and
plain loops: no `**`, no numpy calls, no `sum`, no log of 0 and no exp over 700.

This module alone imports numba, and only when the first kernel is to be compiled.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from clipdetect import cache

EngineName = Literal["auto", "python", "numba"]
PAYS_AFTER = 0.3  # interpreted kernel seconds after which loading the compiler pays (ski rental)
SLOW_RECORD = 0.005  # a single record that costs more than this is compiled at once [s]

# Kernels make no arrays: without counted references an array of a call costs nothing. A helper is always inlined: a
# call would copy some eight words for each array of a NamedTuple, whether it is used or not.
OPTIONS = {"nogil": True, "_nrt": False, "forceinline": True}


class Kernel:
    """A plain function until numba is asked for; callable from another kernel in either engine."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self._compiled: Any = None

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    @property
    def compiled(self) -> Any:
        """The numba dispatcher, made at first use and cached on disk where a place is writable."""
        if self._compiled is None:
            numba = _numba()
            folder = cache.folder(self)
            before = numba.config.CACHE_DIR
            numba.config.CACHE_DIR = before if folder is None else str(folder)
            try:
                self._compiled = numba.njit(self.function, cache=folder is not None, **OPTIONS)
            except RuntimeError:  # nowhere to write a cache
                self._compiled = numba.njit(self.function, **OPTIONS)
            finally:
                numba.config.CACHE_DIR = before  # others' functions have their own place
        return self._compiled

    @property
    def _numba_type_(self) -> Any:
        _numba()
        from numba import types

        return types.Dispatcher(self.compiled)


def kernel(function: Callable[..., Any]) -> Kernel:
    """Mark a module-level function as a kernel."""
    return Kernel(function)


@functools.cache
def _numba() -> Any:
    os.environ.setdefault("NUMBA_DISABLE_INTEL_SVML", "1")  # its exp and log have other last bits
    import numba

    return numba


def available() -> bool:
    """Whether numba can be imported here."""
    from importlib.util import find_spec

    return find_spec("numba") is not None


class Engine:
    """Calls kernels, interpreted or compiled, and decides when to change over.

    Parameters
    ----------
    name : `python` never compiles, `numba` compiles each kernel at its first call, `auto` starts
        interpreted and compiles in a background thread once interpreted kernels have cost
        `PAYS_AFTER` seconds and more input is already waiting, or a record costs `SLOW_RECORD`.

    The change is one assignment between two blocks, so no call ever mixes engines. Where numba is
    missing, `auto` and `python` are the same and `numba` raises ValueError.
    """

    def __init__(self, name: EngineName = "auto") -> None:
        if name not in ("auto", "python", "numba"):
            raise ValueError(f"engine must be auto, python or numba, got {name!r}")
        if name == "numba" and not available():
            raise ValueError("engine numba needs the package numba: pip install numba, or use auto")
        self.name = name
        self.spent = 0.0
        self.slowest = 0.0  # seconds a record, in the block just done
        self.error: Exception | None = None
        self.switched = name == "numba"
        self._fast: dict[Kernel, Any] = {}
        self._seen: dict[Kernel, tuple[Any, ...]] = {}
        self.join: Callable[[threading.Thread], object] = threading.Thread.join  # waits for the compiler
        self._loader: threading.Thread | None = None
        self._can_load = name == "auto" and available() and os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")

    def call(self, kernel: Kernel, rows: int, *args: Any) -> Any:
        """Run `kernel(*args)`; `rows` is the number of records, for the accounting."""
        if self.name == "numba" and kernel not in self._fast:
            self._compile(kernel, args)
        fast = self._fast.get(kernel)
        if fast is not None:
            return fast(*args)
        start = time.perf_counter()
        result = kernel.function(*[_view(each) for each in args])
        taken = time.perf_counter() - start
        self.spent += taken
        self.slowest = max(self.slowest, taken / max(rows, 1))
        if self._can_load and kernel not in self._seen:
            self._seen[kernel] = _no_rows(args)
        return result

    def _compile(self, kernel: Kernel, args: tuple[Any, ...]) -> None:
        """Compile a kernel, or read it from the cache, in a thread whose end can be waited for and given up."""
        failures: list[Exception] = []

        def work() -> None:
            try:
                kernel.compiled(*_no_rows(args))
            except Exception as error:
                failures.append(error)

        interval = sys.getswitchinterval()
        sys.setswitchinterval(0.0005)  # whoever gives it up is to end soon
        self._loader = threading.Thread(target=work, name="clipdetect-compile", daemon=True)
        self._loader.start()
        try:
            self.join(self._loader)
        finally:
            sys.setswitchinterval(interval)
        for error in failures:
            raise error
        self._fast[kernel] = kernel.compiled

    def between_blocks(self, waiting: bool, saturated: bool) -> None:
        """Called after each block: start the compiler when it pays.

        `waiting`: more input is there already (a poll says so). `saturated`: the last read filled
        its buffer, so nobody waits for a single answer and the load may hold up the stream.
        """
        pays = (self.spent > PAYS_AFTER and waiting) or self.slowest > SLOW_RECORD
        self.slowest = 0.0
        if not (self._can_load and pays):
            return
        self._can_load = False
        self._loader = threading.Thread(target=self._load, name="clipdetect-compile", daemon=True)
        self._loader.start()
        if saturated:
            self.join(self._loader)

    @property
    def loading(self) -> bool:
        """Whether the compiler is at work in the background."""
        return self._loader is not None and self._loader.is_alive()

    def _load(self) -> None:
        interval = sys.getswitchinterval()
        sys.setswitchinterval(0.0005)  # records keep flowing while numba is imported
        try:
            seen = dict(self._seen)  # a kernel first met later stays interpreted
            for each, args in seen.items():
                each.compiled(*args)  # compiles, or reads the cache, and does nothing
            self._fast = {each: each.compiled for each in seen}
            self.switched = True
        except Exception as error:  # a broken cache or compiler: interpreted is still right
            self.error = error
        finally:
            sys.setswitchinterval(interval)


def _no_rows(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a call of the same types on no records."""
    return tuple(map(_empty, args))


def _view(argument: Any) -> Any:
    """What an interpreted kernel gets: arrays as memoryviews, in NamedTuples too."""
    if type(argument) is np.ndarray:
        return memoryview(argument)  # type: ignore[arg-type]
    if not isinstance(argument, tuple):
        return argument
    views = [memoryview(each) if type(each) is np.ndarray else _view(each) for each in argument]  # type: ignore[arg-type]
    return tuple.__new__(type(argument), views)  # the class's own constructor takes longer than all the rest


def _empty(argument: Any) -> Any:
    """An argument of the same type without a row."""
    if isinstance(argument, np.ndarray):
        return argument[:0].copy()
    if isinstance(argument, tuple):
        return tuple.__new__(type(argument), map(_empty, argument))
    return argument
