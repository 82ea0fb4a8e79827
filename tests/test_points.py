"""What people expect of a filter, by number: the points that no other file holds; each test's docstring says which."""

from __future__ import annotations

import json
import os
import pty
import random
import re
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

import launcher
import pytest
from commands import PATIENCE

from clipdetect.cli import COMMANDS

ROOT = str(Path(__file__).parents[1])
COMMAND = [sys.executable, "-m", "clipdetect"]
FOREIGN = ("CLIPDETECT_", "NO_COLOR", "FORCE_COLOR", "CI")
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)},
    "PYTHONPATH": ROOT,
    "TERM": "xterm",
}


def run(*args, env=None, **more):
    """The command with stdin empty unless given."""
    if "input" not in more:
        more = {"stdin": subprocess.DEVNULL, **more}
    environment = {**ENVIRONMENT, **(env or {})}
    return subprocess.run(
        [*launcher.command(), *map(str, args)], capture_output=True, timeout=60, env=environment, **more
    )


def start(*args, **more):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": ENVIRONMENT}
    return subprocess.Popen([*COMMAND, *map(str, args)], bufsize=0, **{**pipes, **more})


def records(n=1000, seed=0):
    chance = random.Random(seed)
    return b"".join(b'{"x":%.3f,"s":"\\u00e9"}\n' % chance.gauss(0, 1) for _ in range(n))


@pytest.fixture
def f(tmp_path):
    path = tmp_path / "F"
    path.write_bytes(records())
    return path


@pytest.fixture
def f2(tmp_path):
    path = tmp_path / "F2"
    path.write_bytes(records(seed=1))
    return path


def test_a_thousand_records_in_and_out(f):
    """Point 4."""
    with f.open("rb") as stdin:
        done = run("-f", "x", stdin=stdin)
    assert (done.stdout.count(b"\n"), done.stderr, done.returncode) == (1000, b"", 0)


def test_file_dash_and_pipe_are_the_same(f):
    """Point 5."""
    named, piped, dash = run(f), run(input=f.read_bytes()), run("-", input=f.read_bytes())
    with f.open("rb") as stdin:
        redirected = run(stdin=stdin)
    assert named.stdout == piped.stdout == dash.stdout == redirected.stdout != b""


def test_files_follow_each_other_in_one_model(f, f2):
    """Point 6."""
    both = run(f, f2)
    assert both.stdout == run(input=f.read_bytes() + f2.read_bytes()).stdout
    assert both.stdout == run(f, "-", input=f2.read_bytes()).stdout
    assert both.stdout != run(f).stdout + run(f2).stdout


def test_a_file_without_last_newline_does_not_run_into_the_next(f, f2):
    """Points 6 and 15."""
    expected = run(f, f2).stdout
    f.write_bytes(f.read_bytes().rstrip(b"\n"))
    f2.write_bytes(f2.read_bytes().rstrip(b"\n"))
    assert run(f, f2).stdout == expected


def test_a_missing_file_is_named_and_the_others_are_scored(f):
    """Points 7 and 9."""
    alone, among = run("nosuch"), run("nosuch", f)
    assert (alone.returncode, alone.stdout) == (1, b"")
    known = ", ".join(COMMANDS)
    assert alone.stderr == f"clipdetect: nosuch: no such file, and no such command (there are: {known})\n".encode()
    assert (among.returncode, among.stdout, among.stderr) == (1, run(f).stdout, alone.stderr)


def test_a_file_that_may_not_be_read_is_named(tmp_path, f):
    """Points 7 and 9: a folder, and a file in a folder that is a file."""
    done = run(tmp_path, f / "x", f)
    assert done.returncode == 1
    assert done.stdout == run(f).stdout
    assert done.stderr.decode().splitlines() == [
        f"clipdetect: {tmp_path}: Is a directory",
        f"clipdetect: {f}/x: Not a directory",
    ]


def test_a_wrong_option_offers_the_nearest():
    """Point 8."""
    done = run("--bogus")
    assert done.returncode == 2
    assert b"No such option: --bogus" in done.stderr
    assert b"did you mean '--rate'?" in run("--rat", ".1").stderr


def test_the_first_record_does_not_wait_for_the_end():
    """Point 12."""
    process = start()
    process.stdin.write(b'{"x":1}\n')
    line = process.stdout.readline()  # while stdin is open: a record held back would hang here
    rest, said = process.communicate(timeout=PATIENCE)
    assert line == b'{"x":1,"score":null,"anomaly":false}\n'
    assert (rest, said.count(b"\n"), process.returncode) == (b"", 1, 0)
    assert said.startswith(b"clipdetect: 1 record is too few for a score")


