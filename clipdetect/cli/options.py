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
from clipdetect.settings import SETTINGS, default_in_words, flag, recipes

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


_COMPLETES = {"field": complete_field, "recipe": complete_recipe}


def _option(setting: str) -> Callable[[F], F]:
    """The option of a setting."""
    own = SETTINGS[setting]
    names = [f"-{own.short}"] if own.short else []
    said: dict[str, Any] = {"help": f"{own.help} [default: {default_in_words(setting)}]", "section": own.section}
    if not own.metavar:
        long = flag(setting)
        return click.option(*names, f"{long}/--no-{long[2:]}", setting, cls=Flag, default=None, **said)
    if own.completes:
        said["shell_complete"] = _COMPLETES.get(own.completes) or complete(own.completes)
    return click.option(*names, flag(setting), setting, cls=Flag, metavar=own.metavar, multiple=own.repeatable, **said)


_CONFIG = click.option(
    "-c", "--config", cls=Flag, section="Run", metavar="FILE",
    help="YAML file of settings, named like the long flags; between them stand the variables "
    "CLIPDETECT_RATE and so on. [default: none]",
)  # fmt: skip
_LINE_BUFFERED = click.option("--line-buffered", is_flag=True, hidden=True, expose_value=False)  # it always is


def score_flags(function: F) -> F:
    """Give a command all flags of `score`."""
    options = [_option(name) for name in SETTINGS]
    first = next(i for i, each in enumerate(SETTINGS.values()) if each.section == "Run")
    for each in reversed([*options[:first], _CONFIG, *options[first:], _LINE_BUFFERED]):
        function = each(function)
    return function
