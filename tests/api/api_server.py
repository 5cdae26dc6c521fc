"""The fixture that puts APIs on a real server, for tests that call them over a real socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import pytest
from pytest_aiohttp import AiohttpServer

from gateway.auth.api_keys import ApiKeys, hash_token
from gateway.auth.feedback_tokens import FeedbackTokens
from gateway.models.principal import Principal
from gateway.routes import build_application
from gateway.store.base import Store
from gateway.web.endpoint import Api
from gateway.web.middleware import AllowedOrigins, AuthMiddleware

MIB = 1024 * 1024

# How long the server waits in the end for callers whose upload it did not read to its end.
DRAIN_SECONDS = 0.5


class Serve(Protocol):
    """Serves APIs to callers with these keys, and returns the server's URL."""

    async def __call__(
        self,
        *apis: Api,
        principals: Mapping[str, Principal],
        store: Store,
        tokens: FeedbackTokens | None = None,
        origins: AllowedOrigins | None = None,
    ) -> str: ...


@pytest.fixture
def serve(aiohttp_server: AiohttpServer) -> Serve:
    async def start(
        *apis: Api,
        principals: Mapping[str, Principal],
        store: Store,
        tokens: FeedbackTokens | None = None,
        origins: AllowedOrigins | None = None,
    ) -> str:
        keys = ApiKeys({hash_token(token): principal for token, principal in principals.items()}, store)
        app = build_application(apis, AuthMiddleware(keys, tokens, origins))
        server = await aiohttp_server(app, shutdown_timeout=DRAIN_SECONDS)
        return str(server.make_url("")).rstrip("/")

    return start
