"""Building providers from what the configuration says of them."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from gateway.domain.credentials import Auth, key_header
from gateway.domain.exchange import PayloadPolicy
from gateway.errors import BadInput
from gateway.routing.targets import BasePath, Provider, VersionPath
from gateway.upstream.message import Origin, Timeouts


def build_provider(
    name: str,
    base_url: str,
    *,
    tls: ssl.SSLContext,
    version_path: VersionPath | None = None,
    api_key: str | None = None,
    auth: Auth = "bearer",
    headers: dict[str, str] | None = None,
    timeouts: Timeouts | None = None,
    payloads: PayloadPolicy | None = None,
    include_usage: bool = False,
    max_connections: int = 1000,
    keepalive_seconds: float = 30.0,
) -> Provider:
    """Build a provider.

    Args:
        tls: used where the URL says https.
        auth: how `api_key` is sent.
        include_usage: as `Provider` has it.

    Raises:
        BadInput: the URL is not one that can be called.
    """
    try:
        url = urlsplit(base_url)
        port = url.port or (443 if url.scheme == "https" else 80)
    except ValueError as error:
        raise BadInput(f"is not a usable URL: {error}.", field=f"{name}.base_url") from None
    if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query or url.fragment:
        raise BadInput("must be http(s)://host[:port][/path].", field=f"{name}.base_url")
    key_name, key_prefix = key_header(auth)
    return Provider(
        name=name,
        origin=Origin(
            url.hostname, port, tls if url.scheme == "https" else None, max_connections, keepalive_seconds
        ),
        host_header=url.netloc.encode("idna" if not url.netloc.isascii() else "ascii"),
        base_path=BasePath.of(url.path, version_path),
        base_url=base_url,
        key_header=(key_name.encode(), (key_prefix + api_key).encode()) if api_key else None,
        headers=tuple((field.lower().encode(), value.encode()) for field, value in (headers or {}).items()),
        timeouts=timeouts or Timeouts(),
        payloads=payloads,
        include_usage=include_usage,
    )
