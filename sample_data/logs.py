"""The three logs beside this file, line by line, and what is planted in them; `generate.py` writes them.

Addresses are those set aside for documentation (RFC 5737) and private ones; names and hosts are made up. Not all that
is odd is planted: people mistype, strangers knock once and leave, a partner's job comes in bursts, jobs run once a
night. Planted is what somebody would want to be told of.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np


def words(text: str) -> list[str]:
    """What stands between blanks."""
    return text.split()


START = datetime(2026, 3, 4, tzinfo=UTC)  # a Wednesday
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0  # [s]
MONTHS = words("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec")
STRANGERS = "198.18"  # a range for benchmarks (RFC 2544): stands for the rest of the world


class Log:
    """Lines, added in any order, and the planted events that some of them belong to."""

    def __init__(self) -> None:
        self.lines: list[tuple[float, str, int]] = []
        self.events: list[dict[str, Any]] = []

    def add(self, seconds: float, text: str, event: int = -1) -> None:
        """A line (or several, with a line end between) at a moment, in seconds after the start."""
        self.lines.append((seconds, text, event))

    def event(self, kind: str, **more: str) -> int:
        """Something planted; gives the number to add its lines with."""
        self.events.append({"kind": kind, **more, "lines": []})
        return len(self.events) - 1

    def finish(self) -> tuple[str, list[dict[str, Any]]]:
        """The text in the order of time, and the events with the first and last number of each run of their lines."""
        number, texts = 1, []
        for _, text, event in sorted(self.lines, key=lambda line: line[0]):
            last = number + text.count("\n")
            if event >= 0:
                runs = self.events[event]["lines"]
                if runs and runs[-1][1] == number - 1:
                    runs[-1][1] = last
                else:
                    runs.append([number, last])
            number = last + 1
            texts.append(text + "\n")
        return "".join(texts), self.events


def pick(rng: np.random.Generator, choices: Sequence[Any], weights: Sequence[float] | None = None) -> Any:
    """One of the choices, kept as it is."""
    if weights is None:
        return choices[int(rng.integers(len(choices)))]
    return choices[int(rng.choice(len(choices), p=np.array(weights) / sum(weights)))]


def over_the_day(rng: np.random.Generator, n: int) -> np.ndarray:
    """Moments of a day, in order, in seconds: few at night, most in the afternoon and evening."""
    hours = np.arange(24)
    weights = 0.15 + np.exp(-(((hours - 14.0) / 4.5) ** 2)) + 0.6 * np.exp(-(((hours - 20.0) / 1.8) ** 2))
    return np.sort((rng.choice(24, n, p=weights / weights.sum()) + rng.random(n)) * HOUR)


# -- auth.log ---------------------------------------------------------------------------------

PEOPLE = words(
    "ana bo chen dina emil fatou goran hana ivo june kofi lea marek nadia olaf pilar quinn rosa sven tomoko umar  "
    "vera wim xenia yara zoltan agnes bruno clara dario"
)
COMMANDS = (
    "/usr/bin/systemctl status nginx",
    "/usr/bin/journalctl -u app -n 200",
    "/usr/bin/tail -n 100 /var/log/syslog",
    "/usr/bin/apt-get update",
    "/usr/bin/systemctl restart app",
    "/usr/bin/less /etc/nginx/nginx.conf",
)
GUESSED = words(
    "root admin test user oracle postgres ubuntu guest ftpuser git deploy hadoop jenkins mysql nagios pi support  "
    "www tomcat backup student ec2-user minecraft teamspeak vagrant ansible zabbix elastic redis steam dev web  "
    "server info sales mail demo office scan print alice bob eva ana marek"
)


class Auth(Log):
    """The log of a bastion host called gate."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(21)
        self.session = itertools.count(4100)

    def say(self, seconds: float, program: str, message: str, event: int = -1) -> None:
        when = START + timedelta(seconds=int(seconds))
        stamp = f"{MONTHS[when.month - 1]} {when.day:2d} {when:%H:%M:%S}"
        self.add(seconds, f"{stamp} gate {program}: {message}", event)

    def process(self, seconds: float) -> int:
        """A process number; they grow with time."""
        return 1100 + int(15.0 * seconds) + int(self.rng.integers(4))

    def port(self) -> int:
        return int(self.rng.integers(32_768, 61_000))

    def login(self, seconds: float, user: str, uid: int, source: str, key: str, lasts: float, typos: int = 0) -> None:
        """A session, by public key where there is one; typos: wrong passwords before the right one."""
        port, sshd = self.port(), f"sshd[{self.process(seconds)}]"
        for _ in range(min(typos, 1)):
            self.failure(seconds, sshd, source, user)
            self.say(seconds + 1.8, sshd, f"Failed password for {user} from {source} port {port} ssh2")
            seconds += self.rng.uniform(5.0, 15.0)
        if typos > 1:
            text = f"Failed password for {user} from {source} port {port} ssh2"
            self.say(seconds, sshd, f"message repeated {typos - 1} times: [ {text}]")
            seconds += self.rng.uniform(5.0, 15.0)
        how = f"publickey for {user} from {source} port {port} ssh2: ED25519 SHA256:{key}"
        self.say(seconds, sshd, f"Accepted {how if key else f'password for {user} from {source} port {port} ssh2'}")
        self.say(seconds + 0.1, sshd, f"pam_unix(sshd:session): session opened for user {user}(uid={uid}) by (uid=0)")
        number, end = next(self.session), seconds + lasts
        self.say(seconds + 0.2, "systemd-logind[612]", f"New session {number} of user {user}.")
        self.say(seconds + 0.3, "systemd[1]", f"Started session-{number}.scope - Session {number} of User {user}.")
        if end > 2 * DAY:
            return
        if self.rng.random() < 0.85:
            self.say(end, sshd, f"Received disconnect from {source} port {port}:11: disconnected by user")
            self.say(end + 0.05, sshd, f"Disconnected from user {user} {source} port {port}")
        self.say(end + 0.1, sshd, f"pam_unix(sshd:session): session closed for user {user}")
        self.say(end + 0.2, "systemd-logind[612]", f"Session {number} logged out. Waiting for processes to exit.")
        self.say(end + 0.3, "systemd-logind[612]", f"Removed session {number}.")

    def failure(self, seconds: float, sshd: str, source: str, user: str = "", event: int = -1) -> None:
        """What PAM says of a wrong password; without a user, of one that does not exist."""
        if not user:
            self.say(seconds, sshd, "pam_unix(sshd:auth): check pass; user unknown", event)
        text = f"pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost={source} "
        self.say(seconds, sshd, f"{text} user={user}" if user else text, event)

    def guess(self, seconds: float, user: str, source: str, event: int = -1) -> None:
        """One guessed password, and the end of the connection."""
        port, sshd = self.port(), f"sshd[{self.process(seconds)}]"
        known = user == "root" or user in PEOPLE
        if not known:
            self.say(seconds, sshd, f"Invalid user {user} from {source} port {port}", event)
        self.failure(seconds + 0.01, sshd, source, user if known else "", event)
        who, delay = user if known else f"invalid user {user}", self.rng.uniform(1.5, 2.4)
        self.say(seconds + delay, sshd, f"Failed password for {who} from {source} port {port} ssh2", event)
        who = f"authenticating user {user}" if known else f"invalid user {user}"
        if self.rng.random() < 0.5:
            self.say(
                seconds + delay + 0.2, sshd, f"Received disconnect from {source} port {port}:11: Bye [preauth]", event
            )
            self.say(seconds + delay + 0.2, sshd, f"Disconnected from {who} {source} port {port} [preauth]", event)
        else:
            self.say(seconds + delay + 0.2, sshd, f"Connection closed by {who} {source} port {port} [preauth]", event)

    def sudo(self, seconds: float, user: str, uid: int) -> None:
        command, sudo = pick(self.rng, COMMANDS), f"sudo[{self.process(seconds)}]"
        text = f"{user:>8} : TTY=pts/{self.rng.integers(9)} ; PWD=/home/{user} ; USER=root ; COMMAND={command}"
        self.say(seconds, sudo, text)
        self.say(
            seconds + 0.01, sudo, f"pam_unix(sudo:session): session opened for user root(uid=0) by {user}(uid={uid})"
        )
        self.say(seconds + self.rng.uniform(0.1, 9.0), sudo, "pam_unix(sudo:session): session closed for user root")

    def people(self) -> None:
        """Everybody's sessions of two days; a third use passwords, and mistype one in twelve."""
        for uid, user in enumerate(PEOPLE, 1001):
            key = base64.b64encode(self.rng.bytes(32)).decode().rstrip("=") if self.rng.random() < 0.67 else ""
            office, home = f"10.20.{self.rng.integers(4)}.{self.rng.integers(10, 250)}", f"198.51.100.{uid - 990}"
            places = [office, home] if self.rng.random() < 0.8 else [office, home, f"192.0.2.{uid - 1000}"]
            for day in range(2):
                if self.rng.random() < 0.1:
                    continue
                begin = day * DAY + self.rng.normal(8.6, 1.1) * HOUR
                for _ in range(int(self.rng.integers(2, 10))):
                    typos = int(self.rng.integers(1, 4)) if not key and self.rng.random() < 0.12 else 0
                    lasts = float(self.rng.lognormal(6.3, 1.3))
                    self.login(begin, user, uid, pick(self.rng, places), key, lasts, typos)
                    if lasts > 300.0 and self.rng.random() < 0.5:
                        self.sudo(begin + self.rng.uniform(20.0, 280.0), user, uid)
                    begin += self.rng.exponential(1.6 * HOUR)
                    if begin > (day + 1) * DAY - HOUR:
                        break

    def machines(self) -> None:
        """Jobs, a monitor that only looks whether the port is open, a backup that logs in every half an hour."""
        key = base64.b64encode(self.rng.bytes(32)).decode().rstrip("=")
        for minute in range(2, 2 * 24 * 60, 5):
            seconds = MINUTE * minute + 1.0
            cron = f"CRON[{self.process(seconds)}]"
            job = "/usr/lib/sysstat/sa1 1 1" if minute % 60 != 17 else "cd / && run-parts --report /etc/cron.hourly"
            self.say(seconds, cron, "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)")
            self.say(seconds + 0.1, cron, f"(root) CMD ({job})")
            self.say(seconds + 0.4, cron, "pam_unix(cron:session): session closed for user root")
            seconds += 40.0 + self.rng.uniform(0.0, 2.0)
            sshd = f"sshd[{self.process(seconds)}]"
            self.say(seconds, sshd, f"Connection closed by 10.20.0.5 port {self.port()} [preauth]")
            if minute % 30 == 12:
                self.login(seconds + 60.0, "backup", 34, "10.20.0.7", key, float(self.rng.uniform(4.0, 40.0)))
        for day, hour, unit in itertools.product(range(2), (0, 6, 18), ("apt-daily", "logrotate")):
            seconds = day * DAY + hour * HOUR + self.rng.uniform(0.0, HOUR)
            self.say(seconds, "systemd[1]", f"Starting {unit}.service...")
            self.say(seconds + 2.2, "systemd[1]", f"{unit}.service: Deactivated successfully.")
            self.say(seconds + 2.2, "systemd[1]", f"Finished {unit}.service.")

    def strangers(self) -> None:
        """What any open port sees: a look at the port, a name or two tried, and gone for good."""
        for _ in range(36):
            seconds, source = (
                self.rng.uniform(0.0, 2 * DAY - MINUTE),
                f"{STRANGERS}.{self.rng.integers(256)}.{self.rng.integers(1, 255)}",
            )
            sshd = f"sshd[{self.process(seconds)}]"
            kind = self.rng.integers(3)
            if kind == 0:
                self.say(seconds, sshd, f"banner exchange: Connection from {source} port {self.port()}: invalid format")
            elif kind == 1:
                self.say(seconds, sshd, f"Connection closed by {source} port {self.port()} [preauth]")
            else:
                for i in range(int(self.rng.integers(1, 3))):
                    self.guess(seconds + 4.0 * i, pick(self.rng, GUESSED[:20]), source)

    def attacks(self) -> None:
        """The planted ones: a few guesses a second for a minute; before and after it, one a minute for hours."""
        source = "203.0.113.66"
        event = self.event("fast password guessing", source=source)
        for seconds in np.sort(DAY + 9.67 * HOUR + self.rng.uniform(0.0, MINUTE, 190)).tolist():
            self.guess(seconds, pick(self.rng, GUESSED), source, event)
        for kind, source, begin, hours in (
            ("slow password guessing", "203.0.113.140", 13.2 * HOUR, 3.0),
            ("slow password guessing, after the fast", "192.0.2.231", DAY + 14.4 * HOUR, 2.5),
        ):
            event, seconds = self.event(kind, source=source), begin
            while seconds < begin + hours * HOUR:
                self.guess(seconds, pick(self.rng, ("root", "root", "admin", *GUESSED[:12])), source, event)
                seconds += self.rng.uniform(30.0, 90.0)


