"""The command's frame: default command, help, errors, exit codes, start time."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import launcher
import pytest

import clipdetect
from clipdetect import __version__, registry
from clipdetect.cli import COMMANDS, main
from clipdetect.config import Config, flag
from clipdetect.settings import SETTINGS

ROOT = str(Path(__file__).parents[1])
HEAVY = ("numpy", "numba", "rich", "orjson", "msgspec", "yaml", "scipy")


def run(*args: str, **options) -> subprocess.CompletedProcess:
    options = {"stdin": subprocess.DEVNULL, "cwd": ROOT, **options}
    return subprocess.run([*launcher.command(), *args], capture_output=True, text=True, **options)


def stand_in(monkeypatch, run) -> None:
    """`run` in place of the pipeline's."""
    module = SimpleNamespace(run=run)
    monkeypatch.setitem(sys.modules, "clipdetect.pipeline", module)
    monkeypatch.setattr(clipdetect, "pipeline", module, raising=False)


@pytest.fixture
def calls(monkeypatch):
    """What `score` hands to the pipeline."""
    found = []
    stand_in(monkeypatch, lambda config, files: found.append((config, tuple(files))) or 0)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    for name in [name for name in os.environ if name.startswith("CLIPDETECT_")]:
        monkeypatch.delenv(name)
    return found


# -- which command ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "files"),
    [
        ([], ()),
        (["a", "b"], ("a", "b")),
        (["score", "list"], ("list",)),
        (["./list"], ("./list",)),
        (["-v", "list"], ("list",)),
        (["-v", "plot"], ("plot",)),
        (["plot.csv"], ("plot.csv",)),
        (["-"], ("-",)),
        (["--", "-x"], ("-x",)),
        (["a", "-v", "b"], ("a", "b")),
        (["--line-buffered", "a"], ("a",)),
    ],
)
def test_anything_but_a_command_is_scored(calls, args, files):
    assert main(args) == 0
    assert calls[0][1] == files


def test_flags_reach_the_configuration(calls):
    args = "-f a -f b -x c -b k,l --rate .01 -a --no-freeze --min-change 5% -i csv -o jsonl --max-line 1M -e zscore"
    assert main([*args.split(), "file"]) == 0
    config, files = calls[0]
    assert (config.field, config.exclude, config.by, config.rate) == (("a", "b"), ("c",), ("k", "l"), 0.01)
    assert (config.only_anomalies, config.freeze, config.bands) == (True, False, False)
    assert (config.min_change.percent, config.input_format, config.output_format) == (5.0, "csv", "jsonl")
    assert (config.max_line, config.estimator.name, files) == (1 << 20, "zscore", ("file",))


def test_flags_left_out_leave_the_environment_to_speak(calls, monkeypatch):
    monkeypatch.setenv("CLIPDETECT_BANDS", "yes")
    monkeypatch.setenv("CLIPDETECT_FIELD", "a,b")
    main(["x"])
    main(["--no-bands", "-f", "c", "x"])
    assert [(config.bands, config.field) for config, _ in calls] == [(True, ("a", "b")), (False, ("c",))]


def test_every_setting_has_a_flag_and_every_flag_is_a_setting():
    from clipdetect.cli.score import command

    flags = {each.name for each in command.params if each.param_type_name == "option" and each.expose_value}
    assert flags - {"config"} == set(SETTINGS)
    for each in command.params:
        if each.name in SETTINGS:
            assert flag(each.name) in each.opts


def test_a_commands_exit_code_is_the_programs(calls, monkeypatch):
    stand_in(monkeypatch, lambda config, files: 10)
    assert main(["x"]) == 10


# -- help and version -------------------------------------------------------------------------


def test_version_is_one_line():
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"clipdetect {__version__}\n", "")


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["-h"], ["config", "--help"], ["list", "--help"]])
def test_help_and_version_import_nothing_heavy_and_start_fast(args):
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "clipdetect", *args], capture_output=True, text=True, cwd=ROOT
    )
    after = os.times()
    imported = set(re.findall(r"\|\s+(\S+)$", done.stderr, re.MULTILINE))
    assert "click" in imported
    assert not imported & set(HEAVY)
    used = after.children_user + after.children_system - before.children_user - before.children_system
    assert used < 0.15 * 3  # three times the budget: importtime and a loaded machine slow it down


