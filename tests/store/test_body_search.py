"""Searching by the text of bodies: what there is to be found, and what has to be read for it."""

from __future__ import annotations

import typing
import zlib
from collections.abc import AsyncIterator

import pytest

from gateway.models.exchange import LoggingOptOut, PayloadPolicy, RawHeaders
from gateway.models.filters import AllOf, AnyOf, Comparison, Filter, Not, Op, Page, Sort
from gateway.store import open_store
from gateway.store.base import Store
from tests.store.samples import exchange, requests_of

DEFLATED: RawHeaders = ((b"Content-Encoding", b"deflate"),)


class Decoder:
    """Undoes deflate, and counts the bodies that it was given."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, body: bytes, headers: RawHeaders) -> bytes:
        self.count += 1
        return zlib.decompress(body) if headers == DEFLATED else body


@pytest.fixture
def decoder() -> Decoder:
    return Decoder()


@pytest.fixture
async def decoding(store_url: str, decoder: Decoder) -> AsyncIterator[Store]:
    """A store that was given a decoder."""
    store = await open_store(store_url, decoder)
    yield store
    await store.close()


def says(text: str, side: str = "response") -> Filter:
    return Comparison(f"{side}_text", Op.CONTAINS, text)


async def found(store: Store, where: Filter, tenant: str | None = None) -> list[str]:
    return [record.request_id for record in await requests_of(store, where, tenant=tenant)]


async def test_a_text_is_found_in_bodies_that_are_kept_plain_packed_or_encoded(decoding: Store) -> None:
    text = b"a needle, " * 100
    await decoding.append(
        [
            exchange("short", response_body=b"the needle"),
            exchange("packed", response_body=text),
            exchange("encoded", response_body=zlib.compress(text), response_headers=DEFLATED),
            exchange("other", response_body=b"hay", request_body=b"needle"),
        ]
    )

    assert await found(decoding, says("needle")) == ["short", "packed", "encoded"]
    assert await found(decoding, says("needle", "request")) == ["other"]
    assert await found(decoding, Comparison("response_text", Op.ILIKE, "the NEEDLE")) == ["short"]
    assert await found(decoding, Comparison("response_text", Op.EQ, "hay")) == ["other"]


async def test_without_a_decoder_bodies_are_searched_as_they_were_sent(store: Store) -> None:
    body = zlib.compress(b"needle")
    await store.append([exchange("encoded", response_body=body, response_headers=DEFLATED)])

    assert await found(store, says("needle")) == []


@pytest.mark.parametrize(
    "given",
    [
        {"payloads": PayloadPolicy.OFF},
        {"opt_out": LoggingOptOut(response=True)},
        {"response_body": b""},
        {"response_body": b"needle \xff\xfe"},
    ],
    ids=["off", "omitted", "empty", "binary"],
)
async def test_a_body_without_text_is_missing(store: Store, given: dict[str, typing.Any]) -> None:
    await store.append([exchange("r", **{"response_body": b"needle", **given})])

    assert await found(store, says("needle")) == []
    assert await found(store, Not(says("needle"))) == ["r"]
    assert await found(store, Comparison("response_text", Op.EQ, None)) == ["r"]


async def test_a_body_that_was_cut_inside_a_character_is_found(store: Store) -> None:
    await store.append([exchange("cut", response_body="a needle é".encode()[:-1])])

    assert await found(store, Comparison("response_text", Op.EQ, "a needle ")) == ["cut"]


async def test_a_character_that_no_text_in_the_database_holds_does_not_end_the_search(store: Store) -> None:
    await store.append([exchange("nul", response_body=b"hay \0 needle")])

    assert await found(store, Comparison("response_text", Op.LIKE, "hay _ needle")) == ["nul"]


async def test_rows_are_sorted_by_the_text_of_bodies(store: Store) -> None:
    await store.append([exchange(name, request_body=name.encode()) for name in ("b", "c", "a")])

    sort = Sort("request_text", descending=False)
    rows = await store.find_requests(AllOf(), sort, Page(), None)
    assert [row.request_id for row in rows] == ["a", "b", "c"]


async def test_several_conditions_on_bodies_hold_as_each_alone_does_also_where_nothing_was_kept(
    store: Store,
) -> None:
    await store.append(
        [
            exchange("both", request_body=b"question", response_body=b"answer"),
            exchange("empty", request_body=b"", response_body=b"answer"),
            exchange("other", request_body=b"question", response_body=b"\xff", status=500),
            exchange("nothing", request_body=b"question", payloads=PayloadPolicy.OFF),
        ]
    )
    asks, answers = says("question", "request"), says("answer")
    no_text = Comparison("response_text", Op.EQ, None)
    cases: dict[Filter, list[str]] = {
        AnyOf((asks, answers)): ["both", "empty", "other"],
        AllOf((asks, answers)): ["both"],
        AllOf((Not(asks), Not(answers))): ["nothing"],
        AnyOf((AllOf((asks, answers)), no_text)): ["both", "other", "nothing"],
        AllOf((no_text, Comparison("request_text", Op.EQ, None))): ["nothing"],
        AllOf((Comparison("status", Op.EQ, 200), Not(AllOf((asks, AnyOf((answers, no_text))))))): [
            "empty",
            "nothing",
        ],
        AnyOf((Comparison("status", Op.EQ, 500), answers, Comparison("request_text", Op.EQ, "question"))): [
            "both",
            "empty",
            "other",
        ],
    }
    for where, expected in cases.items():
        assert await found(store, where) == expected, where
