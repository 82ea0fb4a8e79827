"""Incidents: what belongs together is flagged once, by key or by group, in records or in time."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from feeding import feed

from clipdetect.errors import ConfigError
from clipdetect.incidents import Incidents
from clipdetect.records import Reason
from clipdetect.settings import Silence

UP, DOWN = Reason("x", 9.0, 1.0, 8.0), Reason("x", -9.0, 1.0, -8.0)
OTHER = Reason("y", 9.0, 1.0, 8.0)


def joined(incidents: Incidents, flags: dict[int, Reason], scopes: list[str], time=None):
    """Which records stay flagged, and the incident of each."""
    anomaly = np.zeros(len(scopes), bool)
    anomaly[list(flags)] = True
    why = {i: [reason] for i, reason in flags.items()}
    numbers = incidents.join(anomaly, why, scopes, None if time is None else np.array(time, float))
    assert set(why) == set(np.flatnonzero(anomaly).tolist())
    return np.flatnonzero(anomaly).tolist(), numbers.tolist()


def test_flags_within_the_silence_join_the_first():
    flags = dict.fromkeys((0, 1, 4, 7, 11), UP)
    kept, numbers = joined(Incidents(Silence(records=4), 9), flags, ["k"] * 12)
    assert kept == [0, 11]  # 4 records after the one before is too late, 3 are not
    assert [numbers[i] for i in flags] == [1, 1, 1, 1, 12]


def test_another_key_direction_or_field_is_another_incident():
    flags = {0: UP, 1: DOWN, 2: OTHER, 3: UP, 4: UP, 5: DOWN}
    kept, numbers = joined(Incidents(Silence(records=9), 9), flags, ["k", "k", "k", "other", "k", "k"])
    assert kept == [0, 1, 2, 3]
    assert numbers == [1, 2, 3, 4, 1, 2]


def test_only_the_records_of_the_scope_count():
    scopes = ["k", *["other"] * 50, "k", -1, "k"]
    kept, numbers = joined(Incidents(Silence(records=3), 9), {0: UP, 51: UP, 52: UP}, scopes)
    assert kept == [0, 52] and numbers[52] == 0  # a record without a scope stands alone


def test_time_ends_an_incident_and_a_record_without_time_joins():
    flags = dict.fromkeys(range(6), UP)
    time = [0, 59, 118, np.nan, 177, 237]
    kept, _ = joined(Incidents(Silence(seconds=60.0), 9), flags, ["k"] * 6, time)
    assert kept == [0, 5]


def test_cuts_and_a_restart_change_nothing():
    rng = np.random.default_rng(1)
    scopes = [f"k{i}" for i in rng.integers(0, 5, 600)]
    flags = {int(i): [UP, DOWN, OTHER][i % 3] for i in np.flatnonzero(rng.random(600) < 0.2)}
    whole = joined(Incidents(Silence(records=5), 3), flags, scopes)
    kept, numbers = [], []
    incidents = Incidents(Silence(records=5), 3)
    for start in range(0, 600, 37):
        part = {i - start: reason for i, reason in flags.items() if start <= i < start + 37}
        again = Incidents(Silence(records=5), 3)
        again.load(json.loads(json.dumps(incidents.dump())))
        start_of_block = again.mark()
        joined(again, part, scopes[start : start + 37])
        again.back(start_of_block)
        assert again.dump() == incidents.dump()
        incidents = Incidents(Silence(records=5), 3)
        incidents.load(again.dump())
        found = joined(incidents, part, scopes[start : start + 37])
        kept += [start + i for i in found[0]]
        numbers += found[1]
    assert (kept, numbers) == whole


def test_no_more_scopes_than_asked_for_are_kept():
    incidents = Incidents(Silence(records=1000), 10)
    joined(incidents, dict.fromkeys(range(500), UP), [f"k{i}" for i in range(500)])
    assert list(incidents.open) == [f"k{i}" for i in range(490, 500)]


def shifted(keys: int = 40, rounds: int = 120, at: int = 80, share: float = 0.6, seed: int = 0) -> bytes:
    """A record of each key a round; from `at` on a share of them stands 20 units higher."""
    rng = np.random.default_rng(seed)
    lines = []
    for r in range(rounds):
        for k in range(keys):
            x = rng.normal() + (20.0 if r >= at and k < share * keys else 0.0)
            lines.append(f'{{"t":{60 * r + k},"host":"h{k}","region":"eu","x":{x:.4f}}}\n')
    return "".join(lines).encode()


def test_a_shift_of_many_keys_is_reported_once():
    data = shifted()
    before = [json.loads(line) for line in feed(data, by="host", engine="auto")[0].splitlines()]
    shift = [i for i, record in enumerate(before) if record["anomaly"] and i >= 80 * 40]
    assert len(shift) > 100
    out, _, pipeline = feed(data, by="host", group="region", engine="auto")
    after = [json.loads(line) for line in out.splitlines()]
    up = [i for i in shift if after[i]["anomaly"] and before[i]["why"][0]["deviation"] > 0]
    assert up == [shift[0]]
    same = [after[i]["incident"] for i in shift if before[i]["why"][0]["deviation"] > 0]
    assert set(same) == {shift[0] + 1}
    assert all("why" not in record or record["anomaly"] for record in after)
    assert any("1 incidents" in line or "incidents, with" in line for line in pipeline._counters())


def test_a_level_shift_of_one_key_is_one_flag_and_one_change():
    rng = np.random.default_rng(3)
    x = rng.normal(size=600)
    x[400:] += 8.0
    data = "".join(f"{value:.4f}\n" for value in x).encode()
    before = feed(data)[0].count(b"\ttrue")
    out = feed(data, episode="50", changepoint="clipped_mean")[0].decode()
    rows = [line.split("\t") for line in out.splitlines()]
    assert before > 3
    assert [i for i, row in enumerate(rows) if row[2] == "true"] == [400]
    assert [400 <= i < 410 for i, row in enumerate(rows) if row[3] == "true"] == [True]
    assert {row[4] for row in rows[401:410]} & {"401"}


def test_csv_has_a_column_of_incidents():
    rows = "t,x\n" + "".join(f"a,{v}\n" for v in [*np.random.default_rng(0).normal(size=200), 50.0, 51.0, 0.0])
    table = list(csv.DictReader(io.StringIO(feed(rows.encode(), episode="10")[0].decode())))
    assert [row["incident"] for row in table[199:]] == ["", "201", "201", ""]
    assert [row["anomaly"] for row in table[199:]] == ["false", "true", "false", "false"]


@pytest.mark.parametrize(("value", "message"), [("x", "must be a number of records, or a time"), ("1", "at least 2")])
def test_a_wrong_episode_is_refused(value, message):
    with pytest.raises(ConfigError, match=message):
        feed(b"1\n", episode=value)


def test_an_episode_in_time_needs_times():
    with pytest.raises(ConfigError, match="--episode with a time needs that of each record"):
        feed(b"1\n", episode="10m")