def test_help_is_short_lines_with_usage_examples_and_defaults():
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == run("-h").stdout == run("score", "--help").stdout
    lines = done.stdout.splitlines()
    assert lines[0] == "Usage: clipdetect [OPTIONS] [FILE]..."
    assert max(map(len, lines)) <= 80
    assert done.stdout.count("\n  ") > 3
    assert len([line for line in lines if re.match(r"  .*\bclipdetect .*[|>-]", line)]) >= 3
    for name in COMMANDS:
        assert name in done.stdout
    for absent in ("line-buffered", "--no-freeze"):
        assert absent not in done.stdout


def test_help_shows_every_default():
    from clipdetect.cli.score import command

    own = {None: "the estimator's own", "": "none", (): "none", False: "no"}
    special = {
        "field": "every numeric field of the first 1,000 records, but times, identifiers and labels",
        "by": "one model for all",
        "categories": "auto",
        "estimator": "horizons where records have several numbers, level for one or with --by",
        "max_line": "16M",
        "min_change": "0",
        "changepoint": "none",
        "episode": "none",
        "gap": "none",
        "flatline": "none",
    }
    for each in command.params:
        if each.name not in SETTINGS:
            continue
        value = getattr(Config(), each.name)
        value = getattr(value, "name", value)
        text = special.get(each.name) or (own[value] if (not value and value != 0) or value is False else str(value))
        assert each.help.endswith(f"[default: {text}]"), each.name


def test_help_names_the_formats_there_are():
    from clipdetect.cli.score import command

    for each in command.params:
        if each.name in ("input_format", "output_format"):
            assert " ".join(registry.names("format")) in each.help


# -- wrong usage ------------------------------------------------------------------------------


def test_unknown_option_gives_the_nearest_match(capsys):
    assert main(["--treshold", "x"]) == 2
    told = capsys.readouterr()
    assert told.err.splitlines() == [
        "clipdetect: No such option: --treshold, did you mean '--threshold'?",
        "clipdetect: Try 'clipdetect --help' for help.",
    ]
    assert told.out == ""
    assert main(["list", "--jsn"]) == 2
    assert "Try 'clipdetect list --help'" in capsys.readouterr().err


def test_option_without_its_value_is_wrong_usage(capsys):
    assert main(["--rate"]) == 2
    assert "--rate" in capsys.readouterr().err


def test_wrong_value_is_one_line_without_traceback(capsys):
    assert main(["--rate", "5", os.devnull]) == 2
    assert capsys.readouterr().err == "clipdetect: --rate: must be between 0 and 1, got 5\n"


@pytest.mark.parametrize(
    ("word", "meant"), [("lsit", "list"), ("confg", "config"), ("evaluate", "eval"), ("ls", "list"), ("hlep", "help")]
)
def test_a_first_word_that_is_nearly_a_command_is_asked_back(calls, capsys, tmp_path, monkeypatch, word, meant):
    assert main([word, "x.csv"]) == 2
    told = f"clipdetect: {word}: no such file or command, did you mean 'clipdetect {meant}'?\n"
    assert capsys.readouterr() == ("", told)
    assert calls == []
    monkeypatch.chdir(tmp_path)
    (tmp_path / word).touch()
    assert main([word]) == 0
    assert calls[0][1] == (word,)


def test_a_first_word_that_is_neither_file_nor_command_fails_but_the_files_are_scored(calls, capsys):
    assert main(["plot", "x.csv", "y"]) == 1
    assert calls[0][1] == ("x.csv", "y")
    assert main(["plot"]) == 1
    assert main(["plot", "x.csv", "--on-error", "fail"]) == 1
    assert len(calls) == 1
    told = f"clipdetect: plot: no such file, and no such command (there are: {', '.join(COMMANDS)})\n"
    assert capsys.readouterr() == ("", told * 3)


def test_freezing_needs_something_learned(calls, capsys, tmp_path):
    state = tmp_path / "m.bin"
    assert main(["--freeze", "x"]) == 2
    assert main(["--freeze", "--state", str(state), "x"]) == 2
    assert calls == []
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("clipdetect: --freeze: nothing has been learned; ")
    assert second.startswith(f"clipdetect: --freeze: {state} is not there yet; ")
    assert main(["--freeze", "--backfill", "h", "--state", str(state), "x"]) == 0
    state.touch()
    assert main(["--freeze", "--state", str(state), "x"]) == 0


