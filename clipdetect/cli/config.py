"""`clipdetect config`: the resolved configuration, each value with its origin; or a check of a file."""

from __future__ import annotations

from typing import Any

import click

from clipdetect.cli.options import score_flags, write_sections


class ConfigGroup(click.Group):
    """The flags of `score`, and `check`."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options by section, then the subcommand."""
        write_sections(self.get_params(ctx), ctx, formatter)
        self.format_commands(ctx, formatter)


@click.group(
    cls=ConfigGroup,
    invoke_without_command=True,
    subcommand_metavar="[check FILE]",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@score_flags
@click.option("--schema", is_flag=True, help="Print the JSON Schema of such files instead, for editors.")
@click.pass_context
def command(context: click.Context, /, config: str | None, schema: bool, **flags: Any) -> None:
    """Print the resolved configuration as YAML, each value with its origin: the
    defaults, the file of -c, CLIPDETECT_* variables, or a flag, each beating the
    ones before. The output is a file for -c."""
    if context.invoked_subcommand is not None:
        return
    if schema:
        import json

        from clipdetect.schema import schema as made

        click.echo(json.dumps(made(), indent=2, ensure_ascii=False))
        return
    from clipdetect.config import load, to_yaml

    click.echo(to_yaml(load(flags, config)), nl=False)


@command.command(short_help="Check a YAML file: exit code 0 or 2.")
@click.argument("file")
def check(file: str) -> None:
    """Check a YAML file of settings. Errors go to stderr with line and column;
    the exit code is 2 then, else 0."""
    from clipdetect.config import load

    load(path=file, environ={})
    click.echo(f"{file}: ok")
