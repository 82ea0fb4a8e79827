"""Logs as people use them: findings in words, alarms, screens, following, documents, and what is refused."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from feeding import feed

from clipdetect.cli import main

COMMAND = [sys.executable, "-m", "clipdetect"]


def ssh(i, text, host="gate"):
    return f"Mar  4 {6 + i // 3600:02d}:{i // 60 % 60:02d}:{i % 60:02d} {host} sshd[{1000 + i}]: {text}"


def guessing(n=600, at=400, guesses=60):
    """Logins of a dozen people, then guesses from one address."""
    lines = []
    for i in range(n):
        who = i * 7 % 12
        lines.append(ssh(5 * i, f"Accepted publickey for user{who} from 192.0.2.{who} port {40000 + i} ssh2: RSA x"))
        if i == at:
            lines += [
                ssh(5 * i, f"Failed password for invalid user u{g} from 203.0.113.9 port {g} ssh2")
                for g in range(guesses)
            ]
    return "\n".join(lines).encode()


def scored(data, **flags):
    return [json.loads(line) for line in feed(data, **flags)[0].splitlines()]


# -- findings -------------------------------------------------------------------------------------


def test_password_guessing_is_found_early_and_said_in_words():
    flagged = [record for record in scored(guessing(), recipe="sshd") if record["anomaly"]]
    assert {record["source"] for record in flagged} == {"203.0.113.9"}
    first = next(i for i, record in enumerate(scored(guessing(), recipe="sshd")) if record["anomaly"])
    assert first - 401 < 20
    texts = [each["text"] for each in flagged[-1]["why"]]
    assert any("failed logins a minute from 203.0.113.9, usually " in text for text in texts)
    assert any("failed logins an hour from 203.0.113.9, usually " in text for text in texts)
    assert set(flagged[0]["why"][0]) == {"field", "value", "expected", "deviation", "text"}


def test_the_same_guesses_in_the_journal_are_found():
    lines = guessing().decode().splitlines()
    journal = [
        json.dumps({"__REALTIME_TIMESTAMP": f"{1_700_000_000 + i}000000", "MESSAGE": line.split("]: ", 1)[1]})
        for i, line in enumerate(lines)
    ]
    flagged = [record for record in scored("\n".join(journal).encode(), recipe="sshd") if record["anomaly"]]
    assert flagged
    assert all("203.0.113.9" in record["MESSAGE"] for record in flagged)


def test_csv_and_screens_say_why_in_the_same_words():
    data = guessing()
    texts = ["; ".join(each["text"] for each in r["why"]) for r in scored(data, recipe="sshd") if r["anomaly"]]
    table = feed(data, recipe="sshd", output_format="csv", only_anomalies=True)[0].decode()
    assert all(f'"{text}"' in table for text in texts)


def test_a_gap_and_a_flat_line_are_flags_by_themselves():
    lines = [json.dumps({"t": 10 * i + 500 * (i > 200), "x": 5.0 if 100 <= i < 140 else i % 7}) for i in range(300)]
    out = scored("\n".join(lines).encode(), time="t", field=("x",), gap="60s", flatline=20, threshold="fixed:limit=1e9")
    flagged = {i: record["why"] for i, record in enumerate(out) if record["anomaly"]}
    assert sorted(flagged) == [119, 201]
    assert flagged[119][0]["field"] == "flatline(x)"
    assert flagged[201][0]["text"] == "no record for 8 min 30 s (limit 1 min)"
    assert flagged[201][0]["value"] == 510.0


def test_a_gap_is_flagged_before_the_model_has_an_opinion():
    out = scored(b'{"t":0,"x":1}\n{"t":1000,"x":1}\n', time="t", gap="1m")
    assert [record["anomaly"] for record in out] == [False, True]
    assert out[1]["score"] is None


def test_direction_and_rate_leave_alarms_alone():
    out = scored(b'{"t":0,"x":1}\n{"t":1000,"x":1}\n', time="t", gap="1m", direction="down", min_change="50%")
    assert out[1]["anomaly"] is True


def test_records_out_of_order_are_counted():
    lines = [json.dumps({"t": t, "x": 1}) for t in (1, 2, 3, 2, 5, 4, 6)]
    pipeline = feed("\n".join(lines).encode(), time="t")[2]
    assert pipeline.order.steps_back == 2
    assert any("2 records are earlier" in line for line in pipeline._counters())


def test_records_within_a_document_leave_within_it():
    inner = [json.dumps({"eventTime": f"2023-07-10T11:{i % 60:02d}:00Z", "x": i % 5}) for i in range(60)]
    data = ('{"a": [1, {"Records": [2]}],\n "Records": [\n' + ",\n".join(inner) + '\n], "z": {}}\n').encode()
    out, _, pipeline = feed(data, records_at="Records", input_format="json", sizes=[7])
    document = json.loads(out)
    assert [list(document), len(document["Records"]), document["z"]] == [["a", "Records", "z"], 60, {}]
    assert document["Records"][-1]["score"] is not None
    assert document["a"] == [1, {"Records": [2]}]
    assert feed(data, records_at="Records", input_format="json")[0] == out
    kept = json.loads(feed(data, records_at="Records", input_format="json", only_anomalies=True)[0])
    assert kept["Records"] == []
    missing = feed(data, records_at="Recrods", input_format="json")
    assert missing[0] == data
    assert any("no array at 'Recrods'" in message for message in missing[1])
    assert pipeline.records == 60


# -- a person's screen ----------------------------------------------------------------------------

HOSTILE = b"\x1b]0;owned\x07\x1b[31mred\x1b[0m \x9b2J \xc2\x9b2J \x08\x08 \xe2\x80\xae txt \x00 \xff\x85 end\r"


def on_a_terminal(data, *flags, env=None):
    """What the command writes to a terminal."""
    primary, secondary = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", **(env or {})}
    process = subprocess.Popen(
        [*COMMAND, "--quiet", *flags],
        stdin=subprocess.PIPE,
        stdout=secondary,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    os.close(secondary)
    process.stdin.write(data)
    process.stdin.close()
    found = b""
    while True:
        try:
            piece = os.read(primary, 65536)
        except OSError:
            break
        if not piece:
            break
        found += piece
    os.close(primary)
    process.wait()
    return found


def test_no_control_character_of_a_line_reaches_a_terminal():
    front = b"2026-03-04 05:06:07 INFO "
    lines = [front + HOSTILE, HOSTILE, front + b"x", front + HOSTILE * 3, b"\x1b[2J", front + b"tab\there"]
    for flags in (["--color", "never"], ["--color", "always"]):
        found = on_a_terminal(b"\n".join(lines) + b"\n", "--to", "text", *flags).replace(b"\r\n", b"\n")
        assert found.count(b"\n") == len(lines)
        text = found.decode()
        assert all(c.isprintable() or c == "\n" for c in text)
        assert "\\x1b[31mred" in text


def test_flagged_lines_begin_with_score_and_reason_on_a_terminal():
    data = guessing()
    plain = on_a_terminal(data, "--to", "text", "--recipe", "sshd", "--color", "never").replace(b"\r\n", b"\n")
    lines = plain.decode().splitlines()
    flagged = [line for line in lines if " | Mar " in line]
    assert flagged
    assert all(" from 203.0.113.9, usually " in line.partition(" | ")[0] for line in flagged)
    assert all(float(line.split(" ", 1)[0]) >= 3.0 for line in flagged)
    assert [line.rpartition(" | ")[2] for line in lines] == data.decode().splitlines()
    red = on_a_terminal(data, "--to", "text", "--recipe", "sshd", "--color", "always", "-a")
    assert red.count(b"\x1b[1;31m") == len(flagged) == red.count(b"\n")
    assert b"\x1b" not in on_a_terminal(data, "--to", "text", "--recipe", "sshd", env={"NO_COLOR": "1"})


def test_text_in_a_pipe_is_the_line_itself():
    data = b"2026-03-04 05:06:07 INFO " + HOSTILE + b"\n" + HOSTILE
    done = subprocess.run([*COMMAND, "--to", "text", "--quiet"], input=data, capture_output=True, check=True)
    assert done.stdout == data + b"\n"


# -- following ------------------------------------------------------------------------------------


def wait_for(path: Path, lines: int) -> list[bytes]:
    """The output's lines once there are as many, at most 20 seconds later."""
    for _ in range(2000):
        found = path.read_bytes().splitlines() if path.exists() else []
        if len(found) >= lines:
            return found
        time.sleep(0.01)
    raise AssertionError(f"{len(found)} lines instead of {lines}: {found[-3:]}")


