"""`clipdetect state FILE`: what a state file holds."""

from __future__ import annotations

import json
from typing import Any

import click


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(file: str, as_json: bool) -> None:
    """Print what a state file holds: its version, how many records it has seen,
    the keys, the fields, and the configuration that it belongs to."""
    from clipdetect.state import read_header

    head = read_header(file)
    if as_json:
        click.echo(json.dumps(head))
        return
    from clipdetect.printable import printable

    rows = [
        ("version", str(head["version"])),
        ("records", f"{head['records']:,}"),
        ("keys", f"{head['keys']:,}"),
        ("fields", ", ".join(head["fields"]) or "none yet"),
        *((name, _readable(value)) for name, value in head["config"].items()),
    ]
    for name, text in rows:
        click.echo(f"{name:<11}  {printable(text)}")


def _readable(value: Any) -> str:
    """A setting on one line."""
    if isinstance(value, dict) and "name" not in value:
        return ", ".join(f"{name} {_readable(each)}" for name, each in value.items())
    if isinstance(value, dict):
        params = ", ".join(f"{name} {_readable(each)}" for name, each in value.items() if name != "name")
        return f"{value.get('name', '')} ({params})" if params else str(value.get("name", ""))
    if isinstance(value, list):
        return ", ".join(map(_readable, value)) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value in ("", None) else str(value)
