"""Entering requests that went elsewhere: whose they are, what is kept of them, and what a retry does."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import Conflict, StoreUnavailable
from gateway.models.exchange import Exchange, PayloadPolicy
from gateway.models.feedback import Receipt
from gateway.models.principal import Principal, Role
from gateway.models.request import RequestRecord
from gateway.recording.log_ingestion import LogIngestionService
from gateway.store.base import Store
from tests.store.samples import requests_of

from .conftest import PRICING
from .watched import REPLY, chat

NORTH = Principal("app", frozenset({Role.PROXY}), tenant="north")
SECRET = b'{"a":"secret"}'


def policy_of(principal: Principal, provider: str) -> PayloadPolicy:
    return PayloadPolicy(provider) if provider in tuple(PayloadPolicy) else PayloadPolicy.FULL


@pytest.fixture
async def log_book(store: Store) -> LogIngestionService:
    return LogIngestionService(store, PRICING, policy_of, limit_bytes=1000)


def receipt(*exchanges: Exchange, digest: str = "digest") -> Receipt:
    return Receipt("scope", "key", digest, tuple(exchange.identity.request_id for exchange in exchanges))


async def rows(store: Store) -> list[RequestRecord]:
    return await requests_of(store)


async def test_rows_are_the_callers_and_are_understood_like_all_others(
    log_book: LogIngestionService, store: Store
) -> None:
    assert await log_book.insert([chat("b"), chat("a")], NORTH) == ["b", "a"]
    first, second = await rows(store)
    assert [first.request_id, second.request_id] == ["b", "a"]
    assert (first.tenant, first.key_name) == ("north", "app")
    assert (first.model, first.prompt_tokens, first.response_id) == ("gpt-4o", 3, "chatcmpl-1")


async def test_what_is_kept_is_what_the_policy_of_key_and_provider_says(
    log_book: LogIngestionService, store: Store
) -> None:
    await log_book.insert(
        [chat(name, provider=name, request_body=SECRET) for name in ("full", "redacted", "off")], NORTH
    )
    found = await rows(store)
    kept = [await store.payload(row.seq) for row in found]
    assert [payload and payload.request_body for payload in kept] == [SECRET, b'{"a":"[redacted 6]"}', None]
    assert [row.model for row in found] == ["gpt-4o"] * 3


async def test_long_bodies_are_cut_in_the_log_but_understood_whole(
    log_book: LogIngestionService, store: Store
) -> None:
    long = REPLY[:-1] + b',"padding":"' + b"x" * 2000 + b'"}'
    await log_book.insert([chat("a", body=long)], NORTH)
    [row] = await rows(store)
    payload = await store.payload(row.seq)
    assert payload is not None
    assert (len(payload.response_body), payload.response_truncated) == (1000, True)
    assert (row.response_size, row.completion_tokens) == (len(long), 4)


async def test_a_retry_gets_the_ids_of_the_first_call_and_stores_nothing(
    log_book: LogIngestionService, store: Store
) -> None:
    first, again = [chat("a"), chat("b")], [chat("c"), chat("d")]
    assert await log_book.insert(first, NORTH, receipt(*first)) == ["a", "b"]
    assert await log_book.insert(again, NORTH, receipt(*again)) == ["a", "b"]
    assert len(await rows(store)) == 2


async def test_retries_at_the_same_time_all_get_the_same_ids(
    log_book: LogIngestionService, store: Store
) -> None:
    calls = [[chat(str(number))] for number in range(8)]
    replies = await asyncio.gather(*(log_book.insert(call, NORTH, receipt(*call)) for call in calls))
    [row] = await rows(store)
    assert replies == [[row.request_id]] * 8


async def test_a_key_that_was_used_for_another_call_is_refused(
    log_book: LogIngestionService, store: Store
) -> None:
    await log_book.insert([chat("a")], NORTH, receipt(chat("a")))
    with pytest.raises(Conflict, match="Idempotency-Key: was used before"):
        await log_book.insert([chat("b")], NORTH, receipt(chat("b"), digest="other"))
    assert len(await rows(store)) == 1


async def test_a_store_that_fails_is_said_to_and_keeps_nothing(
    log_book: LogIngestionService, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> list[int]:
        raise StoreUnavailable("the disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr(store, "insert", fail)
        with pytest.raises(StoreUnavailable):
            await log_book.insert([chat("a")], NORTH, receipt(chat("a")))
    assert await requests_of(store) == []
    assert await log_book.insert([chat("a")], NORTH, receipt(chat("a"))) == ["a"]
