"""Who may come in."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.cli.doctor.findings import Deployment, Finding, ok, problem, warning
from gateway.config.models import SHA256_PREFIX
from gateway.domain.loopback import is_loopback
from gateway.domain.principal import Role
from gateway.store import Examined

SHORTEST = 16
"""Keys shorter than this, in characters, may be guessed."""


def check_keys(deployment: Deployment) -> Iterator[Finding]:
    """There are keys where strangers can come, none can be guessed, and somebody may do everything."""
    server, keys = deployment.config.server, deployment.config.keys
    examined = deployment.examined
    stored = examined.key_roles if isinstance(examined, Examined) else ()
    if server.auth == "off":
        if not is_loopback(server.host):
            yield warning(
                "keys",
                f"auth is off, and {server.host} can be reached from other machines.",
                "Make sure that something else keeps strangers out, or make keys.",
            )
        return
    if not keys and not stored:
        yield _no_keys(server.host)
        return
    for key in keys:
        token = key.key.get_secret_value()
        if not token.startswith(SHA256_PREFIX) and len(token) < SHORTEST:
            yield warning(
                "keys",
                f"the key {key.name!r} has {len(token)} characters, and may be guessed.",
                "Let `gateway keys create` make one, or `openssl rand -hex 32`.",
            )
    if Role.ADMIN not in frozenset[str]().union(*(key.roles for key in keys), *stored):
        yield warning(
            "keys",
            "no key has the role admin: nobody can erase, or delete feedback, over HTTP.",
            "`gateway keys create ops --role admin`, and keep it apart from the others.",
        )
    yield ok("keys", f"{len(keys)} in the configuration, {len(stored)} in the store")


def _no_keys(host: str) -> Finding:
    if is_loopback(host):
        return ok("keys", f"there are none: whoever is on this machine may come in at {host}")
    return problem(
        "keys",
        f"there are none, and {host} can be reached from other machines: the gateway will not start.",
        "`gateway keys create app --role proxy`, or `auth: off` if something else keeps strangers out.",
    )
