"""Feedback: labels with the records, and what people say afterwards, move one key's limit within bounds."""

from __future__ import annotations

import json

import numpy as np
import pytest
from feeding import feed

from clipdetect import Detector, state
from clipdetect.cli import main
from clipdetect.errors import ConfigError
from clipdetect.jit import available
from clipdetect.numerics.gates import FEEDBACK_STEP, LOOSEST, STRICTEST, correct
from clipdetect.testing import stream


def corrected(scores, labels, moved=0.0, teach=True, learn=True, limit=3.0):
    """Flags after feedback, and where the key's limit ends."""
    score = np.array(scores, float)
    flag = (score >= limit).astype(np.int8)
    at = np.array([moved])
    n = len(score)
    correct(np.zeros(n, np.int64), np.array(labels, float), np.full(n, learn), teach, limit, at, score, flag)
    return flag.tolist(), float(at[0])


def test_a_false_alarm_makes_the_limit_stricter_and_a_near_miss_looser():
    assert corrected([3.2, 3.2], [0, 0]) == ([1, 0], FEEDBACK_STEP)
    assert corrected([2.9, 2.9], [1, np.nan]) == ([0, 1], -FEEDBACK_STEP)
    assert corrected([0.2], [1]) == ([0], 0.0)  # wholly normal to look at: no limit would have found it
    assert corrected([3.2, np.nan, 2.9], [1, 0, 0]) == ([1, 0, 0], 0.0)  # right already, or no score


def test_the_limit_stays_within_bounds():
    assert corrected([99.0] * 50, [0] * 50)[1] == STRICTEST
    assert corrected([2.0] * 50, [1] * 50)[1] == LOOSEST
    assert corrected([0.2], [np.nan], LOOSEST, limit=0.5) == ([0], LOOSEST)  # never below half the limit
    assert corrected([0.3], [np.nan], LOOSEST, limit=0.5) == ([1], LOOSEST)


def test_without_teaching_or_learning_labels_do_nothing():
    assert corrected([3.2], [0], teach=False) == ([1], 0.0)
    assert corrected([3.2], [0], learn=False) == ([1], 0.0)
    assert corrected([3.2], [np.nan], 0.5, teach=False) == ([0], 0.5)  # what was said before still holds


def test_labels_are_a_matter_of_their_key():
    X = stream(1200, 1)
    keys = ["a" if i % 2 else "b" for i in range(1200)]
    label = np.where(np.arange(1200) % 2 == 1, 0.0, np.nan)
    with_, without = (Detector(labelled=True, feedback=on, rate=0.05, engine="python") for on in (True, False))
    taught, plain = with_.step(X, keys, label=label), without.step(X, keys, label=label)
    own = np.array(keys) == "a"
    assert taught.flag[own].sum() < plain.flag[own].sum()
    assert np.array_equal(taught.flag[~own], plain.flag[~own])
    assert taught.score.tobytes() == plain.score.tobytes()


@pytest.mark.skipif(not available(), reason="needs numba")
def test_engines_agree_and_a_state_goes_on():
    X, label = stream(600, 2), np.resize([0.0, np.nan, 1.0], 600)

    def made(engine):
        return Detector(labelled=True, feedback=True, rate=0.05, engine=engine)

    whole, compiled, first, second = made("python"), made("numba"), made("python"), made("python")
    expected = whole.step(X, label=label)
    assert compiled.step(X, label=label).flag.tobytes() == expected.flag.tobytes()
    first.step(X[:300], label=label[:300])
    second.load(*first.dump())
    assert second.step(X[300:], label=label[300:]).flag.tobytes() == expected.flag[300:].tobytes()


def labelled(n: int = 1500) -> bytes:
    rng = np.random.default_rng(2)
    rows = [(f"k{i % 2}", rng.standard_t(3), int(i % 2)) for i in range(n)]
    return "".join(f'{{"k":"{k}","x":{x:.4f},"y":{y}}}\n' for k, x, y in rows).encode()


def test_on_the_command_line_it_is_asked_for():
    data = labelled().replace(b'"y":1', b'"y":0')
    plain, taught = (feed(data, by="k", label="y", feedback=on, rate=0.02)[0] for on in (False, True))
    assert taught.count(b'"anomaly":true') < plain.count(b'"anomaly":true')
    with pytest.raises(ConfigError, match="--feedback: nothing to learn from: name the truth by --label"):
        feed(data, feedback=True)


@pytest.fixture
def saved(tmp_path):
    path = str(tmp_path / "s.bin")
    feed(labelled(), by="k", state=path, rate=0.02)
    return path


def moved(path: str, key: str) -> float:
    _, keys, arrays = state.load(path)
    return float(arrays["key/moved"][keys.index(key)])


def test_what_is_said_afterwards_is_kept_and_can_be_taken_back(saved, capsys):
    for _ in range(3):
        assert main(["feedback", "--state", saved, "--key", "k1", "--false-alarm"]) == 0
    assert (moved(saved, "k1"), moved(saved, "k0")) == (3 * FEEDBACK_STEP, 0.0)
    assert main(["feedback", "--state", saved, "--key", "k1", "--missed"]) == 0
    assert moved(saved, "k1") == 2 * FEEDBACK_STEP
    assert main(["feedback", "--state", saved, "--key", "k1", "--undo"]) == 0
    assert moved(saved, "k1") == 3 * FEEDBACK_STEP
    capsys.readouterr()
    assert main(["feedback", "--state", saved]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "k1: false alarm after 1,500 records, limit +0 -> +0.25 decades"
    assert said[-1] == "k1: limit +0.75 decades now"
    assert len(said) == 4


def test_a_run_goes_on_with_what_was_said(saved, tmp_path):
    again = str(tmp_path / "again.bin")
    data = b"".join(b'{"k":"k1","x":%d.5,"y":0}\n' % (20 + i) for i in range(3))
    with open(saved, "rb") as source, open(again, "wb") as copy:
        copy.write(source.read())
    before = feed(data, by="k", state=again, rate=0.02)[0]
    for _ in range(20):
        main(["feedback", "--state", saved, "--key", "k1", "--false-alarm"])
    after = feed(data, by="k", state=saved, rate=0.02)[0]
    first, second = ([json.loads(line) for line in each.splitlines()] for each in (before, after))
    assert [record["score"] for record in first] == [record["score"] for record in second]
    assert moved(saved, "k1") == STRICTEST
    assert [record["anomaly"] for record in second] == [record["score"] >= 1.69897 + STRICTEST for record in first]
    assert main(["feedback", "--state", saved]) == 0  # the log is still there


def test_keys_may_be_numbers_and_several(tmp_path):
    path = str(tmp_path / "s.bin")
    feed(b'{"a":7,"b":"x","v":1}\n{"a":null,"b":"y","v":2}\n', by="a,b", state=path)
    for key in ("7,x", "null,y"):
        assert main(["feedback", "--state", path, "--key", key, "--missed"]) == 0
    assert main(["feedback", "--state", path, "--key", "8,x", "--missed"]) == 1


def test_one_model_needs_no_key_and_nothing_said_is_nothing_to_undo(tmp_path, capsys):
    path = str(tmp_path / "s.bin")
    feed(b"1\n2\n", state=path)
    assert main(["feedback", "--state", path, "--undo"]) == 1
    assert "nothing has been said of this key" in capsys.readouterr().err
    assert main(["feedback", "--state", path, "--false-alarm"]) == 0
    assert moved(path, "") == FEEDBACK_STEP
    assert main(["feedback", "--state", path, "--key", "x", "--false-alarm"]) == 1
    assert "leave --key out" in capsys.readouterr().err
