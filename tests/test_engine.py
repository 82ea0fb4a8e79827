"""The change from interpreted to compiled kernels."""

from __future__ import annotations

import os
import signal
import subprocess

import numpy as np
import pytest
from commands import COMMAND, ENVIRONMENT, PATIENCE, until

from clipdetect import Detector
from clipdetect.jit import Engine, available
from clipdetect.state import load

COMPILES = available() and os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
needs_compiler = pytest.mark.skipif(not COMPILES, reason="needs numba, switched on")


@needs_compiler
def test_a_long_array_is_compiled_on_the_way_and_scored_the_same():
    X = np.random.default_rng(0).standard_t(3, (40_000, 1))
    changing, compiled = Detector(engine="auto"), Detector(engine="numba")
    score = changing.step(X).score
    assert changing.engine.switched
    assert score.tobytes() == compiled.step(X).score.tobytes()


def test_a_short_array_never_meets_the_compiler():
    detector = Detector(engine="auto")
    detector.step(np.zeros(500))
    assert not detector.engine.switched
    assert not detector.engine.loading


@needs_compiler
def test_nothing_is_compiled_before_it_pays_and_input_waits():
    engine = Engine("auto")
    engine.spent = 10.0
    engine.between_blocks(waiting=False, saturated=False)
    assert not engine.loading and not engine.switched
    engine.between_blocks(waiting=True, saturated=True)  # knows no kernel yet: done at once
    assert engine.switched


@needs_compiler
def test_a_record_that_costs_more_than_5_ms_is_reason_enough():
    engine = Engine("auto")
    engine.slowest = 0.006
    engine.between_blocks(waiting=False, saturated=True)
    assert engine.switched


def test_without_numba_everything_works_interpreted(monkeypatch):
    monkeypatch.setattr("clipdetect.jit.available", lambda: False)
    detector = Detector(engine="auto")
    detector.engine.spent = 10.0
    detector.step(np.random.default_rng(0).normal(size=200))
    assert not detector.engine.switched
    with pytest.raises(ValueError, match="needs the package numba"):
        Detector(engine="numba")


@needs_compiler
def test_a_compiler_that_fails_leaves_the_interpreter(monkeypatch):
    def broken():
        raise ImportError("llvmlite is broken")

    engine = Engine("auto")
    detector = Detector(engine=engine)
    detector.paces_engine = False
    detector.step(np.random.default_rng(0).normal(size=100))
    monkeypatch.setattr("clipdetect.jit.Kernel.compiled", property(lambda self: broken()))
    engine.spent = 10.0
    engine.between_blocks(waiting=True, saturated=True)
    assert isinstance(engine.error, ImportError)
    assert np.isfinite(detector.step([[0.1]]).score).all()


@needs_compiler
def test_a_signal_does_not_wait_for_the_compiler(tmp_path):
    kept, state = tmp_path / "cache", tmp_path / "m.bin"
    environment = {**ENVIRONMENT, "XDG_CACHE_HOME": str(kept)}
    environment.pop("NUMBA_CACHE_DIR", None)
    process = subprocess.Popen(
        [*COMMAND, "--engine", "numba", "--state", str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    process.stdin.write(b'{"x":1,"y":2}\n' * 100)
    process.stdin.flush()
    until(lambda: list(kept.glob("clipdetect/*")))  # the first kernel is about to be compiled
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=PATIENCE / 3)  # all kernels take far longer
    assert (process.returncode, rest) == (143, b"")
    assert load(state)[0]["records"] == 0
