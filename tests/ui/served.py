"""The page as tests use it: opened and sent over HTTP, and a look into the store behind it."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from gateway.auth.feedback_tokens import FeedbackTokens
from gateway.models.feedback import Feedback
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.models.principal import FeedbackScope
from gateway.store.base import Store
from gateway.ui.feedback_form import FormPages

SECRET = "a-secret-of-at-least-32-characters"
RATE_LIMIT = 3
SCOPE = FeedbackScope("trace-1", "request-1")


@dataclass(frozen=True)
class Served:
    client: httpx.AsyncClient
    store: Store
    tokens: FeedbackTokens
    pages: FormPages

    def link(self, scope: FeedbackScope = SCOPE, tenant: str | None = None) -> str:
        """A new link to the page."""
        return f"/f/{self.tokens.issue(scope, tenant, 'app').decode()}"

    async def send(self, link: str, **fields: str) -> httpx.Response:
        """Send the form."""
        return await self.client.post(link, data=fields)

    async def entries(self) -> list[Feedback]:
        """All feedback that is stored."""
        return await self.store.find_feedback(NO_FILTER, Sort(), Page(), None)
