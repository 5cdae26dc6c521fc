"""`/api/v1/keys` and `/api/v1/key`: what gateway keys may use, and have used."""

from __future__ import annotations

from aiohttp import web
from pydantic import Field

from gateway.access.allowances import Allowances
from gateway.access.keys import KeyRing, KeySource
from gateway.api.native.replies import Shape, reply
from gateway.api.native.shapes import Time
from gateway.domain.clock import rfc_3339
from gateway.domain.limit import LimitUsage, Unit, Window
from gateway.domain.principal import Principal, Role
from gateway.web.face import ANY_ROLE, Endpoint


class LimitRow(Shape):
    """One limit of a key, in the window at hand."""

    limit: str = Field(description="As it is written in the configuration, such as `600 requests/minute`.")
    unit: Unit
    window: Window
    allowed: float
    used: float = Field(description="May be more than is allowed: what was under way still counts.")
    remaining: float
    resets_at: Time = Field(description="When the window ends, and `used` is 0 again.")

    @classmethod
    def of(cls, usage: LimitUsage) -> LimitRow:
        """Return a limit as it is shown."""
        limit = usage.limit
        return cls(
            limit=str(limit), unit=limit.unit, window=limit.window, allowed=limit.in_units(limit.amount),
            used=limit.in_units(usage.used), remaining=limit.in_units(usage.remaining),
            resets_at=rfc_3339(usage.resets_at_us),
        )  # fmt: skip


class KeyRow(Shape):
    """A gateway key that is valid; never the key itself."""

    name: str | None = Field(description="null where no key is needed.")
    source: KeySource | None = Field(
        description="Where it is kept: the configuration file, or the store; null where no key is needed."
    )
    roles: list[Role]
    tenant: str | None = Field(description="Whose rows alone it sees; null: all.")
    limits: list[LimitRow] = Field(description="None: it may use as much as it likes.")


class KeyListReply(Shape):
    data: list[KeyRow] = Field(description="Those of the configuration first.")


class KeyEndpoints:
    """Handlers of the paths of gateway keys."""

    def __init__(self, keys: KeyRing, allowances: Allowances) -> None:
        self._keys = keys
        self._allowances = allowances

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
        await self._allowances.refresh()
        rows = [self._row(each) for each in self._keys.sources() if principal.sees(each.tenant)]
        return reply(KeyListReply(data=rows))

    async def _own(self, request: web.Request, principal: Principal) -> web.Response:
        await self._allowances.refresh()
        return reply(self._row(principal))

    def _row(self, principal: Principal) -> KeyRow:
        return KeyRow(
            name=principal.name,
            source=self._keys.sources().get(principal),
            roles=sorted(principal.roles),
            tenant=principal.tenant,
            limits=[LimitRow.of(usage) for usage in self._allowances.usage(principal)],
        )
