"""Rows as lines of JSON."""

from __future__ import annotations

import json

import orjson

from gateway.datasets.formats import Column, JsonLines
from gateway.query.requests import LoggedRequest, decode_payload
from gateway.store.base import Store
from tests.store.samples import exchange, request_of

from .samples import select


async def logged(store: Store) -> LoggedRequest:
    [seq] = await store.append([exchange("a")])
    return decode_payload(await request_of(store, seq), await store.payload(seq), ())


LINES = JsonLines(
    select,
    {
        "id": Column(lambda logged: logged.record.request_id),
        "text": Column(lambda logged: "ü\n\u2028"),
        "body": Column(lambda logged: orjson.Fragment(b'{"n": 1.0}'), needs_bodies=True),
        "none": Column(lambda logged: None),
    },
)


async def test_a_row_is_one_line_with_the_columns_in_the_order_asked(store: Store) -> None:
    line = LINES.write(await logged(store), ("none", "text", "body", "id"))
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert list(json.loads(line).items()) == [
        ("none", None), ("text", "ü\n\u2028"), ("body", {"n": 1.0}), ("id", "a"),
    ]  # fmt: skip
    assert LINES.write(await logged(store), ("id",)) == b'{"id":"a"}\n'


def test_bodies_are_needed_only_where_a_column_shows_them() -> None:
    assert LINES.needs_bodies(("id", "body"))
    assert not LINES.needs_bodies(("id", "text"))
