"""Compiled kernels are never older than what they were made from, and come from a place that can be trusted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from clipdetect import cache, jit

ROOT = str(Path(__file__).parents[1])
HELPER = """
from clipdetect.jit import kernel

OFFSET = 0.0

@kernel
def gain(x):
    \"\"\"x\"\"\"
    return x * 2.0 + OFFSET
"""
PLUGIN = """
from clipdetect.jit import kernel
from my_helper import gain

@kernel
def step(X, raw):
    \"\"\"X (n,), raw (n,)\"\"\"
    for i in range(X.shape[0]):
        raw[i] = gain(X[i])
"""
RUN = """
import numpy as np
from my_plugin import step
raw = np.empty(2)
step.compiled(np.ones(2), raw)
print(raw.tolist(), step.compiled.stats.cache_hits.__len__())
"""


def run(folder, **more):
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": f"{folder}:{ROOT}", **more}
    environment.pop("NUMBA_CACHE_DIR", None)
    return subprocess.run([sys.executable, "-c", RUN], env=environment, capture_output=True, text=True, check=True)


@pytest.mark.skipif(not jit.available(), reason="numba is not installed")
def test_a_helper_edited_in_another_file_is_compiled_anew(tmp_path):
    (tmp_path / "my_plugin.py").write_text(PLUGIN)
    found = []
    for helper in (HELPER, HELPER, HELPER.replace("2.0", "3.0"), HELPER.replace("0.0", "5.0")):
        (tmp_path / "my_helper.py").write_text(helper)
        found.append(run(tmp_path).stdout.split("] ")[0] + "]")
    assert found == ["[2.0, 2.0]", "[2.0, 2.0]", "[3.0, 3.0]", "[7.0, 7.0]"]


THIRD = {
    "a constant from a third file": "OFFSET = 0.0\n",
    "a kernel from a third file": "from clipdetect.jit import kernel\n\n@kernel\ndef base(x):\n    return x * 0.0\n",
    "a function of numba's own": "import numba\n\n@numba.njit\ndef base(x):\n    return x * 0.0\n",
}
USES = "from clipdetect.jit import kernel\nfrom my_third import {}\n\n@kernel\ndef gain(x):\n    return x * 2.0 + {}\n"


@pytest.mark.skipif(not jit.available(), reason="numba is not installed")
@pytest.mark.parametrize("what", THIRD)
@pytest.mark.parametrize("attribute", [False, True])
def test_what_a_helper_takes_from_a_third_file_counts(tmp_path, what, attribute):
    name, used = ("OFFSET", "OFFSET") if "OFFSET" in THIRD[what] else ("base", "base(x)")
    plugin = PLUGIN
    if attribute:
        plugin = PLUGIN.replace("from my_helper import gain", "import my_helper").replace("gain(X", "my_helper.gain(X")
    (tmp_path / "my_plugin.py").write_text(plugin)
    (tmp_path / "my_helper.py").write_text(USES.format(name, used))
    found = []
    for third in (THIRD[what], THIRD[what].replace("0.0", "5.0")):
        (tmp_path / "my_third.py").write_text(third)
        found.append(run(tmp_path).stdout.split("] ")[0] + "]")
    assert found == ["[2.0, 2.0]", "[7.0, 7.0]"]


def test_a_value_counts_and_what_never_ends_in_code_does_not():
    base = cache._reached(double)
    assert cache._reached(double) == base
    globals()["FACTOR"] = 3.0
    try:
        assert cache._reached(double) != base
    finally:
        globals()["FACTOR"] = 2.0


FACTOR = 2.0


@jit.kernel
def double(x):
    """x"""
    return x * FACTOR


def test_a_folder_that_others_may_write_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert cache.folder(double).is_dir()
    (tmp_path / "clipdetect").chmod(0o777)
    assert cache.folder(double) is None
    assert "others" in cache.trouble()
    assert cache.trouble() == ""


def test_a_place_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    assert cache.folder(double) is None
    assert "each run compiles them anew" in cache.trouble()


def test_every_source_of_the_package_counts():
    names = {path.name for path in cache.PACKAGE.rglob("*.py")}
    assert {"jit.py", "tail.py", "rate.py", "csv.py"} <= names