@pytest.mark.parametrize(
    ("first", "following"),
    [(b'{"x":0}\n', b'{"x":%d}\n'), (b"x,y\n", b"%d,2\n"), (b"0\n", b"%d\n"), (b'[{"x":0}', b',\n{"x":%d}')],
    ids=["jsonl", "csv", "plain", "json"],
)
def test_every_record_leaves_as_it_comes(first, following):
    """Point 13: the next is sent only when the one before is out."""
    process = start("--engine", "python")
    process.stdin.write(first)
    got = os.read(process.stdout.fileno(), 1000)
    for i in range(60):
        process.stdin.write(following % i)
        ready, _, _ = select.select([process.stdout], [], [], PATIENCE)
        assert ready, "a record was held back"
        got += os.read(process.stdout.fileno(), 1000)
    process.communicate(timeout=PATIENCE)
    assert got.count(b"false") >= 59


def test_a_record_in_two_pieces_is_one_record():
    """Point 13."""
    process = start()
    process.stdin.write(b'{"x":')
    time.sleep(0.2)
    process.stdin.write(b"1}\n")
    assert process.stdout.readline() == b'{"x":1,"score":null,"anomaly":false}\n'
    process.communicate(timeout=PATIENCE)


def test_memory_does_not_grow_with_the_stream(tmp_path):
    """Point 14."""

    def peak(n):
        path = tmp_path / f"{n}"
        path.write_bytes(records(1000) * (n // 1000))
        script = (
            "import resource,subprocess,sys;"
            "code=subprocess.run(sys.argv[1:],stdout=subprocess.DEVNULL).returncode;"
            "print(code,resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        command = [sys.executable, "-c", script, *COMMAND, "--engine", "numba", "-e", "zscore", str(path)]
        done = subprocess.run(command, capture_output=True, env=ENVIRONMENT, timeout=PATIENCE)
        code, kib = done.stdout.split()
        assert code == b"0"
        return int(kib)

    small, large = peak(20_000), peak(200_000)
    assert large - small < 8 * 1024
    assert large < 300 * 1024


def test_a_record_without_newline_is_scored_and_gets_one():
    """Point 15."""
    assert (
        run(input=b'{"x":1}\n{"x":2}').stdout.splitlines(keepends=True)[1] == b'{"x":2,"score":null,"anomaly":false}\n'
    )


def test_line_ends_byte_order_marks_and_blank_lines_stay():
    """Point 16."""
    done = run("-v", input=b'\xef\xbb\xbf{"x":1}\r\n\r\n{"x":2}\r\n\n')
    tail = b',"score":null,"anomaly":false}\r\n'
    assert done.stdout == b'\xef\xbb\xbf{"x":1' + tail + b"\r\n" + b'{"x":2' + tail + b"\n"
    assert b"watching x\n" in done.stderr
    assert b"2 records" in done.stderr


@pytest.mark.parametrize("mode", ["pass", "skip", "fail"])
def test_a_bad_line_is_passed_dropped_or_the_end(tmp_path, mode):
    """Points 17 and 18."""
    path = tmp_path / "F"
    path.write_bytes(records(16) + b"oops\n" + records(3) + b"again\n")
    done = run("--on-error", mode, path)
    lines = {"pass": 21, "skip": 19, "fail": 16}[mode]
    assert (done.stdout.count(b"\n"), done.returncode) == (lines, int(mode == "fail"))
    said = done.stderr.decode().splitlines()
    assert said[0] == f"clipdetect: {path}:17: invalid JSON: Expecting value at column 1"
    few = [each for each in said if "too few for a score" in each]
    assert len(few) == (mode != "fail")
    counted = [f"clipdetect: 2 records: invalid JSON (first: {path}:17)"]
    assert said[1 + len(few) :] == ([] if mode == "fail" else counted)


def test_a_record_is_scored_on_the_fields_it_has():
    """Point 19."""
    lines = [json.dumps({"x": i * 7 % 5, "y": i * 3 % 7}) for i in range(80)]
    odd = ['{"x":null,"y":2}', '{"y":2}', '{"x":"abc","y":2}', '{"x":NaN,"y":2}', '{"x":null,"y":null}']
    done = run(input="\n".join(lines + odd).encode())
    answers = done.stdout.decode().splitlines()[80:]
    scores = [re.search(r'"score":([^,]*)', answer)[1] for answer in answers]
    assert "null" not in scores[:4]
    assert scores[4] == "null"


def test_numbers_as_text_need_coerce():
    """Point 20."""
    line = b'{"x":"12.5"}\n'
    without, with_it = run("-f", "x", input=line * 60), run("-f", "x", "--coerce", input=line * 60)
    assert b'not a number: "12.5"' in without.stderr
    assert without.stdout.count(b'"score":null') == 60
    assert with_it.stderr == b""
    assert with_it.stdout.count(b'"score":null') < 60
    assert with_it.stdout.startswith(b'{"x":"12.5",')


def test_a_taken_name_is_usage_in_the_first_record_and_a_bad_line_later():
    """Point 21."""
    first = run(input=b'{"x":1,"score":2}\n')
    later = run(input=b'{"x":1}\n{"x":1,"score":2}\n')
    assert (first.returncode, first.stdout) == (2, b"")
    assert b"--prefix" in first.stderr
    assert later.stdout.splitlines()[1] == b'{"x":1,"score":2}'
    assert later.returncode == 0
    assert (
        run("--prefix", "p_", input=b'{"x":1,"score":2}\n').stdout
        == b'{"x":1,"score":2,"p_score":null,"p_anomaly":false}\n'
    )


def test_empty_objects_and_blanks_give_valid_json():
    """Point 22."""
    done = run("-q", "-i", "jsonl", input=b'{}\n{ }\n{ "x" : 1 } \n')
    assert done.stdout.splitlines() == [
        b'{"score":null,"anomaly":false}',
        b'{ "score":null,"anomaly":false}',
        b'{ "x" : 1 ,"score":null,"anomaly":false} ',
    ]


def test_a_field_that_never_comes_names_the_nearest(f):
    """Point 23."""
    done = run("-f", "xx", f)
    assert b"did you mean 'x'?" in done.stderr
    assert done.returncode == 0
    assert run("-f", "xx", "--on-error", "fail", f).returncode == 1


def test_bytes_of_other_fields_stay(tmp_path):
    """Point 24."""
    lines = [b'{"x":1.0,"n":12345678901234567890}', b'{"x":1e2,"s":"\\u00e9\\/"}', b'{"x":1E+2 , "t": [1.50,-0.0]}']
    out = run(input=b"\n".join(lines)).stdout.splitlines()
    assert [line.replace(b',"score":null,"anomaly":false', b"") for line in out] == lines


def test_csv_to_json_lines_and_back():
    """Point 25."""
    table = b'x,s\n1.50,"a ""b"", c"\n,"two\nlines"\n-3,\n'
    there = run("-o", "jsonl", "--prefix", "a_", input=table).stdout
    values = [
        {key: value for key, value in json.loads(line).items() if not key.startswith("a_")}
        for line in there.splitlines()
    ]
    assert values == [{"x": 1.5, "s": 'a "b", c'}, {"x": None, "s": "two\nlines"}, {"x": -3, "s": None}]
    back = run("-q", "-o", "csv", "--prefix", "b_", "-x", "a_*", input=there).stdout
    assert back.startswith(b"x,s,a_score,a_anomaly,b_score,b_anomaly,b_why\n1.5")
    assert b'"a ""b"", c"' in back
    assert b'"two\nlines"' in back


def on_a_terminal(*args, env=None, feed=b""):
    """What the command shows on a terminal as its stderr, stdout a pipe; stdin gets `feed` slowly."""
    ours, theirs = pty.openpty()
    process = start(*args, stderr=theirs, env={**ENVIRONMENT, **(env or {})})
    os.close(theirs)
    shown = []

    def collect():
        while True:
            try:
                data = os.read(ours, 4096)
            except OSError:
                return
            if not data:
                return
            shown.append(data)

    reader = threading.Thread(target=collect)
    reader.start()
    for i, piece in enumerate(feed if isinstance(feed, list) else [feed]):
        time.sleep(2.5 if i else 0.0)
        process.stdin.write(piece)
    out, _ = process.communicate(timeout=PATIENCE)
    reader.join(timeout=PATIENCE)
    os.close(ours)
    return out, b"".join(shown)


def test_colours_are_for_terminals():
    """Point 28."""
    bad = b'{"x":1}\noops\n'
    plain = run(input=bad).stderr
    assert b"\x1b" not in plain
    assert b"\x1b[" in on_a_terminal(feed=bad)[1]
    for flags, env in ((["--color", "never"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"})):
        assert b"\x1b" not in on_a_terminal(*flags, env=env, feed=bad)[1], (flags, env)
    assert b"\x1b[" in run("--color", "always", input=bad).stderr
    assert b"\x1b[" in run(env={"FORCE_COLOR": "1"}, input=bad).stderr
    assert b"\x1b" not in run("--color", "always", input=bad).stdout


def test_stdout_is_the_same_however_much_is_said(f):
    """Point 29."""
    f.write_bytes(f.read_bytes() + b"oops\n")
    plain, loud, still = run(f), run("-v", f), run("-q", f)
    assert plain.stdout == loud.stdout == still.stdout
    assert still.stderr == b""
    assert len(loud.stderr) > len(plain.stderr) > 0


def test_split_in_two_with_a_state_is_as_in_one_go(tmp_path, f):
    """Point 33."""
    whole, lines, state = run(f).stdout, f.read_bytes().splitlines(keepends=True), tmp_path / "s.bin"
    parts = [run("--state", state, input=b"".join(part)).stdout for part in (lines[:333], lines[333:])]
    assert b"".join(parts) == whole


def test_engines_agree_on_the_command_line(f):
    """Point 34."""
    one, two, three = (run("--engine", engine, f, f).stdout for engine in ("python", "numba", "auto"))
    assert one == two == three


def test_a_typo_in_the_configuration_has_its_place(tmp_path, f):
    """Points 35 and 37."""
    path = tmp_path / "c.yaml"
    path.write_text("rate: 0.01\ntreshold: tail\n")
    for done in (run("-c", path, f), run("config", "check", path)):
        assert (done.returncode, done.stdout) == (2, b"")
        assert (
            done.stderr.decode() == f"clipdetect: {path}:2:1: unknown setting 'treshold', did you mean 'threshold'?\n"
        )
    path.write_text("rate: 0.01\n")
    assert run("config", "check", path).returncode == 0


def test_flags_beat_variables_beat_files_beat_defaults(tmp_path):
    """Point 36; and no file is read that was not named."""
    path = tmp_path / "c.yaml"
    path.write_text("rate: 0.1\nwarmup: 50\nseed: 5\n")
    for name in ("clipdetect.yaml", ".clipdetect.yaml", "config.yaml"):
        (tmp_path / name).write_text("max_keys: 3\n")
    done = run(
        "config", "-c", path, "--rate", ".3", env={"CLIPDETECT_RATE": ".2", "CLIPDETECT_WARMUP": "60"}, cwd=tmp_path
    )
    lines = done.stdout.decode().splitlines()
    assert "rate: 0.3  # --rate" in lines
    assert "warmup: 60  # CLIPDETECT_WARMUP" in lines
    assert f"seed: 5  # {path}:3:7" in lines
    assert "max_keys: 100000  # default" in lines


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell):
    """Point 38."""
    done = run(env={"_CLIPDETECT_COMPLETE": f"{shell}_source"})
    assert done.returncode == 0
    assert b"_CLIPDETECT_COMPLETE=" + shell.encode() + b"_complete" in done.stdout


def test_bytes_that_are_no_text_pass_in_any_locale():
    """Point 40."""
    data = b'{"x":1,"s":"\xff"}\n{"x":2,"s":"\xc3\xa9"}\n'
    for locale in ("C", "POSIX", "C.UTF-8"):
        done = run("-i", "jsonl", input=data, env={"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
        assert done.returncode == 0
        assert done.stdout.splitlines() == [
            b'{"x":1,"s":"\xff"}',
            b'{"x":2,"s":"\xc3\xa9","score":null,"anomaly":false}',
        ]
        assert b"stdin:1: not UTF-8" in done.stderr
        assert b"Traceback" not in run("nosuch-\udcff\u00e9", env={"LC_ALL": locale}).stderr


def test_flagged_records_set_the_exit_code_when_asked():
    """Exit code 10 is kept apart from failure."""
    calm, wild = b"".join(b"%d\n" % (i * 7 % 10) for i in range(100)), b"90000\n"
    assert run("--exit-code", input=calm).returncode == 0
    assert run("--exit-code", input=calm + wild).returncode == 10
    assert run(input=calm + wild).returncode == 0
    assert run("--exit-code", "nosuch", "-", input=calm + wild).returncode == 1
