"""Opening a connection: name lookup, TCP to whichever address answers first, TLS."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TypeVar

import aiohappyeyeballs

from gateway.upstream.failures import ExchangeTimedOut, connect_failure, peer_name, tls_failure
from gateway.upstream.message import Origin
from gateway.upstream.timing import Limits

P = TypeVar("P", bound=asyncio.Protocol)

HEAD_START_SECONDS = 0.25
"""How long one address is tried alone before the next is tried beside it (RFC 8305, section 5)."""
TLS_CLOSE_SECONDS = 1.0
"""How long a closing TLS connection waits for the other side's close_notify."""


async def dial(origin: Origin, limits: Limits, make_protocol: Callable[[], P]) -> P:
    """Connect to `origin` and return the protocol that was made for it, connected.

    Raises:
        ExchangeFailed: the name, the port or the certificate is not right.
        ExchangeTimedOut: it was not done by `limits.connect_at`.
    """
    sock = await _open_socket(origin, limits)
    try:
        async with asyncio.timeout_at(limits.connect_at):
            return await _start(origin, sock, make_protocol)
    except TimeoutError:
        raise ExchangeTimedOut(
            f"TLS handshake with {peer_name(origin)} took longer than {limits.connect_seconds:g} s.", "tls"
        ) from None


async def _open_socket(origin: Origin, limits: Limits) -> socket.socket:
    try:
        async with asyncio.timeout_at(limits.connect_at) as timeout:
            return await _race(origin)
    except (OSError, ValueError, RuntimeError, OverflowError) as error:
        if timeout.expired():
            raise ExchangeTimedOut(
                f"connecting to {peer_name(origin)} took longer than {limits.connect_seconds:g} s.", "connect"
            ) from None
        raise connect_failure(error, origin) from error


async def _race(origin: Origin) -> socket.socket:
    """Connect to the first address that answers. Not left to the loop, as uvloop tries them one by one."""
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    return await aiohappyeyeballs.start_connection(
        addresses, happy_eyeballs_delay=HEAD_START_SECONDS, loop=loop
    )


async def _start(origin: Origin, sock: socket.socket, make_protocol: Callable[[], P]) -> P:
    loop = asyncio.get_running_loop()
    try:
        _, protocol = await loop.create_connection(
            make_protocol,
            sock=sock,
            ssl=origin.tls,
            server_hostname=origin.host if origin.tls else None,
            ssl_shutdown_timeout=TLS_CLOSE_SECONDS if origin.tls else None,
        )
    except OSError as error:
        raise tls_failure(error, origin) from error
    return protocol
