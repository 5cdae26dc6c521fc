"""Provider: a configured upstream, and how a path is joined to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.domain.exchange import PayloadPolicy
from gateway.domain.value import value
from gateway.upstream.message import Origin, Timeouts


@dataclass(frozen=True, slots=True)
class Provider:
    """A configured upstream.

    Args:
        host_header: value of the Host header it is called with.
        base_path: path of its base URL without a trailing slash, such as `/v1`; may be empty.
        key_header: header line that carries its key, or None where we hold no key for it.
        headers: header fields added to each request.
        payloads: what is kept of its requests; None leaves that to the gateway's default.
    """

    name: str
    origin: Origin
    host_header: bytes
    base_path: str
    base_url: str
    key_header: tuple[bytes, bytes] | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    timeouts: Timeouts = field(default_factory=Timeouts)
    payloads: PayloadPolicy | None = None


@value()
class Target:
    """An upstream chosen for one request: the provider, and the request target to ask it for."""

    provider: Provider
    request_target: str


def target_of(provider: Provider, rest: str) -> Target:
    """Join what follows `/v1` or `/{provider}` in a caller's path, query included, to the provider's base URL.

    A leading `/v1` stands for the base URL itself, so that clients which add it and clients which do not
    reach the same place.
    """
    below = rest.removeprefix("/v1")
    if below[:1] not in ("", "/", "?"):
        below = rest
    target = provider.base_path + below
    return Target(provider, target if target.startswith("/") else "/" + target)


ProviderTable = Mapping[str, Provider]
