"""Tables: CSV, TSV, cells between blanks, and plain numbers."""

from __future__ import annotations

from tests.fuzz.material import START, Material
from tests.fuzz.streams import Stream, hostility, maker

DELIMITERS = {"csv": ",", "tsv": "\t", "ssv": " "}
USUAL = 40


def cell(text: str, delimiter: str, always: bool = False) -> str:
    """A cell as RFC 4180 wants it: in quotes where it needs them."""
    if always or any(mark in text for mark in (delimiter, '"', "\n", "\r")):
        return '"' + text.replace('"', '""') + '"'
    return text


@maker("csv", "tsv", "ssv")
def table(material: Material, n: int, name: str) -> Stream:
    """A header, or none; rows of a time, two numbers, a text, a key, and columns of odd names."""
    random, delimiter, hostile = material.random, DELIMITERS[name], hostility(material)
    taken = {"score", "anomaly", "why"}
    odd = [material.odd_name().encode("utf-8", "replace").decode() for _ in range(random.choice((0, 0, 1, 3)))]
    header = ["t", "x", "y", "s", "k", *(each for each in dict.fromkeys(odd) if each not in taken)]
    headed = name != "csv" or random.random() < 0.8
    quoting = random.choice((0.0, 0.0, 0.02, 1.0))
    states = [material.text().split()[0] for _ in range(3)]
    crlf = b"\r" if random.random() < 0.1 else b""

    def row(i: int) -> bytes:
        odd_row = i >= USUAL and material.chance(hostile)
        cells = [str(int(START.timestamp()) + 7 * i), material.number(), str(random.randrange(50))]
        if headed:
            cells += [random.choice(states), f"k{random.randrange(3)}"]
        cells += [material.number() for _ in range(len(header) - len(cells))]
        if odd_row:
            for _ in range(random.randrange(1, 3)):
                at = random.randrange(len(cells))
                makers = (material.odd_number, material.broken_number, material.odd_text, material.broken_time)
                cells[at] = random.choice(makers)()
            if random.random() < 0.1:
                cells = cells[: random.randrange(1, len(cells) + 1)] * random.choice((1, 2))
        line = delimiter.join(cell(each, delimiter, material.chance(quoting)) for each in cells)
        found = line.encode("utf-8", "replace")
        if odd_row and random.random() < 0.3:
            found = material.mutated(found)
        if odd_row and random.random() < 0.05:
            found = random.choice((b"", b"\xef\xbb\xbf", b" ", b'"', found + b'"', b'"open' + found))
        return found + crlf

    head = delimiter.join(cell(each, delimiter) for each in header).encode() + crlf + b"\n"
    return Stream(
        name,
        [row(i) for i in range(n)],
        head=(b"\xef\xbb\xbf" if random.random() < 0.05 else b"") + (head if headed else b""),
        tail=b"" if random.random() < 0.1 else b"\n",
        numbers=["x", "y", *header[5:]] if headed else ["c2", "c3"],
        texts=["s", "k"] if headed else [],
        times=["t"] if headed else ["c1"],
    )


@maker("plain")
def numbers(material: Material, n: int, name: str) -> Stream:
    """One number a line."""
    random, hostile = material.random, hostility(material)
    constant = material.number() if random.random() < 0.1 else ""

    def line(i: int) -> bytes:
        found = (constant or material.number()).encode()
        if i < USUAL or not material.chance(hostile):
            return found
        makers = (material.odd_number, material.broken_number, material.odd_text, lambda: f" {material.number()}\t")
        found = random.choice(makers)().encode("utf-8", "replace").replace(b"\n", b" ")
        return material.mutated(found) if random.random() < 0.3 else found

    return Stream(
        name,
        [line(i) for i in range(n)],
        between=b"\r\n" if random.random() < 0.1 else b"\n",
        tail=b"" if random.random() < 0.1 else b"\n",
        numbers=["value"],
    )
