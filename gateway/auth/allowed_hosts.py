"""AllowedHosts: host and origin names under which an open gateway may be called."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from gateway.models.addresses import is_loopback

MAX_NAME_BYTES = 255
"""Longest value judged, which is the longest name that DNS knows (RFC 1035, section 2.3.4). Strangers cannot fill
the memory with longer ones."""

_CACHE_SIZE = 256
_DESKTOP_SCHEMES = frozenset({"app", "file", "tauri", "vscode-file", "vscode-webview"})
"""Of pages that were installed on this machine; no page from a network has an origin of such a scheme."""


class AllowedHosts:
    """Tells names that can stand for this machine only because somebody here has said so from all others.

    A page can have a name of its own resolve to 127.0.0.1, and its browser then takes what listens there for a part
    of it (DNS rebinding). It cannot do so with an address, nor with `localhost`.

    Args:
        names: further names that may be used.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(name.lower() for name in names)
        self.allows_host = lru_cache(_CACHE_SIZE)(self._check_host)
        """Judges the value of a Host field, such as `localhost:8787`."""
        self.allows_origin = lru_cache(_CACHE_SIZE)(self._check_origin)
        """Judges the value of an Origin field, such as `http://localhost:3000`. `null` may be anybody's."""

    def _check_host(self, host: str) -> bool:
        name = _host_name_of(f"//{host}")
        return name is not None and (self._is_allowed_name(name) or _is_address(name))

    def _check_origin(self, origin: str) -> bool:
        if origin.partition("://")[0].lower() in _DESKTOP_SCHEMES:
            return True
        name = _host_name_of(origin)
        return name is not None and self._is_allowed_name(name)

    def _is_allowed_name(self, name: str) -> bool:
        return name in self._names or is_loopback(name)


def _host_name_of(url: str) -> str | None:
    """The host of a URL in lower case, without the dot that may end it."""
    if len(url) > MAX_NAME_BYTES:
        return None
    try:
        return (urlsplit(url).hostname or "").removesuffix(".") or None
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
