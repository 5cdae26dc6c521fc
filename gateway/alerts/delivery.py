"""WebhookRunner: turns what was stored into deliveries, and sends these under a lease on each endpoint."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import random
import ssl
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import structlog

from gateway.alerts.destinations import Destinations, target_of
from gateway.alerts.event_payloads import feedback_payload, request_payload
from gateway.alerts.webhooks import DeclaredWebhook, WebhookService
from gateway.errors import GatewayError, NotFound, StoreUnavailable
from gateway.models.clock import now_us
from gateway.models.feedback import Feedback
from gateway.models.filters import AllOf, Comparison, Op
from gateway.models.ids import new_id
from gateway.models.metrics import DAY_US
from gateway.models.webhooks import (
    FEEDBACK_EVENTS,
    MAX_RETRY_AFTER_SECONDS,
    TEXTS,
    Attempt,
    Delivery,
    EventType,
    Webhook,
    secret_bytes,
)
from gateway.query.filters import REQUEST_FILTERS
from gateway.query.requests import TextReader
from gateway.store.base import Store
from gateway.upstream.client import Upstream
from gateway.upstream.errors import ExchangeFailed, ExchangeTimedOut
from gateway.upstream.request import Origin, OutgoingRequest, Timeouts
from gateway.upstream.response import UpstreamResponse

log = structlog.get_logger("gateway.alerts")

# What happened is looked for so often, by each process.
LOOK_SECONDS = 1.0
# An endpoint whose process has died is free again after this time.
LEASE_SECONDS = 3.0
_RENEW_SECONDS = 1.0
# Changes or requests that become deliveries in one step, and deliveries that may wait before more are made: what is
# behind waits where it is stored.
PAGE_ROWS = 200
MAX_WAITING = 1_000
# Of one endpoint, read at a time, sent at a time and in a second: the event loop is shared with the proxy.
BATCH = 16
MAX_IN_FLIGHT = 8
MAX_PER_SECOND = 50
TIMEOUTS = Timeouts(connect=10.0, first_byte=20.0, idle=20.0, total=20.0)
# More of a response is not read; nothing of it is kept.
MAX_RESPONSE_BYTES = 16 * 1024
# Deliveries that are done are shown for so long.
KEPT_DAYS = 30
_CLEANUP_SECONDS = 3600.0
_MAX_TEXT_BODY_BYTES = 256 * 1024


def sign(secret: str, delivery_id: str, timestamp: int, body: bytes) -> str:
    """Return one signature of `webhook-signature` (Standard Webhooks 1.0, symmetric)."""
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    digest = hmac.digest(secret_bytes(secret), signed, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def retry_after_seconds(text: str | None, at: datetime) -> float | None:
    """Return the pause that a Retry-After asks for, in seconds or as a date; None where it says nothing."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return min(float(text), MAX_RETRY_AFTER_SECONDS)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    seconds = ((until if until.tzinfo else until.replace(tzinfo=UTC)) - at).total_seconds()
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)


class WebhookSender:
    """Sends messages: to the URL that is stored, over no proxy, following no redirect."""

    def __init__(self, destinations: Destinations, timeouts: Timeouts = TIMEOUTS) -> None:
        self.destinations = destinations
        self._timeouts = timeouts
        self._upstream = Upstream()
        self._tls = ssl.create_default_context()

    async def close(self) -> None:
        await self._upstream.close()

    async def send(self, webhook: Webhook, delivery: Delivery) -> Attempt:
        """Try a message once. Never raises but when it is cancelled."""
        at_us, timestamp = now_us(), int(time.time())
        try:
            response = await self._post(webhook, delivery, timestamp)
            await _read_some(response)
        except (ExchangeFailed, ExchangeTimedOut) as error:
            return Attempt(delivery.delivery_id, at_us, None, str(error))
        except GatewayError as error:
            return Attempt(delivery.delivery_id, at_us, None, f"the URL cannot be called: {error}")
        return _attempt_of(delivery, at_us, response)

    async def _post(self, webhook: Webhook, delivery: Delivery, timestamp: int) -> UpstreamResponse:
        host, port, is_tls, target = target_of(webhook.url)
        origin = Origin(
            host,
            port,
            self._tls if is_tls else None,
            max_connections=MAX_IN_FLIGHT,
            allows=self.destinations.allows,
        )
        body = (delivery.body or "").encode()
        secrets = webhook.secrets(now_us())
        signatures = (sign(secret, delivery.delivery_id, timestamp, body) for secret in secrets)
        shown_host = f"[{host}]" if ":" in host else host
        headers = {
            "host": shown_host if port == (443 if is_tls else 80) else f"{shown_host}:{port}",
            "content-type": "application/json",
            "content-length": str(len(body)),
            "user-agent": "feedback-gateway",
            "webhook-id": delivery.delivery_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": " ".join(signatures),
        }
        fields = tuple((name.encode(), value.encode()) for name, value in headers.items())
        return await self._upstream.send(
            OutgoingRequest("POST", target, fields, body), origin, self._timeouts
        )


