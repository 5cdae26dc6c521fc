"""Read rows from tables: Parquet with the extra `parquet`, and CSV."""

import codecs
import csv
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from io import BufferedReader
from typing import Any

from gateway.errors import BadInput

PARQUET_MAGIC = b"PAR1"
EXTRA = "parquet"

# Rows read at a time.
_BATCH_ROWS = 256

# The number or line of each row, and the row or its fault.
TableRows = Iterator[tuple[int, dict[str, Any] | BadInput]]


def read_parquet(file: BufferedReader) -> TableRows:
    """Yield the rows of a Parquet file with values as JSON has them."""
    try:
        # Takes half a second, and only these files need it.
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        hint = f'Install it: pip install "feedback-gateway[{EXTRA}]".'
        yield 1, BadInput(f'is Parquet, which needs the extra "{EXTRA}".', field="file", hint=hint)
        return
    if not file.seekable():
        yield 1, BadInput("is Parquet, which is not read from a pipe.", field="file", hint="Name the file.")
        return
    number = 1
    try:
        for batch in pyarrow.parquet.ParquetFile(file).iter_batches(_BATCH_ROWS):
            for row in batch.to_pylist(maps_as_pydicts="lossy"):
                yield number, {name: _to_json(value) for name, value in row.items()}
                number += 1
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        yield number, BadInput(f"what follows is damaged: {error}.", field="file")


def _to_json(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, Mapping):
        return {str(name): _to_json(each) for name, each in value.items()}
    return [_to_json(each) for each in value] if isinstance(value, list) else value


def read_csv(chunks: Iterator[bytes], max_bytes: int) -> TableRows:
    """Yield the rows of a CSV file in UTF-8, whose first line has the names; empty fields are absent."""
    csv.field_size_limit(max_bytes)
    reader = csv.DictReader(_split_text(chunks), strict=True)
    try:
        for row in reader:
            # Fields beyond the names have none.
            yield reader.line_num, {name: text for name, text in row.items() if name and text}
    except (csv.Error, UnicodeDecodeError) as error:
        yield reader.line_num, BadInput(f"what follows is no CSV in UTF-8: {error}.", field="row")


def _split_text(chunks: Iterator[bytes]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    rest = ""
    for chunk in chunks:
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        yield from (f"{line}\n" for line in lines)
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest
