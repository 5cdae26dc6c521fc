"""FeedbackExport: brings feedback to where the traces are shown, after them, each entry as it is in the end.

What waits is in memory. The log has all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.domain.feedback import Feedback
from gateway.errors import GatewayError
from gateway.recurring import Recurring
from gateway.telemetry.delivery import Delivery
from gateway.telemetry.judged import Judged
from gateway.telemetry.receivers import NotThere, Receiver, Refused, Unavailable

MOST_WAITING = 10_000
"""Entries that wait at most. Further ones are dropped."""

AT_ONCE = 8
TICK_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0

PATIENCE_SECONDS = 900.0
"""How long it is waited for a trace to arrive."""

CLOSE_SECONDS = 5.0
FRESH_SECONDS = 60.0
"""At a stop, it is waited for the traces of feedback that came so long ago at most."""


@dataclass(slots=True)
class _Waiting:
    entry: Feedback
    since: float = field(default_factory=time.monotonic)
    due: float = 0.0
    attempts: int = 0


class FeedbackExport:
    """Tells a receiver of each entry's latest version, and again until it has it.

    Args:
        receiver: who is told.
        judged: finds what entries are about.
        delivery: tells the log whether they arrive.
    """

    def __init__(self, receiver: Receiver, judged: Judged, delivery: Delivery) -> None:
        self._receiver = receiver
        self._judged = judged
        self._delivery = delivery
        self._waiting: dict[str, _Waiting] = {}
        self._away_until = 0.0
        self._failures = 0
        self._turn = asyncio.Lock()
        self._sending = Recurring(
            "feedback-export",
            self._send_due,
            pause_seconds=TICK_SECONDS,
            failed="feedback could not be exported",
        )

    def observe(self, entries: Sequence[Feedback]) -> None:
        """Take versions that were stored. Never waits, never raises."""
        for entry in entries:
            if entry.feedback_id not in self._waiting and len(self._waiting) >= MOST_WAITING:
                self._delivery.dropped(f"{MOST_WAITING} wait already")
            else:
                self._waiting[entry.feedback_id] = _Waiting(entry)
        self._sending.hurry()

    def start(self) -> None:
        """Begin to send."""
        self._sending.start()

    async def close(self) -> None:
        """Send what waits, for some seconds at most; spans must have been sent before."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                # What is under way is not broken off, or it would be told twice.
                async with self._turn:
                    await self._sending.close()
                self._away_until = 0.0
                await self._send_last()
        await self._sending.close()
        await self._receiver.close()
        if self._waiting:
            self._delivery.dropped("the gateway stops", len(self._waiting))
        self._delivery.close()

    async def _send_last(self) -> None:
        while self._waiting and not self._away_until:
            for each in self._waiting.values():
                each.due = 0.0
            await self._send_due()
            if all(time.monotonic() - each.since > FRESH_SECONDS for each in self._waiting.values()):
                return
            await asyncio.sleep(TICK_SECONDS / 4)

    async def _send_due(self) -> None:
        now = time.monotonic()
        due = [each for each in self._waiting.values() if each.due <= now]
        for start in range(0, len(due), AT_ONCE):
            if time.monotonic() < self._away_until:
                return
            async with self._turn:
                await asyncio.gather(*map(self._send, due[start : start + AT_ONCE]))

    async def _send(self, waiting: _Waiting) -> None:
        is_first = waiting.attempts == 0 and waiting.entry.version == 1
        waiting.attempts += 1
        try:
            await self._tell(waiting.entry, is_first=is_first)
        except NotThere:
            if time.monotonic() - waiting.since > PATIENCE_SECONDS:
                self._forget(waiting)
                self._delivery.dropped("what they judge has not arrived there")
            else:
                waiting.due = time.monotonic() + _pause(waiting.attempts)
        except Unavailable as error:
            self._failures += 1
            pause = error.retry_after_seconds or _pause(self._failures)
            self._away_until = time.monotonic() + min(pause, LONGEST_PAUSE_SECONDS)
            self._delivery.failed(str(error))
        except Refused as error:
            self._forget(waiting)
            self._delivery.dropped(str(error))
        except GatewayError as error:
            # The store, which has a say in the log of its own.
            waiting.due = time.monotonic() + _pause(waiting.attempts)
            self._delivery.failed(str(error))
        except Exception as error:
            # One entry that nobody foresaw must not hold up the others for ever.
            self._forget(waiting)
            self._delivery.dropped(repr(error))
        else:
            self._failures = 0
            self._forget(waiting)
            self._delivery.succeeded()

    async def _tell(self, entry: Feedback, *, is_first: bool) -> None:
        found = await self._judged.find(entry)
        if found is None:
            return
        judgement, is_withdrawn = found
        if is_withdrawn:
            await self._receiver.remove(judgement)
        else:
            await self._receiver.put(judgement, is_first=is_first)

    def _forget(self, waiting: _Waiting) -> None:
        # A later version may have come meanwhile.
        if self._waiting.get(waiting.entry.feedback_id) is waiting:
            del self._waiting[waiting.entry.feedback_id]


def _pause(attempts: int) -> float:
    return min(2.0 ** min(attempts - 1, 10), LONGEST_PAUSE_SECONDS)
