"""`clipdetect help [TOPIC]`: the help of a command, of a flag, or of what `clipdetect list` knows."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from clipdetect.cli import COMMANDS
from clipdetect.cli.options import write_sections
from clipdetect.errors import ConfigError

ROOT = "clipdetect"


def complete_topic(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Commands, and what can be listed."""
    from clipdetect.cli.list import known

    return [CompletionItem(name) for name in [*COMMANDS, *known()] if name.startswith(incomplete)]


@click.command(context_settings={"help_option_names": ["-h", "--help"], "ignore_unknown_options": True})
@click.argument("topic", required=False, shell_complete=complete_topic)
@click.pass_context
def command(context: click.Context, topic: str | None) -> None:
    """Show the help: of everything, or of TOPIC, which is a command, a flag such
    as --by, or anything that 'clipdetect list' names."""
    group = context.parent.command if context.parent is not None else context.command
    assert isinstance(group, click.Group)
    if topic is None or topic in COMMANDS:
        name = topic or "score"
        found = group.get_command(context, name)
        assert found is not None
        parent = click.Context(group, info_name=ROOT)
        click.echo(found.get_help(click.Context(found, info_name=name, parent=parent, **found.context_settings)))
        return
    score = group.get_command(context, "score")
    assert score is not None
    bare = topic.lstrip("-").replace("_", "-")
    flags = [each for each in score.params if f"--{bare}" in each.opts or topic in each.opts]
    from clipdetect.cli.list import known, page

    if topic not in known() and not flags:
        from clipdetect.registry import did_you_mean

        options = [option for each in score.params for option in each.opts if option.startswith("--")]
        near = did_you_mean(topic, [*COMMANDS, *known(), *options, *(each[2:] for each in options)])
        raise ConfigError(f"no help on {topic!r}{near} (topics are commands, flags, and what 'clipdetect list' shows)")
    if flags:
        formatter = click.HelpFormatter(width=80)
        write_sections(flags, click.Context(score, info_name=ROOT), formatter)
        click.echo(formatter.getvalue(), nl=False)
    if topic in known():
        click.echo(("\n" if flags else "") + page(topic), nl=False)
