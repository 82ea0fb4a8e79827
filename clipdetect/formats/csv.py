"""CSV by RFC 4180: quotes, newlines within quotes, CRLF, a byte order mark."""

from __future__ import annotations

import csv
from typing import Any, ClassVar

import numpy as np
import orjson

from clipdetect.errors import ConfigError, InputError
from clipdetect.formats.annotate import mark_cells, names, texts, words
from clipdetect.formats.beside import beside, wanted
from clipdetect.formats.binary import is_binary
from clipdetect.formats.cells import as_json, ended, is_table, numeric_columns, unique
from clipdetect.formats.codes import Codes, coded, mixed_columns
from clipdetect.formats.json_text import dumps
from clipdetect.formats.lines import Lines, prepend
from clipdetect.formats.objects import Rows, Unreadable, Values
from clipdetect.formats.quotes import Quotes
from clipdetect.formats.select import LONGEST_NAME, Selection
from clipdetect.formats.values import ABSENT, cell, said
from clipdetect.numerics.categories import field_of, is_text
from clipdetect.numerics.words import cut
from clipdetect.records import BOM, LIKELY, UNLIKE, Annotation, Batch, FormatOptions, Head, concatenated

__all__ = ["Csv"]

EDGES = ("expected", "lower", "upper")  # of a band

csv.field_size_limit(2**31 - 1)  # --max-line is the limit


