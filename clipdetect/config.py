"""One frozen configuration from four layers: defaults, YAML file, `CLIPDETECT_*` environment, flags.

Each setting is read and checked by one function, whatever layer it comes from; an error says where
the value stands: `c.yaml:9:7`, the variable, or the flag. A later layer replaces an earlier one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from clipdetect import registry
from clipdetect.errors import ConfigError
from clipdetect.registry import ComponentSpec, coerce, did_you_mean

if TYPE_CHECKING:
    from clipdetect.detector import Detector
    from clipdetect.yaml_file import Document

ENVIRONMENT = "CLIPDETECT_"
KEYS = {"input_format": "from", "output_format": "to"}  # names in files and flags that differ from ours
SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class MinChange(NamedTuple):
    """Least difference from the expected value that counts; both must be reached.

    value : in the field's own unit. percent : of the expected value.
    """

    value: float = 0.0
    percent: float = 0.0


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting of a run. `load` makes one from the layers, checked; text is empty where not set."""

    # what is read
    input_format: str = "auto"
    field: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    time: str = ""
    label: str = ""
    coerce: bool = False
    on_error: Literal["pass", "skip", "fail"] = "pass"
    max_fields: int = 256
    max_keys: int = 100_000
    max_line: int = 16 << 20  # [bytes]
    # the model
    estimator: ComponentSpec = ComponentSpec("level")
    threshold: ComponentSpec = ComponentSpec("tail")
    patience: int | None = None  # merged into the estimator's parameters by `load`
    warmup: int = 32
    backfill: str = ""
    freeze: bool = False
    seed: int = 0
    engine: Literal["auto", "python", "numba"] = "auto"
    # what is flagged
    rate: float = 0.001
    direction: Literal["both", "up", "down"] = "both"
    min_change: MinChange = MinChange()
    exit_code: bool = False
    # what is written
    output_format: str = "auto"
    only_anomalies: bool = False
    bands: bool = False
    prefix: str = ""
    # state
    state: str = ""
    checkpoint_every: int = 100_000
    # people's side
    quiet: bool = False
    verbose: bool = False
    color: Literal["auto", "always", "never"] = "auto"
    progress: Literal["auto", "always", "never"] = "auto"

    def detector(self) -> Detector:
        """The detector that this configuration asks for. Raises ConfigError where it cannot be made."""
        from clipdetect.detector import Detector

        try:
            return Detector(
                self.estimator,
                self.threshold,
                rate=self.rate,
                warmup=self.warmup,
                max_keys=self.max_keys,
                bands=self.bands,
                seed=self.seed,
                engine=self.engine,
            )
        except ValueError as error:
            raise ConfigError(str(error)) from error


def fingerprint(config: Config) -> dict[str, Any]:
    """The settings that a saved state belongs to, as plain JSON values; components with all parameters."""
    return {
        "estimator": registry.resolved(registry.build("estimator", config.estimator)),
        "threshold": registry.resolved(registry.build("threshold", config.threshold)),
        "field": list(config.field),
        "exclude": list(config.exclude),
        "by": list(config.by),
        "time": config.time,
        "label": config.label,
        "coerce": config.coerce,
        "seed": config.seed,
    }


# -- how a setting is read --------------------------------------------------------------------


def _name(value: Any) -> str:
    text: str = coerce(value, str)
    if not text:
        raise ValueError("must be a name, got ''")
    return text


def _names(value: Any) -> tuple[str, ...]:
    """Names from a list, or one name; each once."""
    return tuple(dict.fromkeys(map(_name, value if isinstance(value, (list, tuple)) else [value])))


def _split_names(value: Any) -> tuple[str, ...]:
    """Likewise, where a text may hold several names with commas between, or none."""
    return _names([part.strip() for part in value.split(",") if value] if isinstance(value, str) else value)


def _text(value: Any) -> str:
    text: str = coerce(value, str)
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    return text


def _prefix(value: Any) -> str:
    text = _text(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"must be UTF-8 text, got {value!a}") from None
    return text


def _switch(value: Any) -> bool:
    on: bool = coerce(value, bool)
    return on


