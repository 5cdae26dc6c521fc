"""Who is calling: the gateway key among a request's headers."""

from __future__ import annotations

from collections.abc import Mapping

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
    for name in CREDENTIAL_HEADERS:
        value = headers.get(name)
        if value is not None and (principal := keys.find(_token(value))):
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


def is_gateway_key(value: bytes, keys: KeyRing) -> bool:
    """Tell whether a credential header's value is a gateway key, which must not leave the gateway even where
    none is needed."""
    return keys.find(_token(value.decode("utf-8", "surrogateescape"))) is not None


def _token(value: str) -> str:
    scheme, _, rest = value.partition(" ")
    return rest.strip() if scheme.lower() == "bearer" else value
