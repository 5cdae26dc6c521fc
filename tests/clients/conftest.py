"""The gateway that the client libraries are pointed at, with a provider for each wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.contract import GATEWAY_KEY, PROVIDER_KEY, Contract
from tests.gateway_fixtures import authority, upstream
from tests.gateway_process import RunningGateway
from tests.scripted_upstream import UpstreamProcess

__all__ = ["authority", "upstream"]

PROVIDERS = {
    "openai": "/v1",
    "anthropic": "",
    "google": "",
    "mistral": "",
    "cohere": "",
    "groq": "",
    "aws": "",
    "ollama": "",
}
"""Providers by name, with the path of the base URL that their own library would be given."""


@pytest.fixture(scope="session")
def gateway(upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway opened by `GATEWAY_KEY`; each provider is the scripted one, with its own prices."""
    providers: dict[str, dict[str, str]] = {
        name: {"base_url": upstream.url + path, "api_key": PROVIDER_KEY, "prices_as": name}
        for name, path in PROVIDERS.items()
    }
    del providers["ollama"]["prices_as"]
    config = {
        "default_provider": "openai",
        "providers": providers,
        "keys": [{"name": "client", "key": GATEWAY_KEY, "role": ["proxy", "feedback", "read"]}],
    }
    with RunningGateway(tmp_path_factory.mktemp("clients"), config) as running:
        yield running


@pytest.fixture
def contract(gateway: RunningGateway, upstream: UpstreamProcess) -> Iterator[Contract]:
    """One call through the gateway."""
    contract = Contract(gateway, upstream)
    yield contract
    contract.close()
