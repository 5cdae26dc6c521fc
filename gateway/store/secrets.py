"""The last door before the disk: values that open something are replaced, whatever let them come this far."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote_plus

from gateway.domain.exchange import RawHeaders

REDACTED = "[redacted]"
_REDACTED = REDACTED.encode()

_SECRET_NAME = re.compile(
    r"secret|passw|passphrase|credential|token|cookie|authorization|authentication|service-account"
    r"|(?:^|[-_.])"
    r"(?:auth|[a-z]*oauth2?|xauth|pwd|jwt|dpop|csrf|xsrf|sig|signature|(?:api|app|auth|access|account|private)?keys?)"
    r"(?:$|[-_.])"
)
_COUNTED_TOKENS = re.compile(
    r"(?:limit|remaining|reset|usage|used|count|max|input|output|prompt|completion|total)"
)
_HARMLESS = frozenset(
    {"idempotency-key", "cache-key", "prompt-cache-key", "surrogate-key", "sec-websocket-key"}
)
_CREDENTIALS = (b"bearer ", b"basic ")
_SUSPICIOUS = (b"B", b"b", b"{")
"""What a credential or a routing config begins with."""

_JUDGED_BYTES = 128
"""How much of a name is looked at, so that callers cannot fill the cache with long made-up ones."""


def without_secrets(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """Return header fields with secret values replaced by `[redacted]`: those whose name says that they hold
    one, values with the Bearer or Basic scheme under any name, and routing configs, which may hold keys."""
    return [
        (name, _REDACTED)
        if _is_secret_header(name[:_JUDGED_BYTES])
        or (value.startswith(_SUSPICIOUS) and _is_credential(name, value))
        else (name, value)
        for name, value in headers
    ]


def path_without_secrets(path: str) -> str:
    """Return a path and query with the values of secret parameters (`key`, `access_token`, …) replaced."""
    before, mark, query = path.partition("?")
    if not mark:
        return path
    return f"{before}?{'&'.join(_masked(query.split('&')))}"


@lru_cache(maxsize=4096)
def _is_secret_header(name: bytes) -> bool:
    return _is_secret_name(name.decode("latin-1"))


def _is_secret_name(name: str) -> bool:
    lowered = name.strip().lower()
    if lowered in _HARMLESS or lowered.removeprefix("x-") in _HARMLESS:
        return False
    found = set(_SECRET_NAME.findall(lowered))
    if found == {"token"} and not lowered.endswith("token"):
        return _COUNTED_TOKENS.search(lowered) is None
    return bool(found)


def _is_credential(name: bytes, value: bytes) -> bool:
    if value.startswith(b"{"):
        return name.lower() == b"x-portkey-config"
    return value[:7].lower().startswith(_CREDENTIALS)


def _masked(parameters: Iterable[str]) -> Iterable[str]:
    for parameter in parameters:
        name, equals, _ = parameter.partition("=")
        is_secret = bool(equals) and _is_secret_name(unquote_plus(name))
        yield f"{name}={REDACTED}" if is_secret else parameter
