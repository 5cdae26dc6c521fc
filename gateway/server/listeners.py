"""Sockets to listen on: bound once, or for each of several workers on the same port."""

import contextlib
import errno
import socket
from collections.abc import Sequence
from typing import Any

# Bound sockets, one for each address of the host.
Listeners = Sequence[socket.socket]

Address = tuple[socket.AddressFamily, Any]


def bind(host: str, port: int) -> Listeners:
    """Return sockets bound to the port; port 0 takes a free one. Raises OSError."""
    return _bind_all(_addresses(host, port), socket.SO_REUSEADDR)


def bind_per_worker(host: str, port: int, workers: int) -> Sequence[Listeners]:
    """Return sockets for each worker, all on the same port by SO_REUSEPORT. Raises OSError."""
    # Without the option first: with it, a second gateway on the port would share the first one's connections.
    exclusive = bind(host, port)
    addresses: list[Address] = [(one.family, one.getsockname()) for one in exclusive]
    close_all(exclusive)
    return [_bind_all(addresses, socket.SO_REUSEADDR, socket.SO_REUSEPORT) for _ in range(workers)]


def close_all(listeners: Listeners) -> None:
    for listener in listeners:
        listener.close()


def listener_url(host: str, listeners: Listeners) -> str:
    return format_url(host, listeners[0].getsockname()[1])


def format_url(host: str, port: int) -> str:
    """Return the URL of a host, which may be an IPv6 address, and port."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _addresses(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise _bind_error(host, error) from None
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _bind_all(addresses: Sequence[Address], *options: int) -> Listeners:
    with contextlib.ExitStack() as undo:
        listeners = [undo.enter_context(_bind(family, address, options)) for family, address in addresses]
        undo.pop_all()
    return listeners


def _bind(family: socket.AddressFamily, address: Any, options: Sequence[int]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        for option in options:
            listener.setsockopt(socket.SOL_SOCKET, option, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise _bind_error(f"{address[0]}, port {address[1]}", error) from None
    return listener


def _bind_error(where: str, error: OSError) -> OSError:
    reason = (error.strerror or str(error)).lower()
    fix = ". Stop what listens there, or take another port: --port" if error.errno == errno.EADDRINUSE else ""
    return OSError(error.errno, f"cannot listen on {where}: {reason}{fix}")
