"""Whether the providers can be reached. Nothing is asked of them."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.cli.doctor.findings import Deployment, Finding, ok, problem, warning
from gateway.config.models import ProviderConfig
from gateway.domain.loopback import is_loopback
from gateway.routing.base_urls import fault_of

_SECONDS = 3.0


def check_providers(deployment: Deployment) -> Iterator[Finding]:
    """Each can be connected to, and what is sent to it cannot be read on the way."""
    for name, provider in deployment.config.providers.items():
        parts = urlsplit(provider.base_url)
        host, is_plain = parts.hostname or "", parts.scheme == "http"
        about = f"provider {name}"
        if fault := fault_of(provider.base_url, provider.version_path):
            yield warning(about, f"{provider.base_url} {fault.says}", fault.do)
        try:
            _connect(host, parts.port or (80 if is_plain else 443), None if is_plain else _trust(provider))
        except (OSError, ValueError) as error:
            yield problem(
                about,
                f"{provider.base_url} cannot be reached: {getattr(error, 'strerror', None) or error}.",
                "Check base_url, DNS, the firewall, and ca_file if it has a certificate of your own.",
            )
            continue
        if is_plain and not is_loopback(host):
            yield warning(
                about,
                f"{provider.base_url} is not encrypted: prompts and its key can be read on the way.",
                "Use https:// unless the network between is yours.",
            )
        else:
            yield ok(about, f"{provider.base_url} can be reached")


def _connect(host: str, port: int, trust: ssl.SSLContext | None) -> None:
    with socket.create_connection((host, port), timeout=_SECONDS) as connection:
        if trust is not None:
            trust.wrap_socket(connection, server_hostname=host).close()


def _trust(provider: ProviderConfig) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=provider.ca_file)
