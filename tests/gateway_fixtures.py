"""Processes that most tests share: a scripted provider, and a gateway with a provider of each kind.

Fixtures to be imported by the conftest of each folder that uses them.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from tests.gateway_process import RunningGateway
from tests.scripted_upstream import UpstreamProcess

MIB = 1024 * 1024

APP_KEY = "gw-app-0123456789"
READ_KEY = "gw-reader-0123456789"
FEEDBACK_KEY = "gw-voter-0123456789"
QUIET_KEY = "gw-quiet-0123456789"
PROVIDER_KEY = "sk-provider-0123456789"

IMPATIENT = {"connect": 5, "first_byte": 0.3, "idle": 0.3}


@pytest.fixture(scope="session")
def upstream() -> Iterator[UpstreamProcess]:
    """A scripted provider."""
    with UpstreamProcess() as process:
        yield process


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority that nobody trusts by default."""
    return trustme.CA()


@pytest.fixture(scope="session")
def tls_upstream(
    authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[UpstreamProcess]:
    """A scripted provider behind TLS, with a certificate of `authority`."""
    folder = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(folder / "certificate.pem"))
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    with UpstreamProcess(folder / "certificate.pem", folder / "key.pem") as process:
        yield process


@pytest.fixture(scope="session")
def gateway(upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """An open gateway that keeps 1 MiB of each body. `/v1/…` leads to the scripted provider's `/v1/…`."""
    with RunningGateway(tmp_path_factory.mktemp("open"), open_config(upstream)) as running:
        yield running


@pytest.fixture(scope="session")
def guarded(upstream: UpstreamProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway with keys, for callers and for its providers."""
    with RunningGateway(tmp_path_factory.mktemp("guarded"), guarded_config(upstream)) as running:
        yield running


def open_config(upstream: UpstreamProcess) -> dict[str, Any]:
    """Configuration of `gateway`."""
    base_url = f"{upstream.url}/v1"
    return {
        "server": {"allow_custom_hosts": [upstream.url]},
        "storage": {"max_body_bytes": MIB},
        "default_provider": "up",
        "providers": {
            "up": {"base_url": base_url},
            "deep": {"base_url": f"{upstream.url}/some/where/v2/"},
            "bare": {"base_url": upstream.url},
            "impatient": {"base_url": base_url, "timeouts": IMPATIENT},
            "hurried": {"base_url": base_url, "timeouts": {"total": 0.3}},
            "refusing": {"base_url": f"http://127.0.0.1:{closed_port()}/v1"},
            "nowhere": {"base_url": "http://name.invalid/v1", "timeouts": {"connect": 10}},
            "redacted": {"base_url": base_url, "payloads": "redacted"},
            "quiet": {"base_url": base_url, "payloads": "off"},
        },
    }


def guarded_config(upstream: UpstreamProcess) -> dict[str, Any]:
    """Configuration of `guarded`."""
    base_url = f"{upstream.url}/v1"
    return {
        "default_provider": "plain",
        "providers": {
            "plain": {"base_url": base_url},
            "keyed": {"base_url": base_url, "api_key": PROVIDER_KEY},
            "keyed-x": {"base_url": base_url, "api_key": PROVIDER_KEY, "auth": "x-api-key"},
            "dressed": {"base_url": base_url, "headers": {"X-Team": "blue", "OpenAI-Organization": "org-1"}},
            "redacted": {"base_url": base_url, "payloads": "redacted"},
        },
        "keys": [
            {"name": "app", "key": APP_KEY, "role": "proxy"},
            {"name": "reader", "key": READ_KEY, "role": "read"},
            {"name": "voter", "key": FEEDBACK_KEY, "role": "feedback"},
            {"name": "quiet", "key": QUIET_KEY, "role": "proxy", "payloads": "off"},
        ],
    }


def closed_port() -> int:
    """Return a port without a listener."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
