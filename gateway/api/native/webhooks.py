"""`/api/v1/webhooks`: endpoints that are notified, their secrets, tests and deliveries."""

from __future__ import annotations

from typing import Annotated, Literal

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from gateway.alerts.webhooks import WebhookService, WebhookSettings
from gateway.api.native.filters import DEFAULT_LIMIT, FilterParams, Limit, NumberCursor
from gateway.api.native.http_responses import NextCursor
from gateway.api.native.schemas import Time, format_time
from gateway.models.principal import Principal, Role
from gateway.models.webhooks import (
    SUBSCRIBABLE_EVENTS,
    Delivery,
    DeliveryState,
    EventType,
    SettingSource,
    Webhook,
)
from gateway.query.filters import DELIVERY_FILTERS
from gateway.web.bodies import read_json, validate_body
from gateway.web.endpoint import Endpoint, Example, Schema

_EVENTS = ", ".join(f"`{each}`" for each in SUBSCRIBABLE_EVENTS)
_PATH = "/api/v1/webhooks/{webhook_id:[^/]+}"
_DELIVERY_PATH = "/api/v1/webhooks/deliveries/{delivery_id:[^/]+}"
_EXAMPLE_URL = "https://127.0.0.1:9/hook"

Name = Annotated[str | None, Field(None, description="For people; by default the URL.")]
Url = Annotated[
    str | None, Field(None, description="`https://…`; `http://…` only of hosts that may be internal.")
]
Events = Annotated[list[str] | None, Field(None, description=f"Types of events: {_EVENTS}.")]
Filters = Annotated[
    dict[str, str] | None,
    Field(
        None,
        description="Conditions on requests for `request.logged`, as `GET /api/v1/requests` takes them; not those "
        "on feedback, reviews and time.",
    ),
]
Include = Annotated[
    list[Literal["texts"]] | None,
    Field(
        None,
        description="`texts`: question and answer, comments and edits too; by default ids and facts only.",
    ),
]


