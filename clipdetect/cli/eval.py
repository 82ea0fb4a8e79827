"""`clipdetect eval`: a scored stream against the truth in one of its fields."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from clipdetect.errors import ConfigError, InputError

if TYPE_CHECKING:
    from clipdetect.metrics import Evaluation

COUNT = click.IntRange(min=0)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("file", default="-", required=False)
@click.option("--label", default="label", show_default=True, help="Field with the truth: 0 or 1, true or false.")
@click.option("--prefix", default="", help="The --prefix that the stream was scored with.")
@click.option("--time", metavar="NAME", help="Field of the event time: delays in time, and false flags a day.")
@click.option("-b", "--by", metavar="NAME[,NAME]", help="Each key has events of its own; the worst keys are listed.")
@click.option(
    "--window",
    type=COUNT,
    metavar="N",
    default=0,
    show_default=True,
    help="A flag so many records from an event is not false.",
)
@click.option(
    "--join", type=COUNT, metavar="N", default=100, show_default=True,
    help="A false flag so many records after the last belongs to the same false alarm.",
)  # fmt: skip
@click.option(
    "--rate", type=click.FloatRange(0, 1, True, True), metavar="R", help="The --rate asked for, to compare with."
)
@click.option(
    "--buffer",
    type=COUNT,
    metavar="N",
    help="Largest buffer of VUS. [default: the median length of an event, at most 100]",
)
@click.option("--top", type=COUNT, metavar="N", default=10, show_default=True, help="How many keys are listed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def command(
    file: str,
    label: str,
    prefix: str,
    time: str | None,
    by: str | None,
    window: int,
    join: int,
    rate: float | None,
    buffer: int | None,
    top: int,
    as_json: bool,
) -> None:
    """Compare a scored stream (JSON Lines or CSV, as clipdetect writes it; gzip
    too) with the truth in a label field: record by record, event by event (a run
    of label 1), false alarms, and whether scores keep their promise. Measures of
    the ranking leave out records without a score. docs/eval.md explains all.

    \b
    clipdetect --time ts --label label day.csv | clipdetect eval --time ts
    """
    import numpy as np

    from clipdetect.metrics import evaluate

    columns = _Columns(file, label, prefix, time, by)
    if not columns.score:
        raise InputError(f"{_name(file)}: no records")
    truth = np.array(columns.label)
    if np.isnan(truth).all():
        raise ConfigError(f"{_name(file)}: no record has a readable label {label!r}; name the field with --label")
    when = np.array(columns.time) if time else None
    if when is not None and np.isnan(when).all():
        raise ConfigError(f"{_name(file)}: no record has a readable time {time!r}; name the field with --time")
    for name in by.split(",") if by else ():
        if name not in columns.met:
            raise ConfigError(f"{_name(file)}: no record has the field {name!r}; name the fields of the key with --by")
    found = evaluate(
        np.array(columns.score),
        np.array(columns.flag, bool),
        truth,
        abstain=np.array(columns.abstain, bool),
        incident=np.array(columns.incident),
        time=when,
        key=np.array(columns.key) if by else None,
        window=window,
        join=join,
        buffer=buffer,
        rate=math.nan if rate is None else rate,
    )
    keys = [{**each._asdict(), "key": columns.names[each.key]} for each in found.keys[:top]]
    if as_json:
        import orjson

        values = {**asdict(found), "calibration": [each._asdict() for each in found.calibration], "keys": keys}
        click.echo(orjson.dumps(values).decode())  # NaN becomes null
        return
    for line in _table(found):
        click.echo(line)
    for line in _calibration(found):
        click.echo(line)
    for line in _keys(keys, len(found.keys)):
        click.echo(line)


def _name(file: str) -> str:
    return "stdin" if file == "-" else file


# -- reading ----------------------------------------------------------------------------------


class _Columns:
    """What is needed of each record, a few bytes each; see `evaluate`.

    names : the text of each key. met : fields of the key that some record has.
    """

    def __init__(self, file: str, label: str, prefix: str, time: str | None, by: str | None) -> None:
        from clipdetect.formats.values import ABSENT, number, seconds, truth

        appended = [prefix + name for name in ("score", "anomaly", "abstain", "incident")]
        parts = by.split(",") if by else []
        wanted = [label, *([time] if time else []), *parts]
        first = 5 + bool(time)  # where the key begins
        self.score, self.label, self.time = array("d"), array("d"), array("d")
        self.flag, self.abstain = array("b"), array("b")
        self.incident, self.key = array("q"), array("q")
        self.names: list[str] = []
        self.met: set[str] = set()
        known: dict[tuple[str, ...], int] = {}
        labels: dict[Any, float] = {"0": 0.0, "1": 1.0}  # of CSV, where most records have one of few texts
        seen = False
        for values in _records(file, appended, wanted):
            score, flag, abstain, incident, label_read = values[:5]
            seen = seen or score is not ABSENT
            self.score.append(number(score, coerce=True)[0])
            self.flag.append(flag is True or flag == "true")
            self.abstain.append(abstain is True or abstain == "true")
            case = math.nan if incident is ABSENT or incident == "" else number(incident, coerce=True)[0]
            self.incident.append(int(case) if abs(case) < 2.0**53 else 0)
            known_label = labels.get(label_read) if type(label_read) is str else None
            self.label.append(truth(label_read) if known_label is None else known_label)
            if time:
                self.time.append(seconds(values[5]))
            if by:
                key = tuple(map(str, values[first:]))
                if len(self.met) < len(parts):
                    found = zip(parts, values[first:], strict=True)
                    self.met.update(name for name, value in found if value is not ABSENT)
                code = known.setdefault(key, len(known))
                if code == len(self.names):
                    self.names.append(_shown(values[first:]))
                self.key.append(code)
        if self.score and not seen:
            raise InputError(
                f"{_name(file)}: no record has the field {appended[0]!r}; pipe the stream through clipdetect first"
            )


def _shown(values: Sequence[Any]) -> str:
    """A key for people."""
    from clipdetect.formats.values import ABSENT

    return ",".join("" if value is None or value is ABSENT else str(value) for value in values)


def _records(file: str, appended: list[str], wanted: list[str]) -> Iterator[Sequence[Any]]:
    """The values of what clipdetect has appended, then of the record's own fields; ABSENT where there is none."""
    from clipdetect.reader import first_bytes
    from clipdetect.source import Signals, Source

    with Signals() as signals:
        pieces = iter(Source(file, signals))
        name, head = first_bytes(pieces)
        if name == "jsonl" or not head:
            yield from _objects(_lines(head, pieces), appended, wanted)
        elif name in ("csv", "tsv"):
            lines = _lines(head.removeprefix(b"\xef\xbb\xbf"), pieces)
            yield from _rows(lines, "," if name == "csv" else "\t", [*appended, *wanted])
        else:
            raise InputError(f"{_name(file)}: neither JSON Lines nor CSV; score it with clipdetect first")


