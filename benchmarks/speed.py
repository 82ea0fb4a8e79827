"""Speed of the whole command, as CPU slopes and as ratios against peers in the same run.

    python benchmarks/speed.py [--few 200000] [--many 1000000] [--keys 100000]

A slope is (CPU at `many` - CPU at `few`) / (many - few), so start-up and compilation are stated apart.
"""

from __future__ import annotations

import argparse

from common import COMMAND, NULL_LOOP, cpu, csv, installed, jsonl, slope, table


def formats(few: int, many: int) -> None:
    """JSON Lines and CSV with 1 and 8 fields, against the loop of orjson.loads + orjson.dumps, mlr and jq."""
    lines = []
    for d in (1, 8):
        null, _, _ = slope(NULL_LOOP, lambda n, d=d: jsonl(n, d), few, many)
        lines.append([f"JSON Lines, {d}", "orjson.loads + dumps loop", f"{null:.2f}", "1.00", "", ""])
        for name, flags in (("zscore", ["-e", "zscore"]), ("default", [])):
            each, start, memory = slope([*COMMAND, *flags], lambda n, d=d: jsonl(n, d), few, many)
            lines.append(
                [
                    f"JSON Lines, {d}",
                    f"clipdetect {name}",
                    f"{each:.2f}",
                    f"{null / each:.2f}",
                    f"{start:.2f}",
                    f"{memory:.0f}",
                ]
            )
        if installed("jq"):
            each, _, memory = slope(["jq", "-c", "."], lambda n, d=d: jsonl(n, d), few // 4, many // 4)
            lines.append([f"JSON Lines, {d}", "jq -c .", f"{each:.2f}", f"{null / each:.2f}", "", f"{memory:.0f}"])
        own = {}
        for name, flags in (("zscore", ["-e", "zscore"]), ("default", [])):
            own[name], start, memory = slope([*COMMAND, "--from", "csv", *flags], lambda n, d=d: csv(n, d), few, many)
            lines.append([f"CSV, {d}", f"clipdetect {name}", f"{own[name]:.2f}", "", f"{start:.2f}", f"{memory:.0f}"])
        if installed("mlr"):
            each, _, memory = slope(["mlr", "--icsv", "--ocsv", "cat"], lambda n, d=d: csv(n, d), few, many)
            lines.append(
                [
                    f"CSV, {d}",
                    "mlr --icsv --ocsv cat",
                    f"{each:.2f}",
                    f"default is {each / own['default']:.2f} x its speed",
                    "",
                    f"{memory:.0f}",
                ]
            )
    table(
        f"Whole command, CPU, {few:,} to {many:,} records",
        ["input, fields", "command", "us a record", "speed against the loop", "start s", "peak MB"],
        lines,
    )


def keys(count: int) -> None:
    """100 records a key, shuffled, against one key: CPU over the last half of the file."""
    n = 100 * count
    flags = ["-f", "f0", "--engine", "numba", "--max-keys", str(count + 1)]
    one, _, _ = slope([*COMMAND, *flags], lambda m: jsonl(m, 1), n // 2, n)
    command = [*COMMAND, *flags, "--by", "host"]
    whole = jsonl(n, 1, count)
    half = whole.with_name(whole.stem + "-half.jsonl")
    if not half.exists():
        with open(whole, "rb") as source, open(half, "wb") as sink:
            for _, line in zip(range(n // 2), source, strict=False):
                sink.write(line)
    low, _ = cpu(command, half)
    high, memory = cpu(command, whole)
    many = 1e6 * (high - low) / (n - n // 2)
    table(
        f"{count:,} keys, {n:,} records, last half",
        ["keys", "us a record", "ratio", "peak MB"],
        [["1", f"{one:.2f}", "1.00", ""], [f"{count:,}", f"{many:.2f}", f"{many / one:.2f}", f"{memory:.0f}"]],
    )


def memory(sizes: list[int]) -> None:
    """Peak memory against the length of the stream, and the bytes of state a key takes."""
    from clipdetect import Detector

    lines = []
    for n in sizes:
        _, peak = cpu([*COMMAND, "-f", "f0", "--engine", "numba"], jsonl(n, 1))
        lines.append([f"{n:,}", f"{peak:.1f}"])
    table("Memory against length (one field)", ["records", "peak MB"], lines)
    detector = Detector("level", "tail", fields=["x"], engine="python")
    detector.step([[1.0]])
    size = sum(array.nbytes for array in detector.state.values()) // detector.capacity[""]
    print(f"\nState a key at one field, estimator and threshold together: {size:,} bytes")


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--few", type=int, default=200_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--lengths", type=int, nargs="*", default=[1_000_000, 10_000_000])
    arguments = parser.parse_args()
    formats(arguments.few, arguments.many)
    keys(arguments.keys)
    memory(arguments.lengths)


if __name__ == "__main__":
    main()
