"""What is read from a log line, by format; and which format a first line is."""

from __future__ import annotations

import time as stopwatch

import pytest

from clipdetect import registry
from clipdetect.errors import ConfigError
from clipdetect.formats import sniff
from clipdetect.formats.extract import Extract, typed
from clipdetect.formats.objects import Unreadable
from clipdetect.formats.select import Selection
from clipdetect.records import FormatOptions

LOGS = ("access", "syslog", "logfmt", "log")


def made(name, **options):
    """A format on its own."""
    return registry.get("format", name)(FormatOptions(**options), Selection([], [], 256, []))


def fields(name, line, **options):
    record = made(name, **options).record(line.encode())
    assert next(iter(record)) == "line"
    return {field: value for field, value in record.items() if field != "line"}


def part(record, expected):
    return {field: record.get(field) for field in expected}


# -- access logs ------------------------------------------------------------------------------

WHEN = "10/Oct/2000:13:55:36 -0700"
GET = {"method": "GET", "path": "/", "protocol": "HTTP/1.1", "status": 200, "bytes": 5}
ACCESS = [
    ('"GET / HTTP/1.1" 200 5', GET),
    ('"GET / HTTP/1.1" 200 5 "-" "curl/8"', {**GET, "agent": "curl/8"}),
    ('"GET / HTTP/1.1" 200 5 "http://x/" "-"', {**GET, "referer": "http://x/"}),
    ('"GET / HTTP/1.1" 304 - "-" "-"', {**GET, "status": 304, "bytes": None}),
    ('"GET / HTTP/1.1" 200 5 "-" "a" 0.123', {**GET, "agent": "a", "request_time": 0.123}),
    ('"GET / HTTP/1.1" 200 5 1234', {**GET, "request_time": 1234}),
    ('"GET / HTTP/1.1" 200 5 "-" "a" "10.0.0.1, 10.0.0.2" 0.2 0.1',
     {**GET, "agent": "a", "forwarded_for": "10.0.0.1, 10.0.0.2", "request_time": 0.2, "upstream_time": 0.1}),
    ('"GET / HTTP/1.1" 200 5 "-" "a" "-" 0.2', {**GET, "agent": "a", "request_time": 0.2}),
    ('"GET / HTTP/1.1" 200 5 "-" "a" rt=0.123 uct="0.001" uht="-" host=h',
     {**GET, "agent": "a", "request_time": 0.123, "uct": 0.001, "host": "h"}),
    ('"GET / HTTP/1.1" 200 5 "-" "a" 7 "router@docker" "http://10.0.0.1" 5ms', {**GET, "request_time": 0.005}),
    ('"GET /a b HTTP/1.1" 200 5', {**GET, "path": "/a b"}),
    ('"GET /" 200 5', {**GET, "protocol": None}),
    (r'"GET /\"x\" HTTP/1.1" 200 5 "-" "a \"b\" \\"', {**GET, "path": r"/\"x\"", "agent": r"a \"b\" \\"}),
    (r'"\x16\x03\x01" 400 0', {"request": r"\x16\x03\x01", "status": 400, "bytes": 0, "method": None}),
    ('"" 400 0', {"request": "", "status": 400, "bytes": 0}),
    ('"-" 408 0', {"status": 408, "bytes": 0}),
    ('"GET / HTTP/1.1" 200 5 "-" "Mozilla cut of', {**GET, "agent": "Mozilla cut of"}),
    (f'"GET /?q={"%27 OR 1=1--+" * 300} HTTP/1.1" 200 5', {**GET, "path": f"/?q={'%27 OR 1=1--+' * 300}"}),
]  # fmt: skip


@pytest.mark.parametrize(("rest", "expected"), ACCESS)
def test_access_line(rest, expected):
    record = fields("access", f"1.2.3.4 - - [{WHEN}] {rest}")
    expected = {"remote_addr": "1.2.3.4", "time": WHEN, **expected}
    assert part(record, expected) == expected
    assert set(record) <= set(expected) | {"agent", "upstream_time", "forwarded_for"}


