"""Values of a field that requests have had lately, offered where a filter is typed."""

import asyncio

from aiohttp import web

from gateway.errors import GatewayError
from gateway.models.clock import now_us
from gateway.models.metrics import DAY_US, MetricsQuery
from gateway.models.principal import Principal, Role
from gateway.query.filters import METADATA_PREFIX
from gateway.query.metrics import MetricsReader
from gateway.web.endpoint import Endpoint

# Fields with few values; the metrics reader knows them under the name of the filter, or under another one.
_FIELDS = {
    "model": "any_model",
    **{
        name: name
        for name in ("provider", "prompt", "prompt_version", "environment", "organisation", "key_name")
    },
    **{name: name for name in ("endpoint", "finish_reason", "cache_status", "user", "session")},
}
_DAYS = 30
_MOST_VALUES = 50
# Whoever types does not wait; a field that takes longer is typed without help.
_WITHIN_SECONDS = 0.15
# Metadata is summed up anew for a key that nobody asked for lately.
_METADATA_SECONDS = 0.3
_KEPT_SECONDS = 60


class ValuePages:
    def __init__(self, metrics: MetricsReader) -> None:
        self._metrics = metrics

    @Endpoint("GET", "/ui/values", Role.READ, "Values to filter by", failures=(400, 503, 504))
    async def _list(self, request: web.Request, principal: Principal) -> web.Response:
        name = request.query.get("field", "")
        values = await self._read(name, principal.tenant)
        headers = {"Cache-Control": f"private, max-age={_KEPT_SECONDS}", "Vary": "Cookie, Authorization"}
        return web.json_response(values, headers=headers)

    async def _read(self, name: str, tenant: str | None) -> list[str]:
        is_metadata = name.startswith(METADATA_PREFIX) and name != METADATA_PREFIX
        if name not in _FIELDS and not is_metadata:
            return []
        # A whole day, so that the sums that are kept by day answer.
        start = (now_us() // DAY_US - _DAYS) * DAY_US
        query = MetricsQuery(start, now_us(), group_by=_FIELDS.get(name, name), tenant=tenant)
        seconds = _METADATA_SECONDS if is_metadata else _WITHIN_SECONDS
        try:
            found = await asyncio.wait_for(self._metrics.list_values(query, _MOST_VALUES), seconds)
        except (TimeoutError, GatewayError):
            return []
        return [str(value) for value in found]
