"""The fuzzer finds nothing in a short run, and finds a fault that is planted."""

from __future__ import annotations

import pytest

from clipdetect.formats.jsonl import Jsonl
from tests.fuzz import __main__ as fuzz


def test_a_short_run_finds_nothing(tmp_path, capsys):
    assert fuzz.main(["--lines", "1500", "--seed", "3", "--jobs", "1", "--folder", str(tmp_path)]) == 0, (
        capsys.readouterr().out
    )


@pytest.mark.parametrize("seed", [1])
def test_a_planted_fault_is_found(seed, tmp_path, capsys, monkeypatch):
    annotated = Jsonl.annotated

    def swallows_a_byte(self, batch, annotation):
        return [line[1:] for line in annotated(self, batch, annotation)]

    monkeypatch.setattr(Jsonl, "annotated", swallows_a_byte)
    options = ["--lines", "5000", "--seed", str(seed), "--jobs", "1", "--formats", "jsonl", "--reduce", "1"]
    assert fuzz.main([*options, "--folder", str(tmp_path)]) == 1
    assert "jsonl" in capsys.readouterr().out
