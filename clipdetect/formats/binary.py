"""Bytes that are no text: what they are, by how they begin, and what makes records of them."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

SAMPLE = 1024  # bytes that are looked at
CONTROL = re.compile(rb"[\x00-\x07\x0e-\x1a\x1c-\x1f]")  # but BEL to CR and ESC, which text for terminals has


class Kind(NamedTuple):
    """What begins with some bytes at an offset. do : what to do; FILE stands for the file's name."""

    magic: bytes
    name: str
    do: str
    offset: int = 0


NO_RECORDS = "there are no records in it"
KINDS = (
    Kind(b"PAR1", "a Parquet file", "make CSV of it first: duckdb -csv -c \"FROM 'FILE'\" | clipdetect"),
    Kind(b"ARROW1", "an Arrow file", "make CSV or JSON Lines of it first"),
    Kind(b"ORC", "an ORC file", "make CSV or JSON Lines of it first"),
    Kind(b"Obj\x01", "an Avro file", "make JSON Lines of it first: avro-tools tojson FILE | clipdetect"),
    Kind(b"\x89HDF\r\n", "an HDF5 file", "make CSV of it first"),
    Kind(b"\x93NUMPY", "a NumPy array", "make CSV of it first: numpy.savetxt"),
    Kind(b"SQLite format 3\0", "an SQLite database", "sqlite3 -csv -header FILE 'SELECT * FROM ...' | clipdetect"),
    Kind(b"PK\x03\x04", "a zip archive or an office document", "unzip -p FILE | clipdetect; save a sheet as CSV"),
    Kind(b"BZh", "compressed by bzip2", "bzcat FILE | clipdetect"),
    Kind(b"\xfd7zXZ\0", "compressed by xz", "xzcat FILE | clipdetect"),
    Kind(b"\x04\x22\x4d\x18", "compressed by lz4", "lz4cat FILE | clipdetect"),
    Kind(b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "7z x -so FILE | clipdetect"),
    Kind(b"\x1f\x8b", "compressed by gzip twice", "zcat FILE | clipdetect"),
    Kind(b"ustar", "a tar archive", "tar -xOf FILE | clipdetect", 257),
    Kind(b"LPKSHHRH", "a journal of systemd", "journalctl --file FILE -o json | clipdetect"),
    Kind(b"ElfFile\0", "a Windows event log", "make JSON Lines or CSV of it first"),
    Kind(b"\xd4\xc3\xb2\xa1", "captured packets", "make CSV of them first, with tshark"),
    Kind(b"\x0a\x0d\x0d\x0a", "captured packets", "make CSV of them first, with tshark"),
    Kind(b"\x89PNG", "a PNG picture", NO_RECORDS),
    Kind(b"\xff\xd8\xff", "a JPEG picture", NO_RECORDS),
    Kind(b"GIF8", "a GIF picture", NO_RECORDS),
    Kind(b"%PDF-", "a PDF document", "pdftotext -layout FILE - shows what text is in it"),
    Kind(b"\x7fELF", "a program", NO_RECORDS),
    Kind(b"\xff\xfe\0\0", "text in UTF-32", "iconv -f UTF-32 -t UTF-8 FILE | clipdetect"),
    Kind(b"\xff\xfe", "text in UTF-16", "iconv -f UTF-16 -t UTF-8 FILE | clipdetect"),
    Kind(b"\xfe\xff", "text in UTF-16", "iconv -f UTF-16 -t UTF-8 FILE | clipdetect"),
)
PLAIN_TEXT_MAGIC = (b"%PDF-",)  # the others are followed by bytes that are no text, or they are something else


def is_binary(head: bytes) -> bool:
    """Whether bytes are no text in UTF-8, nor in an older encoding of one byte a character; of the first `SAMPLE`."""
    sample = head[:SAMPLE]
    if b"\0" in sample:
        return True
    if not CONTROL.search(sample):
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)  # the last character may be cut
    except UnicodeDecodeError:
        return True
    return False


def described(head: bytes, name: str) -> str:
    """What bytes are that begin so, and what to do; empty where they are text. name : of the file."""
    binary = is_binary(head)
    for kind in KINDS:
        marked = head[kind.offset : kind.offset + len(kind.magic)] == kind.magic
        if marked and (binary or kind.magic in PLAIN_TEXT_MAGIC or not head[:SAMPLE].isascii()):
            return f"{kind.name}; {kind.do.replace('FILE', name)}"
    if not binary:
        return ""
    halves = [head[first:SAMPLE:2] for first in (0, 1)]
    for text, zeros, order in ((halves[0], halves[1], "LE"), (halves[1], halves[0], "BE")):
        if zeros and not zeros.strip(b"\0") and text.isascii() and not CONTROL.search(text):
            return f"text in UTF-16; iconv -f UTF-16{order} -t UTF-8 {name} | clipdetect"
    return "binary, and of no kind known here"