def _whole(least: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        number: int = coerce(value, int)
        if not least <= number < 1 << 63:
            raise ValueError(f"must be at least {least}, got {number}" if number < least else f"too large: {number}")
        return number

    return read


def _rate(value: Any) -> float:
    number: float = coerce(value, float)
    if not 0.0 < number < 1.0:
        raise ValueError(f"must be between 0 and 1, got {number:g}")
    return number


def _one_of(*options: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in options:
            near = did_you_mean(value, options) if isinstance(value, str) else ""
            raise ValueError(f"must be one of {', '.join(options)}, got {value!r}{near}")
        return str(value)

    return read


def _format(value: Any) -> str:
    return _one_of("auto", *registry.names("format"))(value)


def _size(value: Any) -> int:
    """Bytes, as a number or with K, M or G after it."""
    found = re.fullmatch(r"([0-9]{1,15})\s*([KMG]?)(?:i?B)?", str(value).strip(), re.IGNORECASE | re.ASCII)
    if not found or not int(found[1]):
        raise ValueError(f"must be a number of bytes such as 65536, 64K or 16M, got {value!r}")
    return int(found[1]) * SIZES[found[2].upper()]


def _min_change(value: Any) -> MinChange:
    percent = isinstance(value, str) and value.strip().endswith("%")
    try:
        number: float = coerce(value.strip()[:-1] if percent else value, float)
    except ValueError:
        number = -1.0
    if number < 0.0:
        raise ValueError(f"must be a number >= 0, or a share such as 10%, got {value!r}")
    return MinChange(percent=number) if percent else MinChange(value=number)


_READERS: dict[str, Callable[[Any], Any]] = {
    "input_format": _format,
    "field": _names,
    "exclude": _names,
    "by": _split_names,
    "time": _text,
    "label": _text,
    "coerce": _switch,
    "on_error": _one_of("pass", "skip", "fail"),
    "max_fields": _whole(1),
    "max_keys": _whole(1),
    "max_line": _size,
    "estimator": registry.parse_spec,
    "threshold": registry.parse_spec,
    "patience": _whole(1),
    "warmup": _whole(8),
    "backfill": _text,
    "freeze": _switch,
    "seed": _whole(0),
    "engine": _one_of("auto", "python", "numba"),
    "rate": _rate,
    "direction": _one_of("both", "up", "down"),
    "min_change": _min_change,
    "exit_code": _switch,
    "output_format": _format,
    "only_anomalies": _switch,
    "bands": _switch,
    "prefix": _prefix,
    "state": _text,
    "checkpoint_every": _whole(1),
    "quiet": _switch,
    "verbose": _switch,
    "color": _one_of("auto", "always", "never"),
    "progress": _one_of("auto", "always", "never"),
}


# -- layers -----------------------------------------------------------------------------------


def key(setting: str) -> str:
    """The name of a setting in a YAML file: `input_format` is `from`."""
    return KEYS.get(setting, setting)


def flag(setting: str) -> str:
    """The long flag of a setting: `--max-keys`."""
    return "--" + key(setting).replace("_", "-")


def variable(setting: str) -> str:
    """The environment variable of a setting: `CLIPDETECT_MAX_KEYS`."""
    return ENVIRONMENT + key(setting).upper()


class Resolved(NamedTuple):
    """A configuration and where each value comes from: `default`, `c.yaml:3:7`, a variable or a flag."""

    config: Config
    origins: dict[str, str]


class _Given(NamedTuple):
    setting: str
    value: Any
    place: str
    layer: int


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
    layers = (*_file_layer(document, problems), *_environment_layer(environ, problems), *_flag_layer(flags or {}))
    for given in layers:
        try:
            chosen[given.setting] = given._replace(value=_READERS[given.setting](given.value))
        except registry.SpecError as error:
            problems.append(_located(error, given, document, (key(given.setting), *error.path)))
        except ValueError as error:
            problems.append(f"{given.place}: {_named(given)}{error}")
    problems += _settle(chosen, document)
    if problems:
        raise ConfigError("\n".join(problems))
    origins = {name: chosen[name].place if name in chosen else "default" for name in _READERS}
    return Resolved(Config(**{name: given.value for name, given in chosen.items()}), origins)


def _file_layer(document: Document | None, problems: list[str]) -> Iterator[_Given]:
    if document is None:
        return
    settings = {key(name): name for name in _READERS}
    for name, value in document.values.items():
        if name not in settings:
            place = document.where((name,), key=True)
            problems.append(f"{place}: unknown setting {name!r}{did_you_mean(name, settings)}")
        elif value is not None:  # `name:` with nothing after it leaves the default
            yield _Given(settings[name], value, document.where((name,)), 1)


def _environment_layer(environ: Mapping[str, str], problems: list[str]) -> Iterator[_Given]:
    settings = {variable(name): name for name in _READERS}
    for name, value in environ.items():
        if not value or not name.startswith(ENVIRONMENT) or name == ENVIRONMENT + "CONFIG":
            continue
        if name in settings:
            several = settings[name] in ("field", "exclude")
            parts = [part.strip() for part in value.split(",")] if several else value
            yield _Given(settings[name], parts, name, 2)
            continue
        # Others may own such names (Kubernetes sets CLIPDETECT_SERVICE_HOST for a service of that
        # name), so only what is close to a setting's name is an error.
        short = name.removeprefix(ENVIRONMENT).lower()
        near = did_you_mean(short, map(key, _READERS), 0.75)
        if near:
            problems.append(f"{name}: unknown setting {short!r}{near}")


def _flag_layer(flags: Mapping[str, Any]) -> Iterator[_Given]:
    for name, value in flags.items():
        if value is not None and value != ():
            yield _Given(name, value, flag(name), 3)


def _named(given: _Given) -> str:
    """The setting's name before a message, where the place does not say it."""
    return f"{key(given.setting)}: " if given.layer == 1 else ""


def _settle(chosen: dict[str, _Given], document: Document | None) -> list[str]:
    """What concerns several settings: `patience`, the components' parameters, a label that is watched."""
    try:
        patience = _merge_patience(chosen)
    except ValueError as error:
        return [str(error)]
    problems = []
    for kind in ("estimator", "threshold"):
        if kind not in chosen:
            continue
        try:
            registry.build(kind, chosen[kind].value)
        except registry.SpecError as error:
            merged = patience is not None and error.path[2:] == ("patience",)
            given = patience if merged and patience is not None else chosen[kind]
            problems.append(_located(error, given, document, error.path))
    if "field" in chosen:
        watched = chosen["field"]
        for name in ("by", "time", "label"):
            reserved = chosen[name].value if name in chosen else ()
            for each in (reserved,) if isinstance(reserved, str) else reserved:
                if each in watched.value:
                    problems.append(f"{watched.place}: {each!r} is {flag(name)} already and cannot be watched too")
    return problems


def _merge_patience(chosen: dict[str, _Given]) -> _Given | None:
    """Put `--patience` among the estimator's parameters; it gives way to a spec in a later layer.

    Returns what was merged. Raises ValueError where the estimator has no such parameter.
    """
    patience = chosen.get("patience")
    if patience is None:
        return None
    asked = chosen.get("estimator", _Given("estimator", Config().estimator, patience.place, 0))
    spec: ComponentSpec = asked.value
    try:
        own = registry.parameters(registry.get("estimator", spec.name))
    except ValueError:
        return None  # said when the estimator is built
    if "patience" not in own:
        raise ValueError(f"{patience.place}: {_named(patience)}estimator {spec.name!r} has no parameter 'patience'")
    if "patience" in spec.params and patience.layer < asked.layer:
        return None
    merged = ComponentSpec(spec.name, {**spec.params, "patience": patience.value})
    chosen["estimator"] = asked._replace(value=merged)
    return patience


def _located(error: registry.SpecError, given: _Given, document: Document | None, path: tuple[str, ...]) -> str:
    """The error with its place: inside the file where the value stands there, else the flag or variable."""
    place = given.place
    if document is not None and given.layer == 1 and given.setting == path[0]:
        place = document.where(path, error.on_key)
    return f"{place}: {'.'.join(path)}: {error.problem}" if path[1:] else f"{place}: {error.problem}"


def to_yaml(resolved: Resolved) -> str:
    """The configuration as a YAML file that reads back the same, each value's origin as a comment."""
    from clipdetect.yaml_file import dump

    lines = []
    for name in _READERS:
        value = getattr(resolved.config, name)
        if isinstance(value, ComponentSpec):
            value = _nested(registry.resolved(registry.build(name, value)))
        elif isinstance(value, MinChange):
            value = f"{value.percent!r}%".replace(".0%", "%") if value.percent else value.value
        lines.append(f"{key(name)}: {dump(value)}  # {resolved.origins[name]}\n")
    return "".join(lines)


def _nested(full: dict[str, Any]) -> dict[str, Any]:
    """{"name": "level", "patience": 21} as {"level": {"patience": 21}}, the form of a spec."""
    params = {name: value for name, value in full.items() if name != "name"}
    return {
        full["name"]: {name: _nested(value) if isinstance(value, dict) else value for name, value in params.items()}
    }
