"""The layers of the configuration, and what is said of wrong values."""

from __future__ import annotations

import json

import pytest

from clipdetect.config import Config, MinChange, fingerprint, flag, key, load, to_yaml, variable
from clipdetect.errors import ConfigError
from clipdetect.registry import ComponentSpec
from clipdetect.settings import SETTINGS


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> str:
        (tmp_path / "c.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
        return "c.yaml"

    return write


def refused(**layers) -> str:
    with pytest.raises(ConfigError) as caught:
        load(**{"environ": {}, **layers})
    return str(caught.value)


def test_nothing_given_is_the_defaults():
    config, origins = load(environ={})
    assert config == Config()
    assert set(origins.values()) == {"default"}
    assert set(origins) == set(SETTINGS)


def test_flags_beat_environment_beats_file_beats_defaults(write):
    path = write("rate: 0.01\nwarmup: 40\nseed: 1\n")
    config, origins = load(
        {"rate": "0.03", "label": None, "field": ()}, path, {"CLIPDETECT_RATE": "0.02", "CLIPDETECT_WARMUP": "50"}
    )
    assert (config.rate, config.warmup, config.seed, config.max_keys) == (0.03, 50, 1, 100_000)
    assert [origins[name] for name in ("rate", "warmup", "seed", "max_keys", "label")] == [
        "--rate",
        "CLIPDETECT_WARMUP",
        "c.yaml:3:7",
        "default",
        "default",
    ]


def test_config_file_may_be_named_by_a_variable(write):
    assert load(environ={"CLIPDETECT_CONFIG": write("seed: 5\n")}).config.seed == 5


def test_every_setting_has_the_same_name_in_file_variable_and_flag():
    names = (key("input_format"), variable("input_format"), flag("input_format"))
    assert names == ("from", "CLIPDETECT_FROM", "--from")
    assert (variable("max_keys"), flag("max_keys")) == ("CLIPDETECT_MAX_KEYS", "--max-keys")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("max_line", "16M", 16 << 20),
        ("max_line", "64K", 65536),
        ("max_line", "64kb", 65536),
        ("max_line", "100", 100),
        ("min_change", "0.5", MinChange(0.5, 0.0)),
        ("min_change", "10%", MinChange(0.0, 10.0)),
        ("by", "a,b", ("a", "b")),
        ("by", "", ()),
        ("field", ("a,b", "c", "a,b"), ("a,b", "c")),
        ("patience", "9", 9),
        ("freeze", False, False),
        ("bands", True, True),
        ("estimator", "level:patience=41", ComponentSpec("level", {"patience": "41"})),
    ],
)
def test_flag_values(name, text, expected):
    assert getattr(load({name: text}, environ={}).config, name) == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("rate", "0", "--rate: must be between 0 and 1, got 0"),
        ("rate", "1", "--rate: must be between 0 and 1, got 1"),
        ("rate", "nan", "--rate: must be a number, got 'nan'"),
        ("warmup", "7", "--warmup: must be at least 8, got 7"),
        ("warmup", "x", "--warmup: must be a whole number, got 'x'"),
        ("max_fields", "0", "--max-fields: must be at least 1, got 0"),
        ("seed", "9" * 20, "--seed: too large: " + "9" * 20),
        ("direction", "dwn", "--direction: must be one of both, up, down, got 'dwn', did you mean 'down'?"),
        ("min_change", "-1", "--min-change: must be a number >= 0, or a share such as 10%, got '-1'"),
        ("min_change", "ten%", "--min-change: must be a number >= 0, or a share such as 10%, got 'ten%'"),
        ("max_line", "0", "--max-line: must be a number of bytes such as 65536, 64K or 16M, got '0'"),
        ("by", "a,,b", "--by: must be a name, got ''"),
        (
            "input_format",
            "jsnl",
            "--from: must be one of auto, access, csv, journald, json, jsonl, log, logfmt, "
            "pattern, plain, ssv, syslog, text, tsv, got 'jsnl'",
        ),
        ("engine", "cuda", "--engine: must be one of auto, python, numba, got 'cuda'"),
        ("estimator", "levl", "--estimator: unknown estimator 'levl', did you mean 'level'?"),
        ("estimator", "level:patince=4", "--estimator: estimator.level.patince: unknown parameter 'patince', did you"),
        ("threshold", "tail:horizon=x", "--threshold: threshold.tail.horizon: must be a whole number, got 'x'"),
    ],
)
def test_wrong_flag_values_are_explained(name, text, message):
    assert refused(flags={name: text}).startswith(message)


