"""A store of each kind, and the parts that deliver from it to a receiver on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.alerts.delivery import WebhookRunner, WebhookSender
from gateway.alerts.destinations import Destinations
from gateway.alerts.webhooks import WebhookService, WebhookSettings
from gateway.models.filters import NO_FILTER
from gateway.models.principal import Principal, Role
from gateway.models.webhooks import Delivery, EventType, Webhook
from gateway.store.base import Store
from gateway.upstream.request import Timeouts
from tests.alerts.receiver import Receiver
from tests.store.conftest import store, store_url

__all__ = ["store", "store_url"]

LOOPBACK = Destinations(["127.0.0.1"])


def admin(tenant: str | None = None) -> Principal:
    return Principal("ops", frozenset({Role.ADMIN}), tenant)


class Webhooks:
    """The service and the runner of one process over a store."""

    def __init__(self, store: Store, seconds: float = 20.0) -> None:
        self.store = store
        self.sender = WebhookSender(LOOPBACK, Timeouts(first_byte=seconds, total=seconds))
        self.service = WebhookService(store, lambda: self.sender.destinations)
        self.runner = WebhookRunner(store, self.sender, self.service)

    async def create(self, url: str, *events: str, tenant: str | None = None, **given: object) -> Webhook:
        settings = WebhookSettings(url=url, events=events, **given)  # type: ignore[arg-type]
        return await self.service.create(settings, admin(tenant))

    async def deliver(self) -> None:
        """Send all that is due."""
        await self.runner.look()
        await self.runner.settle()

    async def deliveries(self) -> list[Delivery]:
        """All messages, the oldest first."""
        found = await self.service.find_deliveries(NO_FILTER, 500, None, admin())
        return list(reversed(found.deliveries))


@pytest.fixture
async def webhooks(store: Store) -> AsyncIterator[Webhooks]:
    opened = Webhooks(store)
    yield opened
    await opened.runner.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as opened:
        yield opened


def switch(is_enabled: bool) -> WebhookSettings:
    return WebhookSettings(is_enabled=is_enabled)


def delivery_of(webhook: Webhook, seq: int) -> Delivery:
    """A message about a request."""
    return Delivery(
        webhook_id=webhook.webhook_id, tenant=None, type=EventType.REQUEST_LOGGED, request_seq=seq, body="{}"
    )
