"""Demo data: a week of example requests and feedback, stored as an import, for `gateway serve --demo-data`."""

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import orjson

from gateway.api.helicone import feedback as helicone
from gateway.api.native.feedback import DIALECT
from gateway.api.native.feedback_input import to_new_feedback
from gateway.api.pharia import schemas as pharia
from gateway.api.portkey import feedback as portkey
from gateway.api.portkey.schemas import to_new_feedback as read_grades
from gateway.cli.options import audited, open_or_create_store
from gateway.config import Config
from gateway.demo.exchanges import to_exchange
from gateway.demo.feedback import DemoFeedback, FeedbackApi, plan_feedback
from gateway.demo.traffic import DEFAULT_REQUESTS, DEMO_END_KEY, plan_traffic
from gateway.errors import Conflict
from gateway.feedback.payloads import NewFeedback, signed_scale, thumb_feedback
from gateway.feedback.rules import imported_feedback
from gateway.feedback.service import FeedbackService
from gateway.models.addresses import database_name
from gateway.models.clock import now_us
from gateway.models.exchange import Exchange, PayloadPolicy
from gateway.models.feedback import Feedback, Source
from gateway.models.filters import Comparison, Not, Op, Page, Sort
from gateway.models.ids import content_id
from gateway.models.principal import Principal
from gateway.models.request import (
    DEMO_KEY_NAME,
    DEMO_METADATA_KEY,
    DEMO_REQUEST_ID,
    Facts,
    ImportedRequest,
)
from gateway.recording.interpreter import CostCalculator
from gateway.recording.log_ingestion import LogImport
from gateway.runtime import build_price_table
from gateway.store.base import Store

T = TypeVar("T")

log = logging.getLogger("gateway.server")

# Where what the demo providers stand for is sold.
_BASE_URLS = {
    "demo-openai": "https://api.openai.com/v1",
    "demo-anthropic": "https://api.anthropic.com/v1",
    "demo-google": "https://generativelanguage.googleapis.com/v1beta",
}
# Requests that were answered by the demo itself are no real traffic.
_DEMO_PROVIDERS = ("demo", *_BASE_URLS)

_IMPORTER = Principal(DEMO_KEY_NAME, frozenset(), None)
# Stored when all else is.
_LAST_FEEDBACK_ID = content_id(b"last demo feedback")
_BATCH_ROWS = 500
# After how long people change their mind.
_CHANGE_AFTER_US = 95_000_000


async def fill_demo_data(config: Config, requests: int = DEFAULT_REQUESTS) -> None:
    """Store the demo data once; a fill that was interrupted is completed. Raises Conflict where the database
    has requests to other providers."""
    started = time.monotonic()
    async with open_or_create_store(config.storage.url) as store:
        ends_at_us = await _find_end(store)
        if ends_at_us is None:
            await _refuse_real_traffic(store, config.storage.url)
        if await _is_complete(store, ends_at_us):
            log.info("demo data is there already")
            return
        data = await asyncio.to_thread(_plan, ends_at_us or now_us(), requests)
        async with audited(store, "demo data"):
            await _store(store, config, data)
    log.info(
        "demo data added: %s requests and %s feedback entries in %.1f s, all with metadata %s=true and key name %s",
        len(data.exchanges),
        len(data.entries),
        time.monotonic() - started,
        DEMO_METADATA_KEY,
        DEMO_KEY_NAME,
    )


@dataclass(frozen=True, slots=True)
class _DemoData:
    ends_at_us: int
    exchanges: list[Exchange]
    # First versions and what becomes of them.
    entries: list[Feedback]
    changed: list[Feedback]


def _plan(ends_at_us: int, requests: int) -> _DemoData:
    calls = plan_traffic(ends_at_us, requests)
    planned = plan_feedback(calls, ends_at_us)
    entries = [to_entry(position, each) for position, each in enumerate(planned)]
    entries[-1] = replace(entries[-1], feedback_id=_LAST_FEEDBACK_ID)
    pairs = zip(entries, planned, strict=True)
    changed = [version for entry, each in pairs if (version := _changed(entry, each)) is not None]
    return _DemoData(ends_at_us, list(map(to_exchange, calls)), entries, changed)


