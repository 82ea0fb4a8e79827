"""`clipdetect config`: the resolved configuration, each value with its origin; or a check of a file."""

from __future__ import annotations

from typing import Any

import click

from clipdetect.cli.options import score_flags, write_sections


class ConfigGroup(click.Group):
    """The flags of `score`, and `check`; a first word that is not `check` is a file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Flags may stand behind the files, but those behind `check` are its own."""
        ctx.allow_interspersed_args = args[:1] != ["check"]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """`check`, or what looks at files."""
        if args[0] in self.commands:
            return super().resolve_command(ctx, args)
        return look.name, look, args

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options by section, then the subcommand."""
        write_sections(self.get_params(ctx), ctx, formatter)
        self.format_commands(ctx, formatter)


@click.group(
    cls=ConfigGroup,
    invoke_without_command=True,
    subcommand_metavar="[FILE | check FILE]",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@score_flags
@click.option("--schema", is_flag=True, help="Print the JSON Schema of such files instead, for editors.")
@click.pass_context
def command(context: click.Context, /, config: str | None, schema: bool, **flags: Any) -> None:
    """Print the resolved configuration as YAML, each value with its origin: the
    defaults, the file of -c, CLIPDETECT_* variables, or a flag, each beating the
    ones before. The output is a file for -c. At its end is the plan: how records
    are judged and why; with FILE, by the first records of that."""
    context.obj = (flags, config)
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


@click.command("FILE", add_help_option=False)
@click.argument("file")
@click.pass_obj
def look(given: tuple[dict[str, Any], str | None], file: str) -> None:
    """Print the configuration with the plan for the records of a file."""
    from clipdetect.config import load, to_yaml
    from clipdetect.preview import preview

    flags, config = given
    resolved = load(flags, config)
    found = preview(resolved.config, file)
    when = f"by the first records of {file} ({found.format or 'empty'})"
    click.echo(to_yaml(resolved, found.plan, found.columns, when), nl=False)
