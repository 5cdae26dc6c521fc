"""`/api/v1/keys` and `/api/v1/key`: API keys with their limits and usage."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from gateway.api.native.schemas import Time
from gateway.auth.api_keys import ApiKeys, KeySource
from gateway.auth.quotas import Quotas
from gateway.models.clock import format_rfc3339
from gateway.models.principal import Principal, Role
from gateway.models.quota import QuotaStatus, Unit, Window
from gateway.web.endpoint import ANY_ROLE, Endpoint, Schema


class LimitRow(Schema):
    """One limit of a key in its current window."""

    limit: str = Field(description="As written in the configuration, such as `600 requests/minute`.")
    unit: Unit
    window: Window
    allowed: float
    used: float = Field(description="May exceed `allowed`: requests in progress still count.")
    remaining: float
    resets_at: Time = Field(description="When the window ends, and `used` is 0 again.")

    @classmethod
    def of(cls, usage: QuotaStatus) -> LimitRow:
        limit = usage.limit
        return cls(
            limit=str(limit), unit=limit.unit, window=limit.window, allowed=limit.to_units(limit.amount),
            used=limit.to_units(usage.used), remaining=limit.to_units(usage.remaining),
            resets_at=format_rfc3339(usage.resets_at_us),
        )  # fmt: skip


class KeyRow(Schema):
    """A valid API key; never the key itself."""

    name: str | None = Field(description="Null where no key is needed.")
    source: KeySource | None = Field(
        description="The configuration file or the store; null where no key is needed."
    )
    roles: list[Role]
    tenant: str | None = Field(description="The tenant whose rows alone it sees; null: all.")
    limits: list[LimitRow] = Field(description="Empty: unlimited.")


class KeyListReply(Schema):
    data: list[KeyRow] = Field(description="Keys of the configuration file first.")


class KeyEndpoints:
    def __init__(self, keys: ApiKeys, quotas: Quotas) -> None:
        self._keys = keys
        self._quotas = quotas

    @Endpoint("GET", "/api/v1/keys", Role.READ, "List API keys with their usage")
    async def _list(self, request: web.Request, principal: Principal) -> KeyListReply:
        """Valid keys, of the configuration file and of the store, never the keys themselves. A key of a
        tenant sees the keys of that tenant."""
        await self._quotas.refresh()
        rows = [self._row(each) for each in self._keys.sources() if principal.can_see(each.tenant)]
        return KeyListReply(data=rows)

    @Endpoint("GET", "/api/v1/key", ANY_ROLE, "Show the caller's own key with its usage")
    async def _show(self, request: web.Request, principal: Principal) -> KeyRow:
        """For every key, whatever its role."""
        await self._quotas.refresh()
        return self._row(principal)

    def _row(self, principal: Principal) -> KeyRow:
        return KeyRow(
            name=principal.name,
            source=self._keys.sources().get(principal),
            roles=sorted(principal.roles),
            tenant=principal.tenant,
            limits=[LimitRow.of(usage) for usage in self._quotas.usage(principal)],
        )
