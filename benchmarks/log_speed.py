"""Speed on logs: every input format and the recipes for logs, as CPU slopes beside two loops; each feature alone.

    python benchmarks/log_speed.py [--few 100000] [--many 300000] [--times 3] [--only FORMAT]...

The lines are made from a seed and kept in the folder of `common.FOLDER`. Each figure is the median of `times` runs.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from common import COMMAND, NULL_LOOP, median_slope, table
from made_logs import LINES, START, lines

from clipdetect import registry
from clipdetect.components import Feature, Params, Rows, full_spec
from clipdetect.jit import Engine

PARSE_LOOP = [
    sys.executable,
    "-c",
    "import sys, re, json\nout = sys.stdout\n"
    r"""form = re.compile(r'(?P<remote_addr>\S+) \S+ (?P<remote_user>\S+) \[(?P<time>[^\]]+)\] '"""
    r"""r'"(?P<method>\S+) (?P<path>\S+) (?P<protocol>[^"]*)" (?P<status>\d+) (?P<bytes>\S+) '"""
    r"""r'"(?P<referer>[^"]*)" "(?P<agent>[^"]*)"')"""
    "\nfor line in sys.stdin: out.write(json.dumps(form.match(line).groupdict()) + '\\n')",
]
PATTERN = (
    r'(?P<client>\S+) \S+ \S+ \[(?P<time>[^\]]+)\] "(?P<method>\S+) (?P<path>\S+) [^"]*" (?P<status>\d+) (?P<bytes>\d+)'
)
FLAGS = {"pattern": ["--pattern", PATTERN]}
CASES = [(form, f"bare, {form}", ["--from", form, *FLAGS.get(form, [])]) for form in LINES] + [
    ("access", "--recipe access", ["--recipe", "access"]),
    ("sshd", "bare, syslog of sshd", []),
    ("sshd", "--recipe sshd", ["--recipe", "sshd"]),
]
FEATURES = [
    "rate:window=60s",
    "rate:window=60s,shape=window",
    "rate:window=60s,of=size",
    "distinct:window=1h,field=path",
    "rare:field=path",
    "rare:field=path,given=user",
    "template",
    "interval",
    "hour",
    "log:field=size",
    "diff:field=size",
    "gap:limit=60s",
    "flatline:field=size",
]
BLOCK = 4096


def formats(few: int, many: int, times: int, only: list[str]) -> None:
    """Every input format through the bare command, recipes, and the loops, on the same number of lines."""
    run = {
        "parse": median_slope(PARSE_LOOP, lambda n: lines("access", n), few, many, times),
        "orjson": median_slope(NULL_LOOP, lambda n: lines("jsonl", n), few, many, times),
    }
    parse, loop = run["parse"][0], run["orjson"][0]
    shown = [
        ["access", "loop of re.match, groupdict, json.dumps", *cells(run["parse"], parse, loop, "access", few)],
        ["jsonl", "loop of orjson.loads, orjson.dumps", *cells(run["orjson"], parse, loop, "jsonl", few)],
    ]
    for form, name, flags in CASES:
        if not only or form in only:
            one = median_slope([*COMMAND, "-q", *flags], lambda n, form=form: lines(form, n), few, many, times)
            shown.append([form, name, *cells(one, parse, loop, form, few)])
    table(
        f"Speed on logs, CPU, {few:,} to {many:,} lines, median of {times}",
        ["lines", "command", "bytes", "us a line", "spread", "of the re loop", "of the orjson loop", "start s", "MB"],
        shown,
    )


def cells(run: tuple[float, float, float, float], parse: float, loop: float, form: str, few: int) -> list[str]:
    """A row's figures: time relative to the loops is (loop's time) / (own time), so 0.5 is half as fast."""
    each, start, memory, spread = run
    size = Path(lines(form, few)).stat().st_size / few
    return [
        f"{size:.0f}",
        f"{each:.2f}",
        f"{spread:.2f}",
        f"{parse / each:.2f}",
        f"{loop / each:.2f}",
        f"{start:.2f}",
        f"{memory:.0f}",
    ]


def alone(spec: str, keys: int, n: int, times: int) -> float:
    """Microseconds a record of a feature's compiled step, in blocks; records of `keys` keys in random order."""
    feature = registry.build("feature", spec)
    assert isinstance(feature, Feature)
    params = Params(engine=Engine("numba"))
    feature.bind(["size"], params)
    rng = np.random.default_rng(5)
    columns = [
        rng.lognormal(8, 1.5, n) if kind == "number" else np.minimum(rng.zipf(1.3, n), 500).astype(np.int64)
        for _, kind in feature.inputs()
    ]
    rows = Rows(
        np.empty((n, 0)),
        START + np.cumsum(rng.exponential(0.1, n)),
        np.full(n, np.nan),
        np.ones(n, bool),
        np.zeros(n, bool),
    )
    slots = rng.integers(0, keys, n)
    spec_of = full_spec(feature, len(feature.inputs()))
    found = []
    for _ in range(times + 1):  # the first one compiles
        state = {name: np.zeros((keys, *shape), dtype) for name, (shape, dtype) in spec_of.items()}
        feature.reset(state, np.arange(keys), np.arange(keys))
        start = time.process_time()
        for at in range(0, n, BLOCK):
            part = slice(at, at + BLOCK)
            feature.step(state, slots[part], [each[part] for each in columns], rows.part(at, at + BLOCK, 0))
        found.append(1e6 * (time.process_time() - start) / n)
    return float(np.median(found[1:]))


def features(n: int, times: int) -> None:
    """Each feature alone, of one key and of a thousand."""
    table(
        f"Features alone, compiled, {n:,} records, us a record, median of {times}",
        ["feature", "one key", "1,000 keys"],
        [[spec, f"{alone(spec, 1, n, times):.3f}", f"{alone(spec, 1000, n, times):.3f}"] for spec in FEATURES],
    )


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--few", type=int, default=100_000)
    parser.add_argument("--many", type=int, default=300_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--only", action="append", default=[], choices=[*LINES, "sshd"])
    arguments = parser.parse_args()
    formats(arguments.few, arguments.many, arguments.times, arguments.only)  # first: a child's peak starts at ours
    features(arguments.many, arguments.times)


if __name__ == "__main__":
    main()
