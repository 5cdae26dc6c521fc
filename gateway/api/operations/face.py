"""Liveness, readiness and metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from pydantic import BaseModel

from gateway.api.operations.metrics import CONTENT_TYPE, Metrics
from gateway.domain.principal import Principal, Role
from gateway.errors import Forbidden, GatewayError
from gateway.store.base import Health
from gateway.web.face import Endpoint, Face


class Liveness(BaseModel):
    status: str


class Readiness(BaseModel):
    status: str
    reason: str | None = None


def operations_face(check: Callable[[], Awaitable[Health]], metrics: Metrics) -> Face:
    """Return the face of /healthz, /readyz and /metrics.

    Args:
        check: tells whether what is proxied and voted now can be stored.
    """

    async def healthz(request: web.Request, principal: Principal) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(request: web.Request, principal: Principal) -> web.Response:
        health = await check()
        if health.is_writable:
            return web.json_response({"status": "ready", "reason": None})
        return web.json_response({"status": "not ready", "reason": health.reason}, status=503)

    async def show_metrics(request: web.Request, principal: Principal) -> web.Response:
        if principal.tenant is not None:
            raise Forbidden(
                "the figures are those of all tenants.", hint="This takes a key without a tenant."
            )
        return web.Response(body=await metrics.to_text(), headers={"Content-Type": CONTENT_TYPE})

    return Face(
        name="operations",
        prefixes=("/healthz", "/readyz", "/metrics"),
        draw_error=_draw_error,
        endpoints=(
            Endpoint(
                method="GET", path="/healthz", handler=healthz, role=None, reply=Liveness,
                summary="Tell that the process is alive",
            ),
            Endpoint(
                method="GET", path="/readyz", handler=readyz, role=None, reply=Readiness, failures=(503,),
                summary="Tell whether the store takes writes",
            ),
            Endpoint(
                method="GET", path="/metrics", handler=show_metrics, role=Role.READ,
                summary="Figures in Prometheus's text format",
                description="Of all tenants together, so that keys with a tenant are refused.",
            ),
        ),
    )  # fmt: skip


def _draw_error(error: GatewayError) -> web.Response:
    return web.json_response({"error": {"code": error.code, "message": str(error)}}, status=error.status)