def test_environment_lists_are_comma_separated():
    config = load(environ={"CLIPDETECT_FIELD": "a, b", "CLIPDETECT_BY": "x,y", "CLIPDETECT_BANDS": "1"}).config
    assert (config.field, config.by, config.bands) == (("a", "b"), ("x", "y"), True)


def test_empty_variable_is_not_set():
    assert load(environ={"CLIPDETECT_RATE": ""}).config.rate == 0.001


def test_misspelt_variable_is_an_error_but_a_foreign_one_is_not():
    assert refused(environ={"CLIPDETECT_RAET": "1"}) == "CLIPDETECT_RAET: unknown setting 'raet', did you mean 'rate'?"
    foreign = ("SERVICE_HOST", "SERVICE_PORT", "PORT", "PORT_80_TCP", "PORT_80_TCP_ADDR", "PORT_80_TCP_PROTO")
    assert load(environ={f"CLIPDETECT_{name}": "1" for name in foreign}).config == Config()


def test_wrong_variable_is_named():
    assert refused(environ={"CLIPDETECT_RATE": "2"}) == "CLIPDETECT_RATE: must be between 0 and 1, got 2"


def test_a_file_takes_the_flags_own_spelling(write):
    """Of settings; below these stand names of components, of which a plug-in's may have dashes itself."""
    text = "only-anomalies: true\nmin-change: 5%\nmax_keys: 7\nestimator: {level: {}}\n"
    config, origins = load(path=write(text), environ={})
    assert (config.only_anomalies, config.min_change.percent, config.max_keys) == (True, 5.0, 7)
    assert origins["only_anomalies"] == "c.yaml:1:17"
    assert refused(path=write("estimator: {my-own: {}}\n")).startswith("c.yaml:1:12: unknown estimator 'my-own'")


def test_an_array_of_records_is_in_a_json_document():
    assert load({"records_at": "a"}, environ={}).config.input_format == "json"
    assert load({"records_at": "a", "input_format": "json"}, environ={}).config.input_format == "json"
    assert refused(flags={"records_at": "a", "input_format": "csv"}) == (
        "--records-at: only JSON has arrays of records, not csv"
    )
    assert "not pattern" in refused(flags={"records_at": "a", "pattern": "(?P<x>.)"})


