"""Rows in files: compressed or not, on lines or in arrays, wherever the chunks are cut."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.row_reader import FileRow, read_rows, split_rows
from gateway.errors import BadInput

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


def test_what_cannot_be_read_is_told_once_with_what_can(tmp_path: Path) -> None:
    [picture] = read(write(tmp_path, b"\x89PNG\r\n\x1a\n\x00\n\n\n"))
    assert str(picture.fault).startswith(
        "file: is no text in UTF-8. It must hold JSON, be a table named .csv"
    )
    header, row = read(write(tmp_path, b"id,name\n1,{}\n"))
    assert str(header.fault).endswith("A table needs a name that ends in .csv.")
    assert not str(row.fault).endswith(".csv.")


def test_standard_input_is_read_for_a_hyphen(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BufferedReader(io.BytesIO(gzip.compress(LINES))))
    monkeypatch.setattr("sys.stdin", stdin)

    assert [row.row for row in read_rows("-")] == ROWS


def test_a_file_that_cannot_be_opened_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "absent")


ODD_ROWS = [{"text": 'a "]}[{\\" é', "deep": [[], {"a": [{}]}]}, {}, {"n": None, "nl": "\n\\"}]


def pieces(text: str | bytes, size: int) -> Iterator[bytes]:
    data = text.encode() if isinstance(text, str) else text
    return (data[start : start + size] for start in range(0, len(data), size))


def split(text: str | bytes, size: int = 5) -> list[tuple[int, object]]:
    """The rows of a text as JSON, or what is wrong with them, by the lines on which they begin."""
    return [
        (line, str(found) if isinstance(found, BadInput) else json.loads(found))
        for line, found in split_rows(pieces(text, size))
    ]


FILES = {
    "lines": "\n".join(map(json.dumps, ODD_ROWS)),
    "lines with blank ones": "\r\n\n  \n" + "\r\n".join(map(json.dumps, ODD_ROWS)) + "\r\n\r\n",
    "lines after a byte order mark": "\ufeff" + "\n".join(map(json.dumps, ODD_ROWS)) + "\n",
    "array": json.dumps(ODD_ROWS),
    "array over many lines": json.dumps(ODD_ROWS, indent=2) + "\n",
    "array with a last comma": "[\n" + "".join(json.dumps(row) + ",\n" for row in ODD_ROWS) + "]\n",
    "array after a byte order mark": "\ufeff" + json.dumps(ODD_ROWS),
    "reply": json.dumps({"data": ODD_ROWS, "error": None}),
    "reply over many lines": json.dumps({"data": ODD_ROWS, "error": None}, indent=1),
    "reply that begins with its error": json.dumps({"error": None, "data": ODD_ROWS}),
    "replies": "".join(json.dumps({"data": [row], "error": None}) for row in ODD_ROWS),
    "replies on lines": "".join(json.dumps({"data": [row], "error": None}) + "\n" for row in ODD_ROWS),
}


@pytest.mark.parametrize("text", FILES.values(), ids=FILES.keys())
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_rows_are_found_wherever_the_pieces_are_cut(text: str, size: int) -> None:
    assert [row for _, row in split(text, size)] == ODD_ROWS


TEXTS = st.text(max_size=8)
OBJECTS = st.dictionaries(
    TEXTS, TEXTS | st.lists(st.dictionaries(TEXTS, TEXTS, max_size=2), max_size=2), max_size=3
)


@given(
    rows=st.lists(OBJECTS, max_size=4),
    size=st.integers(1, 40),
    indent=st.none() | st.integers(0, 2),
    is_ascii=st.booleans(),
)
def test_any_objects_are_found_in_an_array(
    rows: list[object], size: int, indent: int | None, is_ascii: bool
) -> None:
    text = json.dumps(rows, indent=indent, ensure_ascii=is_ascii)
    assert [row for _, row in split(text, size)] == rows


def test_each_row_has_the_line_on_which_it_begins() -> None:
    assert [line for line, _ in split('{"a":1}\n\n{"b":2}\n{"c":3}')] == [1, 3, 4]
    assert [line for line, _ in split('[\n{"a":\n1},\n\n{"b":2}, {"c":3}\n]')] == [2, 5, 5]


@pytest.mark.parametrize("text", ["", "\n\n", "[]", '{"data":[],"error":null}', "\ufeff"])
def test_a_file_without_rows_has_none(text: str) -> None:
    assert split(text) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[1, 2]", [(1, "row: is not an object.")]),
        ('[{"a":1},\n"x", {"b":2}]', [(1, {"a": 1}), (1, "row: is not an object."), (2, {"b": 2})]),
        ('[{"a":1},\n', [(1, {"a": 1}), (2, "ends in the middle of an array. The file may be cut.")]),
        ('[{"a":1},\n{"b":"x', [(1, {"a": 1}), (2, "ends in the middle of an array. The file may be cut.")]),
        ("[", [(1, "ends in the middle of an array. The file may be cut.")]),
    ],
)  # fmt: skip
def test_what_is_no_row_is_told_with_its_line(text: str, found: list[tuple[int, object]]) -> None:
    for size in (1, 3, 1000):
        assert split(text, size) == found


@pytest.mark.parametrize("text", ['{"a":1}\n{"b":"%s"}\n{"c":3}\n', '{"a":1}\n{"b":"%s"}'])
def test_a_line_that_is_too_long_is_passed_over(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.row_reader.MAX_ROW_BYTES", 100)

    (first, second, *others) = split(text % ("x" * 1000))

    assert first == (1, {"a": 1})
    assert second == (2, "row: is longer than 100 bytes.")
    assert others == ([(3, {"c": 3})] if "c" in text else [])


def test_an_item_that_is_too_long_is_passed_over_or_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.row_reader.MAX_ROW_BYTES", 100)
    text = '[{"a":1},\n{"b":"%s"}, {"c":3}]'
    found = [(1, {"a": 1}), (2, "row: is longer than 100 bytes.")]

    assert split(text % ("x" * 1000)) == [*found, (2, {"c": 3})]
    assert split(text % ("x" * 100_000)) == found


def test_no_more_is_held_than_one_row() -> None:
    taken = 0

    def endless() -> Iterator[bytes]:
        nonlocal taken
        yield b"["
        while True:
            taken += 1
            yield b'{"a":"' + b"x" * 1000 + b'"},'

    rows = split_rows(endless())
    for _ in range(1000):
        next(rows)
    assert taken < 1010
