"""`clipdetect config FILE`: how the first records of a file would be judged, and why."""

from __future__ import annotations

import json

import pytest

from clipdetect.cli import main
from clipdetect.config import load
from clipdetect.preview import preview


def shown(capsys, *words: str) -> list[str]:
    assert main(["config", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    [first] = [i for i, line in enumerate(lines) if line.startswith("# The plan")]
    return [line.removeprefix("# ") for line in lines[first:]]


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(name: str, lines: list[str]) -> str:
        (tmp_path / name).write_text("".join(line + "\n" for line in lines))
        return name

    return write


def test_several_numbers_and_a_clock(write, capsys):
    file = write("d.csv", ["t,x,y", *(f"{i},{i % 7},{i * i % 11}" for i in range(50))])
    assert shown(capsys, file) == [
        "The plan, by the first records of d.csv (csv):",
        "  estimator  horizons (records have several numbers)",
        "  threshold  tail (the default)",
        "  features   categories",
        "  fields     x, y (every numeric field but times, identifiers and labels)",
        "  texts      those that repeat",
        "  clocks     t (by how they rise, so they are not watched)",
    ]


def test_flags_count_before_and_behind_the_file(write, capsys):
    file = write("d.jsonl", [json.dumps({"x": i % 7, "y": i}) for i in range(50)])
    expected = [
        "The plan, by the first records of d.jsonl (jsonl):",
        "  estimator  zscore (asked for)",
        "  threshold  tail (the default)",
        "  features   none",
        "  fields     x (asked for)",
        "  texts      none",
    ]
    assert shown(capsys, file, "-e", "zscore", "--field", "x") == expected
    assert shown(capsys, "-e", "zscore", file, "-f", "x") == expected


def test_the_plan_is_that_of_the_run(write, capfd):
    file = write("d.jsonl", [json.dumps({"x": i % 7, "s": "ab"[i % 2], "n": None}) for i in range(300)])
    found = preview(load({}, None, {}).config, file)
    assert main(["-v", file]) == 0
    assert found.plan.told(found.columns) in capfd.readouterr().err
    assert found.format == "jsonl"


def test_an_empty_file_has_the_plan_before_any_record(write, capsys):
    assert shown(capsys, write("e", []))[:2] == [
        "The plan, by the first records of e (empty):",
        "  estimator  the first records tell: horizons for several fields, or texts; level for one",
    ]


def test_what_is_wrong_with_the_file_is_said(write, capsys):
    assert main(["config", "nosuch"]) == 1
    assert capsys.readouterr().err == "clipdetect: nosuch: No such file or directory\n"
    assert main(["config", write("d.csv", ["x", "1", "2"]), "--derive", "rate"]) == 2
    assert "needs the time of each record" in capsys.readouterr().err


def test_check_is_still_a_command_of_its_own(write, capsys):
    file = write("c.yaml", ["rate: 0.1"])
    assert main(["config", "check", file]) == 0
    assert capsys.readouterr().out == "c.yaml: ok\n"
    assert main(["config", "--seed", "3"]) == 0
    assert "seed: 3  # --seed\n" in capsys.readouterr().out
