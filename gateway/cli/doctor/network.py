"""Doctor's checks of access: keys, the port, file descriptors, and connections to providers."""

from __future__ import annotations

import resource
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from gateway import __version__
from gateway.cli.doctor.findings import Deployment, Finding, ok, problem, warning
from gateway.config.models import ProviderConfig
from gateway.models.addresses import database_name, is_loopback
from gateway.models.principal import Role
from gateway.routing.providers import find_problem
from gateway.runtime import access_warnings
from gateway.server.listeners import bind, close_all, format_url
from gateway.store import StoreInfo, is_in_use


def check_keys(deployment: Deployment) -> Iterator[Finding]:
    """There are keys where strangers can come, none can be guessed, and somebody may do everything."""
    server, keys = deployment.config.server, deployment.config.keys
    inspection = deployment.inspection
    stored = inspection.key_roles if isinstance(inspection, StoreInfo) else ()
    for field, fault in access_warnings(deployment.config):
        yield warning("keys", f"{field} {fault.says}", fault.do)
    if server.auth == "off":
        return
    if not keys and not stored:
        yield _finding_without_keys(server.host)
        return
    if Role.ADMIN not in frozenset[str]().union(*(key.roles for key in keys), *stored):
        yield warning(
            "keys",
            "no key has the role admin: nobody can erase, or delete feedback, over HTTP.",
            "`gateway keys create ops --role admin`, and keep it apart from the others.",
        )
    yield ok("keys", f"{len(keys)} in the configuration, {len(stored)} in the store")


def _finding_without_keys(host: str) -> Finding:
    if is_loopback(host):
        return ok("keys", f"there are none: whoever is on this machine may come in at {host}")
    return problem(
        "keys",
        f"there are none, and {host} can be reached from other machines: the gateway will not start.",
        "`gateway keys create app --role proxy`, or `auth: off` if something else keeps strangers out.",
    )


_HTTP_TIMEOUT_SECONDS = 3.0
_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where one answers that listens on all addresses."""


def check_port(deployment: Deployment) -> Iterator[Finding]:
    """The port is free, or a gateway of this version answers there and is ready."""
    server = deployment.config.server
    try:
        close_all(bind(server.host, server.port))
    except OSError as error:
        yield from _check_running_gateway(deployment, error)
        return
    yield ok("port", f"{server.host}:{server.port} is free; no gateway runs")


def check_descriptors(deployment: Deployment) -> Iterator[Finding]:
    """The process may have as many files open as callers and providers can take."""
    server, providers = deployment.config.server, deployment.config.providers.values()
    wanted = 2 * (server.max_in_flight or 0) + sum(provider.max_connections for provider in providers)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < min(wanted, server.max_in_flight or wanted):
        yield warning(
            "descriptors",
            f"a process may have {soft:,} files open; as many callers as may come take {wanted:,}.",
            f"`ulimit -n {wanted}` where the gateway is started (LimitNOFILE= of a systemd unit), or a lower"
            " server.max_in_flight.",
        )
    else:
        yield ok("descriptors", f"a process may have {soft:,} files open")


def _check_running_gateway(deployment: Deployment, refusal: OSError) -> Iterator[Finding]:
    host, port = deployment.config.server.host, deployment.config.server.port
    storage = deployment.config.storage
    url = format_url(_LOOPBACK_OF.get(host, host), port)
    try:
        with httpx.Client(base_url=url, timeout=_HTTP_TIMEOUT_SECONDS, trust_env=False) as client:
            readiness = client.get("/readyz")
            version = client.get("/openapi.json").json()["info"]["version"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        yield problem(
            "port",
            f"{host}:{port} cannot be listened on ({refusal.strerror or refusal}), and no gateway answers there.",
            "Stop what has the port, or set another server.port.",
        )
        return
    if readiness.status_code != 200:
        yield problem(
            "gateway", f"it runs, and is not ready: {readiness.text.strip()}", "See what /readyz says."
        )
    elif version != __version__:
        yield warning("gateway", f"it runs, of version {version}; this is {__version__}.", "Restart it.")
    elif not is_in_use(storage.url, Path(storage.local_dir)):
        yield warning(
            "gateway",
            f"one runs at {url}, but not on {database_name(storage.url)}: it was started with another"
            f" configuration.",
            "Name that configuration with -c, or stop that gateway and start one with this.",
        )
    else:
        yield ok("gateway", f"it runs at {url}, of version {version}, and is ready")


_CONNECT_TIMEOUT_SECONDS = 3.0


def check_providers(deployment: Deployment) -> Iterator[Finding]:
    """Each can be connected to, and what is sent to it cannot be read on the way."""
    for name, provider in deployment.config.providers.items():
        parts = urlsplit(provider.base_url)
        host, is_plain = parts.hostname or "", parts.scheme == "http"
        about = f"provider {name}"
        if fault := find_problem(provider.base_url, provider.version_path):
            yield warning(about, f"{provider.base_url} {fault.says}", fault.do)
        try:
            _connect(
                host, parts.port or (80 if is_plain else 443), None if is_plain else _tls_context(provider)
            )
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
    with socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_SECONDS) as connection:
        if trust is not None:
            trust.wrap_socket(connection, server_hostname=host).close()


def _tls_context(provider: ProviderConfig) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=provider.ca_file)
