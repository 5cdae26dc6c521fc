"""A gateway that answers itself, for SDKs that give feedback, and what it has of it then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.gateway_process import RunningGateway

APP_KEY, ADMIN_KEY = "gw-app-0123456789", "gw-ops-0123456789"
_CHAT = {"model": "demo-1", "messages": [{"role": "user", "content": "Will it rain?"}]}
_CONFIG = {
    "keys": [
        {"name": "app", "key": APP_KEY, "role": ["proxy", "feedback", "read"]},
        {"name": "ops", "key": ADMIN_KEY, "role": "admin"},
    ],
    "feedback": {"tokens": {"keys": ["a-secret-of-at-least-32-characters"], "allow_origins": ["*"]}},
}

Entry = dict[str, Any]


class FeedbackGateway:
    """A running gateway as those who give feedback use it."""

    def __init__(self, running: RunningGateway) -> None:
        self.url = running.url
        self._http = httpx.Client(base_url=running.url, headers={"x-api-key": ADMIN_KEY}, trust_env=False)

    def ask(self, **ids: str) -> httpx.Headers:
        """Ask something with these headers, whose underscores become hyphens; return those of the answer."""
        headers = {name.replace("_", "-"): value for name, value in ids.items()}
        return self._http.post("/v1/chat/completions", json=_CHAT, headers=headers).raise_for_status().headers

    def entries(self, **where: str) -> list[Entry]:
        """The feedback that matches, the oldest first."""
        reply = self._http.get("/api/v1/feedback", params={"limit": "100", **where}).raise_for_status()
        return list(reversed(reply.json()["data"]))

    def close(self) -> None:
        self._http.close()

    def versions(self, feedback_id: str) -> list[Entry]:
        found: list[Entry] = self._http.get(f"/api/v1/feedback/{feedback_id}").json()["versions"]
        return found


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeedbackGateway]:
    with RunningGateway(tmp_path_factory.mktemp("feedback"), _CONFIG, arguments=("--demo",)) as running:
        gateway = FeedbackGateway(running)
        yield gateway
        gateway.close()


def shown(entry: Entry, *names: str) -> tuple[Any, ...]:
    return tuple(entry[name] for name in names)