class Follow:
    """The command following files of a folder, its output in a file."""

    def __init__(self, folder, names, *flags):
        self.out = folder / f"out{len(list(folder.glob('out*')))}"
        with open(self.out, "wb") as out, open(folder / "err", "ab") as err:
            paths = [str(folder / name) for name in names]
            self.process = subprocess.Popen([*COMMAND, "--follow", *flags, *paths], stdout=out, stderr=err)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 143
        return self.out.read_bytes().splitlines()


def values(lines):
    return [int(line.split(b"\t")[0]) for line in lines]


def append(path, numbers):
    with open(path, "ab") as file:
        file.write(b"".join(b"%d\n" % each for each in numbers))


@pytest.mark.parametrize("state", [False, True])
def test_rotation_loses_and_repeats_no_line(tmp_path, state):
    """Rename and re-create, copy and truncate, delete and re-create, two files; with state also a restart amid all."""
    a, b = tmp_path / "a.log", tmp_path / "b.log"
    flags = ["--from", "plain", *(["--state", str(tmp_path / "s.bin")] if state else [])]
    append(a, range(50))
    run, total, got = Follow(tmp_path, ["a.log", "b.log"], *flags), 0, []

    def settle(new, last=False):
        nonlocal run, total, got
        total += new
        wait_for(run.out, total)
        if state and not last:
            got, total = got + run.stop(), 0
            run = Follow(tmp_path, ["a.log", "b.log"], *flags)

    settle(50)
    append(b, range(1000, 1010))
    settle(10)
    a.rename(tmp_path / "a.log.1")
    append(tmp_path / "a.log.1", range(50, 53))  # the writer has not noticed yet
    append(a, range(53, 60))
    settle(10)
    (tmp_path / "b.log.1").write_bytes(b.read_bytes())
    os.truncate(b, 0)
    time.sleep(0.5)
    append(b, range(1010, 1013))
    settle(3)
    a.unlink()
    time.sleep(0.5)
    append(a, range(60, 62))
    settle(2, last=True)
    got = got + run.stop()
    found = values(got)
    assert [each for each in found if each < 1000] == list(range(62))
    assert [each for each in found if each >= 1000] == list(range(1000, 1013))


