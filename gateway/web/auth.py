"""Who is calling: the gateway key among a request's headers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.access.keys import KeyRing
from gateway.domain.principal import OPEN, Principal, Role
from gateway.errors import Forbidden, Unauthorized

CREDENTIAL_HEADERS = ("x-portkey-api-key", "Helicone-Auth", "Authorization", "x-api-key")
"""Where a gateway key may be, in the order in which it is looked for."""


def authenticate(headers: Mapping[str, str], keys: KeyRing) -> Principal:
    """Find out who is calling.

    Raises:
        Unauthorized: keys are needed, and none of the headers holds one that is known.
    """
    if keys.is_open:
        return OPEN
    for _, token in _tokens(headers):
        if principal := keys.find(token):
            return principal
    raise Unauthorized(
        "no valid gateway key came with this request.",
        hint="Send one as x-portkey-api-key, or as Authorization: Bearer KEY.",
    )


def require(principal: Principal, role: Role) -> Principal:
    """Return the caller if it may act in `role`. Raises Forbidden if it may not."""
    if not principal.may(role):
        raise Forbidden(
            f"the key {principal.name!r} may not do this.", hint=f"It takes a key with the role {role}."
        )
    return principal


def gateway_key_headers(headers: Mapping[str, str], keys: KeyRing) -> frozenset[bytes]:
    """Return the lower-case names of the fields that hold a gateway key, which must not leave the gateway."""
    if keys.is_open:
        return frozenset()
    return frozenset(name.lower().encode() for name, token in _tokens(headers) if keys.find(token))


def _tokens(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name in CREDENTIAL_HEADERS:
        value = headers.get(name)
        if value is None:
            continue
        scheme, _, rest = value.partition(" ")
        yield name, rest.strip() if scheme.lower() == "bearer" else value