class WebhookInput(BaseModel):
    """An endpoint; of a change, what shall be different."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    url: Url
    events: Events
    filters: Filters
    include: Include
    enabled: bool | None = Field(
        None, description="`true` goes on where the endpoint stopped, `false` keeps for later what comes."
    )

    def settings(self) -> WebhookSettings:
        return WebhookSettings(
            name=self.name, url=self.url, events=self.events, filters=self.filters, include=self.include,
            is_enabled=self.enabled,
        )  # fmt: skip


class WebhookShape(Schema):
    """An endpoint without its secret."""

    webhook_id: str
    name: str
    url: str
    events: list[str]
    filters: dict[str, str]
    include: list[str]
    source: SettingSource = Field(
        description="`file`: declared in the configuration; `store`: made at run time."
    )
    tenant: str | None = Field(description="The tenant whose events it gets; null: those of all.")
    enabled: bool
    disabled_reason: str | None = Field(description="Why it is disabled; null where it is not.")
    disabled_at: Time | None
    failing_since: Time | None = Field(
        description="Since when each attempt has failed; null after a success."
    )
    old_secret_until: Time | None = Field(
        description="Until when the secret before signs too; null: it does not."
    )
    created_at: Time
    updated_at: Time

    @classmethod
    def of(cls, webhook: Webhook) -> WebhookShape:
        return cls.model_validate(_webhook_fields(webhook))


class NewWebhookShape(WebhookShape):
    """An endpoint with its secret, which is shown this once."""

    secret: str

    @classmethod
    def of(cls, webhook: Webhook) -> NewWebhookShape:
        return cls.model_validate({**_webhook_fields(webhook), "secret": webhook.secret})


def _webhook_fields(webhook: Webhook) -> dict[str, object]:
    # A time so far off stands for as long as the file names the old secret.
    until_us = webhook.old_secret_until_us if webhook.source is SettingSource.STORE else None
    return {
        "webhook_id": webhook.webhook_id,
        "name": webhook.name,
        "url": webhook.url,
        "events": list(webhook.events),
        "filters": dict(webhook.filters),
        "include": list(webhook.include),
        "source": webhook.source,
        "tenant": webhook.tenant,
        "enabled": webhook.disabled_at_us is None,
        "disabled_reason": webhook.disabled_reason,
        "disabled_at": format_time(webhook.disabled_at_us),
        "failing_since": format_time(webhook.failing_since_us),
        "old_secret_until": format_time(until_us),
        "created_at": format_time(webhook.created_at_us),
        "updated_at": format_time(webhook.updated_at_us),
    }


class WebhookListReply(Schema):
    data: list[WebhookShape] = Field(description="By name.")


class DeliveryShape(Schema):
    """A message to one endpoint."""

    delivery_id: str = Field(description="The `webhook-id` of each of its attempts.")
    webhook_id: str
    type: EventType
    state: DeliveryState = Field(
        description="`failed`: after ten attempts; `dropped`: what it was about was withdrawn or erased."
    )
    attempts: int
    next_at: Time | None = Field(description="When it is due; null unless it waits.")
    created_at: Time
    last_at: Time | None = Field(description="When it was last tried.")
    status: int | None = Field(description="Of the last response; null without one.")
    error: str | None = Field(description="Why the last attempt failed.")
    payload: object = Field(description="Null once what it was about was withdrawn or erased.")

    @classmethod
    def of(cls, delivery: Delivery) -> DeliveryShape:
        return cls(
            delivery_id=delivery.delivery_id, webhook_id=delivery.webhook_id, type=delivery.type,
            state=delivery.state, attempts=delivery.attempts, next_at=format_time(delivery.next_at_us),
            created_at=format_time(delivery.created_at_us) or "", last_at=format_time(delivery.last_at_us),
            status=delivery.status, error=delivery.error,
            payload=None if delivery.body is None else orjson.Fragment(delivery.body),
        )  # fmt: skip


class DeliveryListReply(Schema):
    data: list[DeliveryShape] = Field(description="Newest first.")
    next_cursor: NextCursor


class DeliveryListParams(FilterParams):
    filters = DELIVERY_FILTERS

    limit: Limit = DEFAULT_LIMIT
    cursor: NumberCursor = None


class WebhookEndpoints:
    def __init__(self, webhooks: WebhookService, max_body_bytes: int) -> None:
        self._webhooks = webhooks
        self._max_body_bytes = max_body_bytes

    @Endpoint("GET", "/api/v1/webhooks", Role.ADMIN, "List webhooks", failures=(503,))
    async def _list(self, request: web.Request, principal: Principal) -> WebhookListReply:
        """Endpoints of the configuration file and of the store. An admin of a tenant sees that tenant's."""
        return WebhookListReply(data=list(map(WebhookShape.of, await self._webhooks.find(principal))))

    @Endpoint(
        "POST",
        "/api/v1/webhooks",
        Role.ADMIN,
        "Make a webhook",
        body=WebhookInput,
        failures=(400, 409),
        example=Example(body={"name": "crm", "url": _EXAMPLE_URL, "events": ["feedback.created"]}),
    )
    async def _create(self, request: web.Request, principal: Principal) -> NewWebhookShape:
        """Messages are signed as [Standard Webhooks](https://www.standardwebhooks.com) says. The secret is in this
        reply only. Internal addresses are refused unless the configuration lists them."""
        return NewWebhookShape.of(await self._webhooks.create(await self._settings(request), principal))

    @Endpoint(
        "GET",
        "/api/v1/webhooks/deliveries",
        Role.ADMIN,
        "List deliveries",
        failures=(400, 503, 504),
        example=Example(query={"limit": "2"}),
    )
    async def _list_deliveries(
        self, request: web.Request, principal: Principal, params: DeliveryListParams
    ) -> DeliveryListReply:
        """Messages to endpoints, kept for 30 days. All filters must match. Newest first."""
        found = await self._webhooks.find_deliveries(params.where(), params.limit, params.cursor, principal)
        cursor = None if found.next_cursor is None else str(found.next_cursor)
        return DeliveryListReply(data=list(map(DeliveryShape.of, found.deliveries)), next_cursor=cursor)

    @Endpoint("POST", f"{_DELIVERY_PATH}/resend", Role.ADMIN, "Send a message again", failures=(404, 409))
    async def _resend(self, request: web.Request, principal: Principal) -> DeliveryShape:
        """Under the same id, with all attempts before it."""
        return DeliveryShape.of(await self._webhooks.resend(request.match_info["delivery_id"], principal))

    @Endpoint("GET", _PATH, Role.ADMIN, "Show a webhook", failures=(404, 503))
    async def _show(self, request: web.Request, principal: Principal) -> WebhookShape:
        return WebhookShape.of(await self._webhooks.show(_id(request), principal))

    @Endpoint(
        "PATCH",
        _PATH,
        Role.ADMIN,
        "Change a webhook",
        body=WebhookInput,
        failures=(400, 404, 409),
        example=Example(body={"events": ["feedback.created", "feedback.updated"]}),
    )
    async def _change(self, request: web.Request, principal: Principal) -> WebhookShape:
        """Changes what is given. One of the configuration file can only be enabled and disabled."""
        changed = await self._webhooks.change(_id(request), await self._settings(request), principal)
        return WebhookShape.of(changed)

    @Endpoint("POST", f"{_PATH}/rotate", Role.ADMIN, "Give a webhook a new secret", failures=(404, 409))
    async def _rotate(self, request: web.Request, principal: Principal) -> NewWebhookShape:
        """For 24 hours messages have a signature by each of both secrets."""
        return NewWebhookShape.of(await self._webhooks.rotate(_id(request), principal))

    @Endpoint("POST", f"{_PATH}/test", Role.ADMIN, "Send a test message", failures=(404,))
    async def _test(self, request: web.Request, principal: Principal) -> DeliveryShape:
        """Of the type `webhook.test`; the list of deliveries shows what became of it."""
        return DeliveryShape.of(await self._webhooks.test(_id(request), principal))

    @Endpoint("DELETE", _PATH, Role.ADMIN, "Remove a webhook", failures=(404, 409))
    async def _remove(self, request: web.Request, principal: Principal) -> WebhookListReply:
        """With its deliveries, also those that wait. Returns the others."""
        await self._webhooks.remove(_id(request), principal)
        return await self._list(request, principal)

    async def _settings(self, request: web.Request) -> WebhookSettings:
        body = await read_json(request, self._max_body_bytes)
        return validate_body(WebhookInput, body).settings()


def _id(request: web.Request) -> str:
    return request.match_info["webhook_id"]