def _objects(lines: Iterator[bytes], appended: list[str], wanted: list[str]) -> Iterator[Sequence[Any]]:
    from clipdetect.formats.jsonl import blank
    from clipdetect.formats.objects import Unreadable, parse
    from clipdetect.formats.values import ABSENT, look_up

    for line in lines:
        if blank(line.rstrip(b"\n")):
            continue
        try:
            record = parse(line)
        except Unreadable:  # passed through unscored
            record = {}
        yield [
            *[record.get(name, ABSENT) for name in appended],
            *[record[name] if name in record else look_up(record, name) for name in wanted],
        ]


def _rows(lines: Iterator[bytes], comma: str, names: list[str]) -> Iterator[Sequence[Any]]:
    import csv
    from operator import itemgetter

    from clipdetect.formats.values import ABSENT

    csv.field_size_limit(1 << 30)
    rows = csv.reader((line.decode("utf-8", "replace") for line in lines), delimiter=comma)
    header = next(rows, [])
    place = {name: i for i, name in enumerate(header)}
    pick = itemgetter(*[place.get(name, -1) for name in names])
    for row in rows:
        if row:
            missing = len(header) - len(row)
            row.extend([ABSENT] * (missing + 1) if missing > 0 else [ABSENT])  # type: ignore[list-item]
            yield pick(row)


