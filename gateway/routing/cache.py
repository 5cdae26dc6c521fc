"""AnswerCache: answers that are given again; the latest in memory, all in the store, which processes share."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace

import structlog

from gateway.errors import StoreUnavailable
from gateway.models.cached_answer import CachedAnswer, CacheSettings
from gateway.models.clock import now_us
from gateway.models.exchange import Exchange, Outcome, RawHeaders
from gateway.models.principal import is_secret_header
from gateway.periodic import PeriodicTask
from gateway.store.base import CachedAnswers
from gateway.wire import read_facts

log = structlog.get_logger("gateway.routing")

# For how long an answer in memory is given without asking the store whether it is still good.
FRESH_SECONDS = 1.0

# Of answers in memory, in each process.
MEMORY_BYTES = 32 * 1024 * 1024

# About what an entry takes beside its answer.
_ENTRY_BYTES = 1024

MAX_ANSWER_BYTES = 8 * 1024 * 1024

# Of answers that the store is still to take; more are not kept.
MAX_UNSTORED_BYTES = 32 * 1024 * 1024

# A request would rather go to its provider than wait longer for the store.
LOOKUP_SECONDS = 0.5
# For how long a store that failed is not asked again.
_STORE_REST_SECONDS = 1.0

TRIM_SECONDS = 300.0

# About one connection, the time, or the account of the request that the answer was given to.
_NOT_KEPT = frozenset(
    {
        b"set-cookie", b"date", b"age", b"connection", b"keep-alive", b"transfer-encoding", b"trailer",
        b"retry-after", b"server-timing",
    }
)  # fmt: skip


class AnswerCache:
    """Finds and keeps answers."""

    def __init__(self, store: CachedAnswers, settings: CacheSettings) -> None:
        self.settings = settings
        self._store = store
        self._in_memory: OrderedDict[str, tuple[CachedAnswer, float]] = OrderedDict()
        self._memory_bytes = 0
        self._unstored: dict[str, CachedAnswer] = {}
        self._unstored_bytes = 0
        self._outdated: set[str] = set()
        self._stored_since_trim_bytes = 0
        self._loop = asyncio.get_running_loop()
        self._trimmed_at = self._loop.time()
        self._asks_store_from = 0.0
        self._task = PeriodicTask(
            "answer-cache",
            self._update_store,
            pause_seconds=TRIM_SECONDS,
            failed="answers could not be cached; requests go to their providers",
        )

    def start(self) -> None:
        self._task.start()

    async def close(self) -> None:
        """Stop, once the store has what was kept."""
        await self._task.close()
        try:
            await self._store_answers()
        except StoreUnavailable as error:
            log.warning("answers could not be cached", reason=str(error))

    async def find(self, key: str) -> CachedAnswer | None:
        """Return what is kept under a key, which may be too old or only rest; None too while the store fails."""
        known, fresh_until = self._in_memory.get(key, (None, 0.0))
        if known is not None and self._loop.time() < fresh_until:
            self._in_memory.move_to_end(key)
            return known
        if (unstored := self._unstored.get(key)) is not None:
            return unstored
        return await self._find_in_store(key, known)

    def keep(self, key: str, exchange: Exchange, max_age_seconds: int) -> None:
        """Keep the answer of an exchange, if it is good and whole."""
        answer = _answer_of(key, exchange, max_age_seconds)
        most = min(MAX_ANSWER_BYTES, self.settings.max_bytes // 16)
        if answer is None or answer.size_bytes > most or not _is_good(exchange):
            return
        self._remember(answer)
        if self._unstored_bytes + answer.size_bytes <= MAX_UNSTORED_BYTES:
            self._unstored_bytes += answer.size_bytes
            self._unstored[key] = answer
            self._task.run_now()

    def forget(self, keys: Iterable[str]) -> None:
        """Take answers out of memory, as they were dropped."""
        for key in keys:
            self._drop_from_memory(key)
            self._drop_unstored(key)

    def refresh(self, key: str) -> None:
        """Delete an answer that is to be fetched anew."""
        self.forget([key])
        self._outdated.add(key)
        self._task.run_now()

    async def _find_in_store(self, key: str, known: CachedAnswer | None) -> CachedAnswer | None:
        if self._loop.time() < self._asks_store_from:
            return None
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = await self._store.find_answer(key, 0 if known is None else known.created_at_us)
        except (StoreUnavailable, TimeoutError) as error:
            log.warning(
                "cached answers cannot be read; requests go to their providers",
                reason=str(error) or "timeout",
            )
            self._asks_store_from = self._loop.time() + _STORE_REST_SECONDS
            return None
        if found is None:
            self._drop_from_memory(key)
            return None
        if known is not None and found.created_at_us == known.created_at_us:
            found = replace(found, body=known.body)
        self._remember(found)
        return found

    def _remember(self, answer: CachedAnswer) -> None:
        self._drop_from_memory(answer.key)
        self._in_memory[answer.key] = answer, self._loop.time() + FRESH_SECONDS
        self._memory_bytes += answer.size_bytes + _ENTRY_BYTES
        while self._memory_bytes > MEMORY_BYTES:
            _, (oldest, _) = self._in_memory.popitem(last=False)
            self._memory_bytes -= oldest.size_bytes + _ENTRY_BYTES

    def _drop_from_memory(self, key: str) -> None:
        if (known := self._in_memory.pop(key, None)) is not None:
            self._memory_bytes -= known[0].size_bytes + _ENTRY_BYTES

    def _drop_unstored(self, key: str) -> None:
        if (answer := self._unstored.pop(key, None)) is not None:
            self._unstored_bytes -= answer.size_bytes

    async def _update_store(self) -> None:
        await self._store_answers()
        is_due = self._loop.time() - self._trimmed_at >= TRIM_SECONDS
        if is_due or self._stored_since_trim_bytes > self.settings.max_bytes // 16:
            self._trimmed_at, self._stored_since_trim_bytes = self._loop.time(), 0
            await self._store.trim_answers(self.settings.max_bytes, now_us())

    async def _store_answers(self) -> None:
        # What comes while the store writes is for the next turn.
        while self._outdated or self._unstored:
            outdated, self._outdated = self._outdated, set()
            answers, self._unstored = self._unstored, {}
            size, self._unstored_bytes = self._unstored_bytes, 0
            if outdated:
                await self._store.delete_answers(sorted(outdated))
            if answers:
                await self._store.put_answers(list(answers.values()))
                self._stored_since_trim_bytes += size


def _answer_of(key: str, exchange: Exchange, max_age_seconds: int) -> CachedAnswer | None:
    if exchange.status != 200 or len(exchange.response_body) != exchange.response_size:
        return None
    at_us = exchange.ended_at_us
    return CachedAnswer(
        key=key,
        tenant=exchange.tenant,
        trace_id=exchange.identity.trace_id,
        request_id=exchange.identity.request_id,
        headers=_kept_headers(exchange.response_headers),
        body=exchange.response_body,
        created_at_us=at_us,
        expires_at_us=at_us + max_age_seconds * 1_000_000,
    )


def _kept_headers(headers: RawHeaders) -> RawHeaders:
    return tuple((name, text) for name, text in headers if _is_kept(name.lower()))


def _is_kept(name: bytes) -> bool:
    return name not in _NOT_KEPT and b"ratelimit" not in name and not is_secret_header(name)


def _is_good(exchange: Exchange) -> bool:
    """Tell whether an answer is whole, and no error inside a good status."""
    return (read_facts(exchange).outcome or exchange.outcome) is Outcome.COMPLETE
