"""Measures against the truth, and the command that prints them."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics as reference

from clipdetect import metrics
from clipdetect.cli import main

SCORED = [
    {"x": 1, "label": 0, "score": None, "anomaly": False},
    {"x": 1, "label": 0, "score": 0.5, "anomaly": False},
    {"x": 9, "label": 1, "score": 5, "anomaly": True, "why": []},
    {"x": 1, "label": True, "score": 0.2, "anomaly": False},
    {"x": 1, "score": 0.2, "anomaly": False},
    {"x": 8, "label": "0", "score": 4, "anomaly": True, "why": []},
]


def scored_file(tmp_path: Path, records: list[dict[str, object]] = SCORED) -> Path:
    path = tmp_path / "scored.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.mark.parametrize("seed", range(5))
def test_ranking_measures_agree_with_scikit_learn_with_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random(300) < 0.1
    score = np.round(rng.normal(size=300) + 2.0 * truth, 1)
    assert metrics.roc_auc(score, truth) == pytest.approx(reference.roc_auc_score(truth, score), abs=1e-12)
    assert metrics.average_precision(score, truth) == pytest.approx(
        reference.average_precision_score(truth, score), abs=1e-12
    )


def test_equal_scores_rank_as_chance() -> None:
    truth = np.array([True, False, False, False])
    assert metrics.roc_auc(np.ones(4), truth) == 0.5
    assert metrics.average_precision(np.ones(4), truth) == 0.25


def test_measures_without_both_classes_are_nan() -> None:
    score = np.arange(3.0)
    assert math.isnan(metrics.roc_auc(score, np.zeros(3, bool)))
    assert math.isnan(metrics.roc_auc(score, np.ones(3, bool)))
    assert math.isnan(metrics.average_precision(score, np.zeros(3, bool)))
    assert metrics.average_precision(score, np.ones(3, bool)) == 1.0


def test_missing_labels_and_scores_are_left_out_and_counted() -> None:
    score = np.array([np.nan, 1.0, 2.0, 3.0])
    flag = np.array([False, False, True, True])
    label = np.array([1.0, 0.0, 1.0, np.nan])
    found = metrics.evaluate(score, flag, label)
    assert (found.records, found.labelled, found.scored, found.unscored) == (4, 3, 2, 1)
    assert (found.anomalies, found.flagged, found.found, found.false) == (2, 1, 1, 0)
    assert (found.precision, found.recall) == (1.0, 0.5)
    assert found.flag_rate == pytest.approx(1 / 3)
    assert found.roc_auc == 1.0


def test_nothing_flagged_has_no_precision() -> None:
    found = metrics.evaluate(np.ones(2), np.zeros(2, bool), np.array([0.0, 1.0]))
    assert math.isnan(found.precision)
    assert found.recall == 0.0


def test_eval_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--json", str(scored_file(tmp_path))]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["records"] == 6
    assert found["labelled"] == 5
    assert (found["unscored"], found["anomalies"], found["flagged"], found["false"]) == (1, 2, 2, 1)
    assert (found["precision"], found["recall"], found["roc_auc"]) == (0.5, 0.5, 0.5)


def test_eval_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(scored_file(tmp_path))]) == 0
    out = capsys.readouterr().out
    for name in ("without a score", "flag rate", "precision", "recall", "ROC-AUC", "PR-AUC"):
        assert name in out


def test_eval_reads_gzip_csv_and_unreadable_lines_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        f"{r['x']},{r.get('label', '')},{'' if r['score'] is None else r['score']},{str(r['anomaly']).lower()},"
        for r in SCORED
    ]
    table = tmp_path / "scored.csv"
    table.write_text("x,label,score,anomaly,why\n" + "\n".join(rows) + "\n")
    plain = scored_file(tmp_path)
    packed = tmp_path / "scored.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    answers = []
    for path in (plain, table, packed):
        assert main(["eval", "--json", str(path)]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0] == answers[1] == answers[2]
    plain.write_text(plain.read_text() + "not JSON\n")
    assert main(["eval", "--json", str(plain)]) == 0


def test_eval_takes_a_prefix_and_a_nested_label(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = [{"truth": {"bad": i == 3}, "c_score": float(i), "c_anomaly": i == 3} for i in range(4)]
    path = scored_file(tmp_path, records)
    assert main(["eval", "--prefix", "c_", "--label", "truth.bad", "--json", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["recall"] == 1.0


@pytest.mark.parametrize(
    ("records", "flags", "code", "said"),
    [
        ([{"x": 1, "label": 0}], [], 1, "clipdetect"),
        (SCORED, ["--label", "nosuch"], 2, "'nosuch'"),
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
