"""Cases by seed and number, and what is told of a fault: settings, a small reproduction, how to see it again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz import json_streams, log_streams, table_streams  # noqa: F401  # they make themselves known
from tests.fuzz.flags import draw, typed
from tests.fuzz.laws import LAWS, Case, Fault, faults
from tests.fuzz.material import Material
from tests.fuzz.streams import MAKERS

WEIGHT = {"jsonl": 5, "csv": 2, "json": 2}  # of a format in the mix, 1 for others
MOST_TRIES = 400  # runs of a case in which it is made smaller
REDUCED = 1500  # bytes below which single bytes are left out too


def case(seed: int, number: int, formats: Sequence[str], longest: int, engine: str) -> Case:
    """Case `number` of a seed; the same whatever was tried before it."""
    random = Random(f"{seed}/{number}")
    material = Material(random, longest)
    format = random.choice([name for name in formats for _ in range(WEIGHT.get(name, 1))])
    stream = MAKERS[format](material, random.choice((5, 100, 300, 700, 1300)))
    flags = {**draw(material, stream), "engine": engine}
    small, large = random.randrange(1, 200), random.randrange(200, 60_000)
    sizes = random.choice(([65536], [large], [small, large, 1, 7], [random.randrange(1, 3000) for _ in range(20)]))
    if len(stream.data) < 3000 and random.random() < 0.3:
        sizes = [1]
    chosen = frozenset(name for name, (_, share) in LAWS.items() if random.random() < share)
    return Case(stream, flags, sizes, chosen)


def smaller(case: Case, fault: Fault, seconds: float) -> Case:
    """The least that still shows the fault, as far as it can be found in so many seconds of CPU."""
    end, tries = time.process_time() + seconds, 0

    def still(trial: Case) -> bool:
        nonlocal tries
        tries += 1
        if tries > MOST_TRIES or time.process_time() > end:
            return False
        only = "" if fault.law == "run" else fault.law
        return any(each.signature == fault.signature for each in faults(trial, only))

    found = replace(case, chosen=frozenset({fault.law}))
    if not still(found):
        return case
    for size in (1, 7, 100, 1000, 65536):  # the same pieces throughout, where that is enough
        trial = replace(found, sizes=[size])
        if len(case.sizes) > 1 and (size > 1 or len(case.stream.data) < 5000) and still(trial):
            found = trial
            break
    for name in [each for each in case.flags if each not in ("input_format", *case.stream.needs)]:
        trial = replace(found, flags={key: value for key, value in found.flags.items() if key != name})
        found = trial if still(trial) else found

    def with_records(records: Sequence[bytes]) -> Case:
        return replace(found, stream=found.stream.of(records))

    records = fewest(found.stream.records, lambda some: still(with_records(some)))
    if sum(map(len, records)) > REDUCED or found.stream.format == "json":  # an array's element has to remain one
        return with_records(records)
    for i in range(len(records)):
        before, after = records[:i], records[i + 1 :]
        own = fewest(records[i], lambda some, a=before, b=after: still(with_records([*a, bytes(some), *b])))
        records = [*before, bytes(own), *after]
    return with_records(records)


def fewest(items: Sequence[Any], still: Callable[[Sequence[Any]], bool]) -> Sequence[Any]:
    """What is left of items when halves, quarters and so on are left out as long as a fact still holds."""
    size = len(items) // 2
    while size:
        at = 0
        while at < len(items):
            trial = [*items[:at], *items[at + size :]]
            if trial and still(trial):
                items = trial
            else:
                at += size
        size //= 2
    return items


def told(fault: Fault, case: Case, name: str, folder: Path, again: str) -> str:
    """The fault for people; its input goes to a file in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(case.stream.data)
    lines = [
        f"FAULT {fault.law}: {fault.kind} ({case.stream.format})" + (f", at {fault.place}" if fault.place else ""),
        f"  got     {fault.got}",
        f"  wanted  {fault.wanted}" if fault.wanted else "",
        f"  input   {path} ({len(case.stream.records):,} records); pieces of {', '.join(map(str, case.sizes))} bytes",
        f"  flags   clipdetect {typed(case.flags)} {path}",
        f"  again   {again}",
    ]
    return "\n".join(filter(None, lines))
