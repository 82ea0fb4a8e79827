"""The pages say what the command does, all of it, and what they show is what it prints."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import launcher
import numpy as np
import pytest

from clipdetect import Detector, documentation, registry
from clipdetect.cli import COMMANDS
from clipdetect.settings import recipes
from clipdetect.testing import check_component
from docs import build

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMPONENTS = [(kind, name) for kind in registry.FOLDERS for name in registry.names(kind)]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of docs/plugins.md in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text("docs/plugins.md"), re.MULTILINE | re.DOTALL)


def module(name: str, block: int, folder: Path):
    """A Python block of docs/plugins.md, imported under a name."""
    (folder / f"{name}.py").write_text(blocks("python")[block])
    return importlib.import_module(name)


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """The example of docs/plugins.md as if installed: its module, and the entry points of its pyproject.toml."""
    project = tomllib.loads(blocks("toml")[0])["project"]
    info = tmp_path / "clipdetect_seasonal-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (info / "entry_points.txt").write_text(
        "".join(
            f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in points.items())
            for group, points in project["entry-points"].items()
        )
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield module("seasonal_naive", 0, tmp_path)
    sys.modules.pop("seasonal_naive", None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_shows_is_what_the_commands_print(page):
    stale = build.difference(page, build.built(page, launcher.command()))
    assert stale == "", f"a stale page; run make docs\n{stale}"


def test_every_page_is_looked_at():
    assert build.pages() == PAGES


def test_readme_is_short():
    assert len(text("README.md").splitlines()) < 150


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_every_component_is_in_the_page_of_its_kind(kind, name):
    page = {"feature": "docs/features.md", "format": "docs/formats.md"}.get(kind, "docs/estimators.md")
    assert f"\n### `{name}`\n" in text(page)


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_has_a_section_with_its_command(name):
    parts = re.split(r"^## ", text("docs/logs.md"), flags=re.MULTILINE)
    [section] = [part for part in parts if part.startswith(f"`{name}`")]
    assert re.search(rf"^\$ clipdetect --recipe {name} ", section, re.MULTILINE)


def test_every_format_is_in_the_table_of_formats():
    rows = re.findall(r"^\| (`.*?) \|", text("docs/formats.md"), re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(registry.names("format"))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_is_in_the_page_of_the_command_line(command):
    module = importlib.import_module(f"clipdetect.cli.{command}")
    page = text("docs/cli.md")
    flags = [flag for each in module.command.params if not getattr(each, "hidden", True) for flag in each.opts]
    assert [flag for flag in flags if not re.search(rf"(?<![\w-]){flag}(?![\w-])", page)] == []


def test_the_parameters_that_people_ask_for_have_advice():
    page = text("docs/parameters.md")
    asked = ["patience", "rate", "warmup", "direction", "min-change", "max-keys", "checkpoint-every", "on-error"]
    assert [name for name in asked if not re.search(rf"^## .*`--{name}`", page, re.MULTILINE)] == []


@pytest.mark.parametrize("page", sorted({*PAGES, *ROOT.glob("*.md")}), ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_example_configuration_is_accepted():
    from clipdetect.config import load

    assert load(path=str(ROOT / "docs" / "examples" / "pipeline.yaml"), environ={}).config.rate == 0.0005


def test_the_plugin_example_keeps_the_laws(plugin):
    check_component(plugin.SeasonalNaive, compiled=False)
    scope: dict = {}
    exec(next(each for each in blocks("python") if "import check_component" in each), scope)
    [own_test] = [value for name, value in scope.items() if name.startswith("test_")]
    own_test()


def test_the_plugin_example_is_found_by_its_entry_point(plugin):
    assert "seasonal_naive" in registry.names("estimator")
    assert registry.get("estimator", "seasonal_naive") is plugin.SeasonalNaive
    assert documentation.describe(plugin.SeasonalNaive).parameters[0].doc.startswith("length of the rhythm")


def test_the_plugin_example_flags_what_breaks_a_short_rhythm(plugin):
    n = np.arange(2000)
    X = 10.0 * np.sin(2 * np.pi * n / 12) + np.random.default_rng(0).normal(size=len(n))
    X[1500] += 15.0  # within the range of the rhythm, but not at its place
    by_period = Detector("seasonal_naive:period=12").step(X)
    by_level = Detector("level").step(X)
    assert by_period.flag[1500] == 1
    assert by_level.score[1500] < by_period.score[1500]


def test_the_plugin_example_can_be_restored(plugin):
    X = np.random.default_rng(1).normal(size=(200, 2))
    whole, first, second = (Detector(plugin.SeasonalNaive(period=7)) for _ in range(3))
    expected = whole.step(X)
    first.step(X[:100])
    head, keys, arrays = first.dump()
    second.load(json.loads(json.dumps(head)), keys, arrays)
    assert second.step(X[100:]).score.tobytes() == expected.score[100:].tobytes()


def installed(name: str, base: str, folder: Path) -> Path:
    """The example of docs/plugins.md that has this base class as if installed in a folder, by what the page says."""
    [block] = [each for each in blocks("python") if f"({base})" in each]
    (folder / f"{name}.py").write_text(block)
    info = folder / f"clipdetect_{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: clipdetect-{name}\nVersion: 1.0\n")
    pattern = rf'`{name} = "(.*?)"` under `\[project\.entry-points\."(.*?)"\]`'
    target, group = re.search(pattern, text("docs/plugins.md")).groups()
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {target}\n")
    return folder


@pytest.fixture
def ltsv(tmp_path):
    """The example format."""
    return installed("ltsv", "LogLines", tmp_path)


@pytest.fixture
def steps(tmp_path, monkeypatch):
    """The example in plain Python."""
    monkeypatch.syspath_prepend(installed("steps", "PlainEstimator", tmp_path))
    yield importlib.import_module("steps")
    sys.modules.pop("steps", None)


def test_the_plain_example_keeps_the_laws(steps):
    check_component(steps.Steps, compiled=False)
    assert registry.get("estimator", "steps") is steps.Steps


def test_the_plain_example_gives_what_the_page_shows(steps, tmp_path):
    [shown] = [each for each in blocks("console") if "-e steps" in each]
    command, out = shown.removeprefix("$ ").split("\n", 1)
    assert run(command.replace("clipdetect", "clipdetect -q"), tmp_path) == out


def run(command: str, folder: Path) -> str:
    """What a shell command prints where the plug-ins of a folder are installed."""
    paths = os.pathsep.join([str(folder), str(ROOT)])
    script = f'clipdetect() {{ "{sys.executable}" -m clipdetect "$@"; }}; {command}'
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(["sh", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_the_format_example_gives_what_the_page_shows(ltsv):
    [shown] = [each for each in blocks("console") if "size:512" in each]
    command, out = shown.removeprefix("$ ").split("\n", 1)
    assert run(f"{command} -q", ltsv) == out


def test_the_format_example_is_one_file_that_everything_knows(ltsv):
    assert "Each label is a field" in run("clipdetect list ltsv", ltsv)
    assert "must be one of auto, access, csv, journald, json, jsonl, log, logfmt, ltsv, " in run(
        "clipdetect --from lstv nothing", ltsv
    )
    lines = "".join(f"x:{i % 7}\\tstate:up\\n" for i in range(60)) + "x:900\\tup\\n" + "x:900\\tstate:up\\n"
    *_, unread, last = map(json.loads, run(f"printf '{lines}' | clipdetect -q", ltsv).splitlines())
    assert (unread["score"], "x" in unread) == (None, False)  # a cell without a label
    assert (last["anomaly"], last["x"]) == (True, 900)


def test_lines_of_the_format_example_are_no_table_without_it():
    out = run("printf 'time:1\\tx:1\\ntime:2\\tx:2\\n' | clipdetect", ROOT)
    assert out.startswith("time:1\tx:1\ntime:2\tx:2\n")
    assert "score" not in out.split("\n")[0]


@pytest.fixture
def repeats(tmp_path, monkeypatch):
    """The example feature of docs/plugins.md."""
    [block] = [i for i, each in enumerate(blocks("python")) if "(Feature)" in each]
    monkeypatch.syspath_prepend(tmp_path)
    yield module("repeats", block, tmp_path)
    sys.modules.pop("repeats", None)


def test_the_feature_example_keeps_the_laws(repeats):
    check_component(repeats.Repeats, compiled=False)
    check_component(repeats.Repeats, compiled=False, per="caller")


def test_the_feature_example_counts_runs_per_value(repeats):
    detector = Detector("level", features=[repeats.Repeats(per="job")])
    detector.open_columns([])
    status, job = [1, 1, 2, 2, 2, -1, 2], [7, 7, 7, 8, 8, 8, 8]
    made = detector.step(
        np.empty((7, 0)), categories={"status": np.array(status, np.int64), "job": np.array(job, np.int64)}
    )
    assert detector.columns == ["repeats(status)"]
    assert np.array_equal(made.X[:, 0], [1, 2, 1, 1, 2, np.nan, 3], equal_nan=True)
    words = repeats.Repeats(per="job").say(0, 3.0, 1.0, {"status": "failed", "job": "nightly"})
    assert words == "status failed for nightly 3 times in a row, usually 1"
