"""`clipdetect eval`: what it reads and how it shows what it found."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from clipdetect.cli import main

SCORED = [
    {"x": 1, "label": 0, "score": None, "anomaly": False},
    {"x": 1, "label": 0, "score": 0.5, "anomaly": False},
    {"x": 9, "label": 1, "score": 5, "anomaly": True, "why": []},
    {"x": 1, "label": True, "score": 0.2, "anomaly": False},
    {"x": 1, "score": 0.2, "anomaly": False},
    {"x": 8, "label": "0", "score": 4, "anomaly": True, "why": []},
]
NAMES = """records labelled anomalies scored unscored flagged found false flag_rate false_rate precision recall roc_auc
pr_auc abstained vus_roc vus_pr vus_buffer range_precision range_recall range_f1 window events events_found event_recall
events_early early_share delay_median delay_p90 delay_seconds_median delay_seconds_p90 normal false_flags false_per_1000
false_per_day false_episodes false_episodes_per_day join days incidents incidents_false rate normal_rate rate_ratio
calibration keys"""


def scored_file(tmp_path: Path, records: list[dict[str, object]] = SCORED) -> Path:
    path = tmp_path / "scored.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    assert main(["eval", "--json", *map(str, arguments)]) == 0
    return json.loads(capsys.readouterr().out)


def test_eval_prints_json_under_stable_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(capsys, scored_file(tmp_path))
    assert list(found) == NAMES.split()
    assert found["records"] == 6
    assert found["labelled"] == 5
    assert (found["unscored"], found["anomalies"], found["flagged"], found["false"]) == (1, 2, 2, 1)
    assert (found["precision"], found["recall"], found["roc_auc"]) == (0.5, 0.5, 0.5)
    assert found["rate"] is found["days"] is found["false_per_day"] is None
    assert found["calibration"][0] == {"score": 1, "records": 1, "share": 0.5, "promised": 0.1}
    assert found["keys"] == []


def test_eval_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(scored_file(tmp_path))]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line[:16].strip() for line in lines]
    for name in ("without a score", "flag rate", "precision", "recall", "ROC-AUC", "PR-AUC", "VUS-PR", "event recall"):
        assert name in names
    assert "delay" in names
    assert "nan" not in "\n".join(lines)


@pytest.mark.parametrize(
    "records",
    [
        [{"label": 0, "score": None, "anomaly": False}],
        [{"label": 1, "score": 1.0, "anomaly": True}],
        [{"label": 0, "score": 0.1, "anomaly": False}] * 5,
        [{"label": 1, "score": None, "anomaly": False}] * 5,
    ],
)
def test_what_cannot_be_measured_is_a_dash(tmp_path, capsys, records) -> None:
    path = scored_file(tmp_path, records)
    assert main(["eval", "--rate", "0.01", "--window", "3", str(path)]) == 0
    out = capsys.readouterr().out
    line = next(line for line in out.splitlines() if line.startswith("VUS-PR"))
    assert line.split()[1] == "-"
    assert "nan" not in out.lower()
    assert answer(capsys, path)["roc_auc"] is None


def test_eval_reads_gzip_csv_and_unreadable_lines_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        f"{r['x']},{r.get('label', '')},{'' if r['score'] is None else r['score']},{str(r['anomaly']).lower()},"
        for r in SCORED
    ]
    table = tmp_path / "scored.csv"
    table.write_text("x,label,score,anomaly,why\n" + "\n".join(rows) + "\n")
    marked = tmp_path / "marked.csv"
    marked.write_text("\ufeffscore,anomaly,label\n,false,0\n.5,false,0\n5,true,1\n.2,false,TRUE\n.2,false\n4,true,0\n")
    plain = scored_file(tmp_path)
    packed = tmp_path / "scored.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    answers = [answer(capsys, path) for path in (plain, table, packed, marked)]
    assert answers[0] == answers[1] == answers[2] == answers[3]
    plain.write_text(plain.read_text() + "not JSON\n")
    assert answer(capsys, plain)["records"] == 7


def test_eval_takes_a_prefix_and_a_nested_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [{"truth": {"bad": i == 3}, "c_score": float(i), "c_anomaly": i == 3} for i in range(4)]
    path = scored_file(tmp_path, records)
    assert answer(capsys, "--prefix", "c_", "--label", "truth.bad", path)["recall"] == 1.0


def test_times_keys_incidents_and_abstained_records_are_read(tmp_path, capsys) -> None:
    records = [
        {
            "at": f"2026-03-0{1 + i // 10}T00:00:{i:02d}Z", "host": {"name": "ab"[i % 2]}, "label": int(i in (4, 6, 9)),
            "score": float(i), "anomaly": i in (3, 6), **({"incident": 4} if i in (3, 5) else {}),
            **({"abstain": True} if i == 7 else {}),
        }
        for i in range(12)
    ]  # fmt: skip
    path = scored_file(tmp_path, records)
    found = answer(capsys, "--time", "at", "--by", "host.name", "--rate", "0.01", "--join", "1", path)
    assert (found["events"], found["events_found"], found["delay_seconds_median"]) == (2, 1, 2.0)
    assert (found["incidents"], found["incidents_false"], found["abstained"]) == (1, 1, 1)
    assert [each["key"] for each in found["keys"]] == ["b", "a"]
    assert found["keys"][0] == {
        "key": "b", "records": 6, "anomalies": 1, "events": 1, "events_found": 0, "flagged": 2, "false_flags": 2,
        "false_episodes": 1,
    }  # fmt: skip
    assert found["days"] == pytest.approx(1.0, abs=0.001)
    assert main(["eval", "--time", "at", "--by", "host.name", "--top", "1", str(path)]) == 0
    out = capsys.readouterr().out
    assert "1 more keys" in out
    assert "2 s  median" in out
    assert "a day" in out


def test_episodes_told_once_measure_as_if_told_each_time(tmp_path, capfd) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=600)
    x[400:420] += 40.0
    table = tmp_path / "x.csv"
    table.write_text("x,label\n" + "".join(f"{v},{int(400 <= i < 420)}\n" for i, v in enumerate(x)))
    found = []
    for flags in ([], ["--episode", "20"]):
        assert main(["-q", "--label", "label", *flags, str(table)]) == 0
        scored = tmp_path / "scored.csv"
        scored.write_text(capfd.readouterr().out)
        found.append(answer(capfd, scored))
    names = ("flagged", "found", "precision", "recall", "events_found", "range_recall", "vus_pr")
    assert [found[0][name] for name in names] == [found[1][name] for name in names]
    assert (found[0]["incidents"], found[1]["incidents"] >= 1) == (0, True)


@pytest.mark.parametrize(
    ("records", "flags", "code", "said"),
    [
        ([{"x": 1, "label": 0}], [], 1, "clipdetect"),
        (SCORED, ["--label", "nosuch"], 2, "'nosuch'"),
        (SCORED, ["--time", "nosuch"], 2, "'nosuch'"),
        ([], [], 1, "no record"),
    ],
)
def test_eval_says_what_is_missing(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    records: list[dict[str, object]],
    flags: list[str],
    code: int,
    said: str,
) -> None:
    path = scored_file(tmp_path, records)
    assert main(["eval", *flags, str(path)]) == code
    message = capsys.readouterr().err
    assert str(path) in message
    assert said in message
