"""What streams are made of: names, texts, numbers and times, ordinary and hostile, and mutations of bytes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from random import Random

APPENDED = ("score", "anomaly", "why", "abstain", "changepoint", "incident", "expected", "lower", "upper")
WORDS = "get put cart order login timeout user db cache retry failed accepted for from to with of in queue job".split()
START = datetime(2026, 3, 4, tzinfo=UTC)

ODD_NAMES = (
    "\\Processor(_Total)\\Time", '"', 'a"b', "\\", "\\\\", "back\\", "\x01", "tab\there", "new\nline", "cr\r", "\x00", "\x00value", "x\x00",
    "\x1b[31mred", "\x7f", "\x85", "\u2028", "\u202eRTL", "", " ", " x ", "\ud800", "x\udfff", "\udc80\ud800", "\U0001f600", "é", "e\u0301", "\ufeff",
    "a.b", "a..b", ".", "a.", ".b", "a.b.c", "v[0]", "[0]", "v[", "]", "v[99999999999999999999]", "*", "?", "a*", "[a-z]", "**", "x.*",
    "0", "1", "-1", "1e5", "nan", "true", "null", "score", "anomaly", "why", "expected", "lower", "upper", "score_", "Score",
    "line", "time", "value", "c1", "message", "label", "rare(s)", "shape(s)", "keys(a)", "a~b", "~", "~(", "log(x)", "a+b", "a,b", "a=b", "a:b", ";",
    "x_expected", "__class__", "self", "a0", "none", "auto", "-", "--", "'", "<b>", "%s", "{}", "{x}", "$HOME", "`id`",
)  # fmt: skip
ODD_TEXTS = (
    "", " ", "\ud800", "ok\udc00", "\ud83d", "\U0001f600", "é", "\x00", "\x00null", "a\x00b", "\x01\x1f", "\x7f", "\x85", "\u2028", "\x0b\x0c\x1c",
    "\x1b[2J\x1b]0;x\x07", "\ufeff", "\r", "\t", "\n", "a\nb", '"', '""', "\\", '\\"', "\\u0041", "'", "null", "true", "nan", "inf", "-Infinity", "NaN",
    "00712", "+1", ".5", "5.", "1e5", "1e999", "0x1f", "1_000", "12345678901234567890123", "-0", " 7 ", "٣", "=cmd|' /C calc'!A0",
    "-", "--", "<*>", "${jndi:ldap://x}", "../../etc/passwd", "%00", "a=b", "a,b", "a;b", "a\tb", "{}", "[]", '{"score":1}', "score", "\u202e",
)  # fmt: skip
ODD_NUMBERS = (
    "0", "-0", "-0.0", "0.0", "1", "1.0", "1e5", "1E5", "1e+5", "1e-5", "1.5E-300", "5e-324", "1e-400", "-1e-400", "1e149", "1e150", "9.9e149", "-1e150",
    "1e308", "1.7976931348623157e308", "1e309", "1e999", "-1e999", "NaN", "Infinity", "-Infinity", "9007199254740993", "9223372036854775807",
    "-9223372036854775808", "9223372036854775808", "18446744073709551615", "18446744073709551616", "-9223372036854775809", "12345678901234567890123",
    "0.1234567890123456789012345678901", "1.0000000000000000000000000000001", "9" * 25, "-" + "9" * 40, "9" * 400, "3." + "1" * 300, "2.50", "100e-2",
)  # fmt: skip
BROKEN_NUMBERS = (
    "01",
    "1.",
    ".5",
    "+1",
    "--1",
    "1e",
    "1e+",
    "0x1",
    "1_0",
    "-",
    "nan",
    "inf",
    "True",
    "None",
    "1,5",
    "١",
)
BROKEN_TIMES = (
    "Feb 30 25:61:61", "2026-13-45T99:99:99Z", "9999-12-31T23:59:60+99:99", "0000-00-00T00:00:00", "2026-02-29T00:00:00Z", "10000-01-01T00:00:00Z",
    "2026-03-04T24:00:00Z", "2026-03-04T00:00:00.123456789012345678901Z", "-1", "1e300", "99999999999999999999999", "now", "2026-W10-3", "00:00", "",
)  # fmt: skip
TOKENS = (
    b'"', b"'", b"\\", b"{", b"}", b"[", b"]", b",", b":", b";", b"=", b" ", b"  ", b"\t", b"\r", b"\x00", b"\x01", b"\x1f", b"\x7f", b"\xff", b"\xc3",
    b"\xc3\xa9", b"\xc2\x85", b"\xe2\x80\xa8", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xef\xbb\xbf", b"\x0b", b"\x0c", b"\x1c", b"\xa0", b"\x1b[31m",
    b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-0.0", b"01", b"1.", b"9" * 25, b"1e-400", b"1e150", b"-", b"+", b"\\u0000", b"\\ud800",
    b"\\udc00\\ud800", b"\\q", b"\\/", b"\\u00", b'"x":', b'"x":1,', b'"score":1,', b'"a":{"b":2},', b'"a.b":5,', b'"x":null,', b'""', b'"":1,', b"[[[[",
    b"2026-13-45T99:99:99Z", b"Feb 30 25:61:61", b"<999>", b"<165>1 ", b"a=b", b'a="', b"score=1", b'HTTP/1.1" 200', b",,", b"=cmd|calc!A1",
)  # fmt: skip
LAYOUTS = (
    "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%f+02:00", "%Y-%m-%d %H:%M:%S,%f", "%d/%b/%Y:%H:%M:%S +0000", "%b %d %H:%M:%S", "%a %b %d %H:%M:%S %Y",
    "%Y/%m/%d %H:%M:%S", "%H:%M:%S", "%y%m%d %H%M%S", "%Y%m%d-%H:%M:%S:%f", "%s", "%m-%d %H:%M:%S.%f", "%Y-%m-%d", "%d %b %Y %H:%M:%S",
)  # fmt: skip


class Material:
    """Draws from a seeded generator.

    longest : characters of the longest words; texts without a blank in them cost most in some readers.
    """

    def __init__(self, random: Random, longest: int) -> None:
        self.random, self.longest = random, longest

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def odd_name(self) -> str:
        """A field name that somebody may well have, and nobody thinks of."""
        kind = self.random.randrange(20)
        if kind == 0:
            return self.random.choice(WORDS) + self.random.choice(ODD_NAMES)
        if kind == 1:
            return self.random.choice(ODD_NAMES) + self.random.choice(ODD_NAMES)
        if kind == 2:
            return "n" * self.random.choice((self.longest, 300, 5000))
        if kind == 3:
            return "".join(map(chr, self.random.choices(range(0x300), k=self.random.randrange(1, 9))))
        return self.random.choice(ODD_NAMES)

    def new_name(self, i: int) -> str:
        """A name that no record before had."""
        return f"{self.random.choice(('new', 'metric.', 'm[', 'x', chr(0xD800)))}{i}"

    def text(self) -> str:
        """A few ordinary words."""
        return " ".join(self.random.choices(WORDS, k=self.random.randrange(1, 6)))

    def odd_text(self) -> str:
        kind = self.random.randrange(14)
        if kind == 0:
            return self.random.choice(("a", "ab.", "0", "a-", "/x", "é", "[", "A:", "<", "=", '"', "\\")) * (
                self.longest // 2
            )
        if kind == 1:
            return self.text() + self.random.choice(ODD_TEXTS) + self.text()
        if kind == 2:
            return "".join(map(chr, self.random.choices(range(1, 0x3000), k=self.random.randrange(1, 12))))
        if kind == 3:
            return self.text() + " " + self.time(self.random.randrange(1000))
        return self.random.choice(ODD_TEXTS)

    def number(self, centre: float = 100.0) -> str:
        """An ordinary measurement; one in a hundred is far off."""
        value = self.random.gauss(centre, 3.0) * (1.0 if self.random.random() < 0.99 else 30.0)
        return f"{value:.{self.random.choice((0, 1, 3))}f}"

    def odd_number(self) -> str:
        """What JSON and CSV call a number, or Python does."""
        if self.chance(0.02):
            return "7" * 5000  # more digits than Python converts
        return self.random.choice(ODD_NUMBERS)

    def broken_number(self) -> str:
        return self.random.choice(BROKEN_NUMBERS)

    def time(self, i: int) -> str:
        """The time of record i, in one of the ways in which logs write it."""
        layout = self.random.choice(LAYOUTS)
        moment = START + timedelta(seconds=i * 7)
        return str(int(moment.timestamp())) if layout == "%s" else moment.strftime(layout)

    def broken_time(self) -> str:
        return self.random.choice(BROKEN_TIMES)

    # -- JSON -----------------------------------------------------------------------------------

    def quoted(self, text: str) -> str:
        """A JSON string: escaped as it must be, or as it may be."""
        found = json.dumps(text, ensure_ascii=self.chance(0.3) or not encodes(text))
        if self.chance(0.02) and text[:1].isalpha() and text[:1].isascii():
            found = f'"\\u{ord(text[0]):04x}' + found[2:]
        return found

    def value(self, depth: int = 0) -> str:
        """Any JSON value, odd ones often; also what only Python's reader takes for one."""
        kind = self.random.randrange(12)
        if kind < 3:
            return self.odd_number()
        if kind < 6:
            return self.quoted(self.odd_text())
        if kind == 6:
            return self.random.choice(("null", "true", "false"))
        if kind == 7:
            return self.quoted(self.broken_time() if self.chance(0.3) else self.time(self.random.randrange(10**6)))
        if kind == 8 and depth < 4:
            return "[" + ",".join(self.value(depth + 1) for _ in range(self.random.randrange(4))) + "]"
        if kind == 9 and depth < 4:
            pairs = (f"{self.quoted(self.odd_name())}:{self.value(depth + 1)}" for _ in range(self.random.randrange(4)))
            return "{" + ",".join(pairs) + "}"
        if kind == 10 and self.chance(0.1):
            return self.nested(self.random.choice((30, 500, 900, 948, 951, 1100)))
        return self.number()

    def nested(self, levels: int) -> str:
        """A value of so many levels."""
        opening, closing = self.random.choice((("[", "]"), ('{"a":', "}")))
        return opening * levels + "1" + closing * levels

    # -- bytes ----------------------------------------------------------------------------------

    def mutated(self, line: bytes) -> bytes:
        """The line with a few bytes changed, put in, left out or repeated; still one line."""
        found = bytearray(line)
        for _ in range(self.random.choice((1, 1, 1, 2, 3, 8))):
            at, kind = self.random.randrange(len(found) + 1), self.random.randrange(6)
            to = min(len(found), at + self.random.randrange(1, 9))
            if kind == 0 and at < len(found):
                found[at] ^= 1 << self.random.randrange(8)
            elif kind == 1:
                found[at:at] = self.random.choice(TOKENS)
            elif kind == 2:
                del found[at:to]
            elif kind == 3:
                found[at:at] = found[at : at + self.random.randrange(1, 40)]
            elif kind == 4:
                found[at:to] = self.random.choice(TOKENS)
            elif at < len(found):
                found[at] = self.random.randrange(256)
        return bytes(found).replace(b"\n", b" ")


def encodes(text: str) -> bool:
    """Whether UTF-8 has the text: it has no half of a surrogate pair alone."""
    return not any("\ud800" <= each <= "\udfff" for each in text)
