"""Logs: access, syslog, logfmt, lines with a time, lines by a pattern of the user's; and lines of no format."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path

from tests.fuzz.material import START, Material
from tests.fuzz.streams import Stream, hostility, maker

SAMPLES = Path(__file__).parents[2] / "sample_data"
SAMPLE_OF = {"access": "access.log", "syslog": "auth.log", "log": "app.log"}
PATTERN = r"(?P<host>[^;]*);(?P<time>[^;]*);(?P<method>[^;]*);(?P<took>[^;]*)(?:;(?P<score_>[^;]*))?"
Line = Callable[[Material, int, bool], str]


@cache
def sample(name: str) -> list[str]:
    """Lines of the sample of a format."""
    return (SAMPLES / SAMPLE_OF[name]).read_text().split("\n")[:2000]


def access(material: Material, i: int, odd: bool) -> str:
    random = material.random
    when = f"{START + timedelta(seconds=i):%d/%b/%Y:%H:%M:%S} +0000"
    path, agent, user, size = (
        f"/{random.choice(('a', 'cart', 'x/y'))}?id={random.randrange(9)}",
        "Mozilla/5.0 (X11)",
        "-",
        str(random.randrange(9000)),
    )
    more = random.choice(
        ("", ' "-" "-"', f' "-" "{agent}"', f' "-" "{agent}" 0.0{i % 90}', f' "-" "{agent}" rt=0.{i % 9} id={i}')
    )
    if odd:
        path, agent, user, size = (
            material.odd_text() if random.random() < 0.4 else each for each in (path, agent, user, size)
        )
        when = material.broken_time() if random.random() < 0.1 else when
        more += random.choice(
            (
                "",
                f" {material.odd_name()}={material.odd_text()}",
                f' "{material.odd_text()}"',
                " score=1",
                " line=2",
                " 99999999999999999999",
            )
        )
    return f'10.0.0.{random.randrange(9)} - {user} [{when}] "GET {path} HTTP/1.1" {random.choice((200, 200, 200, 404))} {size}{more}'


def syslog(material: Material, i: int, odd: bool) -> str:
    random = material.random
    moment = START + timedelta(seconds=i)
    message = material.odd_text() if odd else f"{material.text()} {random.randrange(99)}"
    program, host = random.choice(("sshd", "cron", "kernel")), "gate"
    if odd:
        program, host = (material.odd_name() if random.random() < 0.2 else each for each in (program, host))
    if random.random() < 0.3:
        data = (
            f'[x@1 {material.odd_name()}="{material.odd_text()}"]'
            if odd
            else random.choice(("-", '[x@1 a="b" c="1"][y d="\\]"]'))
        )
        return f"<{random.randrange(192)}>1 {moment:%Y-%m-%dT%H:%M:%SZ} {host} {program} {i} ID1 {data} {message}"
    when = material.broken_time() if odd and random.random() < 0.2 else f"{moment:%b %d %H:%M:%S}"
    return f"{when} {host} {program}[{random.randrange(999)}]: {message}"


def logfmt(material: Material, i: int, odd: bool) -> str:
    random = material.random
    pairs = [
        ("ts", f"2026-01-02T{i // 3600 % 24:02}:{i // 60 % 60:02}:{i % 60:02}Z"),
        ("level", random.choice(("info", "info", "warn"))),
        ("msg", f'"{material.text()} {random.randrange(99)}"'),
        ("ms", material.number()),
    ]
    if odd:
        for _ in range(random.randrange(1, 4)):
            text = material.odd_text()
            value = random.choice(
                (
                    text,
                    '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"',
                    f'"{text}',
                    material.odd_number(),
                    '"\\ud800\\n\\q"',
                )
            )
            pairs.insert(
                random.randrange(len(pairs) + 1),
                (random.choice((material.odd_name(), "ms", "ts", "msg", "score")), value),
            )
    return " ".join(f"{name}={value}" if value else name for name, value in pairs) + (
        " ok" if random.random() < 0.1 else ""
    )


def log(material: Material, i: int, odd: bool) -> str:
    random = material.random
    when = (
        material.broken_time()
        if odd and random.random() < 0.2
        else material.time(i)
        if odd
        else f"{START + timedelta(seconds=i):%Y-%m-%d %H:%M:%S},{i % 1000:03}"
    )
    message = material.odd_text() if odd else f"{material.text()} {random.randrange(99)}"
    level = random.choice(("INFO", "INFO", "WARN", "ERROR"))
    middle = random.choice(
        (
            f" {level} ",
            f" {level} [worker-{i % 3}] shop.orders: ",
            f" [{level}] [client 10.0.0.{i % 9}] ",
            f" {i % 99} {level} a.b.C - ",
            ": ",
        )
    )
    if odd and random.random() < 0.2:
        return random.choice(("\tat shop.Client.parse(Client.java:118)", message, material.odd_text()))
    return f"{when}{middle}{message}"


def pattern(material: Material, i: int, odd: bool) -> str:
    cells = [f"db{i % 3}", f"12:{i // 60 % 60:02}:{i % 60:02}", "GET", material.number(1.0)]
    if odd:
        makers = (material.odd_text, material.odd_number, material.broken_time, material.broken_number)
        cells[material.random.randrange(4)] = material.random.choice(makers)()
        cells += [material.odd_number()] if material.chance(0.2) else []
    return ";".join(cells)


LINES: dict[str, Line] = {"access": access, "syslog": syslog, "logfmt": logfmt, "log": log, "pattern": pattern}
NUMBERS = {
    "access": ["bytes", "request_time", "status"],
    "syslog": ["pid"],
    "logfmt": ["ms"],
    "log": ["pid"],
    "pattern": ["took"],
}
TEXTS = {
    "access": ["method", "path", "remote_addr"], "syslog": ["program", "message"], "logfmt": ["level", "msg"], "log": ["level", "message"],
    "pattern": ["host", "method"],
}  # fmt: skip


@maker(*LINES)
def lines(material: Material, n: int, name: str) -> Stream:
    """Lines of a log: made ones, or those of the sample; odd ones and mutated ones among them."""
    random, hostile = material.random, hostility(material)
    samples = sample(name) if name in SAMPLE_OF and random.random() < 0.4 else []
    first = random.randrange(len(samples)) if samples else 0

    def line(i: int) -> bytes:
        odd = i > 0 and material.chance(hostile)
        text = samples[(first + i) % len(samples)] if samples else LINES[name](material, i, odd)
        found = text.encode("utf-8", "replace").replace(b"\n", b" ")
        if odd and random.random() < (0.9 if samples else 0.3):
            found = material.mutated(found)
        return found

    return Stream(
        name,
        [line(i) for i in range(n)],
        head=b"\xef\xbb\xbf" if random.random() < 0.05 else b"",
        between=b"\r\n" if random.random() < 0.1 else b"\n",
        tail=b"" if random.random() < 0.1 else b"\n",
        needs={"pattern": PATTERN} if name == "pattern" else {},
        numbers=NUMBERS[name],
        texts=TEXTS[name],
    )


@maker("text")
def prose(material: Material, n: int, name: str) -> Stream:
    """Lines of no format."""
    made = [material.text() if material.chance(0.5) else material.odd_text() for _ in range(n)]
    records = [each.encode("utf-8", "replace").replace(b"\n", b" ") for each in made]
    return Stream(name, [material.mutated(each) if material.chance(0.2) else each for each in records])
