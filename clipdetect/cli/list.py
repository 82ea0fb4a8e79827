"""`clipdetect list`: every component in a line, or one in full."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict
from typing import Any

import click
from click.shell_completion import CompletionItem

from clipdetect import registry
from clipdetect.errors import ConfigError

TITLES = {
    "feature": "Features",
    "changepoint": "Change-point detectors",
    "estimator": "Estimators",
    "threshold": "Thresholds",
    "format": "Formats",
}
WIDTH = 80


def complete_name(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of all components."""
    found = [name for kind in TITLES for name in registry.names(kind)]
    return [CompletionItem(name) for name in found if name.startswith(incomplete)]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", required=False, shell_complete=complete_name)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(name: str | None, as_json: bool) -> None:
    """List estimators, thresholds and formats, those of installed plug-ins
    included. With NAME: what it is, its parameters and defaults, cost, source."""
    found = [(kind, each) for kind in TITLES for each in registry.names(kind) if name in (None, each)]
    if not found:
        have = [each for kind in TITLES for each in registry.names(kind)]
        near = registry.did_you_mean(name or "", have)
        raise ConfigError(f"no component is named {name!r}{near} (there are: {', '.join(have)})")
    if as_json:
        everything: dict[str, dict[str, Any]] = {kind: {} for kind in TITLES}
        for kind, each in found:
            everything[kind][each] = _facts(kind, each)
        click.echo(json.dumps(everything, indent=2))
    elif name is None:
        click.echo(_overview(found), nl=False)
    else:
        click.echo("\n".join(_page(kind, each) for kind, each in found), nl=False)


def _facts(kind: str, name: str) -> dict[str, Any]:
    """All that is known of a component; `error` alone where a plug-in cannot be loaded."""
    try:
        return asdict(registry.describe(registry.get(kind, name)))
    except ValueError as error:
        return {"error": str(error)}


def _overview(found: list[tuple[str, str]]) -> str:
    lines: list[str] = []
    width = max(len(name) for _, name in found) + 2
    for kind, title in TITLES.items():
        own = [name for each, name in found if each == kind]
        if own:
            lines += ["", title + ":"] if lines else [title + ":"]
        for name in own:
            facts = _facts(kind, name)
            text = facts.get("summary") or facts.get("error", "")
            lines.append(_filled(text, f"  {name:<{width}}", " " * (width + 2)))
    return "\n".join([*lines, "", "clipdetect list NAME says more.", ""])


def _page(kind: str, name: str) -> str:
    about = registry.describe(registry.get(kind, name))
    paragraphs = [f"{name} ({TITLES[kind].lower().removesuffix('s')})", _filled(about.summary, "", "")]
    if about.details:
        paragraphs.append(about.details)
    if about.parameters:
        lines = ["Parameters:"]
        for each in about.parameters:
            default = f", default {each.default}" if each.default else ", must be given"
            lines.append(f"  {each.name} ({each.type}{default})")
            if each.doc:
                lines.append(_filled(each.doc, " " * 6, " " * 6))
        paragraphs.append("\n".join(lines))
    if about.cost:
        paragraphs.append("Cost:\n" + _filled(about.cost, "  ", "  "))
    if about.references:
        paragraphs.append("\n".join(["Source:", *(_filled(each, "  ", " " * 6) for each in about.references)]))
    return "\n\n".join(paragraphs) + "\n"


def _filled(text: str, first: str, rest: str) -> str:
    """A paragraph within the width."""
    return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
