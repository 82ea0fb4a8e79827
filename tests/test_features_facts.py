"""What each feature says of streams of which the answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from naive.features import Stream, bound, drive, run

DAY = 86400.0
MONDAY = 1_700_438_400.0  # 2023-11-20 00:00 UTC


def every(step: float, n: int, start: float = MONDAY) -> Stream:
    return Stream(start + step * np.arange(n))


# -- rate -------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_second", [0.5, 2.0, 50.0])
def test_a_steady_stream_reads_rate_times_window(per_second):
    n = int(600 * per_second)
    decayed = run("rate:window=60s,log=false", every(1.0 / per_second, n))
    assert decayed[-1] == pytest.approx(60.0 * per_second + 0.5, rel=0.01)  # the record itself is half too many
    windowed = run("rate:window=60s,log=false,shape=window", every(1.0 / per_second, n))
    assert windowed[-1] == pytest.approx(60.0 * per_second, abs=1.01)


@pytest.mark.parametrize("shape", ["decay", "window"])
def test_the_first_record_is_one_record(shape):
    assert run(f"rate:log=false,shape={shape}", every(1.0, 1)).tolist() == [1.0]
    assert run(f"rate:log=true,shape={shape}", every(1.0, 1)).tolist() == [math.log1p(1.0)]


@pytest.mark.parametrize("shape", ["decay", "window"])
def test_a_burst_is_counted_and_then_gone(shape):
    stream = Stream(MONDAY + np.array([*np.arange(14) * 0.1, 3600.0]))
    found = run(f"rate:window=60s,log=false,shape={shape}", stream)
    assert found[13] == pytest.approx(14.0, rel=0.03)
    assert found[14] == pytest.approx(1.0, abs=1e-12)


def test_the_sum_of_a_field_may_be_negative_and_its_log_is_signed():
    stream = Stream(MONDAY + np.arange(3), {"a": np.array([-5.0, np.nan, 2.0])})
    assert run("rate:of=a,log=true", stream)[0] == -math.log1p(5.0)
    assert np.isnan(run("rate:of=a", stream)[1])


def test_records_that_do_not_meet_the_condition_are_told_the_count_too():
    stream = Stream(MONDAY + np.zeros(4), texts={"method": ["POST", "GET", "", "POST"]})
    assert run("rate:where=method=POST,log=false", stream).tolist() == [1.0, 1.0, 1.0, 2.0]
    assert run("rate:where=method!=POST,log=false", stream).tolist() == [0.0, 1.0, 1.0, 1.0]
    assert run("rate:where=method,log=false", stream).tolist() == [1.0, 2.0, 2.0, 3.0]


@pytest.mark.parametrize(("where", "expected"), [("<400", 1), ("<=400", 2), (">400", 1), (">=400", 2)])
def test_numbers_are_compared(where, expected):
    stream = Stream(MONDAY + np.zeros(4), {"status": np.array([200.0, 400.0, 500.0, np.nan])})
    assert run(f"rate:where=status{where},log=false", stream)[-1] == expected


def test_equal_means_equal_text_of_a_number_too():
    stream = Stream(MONDAY + np.zeros(3), texts={"status": ["500", "\x00500", "200"]})
    assert run("rate:where=status=500,log=false", stream).tolist() == [1.0, 2.0, 2.0]


@pytest.mark.parametrize("spec", ["rate:log=false", "rate:log=false,shape=window", "distinct:field=x,log=false"])
def test_a_late_record_counts_as_at_the_last_ones_time(spec):
    texts = {"x": [f"v{i}" for i in range(4)]}
    late = run(spec, Stream(MONDAY + np.array([0.0, 100.0, 10.0, 100.0]), texts=texts))
    level = run(spec, Stream(MONDAY + np.array([0.0, 100.0, 100.0, 100.0]), texts=texts))
    assert np.array_equal(late, level)


@pytest.mark.parametrize("shape", ["decay", "window"])
def test_a_clock_that_ran_ahead_is_set_back(shape):
    time = MONDAY + np.arange(400.0)
    time[100] += 10 * DAY  # one wrong date
    found = run(f"rate:window=60s,log=false,shape={shape}", Stream(time))
    assert found[399] == pytest.approx(60.5, abs=1.0)


# -- distinct ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("values", "within"), [(1, 0.01), (57, 0.25), (100, 0.25), (300, 0.3)])
def test_distinct_counts_values_not_records(values, within):
    n = 10 * values
    stream = Stream(MONDAY + np.arange(n) / n, texts={"path": [f"/{i % values}" for i in range(n)]})
    assert run("distinct:field=path,log=false", stream)[-1] == pytest.approx(values, rel=within)


def test_the_error_of_distinct_is_that_of_its_docstring():
    errors = []
    for seed in range(40):
        stream = Stream(MONDAY + np.arange(100) / 100, texts={"path": [f"{seed}/{i}" for i in range(100)]})
        errors.append(run("distinct:field=path,log=false", stream)[-1] / 100 - 1)
    assert abs(np.mean(errors)) < 0.03
    assert 0.05 < np.std(errors) < 0.10  # 6 to 8% over more seeds


def test_distinct_saturates_and_stays_finite():
    stream = Stream(MONDAY + np.zeros(2000), texts={"path": [str(i) for i in range(2000)]})
    assert run("distinct:field=path,log=false", stream)[-1] == pytest.approx(128 * math.log(256))


def test_values_leave_the_window():
    stream = Stream(MONDAY + np.array([0.0, 1.0, 59.9, 60.5, 200.0]), texts={"path": list("abcde")})
    assert np.round(run("distinct:field=path,window=60s,log=false", stream)).tolist() == [1, 2, 3, 3, 1]


def test_the_epoch_itself_is_a_time():
    stream = Stream(np.zeros(3), texts={"path": list("abc")})
    assert np.round(run("distinct:field=path,log=false", stream)).tolist() == [1, 2, 3]


# -- interval, gap, hour ----------------------------------------------------------------------


def test_interval_is_a_log_of_seconds_and_bounded_at_zero():
    found = run("interval", Stream(MONDAY + np.array([0.0, 11.0, 11.0, 5.0, 3611.0])))
    assert np.isnan(found[0])
    assert found[1:].tolist() == [math.log1p(11.0), 0.0, 0.0, math.log1p(3600.0)]


def test_gap_speaks_only_beyond_its_limit():
    found = run("gap:limit=60s", Stream(MONDAY + np.array([0.0, 60.0, 372.0, 373.0])))
    assert np.isnan(found[[0, 1, 3]]).all() and found[2] == 312.0


def test_hour_is_no_jump_across_midnight():
    rng = np.random.default_rng(0)
    time = MONDAY + DAY * np.arange(200) + rng.normal(0.0, 1800.0, 200)  # around midnight
    found = run("hour", Stream(time))
    assert np.ptp(found) < 3.5 and np.std(found) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("usual", [0.0, 6.5, 12.0, 23.9])
def test_hour_stands_on_the_clock_and_shows_the_odd_visit(usual):
    time = MONDAY + DAY * np.arange(60) + 3600.0 * usual
    time[50] += 5.0 * 3600.0
    found = run("hour", Stream(time))
    assert found[0] == pytest.approx(usual)
    assert found[50] - found[49] == pytest.approx(5.0, abs=0.5)
    assert abs(found[51] - found[49]) < 0.5


def test_a_burst_does_not_move_the_usual_hour():
    calm = MONDAY + DAY * np.arange(20) + 9 * 3600.0
    burst = calm[-1] + 18 * 3600.0 + np.arange(3000) * 0.2  # at three in the morning
    found = run("hour", Stream(np.concatenate([calm, burst, [calm[-1] + DAY]])))
    assert np.abs(found[20:3020] - (3.0 + 24.0 * (found[20] > 12))).max() < 0.2
    assert found[-1] == pytest.approx(9.0, abs=0.01)


def test_hour_of_the_week_begins_on_monday():
    assert run("hour:weekly=true", Stream(np.array([MONDAY])))[0] == 0.0
    assert run("hour:weekly=true,offset=2", Stream(np.array([MONDAY + 2 * DAY])))[0] == 50.0
    assert run("hour:offset=-5", Stream(np.array([MONDAY])))[0] == 19.0


# -- rare -------------------------------------------------------------------------------------


def test_a_new_value_is_not_surprising_in_a_young_key_and_is_in_an_old_one():
    stream = Stream(np.zeros(1002), texts={"x": ["new", *["old"] * 1000, "odd"]})
    found = run("rare:field=x,half_life=0", stream)
    assert found[0] == pytest.approx(math.log10(2.0)) and found[1] == pytest.approx(math.log10(4.0))
    assert found[1000] < 0.001
    assert found[1001] == pytest.approx(math.log10(1002.0 / 0.5))


def test_rarity_is_forgotten_by_half_life():
    stream = Stream(np.zeros(3001), texts={"x": [*["a"] * 1000, *["b"] * 2000, "a"]})
    assert run("rare:field=x,half_life=100", stream)[-1] > 2.0
    assert run("rare:field=x,half_life=0", stream)[-1] == pytest.approx(math.log10(3001.0 / 1000.5))


def test_given_is_what_is_rare_for_this_user():
    users, calls = ["alice", "bob"] * 500, ["read", "delete"] * 500
    stream = Stream(np.zeros(1001), texts={"user": [*users, "alice"], "call": [*calls, "delete"]})
    assert run("rare:field=call,half_life=0", stream)[-1] < 0.31
    assert run("rare:field=call,given=user,half_life=0", stream)[-1] == pytest.approx(math.log10(501.0 / 0.5))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("given", ["", "y"])
def test_no_value_is_taken_for_rarer_than_it_is(given, seed):
    rng = np.random.default_rng(seed)
    often = np.where(rng.random(4000) < 0.5, rng.integers(0, 80, 4000), rng.zipf(1.3, 4000) % 5000)
    texts = {"x": [str(v) for v in often], "y": [str(v) for v in rng.integers(0, 3, 4000)]}
    stream = Stream(np.zeros(4000), texts=texts)
    tight = run({"rare": {"field": "x", "given": given, "buckets": 64, "half_life": 500}}, stream)
    exact = run({"rare": {"field": "x", "given": given, "buckets": 8192, "half_life": 500}}, stream)
    assert (tight <= exact + 1e-9).all() and (tight < exact - 0.1).any()


@pytest.mark.parametrize(("values", "error"), [(250, 0.0), (500, 0.002), (900, 0.05)])
def test_counts_are_nearly_exact_while_the_values_fit(values, error):
    rng = np.random.default_rng(1)
    stream = Stream(np.zeros(8000), texts={"x": [str(v) for v in rng.integers(0, values, 8000)]})
    off = np.abs(run("rare:field=x,buckets=1024", stream) - run("rare:field=x,buckets=65536", stream))
    assert off.mean() <= error


# -- log, diff, flatline ----------------------------------------------------------------------


def test_log_keeps_zero_sign_and_order():
    x = np.array([-1e9, -1.0, 0.0, 1e-3, 1.0, 1e9])
    found = run("log:field=a", Stream(np.zeros(6), {"a": x}))
    assert found[2] == 0.0 and found[0] == -found[5] and (np.diff(found) > 0).all()


def test_a_counter_that_starts_anew_has_no_value_there():
    stream = Stream(MONDAY + 10.0 * np.arange(5), {"c": np.array([100.0, 130.0, 5.0, 25.0, 25.0])})
    found = run({"diff": {"field": "c", "per_second": True, "counter": True}}, stream)
    assert np.isnan(found[[0, 2]]).all() and found[[1, 3, 4]].tolist() == [3.0, 2.0, 0.0]


def test_change_at_the_same_second_is_in_the_next_difference():
    stream = Stream(MONDAY + np.array([0.0, 0.0, 2.0]), {"c": np.array([1.0, 5.0, 11.0])})
    found = run("diff:field=c,per_second=true", stream)
    assert np.isnan(found[:2]).all() and found[2] == 5.0


def test_flatline_speaks_once_and_again_at_ten_times_the_length():
    x = np.array([1.0, *[7.0] * 120, 8.0, np.nan, 8.0, 8.0])
    found = run("flatline:field=a,length=3", Stream(np.zeros(len(x)), {"a": x}))
    assert np.flatnonzero(np.isfinite(found)).tolist() == [3, 30, 124]
    assert found[[3, 30, 124]].tolist() == [3.0, 30.0, 3.0]


def test_each_watched_column_has_its_own_run_and_columns_may_come():
    feature = bound("flatline:field=*,length=2", ["a"])
    assert feature.names() == ["flatline(a)"]
    feature.bind(["a", "b"], feature.params)
    stream = Stream(np.zeros(2), {"a": np.array([1.0, 1.0]), "b": np.array([1.0, 2.0])})
    out, _ = drive(feature, stream)
    assert np.isfinite(out).tolist() == [[False, False], [True, False]]