def auth() -> tuple[str, list[dict[str, Any]]]:
    """Text of auth.log and its events."""
    log = Auth()
    log.people()
    log.machines()
    log.strangers()
    log.attacks()
    return log.finish()


# -- app.log ----------------------------------------------------------------------------------

USUAL = (  # level, component, message, weight
    ("INFO", "shop.orders", "order {id} accepted, {few} items, {money} EUR", 20),
    ("INFO", "shop.orders", "order {id} handed to the warehouse", 12),
    ("INFO", "shop.payments", "payment of {money} EUR for order {id} authorised by card in {ms} ms", 18),
    ("INFO", "shop.payments", "payment of {money} EUR for order {id} authorised by transfer in {ms} ms", 5),
    ("INFO", "shop.http", "GET /api/items/{few} 200 in {ms} ms", 40),
    ("INFO", "shop.http", "POST /api/cart 201 in {ms} ms", 15),
    ("DEBUG", "shop.cache", "evicted {few} entries of region prices", 12),
    ("DEBUG", "shop.cache", "reloaded region stock, {id} entries in {ms} ms", 8),
    ("INFO", "shop.mail", "sent confirmation of order {id}", 15),
    ("INFO", "shop.search", "index refreshed: {few} documents changed in {ms} ms", 6),
    ("WARN", "shop.db", "slow query, {ms} ms: select from orders where customer = {id}", 3),
    ("WARN", "shop.payments", "processor timed out for order {id}, trying again", 1.5),
    ("WARN", "shop.mail", "mailbox of customer {id} is full, trying again later", 0.7),
    ("ERROR", "shop.payments", "payment for order {id} declined: insufficient funds", 1.5),
    ("WARN", "shop.http", "client closed the connection after {ms} ms", 1),
)
NIGHTLY = (
    ("shop.jobs", "nightly jobs started"),
    ("shop.reports", "daily report of {id} orders written in {ms} ms"),
    ("shop.db", "vacuum of table orders done in {ms} ms, {id} rows removed"),
    ("shop.search", "index rebuilt from scratch: {id} documents in {ms} ms"),
    ("shop.jobs", "nightly jobs finished in {ms} ms"),
)
TRACE = """java.lang.IllegalStateException: warehouse answered with an empty body
\tat shop.warehouse.Client.parse(Client.java:118)
\tat shop.warehouse.Client.reserve(Client.java:74)
\tat shop.orders.Fulfilment.handOver(Fulfilment.java:203)
\tat shop.orders.Worker.run(Worker.java:61)
\tat java.base/java.lang.Thread.run(Thread.java:1583)
Caused by: java.io.EOFException: no content to map
\tat shop.json.Reader.read(Reader.java:45)
\t... 4 more"""


