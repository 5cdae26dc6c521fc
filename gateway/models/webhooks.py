"""Webhooks: endpoints, deliveries, event types, and what an attempt means for both (Standard Webhooks 1.0)."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from gateway.models.clock import format_rfc3339, now_us
from gateway.models.ids import new_id


class EventType(StrEnum):
    """What an endpoint can be notified of."""

    FEEDBACK_CREATED = "feedback.created"
    FEEDBACK_UPDATED = "feedback.updated"
    FEEDBACK_DELETED = "feedback.deleted"
    REQUEST_LOGGED = "request.logged"
    ALERT_FIRED = "alert.fired"
    ALERT_RESOLVED = "alert.resolved"
    EXPORT_DONE = "export.done"
    RULE_MATCHED = "rule.matched"
    WEBHOOK_TEST = "webhook.test"


FEEDBACK_EVENTS = (EventType.FEEDBACK_CREATED, EventType.FEEDBACK_UPDATED, EventType.FEEDBACK_DELETED)

# A test is sent when somebody asks for it, a match to the endpoint that its rule names.
SUBSCRIBABLE_EVENTS = tuple(
    each for each in EventType if each not in (EventType.RULE_MATCHED, EventType.WEBHOOK_TEST)
)

# The one thing that payloads can have beside ids and facts.
TEXTS = "texts"


class DeliveryState(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    # After the last attempt.
    FAILED = "failed"
    # What it was about was withdrawn or erased.
    DROPPED = "dropped"


class SettingSource(StrEnum):
    """Where an endpoint or a rule was declared."""

    FILE = "file"
    STORE = "store"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An endpoint. Times are microseconds since the epoch."""

    webhook_id: str = field(default_factory=lambda: f"ep_{new_id()}")
    # Whose events it gets; None: those of all.
    tenant: str | None
    name: str
    url: str
    events: tuple[str, ...]
    # Conditions on requests for `request.logged`, as the list of requests takes them.
    filters: Mapping[str, object] = field(default_factory=dict)
    include: tuple[str, ...] = ()
    source: SettingSource = SettingSource.STORE
    secret: str
    # Signs too until its time is over.
    old_secret: str | None = None
    old_secret_until_us: int | None = None
    disabled_at_us: int | None = None
    disabled_reason: str | None = None
    # When the first of the attempts failed that have failed since the last success.
    failing_since_us: int | None = None
    failures: int = 0
    paused_until_us: int | None = None
    # Up to where changes of feedback, and requests, have become deliveries.
    feedback_position: int = 0
    request_position: int = 0
    created_at_us: int = field(default_factory=now_us)
    updated_at_us: int = field(default_factory=now_us)
    # The process that delivers; counts as dead after `lease_until_us`.
    owner: str | None = None
    lease_until_us: int | None = None

    def subscribes(self, *types: EventType) -> bool:
        return any(each.value in self.events for each in types)

    def secrets(self, at_us: int) -> tuple[str, ...]:
        """Return the secrets that sign at a time, the newest first."""
        if self.old_secret is None or (self.old_secret_until_us or 0) <= at_us:
            return (self.secret,)
        return (self.secret, self.old_secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A message to one endpoint; its id is the `webhook-id` of each attempt."""

    # Position in this store; 0 of one that is not stored yet.
    seq: int = 0
    delivery_id: str = field(default_factory=lambda: f"msg_{new_id()}")
    webhook_id: str
    tenant: str | None
    type: EventType
    # What it is about, by which it is found when that is erased.
    feedback_id: str | None = None
    request_seq: int | None = None
    # None once what it was about was withdrawn or erased.
    body: str | None
    state: DeliveryState = DeliveryState.WAITING
    attempts: int = 0
    # None unless it waits.
    next_at_us: int | None = field(default_factory=now_us)
    created_at_us: int = field(default_factory=now_us)
    last_at_us: int | None = None
    # Of the last attempt.
    status: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What rarely happens, so that it becomes deliveries in the transaction of its cause."""

    type: EventType
    tenant: str | None
    data: Mapping[str, object]
    at_us: int = field(default_factory=now_us)


@dataclass(frozen=True, slots=True)
class Attempt:
    """The outcome of one attempt: a status, or why there is none."""

    delivery_id: str
    at_us: int
    status: int | None
    error: str | None = None
    retry_after_seconds: float | None = None

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


# Pauses after a failed attempt, as the specification recommends them.
RETRY_SECONDS = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
MAX_ATTEMPTS = len(RETRY_SECONDS) + 1
# An endpoint without any success for so long is disabled.
MAX_FAILING_US = sum(RETRY_SECONDS) * 1_000_000
# Retries come up to this share later, so that they do not all come at once.
JITTER = 0.1
# A receiver may ask for no longer a pause.
MAX_RETRY_AFTER_SECONDS = 86_400.0
# Pauses of an endpoint that fails; after them the next waiting delivery tries it.
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
GONE = 410
# From so many failures in a row on, the first success lets all that waits go at once.
MIN_FAILURES_TO_WAKE = 3

ROTATION_US = 24 * 3600 * 1_000_000


def after_attempt(
    webhook: Webhook, delivery: Delivery, attempt: Attempt, jitter: float
) -> tuple[Webhook, Delivery]:
    """Return endpoint and delivery as an attempt leaves them.

    Args:
        jitter: from 0 to 1.
    """
    tried = replace(
        delivery,
        attempts=delivery.attempts + 1,
        last_at_us=attempt.at_us,
        status=attempt.status,
        error=attempt.error,
    )
    if attempt.is_success:
        healthy = replace(webhook, failing_since_us=None, failures=0, paused_until_us=None)
        return healthy, replace(tried, state=DeliveryState.DELIVERED, next_at_us=None)
    return _after_failure(webhook, attempt), _retried(tried, attempt, jitter)


def _after_failure(webhook: Webhook, attempt: Attempt) -> Webhook:
    since_us = attempt.at_us if webhook.failing_since_us is None else webhook.failing_since_us
    pause = min(_FIRST_PAUSE_SECONDS * 2 ** min(webhook.failures, 10), _LONGEST_PAUSE_SECONDS)
    pause = max(pause, attempt.retry_after_seconds or 0.0)
    failing = replace(
        webhook,
        failing_since_us=since_us,
        failures=webhook.failures + 1,
        paused_until_us=attempt.at_us + int(pause * 1_000_000),
    )
    if attempt.status == GONE:
        return disabled(failing, attempt.at_us, "the receiver answered 410 Gone.")
    if attempt.at_us - since_us >= MAX_FAILING_US:
        since = format_rfc3339(since_us, "seconds")
        return disabled(
            failing, attempt.at_us, f"every attempt since {since} failed; the last: {attempt.error}"
        )
    return failing


def _retried(delivery: Delivery, attempt: Attempt, jitter: float) -> Delivery:
    # Also of an endpoint that is gone: it may be enabled again under another URL.
    if delivery.attempts >= MAX_ATTEMPTS:
        return replace(delivery, state=DeliveryState.FAILED, next_at_us=None)
    seconds = RETRY_SECONDS[delivery.attempts - 1] * (1 + JITTER * jitter)
    seconds = max(seconds, attempt.retry_after_seconds or 0.0)
    return replace(delivery, next_at_us=attempt.at_us + int(seconds * 1_000_000))


def disabled(webhook: Webhook, at_us: int, reason: str) -> Webhook:
    return replace(webhook, disabled_at_us=at_us, disabled_reason=reason, updated_at_us=at_us)


def enabled(webhook: Webhook, at_us: int) -> Webhook:
    """Return an endpoint that goes on where it stopped."""
    return replace(
        webhook,
        disabled_at_us=None,
        disabled_reason=None,
        failing_since_us=None,
        failures=0,
        paused_until_us=None,
        updated_at_us=at_us,
    )


SECRET_PREFIX = "whsec_"
_SECRET_BYTES = 32
_MIN_SECRET_BYTES, _MAX_SECRET_BYTES = 24, 64


def new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(os.urandom(_SECRET_BYTES)).decode()


def secret_bytes(secret: str) -> bytes:
    """Return the key that a secret spells. Raises ValueError, which does not repeat it."""
    fault = (
        f"must be {SECRET_PREFIX} and {_MIN_SECRET_BYTES} to {_MAX_SECRET_BYTES} bytes in base64, such as from"
        f" `echo {SECRET_PREFIX}$(openssl rand -base64 {_SECRET_BYTES})`"
    )
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(fault) from None
    if not (secret.startswith(SECRET_PREFIX) and _MIN_SECRET_BYTES <= len(key) <= _MAX_SECRET_BYTES):
        raise ValueError(fault)
    return key
