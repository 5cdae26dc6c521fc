"""CacheFeedback: drops cached answers that people or models did not like."""

import asyncio
import contextlib
import heapq
from collections.abc import Sequence

import structlog

from gateway.errors import StoreUnavailable
from gateway.models.clock import now_us
from gateway.models.feedback import Feedback
from gateway.routing.cache import AnswerCache
from gateway.store.base import CachedAnswers

log = structlog.get_logger("gateway.routing")

# For how long nothing is kept under the key of an answer that was dropped.
REST_SECONDS = 3600

# When feedback is looked at: what it is about, and the answer itself, may be stored a moment later than it.
_LOOKS_AFTER_SECONDS = (0.0, 2.0, 15.0, 120.0)

_MAX_WAITING = 50_000


class CacheFeedback:
    """Looks at each feedback that is bad enough, now and again."""

    def __init__(self, store: CachedAnswers, cache: AnswerCache) -> None:
        self._store = store
        self._cache = cache
        self._loop = asyncio.get_running_loop()
        # When to look, and at which entry.
        self._due: list[tuple[float, str]] = []
        self._has_more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="cache-feedback")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def observe(self, versions: Sequence[Feedback]) -> None:
        """Take versions of entries once they are stored."""
        least = self._cache.settings.min_score
        at = self._loop.time()
        for entry in versions:
            if entry.score is None or entry.score >= least or entry.deleted_at_us is not None:
                continue
            if len(self._due) < _MAX_WAITING:
                for seconds in _LOOKS_AFTER_SECONDS:
                    heapq.heappush(self._due, (at + seconds, entry.feedback_id))
                self._has_more.set()

    async def _run(self) -> None:
        while True:
            self._has_more.clear()
            if ids := self._take_due():
                await self._drop(ids)
                continue
            pause = self._due[0][0] - self._loop.time() if self._due else None
            # Not `wait_for`, which in Python 3.11 may lose a cancellation.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._has_more.wait()

    def _take_due(self) -> list[str]:
        at = self._loop.time()
        ids: dict[str, None] = {}
        while self._due and self._due[0][0] <= at:
            ids[heapq.heappop(self._due)[1]] = None
        return list(ids)

    async def _drop(self, feedback_ids: Sequence[str]) -> None:
        least, until_us = self._cache.settings.min_score, now_us() + REST_SECONDS * 1_000_000
        try:
            dropped = await self._store.rest_answers(feedback_ids, least, until_us)
        except StoreUnavailable as error:
            # There is another look, and the feedback is stored.
            log.warning("cached answers could not be dropped for their feedback", reason=str(error))
        except Exception:
            log.exception("cached answers could not be dropped for their feedback")
        else:
            self._cache.forget(dropped)
