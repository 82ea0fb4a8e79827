"""State files with a right checksum and wrong content are refused in one sentence, or go on; nothing in between.

`python tests/test_forged_state.py 5000` tries that many.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from feeding import feed
from forging import forged, packed, parts, with_head
from logwriter import follow

from clipdetect import Detector
from clipdetect.cli import main
from clipdetect.errors import StateError
from clipdetect.thresholds.tail import Tail


def records(n, seed):
    rng = np.random.default_rng(seed)
    return b"".join(
        b'{"ts":%d,"h":"k%d","x":%.3f,"y":%.2f,"s":"%s","truth":%d}\n'
        % (1_700_000_000 + 7 * i, i % 3, rng.normal(), rng.standard_t(3), (b"abc", b"d", b"e")[i % 3], i % 50 == 0)
        for i in range(n)
    )


FIRST, MORE = records(300, 1), records(40, 2)
DERIVED = ["rate:window=60s", "rare:field=s,per=h", "gap:limit=60s", "diff:field=y", "hour", "template:field=s"]
CONFIGURATIONS = {
    "one series": {"field": ["x"]},
    "several fields": {},
    "keys": {"by": "h"},
    "features": {"derive": DERIVED, "time": "ts"},
    "incidents": {"episode": "20", "by": "h", "rate": 0.05},
    "groups": {"group": "s", "rate": 0.05, "field": ["x"]},
    "labels": {"label": "truth", "feedback": True, "field": ["x"], "rate": 0.05, "changepoint": "focus"},
    "a log": {"input_format": "syslog", "derive": ["rate"]},
}
LOG = b"".join(b"Mar %2d 0%d:00:00 gate sshd[%d]: word %d\n" % (i % 28 + 1, i % 10, i, i) for i in range(60))


def saved(folder: Path) -> dict[str, bytes]:
    """A state file of each configuration, with something in every part of it."""
    log, found = folder / "a.log", {}
    log.write_bytes(LOG)
    followed = follow([log], patience=1).saved
    said = [["", "missed", 0.0, -0.25, 7], ["k1", "false alarm", 0.25, 0.5, 9]]
    for name, flags in CONFIGURATIONS.items():
        path = folder / "saved.bin"
        path.unlink(missing_ok=True)
        _, told, pipeline = feed(LOG if "log" in name else FIRST, state=str(path), **flags)
        assert pipeline.code == 0, told
        found[name] = with_head(path.read_bytes(), followed=followed, feedback=said)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("states")


@pytest.fixture(scope="module")
def states(folder):
    return saved(folder)


def resumed(path: Path, name: str) -> str:
    """What comes of a state file: `refused` or `went on`; anything else is raised."""
    log = path.with_name("a.log")
    log.write_bytes(LOG)
    try:
        _, told, pipeline = feed(LOG if "log" in name else MORE, state=str(path), **CONFIGURATIONS[name])
        if pipeline.code:
            raise StateError(*told)
        follow([log], saved=pipeline.session.followed, patience=2)
    except StateError as error:
        assert str(error).startswith(f"{path}: ")
        assert "\n" not in str(error)
        assert len(str(error)) < 10_000
        return "refused"
    return "went on"


def attempts(folder: Path, states: dict[str, bytes], seed: int, n: int) -> Counter[str]:
    """What came of n forged files, each resumed from, looked at, and told what a flag was worth."""
    chance, found = random.Random(seed), Counter()
    path = folder / "m.bin"
    for i in range(n):
        name = chance.choice(list(states))
        content = forged(states[name], chance)
        for command in (["state", "--json"], ["state"], ["feedback", "--state"], ["feedback", "--undo", "--state"]):
            path.write_bytes(content)
            assert main([*command, str(path)]) in (0, 1), (seed, i, name, command)
        path.write_bytes(content)
        try:
            found[resumed(path, name)] += 1
        except BaseException as error:
            error.add_note(f"seed {seed}, attempt {i}, {name}")
            raise
    return found


def test_a_forged_state_is_refused_or_goes_on(tmp_path, states, capsys):
    found = attempts(tmp_path, states, 0, 120)
    assert set(found) == {"refused", "went on"}
    said = capsys.readouterr().err.splitlines()
    assert all(line.startswith(f"clipdetect: {tmp_path}") for line in said)


def test_what_is_not_forged_goes_on(tmp_path, states):
    for name, content in states.items():
        (tmp_path / "m.bin").write_bytes(content)
        assert resumed(tmp_path / "m.bin", name) == "went on"


@pytest.mark.parametrize("depth", [99, 900, 100_000])
@pytest.mark.parametrize("where", ["head", "keys", "config"])
def test_deep_nesting_is_refused(tmp_path, states, capsys, depth, where):
    head, keys, body = parts(states["keys"])
    nest = b'{"a":' * depth + b"1" + b"}" * depth
    text = json.dumps(head).encode()
    if where == "head":
        content = packed(nest, keys, body)
    elif where == "keys":
        lists = b"[" * depth + b"]" * depth
        content = packed(json.dumps({**head, "key_bytes": len(lists)}).encode(), lists, body)
    else:
        content = packed(text[:-1] + b',"config":{"by":["h"],"seed":' + nest + b"}}", keys, body)
    (tmp_path / "m.bin").write_bytes(content)
    assert resumed(tmp_path / "m.bin", "keys") == "refused"
    assert main(["state", str(tmp_path / "m.bin")]) == 1
    assert "m.bin: the state file is damaged (" in capsys.readouterr().err


@pytest.mark.parametrize("shape", [[10**30], [1 << 62, 4], [0, 1 << 62], [0, 10**30], [-1], [1] * 50, [2**31, 2**31]])
def test_huge_arrays_are_refused(tmp_path, states, shape):
    head, keys, body = parts(states["keys"])
    for arrays in ([["x", "<f8", shape]], [*head["arrays"], ["x", "<f8", shape]]):
        (tmp_path / "m.bin").write_bytes(packed(json.dumps({**head, "arrays": arrays}).encode(), keys, body))
        assert resumed(tmp_path / "m.bin", "keys") == "refused"


@pytest.mark.parametrize("file", ["a\0b", "a\ud800b"], ids=["NUL", "surrogate"])
def test_a_path_that_can_be_none_is_refused(tmp_path, states, file):
    head, _, _ = parts(states["keys"])
    ((log, (place, *_)),) = head["followed"].items()
    content = with_head(states["keys"], followed={log: [{**place, "file": file}]})
    (tmp_path / "m.bin").write_bytes(content)
    assert resumed(tmp_path / "m.bin", "keys") == "refused"


def test_a_long_setting_is_cut_short_in_the_message(tmp_path, states):
    content = with_head(states["keys"], config={"by": ["h"], "time": "x" * 10**6})
    (tmp_path / "m.bin").write_bytes(content)
    assert resumed(tmp_path / "m.bin", "keys") == "refused"


# -- the layout of the arrays -----------------------------------------------------------------


def test_two_arrays_exchanged_are_refused(monkeypatch):
    """As an edit would: kernels get arrays in the order of the spec, and the state was saved before."""
    X = np.random.default_rng(0).standard_t(3, (300, 2))
    before = Detector("zscore", "tail", engine="python")
    before.step(X)
    dumped = before.dump()
    written = Tail.state_spec

    def exchanged(self, n_features):
        names = {"busy": "lasting", "lasting": "busy"}
        spec = written(self, n_features)
        return {names.get(name, name): spec[names.get(name, name)] for name in spec}

    monkeypatch.setattr(Tail, "state_spec", exchanged)
    with pytest.raises(ValueError, match="threshold has busy") as refused:
        Detector("zscore", "tail", engine="python").load(*dumped)
    assert str(refused.value) == (
        "its arrays are not those of the components: threshold has busy () float64 where lasting () int64 is expected; "
        "use the release that wrote it, or start afresh"
    )


def test_a_shape_that_is_the_same_by_chance_is_another(monkeypatch):
    """(d, 2) and (2, d) are alike for two fields."""
    from clipdetect.estimators.zscore import Zscore

    written = Zscore.state_spec
    shape = [lambda d: (d, 2)]
    monkeypatch.setattr(Zscore, "state_spec", lambda self, d: {**written(self, d), "pairs": (shape[-1](d), np.float64)})
    before = Detector("zscore", "tail", engine="python")
    before.step(np.random.default_rng(0).normal(size=(50, 2)))
    dumped = before.dump()
    Detector("zscore", "tail", engine="python").load(*dumped)
    shape.append(lambda d: (2, d))
    with pytest.raises(ValueError, match=r"estimator has pairs \(d, 2\) float64 where pairs \(2, d\) float64"):
        Detector("zscore", "tail", engine="python").load(*dumped)


def test_the_layout_is_in_the_state(states):
    head, _, _ = parts(states["one series"])
    layout = head["detector"]["layout"]
    assert list(layout) == ["estimator", "threshold"]
    assert "window (21, d) float64" in layout["estimator"]


def test_keys_may_go_on_without_keys():
    """The one model of records without keys is one more."""
    X = np.random.default_rng(0).normal(size=(50, 1))
    first, second = Detector(engine="python"), Detector(engine="python")
    first.step(X, ["a", "b"] * 25)
    second.load(*first.dump())
    second.step(X)
    assert sorted(second.keys.slot_of) == ["", "a", "b"]


def test_a_state_without_a_record_goes_on():
    empty, other = Detector(), Detector()
    other.load(*empty.dump())
    assert other.keys.capacity == 0


if __name__ == "__main__":
    asked, begun = int(sys.argv[1]) if len(sys.argv) > 1 else 2000, int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as place, open(os.devnull, "w") as nowhere:
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            outcomes = attempts(Path(place), saved(Path(place)), begun, asked)
        print(f"{asked} forged states: {dict(outcomes)}")