@pytest.mark.parametrize(
    ("front", "expected"),
    [
        ("::1 - - ", {"remote_addr": "::1", "remote_user": None}),
        ("2001:db8::1 - frank ", {"remote_addr": "2001:db8::1", "remote_user": "frank"}),
        ("h.example.com - John Q Smith ", {"remote_addr": "h.example.com", "remote_user": "John Q Smith"}),
        ("www.x.org:443 1.2.3.4 - - ", {"vhost": "www.x.org:443", "remote_addr": "1.2.3.4", "remote_user": None}),
        ("www.x.org 1.2.3.4 - a b ", {"vhost": "www.x.org", "remote_addr": "1.2.3.4", "remote_user": "a b"}),
        ("- - - ", {"remote_addr": None, "remote_user": None}),
    ],
)
def test_access_line_begins_with(front, expected):
    assert part(fields("access", f'{front}[{WHEN}] "GET / HTTP/1.1" 200 5'), expected) == expected


# -- syslog -----------------------------------------------------------------------------------

SYSLOG = [
    ("<34>Oct 11 22:14:15 h su: 'su root' failed",
     {"priority": 34, "facility": 4, "severity": 2, "time": "Oct 11 22:14:15", "host": "h", "program": "su",
      "message": "'su root' failed"}),
    ("Jun  4 15:16:01 combo sshd(pam_unix)[19939]: authentication failure; logname= uid=0",
     {"time": "Jun  4 15:16:01", "host": "combo", "program": "sshd(pam_unix)", "pid": 19939,
      "message": "authentication failure; logname= uid=0"}),
    ("Jun 14 15:16:01 combo su(pam_unix)[1]: x: y", {"program": "su(pam_unix)", "pid": 1, "message": "x: y"}),
    ("Jun 14 15:16:01 10.0.0.1 kernel: [1.5] usb", {"host": "10.0.0.1", "program": "kernel", "message": "[1.5] usb"}),
    ("Jun 14 15:16:01 fe80::1 app[7]: x", {"host": "fe80::1", "program": "app", "pid": 7, "message": "x"}),
    ("Jun 14 15:16:01 su: no host", {"host": None, "program": "su", "message": "no host"}),
    ("Jun 19 04:09:11 combo syslogd 1.4.1: restart.", {"program": "syslogd", "message": "restart."}),
    ("Jul  7 08:06:15 combo  -- root[2421]: ROOT LOGIN", {"program": "root", "pid": 2421, "message": "ROOT LOGIN"}),
    ("Jun 14 15:16:01 h last message repeated 2 times", {"program": None, "message": "last message repeated 2 times"}),
    ("Jun 14 15:16:01 h --- MARK ---", {"host": "h", "program": None, "message": "--- MARK ---"}),
    ("Jun 14 15:16:01 h app[12] no colon", {"program": "app", "pid": 12, "message": "no colon"}),
    ("Jul  1 09:01:05 h Microsoft Word[14463]: x", {"program": "Microsoft Word", "pid": 14463, "message": "x"}),
    ("Jul  1 09:01:05 h postgres[12-1]: x", {"program": "postgres", "pid": "12-1", "message": "x"}),
    ("Jul  1 09:01:05 h app:", {"host": "h", "program": "app", "message": ""}),
    ("2023-01-01T10:00:00.123456+01:00 h sshd[123]: Accepted",
     {"time": "2023-01-01T10:00:00.123456+01:00", "host": "h", "program": "sshd", "pid": 123, "message": "Accepted"}),
    (r'<165>1 2003-10-11T22:14:15.003Z h app 12 ID47 [x@1 iut="3" s="a\"\]b"][y] ' + "\ufeffAn entry",
     {"priority": 165, "facility": 20, "severity": 5, "version": 1, "time": "2003-10-11T22:14:15.003Z", "host": "h",
      "program": "app", "pid": 12, "msgid": "ID47", "structured_data": {"x@1": {"iut": "3", "s": 'a"]b'}, "y": {}},
      "message": "An entry"}),
    ("<34>1 - - - - - - hello", {"priority": 34, "facility": 4, "severity": 2, "version": 1, "message": "hello"}),
    ("<34>1 - - - - - -", {"priority": 34, "facility": 4, "severity": 2, "version": 1, "message": ""}),
    ("<999>Oct 11 22:14:15 h a: b", {"priority": 999, "facility": None, "severity": None}),
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), SYSLOG)
def test_syslog_line(line, expected):
    record = fields("syslog", line)
    assert part(record, expected) == expected
    if "priority" in expected and expected["priority"] < 192:
        assert record == expected


