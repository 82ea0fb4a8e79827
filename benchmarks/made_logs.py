"""Seeded logs for the benchmarks: lines of every format, and an sshd log of ordinary days with attacks put in."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from common import FOLDER

START = 1767261600.0  # 2026-01-01T10:00:00Z
MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
PART = 100_000  # lines made at once, so that a longer file begins with the shorter one

# -- lines of every format ---------------------------------------------------------------------


def clock(seconds: float) -> str:
    """Time of syslog: `Jan  1 10:00:00`."""
    t = time.gmtime(seconds)
    return f"{MONTHS[t.tm_mon - 1]} {t.tm_mday:2d} {t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}"


def requests(n: int, seed: int) -> Iterator[dict[str, object]]:
    """n requests to a web service: 2,000 clients and 500 paths of Zipf popularity, ten a second."""
    rng = np.random.default_rng(seed)
    stamps = START + seed * 10_000.0 + np.cumsum(rng.exponential(0.1, n))
    clients = np.minimum(rng.zipf(1.4, n), 2000)
    paths = np.minimum(rng.zipf(1.3, n), 500)
    status = rng.choice([200, 304, 301, 404, 500], n, p=[0.9, 0.05, 0.02, 0.028, 0.002])
    size = rng.lognormal(8.0, 1.5, n).astype(int)
    took = np.round(rng.lognormal(3.0, 0.8, n), 3)
    columns = (stamps, clients, paths, status, size, took)
    for t, client, path, code, amount, ms in zip(*[each.tolist() for each in columns], strict=True):
        yield {
            "t": t,
            "client": f"10.{client >> 8}.{client & 255}.{client % 250 + 1}",
            "path": f"/items/{path}/view.html",
            "status": code,
            "bytes": amount,
            "ms": ms,
        }


def iso(seconds: float, between: str = "T", point: str = ".") -> str:
    """`2026-01-01T10:00:00.123`."""
    return time.strftime(f"%Y-%m-%d{between}%H:%M:%S", time.gmtime(seconds)) + f"{point}{int(seconds % 1 * 1000):03d}"


def access(r: dict[str, object]) -> str:
    """Combined log format."""
    t = time.gmtime(r["t"])  # type: ignore[arg-type]
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", t)
    return (
        f'{r["client"]} - - [{stamp}] "GET {r["path"]} HTTP/1.1" {r["status"]} {r["bytes"]} '
        '"https://example.org/start" "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"'
    )


def message(r: dict[str, object]) -> str:
    """What an application says of a request."""
    if r["status"] == 500:
        return f"worker {r['bytes']} failed on {r['path']}: connection to 10.0.0.7:5432 refused"
    if r["status"] == 404:
        return f"no route for {r['path']} asked by {r['client']}"
    return f"served {r['path']} to {r['client']} in {r['ms']} ms ({r['bytes']} bytes)"


def level(r: dict[str, object]) -> str:
    """Level of that message."""
    return {500: "ERROR", 404: "WARN"}.get(r["status"], "INFO")  # type: ignore[call-overload]


def flow(r: dict[str, object]) -> str:
    """A network flow in the order of `HEADERS`."""
    t, size = int(r["t"]), r["bytes"]  # type: ignore[call-overload]
    action = "REJECT" if r["status"] == 404 else "ACCEPT"
    port = 20000 + t % 40000
    return f"2 123456789010 eni-0a1b2c3d {r['client']} 10.9.0.4 {port} 443 6 12 {size} {t} {t + 9} {action} OK"


JSON = '{{"time":"{at}Z","client":"{client}","path":"{path}","status":{status},"bytes":{bytes},"ms":{ms}}}'
HEADERS = {
    "csv": "time,client,path,status,bytes,ms",
    "ssv": "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action "
    "log-status",
}
LINES: dict[str, Callable[[dict[str, object]], str]] = {
    "jsonl": lambda r: JSON.format(at=iso(r["t"]), **r),  # type: ignore[arg-type]
    "journald": lambda r: json.dumps(
        {
            "__CURSOR": f"s=1;i={r['bytes']}",
            "__REALTIME_TIMESTAMP": str(int(r["t"] * 1e6)),  # type: ignore[operator]
            "_BOOT_ID": "5ea1d9f2c0b34d6c8f7e",
            "_HOSTNAME": "web-1",
            "_PID": str(1000 + r["bytes"] % 90),  # type: ignore[operator]
            "_SYSTEMD_UNIT": "shop.service",
            "PRIORITY": "3" if r["status"] == 500 else "6",
            "SYSLOG_IDENTIFIER": "shop",
            "MESSAGE": message(r),
        }
    ),
    "json": lambda r: JSON.format(at=iso(r["t"]), **r),  # type: ignore[arg-type]
    "access": access,
    "syslog": lambda r: f"{clock(r['t'])} web-1 shop[{1000 + r['bytes'] % 90}]: {message(r)}",  # type: ignore[arg-type,operator]
    "logfmt": lambda r: (
        f'time={iso(r["t"])}Z level={level(r).lower()} msg="request served" client={r["client"]} '  # type: ignore[arg-type]
        f"path={r['path']} status={r['status']} bytes={r['bytes']} ms={r['ms']}"
    ),
    "log": lambda r: f"{iso(r['t'], ' ', ',')} {level(r):5s} [worker-{r['bytes'] % 9}] shop.web.Server: {message(r)}",  # type: ignore[arg-type,operator]
    "csv": lambda r: f"{iso(r['t'])}Z,{r['client']},{r['path']},{r['status']},{r['bytes']},{r['ms']}",  # type: ignore[arg-type]
    "ssv": flow,
    "plain": lambda r: str(r["ms"]),
    "pattern": access,
    "text": message,
}


def lines(form: str, n: int) -> Path:
    """A file of n lines of a format of `LINES`, or of `sshd`; made once."""
    path = FOLDER / f"log-{n}.{form}"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        with open(temporary, "w") as file:
            if form in HEADERS:
                file.write(HEADERS[form] + "\n")
            file.write("[" if form == "json" else "")
            for start in range(0, n, PART):
                count = min(PART, n - start)
                made = (
                    merged(ordinary_sshd(count, start // PART, START + DAYS * 86400.0 * (start // PART)))
                    if form == "sshd"
                    else [LINES[form](r) for r in requests(count, start // PART)]
                )
                between = ",\n" if form == "json" else "\n"
                file.write((between if form == "json" and start else "") + between.join(made))
                file.write("" if form == "json" else "\n")
            file.write("]\n" if form == "json" else "")
        temporary.rename(path)
    return path


# -- sshd --------------------------------------------------------------------------------------

NAMES = (
    "anna bert carla dora emil frida georg hanna ida jonas karl lena max nina otto paula quirin rosa stefan tina udo "
    "vera willi xenia yann zoe deploy backup git jenkins nagios ansible alice bob carol dave erin frank grace heidi"
)
TRIED = (
    "root admin test oracle postgres ubuntu user guest ftp www mysql pi nagios support tomcat hadoop ec2-user git "
    "jenkins deploy centos info web server demo minecraft steam zabbix vagrant ansible"
)
PEOPLE, GUESSED = NAMES.split(), TRIED.split()
DAYS = 2
Timed = tuple[float, str]


def sshd(t: float, pid: int, text: str) -> Timed:
    """A line of sshd at that time."""
    return t, f"{clock(t)} gate sshd[{pid}]: {text}"


def moment(rng: np.random.Generator, start: float) -> float:
    """A time within DAYS after the start, four times as likely at 14 h as at 2 h UTC."""
    while True:
        t = start + float(rng.uniform(0.0, DAYS * 86400.0))
        if rng.uniform(0.0, 1.6) < 1.0 + 0.6 * math.cos(2 * math.pi * (t / 3600.0 - 14.0) / 24.0):
            return t


def mistakes(rng: np.random.Generator, t: float, pid: int, who: str, where: str) -> tuple[float, list[Timed]]:
    """Passwords or names mistyped before a login: the time after them, and their lines."""
    made: list[Timed] = []
    for _ in range(int(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1]))):
        port = int(rng.integers(30000, 61000))
        if rng.random() < 0.1:
            typo = who[:1] + who[2:] + who[1:2]
            made.append(sshd(t, pid, f"Invalid user {typo} from {where} port {port}"))
            made.append(sshd(t + 2, pid, f"Failed password for invalid user {typo} from {where} port {port} ssh2"))
        else:
            made.append(
                sshd(
                    t,
                    pid,
                    "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= "
                    f"rhost={where}  user={who}",
                )
            )
            made.append(sshd(t + 2, pid, f"Failed password for {who} from {where} port {port} ssh2"))
        t += float(rng.uniform(4, 12))
    return t, made


def ordinary_sshd(n: int, seed: int, start: float = START) -> list[Timed]:
    """n lines of some 40 people at 60 addresses over two days, in order of time.

    How much somebody does is Pareto distributed: a few programs log in thousands of times, in rows of sessions
    seconds apart, most people a few dozen times. One login in 25 by password follows a mistake.
    """
    rng = np.random.default_rng([seed, 77])
    activity = rng.pareto(1.1, len(PEOPLE)) + 0.05
    activity /= activity.sum()
    addresses = [f"10.{rng.integers(1, 5)}.{rng.integers(1, 200)}.{i + 2}" for i in range(60)]
    homes = [rng.choice(60, rng.integers(1, 4), replace=False) for _ in PEOPLE]
    by_password = rng.random(len(PEOPLE)) < 0.6
    made: list[Timed] = []
    pid = 2000
    while len(made) < n:
        t = moment(rng, start)
        person = int(rng.choice(len(PEOPLE), p=activity))
        who = PEOPLE[person]
        where = addresses[int(rng.choice(homes[person]))]
        for _ in range(min(int(rng.pareto(1.5)) + 1, 40)):
            pid += int(rng.integers(1, 9))
            if by_password[person] and rng.random() < 0.04:
                t, failed = mistakes(rng, t, pid, who, where)
                made += failed
            port = int(rng.integers(30000, 61000))
            how = "password" if by_password[person] else "publickey"
            lasts = float(rng.exponential(600.0))
            tail = "" if how == "password" else ": ED25519 SHA256:q1zV0uVt5mS2kF8nB3xY7c"
            made += [
                sshd(t, pid, f"Accepted {how} for {who} from {where} port {port} ssh2{tail}"),
                sshd(t, pid, f"pam_unix(sshd:session): session opened for user {who}(uid={1000 + person}) by (uid=0)"),
                sshd(t + lasts, pid, f"Received disconnect from {where} port {port}:11: disconnected by user"),
                sshd(t + lasts, pid, f"Disconnected from user {who} {where} port {port}"),
                sshd(t + lasts, pid, f"pam_unix(sshd:session): session closed for user {who}"),
            ]
            t += float(rng.exponential(8.0))
        if rng.random() < 0.01:
            made.append(sshd(t, pid, f"Connection closed by {where} port {int(rng.integers(30000, 61000))} [preauth]"))
    return sorted(made, key=_when)[:n]


def _when(timed: Timed) -> float:
    return timed[0]


def guesses(times: Sequence[float], where: str, names: Sequence[str], seed: int) -> list[Timed]:
    """A guess at each time from one address, names drawn from a list: three lines each, four for an unknown name."""
    rng = np.random.default_rng([seed, 99])
    made: list[Timed] = []
    for i, t in enumerate(times):
        pid, port, who = 70000 + i, int(rng.integers(30000, 61000)), names[int(rng.integers(len(names)))]
        unknown = who not in ("root", *PEOPLE)
        if unknown:
            made.append(sshd(t, pid, f"Invalid user {who} from {where} port {port}"))
        made += [
            sshd(
                t,
                pid,
                "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= "
                f"rhost={where} " + ("" if unknown else f" user={who}"),
            ),
            sshd(t, pid, f"Failed password for {'invalid user ' * unknown}{who} from {where} port {port} ssh2"),
            sshd(t, pid, f"Connection closed by {where} port {port} [preauth]"),
        ]
    return made


def merged(*parts: Sequence[Timed]) -> list[str]:
    """Lines of several logs in order of time; the order within each stays."""
    return [line for _, line in sorted((each for part in parts for each in part), key=_when)]


SLOW, FAST = "203.0.113.7", "198.51.100.23"


def attacks(seed: int) -> dict[str, tuple[list[str], list[str]]]:
    """Logs of 50,000 ordinary lines by what was put in, and who did it."""
    usual = ordinary_sshd(50_000, seed)
    rng = np.random.default_rng([seed, 3])
    begin = START + 86400.0
    pace = [begin + 30.0 * i + float(rng.uniform(-2, 2)) for i in range(720)]
    late = begin + 7200.0 + float(rng.uniform(0, 600))
    rush = [late + 0.2 * i for i in range(300)]
    slow, fast = guesses(pace, SLOW, GUESSED, seed), guesses(rush, FAST, GUESSED, seed + 10)
    return {
        "nothing": (merged(usual), []),
        "a guess every 30 s, 6 h": (merged(usual, slow), [SLOW]),
        "the same, root only": (merged(usual, guesses(pace, SLOW, ["root"], seed)), [SLOW]),
        "5 a second, 1 min": (merged(usual, fast), [FAST]),
        "the same, root only ": (merged(usual, guesses(rush, FAST, ["root"], seed)), [FAST]),
        "both": (merged(usual, slow, fast), [SLOW, FAST]),
    }
