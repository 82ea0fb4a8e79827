"""The flags of `score`, which `config` takes too.

Every flag's default is None or (), "not given": the configuration's layers fill in the rest, and
they check the values, so that a file, a variable and a flag give the same error.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from clipdetect import registry

F = TypeVar("F", bound=Callable[..., Any])


class Flag(click.Option):
    """An option with the heading it stands under; `--no-...` works and is not shown.

    names_fields : whether its values are names of fields, so that one which no record has is told.
    """

    def __init__(self, *args: Any, section: str, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.section = section
        self.names_fields = attributes.get("shell_complete") is complete_field

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The help without the `--no-...` forms."""
        record = super().get_help_record(ctx)
        return record and (record[0].split(" / ")[0], record[1])


class FlagCommand(click.Command):
    """A command whose help shows flags by section, then examples."""

    usage = ""
    tail = ""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The usage line; `score` needs no name."""
        formatter.write(self.usage)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options by section."""
        write_sections(self.get_params(ctx), ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Text as it stands, not wrapped."""
        formatter.write(self.tail)


def write_sections(params: list[click.Parameter], ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """Write options under their headings, in the order given."""
    options = [each for each in params if isinstance(each, click.Option) and not each.hidden]
    for section, group in groupby(options, lambda each: getattr(each, "section", "Help")):
        with formatter.section(section):
            formatter.write_dl([record for each in group if (record := each.get_help_record(ctx))], col_max=26)


def complete(kind: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Completes the names of components."""

    def names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in registry.names(kind) if name.startswith(incomplete)]

    return names


