"""What is true of every run, whatever comes in: each law runs the stream again in some way and compares."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from clipdetect.formats import sniff
from tests.fuzz import converted
from tests.fuzz.checks import Chunk, Wrong, chunks
from tests.fuzz.flags import LOGS, TABLES
from tests.fuzz.reading import most, pieces
from tests.fuzz.runner import Outcome, plain_path, run
from tests.fuzz.streams import Stream

MISS = re.compile(rb',?"score":null,"anomaly":false')


@dataclass(frozen=True)
class Case:
    """A stream, its settings, and how it is tried. chosen : laws of those that are not tried each time."""

    stream: Stream
    flags: dict[str, Any]
    sizes: Sequence[int]
    chosen: frozenset[str]

    @property
    def own(self) -> bool:
        """Whether the output is in the stream's own format."""
        format, target = self.stream.format, self.flags.get("output_format")
        return target in (None, format) or format == "text" or (format in LOGS and target in ("jsonl", "text"))


class Fault(NamedTuple):
    """Something that is not as it must be."""

    law: str
    kind: str
    format: str
    place: str = ""
    got: str = ""
    wanted: str = ""

    @property
    def signature(self) -> tuple[str, ...]:
        return self.law, self.kind, self.format, self.place


Law = Callable[[Case, Outcome], None]
LAWS: dict[str, tuple[Law, float]] = {}


def law(share: float = 1.0) -> Callable[[Law], Law]:
    """Marks a law and says in which share of cases it is tried."""

    def mark(function: Law) -> Law:
        LAWS[function.__name__] = (function, share)
        return function

    return mark


def faults(case: Case, only: str = "") -> Iterator[Fault]:
    """All that is wrong with a case; only : by one law."""
    whole = run(case.stream.data, case.flags)
    if whole.error:
        yield fault("run", case, Wrong("an exception or a warning", whole.error), whole)
        return
    if whole.code:
        yield fault("run", case, Wrong("exit code", (whole.code, whole.said)), whole)
    for name, (check, share) in LAWS.items():
        if (only not in ("", "run", name)) or (share < 1.0 and name not in case.chosen) or whole.refused:
            continue
        try:
            check(case, whole)
        except Wrong as wrong:
            yield fault(name, case, wrong, whole)


def fault(name: str, case: Case, wrong: Wrong, outcome: Outcome) -> Fault:
    place = wrong.place or outcome.place
    return Fault(name, wrong.kind, case.stream.format, place, shown(wrong.got), shown(wrong.wanted))


def shown(value: object) -> str:
    """For people: not too long, and on one line."""
    text = value if isinstance(value, str) else repr(value)
    return ascii(text)[1:-1] if len(text) < 700 else ascii(text)[1:500] + " ... " + ascii(text)[-200:-1]


def fine(outcome: Outcome) -> Outcome:
    """An outcome without a fault of its own. Raises Wrong."""
    if outcome.error:
        raise Wrong("an exception or a warning", outcome.error, place=outcome.place)
    return outcome


def same(one: Outcome, other: Outcome, seen: bool = True) -> None:
    """Raises Wrong where two runs differ; seen : in what they counted too."""
    fine(one)
    if one.out != other.out:
        pairs = zip(one.out.split(b"\n"), other.out.split(b"\n"), strict=False)
        got, wanted = next((each for each in pairs if each[0] != each[1]), (len(one.out), len(other.out)))
        raise Wrong("other bytes", got, wanted)
    if seen and one.seen() != other.seen():
        raise Wrong("other counts", one.seen(), other.seen())


# -- the laws -------------------------------------------------------------------------------------


@law()
def reading(case: Case, whole: Outcome) -> None:
    """Own bytes stay, what is appended is valid, each record is counted; or in another format, no value changes."""
    stream, flags = case.stream, case.flags
    if not stream.whole:
        return
    if stream.format == "json" and max(map(len, stream.records)) > most(flags.get("max_line", "16M")):
        return  # what follows passes unread
    if stream.format == "json" and any(map(several, stream.records)):
        return  # objects without a comma between them are read one by one
    bare = {name: value for name, value in flags.items() if name not in ("only_anomalies", "on_error")}
    if not case.own:
        bare["on_error"] = "skip"
        base = fine(run(stream.data, bare)) if bare != flags else whole
        flagged = converted.check(stream, bare, pieces(stream, flags), base.out)
        if flags.get("only_anomalies"):
            only = {**flags, "on_error": "skip"}
            kept = converted.check(stream, only, kept_pieces(case, flagged), fine(run(stream.data, only)).out)
            if len(kept) != sum(flagged) or not all(kept):
                raise Wrong("other records under --only-anomalies", len(kept), sum(flagged))
        return
    base = fine(run(stream.data, bare)) if bare != flags else whole
    found = chunks(stream, bare, base.out)
    if flags.get("output_format") == "text" and bare != flags:
        found = with_verdicts(found, stream, {**bare, "output_format": "jsonl"})
    if stream.format != "json":
        wanted = b"".join(chunk.out for chunk in found if stays(chunk, flags))
        if whole.out != wanted:
            raise Wrong("other records under --only-anomalies or --on-error", whole.out[:300], wanted[:300])
    else:
        elements = [chunk.out for chunk in found if stays(chunk, flags)]
        if bare != flags and json_elements(whole.out, stream) != [each.decode().strip() for each in elements]:
            raise Wrong("other elements under --only-anomalies or --on-error", whole.out[:300], elements[:3])
    counted(found, base, stream, flags.get("output_format") == "text")


