"""WebhookService: make, change, rotate, test and remove endpoints; list and resend deliveries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog

from gateway.alerts.declared import (
    MAX_NAME_CHARS,
    Declared,
    check_name,
    check_room,
    refuse_file,
    store_declared,
)
from gateway.alerts.destinations import Destinations
from gateway.alerts.event_payloads import payload
from gateway.errors import BadInput
from gateway.models.clock import now_us
from gateway.models.filters import AllOf, Comparison, Filter, Op, Page, Sort
from gateway.models.principal import Principal
from gateway.models.request import REQUEST_COLUMNS
from gateway.models.webhooks import (
    ROTATION_US,
    SUBSCRIBABLE_EVENTS,
    TEXTS,
    Delivery,
    EventType,
    SettingSource,
    Webhook,
    disabled,
    enabled,
    new_secret,
    secret_bytes,
)
from gateway.query.filters import METADATA_PREFIX, REQUEST_FILTERS
from gateway.store.automation import Webhooks

log = structlog.get_logger("gateway.alerts")

MAX_WEBHOOKS = 100

_NEWEST_FIRST = Sort("seq", descending=True)
# The conditions that hold or do not when a request is logged; feedback and reviews come later.
_FILTER_NAMES = (
    *(column.name for column in REQUEST_COLUMNS if column.name in REQUEST_FILTERS.criteria),
    "has_usage",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """What a caller decides about an endpoint; None: as it was, or as usual for a new one."""

    name: str | None = None
    url: str | None = None
    events: Sequence[str] | None = None
    filters: Mapping[str, str] | None = None
    include: Sequence[str] | None = None
    is_enabled: bool | None = None
    # Only from the configuration file.
    secret: str | None = None
    old_secret: str | None = None


DeclaredWebhook = Declared[WebhookSettings]


@dataclass(frozen=True, slots=True)
class DeliverySlice:
    """A page of deliveries, newest first."""

    deliveries: tuple[Delivery, ...]
    next_cursor: int | None


def check_settings(settings: WebhookSettings) -> None:
    """Raise BadInput for what no endpoint can have, but for its URL."""
    if settings.name is not None:
        check_name(settings.name)
    if settings.events is not None:
        _check_choices("events", settings.events, [each.value for each in SUBSCRIBABLE_EVENTS])
        if not settings.events:
            raise BadInput("must name at least one type of event.", field="events")
    _check_choices("include", settings.include or (), [TEXTS])
    for field, secret in (("secret", settings.secret), ("old_secret", settings.old_secret)):
        if secret is not None:
            try:
                secret_bytes(secret)
            except ValueError as error:
                raise BadInput(f"{error}.", field=field) from None
    for name in settings.filters or ():
        if name not in _FILTER_NAMES and not name.startswith(METADATA_PREFIX):
            raise BadInput(
                "is no condition on a request at the moment when it is logged.",
                field=f"filters.{name}",
                hint=f"Allowed: {', '.join((*_FILTER_NAMES, f'{METADATA_PREFIX}KEY'))}.",
            )
    REQUEST_FILTERS.to_filter((settings.filters or {}).items())


def _check_choices(field: str, given: Sequence[str], allowed: Sequence[str]) -> None:
    for place, name in enumerate(given):
        if name not in allowed:
            hint = f"Allowed: {', '.join(allowed)}."
            raise BadInput(f"{name!r} is not one of those.", field=f"{field}[{place}]", hint=hint)


class WebhookService:
    """Endpoints of the caller's tenant."""

    def __init__(self, store: Webhooks, destinations: Callable[[], Destinations]) -> None:
        self._store = store
        self._destinations = destinations

    async def find(self, principal: Principal) -> list[Webhook]:
        return await self._store.webhooks(principal.tenant)

    async def show(self, webhook_id: str, principal: Principal) -> Webhook:
        return await self._store.webhook(webhook_id, principal.tenant)

    async def create(self, settings: WebhookSettings, principal: Principal) -> Webhook:
        """Make an endpoint with a new secret. Raises BadInput, Conflict."""
        check_settings(settings)
        if settings.url is None or not settings.events:
            raise BadInput("must be given.", field="events" if settings.url else "url")
        check_room(await self.find(principal), principal, MAX_WEBHOOKS, "webhook")
        await self._destinations().check(settings.url)
        made = Webhook(
            tenant=principal.tenant, name=settings.name or settings.url[:MAX_NAME_CHARS], url=settings.url,
            events=tuple(settings.events), secret=new_secret(),
        )  # fmt: skip
        return await self._store.put_webhook(_changed(made, settings))

    async def change(self, webhook_id: str, settings: WebhookSettings, principal: Principal) -> Webhook:
        """Change what is given. One that is enabled again goes on where it stopped. Raises BadInput, Conflict."""
        check_settings(settings)
        if settings.url is not None:
            await self._destinations().check(settings.url)
        of_switch = WebhookSettings(is_enabled=settings.is_enabled)

        def apply(webhook: Webhook) -> Webhook:
            if settings != of_switch:
                refuse_file(webhook, "webhook")
            return _changed(webhook, settings)

        return await self._store.change_webhook(webhook_id, principal.tenant, apply)

    async def rotate(self, webhook_id: str, principal: Principal) -> Webhook:
        """Give an endpoint a new secret; for 24 hours the old one signs too. Raises Conflict."""
        at_us = now_us()

        def apply(webhook: Webhook) -> Webhook:
            refuse_file(webhook, "webhook")
            return replace(
                webhook, secret=new_secret(), old_secret=webhook.secret,
                old_secret_until_us=at_us + ROTATION_US, updated_at_us=at_us,
            )  # fmt: skip

        return await self._store.change_webhook(webhook_id, principal.tenant, apply)

    async def remove(self, webhook_id: str, principal: Principal) -> None:
        refuse_file(await self.show(webhook_id, principal), "webhook")
        await self._store.remove_webhook(webhook_id, principal.tenant)

    async def test(self, webhook_id: str, principal: Principal) -> Delivery:
        """Send an event that means nothing."""
        webhook = await self.show(webhook_id, principal)
        at_us = now_us()
        data = {"webhook_id": webhook.webhook_id, "name": webhook.name}
        delivery = Delivery(
            webhook_id=webhook.webhook_id,
            tenant=webhook.tenant,
            type=EventType.WEBHOOK_TEST,
            body=payload(EventType.WEBHOOK_TEST, at_us, data),
        )
        await self._store.add_delivery(delivery)
        return delivery

    async def find_deliveries(
        self, where: Filter, limit: int, cursor: int | None, principal: Principal
    ) -> DeliverySlice:
        following = where if cursor is None else AllOf((where, Comparison("seq", Op.LT, cursor)))
        found = await self._store.find_deliveries(following, _NEWEST_FIRST, Page(limit + 1), principal.tenant)
        page = tuple(found[:limit])
        return DeliverySlice(page, page[-1].seq if len(found) > limit else None)

    async def resend(self, delivery_id: str, principal: Principal) -> Delivery:
        """Send a message again under its id. Raises NotFound, Conflict."""
        return await self._store.resend_delivery(delivery_id, principal.tenant, now_us())

    async def use_file(self, declared: Mapping[str, DeclaredWebhook]) -> None:
        """Make the stored endpoints of the configuration file those that it declares, by name."""

        async def remove(webhook: Webhook) -> None:
            await self._store.remove_webhook(webhook.webhook_id, None)

        async def store(name: str, each: DeclaredWebhook, current: Webhook | None) -> None:
            if current is None:
                await self._store.put_webhook(_declared(name, each))
            elif _changed(current, each.settings, current.updated_at_us) != current:
                change = partial(_changed, settings=each.settings)
                await self._store.change_webhook(current.webhook_id, None, change)

        if failures := await store_declared(declared, await self._store.webhooks(None), remove, store):
            log.warning("webhooks of the configuration file are not stored", reasons=failures)


