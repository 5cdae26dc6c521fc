"""The port to listen on, the gateway that may be there already, and how many connections there may be."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import httpx

from gateway import __version__
from gateway.cli.doctor.findings import Deployment, Finding, ok, problem, warning
from gateway.domain.database_url import name_of
from gateway.server.listeners import bind, close_all, url_at
from gateway.store import is_served

_SECONDS = 3.0
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where one answers that listens on all addresses."""


def check_port(deployment: Deployment) -> Iterator[Finding]:
    """The port is free, or a gateway of this version answers there and is ready."""
    server = deployment.config.server
    try:
        close_all(bind(server.host, server.port))
    except OSError as error:
        yield from _check_whoever_listens(deployment, error)
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


def _check_whoever_listens(deployment: Deployment, refusal: OSError) -> Iterator[Finding]:
    host, port = deployment.config.server.host, deployment.config.server.port
    storage = deployment.config.storage
    url = url_at(_ANY_ADDRESS.get(host, host), port)
    try:
        with httpx.Client(base_url=url, timeout=_SECONDS, trust_env=False) as client:
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
    elif not is_served(storage.url, Path(storage.local_dir)):
        yield warning(
            "gateway",
            f"one runs at {url}, but not on {name_of(storage.url)}: it was started with another configuration.",
            "Name that configuration with -c, or stop that gateway and start one with this.",
        )
    else:
        yield ok("gateway", f"it runs at {url}, of version {version}, and is ready")
