"""The cache of a process: what it asks the store for, what it keeps in memory, and a store that is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from gateway.errors import StoreUnavailable
from gateway.models.cached_answer import CachedAnswer, CacheSettings
from gateway.models.clock import now_us
from gateway.models.exchange import Exchange
from gateway.routing import cache as caches
from gateway.routing.cache import AnswerCache
from tests.log_reader import PATIENCE_SECONDS
from tests.store.samples import exchange

BODY = b'{"id":"chatcmpl-1","choices":[{"index":0,"finish_reason":"stop","message":{"content":"Hi"}}]}'


class Answers:
    """A store of answers that can be away, and notes what it is asked for."""

    def __init__(self) -> None:
        self.kept: dict[str, CachedAnswer] = {}
        self.is_away = False
        self.asked: list[tuple[str, int]] = []
        self.has_put = asyncio.Event()

    async def find_answer(self, key: str, known_at_us: int = 0) -> CachedAnswer | None:
        self.asked.append((key, known_at_us))
        self._check()
        found = self.kept.get(key)
        return replace(found, body=b"") if found and found.created_at_us == known_at_us else found

    async def put_answers(self, answers: Sequence[CachedAnswer]) -> None:
        self._check()
        self.kept |= {answer.key: answer for answer in answers}
        self.has_put.set()

    async def delete_answers(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.kept.pop(key, None)

    async def rest_answers(self, feedback_ids: Sequence[str], min_score: float, until_us: int) -> list[str]:
        raise AssertionError("no feedback was given")

    async def trim_answers(self, max_bytes: int, at_us: int) -> int:
        return 0

    def _check(self) -> None:
        if self.is_away:
            raise StoreUnavailable("the store is away.")


def answered(body: bytes = BODY) -> Exchange:
    return exchange(response_body=body, response_size=len(body), started_at_us=now_us())


@pytest.fixture
async def answers() -> Answers:
    return Answers()


@pytest.fixture
async def cache(answers: Answers) -> AsyncIterator[AnswerCache]:
    cache = AnswerCache(answers, CacheSettings())
    cache.start()
    yield cache
    await cache.close()


async def body_of(cache: AnswerCache, key: str) -> bytes | None:
    found = await cache.find(key)
    return None if found is None else found.body


async def test_what_is_fresh_in_memory_is_not_asked_for_and_what_is_known_not_read_again(
    cache: AnswerCache, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.keep("k", answered(), 60)
    assert await body_of(cache, "k") == BODY
    assert answers.asked == []
    async with asyncio.timeout(PATIENCE_SECONDS):
        await answers.has_put.wait()
    monkeypatch.setattr(caches, "FRESH_SECONDS", 0.0)
    cache.forget(["k"])
    assert [await body_of(cache, "k") for _ in range(2)] == [BODY, BODY]
    assert answers.asked == [("k", 0), ("k", answers.kept["k"].created_at_us)]
    # Another process dropped it.
    del answers.kept["k"]
    assert await body_of(cache, "k") is None


async def test_while_the_store_is_away_all_miss_and_it_is_not_asked_each_time(
    cache: AnswerCache, answers: Answers
) -> None:
    answers.kept["k"] = CachedAnswer("k", None, "t", "r", (), b"kept", 1, 2**60)
    answers.is_away = True
    assert [await body_of(cache, "k") for _ in range(3)] == [None, None, None]
    assert answers.asked == [("k", 0)]
    cache.keep("other", answered(), 60)
    assert await body_of(cache, "other") == BODY


async def test_a_store_that_does_not_answer_is_not_waited_for(
    cache: AnswerCache, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(key: str, known_at_us: int = 0) -> CachedAnswer | None:
        await asyncio.Event().wait()
        return None

    monkeypatch.setattr(answers, "find_answer", hang)
    monkeypatch.setattr(caches, "LOOKUP_SECONDS", 0.01)
    assert await body_of(cache, "k") is None


async def test_memory_is_bounded(
    cache: AnswerCache, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caches, "MEMORY_BYTES", 10_000)
    monkeypatch.setattr(caches, "MAX_UNSTORED_BYTES", 5_000)
    monkeypatch.setattr(answers, "is_away", True)
    for number in range(20):
        cache.keep(f"k{number}", answered(BODY + b" " * 1000), 60)
    assert await body_of(cache, "k19") is not None
    assert sum(key in cache._in_memory for key in (f"k{number}" for number in range(20))) == 4
    assert len(cache._unstored) == 4


async def test_a_cut_or_long_answer_is_not_kept(cache: AnswerCache, answers: Answers) -> None:
    cache.settings = CacheSettings(max_bytes=16 * 2000)
    cache.keep("long", answered(BODY + b" " * 2000), 60)
    cache.keep("cut", replace(answered(), response_size=10_000), 60)
    cache.keep("failed", replace(answered(), status=500), 60)
    assert [await body_of(cache, key) for key in ("long", "cut", "failed")] == [None, None, None]
