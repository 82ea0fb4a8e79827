"""Range-based measures, against implementations written from the definitions and against published ones."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from clipdetect.metrics import range_measures, volume


def stretches(inside):
    """First and last index of each run of true."""
    found, start = [], None
    for i, each in enumerate([*inside, False]):
        if each and start is None:
            start = i
        elif not each and start is not None:
            found.append((start, i - 1))
            start = None
    return found


def slow_volume(score, truth, most):
    """VUS-ROC and VUS-PR from the definition, every distinct score a threshold."""
    n, events, areas = len(score), stretches(truth), []
    for buffer in range(most + 1):
        half, soft = buffer // 2, truth.astype(float)
        for first, last in events:
            for away in range(1, half + 1):
                for i in (first - away, last + away):
                    if 0 <= i < n:
                        soft[i] += math.sqrt(1.0 - away / buffer)
        soft = np.minimum(soft, 1.0)
        zones = []
        for first, last in events:
            if zones and first - half <= zones[-1][1]:
                zones[-1][1] = last + half
            else:
                zones.append([max(first - half, 0), last + half])
        curve = [(0.0, 0.0, 1.0)]
        for threshold in sorted(set(score), reverse=True):
            taken = score >= threshold
            true = soft[taken].sum()
            actual = (truth.sum() + truth.sum() + soft[taken & ~truth].sum()) / 2.0
            existence = np.mean([taken[low : high + 1].any() for low, high in zones])
            curve.append((min(true / actual, 1.0) * existence, (taken.sum() - true) / (n - actual), true / taken.sum()))
        pairs = list(itertools.pairwise(curve))
        pr = sum((here[0] - before[0]) * here[2] for before, here in pairs)
        roc = sum((here[1] - before[1]) * (here[0] + before[0]) / 2.0 for before, here in pairs)
        last_recall, last_false, _ = curve[-1]
        areas.append((roc + (1.0 - last_false) * (1.0 + last_recall) / 2.0, pr))
    return np.mean(areas, axis=0)


def slow_ranges(of, by, existence):
    """Range recall of `of` by `by`, interval by interval."""
    rewards = []
    for first, last in stretches(of):
        parts = [(max(first, a), min(last, b)) for a, b in stretches(by) if a <= last and b >= first]
        size = sum(b - a + 1 for a, b in parts) / (last - first + 1)
        rewards.append(existence * bool(parts) + (1.0 - existence) * size / max(len(parts), 1))
    return np.mean(rewards) if rewards else math.nan


def some_events(rng, n):
    truth = np.zeros(n, bool)
    for _ in range(rng.integers(1, 6)):
        start = rng.integers(0, n)
        truth[start : start + rng.integers(1, 20)] = True
    return truth


def example():
    """120 records and four events, one of them at the end and two whose buffers meet."""
    i = np.arange(120)
    truth = ((i >= 20) & (i < 28)) | ((i >= 33) & (i < 36)) | (i == 70) | (i >= 112)
    return (i * 37 % 101) / 101 + 0.5 * truth, truth


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("buffer", [0, 1, 6, 25])
def test_volume_is_as_defined(seed, buffer):
    rng = np.random.default_rng(seed)
    truth = some_events(rng, 90)
    score = np.round(rng.normal(size=90) + rng.random() * truth, 1 if seed % 2 else 9)
    assert volume(score, truth, buffer)[:2] == pytest.approx(slow_volume(score, truth, buffer), abs=1e-12)


@pytest.mark.parametrize(
    ("buffer", "roc", "pr"),
    [
        (0, 0.8654999999999999, 0.7110418582992033),
        (7, 0.8985129529067173, 0.7609128426305503),
        (24, 0.9426316625340276, 0.8408175529998823),
    ],
)
def test_volume_is_that_of_the_authors_package(buffer, roc, pr):
    """Figures of `RangeAUC_volume_opt` of vus 0.0.6, with so many thresholds that every score is one."""
    score, truth = example()
    found = volume(score, truth, buffer)
    assert (found.roc, found.pr) == pytest.approx((roc, pr), abs=1e-12)


def test_without_a_buffer_single_records_give_the_average_precision():
    from clipdetect.metrics import average_precision

    rng = np.random.default_rng(3)
    truth = np.zeros(200, bool)
    truth[::40] = True
    score = rng.normal(size=200) + 3.0 * truth
    assert volume(score, truth, 0).pr <= average_precision(score, truth)  # recall is multiplied by existence
    assert volume(truth + 0.0, truth, 0).pr == volume(truth + 0.0, truth, 0).roc == 1.0


def test_a_near_miss_is_worth_something_to_the_volume_only():
    truth = np.zeros(300, bool)
    truth[100:110] = True
    score = np.zeros(300)
    score[96:99] = 5.0
    assert volume(score, truth, 20).pr > 5.0 * volume(score, truth, 0).pr


def test_the_buffer_is_the_median_length_of_an_event_and_at_most_100():
    truth = np.zeros(1000, bool)
    for start, length in ((10, 3), (100, 7), (300, 400)):
        truth[start : start + length] = True
    assert volume(np.arange(1000.0), truth).buffer == 7
    truth[:] = False
    truth[300:700] = True
    assert volume(np.arange(1000.0), truth).buffer == 100


def test_no_buffer_crosses_a_key():
    score, truth = example()
    begins = np.zeros(240, bool)
    begins[[0, 120]] = True
    other = np.zeros(120, bool)
    both = volume(np.concatenate((score, score)), np.concatenate((truth, other)), 24, begins)
    apart = volume(np.concatenate((score, np.zeros(60), score)), np.concatenate((truth, other[:60], other)), 24)
    open_end = volume(np.concatenate((score, score)), np.concatenate((truth, other)), 24)
    assert both.pr < open_end.pr  # the event at the end of the first key has no buffer after it
    assert apart.roc != both.roc


def test_very_many_anomalies_take_fewer_buffers_and_nearly_the_same_figure(monkeypatch):
    from clipdetect.metrics import volume as package  # the function; its module is behind it

    rng = np.random.default_rng(5)
    truth = some_events(rng, 3000)
    truth[1000:1900] = True
    score = rng.normal(size=3000) + truth
    exact = volume(score, truth, 100)
    monkeypatch.setitem(package.__globals__, "MOST_WORK", 1000)
    assert volume(score, truth, 100)[:2] == pytest.approx(exact[:2], abs=1e-3)


@pytest.mark.parametrize("seed", range(20))
def test_range_measures_are_as_defined(seed):
    rng = np.random.default_rng(seed)
    truth, flag = some_events(rng, 80), rng.random(80) < rng.random()
    found = range_measures(flag, truth)
    assert found.recall == pytest.approx(slow_ranges(truth, flag, 0.2), abs=1e-12)
    assert found.precision == pytest.approx(slow_ranges(flag, truth, 0.0), abs=1e-12, nan_ok=True)


def test_range_measures_are_those_of_prts():
    """Figures of prts 1.0.0.3 with flat bias, reciprocal cardinality, and alpha .2 of the recall."""
    score, truth = example()
    found = range_measures(score > 0.9, truth)
    assert (found.precision, found.recall) == pytest.approx((0.42105263157894735, 0.6083333333333334), abs=1e-12)


def test_one_alert_an_event_finds_all_events_and_little_of_their_ranges():
    truth, flag = np.zeros(100, bool), np.zeros(100, bool)
    truth[20:70], flag[20] = True, True
    found = range_measures(flag, truth)
    assert found.precision == 1.0
    assert found.recall == pytest.approx(0.2 + 0.8 / 50)
