"""Files of records as parameters of components."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest

from clipdetect import registry, table_file
from clipdetect.components import Estimator, Table
from clipdetect.registry import SpecError, build, resolved, spelled


class Near(Estimator):
    """Distance to the nearest record of a pool.

    Parameters
    ----------
    pool : records to compare with.
    """

    raw_kind = "distance"

    def __init__(self, pool: Table | None = None) -> None:
        self.pool = pool


@pytest.fixture
def near(monkeypatch):
    real = registry.get
    monkeypatch.setattr(registry, "get", lambda kind, name: Near if name == "near" else real(kind, name))


def test_every_numeric_field_of_every_record_is_read(tmp_path):
    path = tmp_path / "pool.jsonl"
    path.write_text('{"a": 1, "t": "x"}\n\n{"b": 2.5, "a": null}\n{"a": 3, "b": {"c": 4}}\n')
    table = table_file.read(str(path))
    assert table.names == ("a", "b", "b.c")
    np.testing.assert_array_equal(table.X, [[1, np.nan, np.nan], [np.nan, 2.5, np.nan], [3, np.nan, 4]])
    assert table.source == str(path)
    np.testing.assert_array_equal(table.columns(["b.c", "no", "a"])[2], [4, np.nan, 3])


def test_many_columns_and_compressed_files_are_read(tmp_path):
    X = np.arange(3 * 800.0).reshape(3, 800)
    path = tmp_path / "pool.csv.gz"
    lines = [",".join(f"p{j}" for j in range(800)), *(",".join(map(repr, row)) for row in X.tolist())]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    np.testing.assert_array_equal(table_file.read(str(path)).X, X)


def test_digest_is_that_of_the_content(tmp_path):
    for name, text in (
        ("a.csv", "x,y\n1,2\n"),
        ("b.csv", "x,y\n1,2\n"),
        ("c.csv", "x,y\n1,3\n"),
        ("d.csv", "x,z\n1,2\n"),
    ):
        (tmp_path / name).write_text(text)
    a, b, c, d = (table_file.read(str(tmp_path / name)).digest for name in ("a.csv", "b.csv", "c.csv", "d.csv"))
    assert a == b
    assert len({a, c, d}) == 3
    (tmp_path / "a.csv").write_text("x,y\n1,20\n")  # read again once it has changed
    assert table_file.read(str(tmp_path / "a.csv")).digest != a


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "pool: No such file or directory"),
        (b"", "pool: no records of a known format"),
        (b"some words here\nand more\n", "pool: no records of a known format"),
        (b'{"a": "x"}\n', "pool: no record has a number"),
        (b'{"a": 1}\n{"a": \n', "pool:2: "),
        (b"\x1f\x8bbroken", "pool: cannot decompress"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(tmp_path, content, said):
    path = tmp_path / "pool"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=said):
        table_file.read(str(path))


def test_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not a file"):
        table_file.read(str(tmp_path))


def test_too_large_a_table_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(table_file, "MOST", 10)
    (tmp_path / "pool.csv").write_text("x,y\n" + "1,2\n" * 20)
    with pytest.raises(ValueError, match="more than 10 numbers; give a sample"):
        table_file.read(str(tmp_path / "pool.csv"))


def test_parameter_is_read_from_the_file_named(tmp_path, near):
    path = tmp_path / "pool.csv"
    path.write_text("x,y\n1,2\n")
    made = build("estimator", f"near:pool={path}")
    assert isinstance(made, Near) and made.pool is not None
    assert made.pool.X.tolist() == [[1.0, 2.0]]
    assert next(iter(spelled(made).values())) == {"pool": str(path)}
    full = resolved(made)
    assert full["pool"] == f"records {made.pool.digest}"
    assert json.loads(json.dumps(full)) == full
    assert build("estimator", {"near": {"pool": made.pool}}).pool is made.pool
    assert build("estimator", "near").pool is None
    with pytest.raises(SpecError, match=r"estimator.near.pool: .*nofile: No such file or directory"):
        build("estimator", f"near:pool={tmp_path}/nofile")
    with pytest.raises(SpecError, match=r"estimator.near.pool: must be text"):
        build("estimator", {"near": {"pool": 7}})
