"""The last door before the disk: values that open something are replaced, whatever let them come this far."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.domain.credentials import REDACTED, is_secret_header, is_secret_parameter
from gateway.domain.exchange import RawHeaders

_REDACTED = REDACTED.encode()
_SCHEMES = (b"bearer ", b"basic ")
_SUSPICIOUS = (b"B", b"b", b"{")
"""What a credential or a routing config begins with."""
_URL_FIELDS = frozenset({b"referer", b"location", b"content-location"})


def without_secrets(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """Return header fields with secret values replaced by `[redacted]`: those whose name says that they hold
    one, values with the Bearer or Basic scheme under any name, and routing configs, which may hold keys. In fields
    that hold a URL, secret parameters of its query are replaced."""
    return [
        (name, _REDACTED)
        if is_secret_header(name) or (value.startswith(_SUSPICIOUS) and _is_credential(name, value))
        else (name, _url_without_secrets(value) if b"?" in value and name.lower() in _URL_FIELDS else value)
        for name, value in headers
    ]


def path_without_secrets(path: str) -> str:
    """Return a path and query with the values of secret parameters (`key`, `access_token`, …) replaced."""
    before, mark, query = path.partition("?")
    if not mark:
        return path
    return f"{before}?{'&'.join(_masked(query.split('&')))}"


def _url_without_secrets(url: bytes) -> bytes:
    return path_without_secrets(url.decode("latin-1")).encode("latin-1")


def _is_credential(name: bytes, value: bytes) -> bool:
    if value.startswith(b"{"):
        return name.lower() == b"x-portkey-config"
    return value[:7].lower().startswith(_SCHEMES)


def _masked(parameters: Iterable[str]) -> Iterable[str]:
    for parameter in parameters:
        name, equals, _ = parameter.partition("=")
        yield f"{name}={REDACTED}" if equals and is_secret_parameter(name) else parameter
