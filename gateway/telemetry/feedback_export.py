"""Exports feedback as annotations to a trace viewer, retried until it has arrived."""

import asyncio
import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.errors import GatewayError
from gateway.models.exchange import NO_OPT_OUT, PayloadPolicy, value_class, was_proxied
from gateway.models.feedback import Feedback, Kind, Source, Target
from gateway.models.filters import AllOf, Comparison, Filter, Not, Op, Page, Sort
from gateway.models.request import RequestRecord
from gateway.periodic import PeriodicTask
from gateway.store.base import FeedbackStore
from gateway.telemetry import attributes
from gateway.telemetry.reporter import DeliveryLog

ANNOTATOR_KINDS: Mapping[Source, str] = {
    Source.HUMAN: "HUMAN",
    Source.IMPLICIT: "HUMAN",
    Source.MODEL: "LLM",
    Source.CODE: "CODE",
}


@value_class(kw_only=True)
class Annotation:
    """A version of an entry as receivers take it."""

    feedback_id: str
    # In 32 hex digits.
    trace_id: str
    # In 16; None for feedback on a trace or a session as a whole.
    span_id: str | None
    # None unless the feedback is on a session as a whole.
    session: str | None
    name: str
    # HUMAN, LLM or CODE.
    annotator: str
    # −1…1.
    score: float | None
    label: str
    # None unless texts may be exported.
    comment: str | None
    metadata: Mapping[str, str | float]


def is_annotatable(entry: Feedback) -> bool:
    # An original text alone rates nothing.
    return entry.kind is not Kind.ORIGINAL or entry.score is not None


def build_annotation(entry: Feedback, trace_id: str, span_id: str | None, *, has_text: bool) -> Annotation:
    """Make the annotation of an entry on a request, or with `span_id` None on more than one."""
    trace = attributes.otel_trace_id(trace_id)
    score_word = attributes.score_label(entry.score) or entry.kind.value
    known = attributes.feedback_attributes(entry).items()
    metadata = {name: value for name, value in known if name.startswith("gateway.")}
    return Annotation(
        feedback_id=entry.feedback_id,
        trace_id=f"{trace:032x}",
        span_id=None if span_id is None else f"{attributes.otel_span_id(trace, span_id):016x}",
        session=(entry.session or entry.subject_id) if entry.target is Target.SESSION else None,
        name=entry.metric or entry.kind.value,
        annotator=ANNOTATOR_KINDS[entry.source],
        score=entry.score,
        label=(entry.label if has_text else None) or score_word,
        comment=(entry.comment or None) if has_text else None,
        metadata={name: value for name, value in metadata.items() if isinstance(value, str | int | float)},
    )


class SubjectMissing(Exception):
    """The subject has not arrived, or not yet."""