def complete_recipe(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completes the names of recipes, and files."""
    from clipdetect.settings import recipes

    names = [CompletionItem(name) for name in recipes() if name.startswith(incomplete)]
    return [*names, CompletionItem(incomplete, type="file")]


def complete_field(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completes field names from the first record of the files named so far."""
    found: dict[str, None] = {}
    # where the parser stops at the option that lacks its value, the words before are in ctx.args
    for path in (*(ctx.params.get("files") or ()), *ctx.args):
        try:
            with open(path, encoding="utf-8-sig", newline="") as file:
                found.update(dict.fromkeys(_first_fields(file.readline(1 << 16))))
        except (OSError, ValueError):
            continue
    return [CompletionItem(name) for name in found if name.startswith(incomplete)]


def _first_fields(line: str) -> list[str]:
    if not line.lstrip().startswith("{"):
        import csv

        return next(csv.reader([line], delimiter="\t" if "\t" in line else ","), [])
    import json

    def leaves(record: dict[str, Any], prefix: str = "") -> list[str]:
        names = []
        for name, value in record.items():
            names += leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else [prefix + name]
        return names

    return leaves(json.loads(line))


def _value(section: str, *names: str, **attributes: Any) -> Callable[[F], F]:
    return click.option(*names, cls=Flag, section=section, **attributes)


def _switch(section: str, *names: str, help: str) -> Callable[[F], F]:
    long = names[-1].removeprefix("--")
    pair = (*names[:-1], f"--{long}/--no-{long}")
    return click.option(*pair, cls=Flag, section=section, help=help, default=None)


_WHEN = "auto|always|never"
_FORMATS = " ".join(["auto", *registry.built_in("format")])
_FLAGS: tuple[Callable[[Any], Any], ...] = (
    _value(
        "Input", "-f", "--field", metavar="NAME", multiple=True, shell_complete=complete_field,
        help="Numeric field to watch: a.b for nested JSON, or a pattern; repeatable. [default: every numeric "
        "field of the first 1,000 records, but times, identifiers and labels]",
    ),
    _value(
        "Input", "-x", "--exclude", metavar="NAME", multiple=True, shell_complete=complete_field,
        help="A field or pattern not to watch; repeatable. [default: none]",
    ),
    _value(
        "Input", "--categories", metavar="auto|none|NAME[,NAME]", shell_complete=complete_field,
        help="Text fields to watch by how rare their values are: names or patterns; auto is those of the first 1,000 "
        "records that repeat, where neither --field, --derive, --by nor a recipe is given. [default: auto]",
    ),
    _value(
        "Input", "-b", "--by", metavar="NAME[,NAME]", shell_complete=complete_field,
        help="One model per distinct value of these fields. [default: one model for all]",
    ),
    _value(
        "Input", "--recipe", metavar="NAME|FILE", shell_complete=complete_recipe,
        help="Settings for one kind of stream: by name those that come with clipdetect ('clipdetect list' shows them), "
        "or a file of yours such as ./mine.yaml. Your other settings beat them. [default: none]",
    ),
    _value(
        "Input", "--time", metavar="NAME", shell_complete=complete_field,
        help="Field of the event time: epoch seconds to nanoseconds, or RFC 3339. [default: none]",
    ),
    _value(
        "Input", "--label", metavar="NAME", shell_complete=complete_field,
        help="Field of the truth, 0/1 or true/false; never watched. [default: none]",
    ),
    _value(
        "Input", "-i", "--from", "input_format", metavar="FORMAT", shell_complete=complete("format"),
        help=f"Input format: {_FORMATS}. [default: auto]",
    ),
    _value(
        "Input", "--pattern", metavar="REGEX",
        help="Read lines by this regular expression; its named groups are the fields, (?P<time>...) the time. "
        "[default: none]",
    ),
    _value(
        "Input", "--extract", metavar="REGEX", multiple=True,
        help="Also look for fields, its named groups, in the message of a log line; repeatable, the first that "
        "is found counts. [default: none]",
    ),
    _value(
        "Input", "--records-at", metavar="NAME",
        help="In a JSON document: the name of the array that holds the records, such as Records. [default: none]",
    ),
    _switch("Input", "--follow", help="Go on reading as the files grow, through rotation. [default: no]"),
    _switch("Input", "--coerce", help="In JSON, numbers written as text are numbers too. [default: no]"),
    _value(
        "Input", "--on-error", metavar="pass|skip|fail",
        help="A record that cannot be read: pass it through unscored, drop it, or stop. [default: pass]",
    ),
    _value("Input", "--max-fields", metavar="N", help="Watch at most N fields. [default: 256]"),
    _value(
        "Input", "--max-keys", metavar="N",
        help="Keep at most N models under --by; the least recently used one leaves. [default: 100000]",
    ),
    _value(
        "Input", "--max-line", metavar="SIZE",
        help="A longer record is one that cannot be read; bytes, K, M or G. [default: 16M]",
    ),
    _value(
        "Model", "--derive", metavar="SPEC", multiple=True, shell_complete=complete("feature"),
        help="Judge what is derived from the records, such as rate:window=60s,per=user; repeatable. Without "
        "--field, only that. Logs have their own where neither is given. [default: none]",
    ),
    _value(
        "Model", "-e", "--estimator", metavar="SPEC", shell_complete=complete("estimator"),
        help="name or name:param=value,...; see 'clipdetect list'. [default: horizons where records have several "
        "numbers, level for one or with --by]",
    ),
    _value(
        "Model", "-t", "--threshold", metavar="SPEC", shell_complete=complete("threshold"),
        help="Likewise: what turns raw scores into scores and flags. [default: tail]",
    ),
    _value(
        "Model", "--changepoint", metavar="SPEC", shell_complete=complete("changepoint"),
        help="Likewise: also say when the normal itself has changed. [default: none]",
    ),
    _value(
        "Model", "--on-change", metavar="ignore|rebase",
        help="What a change point does to the key's estimator: rebase starts it afresh. [default: ignore]",
    ),
    _value(
        "Model", "--patience", metavar="N",
        help="After how many records of something new it is the new normal. [default: the estimator's own]",
    ),
    _value(
        "Model", "--warmup", metavar="N",
        help="Raw scores a key must have given before it is scored, at least 8. [default: 32]",
    ),
    _value("Model", "--backfill", metavar="FILE", help="Learn from this file first, without output. [default: none]"),
    _switch("Model", "--freeze", help="Score without learning. [default: no]"),
    _value("Model", "--seed", metavar="N", help="Seed of every random choice. [default: 0]"),
    _value(
        "Model", "--engine", metavar="auto|python|numba",
        help="Interpret the kernels, compile them, or start one way and change over when that pays; "
        "the output is the same. [default: auto]",
    ),
    _value(
        "Flags", "--rate", metavar="R",
        help="Wanted share of flagged records on clean data, between 0 and 1. [default: 0.001]",
    ),
    _value(
        "Flags", "--direction", metavar="both|up|down",
        help="Flag only what lies above, or below, the expected value. [default: both]",
    ),
    _value(
        "Flags", "--min-change", metavar="N|N%",
        help="Flag only what differs from the expected value by this much. [default: 0]",
    ),
    _value(
        "Flags", "--gap", metavar="TIME",
        help="Also flag the first record after this long without one, such as 60s or 5m. [default: none]",
    ),
    _value(
        "Flags", "--flatline", metavar="N",
        help="Also flag a field that has not changed for N records. [default: none]",
    ),
    _value(
        "Flags", "--episode", metavar="N|TIME",
        help="Flag an episode once: what a key's flag is followed by, of the same field and direction, until N "
        "records or a TIME have passed without one. [default: none]",
    ),
    _value(
        "Flags", "--group", metavar="NAME", shell_complete=complete_field,
        help="Keys with the same value of this field share their episodes, so that what hits many is flagged "
        "once. [default: none]",
    ),
    _value(
        "Flags", "--events", metavar="FILE",
        help="What is known in advance: CSV with start, end, selector, action; an action is mute, widen:K or "
        "freeze. [default: none]",
    ),
    _switch(
        "Flags", "--feedback", help="Learn from --label where flags should have been, key by key. [default: no]",
    ),
    _switch("Flags", "--exit-code", help="Exit with 10 where anything was flagged. [default: no]"),
    _value(
        "Output", "-o", "--to", "output_format", metavar="FORMAT", shell_complete=complete("format"),
        help=f"Output format: one of {_FORMATS}; auto is as the input, and JSON Lines for logs; text gives a log's "
        "lines as they came. [default: auto]",
    ),
    _switch("Output", "-a", "--only-anomalies", help="Write flagged records only. [default: no]"),
    _switch("Output", "--bands", help="Also write expected, lower and upper per field. [default: no]"),
    _value("Output", "--prefix", metavar="P", help="Put P before the names of the appended fields. [default: none]"),
    _value(
        "State", "--state", metavar="FILE",
        help="Continue from this file where it exists, and save to it at the end. [default: none]",
    ),
    _value("State", "--checkpoint-every", metavar="N", help="Save it every N records too. [default: 100000]"),
    _value(
        "Run", "-c", "--config", metavar="FILE",
        help="YAML file of settings, named like the long flags; between them stand the variables "
        "CLIPDETECT_RATE and so on. [default: none]",
    ),
    _switch("Run", "-q", "--quiet", help="Only errors on stderr. [default: no]"),
    _switch("Run", "-v", "--verbose", help="Also say what is watched, and a summary. [default: no]"),
    _value("Run", "--color", metavar=_WHEN, help="Colours on stderr. [default: auto]"),
    _value("Run", "--progress", metavar=_WHEN, help="A progress line on stderr. [default: auto]"),
    click.option("--line-buffered", is_flag=True, hidden=True, expose_value=False),  # output is never held back
)  # fmt: skip


def score_flags(function: F) -> F:
    """Give a command all flags of `score`."""
    for each in reversed(_FLAGS):
        function = each(function)
    return function