class App(Log):
    """The log of a shop's application."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(23)

    def say(self, seconds: float, level: str, component: str, message: str, event: int = -1, after: str = "") -> None:
        """after : lines that belong to the message, without a time of their own."""
        when = START + timedelta(milliseconds=round(1000.0 * seconds))
        thread = f"worker-{self.rng.integers(1, 9)}" if component != "shop.jobs" else "scheduler"
        rng = self.rng
        text = message.format(
            id=rng.integers(10_000, 99_999), few=rng.integers(1, 40), ms=rng.integers(2, 900),
            money=f"{rng.lognormal(3.8, 0.8):.2f}",
        )  # fmt: skip
        stamp = f"{when:%Y-%m-%d %H:%M:%S},{when.microsecond // 1000:03d}"
        self.add(seconds, f"{stamp} {level} [{thread}] {component}: {text}" + (f"\n{after}" if after else ""), event)


def app() -> tuple[str, list[dict[str, Any]]]:
    """Text of app.log and its events."""
    log = App()
    silent = (DAY + 15.4 * HOUR, DAY + 15.9 * HOUR)
    moments = np.concatenate([day * DAY + over_the_day(log.rng, 2200) for day in range(2)])
    moments = np.array([each for each in moments if not silent[0] < each < silent[1]])
    weights = [each[3] for each in USUAL]
    for seconds in moments.tolist():
        level, component, message, _ = pick(log.rng, USUAL, weights)
        log.say(seconds, level, component, message)
    for seconds in np.arange(41.5, 2 * DAY, 5 * MINUTE).tolist():
        if not silent[0] < seconds < silent[1]:
            log.say(seconds, "INFO", "shop.metrics", "heap {ms} MB, {few} connections, queue {few}")
    for day in range(2):
        for i, (component, message) in enumerate(NIGHTLY):
            log.say(day * DAY + 2.0 * HOUR + 95.0 * i, "INFO", component, message)
    log.say(DAY + 9.1 * HOUR, "INFO", "shop.config", "prices.yaml reloaded by hana")
    event = log.event("silence")  # of half an hour; told by the line that ends it
    seconds, text, _ = min(line for line in log.lines if line[0] >= silent[1])
    log.lines[log.lines.index((seconds, text, -1))] = (seconds, text, event)
    event = log.event("a new error: certificate expired")
    for seconds in (20.3 * HOUR, 20.31 * HOUR, 20.35 * HOUR):
        log.say(seconds, "ERROR", "shop.payments", "processor refused: certificate expired, order {id} parked", event)
    event = log.event("a new error: deadlock")
    message = "deadlock detected, transaction {id} rolled back after {ms} ms"
    log.say(DAY + 11.62 * HOUR, "ERROR", "shop.db", message, event)
    event = log.event("a new error with a stack trace")
    log.say(DAY + 13.37 * HOUR, "ERROR", "shop.orders", "order {id} could not be handed over", event, TRACE)
    event = log.event("a new error: disk full")
    for seconds in (DAY + 18.7 * HOUR, DAY + 18.71 * HOUR):
        log.say(seconds, "ERROR", "shop.reports", "cannot write invoice {id}.pdf: no space left on device", event)
    return log.finish()