class ReceiverUnavailable(Exception):
    """The receiver takes nothing now."""

    def __init__(self, reason: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


class AnnotationRefused(Exception):
    """The receiver will never take this annotation."""


class Receiver(Protocol):
    """Takes annotations. Methods raise the three errors above."""

    async def put(self, annotation: Annotation, *, is_first: bool) -> None:
        """Create or replace an annotation; `is_first`: there can be none yet."""

    async def remove(self, annotation: Annotation) -> None:
        """Remove an annotation, if there."""

    async def close(self) -> None:
        """Close the connections."""


# Feedback on more requests is exported without texts: checking whether all are kept in full would take long.
MAX_REQUESTS = 50

_OLDEST_FIRST = Sort("started_at_us", descending=False)


class AnnotationLookup:
    """Makes annotations of stored entries."""

    def __init__(self, store: FeedbackStore, *, has_text: bool) -> None:
        self._store = store
        self._has_text = has_text

    async def find(self, given: Feedback) -> tuple[Annotation, bool] | None:
        """Return the annotation of the latest version, and whether it was withdrawn. Raises SubjectMissing or
        StoreUnavailable."""
        # Read again: it may have been joined to its request since it was given.
        stored = await self._store.feedback_by_ids([given.feedback_id])
        entry = stored[0] if stored else given
        is_withdrawn = entry.deleted_at_us is not None
        # An entry that is gone from the store was deleted for good, or erased with its author.
        if not is_annotatable(entry) or not (stored or is_withdrawn):
            return None
        if entry.joined_at_us is None and entry.target is not Target.TRACE:
            if is_withdrawn:
                return None
            raise SubjectMissing("nothing is logged under its id")
        records = await self._requests(entry)
        if records and not any(was_proxied(record.path) for record in records):
            # They were not proxied, so they have no span.
            return None
        span_id, trace_id = entry.request_id, attributes.feedback_trace_id(entry)
        if span_id is not None and records:
            span_id = records[-1].span_id or span_id
        if entry.target is Target.SESSION and records:
            trace_id = records[0].trace_id
        has_text = bool(entry.label or entry.comment) and await self._may_export_text(entry, records)
        return build_annotation(entry, trace_id, span_id, has_text=has_text), is_withdrawn

    async def _requests(self, entry: Feedback) -> list[RequestRecord]:
        where = _requests_filter(entry)
        if where is None:
            return []
        return await self._store.find_requests(where, _OLDEST_FIRST, Page(MAX_REQUESTS), entry.tenant)

    async def _may_export_text(self, entry: Feedback, records: list[RequestRecord]) -> bool:
        where = _requests_filter(entry)
        if not self._has_text or where is None or not 0 < len(records) < MAX_REQUESTS:
            return False
        kept_in_part = AllOf((where, Not(Comparison("payloads", Op.EQ, PayloadPolicy.FULL.value))))
        if await self._store.find_requests(kept_in_part, _OLDEST_FIRST, Page(1), None):
            return False
        for record in records:
            payload = await self._store.payload(record.seq)
            if payload is None or payload.opt_out != NO_OPT_OUT:
                return False
        return True


def _requests_filter(entry: Feedback) -> Filter | None:
    if entry.joined_at_us is None:
        return None
    if entry.target is Target.SESSION:
        return Comparison("session", Op.EQ, entry.session)
    trace = Comparison("trace_id", Op.EQ, entry.trace_id)
    return AllOf((trace, Comparison("request_id", Op.EQ, entry.request_id))) if entry.request_id else trace


# Further entries are dropped.
MOST_WAITING = 10_000

MAX_CONCURRENT = 8
TICK_SECONDS = 1.0
MAX_PAUSE_SECONDS = 60.0

# For a trace to arrive.
TRACE_WAIT_SECONDS = 900.0

CLOSE_SECONDS = 5.0
# A stop waits for the traces of feedback that is no older.
FRESH_TRACE_SECONDS = 60.0


@dataclass(slots=True)
class _QueuedEntry:
    entry: Feedback
    since: float = field(default_factory=time.monotonic)
    due: float = 0.0
    attempts: int = 0


class FeedbackExport:
    """Sends each entry's latest version until it has arrived."""

    def __init__(self, receiver: Receiver, lookup: AnnotationLookup, delivery: DeliveryLog) -> None:
        self._receiver = receiver
        self._lookup = lookup
        self._delivery = delivery
        self._waiting: dict[str, _QueuedEntry] = {}
        self._paused_until = 0.0
        self._failures = 0
        self._send_lock = asyncio.Lock()
        self._sending = PeriodicTask(
            "feedback-export",
            self._send_due,
            pause_seconds=TICK_SECONDS,
            failed="feedback could not be exported",
        )

    def observe(self, entries: Sequence[Feedback]) -> None:
        """Queue stored versions. Never waits, never raises."""
        for entry in entries:
            if entry.feedback_id not in self._waiting and len(self._waiting) >= MOST_WAITING:
                self._delivery.dropped(f"{MOST_WAITING} wait already")
            else:
                self._waiting[entry.feedback_id] = _QueuedEntry(entry)
        self._sending.run_now()

    def start(self) -> None:
        self._sending.start()

    async def close(self) -> None:
        """Send the rest; spans must have been sent before."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                # A call under way is not cancelled, or it would be sent twice.
                async with self._send_lock:
                    await self._sending.close()
                self._paused_until = 0.0
                await self._send_last()
        await self._sending.close()
        await self._receiver.close()
        if self._waiting:
            self._delivery.dropped("the gateway stops", len(self._waiting))
        self._delivery.close()

    async def _send_last(self) -> None:
        while self._waiting and not self._paused_until:
            for each in self._waiting.values():
                each.due = 0.0
            await self._send_due()
            if all(time.monotonic() - each.since > FRESH_TRACE_SECONDS for each in self._waiting.values()):
                return
            await asyncio.sleep(TICK_SECONDS / 4)

    async def _send_due(self) -> None:
        now = time.monotonic()
        due = [each for each in self._waiting.values() if each.due <= now]
        for start in range(0, len(due), MAX_CONCURRENT):
            if time.monotonic() < self._paused_until:
                return
            async with self._send_lock:
                await asyncio.gather(*map(self._send, due[start : start + MAX_CONCURRENT]))

    async def _send(self, waiting: _QueuedEntry) -> None:
        is_first = waiting.attempts == 0 and waiting.entry.version == 1
        waiting.attempts += 1
        try:
            await self._deliver(waiting.entry, is_first=is_first)
        except SubjectMissing:
            if time.monotonic() - waiting.since > TRACE_WAIT_SECONDS:
                self._forget(waiting)
                self._delivery.dropped("their traces have not arrived there")
            else:
                waiting.due = time.monotonic() + _pause(waiting.attempts)
        except ReceiverUnavailable as error:
            self._failures += 1
            pause = error.retry_after_seconds or _pause(self._failures)
            self._paused_until = time.monotonic() + min(pause, MAX_PAUSE_SECONDS)
            self._delivery.failed(str(error))
        except AnnotationRefused as error:
            self._forget(waiting)
            self._delivery.dropped(str(error))
        except GatewayError as error:
            # The store's, which it has logged itself.
            waiting.due = time.monotonic() + _pause(waiting.attempts)
            self._delivery.failed(str(error))
        except Exception as error:
            # One unforeseen entry must not hold up the others for ever.
            self._forget(waiting)
            self._delivery.dropped(repr(error))
        else:
            self._failures = 0
            self._forget(waiting)
            self._delivery.succeeded()

    async def _deliver(self, entry: Feedback, *, is_first: bool) -> None:
        found = await self._lookup.find(entry)
        if found is None:
            return
        annotation, is_withdrawn = found
        if is_withdrawn:
            await self._receiver.remove(annotation)
        else:
            await self._receiver.put(annotation, is_first=is_first)

    def _forget(self, waiting: _QueuedEntry) -> None:
        # A later version may have been queued meanwhile.
        if self._waiting.get(waiting.entry.feedback_id) is waiting:
            del self._waiting[waiting.entry.feedback_id]


def _pause(attempts: int) -> float:
    return min(2.0 ** min(attempts - 1, 10), MAX_PAUSE_SECONDS)