def test_file_forms_of_a_component(write):
    for text in ("level:patience=41", "{level: {patience: 41}}", "\n  level:\n    patience: 41"):
        config = load(path=write(f"estimator: {text}\n"), environ={}).config
        assert fingerprint(config)["estimator"]["patience"] == 41


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "# a\n\nrate: 0.1\n    \ntreshold: tail\n",
            "c.yaml:5:1: unknown setting 'treshold', did you mean 'threshold'?",
        ),
        ("rate: fast\n", "c.yaml:1:7: rate: must be a number, got 'fast'"),
        ("estimator: {level: {patince: 41}}\n", "c.yaml:1:21: estimator.level.patince: unknown parameter 'patince'"),
        ("estimator:\n  level:\n    patience: x\n", "c.yaml:3:15: estimator.level.patience: must be a whole number"),
        ("estimator:\n  level:\n    patience: 2\n", "c.yaml:3:15: estimator.level.patience: patience must be "),
        ("estimator: {level: 3}\n", "c.yaml:1:20: estimator.level: parameters expected"),
        ("estimator: levl\n", "c.yaml:1:12: unknown estimator 'levl', did you mean 'level'?"),
        ("estimator: {level: {}, zscore: {}}\n", "c.yaml:1:12: estimator: one name expected, got level, zscore"),
        ("field: [a, 404]\n", "c.yaml:1:8: field: must be text (in quotes"),
        ("max-kyes: 4\n", "c.yaml:1:1: unknown setting 'max-kyes', did you mean 'max_keys'?"),
        ("max-keys: 4\nrate: .1\nmax_keys: 5\n", "c.yaml:3:1: 'max_keys' is set twice, first as 'max-keys' in line 1"),
        ("max_keys: 4\nmax-keys: 4\n", "c.yaml:2:1: 'max-keys' is set twice, first as 'max_keys' in line 1"),
        ("records-at: a\nfrom: csv\n", "c.yaml:1:13: records_at: only JSON has arrays of records, not csv"),
    ],
)
def test_errors_in_a_file_say_line_and_column(write, text, message):
    lines = refused(path=write(text)).splitlines()
    assert any(line.startswith(message) for line in lines), lines


def test_a_recipe_may_be_a_file_that_all_other_layers_beat(write, tmp_path):
    write("about: my own\nrate: 0.01\nwarmup: 40\nseed: 1\nderive: [log:field=x]\n")
    (tmp_path / "d.yaml").write_text("recipe: ./c.yaml\nwarmup: 50\nabout: another\n")
    config, origins = load({"rate": "0.02"}, "d.yaml", {"CLIPDETECT_SEED": "3"})
    assert (config.rate, config.warmup, config.seed) == (0.02, 50, 3)
    assert config.derive == (ComponentSpec("log", {"field": "x"}),)
    assert (origins["derive"], origins["warmup"], origins["recipe"]) == ("./c.yaml:5:9", "d.yaml:2:9", "d.yaml:1:9")
    assert load({"recipe": "c.yaml"}, environ={}).config.warmup == 40


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rate: 0.01\nwarmpu: 40\n", "./c.yaml:2:1: unknown setting 'warmpu', did you mean 'warmup'?"),
        ("rate: fast\n", "./c.yaml:1:7: rate: must be a number, got 'fast'"),
        ("derive:\n  - rate: {windw: 5m}\n", "./c.yaml:2:12: feature.rate.windw: unknown parameter 'windw'"),
        ("about: [1]\n", "./c.yaml:1:8: about: must be text, got [1]"),
        ("recipe: sshd\n", "./c.yaml:1:9: recipe: a recipe cannot build on another; -c FILE can"),
        ("rate: [\n", "./c.yaml:2:1: "),
    ],
)
def test_errors_in_a_recipe_of_ones_own_say_line_and_column(write, text, message):
    write(text)
    assert refused(flags={"recipe": "./c.yaml"}).startswith(message)


def test_a_recipe_that_is_not_there_is_named():
    assert refused(flags={"recipe": "./nosuch.yaml"}) == "./nosuch.yaml: No such file or directory"
    assert refused(flags={"recipe": "shsd"}).endswith("got 'shsd', did you mean 'sshd'?")


def test_all_wrong_settings_are_told_at_once(write):
    text = "rate: 2\nwarmup: 3\nestimator: levl\n"
    assert len(refused(path=write(text), flags={"seed": "x"}).splitlines()) == 4


def test_a_setting_without_a_value_is_the_default(write):
    assert load(path=write("rate:\nfield:\n"), environ={}).config == Config()


def test_empty_file_sets_nothing(write):
    for text in ("", "# only a comment\n", "---\n"):
        assert load(path=write(text), environ={}).config == Config()


def test_missing_file_is_named():
    assert refused(path="/nosuch/c.yaml") == "/nosuch/c.yaml: No such file or directory"