async def _find_end(store: Store) -> int | None:
    where = Comparison("request_id", Op.EQ, DEMO_REQUEST_ID)
    found = await store.find_requests(where, Sort(), Page(1), None)
    ends_at_us = found[0].metadata.get(DEMO_END_KEY) if found else None
    return ends_at_us if isinstance(ends_at_us, int) else None


async def _refuse_real_traffic(store: Store, url: str) -> None:
    where = Not(Comparison("provider", Op.IN, _DEMO_PROVIDERS))
    if found := await store.find_requests(where, Sort(), Page(1), None):
        raise Conflict(
            f"{database_name(url)} has requests to {found[0].provider!r}, with which demo data would mix.",
            field="--demo-data",
            hint="Name another database, such as --storage sqlite:///gateway-demo.db",
        )


async def _is_complete(store: Store, ends_at_us: int | None) -> bool:
    if ends_at_us is not None:
        return bool(await store.feedback_by_ids([_LAST_FEEDBACK_ID]))
    # Retention deletes the oldest row, with the end, before the others.
    where = Comparison("provider", Op.IN, tuple(_BASE_URLS))
    return bool(await store.find_requests(where, Sort(), Page(1), None))


async def _store(store: Store, config: Config, data: _DemoData) -> None:
    pricing = CostCalculator(build_price_table(config), _BASE_URLS.get)
    history = LogImport(store, pricing, lambda _: PayloadPolicy.FULL, config.storage.max_body_bytes)
    imported = [ImportedRequest(exchange, Facts()) for exchange in data.exchanges]
    # The oldest row is among the first; by it an interrupted fill goes on.
    for batch in _batches(imported):
        await history.import_requests(batch)
    service = FeedbackService(store)
    for entries in _batches(data.entries[:-1]):
        await service.insert_missing(entries)
    ids = [entry.feedback_id for entry in data.changed]
    first = {entry.feedback_id for entry in await store.feedback_by_ids(ids) if entry.version == 1}
    await store.put_feedback([entry for entry in data.changed if entry.feedback_id in first])
    await service.insert_missing(data.entries[-1:])


def _batches(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    return (rows[start : start + _BATCH_ROWS] for start in range(0, len(rows), _BATCH_ROWS))


def to_entry(position: int, planned: DemoFeedback) -> Feedback:
    item, dialect = _read(planned)
    item = replace(item, feedback_id=content_id(f"demo {position}".encode()))
    trace_id = planned.trace_id if planned.api is FeedbackApi.RATINGS else None
    return imported_feedback(item, _IMPORTER, dialect, planned.given_at_us, trace_id)


def _read(planned: DemoFeedback) -> tuple[NewFeedback, str]:
    """Return the feedback in a body, as its API reads it, and the API's name."""
    match planned.api:
        case FeedbackApi.GRADES:
            # Grades from -10 to 10, whatever scale the configuration has for those of real callers.
            return read_grades(planned.body, signed_scale)[0], portkey.DIALECT
        case FeedbackApi.RATINGS:
            raw, is_up = orjson.dumps(planned.body).decode(), bool(planned.body["rating"])
            item = thumb_feedback(planned.subject_id, is_up=is_up, raw=raw, author=planned.author)
            return replace(item, metadata={DEMO_METADATA_KEY: True}), helicone.DIALECT
        case FeedbackApi.DOCUMENTS:
            return pharia.to_new_feedback(planned.body), pharia.DIALECT
        case FeedbackApi.NATIVE:
            [item] = to_new_feedback(planned.body, signed_scale)
            return replace(item, source=Source.MODEL if planned.is_model else Source.HUMAN), DIALECT


def _changed(entry: Feedback, planned: DemoFeedback) -> Feedback | None:
    at_us = entry.created_at_us + _CHANGE_AFTER_US
    later = replace(entry, version=2, updated_at_us=at_us)
    if planned.is_withdrawn:
        return replace(later, raw="{}", deleted_at_us=at_us)
    if planned.value is None:
        return None
    raw = orjson.dumps({"value": planned.value}).decode()
    return replace(
        later, raw=raw, value=planned.value, score=signed_scale(planned.value), grade=planned.value
    )
