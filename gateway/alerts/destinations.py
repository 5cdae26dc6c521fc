"""Destinations: which URLs webhooks may have; internal addresses are refused unless they are listed."""

import asyncio
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from gateway.errors import BadInput

Address = IPv4Address | IPv6Address

MAX_URL_CHARS = 2_048
_LOOKUP_SECONDS = 5.0
_PORTS = {"http": 80, "https": 443}

# IPv6 addresses that stand for an IPv4 address in their last 32 bits (RFC 6052 and 8215, RFC 4291 section 2.5.5.1),
# or in the 32 bits after the prefix (RFC 3056). `ipaddress` looks only at the prefix, and calls some global.
_EMBEDS_AT_END = tuple(map(IPv6Network, ("::/96", "64:ff9b::/96", "64:ff9b:1::/48")))
_EMBEDS_AFTER_PREFIX = IPv6Network("2002::/16")


def is_internal(address: Address) -> bool:
    """Tell whether an address is not one of a host on the public Internet."""
    if isinstance(address, IPv6Address) and (embedded := _embedded(address)) is not None:
        return is_internal(embedded)
    return not address.is_global or address.is_multicast


def _embedded(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if any(address in network for network in _EMBEDS_AT_END):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _EMBEDS_AFTER_PREFIX:
        return IPv4Address(int(address) >> 80 & 0xFFFF_FFFF)
    return None


def _parse_network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def parse_address(text: str) -> Address | None:
    try:
        # A scope such as %eth0 says nothing about whom the address belongs to.
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


class Destinations:
    """Checks URLs when an endpoint is made, and addresses when it is connected to.

    Args:
        listed: host names, addresses and networks that may be called though they are internal, and over http.
    """

    def __init__(self, listed: Iterable[str] = ()) -> None:
        entries = [(text.lower(), _parse_network(text)) for text in listed]
        self._networks = tuple(network for _, network in entries if network is not None)
        self._hosts = frozenset(text for text, network in entries if network is None)

    def allows(self, host: str, address: str) -> bool:
        """Tell whether an address, which a host resolved to, may be connected to."""
        if host.lower() in self._hosts:
            return True
        found = parse_address(address)
        return found is not None and (not is_internal(found) or self._lists(found))

    def check_unresolved(self, url: str) -> None:
        """Raise BadInput for a URL that no webhook may have, as far as it tells without a lookup of its host."""
        parts = _split(url)
        host = parts.hostname or ""
        if parse_address(host) is not None and not self.allows(host, host):
            raise _internal(host)
        if parts.scheme == "http" and not self._is_listed(host, [host]):
            raise _unencrypted()

    async def check(self, url: str) -> None:
        """Raise BadInput for a URL that no webhook may have, or whose host resolves to internal addresses."""
        parts = _split(url)
        host = parts.hostname or ""
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, TimeoutError):
            raise _bad_url(f"the name {host!r} does not resolve.", "Is it spelled right?") from None
        addresses = [str(each[4][0]) for each in found]
        if not all(self.allows(host, each) for each in addresses):
            raise _internal(host)
        if parts.scheme == "http" and not self._is_listed(host, addresses):
            raise _unencrypted()

    def _is_listed(self, host: str, addresses: Iterable[str]) -> bool:
        found = [parse_address(each) for each in addresses]
        return host.lower() in self._hosts or all(each is not None and self._lists(each) for each in found)

    def _lists(self, address: Address) -> bool:
        embedded = _embedded(address) if isinstance(address, IPv6Address) else None
        return any(each in network for network in self._networks for each in (address, embedded or address))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _bad_url("is not a URL.", "Such as https://example.com/hook.") from None
    if port == 0:
        raise _bad_url("has the port 0, on which nothing listens.", "")
    if len(url) > MAX_URL_CHARS or not url.isascii() or not url.isprintable() or " " in url:
        raise _bad_url(f"must be ASCII without spaces, of at most {MAX_URL_CHARS:,} characters.", "")
    if parts.scheme not in _PORTS or not parts.hostname:
        raise _bad_url("must begin with https:// and name a host.", "Such as https://example.com/hook.")
    if parts.username or parts.password or parts.fragment:
        raise _bad_url("must hold no user name, password or fragment.", "The signature tells who sends.")
    return parts


def target_of(url: str) -> tuple[str, int, bool, str]:
    """Return host, port, whether TLS is spoken, and the request target of a URL that was checked."""
    parts = urlsplit(url)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    port = parts.port or _PORTS[parts.scheme]
    return parts.hostname or "", port, parts.scheme == "https", target


def _internal(host: str) -> BadInput:
    return _bad_url(
        f"{host} is an internal address, which webhooks do not call.",
        f"List {host} under webhooks.allow_internal in the configuration if it shall be called.",
    )


def _unencrypted() -> BadInput:
    return _bad_url(
        "must begin with https://, since payloads are not encrypted otherwise.",
        "http:// is for hosts that are listed under webhooks.allow_internal.",
    )


def _bad_url(fault: str, hint: str) -> BadInput:
    return BadInput(fault, field="url", hint=hint or None)