# -- logfmt -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "a=1 b=1.5 c=-2e3 d=text e=007 f=1.2.3",
            {"a": 1, "b": 1.5, "c": -2000.0, "d": "text", "e": "007", "f": "1.2.3"},
        ),
        (r'msg="slow \"query\"\n\u00e9" ok n="3"', {"msg": 'slow "query"\né', "ok": True, "n": 3}),
        ('a= b="" c=3', {"a": "", "b": "", "c": 3}),
        ('a=1 b="cut of', {"a": 1, "b": "cut of"}),
        ("a=1 a=2 url=http://x/?q=1", {"a": 2, "url": "http://x/?q=1"}),
        ("id=12345678901234567890 huge=1e999", {"id": "12345678901234567890", "huge": "1e999"}),
        (r'a="\ud800" b==', {"a": "\ufffd", "b": "="}),
    ],
)
def test_logfmt_line(line, expected):
    assert fields("logfmt", line) == expected


@pytest.mark.parametrize("name", ["time", "ts", "t", "timestamp", "@timestamp"])
@pytest.mark.parametrize("value", ["1700000000", "1700000000000", "2023-11-14T22:13:20Z", '"2023-11-14 22:13:20"'])
def test_logfmt_time(name, value):
    data = f"level=info {name}={value} x=1\n".encode()
    format = made("logfmt")
    format.start("x")
    assert format.decode(data, True).time.tolist() == [1700000000.0]


# -- pattern and extract ----------------------------------------------------------------------


def test_pattern_names_the_fields():
    pattern = r"(?P<time>\S+ \S+) (?P<who>\w+)(?: took (?P<ms>\d+))?"
    assert fields("pattern", "2023-01-01 10:00:00 eve took 17 ms", pattern=pattern) == {
        "time": "2023-01-01 10:00:00", "who": "eve", "ms": 17,
    }  # fmt: skip
    assert "ms" not in fields("pattern", "2023-01-01 10:00:00 eve", pattern=pattern)
    with pytest.raises(Unreadable):
        fields("pattern", " 2023-01-01", pattern=pattern)


@pytest.mark.parametrize("pattern", ["(", r"\w+ (\d+)", "", "(?P<a>x)(?P<a>y)", "(?P<1>x)"])
def test_a_bad_pattern_is_refused_at_once(pattern):
    with pytest.raises(ConfigError, match="--pattern"):
        made("pattern", pattern=pattern)
    with pytest.raises(ConfigError, match="--extract"):
        Extract([pattern])


def test_the_first_expression_found_gives_its_groups():
    extract = Extract([r"for (?P<user>\w+) from (?P<source>[\d.]+)", r"user (?P<user>\w+)(?: port (?P<port>\d+))?"])
    seen = []
    for text in ("Failed for eve from 1.2.3.4", "user bob port 22", "user joe", "nothing"):
        record = {"user": "?"}
        extract.into(record, text)
        seen.append(record)
    assert seen == [{"user": "eve", "source": "1.2.3.4"}, {"user": "bob", "port": 22}, {"user": "joe"}, {"user": "?"}]


def test_extract_looks_in_the_message_or_else_in_the_line():
    options = {"extract": (r"^(?P<first>\w+)",)}
    assert fields("syslog", "Jun 14 15:16:01 h app: Failed x", **options)["first"] == "Failed"
    assert fields("access", f'host - - [{WHEN}] "GET / HTTP/1.1" 200 5', **options)["first"] == "host"


@pytest.mark.parametrize(
    "text", ["", "-", "+1", "01", ".5", "1.", "1e", "0x1", "1_000", "1" * 19, "1e400", "NaN", "１"]
)
def test_what_json_would_not_call_a_number_stays_text(text):
    assert typed(text) == text


# -- the format of a first line ---------------------------------------------------------------

