"""What the client libraries make of the gateway's own refusals: an exception with its message, and no long wait.

Each client is used as it comes: it tries again as often as it likes.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.clients.contract import EVERY_CLIENT, library
from tests.clients.wires import CLAUDE, GPT, QUESTION, QUESTIONS
from tests.gateway_process import RunningGateway
from tests.log_reader import read_metrics
from tests.raw_http import Connection, request
from tests.scripted_upstream import READ, UpstreamProcess, head, send, wait

NODE = Path(__file__).parent / "node"

KEYS = {
    "app": (["proxy"], []),
    "reader": (["read"], []),
    "day": (["proxy"], ["0 requests/day"]),
    "budget": (["proxy"], ["0 usd/month"]),
}
"""Roles and limits of keys by name."""

IS_TIMED = bool(os.environ.get(EVERY_CLIENT))
"""Whether the time that a client takes is looked at too; how often it tries always is."""

SECONDS = 2.0
COHERE_SECONDS = 5.0
"""It tries again after each 429, three times in all."""

Call = Callable[[str, str], object]
"""Makes a call at this provider's base URL with this key."""


@pytest.fixture(scope="module")
def gateway(upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway that takes one request at a time."""
    config = {
        "server": {"max_in_flight": 1},
        "providers": {"up": {"base_url": upstream.url}},
        "keys": [
            {"name": name, "key": f"gw-{name}-0123456789", "role": roles, "limits": limits}
            for name, (roles, limits) in KEYS.items()
        ],
    }
    with RunningGateway(tmp_path_factory.mktemp("refusals"), config) as running:
        yield running


@pytest.fixture
def busy(gateway: RunningGateway, upstream: UpstreamProcess) -> Iterator[None]:
    """Have the one request that the gateway takes under way."""
    gate = upstream.name()
    steps = READ, head(b"200 OK", b"Content-Length: 2"), wait(gate), send(b"{}")
    fields = upstream.script(*steps), b"x-api-key: gw-app-0123456789"
    with Connection(gateway.port) as caller:
        caller.send(request(b"POST", b"/up/v1/chat/completions", *fields, body=b"{}"))
        assert caller.head().status == 200
        yield
        upstream.open(gate)
        assert caller.read(2) == b"{}"


def ask_openai(url: str, key: str) -> object:
    with openai.OpenAI(base_url=f"{url}/v1", api_key=key) as client:
        return client.chat.completions.create(model=GPT, messages=QUESTIONS)


def ask_anthropic(url: str, key: str) -> object:
    with anthropic.Anthropic(base_url=url, api_key=key) as client:
        return client.messages.create(model=CLAUDE, max_tokens=8, messages=QUESTIONS)


def ask_langchain_openai(url: str, key: str) -> object:
    model = library("langchain_openai").ChatOpenAI(model=GPT, base_url=f"{url}/v1", api_key=key)
    return model.invoke(QUESTION)


def ask_langchain_anthropic(url: str, key: str) -> object:
    model = library("langchain_anthropic").ChatAnthropic(model=CLAUDE, base_url=url, api_key=key)
    return model.invoke(QUESTION)


def ask_cohere(url: str, key: str) -> object:
    client = library("cohere").ClientV2(api_key=key, base_url=url)
    return client.chat(model="command-a-03-2025", messages=QUESTIONS)


class NodeError(Exception):
    """What a library for Node threw."""


def ask_node(name: str, url: str, key: str) -> object:
    if not IS_TIMED:
        pytest.skip("run by `make clients` alone")
    done = subprocess.run(
        ["node", "refusal.mjs", url, key, name], cwd=NODE, capture_output=True, text=True, timeout=60
    )
    said = json.loads(done.stdout)
    if "thrown" in said:
        error = NodeError(said["message"])
        error.status_code = said["status"]  # type: ignore[attr-defined]
        error.seconds = said["seconds"]  # type: ignore[attr-defined]
        raise error
    return said


CLIENTS: dict[str, Call] = {
    "openai": ask_openai,
    "anthropic": ask_anthropic,
    "langchain-openai": ask_langchain_openai,
    "langchain-anthropic": ask_langchain_anthropic,
    "cohere": ask_cohere,
    "node openai": lambda url, key: ask_node("openai", url, key),
    "node anthropic": lambda url, key: ask_node("anthropic", url, key),
}


def refused(client: str, url: str, key: str) -> tuple[Any, float]:
    """Make a call that is refused; return what was raised, and after how many seconds."""
    begun = time.monotonic()
    try:
        answer = CLIENTS[client](url, f"gw-{key}-0123456789")
    except Exception as error:
        return error, getattr(error, "seconds", time.monotonic() - begun)
    raise AssertionError(f"it was answered: {answer!r}")


def refusals(gateway: RunningGateway) -> float:
    """How many calls the gateway has refused."""
    shown = read_metrics(gateway.url, authorization="Bearer gw-reader-0123456789")
    return sum(count for name, count in shown.items() if name.startswith("gateway_requests_refused_total"))


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("provider", "key", "status", "message"),
    [
        ("up", "unknown", 401, "no valid gateway key"),
        ("up", "reader", 403, "the key 'reader' may not do this"),
        ("nowhere", "app", 404, "nothing is served at"),
        ("up", "day", 429, "rate limit exceeded for key 'day': 0 requests per day; resets at 20"),
        ("up", "budget", 402, "budget exceeded for key 'budget': 0 USD per month; resets at 20"),
    ],
)
def test_a_refusal_is_an_exception_with_its_message_at_once(
    gateway: RunningGateway, client: str, provider: str, key: str, status: int, message: str
) -> None:
    before = refusals(gateway)
    error, seconds = refused(client, f"{gateway.url}/{provider}", key)
    assert message in str(error)
    assert error.status_code == status
    tries_again = client == "cohere" and status == 429
    assert refusals(gateway) - before == (3 if tries_again else 1)
    assert not IS_TIMED or seconds < (COHERE_SECONDS if tries_again else SECONDS)


@pytest.mark.skipif(not IS_TIMED, reason="waits; run by `make clients` alone")
@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("client", CLIENTS)
def test_an_overload_is_tried_again_as_soon_as_was_asked_for(gateway: RunningGateway, client: str) -> None:
    error, seconds = refused(client, f"{gateway.url}/up", "app")
    assert "1 requests are under way, as many as this gateway takes at once" in str(error)
    assert error.status_code == 503
    # Two waits of the second that Retry-After names.
    assert seconds < COHERE_SECONDS
