"""Parquet: the columns of the CSV with their types, for DuckDB, pandas and polars; needs the extra `parquet`."""

import io
from array import array
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from gateway.datasets.export_format import ExportRow, Format, FormatRun, PreparedRow, RowSetup
from gateway.datasets.request_row import RowField, RowOptions, RowReader, Value, flat_fields

if TYPE_CHECKING:
    import pyarrow

# A row group ends with whichever is reached first.
GROUP_ROWS = 5_000
GROUP_BYTES = 4 * 1024 * 1024
# Of each column, while a row group is written.
DICTIONARY_BYTES = 256 * 1024
# Rows that are Python's objects, each of which takes several times what it takes in a column.
LOOSE_ROWS = 250
PAGE_BYTES = 256 * 1024


class _Sink(io.RawIOBase):
    """A file that only grows: hands out what was written, and goes on counting positions."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        self._waiting.append(written := bytes(data))
        self._position += len(written)
        return len(written)

    def take(self) -> bytes:
        taken, self._waiting = b"".join(self._waiting), []
        return taken


class ValuesPreparer:
    """The values of a row, which become columns where the file is written."""

    def __init__(self, setup: RowSetup) -> None:
        self._rows = RowReader(setup)

    def prepare(self, row: ExportRow) -> PreparedRow:
        return PreparedRow(self._rows.flat_values(row))


class ParquetFileWriter:
    """Plain UTF-8 text, times in microseconds with UTC, a row group at a time in memory."""

    def __init__(self, run: FormatRun) -> None:
        # Takes half a second, and only this format needs it.
        import pyarrow.parquet

        self._counts = run.counts
        fields = flat_fields(run.options)
        self._schema = pyarrow.schema([(each.name, _arrow_type(each)) for each in fields])
        self._sink = _Sink()
        self._file = pyarrow.parquet.ParquetWriter(
            self._sink,
            self._schema,
            compression="zstd",
            dictionary_pagesize_limit=DICTIONARY_BYTES,
            data_page_size=PAGE_BYTES,
            # Arrow's own pool keeps what it was once given.
            memory_pool=pyarrow.system_memory_pool(),
        )
        self._columns: list[list[Value]] = [[] for _ in fields]
        self._group: list[pyarrow.RecordBatch] = []
        self._group_rows = self._group_bytes = 0

    def add(self, item: Sequence[Value]) -> Iterator[bytes]:
        for column, value in zip(self._columns, item, strict=True):
            column.append(value)
            self._group_bytes += len(value) if isinstance(value, str) else 8
        self._counts.written += 1
        self._group_rows += 1
        if len(self._columns[0]) >= LOOSE_ROWS:
            self._pack()
        if self._group_rows >= GROUP_ROWS or self._group_bytes >= GROUP_BYTES:
            yield self._end_group()

    def finish(self) -> Iterator[bytes]:
        if self._group_rows:
            yield self._end_group()
        self._file.close()
        yield self._sink.take()

    def _pack(self) -> None:
        import pyarrow

        fields = zip(self._columns, self._schema, strict=True)
        arrays = [_array(column, field.type) for column, field in fields]
        self._group.append(pyarrow.RecordBatch.from_arrays(arrays, schema=self._schema))
        for column in self._columns:
            column.clear()

    def _end_group(self) -> bytes:
        import pyarrow

        if self._columns[0]:
            self._pack()
        self._file.write_table(pyarrow.Table.from_batches(self._group))
        self._group.clear()
        self._group_rows = self._group_bytes = 0
        return self._sink.take()


def _array(values: Sequence[Any], type_: "pyarrow.DataType") -> "pyarrow.Array":
    """Return a column from its buffers."""
    # Where pandas is installed, pyarrow.array imports it, which takes 50 MiB that nothing here uses.
    import pyarrow

    missing = values.count(None)
    buffers: list[Any] = [_bits([value is not None for value in values]) if missing else None]
    if pyarrow.types.is_string(type_):
        texts = [b"" if value is None else value.encode() for value in values]
        buffers += [array("i", accumulate(map(len, texts), initial=0)), b"".join(texts)]
    elif pyarrow.types.is_boolean(type_):
        buffers.append(_bits(values))
    else:
        code = "d" if pyarrow.types.is_floating(type_) else "q"
        buffers.append(array(code, [value or 0 for value in values] if missing else values))
    own = [each if each is None else pyarrow.py_buffer(each) for each in buffers]
    return pyarrow.Array.from_buffers(type_, len(values), own, missing)


def _bits(flags: Sequence[object]) -> bytes:
    """Return a bit for each flag, the first of each byte the lowest."""
    digits = "".join(["1" if flag else "0" for flag in reversed(flags)])
    return int(digits, 2).to_bytes((len(flags) + 7) // 8, "little")


def _arrow_type(field: RowField) -> "pyarrow.DataType":
    import pyarrow

    types: dict[str, Any] = {
        "text": pyarrow.string(),
        "integer": pyarrow.int64(),
        "number": pyarrow.float64(),
        "flag": pyarrow.bool_(),
        "time": pyarrow.timestamp("us", tz="UTC"),
    }
    return types[field.type]


def _missing_package() -> str | None:
    if find_spec("pyarrow") is not None:
        return None
    return "parquet needs a package that is not installed: pip install 'feedback-gateway[parquet]'."


PARQUET = Format(
    name="parquet",
    description="The columns of the CSV with types, compressed; needs the extra `parquet`.",
    media_type="application/vnd.apache.parquet",
    suffix="parquet",
    preparer=ValuesPreparer,
    open=ParquetFileWriter,
    options=RowOptions,
    missing_package=_missing_package,
)
