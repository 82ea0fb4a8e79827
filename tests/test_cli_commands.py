"""`clipdetect list`, `config` and `state`."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from feeding import head

from clipdetect import catalog, registry, state
from clipdetect.cli import main
from clipdetect.settings import recipes


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    import os

    for name in [name for name in os.environ if name.startswith("CLIPDETECT_")]:
        monkeypatch.delenv(name)


# -- list -------------------------------------------------------------------------------------


def test_list_shows_every_component_by_kind(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for kind in ("feature", "estimator", "threshold", "format"):
        for name in registry.names(kind):
            assert f"\n  {name} " in out
    assert max(map(len, out.splitlines())) <= 80


def test_list_begins_with_the_recipes_and_what_they_are_for(capsys):
    assert main(["list"]) == 0
    first, *_ = capsys.readouterr().out.split("\n\n")
    assert first.startswith("Recipes:\n")
    assert "sshd in syslog or the journal" in " ".join(first.split())
    assert [line.split()[0] for line in first.splitlines()[1:] if line[2] != " "] == list(recipes())


@pytest.mark.parametrize("name", recipes())
def test_list_of_a_recipe_shows_all_its_settings_and_how_to_make_ones_own(name, capsys):
    assert main(["list", name]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{name} (recipe)\n\n")
    [about, *settings] = recipes()[name].read_text().splitlines()
    assert about.startswith("about: ")
    assert "\n".join("  " + line for line in settings) in out
    assert f"clipdetect config --recipe {name} > mine.yaml" in out
    assert "clipdetect -c mine.yaml" in out


def test_list_of_a_recipe_says_in_words_what_it_judges(tmp_path, capsys):
    file = tmp_path / "own.yaml"
    file.write_text(
        "about: own\n"
        "derive:\n"
        "  - rare: {field: code, given: user, missing: true, name: odd}\n"
        "  - rate: {window: 1h, per: user, of: odd, name: oddness}\n"
        "  - rate: {window: 5m, where: failed}\n"
        "  - rate: {where: status>=400, per: user, name: errors}\n"
        "  - distinct: {field: path, window: 10m}\n"
        "  - diff: {field: sum}\n"
        "  - elsewhere: {size: 3}\n"
        "exclude: [odd]\n"
        "estimator: {evidence: {counter: errors}}\n"
        "gap: 5m\n"
        "flatline: 50\n"
    )
    assert main(["list", str(file), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["recipe"][str(file)]
    assert found["judges"] == [
        "odd: how rare code is among records with the same user, none being a value too; "
        "taken by what follows, not judged itself",
        "oddness: the sum of odd in 1h, per user",
        "records that have failed in 5m",
        "errors: records with status>=400 in 60s, per user; "
        "not judged, but a source with many of them teaches less with each",
        "different values of path in 10m",
        "the change of sum since the last record",
        "elsewhere (size 3)",
        "also flagged: the first record after 5m without one",
        "also flagged: a field that has stayed the same for 50 records",
    ]
    assert found["about"] == "own"
    assert found["settings"]["flatline"] == 50
    assert main(["list", str(file)]) == 0
    page = capsys.readouterr().out
    assert page.startswith(f"{file} (recipe)\n\nown\n\nJudges:\n  odd: how rare code is")
    assert f"clipdetect --recipe {file} FILE" in page
    assert "One of your own" not in page


def test_list_of_a_recipe_that_is_not_there_says_so(capsys):
    assert main(["list", "./nosuch.yaml"]) == 2
    assert capsys.readouterr().err == "clipdetect: ./nosuch.yaml: No such file or directory\n"


def test_list_of_a_name_that_two_things_have_shows_both(capsys):
    assert main(["list", "access"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("access (recipe)\n")
    assert "\n\naccess (format)\n" in out


def test_listing_a_recipe_imports_nothing_heavy():
    code = (
        "import sys; from clipdetect.cli import main; main(['list', 'sshd']); "
        "sys.exit(' '.join(name for name in ('numpy', 'numba', 'rich') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("sshd (recipe)\n")
    assert done.stderr.strip() == ""


def test_list_of_one_shows_parameters_defaults_cost_and_source(capsys):
    assert main(["list", "level"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("level (estimator)\n")
    assert "  patience (int, default 21)\n      " in out
    assert "\nCost:\n  " in out
    assert "\nSource:\n  [1] " in out


def test_list_as_json_is_one_object(capsys):
    assert main(["list", "--json"]) == 0
    everything = json.loads(capsys.readouterr().out)
    assert everything["estimator"]["level"]["parameters"][0]["name"] == "patience"
    assert list(everything["recipe"]) == list(recipes())
    assert main(["list", "zscore", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["estimator"]) == ["zscore"]


def test_list_of_an_unknown_name_gives_the_nearest(capsys):
    assert main(["list", "levl"]) == 2
    assert "no component or recipe is named 'levl', did you mean 'level'?" in capsys.readouterr().err
    assert main(["list", "ssdh"]) == 2
    assert "did you mean 'sshd'?" in capsys.readouterr().err


def test_a_plug_in_that_cannot_be_loaded_is_listed_with_its_error(monkeypatch, capsys):
    class Broken:
        name, value = "gone", "gone:Gone"

        def load(self):
            raise ImportError("no module named gone")

    monkeypatch.setattr(catalog, "_entry_points", lambda kind: {"gone": Broken()} if kind == "estimator" else {})
    assert main(["list"]) == 0
    assert "cannot be loaded from gone:Gone" in " ".join(capsys.readouterr().out.split())


# -- config -----------------------------------------------------------------------------------


def test_config_prints_values_with_their_origin(tmp_path, monkeypatch, capsys):
    file = tmp_path / "c.yaml"
    file.write_text("warmup: 40\n")
    monkeypatch.setenv("CLIPDETECT_SEED", "4")
    assert main(["config", "-c", str(file), "--rate", "0.01"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"warmup: 40  # {file}:1:9" in lines
    assert "seed: 4  # CLIPDETECT_SEED" in lines
    assert "rate: 0.01  # --rate" in lines
    assert "direction: both  # default" in lines


def test_config_output_is_a_config_file(tmp_path, capsys):
    assert main(["config", "-f", "a b", "-e", "level:patience=41", "--min-change", "3%"]) == 0
    first = capsys.readouterr().out
    file = tmp_path / "c.yaml"
    file.write_text(first)
    assert main(["config", "check", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: ok\n"
    assert main(["config", "-c", str(file)]) == 0
    second = capsys.readouterr().out
    assert [line.split("  # ")[0] for line in second.splitlines()] == [
        line.split("  # ")[0] for line in first.splitlines()
    ]


def test_config_check_tells_every_error_with_its_place(tmp_path, capsys):
    file = tmp_path / "c.yaml"
    file.write_text("treshold: tail\nestimator: {level: {patince: 41}}\n")
    assert main(["config", "check", str(file)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    first, second = told.err.splitlines()
    assert first == f"clipdetect: {file}:1:1: unknown setting 'treshold', did you mean 'threshold'?"
    assert second.startswith(f"clipdetect: {file}:2:21: estimator.level.patince: unknown parameter")


def test_config_check_ignores_the_environment(tmp_path, monkeypatch, capsys):
    file = tmp_path / "c.yaml"
    file.write_text("seed: 1\n")
    monkeypatch.setenv("CLIPDETECT_RATE", "7")
    assert main(["config", "check", str(file)]) == 0
    assert main(["config"]) == 2


def test_config_check_of_a_missing_file(capsys):
    assert main(["config", "check", "/nosuch.yaml"]) == 2
    assert capsys.readouterr().err == "clipdetect: /nosuch.yaml: No such file or directory\n"


# -- state ------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    from clipdetect.config import Config, fingerprint

    path = tmp_path / "model.bin"
    saved = head(records=12345, fields=["cpu", "me\x1bm"], config=fingerprint(Config(by=("host",))))
    state.save(path, saved, ["a", "b"], {"key/moved": np.zeros(2)})
    return str(path)


def test_state_as_json_is_one_object(saved, capsys):
    assert main(["state", saved, "--json"]) == 0
    head = json.loads(capsys.readouterr().out)
    assert list(head) == ["version", "records", "keys", "fields", "config"]
    assert (head["records"], head["keys"], head["config"]["by"]) == (12345, 2, ["host"])


def test_state_is_a_readable_table(saved, capsys):
    assert main(["state", saved]) == 0
    out = capsys.readouterr().out
    rows = dict(line.split(None, 1) for line in out.splitlines())
    assert rows["records"] == "12,345"
    assert rows["fields"] == r"cpu, me\x1bm"
    assert rows["estimator"] == "level (patience 21, reject yes)"
    assert rows["exclude"] == "-"


@pytest.mark.parametrize("content", [None, b"something else", b"clipdetect state\n\0\0"])
def test_state_of_no_state_file_fails_with_1(tmp_path, content, capsys):
    path = tmp_path / "model.bin"
    if content is not None:
        path.write_bytes(content)
    assert main(["state", str(path)]) == 1
    assert capsys.readouterr().err.startswith(f"clipdetect: {path}: ")