def test_help_is_a_command_too(capsys):
    def shown(*args):
        assert main([*args]) == 0
        return capsys.readouterr().out

    assert shown("help") == shown("--help")
    for name in COMMANDS:
        assert shown("help", name) == shown(name, "--help")
    assert shown("help", "--by").startswith("Input:\n  -b, --by NAME[,NAME]  One model per distinct value")
    assert shown("help", "by") == shown("help", "-b") == shown("help", "--by")
    assert shown("help", "max_keys") == shown("help", "--max-keys")
    assert shown("help", "zscore") == shown("list", "zscore")
    assert shown("help", "rate").endswith("\n\n" + shown("list", "rate"))
    assert main(["help", "zscor"]) == 2
    assert "no help on 'zscor', did you mean 'zscore'?" in capsys.readouterr().err


def test_terminal_as_input_gets_a_short_help():
    master, slave = pty.openpty()
    try:
        done = run(stdin=slave, timeout=20)
    finally:
        os.close(master)
        os.close(slave)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: clipdetect [OPTIONS] [FILE]...\n")
    assert len(done.stderr.splitlines()) < 15


def test_closed_stdin_is_an_error_and_no_crash():
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m clipdetect <&-"], cwd=ROOT, capture_output=True, text=True, timeout=20
    )
    assert (done.returncode, done.stdout, done.stderr) == (
        1,
        "",
        "clipdetect: stdin: is closed; name the files to read\n",
    )


# -- ends -------------------------------------------------------------------------------------


def test_a_components_refusal_names_its_module(calls, monkeypatch, capsys):
    def refuse(config, files):
        from clipdetect.estimators.zscore import Zscore

        Zscore(half_life=-1.0)

    stand_in(monkeypatch, refuse)
    assert main(["x"]) == 2
    assert capsys.readouterr().err.startswith("clipdetect: estimators.zscore: half_life must be")


def test_control_characters_in_messages_are_made_visible(capsys):
    assert main(["list", "a\x1b[31mb"]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_interrupt_ends_with_130(calls, monkeypatch):
    def interrupt(config, files):
        raise KeyboardInterrupt

    stand_in(monkeypatch, interrupt)
    assert main(["x"]) == 130


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_is_one_line_and_exit_code_1():
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m clipdetect list > /dev/full"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert (done.returncode, done.stderr) == (1, "clipdetect: stdout: No space left on device\n")


def test_closed_pipe_is_silent():
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "clipdetect", "list"], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE
    )
    os.close(writer)
    os.close(reader)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (141, b"")


# -- completion -------------------------------------------------------------------------------


def complete(words: str, cwd: str) -> list[str]:
    count = len(words.split(" ")) - 1
    settings = {"_CLIPDETECT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from clipdetect.cli import main; sys.exit(main())"],
        env={**os.environ, **settings, "PYTHONPATH": ROOT}, cwd=cwd, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("clipdetect -e lev", ["level"]),
        ("clipdetect -t fi", ["fixed"]),
        ("clipdetect --thr", ["--threshold"]),
        ("clipdetect score --from j", ["journald", "json", "jsonl"]),
        ("clipdetect li", ["list", "li"]),
        ("clipdetect list zs", ["zscore"]),
        ("clipdetect d.jsonl -f a", ["a.b", "a.c"]),
        ("clipdetect d.csv -f ", ["time", "x y"]),
        ("clipdetect nosuch -f ", []),
    ],
)
def test_completion(words, expected, tmp_path):
    (tmp_path / "d.jsonl").write_text('{"a": {"b": 1, "c": 2}, "z": 3}\n')
    (tmp_path / "d.csv").write_text('time,"x y"\n1,2\n')
    assert complete(words, str(tmp_path)) == expected


def test_completion_script_is_printed():
    env = {**os.environ, "_CLIPDETECT_COMPLETE": "zsh_source"}
    done = run(env=env, timeout=20)
    assert done.returncode == 0
    assert "clipdetect" in done.stdout
