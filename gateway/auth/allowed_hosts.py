"""AllowedHosts: host and origin names under which a gateway without keys may be called."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import urlsplit

from gateway.models.addresses import is_loopback

# The longest name in DNS (RFC 1035, section 2.3.4); longer values from outside must not fill the cache.
MAX_NAME_BYTES = 255

_CACHE_SIZE = 256
# Schemes of pages installed on this machine; no page from a network has such an origin.
_DESKTOP_SCHEMES = frozenset({"app", "file", "tauri", "vscode-file", "vscode-webview"})


class AllowedHosts:
    """Names under which a gateway without keys may be called, besides addresses and `localhost`."""

    # A page can make its own name resolve to 127.0.0.1, and its browser then takes this gateway for the page's
    # server. It cannot do so with an address or `localhost`.

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = frozenset(name.lower() for name in names)
        # Of a Host field, such as `localhost:8787`.
        self.allows_host = lru_cache(_CACHE_SIZE)(self._check_host)
        # Of an Origin field, such as `http://localhost:3000`. `null` may come from any page.
        self.allows_origin = lru_cache(_CACHE_SIZE)(self._check_origin)

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