class Csv(Lines):
    """CSV with or without a header. The annotation is further cells at the end of each row."""

    name = "csv"
    rank = 90
    delimiter: ClassVar[bytes] = b","
    missing: ClassVar[str] = ""  # the cell that stands for no value, beside the empty one

    def __init__(self, options: FormatOptions, selection: Selection) -> None:
        super().__init__(options, selection)
        self.header: list[str] = []  # names of the columns; c1, c2, ... without a header
        self.headed = False
        self._place: dict[str, int] = {}  # of each column
        self.width = 0
        self._begun = False  # whether this file's first record was seen
        self._quotes = Quotes(self.delimiter, options.max_line)
        self._due: bytes | None = None  # a header that waits for the first record, on which the bands depend
        self._lead: list[bytes] = []  # blank lines before the header
        self._held: list[bytes] = []  # what came between the header and the first record
        self._rendered: list[str] | None = None
        self.codes = Codes(self.missing)

    @classmethod
    def looks(cls, head: Head) -> float:
        comma = cls.delimiter.decode()
        if comma not in head.row or head.data[:1] in (b"[", b"{") or is_binary(head.line):
            return UNLIKE
        return LIKELY if is_table(head.data.decode("utf-8", "replace"), comma) else UNLIKE

    def start(self, name: str) -> None:
        super().start(name)
        self._begun, self._quotes = False, Quotes(self.delimiter, self.options.max_line)

    def adopt(self, line: bytes) -> None:
        self._head(line, 1)

    # -- reading ------------------------------------------------------------------------------

    def decode(self, data: bytes, final: bool) -> Batch:
        self._final = final
        batch = super().decode(data, final)
        if final and self._quotes.waiting:
            batch = concatenated([batch, self._quoted([], self.line)])
        if self._due is not None and (len(batch.rows) or final or not self.options.bands):
            prepend(batch, [*self._lead, self._due, *self._held])
            batch.verbatim = frozenset({len(self._lead)})
            self._due, self._held, self._lead = None, [], []
        elif self._due is not None:  # nothing may overtake the header
            bad = set() if self.options.pass_bad else {problem.piece for problem in batch.problems}
            self._held = [*self._held, *(piece for place, piece in enumerate(batch.pieces) if place not in bad)]
            batch.pieces, batch.problems = [], [problem._replace(piece=0) for problem in batch.problems]
        return batch

    def block(self, lines: list[bytes], text: bytes, first_line: int) -> Batch:
        odd = b'"' in text or text.count(b"\r") != text.count(b"\r\n")
        if self._quotes.waiting or odd or self.longer(lines, text):
            return self._quoted(lines, first_line)
        start = 0
        while not self._begun and start < len(lines):
            if lines[start].strip(b"\r") not in (b"", BOM):
                break
            start += 1
        if not self._begun and start < len(lines):
            body = start + self._head(lines[start], first_line + start)
            return self._behind(lines[:start], self._body(lines[body:], first_line + body))
        return self._body(lines, first_line)

    def _head(self, line: bytes, number: int) -> bool:
        """Take a file's first record; True where it is a header."""
        self._begun = True
        row = self._cells(line)
        numeric = all(not cell(each)[1] for each in row)
        if self.header:
            if not self.headed:
                return False
            found = unique(row)
            if found != self.header:
                pairs = zip([*found, *[""] * len(self.header)], [*self.header, *[""] * len(found)], strict=False)
                column, (new, old) = next((i, each) for i, each in enumerate(pairs, 1) if each[0] != each[1])
                raise InputError(
                    f"{self.source}:{number}: another header than the first file's: column {column} is "
                    f"{new or 'absent'!r}, there {old or 'absent'!r}; score files of one layout at a time"
                )
            return True
        self.width = len(row)
        self.headed = not numeric
        self.header = unique(row) if self.headed else [f"c{j + 1}" for j in range(len(row))]
        self._place = {name: j for j, name in enumerate(self.header)}
        taken = {*names(self.options, csv=True), *self._edges(self.header)} & set(self.header)
        if taken:
            raise ConfigError(
                f"{self.source}:{number}: there is a column {min(taken)!r} already; choose other names with --prefix"
            )
        for name in self.header:
            self.selection.learn(name)
        if self.headed and not self.options.objects:
            self._due = line
        return self.headed

    def _cells(self, line: bytes) -> list[str]:
        text = line.removesuffix(b"\r").removeprefix(BOM).decode("utf-8", "replace")
        try:
            return next(csv.reader(ended(text), delimiter=self.delimiter.decode()), [])
        except csv.Error:  # a carriage return within
            return text.split(self.delimiter.decode())

    def _body(self, lines: list[bytes], first_line: int) -> Batch:
        """Rows without quotes: fast where every line is a whole row of plain cells."""
        if not lines:
            return self.nothing()
        commas = self.width - 1
        delimiter = self.delimiter
        if all(line.count(delimiter) == commas for line in lines) and self._plain(lines):
            batch = self._fast(lines, first_line)
            if batch is not None:
                return batch
        return self._careful([(line, line.count(b"\n") + 1) for line in lines], first_line)

    def _plain(self, lines: list[bytes]) -> bool:
        """No blank lines (they have no delimiter, as rows of one column have none) and all of it UTF-8."""
        if self.width == 1 and any(not line.strip(b"\r") for line in lines):
            return False
        text = b"\n".join(lines)
        if text.isascii():
            return True
        try:
            text.decode("utf-8")
        except UnicodeDecodeError:
            return False
        return not text.startswith(BOM)

    def _fast(self, lines: list[bytes], first_line: int) -> Batch | None:
        selection, options = self.selection, self.options
        if selection.careful or options.objects:
            return None
        names = [field_of(column) for column in selection.columns]
        places = [self._place.get(name, -1) for name in names]
        if min(places, default=0) < 0 or not (places or wanted(options)):
            return None
        X: np.ndarray | None = np.empty((len(lines), 0))
        if any(map(is_text, selection.columns)):
            X = mixed_columns(lines, self.delimiter, places, list(map(is_text, selection.columns)), self.codes)
        elif places:
            X = numeric_columns(lines, self.delimiter, places, self.width)
        if X is None:
            return None
        selection.records += len(lines)
        selection.met.update(selection.columns)
        values = Values()
        found = self._beside(lines, first_line, values)
        return Batch(lines, np.arange(len(lines)), X, **found, values=values.list())

    def _beside(self, lines: list[bytes], first_line: int, values: Values) -> dict[str, Any]:
        """What a batch of lines without quotes has beside its columns."""
        if not wanted(self.options):
            return {}
        rows = [line.removesuffix(b"\r").split(self.delimiter) for line in lines]

        def column(name: str) -> list[Any]:
            if name not in self._place:
                return [ABSENT] * len(rows)
            place = self._place[name]
            cells = [row[place].decode() or None for row in rows]
            return [None if text == self.missing else text for text in cells] if self.missing else cells

        return beside(self.options, column, self.selection, values, lambda i: first_line + i)

    def _careful(self, records: list[tuple[bytes, int]], first_line: int) -> Batch:
        """Records with the lines each takes, row by row; a record may hold quotes and newlines."""
        rows, line = Rows(self.options, self.selection), first_line
        lines = [record for record, _ in records]
        for place, (record, size) in enumerate(records):
            if record.strip(b"\r") not in (b"", BOM):
                try:
                    row = self._read(record)
                except Unreadable as error:
                    rows.bad(error, place, line)
                else:
                    self._add(rows, row, place, line)
            line += size
        return rows.batch(lines)

    def _read(self, record: bytes) -> list[str]:
        """Cells of one record. Raises Unreadable."""
        if len(record) > self.options.max_line:
            raise Unreadable("too long", f"longer than --max-line ({self.options.max_line:,} bytes)")
        try:
            text = record.removesuffix(b"\r").removeprefix(BOM).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Unreadable("not UTF-8", f"not UTF-8 at byte {error.start + 1}") from None
        try:
            row = next(csv.reader(ended(text), delimiter=self.delimiter.decode(), strict=True), [])
        except csv.Error as error:
            never = "unexpected end" in str(error)
            raise Unreadable("invalid CSV", f"invalid CSV: {'a quote is not closed' if never else error}") from None
        if len(row) != self.width:
            raise Unreadable("ragged row", f"a row of {len(row)} cells among rows of {self.width}")
        return ["" if text == self.missing else text for text in row] if self.missing else row

    def _add(self, rows: Rows, row: list[str], place: int, line: int) -> None:
        selection, options = self.selection, self.options
        columns = dict(zip(self.header, row, strict=True))
        if selection.careful:
            before = len(selection.columns)
            for name, value in columns.items():
                read, kind = cell(value)
                if not kind:
                    selection.number(name, read)
                elif selection.seeks and kind == "text":
                    selection.text(name, value)
            if len(selection.columns) > before:
                rows.opened.append((len(rows.rows), len(selection.columns)))
        elif len(selection.known) > len(selection.met):
            for name, value in columns.items():
                if name not in selection.met:
                    read, kind = cell(value)
                    if not kind:
                        selection.number(name, read)
        selection.records += 1
        found = []
        for name in selection.columns:
            text = columns.get(field_of(name))
            if is_text(name):
                selection.met.add(name)
                found.append(coded(text or None))
                continue
            read, kind = (float("nan"), "missing") if text is None else cell(text)
            if kind:
                rows.values.add(kind, line, name, said(kind, text))
            if text is not None:
                selection.met.add(name)
            found.append(read)
        rows.rows.append(found)
        rows.places.append(place)
        rows.beside({name: value or None for name, value in columns.items()}, line)
        if options.objects:
            rows.objects.append({name: as_json(value) for name, value in columns.items()})

    # -- quotes -------------------------------------------------------------------------------

    def _quoted(self, lines: list[bytes], first_line: int) -> Batch:
        """Rows among which some have quotes: find where each record ends, then read it."""
        first_line -= len(self._quotes.waiting)
        records = self._quotes.records(lines, self._final)
        skipped = 0
        if not self._begun:
            while skipped < len(records) and records[skipped][0].strip(b"\r") in (b"", BOM):
                skipped += 1
            if skipped < len(records):
                lead = [record for record, _ in records[:skipped]]
                line = first_line + skipped
                head = self._head(records[skipped][0], line)
                rest = records[skipped + 1 :] if head else records[skipped:]
                line += records[skipped][1] if head else 0
                return self._behind(lead, self._careful(rest, line))
        return self._careful(records, first_line)

    def given_up(self, line: bytes) -> bytes:
        whole = b"\n".join([*self._quotes.waiting, line])
        self._quotes = Quotes(self.delimiter, self.options.max_line)
        return whole

    def waiting(self) -> int:
        return len(self._quotes.waiting)

    def mark(self) -> Any:
        return super().mark(), self._quotes.copy()

    def back(self, mark: Any) -> None:
        super().back(mark[0])
        self._quotes = mark[1].copy()

    # -- putting batches together ---------------------------------------------------------------

    def _behind(self, lead: list[bytes], batch: Batch) -> Batch:
        """The batch behind blank lines that came before the header."""
        if self._due is not None:
            self._lead = lead
        else:
            prepend(batch, lead)
        return batch

    # -- writing ------------------------------------------------------------------------------

    def record(self, piece: bytes) -> dict[str, Any]:
        return dict(zip(self.header, self._read(piece), strict=True))

    def splice(self, batch: Batch, annotation: Annotation) -> bytes:
        for place in batch.verbatim:
            header = batch.pieces[place]
            line, end = (header[:-1], b"\r") if header.endswith(b"\r") else (header, b"")
            batch.pieces[place] = line + self._appended(annotation) + end
        return super().splice(batch, annotation)

    def _appended(self, annotation: Annotation) -> bytes:
        """The header's further cells."""
        prefix = self.options.prefix
        found = [prefix + name for name in ("score", "anomaly", "why", *self.options.marks)]
        found += self._edges(self._banded(annotation))
        return b"".join(self.delimiter + self.quoted(name) for name in found)

    def _edges(self, fields: list[str]) -> list[str]:
        """Names of the columns for the bands of these fields."""
        return (
            [f"{self.options.prefix}{name}_{edge}" for name in fields for edge in EDGES] if self.options.bands else []
        )

    def _banded(self, annotation: Annotation) -> list[str]:
        """Columns that get bands: those known before the first record, and those that it has; for good."""
        memory: dict[str, list[str]] = self.selection.memory
        if "bands" not in memory and annotation.bands is not None:
            found = set(self.options.judged)
            if annotation.seen is not None and len(annotation.seen):
                found.update(name for name, seen in zip(annotation.fields, annotation.seen[0], strict=True) if seen)
            memory["bands"] = [name for name in annotation.fields if name in found]
        return memory["bands"] if annotation.bands is not None else []

    def quoted(self, text: str) -> bytes:
        """A cell, in quotes where it needs them."""
        raw = text.encode("utf-8", "replace")
        if any(mark in raw for mark in (self.delimiter, b'"', b"\n", b"\r")):
            return b'"' + raw.replace(b'"', b'""') + b'"'
        return raw

    def _more(self, annotation: Annotation, i: int) -> bytes:
        """The cells of record i after its score and flag."""
        found = self.delimiter + (self.quoted(words(annotation.why[i])) if i in annotation.why else b"")
        found += b"".join(self.delimiter + each for each in mark_cells(self.options, annotation, i))
        if self.options.bands:
            place = {name: j for j, name in enumerate(annotation.fields)}
            for name in self._banded(annotation):
                for values in annotation.bands or ():
                    value = values[i, place[name]] if name in place else np.nan
                    found += self.delimiter + (b"" if np.isnan(value) else orjson.dumps(float(f"{value:.6g}")))
        return found

    def annotated(self, batch: Batch, annotation: Annotation) -> list[bytes]:
        lines = batch.pieces if len(batch.rows) == len(batch.pieces) else [batch.pieces[p] for p in batch.rows.tolist()]
        return self._with_cells(lines, annotation)

    def _with_cells(self, lines: list[bytes], annotation: Annotation) -> list[bytes]:
        comma = self.delimiter
        scores = texts(annotation.score)
        clear = comma + b"false" + comma + comma * len(self.options.marks)
        done = [line + comma + score + clear for line, score in zip(lines, scores, strict=True)]
        cr = b"\r" in b"".join([line[-1:] for line in lines])
        strange = annotation.remarkable()
        odd: Any = range(len(lines)) if cr or self.options.bands else np.flatnonzero(strange).tolist()
        for i in odd:
            score = b"" if np.isnan(annotation.score[i]) else scores[i]
            flag = b"true" if annotation.anomaly[i] else b"false"
            line, end = (lines[i][:-1], b"\r") if lines[i].endswith(b"\r") else (lines[i], b"")
            done[i] = line + comma + score + comma + flag + self._more(annotation, i) + end
        return done

    def render(self, batch: Batch, annotation: Annotation) -> bytes:
        assert batch.objects is not None
        header = b""
        if self._rendered is None and batch.objects:
            self._rendered = list(flat(batch.objects[0]))
            taken = set(self._rendered).intersection(self._edges(self._banded(annotation)))
            if taken:
                raise ConfigError(f"the records have a field {min(taken)!r} already; choose other names with --prefix")
            header = self.delimiter.join(map(self.quoted, self._rendered)) + self._appended(annotation) + b"\n"
        lines = []
        for record in batch.objects:
            cells = flat(record)
            for name in cells.keys() - set(self._rendered or ()):
                self.selection.say(f"{cut(name)}: not among the first record's fields, left out of the CSV")
            lines.append(self.delimiter.join([self.quoted(cells.get(name, "")) for name in self._rendered or ()]))
        done = self._with_cells(lines, annotation)
        if header and annotation.keep is None:  # right before the first record, behind bad lines that came before
            done[0], header = header + done[0], b""
        return header + self.joined(batch, annotation, done, converting=True)


def flat(record: dict[str, Any]) -> dict[str, str]:
    """Cells of a JSON object: dotted names, lists as JSON text, and what has a very long name; null as empty."""
    found: dict[str, str] = {}
    stack = [("", iter(record.items()))]
    while stack:
        prefix, members = stack[-1]
        for name, value in members:
            name = prefix + name
            if type(value) is dict and value and len(name) <= LONGEST_NAME:
                stack.append((name + ".", iter(value.items())))
                break
            if value is None:
                found[name] = ""
            else:
                found[name] = value if type(value) is str else dumps(value).decode()
        else:
            stack.pop()
    return found
