"""Checks of access: keys, port, file descriptors, and connections to providers."""

import resource
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from gateway import __version__
from gateway.cli.doctor.findings import Deployment, Finding, ok, problem, warning
from gateway.models.addresses import database_name, is_loopback
from gateway.models.principal import Role
from gateway.routing.providers import find_problem
from gateway.runtime import access_warnings
from gateway.server.listeners import bind, close_all, format_url
from gateway.store import StoreInfo, is_in_use


def check_keys(deployment: Deployment) -> Iterator[Finding]:
    """Check that there are keys where strangers can connect, that none is short, and that one is an admin's."""
    server, keys = deployment.config.server, deployment.config.keys
    inspection = deployment.inspection
    stored = inspection.key_roles if isinstance(inspection, StoreInfo) else ()
    for field, doubt in access_warnings(deployment.config):
        yield warning("keys", f"{field} {doubt.says}", doubt.do)
    if server.auth == "off":
        return
    if not keys and not stored:
        yield _finding_without_keys(server.host)
        return
    if Role.ADMIN not in frozenset[str]().union(*(key.roles for key in keys), *stored):
        fault = "no key has the role admin: nothing can be erased over HTTP."
        fix = "`gateway keys create ops --role admin`, and keep it apart from the others."
        yield warning("keys", fault, fix)
    yield ok("keys", f"{len(keys)} in the configuration, {len(stored)} in the store")


def _finding_without_keys(host: str) -> Finding:
    if is_loopback(host):
        return ok("keys", f"there are none: everyone on this machine may use {host}")
    fault = f"there are none, and {host} can be reached from other machines: the gateway will not start."
    fix = "`gateway keys create app --role proxy`, or `auth: off` if something else keeps strangers out."
    return problem("keys", fault, fix)


_HTTP_TIMEOUT_SECONDS = 3.0
# A server on all addresses answers there.
_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def check_port(deployment: Deployment) -> Iterator[Finding]:
    """Check that the port is free, or that a gateway of this version is ready there."""
    server = deployment.config.server
    try:
        close_all(bind(server.host, server.port))
    except OSError as error:
        yield from _check_running_gateway(deployment, error)
        return
    yield ok("port", f"{server.host}:{server.port} is free; no gateway runs")


def check_descriptors(deployment: Deployment) -> Iterator[Finding]:
    """Check that the process may open enough files for all clients and providers."""
    server, providers = deployment.config.server, deployment.config.providers.values()
    wanted = 2 * (server.max_in_flight or 0) + sum(provider.max_connections for provider in providers)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < min(wanted, server.max_in_flight or wanted):
        fault = f"a process may have {soft:,} files open; server.max_in_flight takes {wanted:,}."
        fix = f"Set `ulimit -n {wanted}` (LimitNOFILE= of a systemd unit), or a lower server.max_in_flight."
        yield warning("descriptors", fault, fix)
    else:
        yield ok("descriptors", f"a process may have {soft:,} files open")


def _check_running_gateway(deployment: Deployment, refusal: OSError) -> Iterator[Finding]:
    host, port = deployment.config.server.host, deployment.config.server.port
    storage = deployment.config.storage
    url = format_url(_LOOPBACK_OF.get(host, host), port)
    try:
        with httpx.Client(base_url=url, timeout=_HTTP_TIMEOUT_SECONDS, trust_env=False) as client:
            ready = client.get("/readyz")
            version = client.get("/openapi.json").json()["info"]["version"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        fault = f"{host}:{port} is not free ({refusal.strerror or refusal}), and no gateway answers there."
        yield problem("port", fault, "Stop the process on the port, or set another server.port.")
        return
    if ready.status_code != 200:
        yield problem("gateway", f"it runs, and is not ready: {ready.text.strip()}", "See what /readyz says.")
    elif version != __version__:
        yield warning("gateway", f"it runs, of version {version}; this is {__version__}.", "Restart it.")
    elif not is_in_use(storage.url, Path(storage.local_dir)):
        fault = f"one runs at {url}, but not on {database_name(storage.url)}: its configuration is another."
        fix = "Name that configuration with -c, or stop that gateway and start one with this."
        yield warning("gateway", fault, fix)
    else:
        yield ok("gateway", f"it runs at {url}, of version {version}, and is ready")


_CONNECT_TIMEOUT_SECONDS = 3.0


def check_providers(deployment: Deployment) -> Iterator[Finding]:
    """Check that each provider can be reached, and that the connection is encrypted."""
    for name, provider in deployment.config.providers.items():
        parts = urlsplit(provider.base_url)
        host, is_plain = parts.hostname or "", parts.scheme == "http"
        about = f"provider {name}"
        if doubt := find_problem(provider.base_url, provider.version_path):
            yield warning(about, f"{provider.base_url} {doubt.says}", doubt.do)
        try:
            port = parts.port or (80 if is_plain else 443)
            _connect(host, port, None if is_plain else ssl.create_default_context(cafile=provider.ca_file))
        except (OSError, ValueError) as error:
            fault = f"{provider.base_url} cannot be reached: {getattr(error, 'strerror', None) or error}."
            fix = "Check base_url, DNS, the firewall, and ca_file for a private certificate."
            yield problem(about, fault, fix)
            continue
        if is_plain and not is_loopback(host):
            fault = f"{provider.base_url} is not encrypted: prompts and its key can be read in transit."
            yield warning(about, fault, "Use https:// unless the network is yours.")
        else:
            yield ok(about, f"{provider.base_url} can be reached")


def _connect(host: str, port: int, trust: ssl.SSLContext | None) -> None:
    with socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_SECONDS) as connection:
        if trust is not None:
            trust.wrap_socket(connection, server_hostname=host).close()
