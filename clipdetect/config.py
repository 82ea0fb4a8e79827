"""One frozen configuration from four layers: defaults, YAML file, `CLIPDETECT_*` environment, flags.

Each setting is read and checked by one function, whatever layer it comes from; an error says where
the value stands: `c.yaml:9:7`, the variable, or the flag. A later layer replaces an earlier one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from clipdetect import registry, settings
from clipdetect.errors import ConfigError
from clipdetect.plan import Asked, Plan
from clipdetect.plan import plan as plan_of
from clipdetect.registry import ComponentSpec, did_you_mean
from clipdetect.settings import DEFAULTS, ENVIRONMENT, SETTINGS, MinChange, Settings, Silence, flag, key, variable

if TYPE_CHECKING:
    from clipdetect.detector import Detector
    from clipdetect.yaml_file import Document


class Config(Settings):
    """The settings of a run; `load` makes one from the layers, checked."""

    def features(self) -> list[ComponentSpec]:
        """What is derived from records, `gap` and `flatline` included."""
        found = list(self.derive)
        if self.named_categories():
            found.append(ComponentSpec("categories", {"field": "+".join(self.categories)}))
        if self.gap:
            found.append(ComponentSpec("gap", {"limit": self.gap}))
        if self.flatline:
            found.append(ComponentSpec("flatline", {"length": self.flatline}))
        return found

    def named_categories(self) -> tuple[str, ...]:
        """The text fields to watch that are asked for by name or pattern."""
        return () if self.categories == ("auto",) else self.categories

    def asked(self) -> Asked:
        """What of this concerns the choice of the model."""
        return Asked(
            self.estimator,
            self.threshold,
            tuple(self.features()),
            self.field,
            self.named_categories(),
            finds=self.categories == ("auto",),
            keyed=bool(self.by),
            alone=bool(self.field or self.derive or self.recipe),
        )

    def detector(self) -> Detector:
        """The detector that this configuration asks for. Raises ConfigError where it cannot be made."""
        from clipdetect.detector import Detector

        try:
            return Detector(
                changepoint=self.changepoint,
                hidden=self.exclude,
                rate=self.rate,
                warmup=self.warmup,
                max_keys=self.max_keys,
                rebase=self.on_change == "rebase",
                labelled=bool(self.label),
                feedback=self.feedback,
                bands=self.bands,
                seed=self.seed,
                engine=self.engine,
                choose=partial(plan_of, self.asked(), None),
            )
        except ValueError as error:
            raise ConfigError(str(error)) from error


def fingerprint(config: Config, plan: Plan | None = None) -> dict[str, Any]:
    """The settings that a saved state belongs to, as plain JSON values; components with all parameters.

    plan : of the run; that which needs no records where left out.
    """
    plan = plan or plan_of(config.asked())
    if plan.chosen:
        estimator = registry.resolved(registry.build("estimator", plan.estimator))
    else:
        estimator = {"name": "default", **plan.estimator.params}
    return {
        "estimator": estimator,
        "threshold": registry.resolved(registry.build("threshold", plan.threshold)),
        "changepoint": config.changepoint and registry.resolved(registry.build("changepoint", config.changepoint)),
        "on_change": config.on_change if config.changepoint else None,
        "derive": [registry.spelled(registry.build("feature", each)) for each in plan.features],
        "field": list(config.field),
        "exclude": list(config.exclude),
        "by": list(config.by),
        "time": config.time,
        "label": config.label,
        "coerce": config.coerce,
        "pattern": config.pattern,
        "extract": list(config.extract),
        "seed": config.seed,
    }


# -- layers -----------------------------------------------------------------------------------


class Resolved(NamedTuple):
    """A configuration and where each value comes from: `default`, `c.yaml:3:7`, a variable or a flag."""

    config: Config
    origins: dict[str, str]


class _Given(NamedTuple):
    """layer : 1 recipe, 2 file, 3 environment, 4 flags. document : of the first two."""

    setting: str
    value: Any
    place: str
    layer: int
    document: Document | None = None


def load(
    flags: Mapping[str, Any] | None = None,
    path: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Resolved:
    """The configuration of a run.

    flags : by setting name; None and () mean not given. path : the YAML file, `CLIPDETECT_CONFIG` if None.
    environ : the process's own if None.

    Raises ConfigError that names every wrong setting, one a line.
    """
    environ = os.environ if environ is None else environ
    path = path or environ.get(ENVIRONMENT + "CONFIG")
    document = None
    if path:
        from clipdetect import yaml_file  # not needed by most runs, and they start sooner without

        document = yaml_file.read(path)
    problems: list[str] = []
    chosen: dict[str, _Given] = {}
    layers = [*_file_layer(document, problems), *_environment_layer(environ, problems), *_flag_layer(flags or {})]
    layers = [*_recipe_layer(layers, problems), *layers]
    for given in layers:
        try:
            chosen[given.setting] = given._replace(value=SETTINGS[given.setting].type(given.value))
        except registry.SpecError as error:
            problems.append(_located(error, given, (key(given.setting), *error.path)))
        except ValueError as error:
            problems.append(f"{given.place}: {_named(given)}{error}")
    problems += _settle(chosen)
    if problems:
        raise ConfigError("\n".join(problems))
    origins = {name: chosen[name].place if name in chosen else "default" for name in SETTINGS}
    return Resolved(Config(**{name: given.value for name, given in chosen.items()}), origins)


def _recipe_layer(layers: list[_Given], problems: list[str]) -> Iterator[_Given]:
    """The settings of the recipe that the other layers ask for, which all of them beat."""
    asked = [given for given in layers if given.setting == "recipe"]
    try:
        name = SETTINGS["recipe"].type(asked[-1].value) if asked else ""
    except ValueError:
        return  # said when it is read like any other setting
    if not name:
        return
    for given in _file_layer(settings.recipe(name), problems):
        if given.setting == "recipe" and given.value:
            problems.append(f"{given.place}: recipe: a recipe cannot build on another; -c FILE can")
        else:
            yield given._replace(layer=1)


def _file_layer(document: Document | None, problems: list[str]) -> Iterator[_Given]:
    if document is None:
        return
    known = {key(name): name for name in SETTINGS}
    for name, value in document.values.items():
        if name == "about":  # what the file is for
            if not isinstance(value, str | None):
                problems.append(f"{document.where((name,))}: about: must be text, got {value!r}")
        elif name not in known:
            place = document.where((name,), key=True)
            problems.append(f"{place}: unknown setting {document.written[name]!r}{did_you_mean(name, known)}")
        elif value is not None:  # `name:` with nothing after it leaves the default
            yield _Given(known[name], value, document.where((name,)), 2, document)


def _environment_layer(environ: Mapping[str, str], problems: list[str]) -> Iterator[_Given]:
    known = {variable(name): name for name in SETTINGS}
    for name, value in environ.items():
        if not value or not name.startswith(ENVIRONMENT) or name == ENVIRONMENT + "CONFIG":
            continue
        if name in known:
            separator = SETTINGS[known[name]].separator
            parts = [part.strip() for part in value.split(separator)] if separator else value
            yield _Given(known[name], parts, name, 3)
            continue
        # Others may own such names (Kubernetes sets CLIPDETECT_SERVICE_HOST for a service of that
        # name), so only what is close to a setting's name is an error.
        short = name.removeprefix(ENVIRONMENT).lower()
        near = did_you_mean(short, map(key, SETTINGS), 0.75)
        if near:
            problems.append(f"{name}: unknown setting {short!r}{near}")


def _flag_layer(flags: Mapping[str, Any]) -> Iterator[_Given]:
    for name, value in flags.items():
        if value is not None and value != ():
            yield _Given(name, value, flag(name), 4)


def _named(given: _Given) -> str:
    """The setting's name before a message, where the place does not say it."""
    return f"{key(given.setting)}: " if given.document is not None else ""


