"""Fields of rows that other gateways export: what is taken, and in which units."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.errors import BadInput
from gateway.web.imported import (
    Amount,
    Count,
    ImportedRow,
    Millis,
    Status,
    TimeUs,
    body_bytes,
    path_of_url,
    read_row,
    row_id,
    to_nanousd,
)


class Fields(ImportedRow):
    time: TimeUs = -1
    count: Count | None = None
    amount: Amount | None = None
    millis: Millis | None = None
    status: Status | None = None
    flag: bool | None = None


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01 00:00:01.5", 1_500_000),
        ("1970-01-01T02:00:00.000001+02:00", 1),
        ("1970-01-02", 86_400_000_000),
        ("2024-05-22T15:18:54.404123456Z", 1_716_391_134_404_123),
    ],
)
def test_a_time_without_a_zone_is_utc(text: str, time_us: int) -> None:
    assert read_row(Fields, {"time": text}).time == time_us


@pytest.mark.parametrize(
    "value",
    ["", "now", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59", "3000-01-01", 0, 1.5, True, [], {}],
)
def test_what_is_no_time_of_a_log_is_refused(value: object) -> None:
    if value == "":
        assert read_row(Fields, {"time": value}).time == -1
    else:
        with pytest.raises(BadInput, match="time: must be a time such as"):
            read_row(Fields, {"time": value})


def test_numbers_may_come_as_text_or_as_other_numbers() -> None:
    row = read_row(
        Fields, {"count": "12", "amount": "0.1", "millis": "2.5", "status": 200.0, "flag": 1.0, "more": []}
    )

    assert (row.count, row.amount, row.millis, row.status, row.flag) == (12, Decimal("0.1"), 2.5, 200, True)


@pytest.mark.parametrize("empty", [None, ""])
def test_what_is_empty_is_as_if_it_were_absent(empty: object) -> None:
    assert read_row(Fields, dict.fromkeys(Fields.model_fields, empty)) == Fields()


@pytest.mark.parametrize(
    "row",
    [
        {"count": 10**13},
        {"amount": "1e400"},
        {"amount": "NaN"},
        {"millis": 1e300},
        {"millis": "inf"},
        {"status": 1000},
    ],
)
def test_figures_that_no_column_holds_are_refused(row: dict[str, object]) -> None:
    with pytest.raises(BadInput, match=f"^{next(iter(row))}: "):
        read_row(Fields, row)


def test_a_row_inside_another_is_named_by_its_place() -> None:
    with pytest.raises(BadInput, match=r"^inner\[2\]\.count: "):
        read_row(Fields, {"count": []}, "inner[2]")


@pytest.mark.parametrize(
    ("value", "body"),
    [
        (None, b""),
        ("", b""),
        ("text: é", "text: é".encode()),
        ({"a": [1, None]}, b'{"a":[1,null]}'),
        ([], b"[]"),
        (0, b"0"),
        (False, b"false"),
    ],
)
def test_a_body_is_json_or_the_text_that_it_was(value: object, body: bytes) -> None:
    assert body_bytes(value, "request") == body


def test_a_body_that_is_too_deep_to_be_written_is_refused_by_name() -> None:
    deep: object = None
    for _ in range(1000):
        deep = [deep]
    with pytest.raises(BadInput, match=r"^request: is nested too deeply"):
        body_bytes(deep, "request")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://api.openai.com/v1/chat/completions?a=b#c", "/v1/chat/completions?a=b#c"),
        ("/v1/messages", "/v1/messages"),
        ("http://[::1]:80", ""),
        ("", ""),
        ("not a url", "not a url"),
    ],
)
def test_a_path_is_what_follows_the_host(url: str, path: str) -> None:
    assert path_of_url(url) == path


@pytest.mark.parametrize(
    ("amount", "unit", "nano"),
    [
        ("0.1", "1", 100_000_000),
        ("0.1", "0.01", 1_000_000),
        ("1.5e-9", "1", 2),
        ("2.5e-9", "1", 2),
        ("0", "1", 0),
    ],
)
def test_money_is_rounded_to_the_nano_dollar(amount: str, unit: str, nano: int) -> None:
    assert to_nanousd(Decimal(amount), dollars=Decimal(unit)) == nano


def test_the_id_of_a_row_depends_on_what_it_holds_and_not_on_the_order() -> None:
    assert row_id({"a": 1, "b": {"c": 2, "d": 3}}) == row_id({"b": {"d": 3, "c": 2}, "a": 1})
    assert row_id({"a": 1}) != row_id({"a": 2})
