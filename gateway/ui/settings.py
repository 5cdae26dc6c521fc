"""The page of settings: providers, keys and what they have used, storage, configuration, first calls."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from gateway.auth.api_keys import ApiKeys, KeySource
from gateway.auth.quotas import Quotas
from gateway.errors import BadInput, Forbidden
from gateway.models.clock import now_us
from gateway.models.filters import Page
from gateway.models.metrics import DAY_US, MetricsQuery
from gateway.models.principal import Principal, Role
from gateway.models.quota import QuotaStatus
from gateway.query.metrics import GroupMetrics, MetricsOrder, MetricsReader
from gateway.ui.page import Pages
from gateway.web.endpoint import Endpoint, base_url

_MOST_USED_FIRST = MetricsOrder("requests")
_MAX_ROWS = 500
_TRAFFIC_DAYS = 30
_KEY_NAME = re.compile(r"[^\s\x00-\x1f](.{0,126}[^\s\x00-\x1f])?")


@dataclass(frozen=True, slots=True)
class ProviderStatus:
    """A configured provider."""

    name: str
    base_url: str
    has_key: bool
    is_default: bool


@dataclass(frozen=True, slots=True)
class GatewayStatus:
    """What the page shows of the running gateway.

    Args:
        storage: texts by their names, such as the database and for how long rows are kept.
        problem: why the gateway is not ready; None where it is.
        config: YAML without secrets.
    """

    providers: tuple[ProviderStatus, ...]
    storage: Mapping[str, str]
    problem: str | None
    config: str


@dataclass(frozen=True, slots=True)
class KeyRow:
    """An API key with what it has used."""

    principal: Principal
    source: KeySource
    limits: list[QuotaStatus]
    traffic: GroupMetrics | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """The form of a new key, filled in; after it was made, its token."""

    name: str = ""
    role: str = Role.READ.value
    tenant: str = ""
    token: str | None = None
    roles: tuple[str, ...] = field(default=tuple(role.value for role in Role))


class SettingsPages:
    def __init__(
        self,
        pages: Pages,
        keys: ApiKeys,
        quotas: Quotas,
        metrics: MetricsReader,
        status: Callable[[], Awaitable[GatewayStatus]],
    ) -> None:
        self._pages = pages
        self._keys = keys
        self._quotas = quotas
        self._metrics = metrics
        self._status = status

    @Endpoint("GET", "/ui/settings", Role.READ, "The page of settings", failures=(503, 504))
    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        return await self._render(request, principal, NewKey())

    @Endpoint("POST", "/ui/settings/keys", Role.ADMIN, "Make a key on a page", failures=(400, 409))
    async def _create_key(self, request: web.Request, principal: Principal) -> web.Response:
        """Takes the form of that page, and shows the key this once."""
        fields = await self._pages.read_form(request, principal)
        form = NewKey(
            name=fields.get("name", "").strip(),
            role=fields.get("role", ""),
            tenant=fields.get("tenant", "").strip(),
        )
        if not _KEY_NAME.fullmatch(form.name):
            raise BadInput("must have 1 to 128 characters.", field="name")
        if form.role not in form.roles:
            raise BadInput(f"must be one of {', '.join(form.roles)}.", field="role")
        tenant = form.tenant or None
        if not principal.can_see(tenant):
            raise Forbidden(f"this key makes keys of the tenant {principal.tenant!r} only.", field="tenant")
        token = await self._keys.create(form.name, [Role(form.role)], tenant)
        return await self._render(request, principal, NewKey(form.name, form.role, form.tenant, token))

    @Endpoint("POST", "/ui/settings/keys/revoke", Role.ADMIN, "Revoke a key on a page", failures=(403, 404))
    async def _revoke_key(self, request: web.Request, principal: Principal) -> web.Response:
        fields = await self._pages.read_form(request, principal)
        name = fields.get("name", "")
        known = next((each for each in self._keys.sources() if each.name == name), None)
        if known is not None and not principal.can_see(known.tenant):
            raise Forbidden(f"the key {name!r} is not of the tenant {principal.tenant!r}.", field="name")
        await self._keys.revoke(name)
        raise web.HTTPSeeOther("/ui/settings#keys")

    async def _render(self, request: web.Request, principal: Principal, new_key: NewKey) -> web.Response:
        await self._quotas.refresh()
        status, by_key, by_provider = await asyncio.gather(
            self._status(), self._traffic("key_name", principal), self._traffic("provider", principal)
        )
        keys = [
            KeyRow(each, source, self._quotas.usage(each), by_key.get(each.name))
            for each, source in self._keys.sources().items()
            if principal.can_see(each.tenant)
        ]
        values = {
            "status": status,
            "keys": keys,
            "by_provider": by_provider,
            "new_key": new_key,
            "base_url": base_url(request),
            "days": _TRAFFIC_DAYS,
            "is_admin": principal.has_role(Role.ADMIN),
            "sees_all": principal.tenant is None,
            "STORE": KeySource.STORE,
        }
        return await self._pages.render(request, principal, "settings.html", values)

    async def _traffic(self, field_name: str, principal: Principal) -> dict[object, GroupMetrics]:
        to_us = now_us()
        from_us = to_us - _TRAFFIC_DAYS * DAY_US
        query = MetricsQuery(from_us, to_us, group_by=field_name, tenant=principal.tenant)
        found = await self._metrics.find(query, _MOST_USED_FIRST, Page(_MAX_ROWS))
        return {group.cell.value: group for group in found.figures}
