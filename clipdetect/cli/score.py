"""`clipdetect [FILE]...`: score the records of files or stdin."""

from __future__ import annotations

import difflib
import os
import re
import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

from clipdetect import __version__
from clipdetect.cli import COMMANDS, FIRST_WORD
from clipdetect.cli.options import FlagCommand, score_flags
from clipdetect.errors import ConfigError, InputError

DONE, FOUND = 0, 10  # exit codes
OTHER_WORDS = {  # what others call our commands
    "check": "config check", "detect": "FILE", "evaluate": "eval", "info": "state", "ls": "list", "man": "help",
    "manual": "help", "run": "FILE", "show": "list", "status": "state", "usage": "help", "validate": "config check",
    "version": "--version",
}  # fmt: skip
USAGE = "Usage: clipdetect [OPTIONS] [FILE]...\n"
EXAMPLES = """
Examples:
  tail -F access.jsonl | clipdetect --by remote_addr --only-anomalies
  clipdetect metrics.csv > scored.csv
  vmstat 1 | awk 'NR > 2 { print $13; fflush() }' | clipdetect
  clipdetect -f latency --state model.bin app.jsonl.gz | jq 'select(.anomaly)'
  clipdetect --label label data.csv | clipdetect eval --label label
"""


class ScoreCommand(FlagCommand):
    """The default command; its help is the program's."""

    usage = USAGE
    tail = (
        EXAMPLES
        + "\nOther commands (clipdetect COMMAND --help says more):\n"
        + "".join(f"  {name:<10}{text}\n" for name, text in COMMANDS.items() if name != "score")
        + "\nEvery switch has a --no- form, such as --no-bands. Exit codes: 0 done, 1 failed,\n"
        + "2 wrong usage, 10 flagged something (under --exit-code).\n"
    )


def complete_file(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files, and as the first word the commands."""
    first = not any(ctx.params.get(name) for name in ctx.params)
    words = [name for name in COMMANDS if first and name.startswith(incomplete)]
    return [*map(CompletionItem, words), CompletionItem(incomplete, type="file")]


@click.command(cls=ScoreCommand, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("files", nargs=-1, metavar="[FILE]...", shell_complete=complete_file)
@score_flags
@click.version_option(__version__, message="clipdetect %(version)s")
def command(files: tuple[str, ...], config: str | None, **flags: Any) -> int:
    """Read records (JSON Lines, JSON, CSV, TSV, plain numbers; gzip too) from
    files or stdin, and write each with its own bytes untouched and a score and
    an anomaly flag appended. Needs no training data and no tuning."""
    if not files and sys.stdin is not None and sys.stdin.isatty():
        click.echo(f"{USAGE}Records come from files or a pipe. Such as:\n{EXAMPLES}", err=True, nl=False)
        click.echo("\nTry 'clipdetect --help' for all options.", err=True)
        return 2
    if sys.stdin is None and (not files or "-" in files):
        raise InputError("stdin: is closed; name the files to read")
    from clipdetect.config import load

    configuration = load(flags, config).config
    if configuration.follow and (not files or "-" in files):
        raise ConfigError("--follow: name the files to follow; what comes through a pipe is read as it comes")
    if configuration.freeze and not configuration.backfill:
        _learned(configuration.state)
    first = click.get_current_context().meta.get(FIRST_WORD)
    missing = _no_command(first) if first and files and files[0] == first else ""
    if missing:
        if configuration.on_error == "fail" or not files[1:]:
            raise InputError(missing)
        click.echo(f"clipdetect: {missing}", err=True)  # the remaining files are still scored
    from clipdetect import pipeline

    code = pipeline.run(configuration, files[1:] if missing else files)
    return InputError.exit_code if missing and code in (DONE, FOUND) else code


def _no_command(word: str) -> str:
    """What is wrong with the first word, where that may have been meant for a command; empty where nothing is.

    Raises ConfigError where it is clear which command was meant.
    """
    if not re.fullmatch("[a-z]{2,}", word) or os.path.lexists(word):
        return ""
    near = difflib.get_close_matches(word, COMMANDS, 1)
    meant = OTHER_WORDS.get(word, near[0] if near else None)
    if meant is not None:
        raise ConfigError(f"{word}: no such file or command, did you mean 'clipdetect {meant}'?")
    return f"{word}: no such file, and no such command (there are: {', '.join(COMMANDS)})"


def _learned(state: str) -> None:
    """Raise ConfigError where there is no state to score by without learning."""
    if not state:
        raise ConfigError("--freeze: nothing has been learned; name a state by --state, or history by --backfill")
    if not os.path.exists(state):
        raise ConfigError(f"--freeze: {state} is not there yet; make it by a run without --freeze, or use --backfill")
