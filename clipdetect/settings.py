"""The table of settings: each stands here once, with all that options, YAML, environment, docs and schema say of it.

A field of `Settings` has the setting's type, what is said of it, and its default. Everything else about settings is
made from `SETTINGS`, so a new one is a field here, and whatever uses it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, get_args

from clipdetect import setting_types as types
from clipdetect.registry import ComponentSpec, built_in
from clipdetect.setting_types import MinChange, SettingType, Silence, is_file_name, one_of, recipe, recipes, whole

__all__ = [
    "DEFAULTS", "SETTINGS", "MinChange", "Setting", "Settings", "Silence", "default_in_words", "flag", "is_file_name",
    "key", "recipe", "recipes", "variable",
]  # fmt: skip

ENVIRONMENT = "CLIPDETECT_"
WHEN = "auto|always|never"
FORMATS = " ".join(["auto", *built_in("format")])
Some = tuple[str, ...]
LEVEL, TAIL = ComponentSpec("level", chosen=False), ComponentSpec("tail", chosen=False)
NO_CHANGE = MinChange()


class Setting(NamedTuple):
    """What is said of a setting.

    section : of the help. type : how it is read, and its schema. help : a sentence or two. metavar : what the
    option takes; empty for a switch. short : its letter. key : its name in files, variables and flags, if another.
    repeatable : whether the option may be given again. completes : what completes it: `field`, `recipe`, or a kind of
    component. separator : of a list in a variable. default : in words, where the value does not say it.
    """

    section: str
    type: SettingType
    help: str
    metavar: str = ""
    short: str = ""
    key: str = ""
    repeatable: bool = False
    completes: str = ""
    separator: str = ""
    default: str = ""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting of a run, in the order of the help; text is empty where not set."""

    # fmt: off
    field: Annotated[Some, Setting(
        "Input", types.NAMES, "Numeric field to watch: a.b for nested JSON, or a pattern; repeatable.",
        "NAME", "f", repeatable=True, completes="field", separator=",",
        default="every numeric field of the first 1,000 records, but times, identifiers and labels",
    )] = ()
    exclude: Annotated[Some, Setting(
        "Input", types.NAMES, "A field or pattern not to watch; repeatable.",
        "NAME", "x", repeatable=True, completes="field", separator=",",
    )] = ()
    categories: Annotated[Some, Setting(
        "Input", types.CATEGORIES,
        "Text fields to watch by how rare their values are: names or patterns; auto is those of the first 1,000 "
        "records that repeat, where neither --field, --derive, --by nor a recipe is given.",
        "auto|none|NAME[,NAME]", completes="field",
    )] = ("auto",)
    by: Annotated[Some, Setting(
        "Input", types.SPLIT_NAMES, "One model per distinct value of these fields.",
        "NAME[,NAME]", "b", completes="field", default="one model for all",
    )] = ()
    recipe: Annotated[str, Setting(
        "Input", types.RECIPE,
        "Settings for one kind of stream: by name those that come with clipdetect ('clipdetect list' shows them), "
        "or a file of yours such as ./mine.yaml. Your other settings beat them.",
        "NAME|FILE", completes="recipe",
    )] = ""
    time: Annotated[str, Setting(
        "Input", types.TEXT, "Field of the event time: epoch seconds to nanoseconds, or RFC 3339.",
        "NAME", completes="field",
    )] = ""
    label: Annotated[str, Setting(
        "Input", types.TEXT, "Field of the truth, 0/1 or true/false; never watched.",
        "NAME", completes="field",
    )] = ""
    input_format: Annotated[str, Setting(
        "Input", types.FORMAT, f"Input format: {FORMATS}.",
        "FORMAT", "i", key="from", completes="format",
    )] = "auto"
    pattern: Annotated[str, Setting(
        "Input", types.REGEX,
        "Read lines by this regular expression; its named groups are the fields, (?P<time>...) the time.",
        "REGEX",
    )] = ""
    extract: Annotated[Some, Setting(
        "Input", types.REGEXES,
        "Also look for fields, its named groups, in the message of a log line; repeatable, the first that "
        "is found counts.",
        "REGEX", repeatable=True,
    )] = ()
    records_at: Annotated[str, Setting(
        "Input", types.TEXT, "In a JSON document: the name of the array that holds the records, such as Records.",
        "NAME",
    )] = ""
    follow: Annotated[bool, Setting(
        "Input", types.SWITCH, "Go on reading as the files grow, through rotation.",
    )] = False
    coerce: Annotated[bool, Setting(
        "Input", types.SWITCH, "In JSON, numbers written as text are numbers too.",
    )] = False
    on_error: Annotated[Literal["pass", "skip", "fail"], Setting(
        "Input", one_of("pass", "skip", "fail"),
        "A record that cannot be read: pass it through unscored, drop it, or stop.",
        "pass|skip|fail",
    )] = "pass"
    max_fields: Annotated[int, Setting("Input", whole(1), "Watch at most N fields.", "N")] = 256
    max_keys: Annotated[int, Setting(
        "Input", whole(1), "Keep at most N models under --by; the least recently used one leaves.",
        "N",
    )] = 100_000
    max_line: Annotated[int, Setting(  # [bytes]
        "Input", types.SIZE, "A longer record is one that cannot be read; bytes, K, M or G.",
        "SIZE", default="16M",
    )] = 16 << 20
    derive: Annotated[tuple[ComponentSpec, ...], Setting(
        "Model", types.FEATURES,
        "Judge what is derived from the records, such as rate:window=60s,per=user; repeatable. Without "
        "--field, only that. Logs have their own where neither is given.",
        "SPEC", repeatable=True, completes="feature", separator=";",
    )] = ()
    estimator: Annotated[ComponentSpec, Setting(
        "Model", types.ESTIMATOR, "name or name:param=value,...; see 'clipdetect list'.",
        "SPEC", "e", completes="estimator",
        default="horizons where records have several numbers, level for one or with --by",
    )] = LEVEL
    threshold: Annotated[ComponentSpec, Setting(
        "Model", types.THRESHOLD, "Likewise: what turns raw scores into scores and flags.",
        "SPEC", "t", completes="threshold", default="tail",
    )] = TAIL
    changepoint: Annotated[ComponentSpec | None, Setting(
        "Model", types.CHANGEPOINT, "Likewise: also say when the normal itself has changed.",
        "SPEC", completes="changepoint",
    )] = None
    on_change: Annotated[Literal["ignore", "rebase"], Setting(
        "Model", one_of("ignore", "rebase"),
        "What a change point does to the key's estimator: rebase starts it afresh.",
        "ignore|rebase",
    )] = "ignore"
    patience: Annotated[int | None, Setting(  # merged into the estimator's parameters when loaded
        "Model", whole(1), "After how many records of something new it is the new normal.",
        "N", default="the estimator's own",
    )] = None
    warmup: Annotated[int, Setting(
        "Model", whole(8), "Raw scores a key must have given before it is scored, at least 8.",
        "N",
    )] = 32
    backfill: Annotated[str, Setting(
        "Model", types.TEXT, "Learn from this file first, without output.",
        "FILE",
    )] = ""
    freeze: Annotated[bool, Setting("Model", types.SWITCH, "Score without learning.")] = False
    seed: Annotated[int, Setting("Model", whole(0), "Seed of every random choice.", "N")] = 0
    engine: Annotated[Literal["auto", "python", "numba"], Setting(
        "Model", one_of("auto", "python", "numba"),
        "Interpret the kernels, compile them, or start one way and change over when that pays; "
        "the output is the same.",
        "auto|python|numba",
    )] = "auto"
    rate: Annotated[float, Setting(
        "Flags", types.RATE, "Wanted share of flagged records on clean data, between 0 and 1.",
        "R",
    )] = 0.001
    direction: Annotated[Literal["both", "up", "down"], Setting(
        "Flags", one_of("both", "up", "down"), "Flag only what lies above, or below, the expected value.",
        "both|up|down",
    )] = "both"
    min_change: Annotated[MinChange, Setting(
        "Flags", types.MIN_CHANGE, "Flag only what differs from the expected value by this much.",
        "N|N%", default="0",
    )] = NO_CHANGE
    gap: Annotated[float | None, Setting(  # [s]
        "Flags", types.DURATION,
        "Also flag the first record after this long without one, such as 60s or 5m.",
        "TIME",
    )] = None
    flatline: Annotated[int | None, Setting(  # [records]
        "Flags", whole(2), "Also flag a field that has not changed for N records.",
        "N",
    )] = None
    episode: Annotated[Silence | None, Setting(
        "Flags", types.EPISODE,
        "Flag an episode once: what a key's flag is followed by, of the same field and direction, until N "
        "records or a TIME have passed without one.",
        "N|TIME",
    )] = None
    group: Annotated[str, Setting(
        "Flags", types.TEXT,
        "Keys with the same value of this field share their episodes, so that what hits many is flagged once.",
        "NAME", completes="field",
    )] = ""
    events: Annotated[str, Setting(
        "Flags", types.TEXT,
        "What is known in advance: CSV with start, end, selector, action; an action is mute, widen:K or freeze.",
        "FILE",
    )] = ""
    feedback: Annotated[bool, Setting(
        "Flags", types.SWITCH, "Learn from --label where flags should have been, key by key.",
    )] = False
    exit_code: Annotated[bool, Setting("Flags", types.SWITCH, "Exit with 10 where anything was flagged.")] = False
    output_format: Annotated[str, Setting(
        "Output", types.FORMAT,
        f"Output format: one of {FORMATS}; auto is as the input, and JSON Lines for logs; text gives a log's "
        "lines as they came.",
        "FORMAT", "o", key="to", completes="format",
    )] = "auto"
    only_anomalies: Annotated[bool, Setting(
        "Output", types.SWITCH, "Write flagged records only.", short="a",
    )] = False
    bands: Annotated[bool, Setting(
        "Output", types.SWITCH, "Also write expected, lower and upper per field.",
    )] = False
    prefix: Annotated[str, Setting(
        "Output", types.PREFIX, "Put P before the names of the appended fields.",
        "P",
    )] = ""
    state: Annotated[str, Setting(
        "State", types.TEXT, "Continue from this file where it exists, and save to it at the end.",
        "FILE",
    )] = ""
    checkpoint_every: Annotated[int, Setting("State", whole(1), "Save it every N records too.", "N")] = 100_000
    quiet: Annotated[bool, Setting("Run", types.SWITCH, "Only errors on stderr.", short="q")] = False
    verbose: Annotated[bool, Setting(
        "Run", types.SWITCH, "Also say what is watched, and a summary.", short="v",
    )] = False
    color: Annotated[Literal["auto", "always", "never"], Setting(
        "Run", one_of("auto", "always", "never"), "Colours on stderr.",
        WHEN,
    )] = "auto"
    progress: Annotated[Literal["auto", "always", "never"], Setting(
        "Run", one_of("auto", "always", "never"), "A progress line on stderr.",
        WHEN,
    )] = "auto"
    # fmt: on


SETTINGS: Mapping[str, Setting] = {name: get_args(each)[1] for name, each in Settings.__annotations__.items()}
DEFAULTS = Settings()


def key(setting: str) -> str:
    """The name of a setting in a YAML file: `input_format` is `from`."""
    return SETTINGS[setting].key or setting


def flag(setting: str) -> str:
    """The long flag of a setting: `--max-keys`."""
    return "--" + key(setting).replace("_", "-")


def variable(setting: str) -> str:
    """The environment variable of a setting: `CLIPDETECT_MAX_KEYS`."""
    return ENVIRONMENT + key(setting).upper()


def default_in_words(setting: str) -> str:
    """What a setting is where it is not given."""
    value: Any = getattr(DEFAULTS, setting)
    if SETTINGS[setting].default:
        return SETTINGS[setting].default
    if value is False:
        return "no"
    if value in ("", (), None):
        return "none"
    return ", ".join(value) if isinstance(value, tuple) else str(value)
