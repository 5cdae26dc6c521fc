"""Faces on a real server, for tests that call them over a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from gateway.auth.api_keys import ApiKeys, hash_token
from gateway.auth.feedback_tokens import FeedbackTokens
from gateway.models.principal import Principal
from gateway.routes import build_application
from gateway.store.base import Store
from gateway.web.endpoint import Api
from gateway.web.middleware import AllowedOrigins, AuthMiddleware

MIB = 1024 * 1024

DRAIN_SECONDS = 0.5
"""How long the server waits in the end for callers whose upload it did not read to its end."""


@asynccontextmanager
async def serving(
    *apis: Api,
    principals: Mapping[str, Principal],
    store: Store,
    tokens: FeedbackTokens | None = None,
    origins: AllowedOrigins | None = None,
) -> AsyncIterator[str]:
    """Serve faces on a free loopback port to these callers, by their keys; gives the server's URL."""
    keys = ApiKeys({hash_token(token): principal for token, principal in principals.items()}, store)
    faced = build_application(apis, AuthMiddleware(keys, tokens, origins))
    runner = web.AppRunner(faced, shutdown_timeout=DRAIN_SECONDS)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