def test_following_csv_resumes_with_the_header(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,y\n" + "".join(f"{i},{i % 3}\n" for i in range(20)))
    flags = ["--state", str(tmp_path / "s.bin")]
    run = Follow(tmp_path, ["a.csv"], *flags)
    wait_for(run.out, 21)
    first = run.stop()
    with open(path, "a") as file:
        file.write("20,1\n21,0\n")
    run = Follow(tmp_path, ["a.csv"], *flags)
    wait_for(run.out, 3)
    second = run.stop()
    assert second[0] == first[0] == b"x,y,score,anomaly,why"
    assert [line.split(b",")[0] for line in first[1:] + second[1:]] == [b"%d" % i for i in range(22)]


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--follow"], "--follow: name the files to follow"),
        (["--follow", "-"], "--follow: name the files to follow"),
        (["--from", "pattern", "x"], "the format 'pattern' needs --pattern REGEX"),
        (["--pattern", "(", "x"], "--pattern: not a regular expression"),
        (["--pattern", "a+", "x"], "--pattern: needs a named group"),
        (["--extract", "(?P<a>", "x"], "--extract: not a regular expression"),
        (["--recipe", "sshdd", "x"], "did you mean 'sshd'?"),
        (["--gap", "soon", "x"], "--gap: "),
        (["--derive", "rat", "x"], "unknown feature 'rat', did you mean 'rate'?"),
        (["--derive", "rate:windw=60s", "x"], "did you mean 'window'?"),
        (["--derive", "rate", "--derive", "rate", "x"], "two columns are called 'rate'"),
        (["--derive", "rare:field=x", "-e", "evidence:counter=y", "x"], "counter must be one of the columns"),
    ],
)
def test_wrong_usage_is_explained(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_text('{"x":1}\n')
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_features_that_need_a_time_say_so(capsys, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text('{"x":1}\n')
    assert main(["--derive", "rate:window=60s", str(path)]) == 2
    assert "rate needs the time of each record: name its field with --time" in capsys.readouterr().err


def test_a_feature_takes_a_field_that_is_watched_too():
    """Its column stays, with the same values, whether it is read fast or not."""
    lines = "\n".join(json.dumps({"t": i, "x": i % 11, "k": "a"}) for i in range(1500)).encode()
    out = scored(lines, time="t", derive=("rate:of=x,window=10s",), field=("x",), bands=True)
    assert set(out[-1]["expected"]) == {"x", "rate(x)"}
    assert out[-1]["expected"]["x"] == pytest.approx(5, abs=2)


def test_a_misspelt_field_of_a_feature_is_named():
    lines = "\n".join(json.dumps({"t": i, "bytes": i % 11}) for i in range(50)).encode()
    _, said, _ = feed(lines, time="t", derive=("rate:of=byts,window=10s",))
    assert any("no record has the field 'byts', did you mean 'bytes'?" in message for message in said)
