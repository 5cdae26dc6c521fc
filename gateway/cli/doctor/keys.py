"""Who may come in."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.cli.doctor.findings import Deployment, Finding, ok, problem, warning
from gateway.domain.loopback import is_loopback
from gateway.domain.principal import Role
from gateway.provisioning import access_faults_of
from gateway.store import Examined


def check_keys(deployment: Deployment) -> Iterator[Finding]:
    """There are keys where strangers can come, none can be guessed, and somebody may do everything."""
    server, keys = deployment.config.server, deployment.config.keys
    examined = deployment.examined
    stored = examined.key_roles if isinstance(examined, Examined) else ()
    for field, fault in access_faults_of(deployment.config):
        yield warning("keys", f"{field} {fault.says}", fault.do)
    if server.auth == "off":
        return
    if not keys and not stored:
        yield _no_keys(server.host)
        return
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
