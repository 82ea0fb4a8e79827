"""`clipdetect [FILE]...`: score the records of files or stdin."""

from __future__ import annotations

import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

from clipdetect import __version__
from clipdetect.cli import COMMANDS
from clipdetect.cli.options import FlagCommand, score_flags
from clipdetect.errors import ConfigError, InputError

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
    from clipdetect import pipeline

    return pipeline.run(configuration, files)
