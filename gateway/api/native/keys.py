"""`/api/v1/keys` and `/api/v1/key`: what gateway keys may use, and have used."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from gateway.api.native.http_responses import Schema, json_response
from gateway.api.native.schemas import Time
from gateway.auth.api_keys import ApiKeys, KeySource
from gateway.auth.quotas import Quotas
from gateway.models.clock import format_rfc3339
from gateway.models.principal import Principal, Role
from gateway.models.quota import QuotaStatus, Unit, Window
from gateway.web.endpoint import ANY_ROLE, Endpoint


class LimitRow(Schema):
    """One limit of a key, in the window at hand."""

    limit: str = Field(description="As it is written in the configuration, such as `600 requests/minute`.")
    unit: Unit
    window: Window
    allowed: float
    used: float = Field(description="May be more than is allowed: what was under way still counts.")
    remaining: float
    resets_at: Time = Field(description="When the window ends, and `used` is 0 again.")

    @classmethod
    def of(cls, usage: QuotaStatus) -> LimitRow:
        """Return a limit as it is shown."""
        limit = usage.limit
        return cls(
            limit=str(limit), unit=limit.unit, window=limit.window, allowed=limit.to_units(limit.amount),
            used=limit.to_units(usage.used), remaining=limit.to_units(usage.remaining),
            resets_at=format_rfc3339(usage.resets_at_us),
        )  # fmt: skip


class KeyRow(Schema):
    """A gateway key that is valid; never the key itself."""

    name: str | None = Field(description="null where no key is needed.")
    source: KeySource | None = Field(
        description="Where it is kept: the configuration file, or the store; null where no key is needed."
    )
    roles: list[Role]
    tenant: str | None = Field(description="Whose rows alone it sees; null: all.")
    limits: list[LimitRow] = Field(description="None: it may use as much as it likes.")


class KeyListReply(Schema):
    data: list[KeyRow] = Field(description="Those of the configuration first.")


class KeyEndpoints:
    """Handlers of the paths of gateway keys."""

    def __init__(self, keys: ApiKeys, quotas: Quotas) -> None:
        self._keys = keys
        self._quotas = quotas

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the paths and what is found there."""
        return (
            Endpoint(
                method="GET",
                path="/api/v1/keys",
                handler=self._list,
                role=Role.READ,
                summary="List gateway keys with what they have used",
                description="Keys that are valid, of the configuration file and of the store, never the keys "
                "themselves. A tenant's key sees those of its tenant.",
                reply=KeyListReply,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/key",
                handler=self._own,
                role=ANY_ROLE,
                summary="Show the caller's own key with what it has used",
                description="For every key, whatever its role.",
                reply=KeyRow,
            ),
        )

    async def _list(self, request: web.Request, principal: Principal) -> web.Response:
        await self._quotas.refresh()
        rows = [self._row(each) for each in self._keys.sources() if principal.can_see(each.tenant)]
        return json_response(KeyListReply(data=rows))

    async def _own(self, request: web.Request, principal: Principal) -> web.Response:
        await self._quotas.refresh()
        return json_response(self._row(principal))

    def _row(self, principal: Principal) -> KeyRow:
        return KeyRow(
            name=principal.name,
            source=self._keys.sources().get(principal),
            roles=sorted(principal.roles),
            tenant=principal.tenant,
            limits=[LimitRow.of(usage) for usage in self._quotas.usage(principal)],
        )
