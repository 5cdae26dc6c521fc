"""Files of rows: opened whatever they are compressed with; what is wrong in one is told and stops no other row."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest
import zstandard

from gateway.cli.row_reader import FileRow, read_rows

ROWS = [{"n": number, "text": "é" * 50} for number in range(2000)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_content_size=False).compress(data)


def read(path: Path) -> list[FileRow]:
    return list(read_rows(str(path)))


def write(folder: Path, data: bytes) -> Path:
    path = folder / "rows"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "packed",
    [
        LINES,
        gzip.compress(LINES),
        gzip.compress(LINES[:5000]) + gzip.compress(LINES[5000:]),
        zstd(LINES),
        zstd(LINES[:5000]) + zstd(LINES[5000:]),
        gzip.compress(json.dumps(ROWS).encode()),
        zstd(json.dumps({"data": ROWS}).encode()),
    ],
)
def test_a_file_is_unpacked_by_how_it_begins(tmp_path: Path, packed: bytes) -> None:
    found = read(write(tmp_path, packed))

    assert [row.row for row in found] == ROWS
    assert {row.fault for row in found} == {None}


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_a_packed_file_that_is_cut_gives_the_rows_before_and_says_so(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    *rows, last = read(write(tmp_path, pack(LINES)[:-20]))

    assert [row.row for row in rows] == ROWS[: len(rows)]
    assert "cut or damaged" in str(last.fault)
    assert read(write(tmp_path, pack(LINES)[:8]))[0].fault


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_a_packed_file_that_is_damaged_says_so(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    packed = bytearray(pack(LINES))
    packed[len(packed) // 2 :] = b"\xff" * 100

    assert "cut or damaged" in str(read(write(tmp_path, bytes(packed)))[-1].fault)


def test_each_fault_has_its_line_and_stops_no_other_row(tmp_path: Path) -> None:
    found = read(write(tmp_path, b'{"a":1}\nnonsense\n[1]\n{"a":NaN}\n\xff\n{"a":2}\n"text"\n{"a":{"b":'))

    assert [(row.line, row.row) for row in found if row.fault is None] == [(1, {"a": 1}), (6, {"a": 2})]
    faults = {row.line: str(row.fault) for row in found if row.fault is not None}
    assert {line: fault.partition(":")[0] for line, fault in faults.items()} == dict.fromkeys(
        (2, 3, 4, 5, 7, 8), "row"
    )
    assert faults[2].startswith("row: is not JSON: ")
    assert faults[3] == "row: is not an object."


def test_standard_input_is_read_for_a_hyphen(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(gzip.compress(LINES))))
    monkeypatch.setattr("sys.stdin", stdin)

    assert [row.row for row in read_rows("-")] == ROWS


def test_a_file_that_cannot_be_opened_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent")
