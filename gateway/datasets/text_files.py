"""JSON Lines and CSV: a row for each request with all feedback on it, in text that any tool reads."""

import csv
import io
from collections.abc import Iterator, Sequence

import orjson

from gateway.datasets.export_format import ExportRow, Format, FormatRun, PreparedRow, RowSetup
from gateway.datasets.request_row import (
    FieldType,
    RowField,
    RowOptions,
    RowReader,
    Value,
    flat_fields,
    row_fields,
)
from gateway.models.clock import format_rfc3339

# A spreadsheet takes a text that begins so for a formula; the wide signs are those of East Asian keyboards.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


# Of the texts that may be one; nearly all begin otherwise.
_FORMULA_CHARACTERS = frozenset({*FORMULA_STARTS, *filter(str.isspace, map(chr, range(0x3001)))})


class LinePreparer:
    """Each line is an object; `feedback` holds the entries as they are."""

    def __init__(self, setup: RowSetup) -> None:
        self._rows = RowReader(setup)
        fields = row_fields(setup.options)
        self._names = [field.name for field in fields]
        self._times = _indexes(fields, "time")

    def prepare(self, row: ExportRow) -> PreparedRow:
        values = self._rows.values(row)
        _write_times(values, self._times)
        line: dict[str, object] = dict(zip(self._names, values, strict=True))
        line["feedback"] = self._rows.entries(row) if row.feedback else []
        return PreparedRow(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


class _Unwritten:
    """Gives back each line that is written, as `writerow` then does."""

    def write(self, line: str) -> str:
        return line


class CellPreparer:
    """What is said in several entries stands in one cell."""

    def __init__(self, setup: RowSetup) -> None:
        self._rows = RowReader(setup)
        fields = flat_fields(setup.options)
        self._times, self._flags = _indexes(fields, "time"), _indexes(fields, "flag")
        self._texts = _indexes(fields, "text")
        self._write = csv.writer(_Unwritten()).writerow

    def prepare(self, row: ExportRow) -> PreparedRow:
        values = self._rows.flat_values(row)
        _write_times(values, self._times)
        for index in self._flags:
            values[index] = "true" if values[index] else "false"
        for index in self._texts:
            if (text := values[index]) and str(text)[0] in _FORMULA_CHARACTERS:
                values[index] = guard_formula(str(text))
        line: str = self._write(values)
        return PreparedRow(line.encode(errors="replace"))


class LinesWriter:
    """Lines as they were prepared, behind a header line if there is one."""

    def __init__(self, run: FormatRun, header: bytes = b"") -> None:
        self._counts = run.counts
        self._header = b"" if run.is_resumed else header

    def add(self, item: bytes) -> Iterator[bytes]:
        yield from self._take_header()
        self._counts.written += 1
        yield item

    def finish(self) -> Iterator[bytes]:
        yield from self._take_header()

    def _take_header(self) -> Iterator[bytes]:
        if self._header:
            yield self._header
            self._header = b""


def _open_csv(run: FormatRun) -> LinesWriter:
    """RFC 4180, a header line first."""
    header = io.StringIO()
    csv.writer(header).writerow(field.name for field in flat_fields(run.options))
    return LinesWriter(run, header.getvalue().encode())


def guard_formula(text: str) -> str:
    """Return a text that no spreadsheet runs."""
    # Some skip white space before they look.
    is_formula = text.startswith(FORMULA_STARTS) or text.lstrip().startswith(FORMULA_STARTS)
    return f"'{text}" if is_formula else text


def _indexes(fields: Sequence[RowField], of_type: FieldType) -> list[int]:
    return [index for index, field in enumerate(fields) if field.type == of_type]


def _write_times(values: list[Value], times: Sequence[int]) -> None:
    for index in times:
        if isinstance(at_us := values[index], int):
            values[index] = format_rfc3339(at_us)


JSON_LINES = Format(
    name="jsonl",
    description="A JSON object a line for each request, with its feedback entries.",
    media_type="application/jsonl",
    suffix="jsonl",
    preparer=LinePreparer,
    open=LinesWriter,
    options=RowOptions,
    is_resumable=True,
    can_follow=True,
)
CSV = Format(
    name="csv",
    description="A row for each request, with its feedback in columns; safe to open in spreadsheets.",
    media_type="text/csv; charset=utf-8",
    suffix="csv",
    preparer=CellPreparer,
    open=_open_csv,
    options=RowOptions,
    is_resumable=True,
    can_follow=True,
)