def several(element: bytes) -> bool:
    """Whether an object begins where another one has just ended."""
    try:
        _, end = json.JSONDecoder().raw_decode(element.decode().lstrip(" \t\r\n"))
    except (ValueError, RecursionError):
        return False
    return element.decode().lstrip(" \t\r\n")[end:].lstrip(" \t\r\n").startswith("{")


def with_verdicts(found: Sequence[Chunk], stream: Stream, flags: dict[str, Any]) -> list[Chunk]:
    """The lines of a log with what is said of them in JSON."""
    judged = iter(chunks(stream, flags, fine(run(stream.data, flags)).out))
    pairs = ((each, None if each.piece.kind == "blank" else next(judged)) for each in found)
    return [each if one is None else one._replace(out=each.out) for each, one in pairs]


def kept_pieces(case: Case, flagged: Sequence[bool]) -> list[Any]:
    """Those of the records that are flagged."""
    records = [each for each in pieces(case.stream, case.flags) if each.kind in ("record", "line")]
    return [each for each, one in zip(records, flagged, strict=False) if one]


def stays(chunk: Chunk, flags: dict[str, Any]) -> bool:
    """Whether a piece of the output is there under `--only-anomalies` and `--on-error`."""
    if chunk.piece.kind == "header":
        return True
    if chunk.piece.kind == "bad" and flags.get("on_error") == "skip":
        return False
    return chunk.flagged or not flags.get("only_anomalies")


def json_elements(out: bytes, stream: Stream) -> list[str]:
    """The texts of an array's elements, whatever is between them. Raises Wrong."""
    text, decoder, found = out.decode(), json.JSONDecoder(parse_int=str, parse_float=str), []
    at = len(stream.head.decode())
    while at < len(text) and text[at] not in "]":
        if text[at] in " \t\r\n,":
            at += 1
            continue
        try:
            _, end = decoder.raw_decode(text, at)
        except ValueError as error:
            raise Wrong("an element is no valid JSON", text[at : at + 300], str(error)) from None
        found.append(text[at:end])
        at = end
    return found


def counted(found: Sequence[Chunk], base: Outcome, stream: Stream, as_text: bool) -> None:
    """Raises Wrong where what the run counted is not what came out; as_text : without scores."""
    kinds = [chunk.piece.kind for chunk in found]
    bad, records = sum(base.unreadable.values()), sum(kind in ("record", "bad", "line") for kind in kinds)
    if stream.format == "text":
        return
    if base.records != records:
        raise Wrong("count of records", base.records, records)
    if stream.format not in LOGS and bad != kinds.count("bad"):
        raise Wrong("count of unreadable records", bad, kinds.count("bad"))
    if not as_text and base.flagged != sum(chunk.flagged for chunk in found):
        raise Wrong("count of flags", base.flagged, sum(chunk.flagged for chunk in found))


@law()
def cut_is_whole(case: Case, whole: Outcome) -> None:
    """Where the input is cut into pieces changes nothing."""
    same(run(case.stream.data, case.flags, case.sizes), whole)


@law()
def plain_is_fast(case: Case, whole: Outcome) -> None:
    """The typed decoder reads what the careful one reads."""
    if case.stream.format in ("jsonl", "journald"):
        with plain_path():
            same(run(case.stream.data, case.flags), whole)


@law(0.15)
def engines_agree(case: Case, whole: Outcome) -> None:
    """Interpreted and compiled kernels give the same bytes."""
    other = "python" if case.flags.get("engine") == "numba" else "numba"
    same(run(case.stream.data, {**case.flags, "engine": other}), whole)


@law(0.25)
def resumed_is_whole(case: Case, whole: Outcome) -> None:
    """Stopped between two records, saved and continued is as never stopped."""
    stream, flags = case.stream, case.flags
    if not case.own or stream.format in ("json", "text") or (stream.format in TABLES and flags.get("bands")):
        return
    if b'"' in stream.data and stream.format in TABLES:
        return  # where a row ends is not known without reading it
    at = max(1, min(len(stream.records) - 1, case.sizes[0] % max(len(stream.records), 1)))
    first, second = stream.of(stream.records[:at]), stream.of(stream.records[at:])
    if not second.records:
        return
    first = replace(first, tail=stream.between)
    again = stream.format in TABLES and stream.head.endswith(b"\n")
    with tempfile.TemporaryDirectory() as folder:
        state = {**flags, "state": str(Path(folder) / "state")}
        one = fine(run(first.data, state))
        two = fine(run(second.data if again else second.data[len(stream.head) :], state))
    out = two.out.partition(b"\n")[2] if again else two.out
    same(one._replace(out=one.out + out), whole, seen=False)


