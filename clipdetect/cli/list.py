"""`clipdetect list`: every component and recipe in a line, or one in full."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from clipdetect import documentation, registry
from clipdetect.errors import ConfigError
from clipdetect.settings import is_file_name, recipe, recipes

RECIPE = "recipe"
TITLES = {
    RECIPE: "Recipes",
    "feature": "Features",
    "changepoint": "Change-point detectors",
    "estimator": "Estimators",
    "threshold": "Thresholds",
    "format": "Formats",
}
WIDTH = 80
_OWN = """One of your own, to begin with:
  clipdetect config --recipe {name} > mine.yaml    then change it
  clipdetect -c mine.yaml FILE"""


def _names(kind: str) -> list[str]:
    return list(recipes()) if kind == RECIPE else registry.names(kind)


def known() -> list[str]:
    """Names of all recipes and components."""
    return list(dict.fromkeys(name for kind in TITLES for name in _names(kind)))


def page(name: str) -> str:
    """All that is called so, in full."""
    found = [RECIPE] if is_file_name(name) else [kind for kind in TITLES if name in _names(kind)]
    return "\n".join(_recipe(name) if kind == RECIPE else _page(kind, name) for kind in found)


def complete_name(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of all recipes and components."""
    return [CompletionItem(name) for name in known() if name.startswith(incomplete)]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", required=False, shell_complete=complete_name)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(name: str | None, as_json: bool) -> None:
    """List recipes, features, estimators, thresholds and formats, those of
    installed plug-ins included. With NAME: what it is, its parameters and
    defaults, cost and source; of a recipe what it derives, and its settings."""
    found = [(kind, each) for kind in TITLES for each in _names(kind) if name in (None, each)]
    if name and is_file_name(name):
        found = [(RECIPE, name)]
    if not found:
        have = known()
        near = registry.did_you_mean(name or "", have)
        raise ConfigError(f"no component or recipe is named {name!r}{near} (there are: {', '.join(have)})")
    if as_json:
        everything: dict[str, dict[str, Any]] = {kind: {} for kind in TITLES}
        for kind, each in found:
            everything[kind][each] = _facts(kind, each)
        click.echo(json.dumps(everything, indent=2))
    elif name is None:
        click.echo(_overview(found), nl=False)
    else:
        click.echo(page(name), nl=False)


def _facts(kind: str, name: str) -> dict[str, Any]:
    """All that is known of a component or recipe; `error` alone where a plug-in cannot be loaded."""
    if kind == RECIPE:
        settings = _settings(name)
        about = settings.pop("about", "")
        return {"about": about, "judges": _judged(settings), "settings": settings}
    try:
        return asdict(documentation.describe(registry.get(kind, name)))
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
            text = facts.get("about") or facts.get("summary") or facts.get("error", "")
            text = " ".join(filter(None, [text, facts.get("best", "")]))
            lines.append(_filled(text, f"  {name:<{width}}", " " * (width + 2)))
    return "\n".join([*lines, "", "clipdetect list NAME says more.", ""])


def _page(kind: str, name: str) -> str:
    about = documentation.describe(registry.get(kind, name))
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


# -- recipes ----------------------------------------------------------------------------------


def _settings(name: str) -> dict[str, Any]:
    """A recipe as it stands in its file, `about` included."""
    return dict(recipe(name).values)


def _recipe(name: str) -> str:
    """A recipe in full."""
    settings = _settings(name)
    text = Path(name if is_file_name(name) else recipes()[name]).read_text(encoding="utf-8-sig")
    judged = [_filled(each, "  ", " " * 6) for each in _judged(settings)]
    lines = [line for line in text.splitlines() if not line.startswith("about:")]
    paragraphs = [
        f"{name} (recipe)",
        _filled(str(settings.get("about", "")), "", ""),
        "\n".join(["Judges:", *judged]),
        "\n".join(["Settings:", *("  " + line if line else line for line in lines)]),
        f"Use:\n  clipdetect --recipe {name} FILE",
        *([] if is_file_name(name) else [_OWN.format(name=name)]),
    ]
    return "\n\n".join(paragraphs) + "\n"


def _judged(settings: Mapping[str, Any]) -> list[str]:
    """What a recipe derives and judges, a text each, in words."""
    hidden, counter = settings.get("exclude", []), _counter(settings.get("estimator"))
    found = []
    for item in settings.get("derive", []):
        spec = registry.parse_spec(item)
        text = _derived(spec.name, spec.params)
        name = str(spec.params.get("name", "")).strip()
        text = f"{name}: {text}" if name else text
        if name in hidden:
            text += "; taken by what follows, not judged itself"
        elif name and name == counter:
            text += "; not judged, but a source with many of them teaches less with each"
        found.append(text)
    if not found:
        found.append("every numeric field by itself")
    if settings.get("gap"):
        found.append(f"also flagged: the first record after {settings['gap']} without one")
    if settings.get("flatline"):
        found.append(f"also flagged: a field that has stayed the same for {settings['flatline']} records")
    return found


def _counter(estimator: Any) -> str:
    """The column by whose count a record teaches less; empty where there is none."""
    params = registry.parse_spec(estimator).params if estimator else {}
    return str(params.get("counter", ""))


def _derived(kind: str, params: Mapping[str, Any]) -> str:
    """One derived column in words; a kind that is not known here by its parameters."""
    field, window = params.get("field", "message"), f"in {params.get('window', '60s')}"
    whose = f", per {params['per']}" if params.get("per") else ""
    condition = str(params.get("where", ""))
    where = f" {'with' if any(mark in condition for mark in '=<>~') else 'that have'} {condition}" if condition else ""
    texts = {
        "rate": (f"the sum of {params['of']}" if params.get("of") else "records") + f"{where} {window}",
        "distinct": f"different values of {field} {window}",
        "rare": f"how rare {field} is"
        + (f" among records with the same {params['given']}" if params.get("given") else "")
        + (", none being a value too" if params.get("missing") else ""),
        "template": f"how rare the shape of {field} is",
        "interval": "the time since the last record",
        "hour": "the hour of the " + ("week" if params.get("weekly") else "day"),
        "log": f"the logarithm of {params.get('field', '*')}",
        "diff": f"the change of {params.get('field', '*')} since the last record",
        "gap": f"a silence longer than {params.get('limit', '60s')}",
        "flatline": f"{params.get('field', '*')} unchanged for {params.get('length', 100)} records",
    }
    rest = ", ".join(f"{key} {value}" for key, value in params.items() if key != "name")
    return texts[kind] + whose if kind in texts else f"{kind} ({rest})" if rest else kind


def _filled(text: str, first: str, rest: str) -> str:
    """A paragraph within the width."""
    return textwrap.fill(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
