"""Tables as rows: CSV with quotes and line ends inside, and Parquet that is cut or not readable here."""

from __future__ import annotations

import gzip
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from gateway.cli.row_reader import read_rows


def test_csv_has_the_names_of_its_first_line_and_no_empty_fields(tmp_path: Path) -> None:
    file = tmp_path / "scores.CSV.gz"
    file.write_bytes(
        gzip.compress('\ufeffid,comment,value\r\n1,"Ünder ""two""\r\nlines",0.5\r\n2,,\r\n'.encode())
    )

    first, second = read_rows(str(file))

    assert first.row == {"id": "1", "comment": 'Ünder "two"\r\nlines', "value": "0.5"}
    assert (second.row, second.line) == ({"id": "2"}, 4)


@pytest.mark.parametrize("content", [b'id\n"open', b"id\n\xff\xfe\n"])
def test_what_is_no_csv_is_a_fault_of_its_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)

    [row] = read_rows(str(tmp_path / "a.csv"))

    assert row.fault is not None
    assert "is no CSV in UTF-8" in str(row.fault)


def write_parquet(file: Path) -> Path:
    rows = [
        {
            "at": datetime(2026, 3, 2, tzinfo=UTC),
            "cost": Decimal("0.5"),
            "counts": [("input", 3)],
            "tags": ["a"],
        }
    ]
    counts = pyarrow.map_(pyarrow.string(), pyarrow.int64())
    at = pyarrow.timestamp("us", "UTC")
    fields = {
        "at": at,
        "cost": pyarrow.decimal128(9, 4),
        "counts": counts,
        "tags": pyarrow.list_(pyarrow.string()),
    }
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, pyarrow.schema(list(fields.items()))), file)
    return file


def test_parquet_has_values_as_json_has_them(tmp_path: Path) -> None:
    [row] = read_rows(str(write_parquet(tmp_path / "rows")))

    assert row.row == {
        "at": "2026-03-02T00:00:00+00:00", "cost": "0.5000", "counts": {"input": 3}, "tags": ["a"],
    }  # fmt: skip


def test_parquet_that_is_cut_is_a_fault(tmp_path: Path) -> None:
    file = write_parquet(tmp_path / "rows")
    file.write_bytes(file.read_bytes()[:-20])

    [row] = read_rows(str(file))

    assert str(row.fault).startswith("file: what follows is damaged")


def test_parquet_without_its_extra_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_parquet(tmp_path / "rows")
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    [row] = read_rows(str(file))

    assert 'pip install "feedback-gateway[parquet]"' in str(row.fault)
