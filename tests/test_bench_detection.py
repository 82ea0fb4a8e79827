"""The benchmark of detection: its sets, measures, store and page, on generated data."""

from __future__ import annotations

import csv
import gzip
import importlib
import json

import numpy as np
import pytest

from benchmarks.detection import checks, measures, ours, page, peers, peers_run, sets, store, table

N = 300


def write(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", newline="") if path.suffix == ".gz" else open(path, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with a small file for most of the sets."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    X = np.round(rng.standard_normal((N, 2)), 3)
    label = np.zeros(N, int)
    label[[250, 251, 252, 280]] = 1
    X[label == 1] += 50
    rows = X.tolist()
    marked = [[*row, mark] for row, mark in zip(rows, label.tolist(), strict=True)]
    write(folder / "adbench/toy.csv.gz", ["f0", "f1", "label"], marked)
    write(folder / "skab/valve1/0.csv", ["timestamp", "a", "b", "label", "changepoint"], [
        [f"2020-03-09 10:{i // 60:02}:{i % 60:02}", *row, 0] for i, row in enumerate(marked)
    ])  # fmt: skip
    write(folder / "skab/anomaly-free/anomaly-free.csv", ["timestamp", "a", "b"], [["2020-03-09 10:00:00", 1, 2]])
    write(folder / "smd/m.train.csv.gz", ["a", "b"], rows)
    write(folder / "smd/m.test.csv.gz", ["a", "b", "label"], marked)
    write(folder / "kdd99/k.csv.gz", ["f", "service", "attack", "label"], [
        [1, "http", "smurf" if i < 50 else "normal", int(i < 50)] for i in range(N)
    ])  # fmt: skip
    write(folder / "smap_msl/MSL/C-1.csv.gz", ["telemetry", "label"], [[row[0], row[2]] for row in marked])
    times = [f"2015-01-01 00:{i // 60:02}:{i % 60:02}" for i in range(N)]
    write(folder / "nab/data/real/x.csv", ["timestamp", "value"], list(zip(times, X[:, 0], strict=True)))
    windows = {"real/x.csv": [[times[250] + ".000000", times[252] + ".000000"]]}
    (folder / "nab/combined_windows.json").write_text(json.dumps(windows))
    (folder / "cloudtrail").mkdir()
    lines = [json.dumps({"a": {"b": row[0]}, "technique": "t" * mark, "label": mark}) for *row, mark in marked]
    with gzip.open(folder / "cloudtrail/c.jsonl.gz", "wt") as file:
        file.write("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def prepared(data, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return cache, {stream.name: sets.prepare(stream, cache) for stream in sets.streams(data)}


def test_a_folder_gives_the_streams_of_its_sets(prepared):
    assert list(prepared[1]) == ["nab/x", "skab/valve1-0", "smd/m", "msl/C-1", "adbench/toy", "kdd99/k", "cloudtrail/c"]


def test_a_training_part_comes_first_and_is_not_counted(prepared):
    stream = prepared[1]["smd/m"]
    assert (len(stream.label), stream.start, int(stream.label[: stream.start].sum())) == (2 * N, N, 0)


def test_floods_are_left_out_and_text_is_not_for_peers(prepared):
    stream = prepared[1]["kdd99/k"]
    assert len(stream.label) == N - 50
    assert np.load(stream.array)["X"].shape == (N - 50, 1)


def test_windows_become_labels_with_both_ends(prepared):
    stream = prepared[1]["nab/x"]
    assert np.flatnonzero(stream.label).tolist() == [250, 251, 252]
    assert stream.time == "timestamp"


def test_peers_never_see_what_is_hidden(prepared):
    assert np.load(prepared[1]["skab/valve1-0"].array)["X"].shape == (N, 2)


def test_nested_records_are_for_the_command_line_only(prepared):
    stream = prepared[1]["cloudtrail/c"]
    assert stream.array is None and stream.file.suffix == ".jsonl"
    assert int(stream.label.sum()) == 4


def test_a_changed_source_is_prepared_again(tmp_path):
    write(tmp_path / "in/adbench/t.csv.gz", ["f", "label"], [[1, 0]] * 5)
    (stream,) = sets.streams(tmp_path / "in")
    assert len(sets.prepare(stream, tmp_path / "cache").label) == 5
    write(tmp_path / "in/adbench/t.csv.gz", ["f", "label"], [[1, 0]] * 7)
    assert len(sets.prepare(stream, tmp_path / "cache").label) == 7


def test_families_and_rows_of_the_tables(prepared):
    streams = list(prepared[1].values())
    assert list(table.families(streams)) == ["adbench", "net", "skab", "smd", "smap_msl", "nab", "cloudtrail"]
    assert list(table.rows(streams)) == ["skab", "smd", "msl", "toy", "kdd99"]


def test_measures_of_flags_by_event():
    label = np.array([0, 1, 1, 1, 0, 1, 0, 0], bool)
    flag = np.array([0, 0, 0, 1, 1, 0, 0, 0], bool)
    found = measures.measure(label, np.arange(8.0), flag, ordered=True)
    assert (found["events"], found["found"], found["delays"]) == (2, 1, [2])
    assert (found["flagged"], found["hit"], found["false"], found["normal"]) == (2, 1, 1, 4)


def test_no_opinion_ranks_below_all():
    found = measures.measure(np.array([1, 0, 0], bool), np.array([5.0, np.nan, -1.0]), None, ordered=False)
    assert (found["roc"], found["pr"]) == (1.0, 1.0)


def test_measures_that_cannot_be_had_are_none():
    found = measures.measure(np.zeros(3, bool), np.zeros(3), np.zeros(3, bool), ordered=True)
    assert found["roc"] is None and found["pr"] is None


def test_slow_peers_get_the_end_of_a_training_part(prepared, monkeypatch):
    monkeypatch.setattr(store, "SHORT", 100)
    monkeypatch.setattr(store, "BEFORE", 50)
    assert store.window(prepared[1]["smd/m"]) == (250, 400)
    assert store.window(prepared[1]["adbench/toy"]) == (0, 100)


def test_a_result_is_kept_until_its_digest_changes(prepared, tmp_path):
    stream = prepared[1]["adbench/toy"]
    cell = store.Cell(tmp_path, stream, "m", "one")
    assert cell.stored() is None
    cell.scores.parent.mkdir(parents=True)
    np.savez_compressed(cell.scores, score=stream.label.astype(float))
    cell.keep(1.5)
    assert cell.stored()["all"]["roc"] == 1.0
    changed = store.Cell(tmp_path, stream, "m", "two")
    assert changed.stored() is None
    assert changed.stored(stale=True)["seconds"] == 1.5


def test_measures_of_an_old_form_are_taken_again(prepared, tmp_path, monkeypatch):
    stream = prepared[1]["adbench/toy"]
    cell = store.Cell(tmp_path, stream, "m", "one")
    cell.scores.parent.mkdir(parents=True)
    np.savez_compressed(cell.scores, score=-stream.label.astype(float))
    cell.keep(1.0)
    np.savez_compressed(cell.scores, score=stream.label.astype(float))
    assert cell.stored()["all"]["roc"] == 0.0
    monkeypatch.setattr(measures, "FORM", measures.FORM + 1)
    assert cell.stored()["all"]["roc"] == 1.0


def test_missing_values_are_filled_from_the_past():
    X = np.array([[np.nan, 1.0], [2.0, np.nan], [np.nan, np.inf]])
    assert peers_run.filled(X).tolist() == [[0.0, 1.0], [2.0, 1.0], [2.0, 1.0]]


def test_rolling_z_is_that_of_the_records_before():
    X = np.random.default_rng(1).standard_normal((400, 2)) + 1000
    score, _ = peers_run.rolling_z(X)
    past = X[200:300]
    assert score[300] == pytest.approx(np.max(np.abs(X[300] - past.mean(axis=0)) / past.std(axis=0)), rel=1e-6)


def test_every_peer_can_be_run_and_is_pinned():
    assert {peer.name for peer in peers.PEERS} == set(peers_run.METHODS)
    assert {peer.package for peer in peers.PEERS} <= set(peers.pins())


def test_the_command_line_is_run_and_the_page_is_written(data, prepared, tmp_path):
    cache, streams = prepared[0], list(prepared[1].values())
    ours.run_ours(ours.our_cells("default", streams, cache))
    for name in ("rolling_z", "river_hst"):  # scores as a peer's own environment would leave them
        peer = next(each for each in peers.PEERS if each.name == name)
        for cell in peers.cells(peer, streams, cache):
            score, flag = peers_run.rolling_z(peers_run.filled(np.load(cell.stream.array)["X"]))
            cell.scores.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(cell.scores, score=score, **({"flag": flag} if name == "rolling_z" else {}))
            cell.keep(0.1)
    methods = table.load(streams, cache, stale=False)
    assert [method.name for method in methods] == ["default", "river_hst", "rolling_z"]
    assert methods[0].results["adbench/toy"]["all"]["roc"] == 1.0
    assert methods[0].results["cloudtrail/c"]["all"]["roc"] == 1.0
    file = tmp_path / "page.md"
    file.write_text(f"# Before\n\n{page.BEGIN}\nold\n{page.END}\n\n## After\n")
    page.write(file, streams, data, cache)
    text = file.read_text()
    assert text.startswith("# Before\n") and text.endswith("## After\n") and "\nold\n" not in text
    assert "| `default` | 1.000 / 1.000 |" in text
    assert "wins against | rows" in text
    assert "standard, own flags" in text
    assert "| flags on 5,000 records of three constant fields | 0 |" in text
    assert "| half of a stream gives the first half of the whole's bytes | yes |" in text
    assert "| records written for a stream of one | 1 |" in text


def test_shuffled_labels_earn_nothing(prepared, tmp_path):
    stream = prepared[1]["adbench/toy"]
    cell = store.Cell(tmp_path, stream, "m", "one")
    cell.scores.parent.mkdir(parents=True)
    np.savez_compressed(cell.scores, score=np.arange(N, dtype=float))
    found = [checks.shuffled([cell], seed) for seed in range(40)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.1)  # 4 sd of the mean


def test_a_page_without_markers_is_left_alone(tmp_path):
    file = tmp_path / "page.md"
    file.write_text("# Page\n")
    with pytest.raises(SystemExit, match="no place for the section"):
        page.put(file, "text")
    assert file.read_text() == "# Page\n"


def test_unknown_methods_and_sets_are_refused(data, monkeypatch, capsys):
    main = importlib.import_module("benchmarks.detection.__main__").main
    for given, said in (["--method", "nothing"], "unknown method"), (["--only", "nothing"], "unknown set"):
        monkeypatch.setattr("sys.argv", ["detection", str(data), *given])
        with pytest.raises(SystemExit):
            main()
        assert said in capsys.readouterr().err
