"""The page for votes: on a server with a store to look into, and before a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.auth.feedback_tokens import FeedbackTokens
from gateway.auth.quotas import RateLimiter
from gateway.feedback.service import FeedbackService
from gateway.query.requests import RequestReader
from gateway.store import open_store
from gateway.ui.feedback_form import feedback_form_api
from tests.api.serving import serving
from tests.browser import browser, browser_without_javascript

from .served import RATE_LIMIT, SECRET, Served

__all__ = ["browser", "browser_without_javascript"]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    store = await open_store(f"sqlite:///{tmp_path}/gateway.db")
    tokens = FeedbackTokens()
    tokens.replace_secrets([SECRET], 60)
    feedback = FeedbackService(store, RateLimiter(RATE_LIMIT).check_rate)
    api = feedback_form_api(feedback, tokens, RequestReader(store))
    async with (
        serving(api, principals={}, store=store, tokens=tokens) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as client,
    ):
        yield Served(client, store, tokens)
    await store.close()