def test_patience_sets_the_estimators_own_parameter():
    config = load({"patience": "41"}, environ={}).config
    assert fingerprint(config)["estimator"]["patience"] == 41
    config = load({"patience": "41", "estimator": "level:patience=9,reject=no"}, environ={}).config
    assert fingerprint(config)["estimator"] == {"name": "level", "patience": 41, "reject": False}


def test_patience_gives_way_to_a_spec_in_a_later_layer():
    config = load({"estimator": "level:patience=9"}, environ={"CLIPDETECT_PATIENCE": "41"}).config
    assert fingerprint(config)["estimator"]["patience"] == 9
    config = load({"estimator": "level"}, environ={"CLIPDETECT_PATIENCE": "41"}).config
    assert fingerprint(config)["estimator"]["patience"] == 41


def test_patience_of_an_estimator_without_one_is_an_error():
    assert refused(flags={"patience": "9", "estimator": "zscore"}).startswith(
        "--patience: estimator 'zscore' has no parameter 'patience'"
    )


def test_wrong_patience_is_laid_at_its_own_place():
    assert refused(flags={"patience": "1"}).startswith("--patience: estimator.level.patience: ")
    assert refused(flags={"patience": "1"}, environ={"CLIPDETECT_ESTIMATOR": "level"}).startswith("--patience: ")


@pytest.mark.parametrize("name", ["by", "time", "label"])
def test_a_reserved_field_cannot_be_watched_too(name):
    message = f"--field: 'x' is --{name} already and cannot be watched too"
    assert refused(flags={"field": ("a", "x"), name: "x"}) == message


def test_fingerprint_is_plain_json_and_covers_what_a_state_depends_on():
    config = load({"field": ("a",), "by": "k"}, environ={}).config
    covered = fingerprint(config)
    assert json.loads(json.dumps(covered)) == covered
    assert set(covered) == {
        "estimator",
        "threshold",
        "changepoint",
        "on_change",
        "derive",
        "pattern",
        "extract",
        "field",
        "exclude",
        "by",
        "time",
        "label",
        "coerce",
        "seed",
    }
    assert covered["threshold"]["name"] == "tail"
    assert "horizon" in covered["threshold"]


def test_fingerprint_is_the_same_however_a_value_was_given():
    one = fingerprint(load({"estimator": "level:patience=21", "by": "h"}, environ={}).config)
    assert one == fingerprint(load({"by": "h"}, environ={}).config)


def test_fingerprint_of_a_model_that_the_records_choose_keeps_what_is_asked_for():
    assert fingerprint(load(environ={}).config)["estimator"] == {"name": "default"}
    assert fingerprint(load({"patience": 41}, environ={}).config)["estimator"] == {"name": "default", "patience": 41}


def test_printed_configuration_reads_back_the_same(write):
    flags = {
        "field": ("a b", "404", "no", "x*", 'q"\\\u00e9', "true"),
        "by": "h",
        "min_change": "12.5%",
        "estimator": "level:patience=41",
        "rate": "1e-5",
        "input_format": "csv",
        "freeze": True,
        "state": "/tmp/it's.bin",
        "prefix": "# ",
    }
    first = load(flags, environ={})
    text = to_yaml(first)
    assert "rate: 1.0e-05  # --rate\n" in text or "rate: 1e-05  # --rate\n" in text
    second = load(path=write(text), environ={})
    for name in SETTINGS:
        if name not in ("estimator", "threshold"):
            assert getattr(second.config, name) == getattr(first.config, name), name
    assert fingerprint(second.config) == fingerprint(first.config)


def test_detector_is_the_one_asked_for():
    detector = load({"rate": "0.01", "seed": "3", "engine": "python", "max_keys": "7"}, environ={}).config.detector()
    assert (detector.params.rate, detector.seed, detector.engine.name, detector.keys.max_keys) == (0.01, 3, "python", 7)
