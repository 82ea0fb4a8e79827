"""State files: whole or refused, never half."""

import os

import numpy as np
import pytest
from feeding import head

from clipdetect import state
from clipdetect.errors import StateError

HEAD = head(records=7, fields=["x"], config={"by": [], "estimator": {"name": "level", "patience": 21}})
KEYS = ["a", "line\nbreak", "\ud800", "\x00null"]
ARRAYS = {
    "key/moved": np.zeros(4),
    "f": np.arange(12.0).reshape(4, 3),
    "i": np.array([1, -2], np.int64),
    "b": np.array([True]),
    "none": np.empty((0, 3)),
}


def test_what_is_saved_comes_back(tmp_path):
    path = tmp_path / "m.bin"
    state.save(path, HEAD, KEYS, ARRAYS)
    saved, keys, arrays = state.load(path)
    assert keys == KEYS
    assert saved["records"] == 7 and saved["keys"] == 4
    for name, array in ARRAYS.items():
        assert arrays[name].tobytes() == array.tobytes() and arrays[name].shape == array.shape
        assert arrays[name].flags.writeable
    assert set(state.read_header(path)) == {"version", "records", "keys", "fields", "config"}


def test_every_damaged_byte_and_every_truncation_is_noticed(tmp_path):
    path = tmp_path / "m.bin"
    state.save(path, HEAD, KEYS, ARRAYS)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(whole), 200):
        broken = bytearray(whole)
        broken[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(broken)
        with pytest.raises(StateError, match=r"m\.bin"):
            state.load(path)
    for length in range(0, len(whole), 17):
        path.write_bytes(whole[:length])
        with pytest.raises(StateError):
            state.load(path)


def test_another_configuration_is_named_with_both_values(tmp_path):
    now = {"by": [], "estimator": {"name": "level", "patience": 41}}
    with pytest.raises(StateError, match=r"estimator\.patience is 21 in the state, 41 now"):
        state.check_config("m.bin", HEAD["config"], now)


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "m.bin"
    state.save(path, HEAD, KEYS, ARRAYS)
    before = path.read_bytes()
    os.mkdir(tmp_path / f".m.bin.{os.getpid()}.tmp")  # the temporary file cannot be made
    with pytest.raises(StateError, match="cannot save"):
        state.save(path, HEAD, KEYS, ARRAYS)
    assert path.read_bytes() == before


def test_no_temporary_file_stays(tmp_path):
    state.save(tmp_path / "m.bin", HEAD, KEYS, ARRAYS)
    assert os.listdir(tmp_path) == ["m.bin"]


def test_a_link_stays_a_link(tmp_path):
    target = tmp_path / "real.bin"
    link = tmp_path / "link.bin"
    link.symlink_to(target)
    state.save(link, HEAD, KEYS, ARRAYS)
    assert link.is_symlink() and target.exists()


def test_another_version_is_refused_by_name(tmp_path, monkeypatch):
    path = tmp_path / "m.bin"
    monkeypatch.setattr(state, "VERSION", 3)
    state.save(path, HEAD, KEYS, ARRAYS)
    monkeypatch.setattr(state, "VERSION", 2)
    with pytest.raises(StateError, match="state version 3"):
        state.load(path)
