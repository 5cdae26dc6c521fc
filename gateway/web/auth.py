"""Who is calling: the gateway key, or the feedback token, among a request's headers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from gateway.access.hosts import TrustedHosts
from gateway.access.keys import KeyRing
from gateway.access.tokens import FeedbackTokens
from gateway.domain.credentials import CREDENTIAL_HEADERS, CREDENTIAL_PARAMETERS, bare
from gateway.domain.principal import OPEN, Principal, Role
from gateway.errors import Forbidden, Unauthorized

TOKEN_HEADER = "x-gateway-feedback-token"
"""Where a feedback token comes with a proxied response, and where it may come back."""


def authenticate(headers: Mapping[str, str], keys: KeyRing, *, query: str = "") -> Principal:
    """Find out who is calling.

    Args:
        query: the query in which a key may come too, as the caller wrote it.

    Raises:
        Unauthorized: keys are needed, and none that is known came.
        Forbidden: there are no keys, and a page from elsewhere calls.
    """
    if keys.is_open:
        if not keys.is_off:
            _refuse_foreign_pages(headers, keys.open_to)
        return OPEN
    for name in CREDENTIAL_HEADERS:
        value = headers.get(name)
        if value is not None and (principal := keys.find(bare(value))):
            return principal
    for value in _credentials_in(query) if query else ():
        if principal := keys.find(value):
            return principal
    raise Unauthorized(
        "no valid gateway key came with this request.",
        hint="Send one as x-portkey-api-key, or as Authorization: Bearer KEY.",
    )


def read_feedback_token(headers: Mapping[str, str], tokens: FeedbackTokens) -> Principal | None:
    """Return the caller that a feedback token stands for; None where none came, or where there are none at all.

    It is looked for in its own header, then wherever a key may be, and counts before any key.

    Raises:
        Unauthorized: the token is not valid, or has expired.
    """
    if not tokens.is_on:
        return None
    if (token := headers.get(TOKEN_HEADER)) is not None:
        return tokens.read(token)
    values = (bare(headers.get(name, "")) for name in CREDENTIAL_HEADERS)
    found = next(filter(tokens.is_token, values), None)
    return None if found is None else tokens.read(found)


def require(principal: Principal, role: Role | None) -> Principal:
    """Return the caller if it may act in `role`; None stands for any key. Raises Forbidden if it may not."""
    if principal.scope is not None:
        raise Forbidden(
            "a feedback token gives feedback on its own request, and may do nothing else.",
            hint=f"This takes a key with the role {role}." if role else "This takes a key.",
        )
    if role is not None and not principal.may(role):
        raise Forbidden(
            f"the key {principal.name!r} may not do this.", hint=f"It takes a key with the role {role}."
        )
    return principal


def _credentials_in(query: str) -> Iterator[str]:
    for parameter in query.split("&"):
        name, _, value = parameter.partition("=")
        if name in CREDENTIAL_PARAMETERS:
            yield unquote(value)


def _refuse_foreign_pages(headers: Mapping[str, str], hosts: TrustedHosts) -> None:
    host, origin = headers.get("Host"), headers.get("Origin")
    if host is not None and not hosts.trusts_host(host):
        raise Forbidden(
            f"without keys the gateway is not served as {host[:100]!r}, but as localhost and by its address only.",
            field="Host",
            hint="Make a key, or add the name to server.allowed_hosts.",
        )
    if origin is not None and not hosts.trusts_origin(origin):
        raise Forbidden(
            f"without keys the gateway is not there for pages of {origin[:100]!r}.",
            field="Origin",
            hint="Make a key, or add the name of their host to server.allowed_hosts.",
        )
    # Browsers send no Origin with images, links and frames, but say this.
    if origin is None and headers.get("Sec-Fetch-Site") == "cross-site":
        raise Forbidden(
            "without keys the gateway is not there for images, links and frames of other sites.",
            field="Sec-Fetch-Site",
            hint="Make a key, or use fetch() in a page whose host is in server.allowed_hosts.",
        )
