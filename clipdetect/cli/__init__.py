"""The command: its group, and exceptions as messages and exit codes, here and nowhere else.

A command's module is imported when the command is called, so that `--help` stays light.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from types import TracebackType
from typing import Any, NoReturn

import click

from clipdetect.errors import ClipdetectError, ConfigError, OutputError
from clipdetect.registry import did_you_mean
from clipdetect.streams import occupy, silence

COMMANDS = {
    "score": "score the records (the command if none is named)",
    "eval": "compare a scored stream with the truth in a label field",
    "list": "recipes, features, estimators, thresholds and formats",
    "config": "print the resolved configuration, or check a file",
    "state": "what a state file holds",
    "feedback": "tell what flags were worth, in a state file",
    "help": "this help, or that of a command, a flag or a component",
}
CLOSED_PIPE, INTERRUPTED = 141, 130
FIRST_WORD = "clipdetect.first_word"  # where the first word is left that is no command
# Once imported, the modules `list` and `eval` hide the builtins of that name in this file.


class Commands(click.Group):
    """A first word that is a command is the command; anything else goes to `score`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `score` in front unless a command is named; it is told of the word that is none."""
        ctx.meta[FIRST_WORD] = args[0] if args and args[0] not in COMMANDS else ""
        return super().parse_args(ctx, args if args and args[0] in COMMANDS else ["score", *args])

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, nothing imported."""
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command object of `cli/NAME.py`."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"clipdetect.cli.{cmd_name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a closed pipe has its own exit code (click would make it 1)."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            silence(1)
            raise click.exceptions.Exit(CLOSED_PIPE) from None


def command() -> NoReturn:
    """The command as a process of its own: `main`, and then its end, for which no compiler is waited."""
    code = main()
    if threading.active_count() == 1:
        sys.exit(code)
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # closed, or gone
            stream.flush()
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    if "stdout" in occupy() or sys.stdout is None:
        return _said("stdout: is closed; send it to a file, a pipe or /dev/null", OutputError.exit_code)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads cost start time and gain nothing here
    group = Commands("clipdetect", context_settings={"max_content_width": 80})
    try:
        code = group.main(None if argv is None else [*argv], "clipdetect", standalone_mode=False)
        sys.stdout.flush()
        return int(code or 0)
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        return _said(_usage(error), error.exit_code)
    except ClipdetectError as error:
        return _said(str(error), error.exit_code)
    except BrokenPipeError:
        silence(1)
        return CLOSED_PIPE
    except OSError as error:
        silence(1)
        return _said(f"{error.filename or 'stdout'}: {error.strerror or error}", ClipdetectError.exit_code)
    except ValueError as error:  # components refuse with plain ValueError
        return _said(f"{_origin(error.__traceback__)}: {error}", ConfigError.exit_code)


def _said(message: str, code: int) -> int:
    from clipdetect.printable import printable

    for line in message.splitlines():
        click.echo(f"clipdetect: {printable(line)}", err=True)
    return code


def _usage(error: click.ClickException) -> str:
    """The message for a wrong command line, with where to read on."""
    message = error.format_message()
    if isinstance(error, click.NoSuchOption):
        message = f"No such option: {error.option_name}{did_you_mean(error.option_name, error.possibilities or ())}"
    context = getattr(error, "ctx", None)
    path = context.command_path.removesuffix(" score") if context is not None else "clipdetect"
    return f"{message}\nTry '{path} --help' for help."


def _origin(trace: TracebackType | None) -> str:
    """The module that raised, without the package's name."""
    name = "clipdetect"
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", name)
        trace = trace.tb_next
    return name.removeprefix("clipdetect.")
