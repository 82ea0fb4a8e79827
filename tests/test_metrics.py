"""Measures against the truth: the ranking, and the counts of flags."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as reference

from clipdetect import metrics


def evaluate(score, flag, label, **more):
    """`metrics.evaluate` of plain lists."""
    return metrics.evaluate(np.array(score, float), np.array(flag, bool), np.array(label, float), **more)


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
    found = evaluate([np.nan, 1, 2, 3], [0, 0, 1, 1], [1, 0, 1, np.nan])
    assert (found.records, found.labelled, found.scored, found.unscored) == (4, 3, 2, 1)
    assert (found.anomalies, found.flagged, found.found, found.false) == (2, 1, 1, 0)
    assert (found.precision, found.recall) == (1.0, 0.5)
    assert found.flag_rate == pytest.approx(1 / 3)
    assert found.roc_auc == 1.0


def test_nothing_flagged_has_no_precision() -> None:
    found = evaluate([1, 1], [0, 0], [0, 1])
    assert math.isnan(found.precision)
    assert math.isnan(found.range_precision)
    assert found.recall == found.event_recall == found.range_recall == 0.0
    assert math.isnan(found.delay_median)


@pytest.mark.parametrize("label", [[], [0], [1], [0, 0, 0], [1, 1, 1], [np.nan, np.nan]])
@pytest.mark.parametrize("flag", [0, 1])
@pytest.mark.parametrize("score", [1.0, np.nan])
def test_one_class_only_one_record_or_none_is_measured_without_a_crash(label, flag, score) -> None:
    n = len(label)
    found = evaluate([score] * n, [flag] * n, label, time=np.zeros(n), key=np.zeros(n, int), window=2, rate=0.01)
    assert math.isnan(found.roc_auc)
    assert math.isnan(found.vus_roc)
    assert found.events == (1 if 1 in label else 0)
    assert found.false_flags == (flag * n if 0 in label else 0)


# -- events -----------------------------------------------------------------------------------


def test_events_are_runs_and_are_found_by_any_flag_in_them() -> None:
    label = [0, 1, 1, 1, 1, 0, 0, 1, 0, 1, 1]
    flags = [0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 1]
    found = evaluate(np.arange(11), flags, label, time=10.0 * np.arange(11))
    assert (found.events, found.events_found) == (3, 2)
    assert found.event_recall == pytest.approx(2 / 3)
    assert (found.delay_median, found.delay_seconds_median) == (1.0, 10.0)
    assert found.events_early == 1  # the second event found is two records long, its second is not before half
    assert found.early_share == pytest.approx(1 / 3)
    assert (found.false_flags, found.false_episodes) == (1, 1)


def test_slack_makes_flags_near_an_event_its_own() -> None:
    label = [0, 0, 0, 0, 1, 0, 0, 0, 0]
    flags = [1, 0, 1, 0, 0, 0, 0, 0, 1]
    score = np.arange(9)
    strict, slack = evaluate(score, flags, label), evaluate(score, flags, label, window=2)
    assert (strict.events_found, strict.false_flags, strict.normal) == (0, 3, 8)
    assert (slack.events_found, slack.false_flags, slack.normal) == (1, 2, 4)
    assert slack.delay_median == -2.0
    assert (strict.false, slack.false) == (3, 3)


def test_false_alarms_are_flags_joined_in_the_order_of_the_stream() -> None:
    flags = np.zeros(50, bool)
    flags[[3, 8, 13, 19, 40]] = True
    label = np.zeros(50)
    counts = [evaluate(np.ones(50), flags, label, join=join).false_episodes for join in (0, 5, 6, 100)]
    assert counts == [5, 3, 2, 1]


def test_false_flags_a_day_count_the_time_from_first_to_last() -> None:
    time = np.linspace(0.0, 2 * 86400.0, 5)
    found = evaluate(np.ones(5), [1, 1, 0, 0, 0], np.zeros(5), time=time, join=1)
    assert (found.days, found.false_per_day, found.false_episodes_per_day) == (2.0, 1.0, 0.5)
    assert found.false_per_1000 == 400.0


def test_keys_have_events_of_their_own_and_the_worst_come_first() -> None:
    label = [1, 0, 1, 0, 1, 0, 0, 1]
    key = np.array([0, 1, 0, 1, 0, 1, 1, 1])
    flags = [0, 0, 1, 1, 0, 1, 0, 0]
    found = evaluate(np.arange(8), flags, label, key=key)
    assert (found.events, found.events_found, found.delay_median) == (2, 1, 1.0)
    assert [tuple(each) for each in found.keys] == [(1, 5, 1, 1, 0, 2, 2, 1), (0, 3, 3, 1, 1, 1, 0, 0)]
    assert found.false_episodes == 1


def test_a_run_at_a_keys_end_does_not_go_on_in_the_next_key() -> None:
    found = evaluate(np.arange(4), [0, 1, 0, 0], [0, 1, 1, 0], key=np.array([0, 0, 1, 1]), window=5)
    assert (found.events, found.events_found) == (2, 1)


def test_an_incidents_records_count_as_flagged_and_incidents_apart() -> None:
    label = [0, 0, 0, 1, 1, 1]
    flags = [1, 0, 0, 1, 0, 0]
    incident = np.array([1, 1, 0, 4, 4, 4])
    found = evaluate(np.arange(6), flags, label, incident=incident)
    assert (found.flagged, found.found, found.false) == (5, 3, 2)
    assert (found.incidents, found.incidents_false) == (2, 1)


def test_abstained_records_are_counted() -> None:
    found = evaluate(np.arange(3), [0, 0, 0], [0, 1, np.nan], abstain=np.array([True, False, True]))
    assert found.abstained == 1


# -- calibration ------------------------------------------------------------------------------


def test_calibration_is_of_normal_records_with_a_score() -> None:
    score = [0.5, 1, 2, 3, 4, np.nan, 9]
    found = evaluate(score, [0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 1], rate=0.1)
    assert [each.records for each in found.calibration] == [4, 3, 2, 1]
    assert found.calibration[1].share == pytest.approx(3 / 5)
    assert found.calibration[1].promised == pytest.approx(0.01)
    assert found.normal_rate == pytest.approx(2 / 5)
    assert found.rate_ratio == pytest.approx(4.0)


def test_scores_that_keep_their_promise_have_a_ratio_of_one() -> None:
    rng = np.random.default_rng(0)
    score = -np.log10(rng.random(200_000))
    found = evaluate(score, score > 3, np.zeros(len(score)), rate=0.001)
    assert found.rate_ratio == pytest.approx(1.0, abs=0.2)
    assert [each.share / each.promised for each in found.calibration[:3]] == pytest.approx([1, 1, 1], abs=0.2)