def _settle(chosen: dict[str, _Given]) -> list[str]:
    """What concerns several settings: `patience`, the components' parameters, a label that is watched, the pattern."""
    try:
        patience = _merge_patience(chosen)
    except ValueError as error:
        return [str(error)]
    problems = []
    for kind in ("estimator", "threshold", "changepoint"):
        if kind not in chosen or chosen[kind].value is None:
            continue
        try:
            registry.build(kind, chosen[kind].value)
        except registry.SpecError as error:
            merged = patience is not None and error.path[2:] == ("patience",)
            given = patience if merged and patience is not None else chosen[kind]
            problems.append(_located(error, given, error.path))
    problems += _derive_problems(chosen)
    changes = chosen.get("on_change")
    if changes and changes.value == "rebase" and not (chosen.get("changepoint") and chosen["changepoint"].value):
        problems.append(f"{changes.place}: {_named(changes)}rebase needs a change-point detector: --changepoint NAME")
    feedback, threshold = chosen.get("feedback"), chosen.get("threshold")
    if feedback and feedback.value and threshold and not _calibrated(threshold.value):
        problems.append(
            f"{feedback.place}: {_named(feedback)}labels move a probability; "
            f"threshold {threshold.value.name!r} has none"
        )
    if feedback and feedback.value and not (chosen.get("label") and chosen["label"].value):
        problems.append(f"{feedback.place}: {_named(feedback)}nothing to learn from: name the truth by --label")
    pattern, format = chosen.get("pattern"), chosen.get("input_format")
    if pattern and pattern.value and (format is None or format.value == "auto"):
        chosen["input_format"] = pattern._replace(setting="input_format", value="pattern")
    elif format and format.value == "pattern" and not (pattern and pattern.value):
        problems.append(f"{format.place}: the format 'pattern' needs --pattern REGEX")
    array, format = chosen.get("records_at"), chosen.get("input_format")
    if array and array.value and (format is None or format.value == "auto"):
        chosen["input_format"] = array._replace(setting="input_format", value="json")
    elif array and array.value and format is not None and format.value != "json":
        problems.append(f"{array.place}: {_named(array)}only JSON has arrays of records, not {format.value}")
    if "field" in chosen:
        watched = chosen["field"]
        for name in ("by", "time", "label"):
            reserved = chosen[name].value if name in chosen else ()
            for each in (reserved,) if isinstance(reserved, str) else reserved:
                if each in watched.value:
                    problems.append(f"{watched.place}: {each!r} is {flag(name)} already and cannot be watched too")
    return problems