async def _read_some(response: UpstreamResponse) -> None:
    # The status is the answer; the rest is read so that the connection can be used again.
    size = 0
    with contextlib.suppress(ExchangeFailed, ExchangeTimedOut):
        while size <= MAX_RESPONSE_BYTES and (piece := await response.read()):
            size += len(piece)
    response.close()


def _attempt_of(delivery: Delivery, at_us: int, response: UpstreamResponse) -> Attempt:
    status = response.status
    if 200 <= status < 300:
        return Attempt(delivery.delivery_id, at_us, status)
    error = f"the receiver answered {status}."
    if 300 <= status < 400:
        error = f"the receiver answered {status}; redirects are not followed."
    field = next((value for name, value in response.headers if name.lower() == b"retry-after"), None)
    asked = None if field is None else field.decode("latin-1")
    return Attempt(delivery.delivery_id, at_us, status, error, retry_after_seconds(asked, datetime.now(UTC)))


class WebhookRunner:
    """Serves the endpoints that have something to do, each under a lease in the store."""

    def __init__(self, store: Store, sender: WebhookSender, service: WebhookService) -> None:
        self._store = store
        self._sender = sender
        self._service = service
        # Endpoints of the configuration file that are not stored yet; None: all are.
        self.declared: Mapping[str, DeclaredWebhook] | None = None
        self._texts = TextReader(store)
        self._name = new_id()
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._cleaned_up_at = -_CLEANUP_SECONDS
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="webhooks")

    async def close(self) -> None:
        tasks = [*self._serving.values(), *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._sender.close()

    async def _run(self) -> None:
        while True:
            try:
                await self.look()
            except StoreUnavailable as error:
                log.warning("webhooks wait for the store", reason=str(error))
            except Exception:
                log.exception("webhooks could not be looked at; will be tried again")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Begin to serve the endpoints that have something to do and that no other process serves."""
        if (declared := self.declared) is not None:
            # Kept until it is stored: the database may be away just now.
            await self._service.use_file(declared)
            if self.declared is declared:
                self.declared = None
        for webhook in await self._store.busy_webhooks(now_us()):
            if webhook.webhook_id not in self._serving:
                task = asyncio.create_task(self._serve(webhook), name=f"webhook {webhook.webhook_id}")
                self._serving[webhook.webhook_id] = task
        now = asyncio.get_running_loop().time()
        if now - self._cleaned_up_at >= _CLEANUP_SECONDS:
            self._cleaned_up_at = now
            await self._store.expire_deliveries(now_us() - KEPT_DAYS * DAY_US)

    async def settle(self) -> None:
        """Return once the endpoints that are served have nothing left to do now."""
        await asyncio.gather(*self._serving.values())

    async def _serve(self, webhook: Webhook) -> None:
        """Work for an endpoint until it has nothing to do or is lost to another process."""
        try:
            if not await self._lease(webhook.webhook_id):
                return
            working = asyncio.create_task(self._work(webhook), name=f"webhook work {webhook.webhook_id}")
            try:
                await self._keep_lease(webhook.webhook_id, working)
                await working
            finally:
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)
            await self._store.release_webhook(webhook.webhook_id, self._name)
        except (StoreUnavailable, NotFound) as error:
            # It was removed, or goes on when the store is back.
            log.warning("a webhook is not served", webhook_id=webhook.webhook_id, reason=str(error))
        except Exception:
            log.exception("a webhook is not served", webhook_id=webhook.webhook_id)
        finally:
            del self._serving[webhook.webhook_id]

    async def _keep_lease(self, webhook_id: str, working: asyncio.Task[None]) -> None:
        while not (await asyncio.wait({working}, timeout=_RENEW_SECONDS))[0]:
            if not await self._lease(webhook_id):
                # Disabled, or another process has it.
                working.cancel()
                await asyncio.gather(working, return_exceptions=True)
                raise NotFound(f"the lease of {webhook_id} is lost.")

    async def _lease(self, webhook_id: str) -> bool:
        at_us = now_us()
        until_us = at_us + int(LEASE_SECONDS * 1_000_000)
        return await self._store.lease_webhook(webhook_id, self._name, at_us, until_us)

    async def _work(self, webhook: Webhook) -> None:
        while True:
            due = await self._store.due_deliveries(webhook.webhook_id, now_us(), BATCH)
            # While there is a backlog, nothing new is looked for.
            has_queued = len(due) < BATCH and await self._queue(webhook)
            if not due and not has_queued:
                return
            if due:
                # While it fails, one message at a time finds out whether it is back.
                webhook = await self._send(webhook, due[:1] if webhook.failures else due)
            if webhook.disabled_at_us is not None or (webhook.paused_until_us or 0) > now_us():
                return

    # From what is stored to deliveries

    async def _queue(self, webhook: Webhook) -> bool:
        if await self._store.waiting_deliveries(webhook.webhook_id) >= MAX_WAITING:
            return False
        has_queued = False
        if webhook.subscribes(*FEEDBACK_EVENTS):
            has_texts = TEXTS in webhook.include

            def render(kind: EventType, entry: Feedback) -> str:
                return feedback_payload(kind, entry, has_texts=has_texts)

            has_queued = await self._store.queue_feedback(webhook.webhook_id, PAGE_ROWS, render) > 0
        if webhook.subscribes(EventType.REQUEST_LOGGED):
            has_queued = await self._queue_requests(webhook) or has_queued
        return has_queued

    async def _queue_requests(self, webhook: Webhook) -> bool:
        current = await self._store.webhook(webhook.webhook_id, None)
        after = current.request_position
        position = await self._store.settled_requests(after, PAGE_ROWS, now_us())
        if position <= after:
            return False
        given = REQUEST_FILTERS.to_filter((name, str(text)) for name, text in current.filters.items())
        within = (Comparison("seq", Op.GT, after), Comparison("seq", Op.LE, position))
        found = await self._store.read_requests(AllOf((given, *within)), PAGE_ROWS, current.tenant)
        texts = {}
        if found and TEXTS in current.include:
            counted = {str(record.seq): record for record in found}
            texts = await self._texts.list_texts((), counted, _MAX_TEXT_BODY_BYTES)
        deliveries = {
            (record.seq, record.request_id): Delivery(
                webhook_id=current.webhook_id,
                tenant=current.tenant,
                type=EventType.REQUEST_LOGGED,
                request_seq=record.seq,
                body=request_payload(record, texts.get(str(record.seq))),
            )
            for record in found
        }
        await self._store.queue_requests(current.webhook_id, deliveries, position)
        return True

    async def _send(self, webhook: Webhook, due: Sequence[Delivery]) -> Webhook:
        started = asyncio.get_running_loop().time()
        attempts: list[Attempt] = []
        for first in range(0, len(due), MAX_IN_FLIGHT):
            sending = (self._sender.send(webhook, each) for each in due[first : first + MAX_IN_FLIGHT])
            attempts += await asyncio.gather(*sending)
        after = await self._store.record_attempts(webhook.webhook_id, attempts, random.random())
        if after.disabled_at_us is not None:
            log.warning("a webhook was disabled", webhook_id=after.webhook_id, reason=after.disabled_reason)
        # Pacing, whatever the receiver could take.
        elapsed = asyncio.get_running_loop().time() - started
        await asyncio.sleep(max(0.0, len(due) / MAX_PER_SECOND - elapsed))
        return after
