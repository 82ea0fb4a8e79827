"""`clipdetect feedback`: what people say of flags moves the limit of one key, in a state file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING, Any

import click

from clipdetect.errors import StateError

if TYPE_CHECKING:
    import numpy as np

MOST_SAID = 1000  # entries of the log that a state file keeps
FALSE_ALARM, MISSED = "false alarm", "missed"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--state", "path", metavar="FILE", required=True, help="The state file. No run may be using it.")
@click.option("--key", metavar="KEY", default="", help="The key: the value of the --by field, several with commas.")
@click.option("--false-alarm", "verdict", flag_value=FALSE_ALARM, help="A flag of this key was none.")
@click.option("--missed", "verdict", flag_value=MISSED, help="A record of this key should have been flagged.")
@click.option("--undo", "verdict", flag_value="undo", help="Take back what was said last of this key.")
def command(path: str, key: str, verdict: str | None) -> None:
    """Tell what flags were worth. A false alarm moves the key's limit up by a
    quarter of a decade, a miss down, by two decades up and one down at most; the
    scores stay as they are. Without a verdict: what has been said so far."""
    from clipdetect import state
    from clipdetect.lock import Lock, refuse_special

    refuse_special(path)
    if verdict is None:
        _tell(*state.read(path))
        return
    lock = Lock(path)
    lock.take(tell=lambda note: click.echo(f"clipdetect: {note}", err=True))
    try:
        head, keys, arrays = state.read(path)
        said: list[list[Any]] = head["feedback"]
        text = next((each for each in _texts(key, head["config"]["by"]) if each in keys), None)
        if text is None:
            raise StateError(f"{path}: no key {key!r}; it has {_some(keys)}")
        at = keys.index(text)
        before = float(arrays["key/moved"][at])
        after = _undone(path, said, text, before) if verdict == "undo" else _after(before, verdict)
        if verdict != "undo":
            said.append([text, verdict, before, after, head["records"]])
            del said[:-MOST_SAID]
        arrays["key/moved"][at] = after
        state.save(path, head, keys, arrays)
    finally:
        lock.release()
    click.echo(f"{_name(key)}: limit {_moved(before, after)}")


def _tell(head: dict[str, Any], keys: list[str], arrays: dict[str, np.ndarray]) -> None:
    """What has been said so far."""
    for each, what, before, after, records in head["feedback"]:
        click.echo(f"{_name(each)}: {what} after {records:,} records, limit {_moved(before, after)}")
    for each, moved in zip(keys, arrays["key/moved"].tolist(), strict=True):
        if moved:
            click.echo(f"{_name(each)}: limit {moved:+g} decades now")


def _name(key: str) -> str:
    from clipdetect.printable import printable

    return printable(key) or "all records"


def _after(before: float, verdict: str) -> float:
    from clipdetect.numerics.gates import FEEDBACK_STEP, LOOSEST, STRICTEST

    step = FEEDBACK_STEP if verdict == FALSE_ALARM else -FEEDBACK_STEP
    return min(max(before + step, LOOSEST), STRICTEST)


def _undone(path: str, said: list[list[Any]], text: str, before: float) -> float:
    """The limit without the last thing said of a key, which is struck out."""
    own = [i for i, each in enumerate(said) if each[0] == text]
    if not own:
        raise StateError(f"{path}: nothing has been said of this key that could be taken back")
    _, _, was, became, _ = said.pop(own[-1])
    return before - (float(became) - float(was))


def _texts(key: str, by: list[str]) -> Iterator[str]:
    """How a key may stand in the state: its values as texts, as numbers, as true or null."""
    from clipdetect.formats.values import joint_key

    if not by:
        yield key
        return
    parts = key.split(",") if len(by) > 1 else [key]
    for values in product(*map(_values, parts)):
        yield joint_key(values)


def _values(text: str) -> list[Any]:
    try:
        return [text, json.loads(text)]
    except ValueError:
        return [text]


def _moved(before: float, after: float) -> str:
    return f"{before:+g} -> {after:+g} decades"


def _some(keys: list[str]) -> str:
    from clipdetect.printable import printable

    if keys == [""]:
        return "one model for all records: leave --key out"
    shown = ", ".join(printable(each) for each in keys[-5:])
    return f"{len(keys):,} keys, such as {shown}" if keys else "no keys"