def _lines(head: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Lines of the whole stream, with their ends."""
    rest = head
    for piece in pieces:
        *whole, rest = rest.split(b"\n")
        yield from (line + b"\n" for line in whole)
        rest += piece
    yield from (line + b"\n" for line in rest.split(b"\n") if line)


# -- showing ----------------------------------------------------------------------------------


def _share(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _figure(value: float) -> str:
    """A number of any size, in few digits."""
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100.0 else f"{value:.3g}"


def _span(seconds: float) -> str:
    """A time, in the unit that people would choose."""
    if math.isnan(seconds):
        return "-"
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "m")):
        if abs(seconds) >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _table(found: Evaluation) -> Iterator[str]:
    """Aligned lines for a person."""
    unlabelled = found.records - found.labelled
    slack = f", or within {found.window:,} records of it" if found.window else ""
    timed = not math.isnan(found.days)
    a_day = [f"{_figure(each)} a day" if timed else "" for each in (found.false_per_day, found.false_episodes_per_day)]
    delay = f"90% within {_figure(found.delay_p90)}" if found.events_found else ""
    lag = f"90% within {_span(found.delay_seconds_p90)}"
    ratio = f"{_figure(found.rate_ratio)} of the {_figure(found.rate)} asked for"
    rows = [
        ("records", f"{found.records:,}", f"{unlabelled:,} without a readable label left out" if unlabelled else ""),
        ("without a score", f"{found.unscored:,}", "left out of ROC-AUC and PR-AUC" if found.unscored else ""),
        ("anomalies", f"{found.anomalies:,}", f"{found.found:,} found"),
        ("flagged", f"{found.flagged:,}", f"{found.false:,} of them false"),
        ("flag rate", _share(found.flag_rate), f"{_share(found.false_rate)} of what is no anomaly"),
        ("precision", _share(found.precision), ""),
        ("recall", _share(found.recall), ""),
        ("ROC-AUC", _share(found.roc_auc), ""),
        ("PR-AUC", _share(found.pr_auc), ""),
        ("VUS-ROC", _share(found.vus_roc), f"buffers up to {found.vus_buffer:,} records"),
        ("VUS-PR", _share(found.vus_pr), ""),
        ("abstained", f"{found.abstained:,}", "") if found.abstained else None,
        ("", "", ""),
        ("events", f"{found.events:,}", f"{found.events_found:,} found: a flag in it{slack}"),
        ("event recall", _share(found.event_recall), f"{_share(found.early_share)} before half of the event was over"),
        ("delay", _figure(found.delay_median), f"records to the first flag, median; {delay}" if delay else ""),
        ("", _span(found.delay_seconds_median), f"median; {lag}") if timed and delay else None,
        ("range precision", _share(found.range_precision), ""),
        ("range recall", _share(found.range_recall), f"F1 {_share(found.range_f1)}"),
        ("", "", ""),
        ("false flags", f"{found.false_flags:,}", f"{_figure(found.false_per_1000)} per 1,000 normal records"),
        ("", a_day[0], "") if timed else None,
        ("false alarms", f"{found.false_episodes:,}", f"flags within {found.join:,} records of each other are one"),
        ("", a_day[1], "") if timed else None,
        ("incidents", f"{found.incidents:,}", f"{found.incidents_false:,} of them false") if found.incidents else None,
        ("normal flag rate", _figure(found.normal_rate), ratio if not math.isnan(found.rate) else ""),
    ]
    for row in rows:
        if row is not None:
            name, value, more = row
            yield f"{name:<16}{value:>10}  {more}".rstrip()


def _calibration(found: Evaluation) -> Iterator[str]:
    """Whether 10^-score is the share of normal records with that score or more."""
    tested = found.calibration[0].records > 0 if found.calibration else False
    if not tested:
        return
    yield ""
    yield f"{'score >=':<16}{'promised':>10}{'share':>12}{'ratio':>8}{'records':>10}"
    for each in found.calibration:
        yield (
            f"{each.score:<16}{each.promised:>10.4f}{each.share:>12.6f}{_figure(each.share / each.promised):>8}"
            f"{each.records:>10,}"
        )


def _keys(keys: list[dict[str, Any]], many: int) -> Iterator[str]:
    """The worst keys."""
    if not keys:
        return
    names = ("records", "anomalies", "events", "found", "flagged", "false", "alarms")
    fields = ("records", "anomalies", "events", "events_found", "flagged", "false_flags", "false_episodes")
    wide = max(16, *(min(len(each["key"]), 40) + 2 for each in keys))
    yield ""
    yield f"{'key':<{wide}}" + "".join(f"{name:>10}" for name in names)
    for each in keys:
        text = each["key"] if len(each["key"]) <= 40 else each["key"][:37] + "..."
        yield f"{text:<{wide}}" + "".join(f"{each[name]:>10,}" for name in fields)
    if many > len(keys):
        yield f"{many - len(keys):,} more keys"
