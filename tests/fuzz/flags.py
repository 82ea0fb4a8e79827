"""How a stream is read, judged and written: settings of the command, drawn at random, and how one would type them."""

from __future__ import annotations

import shlex
from typing import Any

from tests.fuzz.material import Material
from tests.fuzz.streams import Stream

TABLES = ("csv", "tsv", "ssv")
LOGS = ("access", "syslog", "logfmt", "log", "pattern")
OBJECTS = ("jsonl", "json")
WRITABLE = ("jsonl", "json", "csv", "tsv")
ESTIMATORS = (
    "level",
    "zscore",
    "fields",
    "forecast",
    "horizons",
    "extremes",
    "mean:half_life=50",
    "neighbours:window=40",
)
THRESHOLDS = ("tail", "spliced", "quantile", "fixed:limit=4", "confidence")
NAMES = {"input_format": "from", "output_format": "to"}


def draw(material: Material, stream: Stream) -> dict[str, Any]:
    """Settings that fit the stream."""
    random, chance = material.random, material.chance
    found: dict[str, Any] = {"input_format": stream.format, "warmup": random.choice((8, 32)), **stream.needs}
    if stream.format == "text":
        return found
    if chance(0.7):
        found["rate"] = random.choice((0.2, 0.02))  # so that there is something to say of many records
    numbers, texts = [each for each in stream.numbers if each], [each for each in stream.texts if each]
    timed = stream.format in (*LOGS, "journald")
    if stream.times and chance(0.3):
        found["time"], timed = stream.times[0], True
    if numbers and chance(0.35):
        found["field"] = tuple(dict.fromkeys(random.choices([*numbers, "*", "no such"], k=random.choice((1, 1, 2, 3)))))
    if texts and chance(0.25):
        found["by"] = tuple(random.sample(texts, random.choice((1, 1, min(2, len(texts))))))
    elif texts and stream.format in (*TABLES, *OBJECTS) and chance(0.3):
        names = [each for each in texts if "+" not in each and each not in ("auto", "none")]
        found["categories"] = random.choice((("none",), tuple(random.sample(names, min(len(names), 2)) or ["none"])))
    if chance(0.25):
        found["derive"] = [derived(material, numbers, texts, timed) for _ in range(random.choice((1, 1, 2)))]
    if chance(0.15):
        found["estimator"] = random.choice(ESTIMATORS)
    if chance(0.15):
        found["threshold"] = random.choice(THRESHOLDS)
    if chance(0.1):
        found["changepoint"] = random.choice(("clipped_mean", "focus"))
    if chance(0.1):
        found["episode"] = "20"
    if texts and chance(0.07):
        found["group"] = random.choice(texts)
    for name, share in (
        ("bands", 0.35),
        ("only_anomalies", 0.15),
        ("coerce", 0.1),
        ("flatline", 0.05),
        ("exclude", 0.1),
    ):
        if chance(share):
            found[name] = {"flatline": 5, "exclude": (random.choice(("y", "*b", "no such")),)}.get(name, True)
    for name, share, values in (
        ("on_error", 0.2, ("skip",)),
        ("output_format", 0.4, (*WRITABLE, "text") if stream.format in LOGS else WRITABLE),
        ("prefix", 0.07, ("ad_", '"\\', "é.", "score")),
        ("max_fields", 0.05, (1, 3)),
        ("max_keys", 0.05, (1, 3)),
        ("max_line", 0.05, ("200", "1K", "100K")),
        ("direction", 0.05, ("up", "down")),
    ):
        if chance(share):
            found[name] = random.choice(values)
    return found


def derived(material: Material, numbers: list[str], texts: list[str], timed: bool) -> dict[str, Any]:
    """A feature of the fields that there are."""
    random = material.random
    number, text = random.choice(numbers or ["none"]), random.choice(texts or ["none"])
    found: list[dict[str, Any]] = [
        {"rare": {"field": text}},
        {"rare": {"field": f"{text}+{random.choice(texts or ['none'])}"}},
        {"template": {"field": text}},
        {"diff": {"field": number, "keep": True}},
        {"log": {"field": number}},
        {"rare": {"field": f"shape({text})", "per": text}},
    ]
    if timed:
        found += [
            {"rate": {"window": "60s"}},
            {"rate": {"window": "5m", "per": text, "name": random.choice(("r", "a.b\\", '"', "é"))}},
            {"rate": {"window": "1h", "where": random.choice(("x>=100", "s!=get|put", "s~(a|b)+", "k"))}},
            {"distinct": {"field": text, "window": "1h"}},
            {"interval": {}},
            {"gap": {"limit": "60s"}},
            {"hour": {}},
        ]
    return random.choice(found)


def typed(flags: dict[str, Any]) -> str:
    """The flags as on a command line, as far as they can be typed there."""
    words = []
    for name, value in flags.items():
        flag = "--" + NAMES.get(name, name).replace("_", "-")
        if value is True:
            words.append(flag)
        elif name in ("by", "categories"):
            words += [flag, ",".join(value)]
        else:
            for each in value if isinstance(value, (tuple, list)) else [value]:
                words += [flag, spelled(each) if isinstance(each, dict) else str(each)]
    return " ".join(shlex.quote(word) if word.isprintable() else f"$'{ascii(word)[1:-1]}'" for word in words)


def spelled(spec: dict[str, dict[str, Any]]) -> str:
    """A component's spec on one line."""
    ((name, parameters),) = spec.items()
    return ":".join(
        filter(
            None,
            [
                name,
                ",".join(
                    f"{key}={str(value).lower() if value is True else value}" for key, value in parameters.items()
                ),
            ],
        )
    )
