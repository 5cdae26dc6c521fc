"""The page for feedback, on a server with a store to look into."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from gateway.auth.feedback_tokens import FeedbackTokens
from gateway.auth.quotas import RateLimiter
from gateway.feedback.service import FeedbackService
from gateway.query.requests import RequestReader
from gateway.store import open_store
from gateway.ui.feedback_form import FormPages, feedback_form_api
from gateway.ui.widget import widget_api
from tests.api.api_server import Serve, serve
from tests.factories import token_keys
from tests.ui_pages import demo_pages

from .served import RATE_LIMIT, SECRET, Served

__all__ = ["demo_pages", "serve"]


@pytest.fixture
async def served(sqlite_url: str, serve: Serve) -> AsyncIterator[Served]:
    store = await open_store(sqlite_url)
    tokens = FeedbackTokens()
    tokens.keys = token_keys([SECRET], 60)
    feedback = FeedbackService(store, RateLimiter(RATE_LIMIT).check_rate)
    pages = FormPages()
    api = feedback_form_api(feedback, tokens, RequestReader(store), pages)
    url = await serve(api, widget_api(), principals={}, store=store, tokens=tokens)
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        yield Served(client, store, tokens, pages)
    await store.close()