FIRST = [
    ("csv", "time,cpu"), ("csv", "2026-01-01 00:00:00,1,2,3"), ("csv", "2026-01-01 00:00:00,web1,3"),
    ("csv", "2026-01-01T00:00:00Z,5"), ("csv", '"2026-01-01 00:00:00",5'), ("csv", "Dec 10 06:55:46,5"),
    ("csv", "1700000000,1,2"), ("csv", "10:30:15,5"), ("csv", "a=1,b=2"), ("tsv", "2026-01-01 00:00:00\t5"),
    ("text", "Dear all, the meeting is on Monday."), ("text", "key: value"), ("text", "date: 2023-01-01 10:00:00"),
    ("text", "[12:03] started"), ("text", "10:30:15 hello there"), ("text", "a = 5"), ("text", "level=info"),
    ("text", "the meeting on 2023-01-01 10:00:00 was long"), ("text", "start end of the line"), ("text", "[1,2"),
    ("plain", "1700000000"), ("plain", "-1.5e3"),
    ("jsonl", '{"a":1}'), ("jsonl", '{"Records":3}'), ("json", '[{"a":1}]'), ("json", '{"Records":['),
    ("json", ' { "Records" : [ '), ("journald", '{"MESSAGE":"x","__REALTIME_TIMESTAMP":"1"}'),
    ("ssv", "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action"),
    ("ssv", "srcaddr dstaddr bytes"),
    ("text", "time:1\tx:1"), ("text", "host:10.0.0.9\tsize:512\tua:-"), ("tsv", "net:in\tbytes"),
    ("tsv", "12:30\t13:30"), ("tsv", "net:in\tnet:out"),
    ("logfmt", "a=1 b=2"), ("logfmt", 'level=info msg="a b c d" x'), ("logfmt", "type=A msg=audit(1.5:6): pid=1 uid=0"),
    ("syslog", "Jun 14 15:16:01 10.0.0.1 app[1]: x"), ("syslog", "Jun 14 15:16:01 h last message repeated 2 times"),
    ("log", "Jun 14 15:16:01 INFO started"), ("log", "2023-01-01T10:00:00Z INFO app: x"),
    ("log", "[Sun Dec 04 04:47:44 2005] [notice] x"), ("log", "2023-01-01 10:00:00,978 INFO x: a, b"),
    ("log", "2016-09-28 04:30:30, Info                  CBS    Loaded x, y"), ("log", "2023-01-01T10:00:00Z\tINFO\tx"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "line"), FIRST)
def test_first_line_tells_the_format(name, line):
    for lead, end in (("", "\n"), ("", "\r\n"), ("\ufeff", "\n"), ("\n \n", "\n")):
        assert sniff(f"{lead}{line}{end}".encode(), False) == name
    assert sniff(line.encode(), True) == name


def test_a_first_line_that_is_not_complete_settles_nothing():
    for line in ("Jun 14 15:16:01 h app: x", '{"Rec', '{"a":1', "[Sun Dec", " {", "2023-01-01 10:00:00 x"):
        assert sniff(line.encode(), False) is None


# -- hostile lines ----------------------------------------------------------------------------

STARTS = (
    "",
    f'1.2.3.4 - - [{WHEN}] "GET ',
    "Oct 11 22:14:15 ",
    "<34>1 - - - - - [",
    'a=1 b="',
    "2015-10-18 18:01:47 [",
)
UNITS = (
    "\\",
    '"',
    "a:",
    "[a]",
    "(",
    " ",
    "a ",
    "a=",
    "::",
    "\x00",
    "\x1b[31m",
    f'[{WHEN}] "',
    '[a b="c"]',
    "|",
    "é",
    "\t",
)


def test_a_first_line_of_many_brackets_is_no_array():
    assert sniff(b"[" * 5000 + b"\n", False) == "text"


@pytest.mark.parametrize(("pid", "read"), [("4711", 4711), ("0012", "0012"), ("7" * 5000, "7" * 5000)])
def test_a_process_number_that_no_integer_keeps_is_text(pid, read):
    assert fields("log", f"2026-01-02 03:04:05 {pid} 12 I comp: hello")["pid"] == read


@pytest.mark.parametrize("name", LOGS)
def test_a_long_hostile_line_takes_time_in_proportion_to_its_length(name):
    format, took = made(name), {}
    for start in STARTS:
        for unit in UNITS:
            begun = stopwatch.process_time()
            try:
                format.read(start + unit * (200_000 // len(unit)))
            except Unreadable:
                pass
            took[start, unit] = stopwatch.process_time() - begun
    worst = max(took, key=took.__getitem__)
    assert took[worst] < 2.0, f"{took[worst]:.1f} s for {worst!r}"  # 0.1 s here; quadratic would be minutes