@law(0.15)
def closed_pipe_loses_nothing(case: Case, whole: Outcome) -> None:
    """After a closed pipe the state continues behind the last record that was written."""
    stream, flags = case.stream, case.flags
    if (
        stream.format not in ("jsonl", "plain")
        or not case.own
        or flags.get("only_anomalies")
        or "on_error" in flags
        or "max_line" in flags
    ):
        return
    with tempfile.TemporaryDirectory() as folder:
        state = {**flags, "state": str(Path(folder) / "state")}
        one = fine(run(stream.data, state, case.sizes, stop=case.sizes[0] % 7))
        rest = b"\n".join(stream.data.split(b"\n")[one.out.count(b"\n") :])
        two = fine(run(rest, state)) if rest else Outcome()
    same(one._replace(out=one.out + two.out), whole, seen=False)


@law(0.3)
def known_by_itself(case: Case, whole: Outcome) -> None:
    """`--from auto` fails on nothing; where it finds the format it reads the same, and prose passes as it is."""
    stream = case.stream
    flags = {name: value for name, value in case.flags.items() if name not in ("input_format", *stream.needs)}
    found, auto = sniff(stream.data, True), fine(run(stream.data, flags))
    if auto.code and found != "text" and not any("nothing was scored" in each for each in auto.said):
        raise Wrong("exit code", (auto.code, auto.said))
    cut = run(stream.data, flags, case.sizes)
    same(cut, auto)
    if found == stream.format and not stream.needs:
        same(auto, whole)
    prose = b"" if flags.get("only_anomalies") else stream.data.removesuffix(b"\n")
    if found == "text" and not auto.refused and auto.out.removesuffix(b"\n") != prose:
        raise Wrong("prose changed", auto.out[:200], stream.data[:200])


@law(0.3)
def bands_change_nothing(case: Case, whole: Outcome) -> None:
    """Scores, flags and reasons are the same without `--bands`."""
    if (
        not case.own
        or not case.stream.whole
        or not case.flags.get("bands")
        or case.flags.get("output_format") == "text"
    ):
        return
    with_bands = {name: value for name, value in case.flags.items() if name not in ("only_anomalies", "on_error")}
    without = {name: value for name, value in with_bands.items() if name != "bands"}
    runs = [fine(run(case.stream.data, flags)) for flags in (with_bands, without)]
    if runs[0].unreadable != runs[1].unreadable:
        return  # a record has a field of the names that bands bring
    one, other = (
        [
            [chunk.verdict.get(name) for name in ("score", "anomaly", "why")]
            for chunk in chunks(case.stream, flags, each.out)
        ]
        for flags, each in zip((with_bands, without), runs, strict=True)
    )
    if one != other:
        got, wanted = next(
            (each for each in zip(one, other, strict=False) if each[0] != each[1]), (len(one), len(other))
        )
        raise Wrong("other scores with --bands", got, wanted)


@law(0.3)
def text_is_the_log(case: Case, whole: Outcome) -> None:
    """`--to text` gives the log byte for byte."""
    if case.stream.format in LOGS:
        flags = {name: value for name, value in case.flags.items() if name not in ("only_anomalies", "on_error")}
        out = fine(run(case.stream.data, {**flags, "output_format": "text"}, case.sizes)).out
        wanted = case.stream.data + (b"" if case.stream.data.endswith(b"\n") or not case.stream.data else b"\n")
        if out != wanted:
            raise Wrong("bytes of the log", out[:300], wanted[:300])


@law()
def torn_arrays_lose_nothing(case: Case, whole: Outcome) -> None:
    """A document that is no JSON comes out with nothing but empty annotations in it; its records alone are JSON."""
    stream = case.stream
    if stream.whole or MISS.search(stream.data):
        return
    flags = {"input_format": "json", "warmup": 1 << 40, "field": ("x",), **stream.needs}
    out = fine(run(stream.data, flags, case.sizes)).out
    if MISS.sub(b"", out).rstrip(b"\n") != stream.data.rstrip(b"\n"):
        raise Wrong("own bytes changed", out[-400:], stream.data[-400:])
    clean = fine(run(stream.data, {**flags, "on_error": "skip", "output_format": "jsonl"})).out
    for line in clean.split(b"\n")[:-1]:
        try:
            json.loads(line, parse_int=str)
        except ValueError as error:
            raise Wrong("no valid JSON", line, str(error)) from None