def _calibrated(threshold: ComponentSpec) -> bool:
    try:
        return bool(registry.get("threshold", threshold.name).calibrated)
    except ValueError:
        return True  # said when it is built


def _derive_problems(chosen: dict[str, _Given]) -> Iterator[str]:
    given = chosen.get("derive")
    for i, spec in enumerate(given.value if given else ()):
        try:
            registry.build("feature", spec)
        except registry.SpecError as error:
            assert given is not None
            place = given.place
            if given.document is not None:
                place = given.document.where(("derive", i, *error.path[1:]), error.on_key)
            yield f"{place}: {error}"


def _merge_patience(chosen: dict[str, _Given]) -> _Given | None:
    """Put `--patience` among the estimator's parameters; it gives way to a spec in a later layer.

    Returns what was merged. Raises ValueError where the estimator has no such parameter.
    """
    patience = chosen.get("patience")
    if patience is None:
        return None
    asked = chosen.get("estimator", _Given("estimator", DEFAULTS.estimator, patience.place, 0))
    spec: ComponentSpec = asked.value
    try:
        own = registry.parameters(registry.get("estimator", spec.name))
    except ValueError:
        return None  # said when the estimator is built
    if "patience" not in own:
        raise ValueError(f"{patience.place}: {_named(patience)}estimator {spec.name!r} has no parameter 'patience'")
    if "patience" in spec.params and patience.layer < asked.layer:
        return None
    merged = ComponentSpec(spec.name, {**spec.params, "patience": patience.value}, spec.chosen)
    chosen["estimator"] = asked._replace(value=merged)
    return patience


def _located(error: registry.SpecError, given: _Given, path: tuple[str, ...]) -> str:
    """The error with its place: inside the file where the value stands there, else the flag or variable."""
    place = given.place
    if given.document is not None and given.setting == path[0]:
        place = given.document.where(path, error.on_key)
    return f"{place}: {'.'.join(path)}: {error.problem}" if path[1:] else f"{place}: {error.problem}"


def to_yaml(resolved: Resolved, seen: Plan | None = None, columns: Sequence[str] = (), when: str = "") -> str:
    """The configuration as a YAML file that reads back the same, each value's origin as a comment; and the plan.

    seen : the plan by the first records, with the columns that are judged, `when` they were seen; without it the plan
    before any record.
    """
    from clipdetect.yaml_file import dump

    lines = []
    config = resolved.config
    made = None if config.input_format == "auto" else registry.get("format", config.input_format)
    plan = seen or plan_of(config.asked(), made)
    for name in SETTINGS:
        value, origin = getattr(config, name), resolved.origins[name]
        if name == "recipe" and value:
            value, origin = "", f"{origin}: {value}, spelled out below"
        if isinstance(value, ComponentSpec) and not value.chosen:  # spelled out, it would be chosen from then on
            origin, value = f"{origin}: {getattr(plan, name).name}", None
            if name == "estimator" and not plan.chosen:
                origin = f"{resolved.origins[name]}: as below"
        elif isinstance(value, ComponentSpec):
            value = registry.spelled(registry.build(name, value))
        elif name == "categories":
            value = list(value) or "none"
        elif name == "derive":
            value = [registry.spelled(registry.build("feature", each)) for each in value]
        elif isinstance(value, Silence):
            value = value.records or f"{value.seconds!r}s"
        elif isinstance(value, MinChange):
            value = f"{value.percent!r}%".replace(".0%", "%") if value.percent else value.value
        lines.append(f"{key(name)}: {dump(value)}  # {origin}\n")
    lines += [f"# {line}\n" for line in plan.lines(columns, when or "before any record")]
    return "".join(lines)