def _declared(name: str, declared: DeclaredWebhook) -> Webhook:
    settings = declared.settings
    made = Webhook(
        tenant=declared.tenant, name=name, url=settings.url or "", events=tuple(settings.events or ()),
        secret=settings.secret or "", source=SettingSource.FILE,
    )  # fmt: skip
    return _changed(made, settings)


def _changed(webhook: Webhook, settings: WebhookSettings, at_us: int | None = None) -> Webhook:
    at_us = now_us() if at_us is None else at_us
    after = replace(
        webhook,
        name=webhook.name if settings.name is None else settings.name,
        url=webhook.url if settings.url is None else settings.url,
        events=webhook.events if settings.events is None else tuple(dict.fromkeys(settings.events)),
        filters=webhook.filters if settings.filters is None else dict(settings.filters),
        include=webhook.include if settings.include is None else tuple(dict.fromkeys(settings.include)),
        updated_at_us=at_us,
    )
    if settings.secret is not None:
        # For as long as the file names it.
        until_us = None if settings.old_secret is None else 2**62
        after = replace(
            after, secret=settings.secret, old_secret=settings.old_secret, old_secret_until_us=until_us
        )
    if settings.is_enabled is True or (webhook.disabled_at_us is not None and after.url != webhook.url):
        return enabled(after, at_us)
    if settings.is_enabled is False:
        return disabled(after, at_us, "it was disabled by an administrator.")
    return after
