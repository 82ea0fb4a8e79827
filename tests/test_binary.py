"""Bytes that are no text are told from those that are, whatever the language of the text."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import sqlite3
import tarfile
import zipfile

import numpy as np
import pytest

from clipdetect.formats import sniff
from clipdetect.formats.binary import KINDS, NO_RECORDS, described, is_binary

WORDS = "Größe, naïve 日本語 – “quotes” emoji 🎈\tcells\r\n" * 40
TEXTS = {
    "utf-8": WORDS.encode(),
    "utf-8 cut in a character": ("x" + "日" * 2000).encode()[:1500],
    "latin-1": "Größe naïve ÿ\n".encode("latin-1") * 100,
    "windows-1252": "“quotes” – €\n".encode("cp1252") * 100,
    "shift-jis": ("日本語のログ" * 20 + "\n").encode("shift_jis"),
    "colours": b"\x1b[1;31mfailed\x1b[0m\n",
    "form feeds and bells": b"page one\x0c\x07\x08\n",
    "words that are magic": b"ORC,PAR1\n1,2\n",
    "BZh at the start": b"BZhang said\n",
    "nothing": b"",
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_is_no_binary(name):
    assert not is_binary(TEXTS[name])
    assert described(TEXTS[name], "F") == ""


def real() -> dict[str, bytes]:
    """Files as the libraries write them."""
    archive, table, packed = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.csv", "x\n1\n")
    with tarfile.open(fileobj=packed, mode="w") as file:
        file.addfile(tarfile.TarInfo("a.csv"))
    np.save(table, np.arange(9.0))
    database = sqlite3.connect(":memory:")
    database.execute("create table t (x)")
    return {
        "a zip archive": archive.getvalue(),
        "a tar archive": packed.getvalue(),
        "a NumPy array": table.getvalue(),
        "compressed by bzip2": bz2.compress(b"x\n1\n" * 99),
        "compressed by xz": lzma.compress(b"x\n1\n" * 99),
        "compressed by gzip twice": gzip.compress(b"x\n1\n" * 99),
        "an SQLite database": database.serialize(),
        "text in UTF-16; iconv -f UTF-16 ": "x,y\n1,2\n".encode("utf-16"),
        "text in UTF-16; iconv -f UTF-16LE": "x,y\n1,2\n".encode("utf-16-le"),
        "text in UTF-16; iconv -f UTF-16BE": "x,y\n1,2\n".encode("utf-16-be"),
        "text in UTF-32": "x,y\n1,2\n".encode("utf-32"),
        "a program": b"\x7fELF\2\1\1\0\0",
        "a PDF document": b"%PDF-1.7\n1 0 obj\n",
        "binary, and of no kind": b"\0" * 60,
    }


@pytest.mark.parametrize("kind", real())
def test_a_file_is_named_with_what_to_do(kind):
    data = real()[kind]
    told = described(data, "a.bin")
    assert told.startswith(kind)
    assert "a.bin" in told or NO_RECORDS in told or kind in ("binary, and of no kind", "a NumPy array")
    assert sniff(data, True) in ("text", None)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_is_known_by_its_beginning(kind):
    data = b"\1" * kind.offset + kind.magic + bytes(range(128, 256)) * 4 + b"\0"
    assert described(data, "F").startswith(kind.name)
    assert kind.do[0].islower() or kind.do.startswith("7z")


def test_cells_with_control_bytes_are_no_table():
    for head in (b"a,b\0\n1,2\n", b"a\0b,1,2,3\n", b"\x01\xff,1\n"):
        assert sniff(head, True) == "text"
    assert sniff(b"a,b\n1,2\n", True) == "csv"
    assert sniff("größe,b\n".encode("latin-1"), True) == "csv"
