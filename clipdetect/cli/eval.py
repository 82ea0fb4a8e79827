"""`clipdetect eval`: a scored stream against the truth in one of its fields."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from clipdetect.errors import ConfigError, InputError


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", default="-", required=False)
@click.option("--label", default="label", show_default=True, help="Field with the truth: 0 or 1, true or false.")
@click.option("--prefix", default="", help="The --prefix that the stream was scored with.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def command(file: str, label: str, prefix: str, as_json: bool) -> None:
    """Compare a scored stream (JSON Lines or CSV, as clipdetect writes it; gzip
    too) with the truth in a label field. Ranking measures leave out records
    without a score.

    \b
    clipdetect --label label day.csv | clipdetect eval --label label
    """
    import numpy as np

    from clipdetect.metrics import evaluate

    scores, flags, labels = [], [], []
    for score, flag, truth in _rows(file, prefix + "score", prefix + "anomaly", label):
        scores.append(score)
        flags.append(flag)
        labels.append(truth)
    if not scores:
        raise InputError(f"{_name(file)}: no records")
    labelled = np.array(labels, float)
    if np.isnan(labelled).all():
        raise ConfigError(f"{_name(file)}: no record has a readable label {label!r}; name the field with --label")
    found = asdict(evaluate(np.array(scores, float), np.array(flags, bool), labelled))
    if as_json:
        import orjson

        values = {name: None if isinstance(v, float) and math.isnan(v) else v for name, v in found.items()}
        click.echo(orjson.dumps(values).decode())
    else:
        for line in _table(found):
            click.echo(line)


def _name(file: str) -> str:
    return "stdin" if file == "-" else file


def _rows(file: str, score: str, flag: str, label: str) -> Iterator[tuple[float, bool, float]]:
    """(score or NaN, flag, label or NaN) of each record."""
    from clipdetect.formats import sniff
    from clipdetect.source import Signals, Source

    with Signals() as signals:
        pieces, head, name = iter(Source(file, signals)), b"", None
        for piece in pieces:
            head += piece
            name = sniff(head, False)
            if name is not None:
                break
        name = name or (sniff(head, True) if head else "jsonl")
        lines = _lines(head, pieces)
        if name == "jsonl":
            records = _objects(lines)
        elif name in ("csv", "tsv"):
            import csv

            text = (line.decode("utf-8-sig", "replace") for line in lines)
            records = iter(csv.DictReader(text, delimiter="," if name == "csv" else "\t"))
        else:
            raise InputError(f"{_name(file)}: neither JSON Lines nor CSV; score it with clipdetect first")
        from clipdetect.formats.values import ABSENT, number, truth

        seen = False
        for record in records:
            seen = seen or score in record
            value = record.get(score)
            yield number(value, coerce=True)[0], record.get(flag) in (True, "true"), truth(_at(record, label, ABSENT))
        if not seen:
            raise InputError(
                f"{_name(file)}: no record has the field {score!r}; pipe the stream through clipdetect first"
            )


def _at(record: dict[str, Any], label: str, absent: Any) -> Any:
    from clipdetect.formats.values import look_up

    return look_up(record, label) if record else absent


def _objects(lines: Iterator[bytes]) -> Iterator[dict[str, Any]]:
    from clipdetect.formats.jsonl import blank
    from clipdetect.formats.objects import Unreadable, parse

    for line in lines:
        if not blank(line.rstrip(b"\n")):
            try:
                yield parse(line)
            except Unreadable:
                yield {}  # passed through unscored


def _lines(head: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Lines of the whole stream, with their ends."""
    rest = head
    for piece in pieces:
        *whole, rest = rest.split(b"\n")
        yield from (line + b"\n" for line in whole)
        rest += piece
    yield from (line + b"\n" for line in rest.split(b"\n") if line)


def _table(found: dict[str, Any]) -> Iterator[str]:
    """Aligned lines for a person."""

    def share(name: str) -> str:
        return "-" if math.isnan(found[name]) else f"{found[name]:.4f}"

    unlabelled = found["records"] - found["labelled"]
    rows = [
        ("records", f"{found['records']:,}", f"{unlabelled:,} without a readable label left out" if unlabelled else ""),
        ("without a score", f"{found['unscored']:,}", "left out of ROC-AUC and PR-AUC" if found["unscored"] else ""),
        ("anomalies", f"{found['anomalies']:,}", f"{found['found']:,} found"),
        ("flagged", f"{found['flagged']:,}", f"{found['false']:,} of them false"),
        ("flag rate", share("flag_rate"), f"{share('false_rate')} of what is no anomaly"),
        ("precision", share("precision"), ""),
        ("recall", share("recall"), ""),
        ("ROC-AUC", share("roc_auc"), ""),
        ("PR-AUC", share("pr_auc"), ""),
    ]
    for name, value, more in rows:
        yield f"{name:<16}{value:>10}  {more}".rstrip()
