"""Sockets to listen on: bound once, or for each of several workers on the same port."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from typing import Any

Listeners = Sequence[socket.socket]
"""Bound sockets, one for each address that the host's name stands for."""

Address = tuple[socket.AddressFamily, Any]


def bind(host: str, port: int) -> Listeners:
    """Return sockets bound to the port; port 0 takes a free one.

    Raises:
        OSError: the host's name stands for nothing, or another process has the port.
    """
    return _bind_all(_addresses(host, port))


def bind_each(host: str, port: int, workers: int) -> Sequence[Listeners]:
    """Return sockets for each worker, all bound to the same port by SO_REUSEPORT: the kernel hands each connection
    to one of them, by a hash of its addresses, so that all get their share.

    Raises:
        OSError: as `bind`, also where another process would share the port.
    """
    # Without the option first: with it, a second gateway on the port would get a part of the first one's callers.
    exclusive = bind(host, port)
    addresses: list[Address] = [(one.family, one.getsockname()) for one in exclusive]
    close_all(exclusive)
    return [_bind_all(addresses, is_shared=True) for _ in range(workers)]


def close_all(listeners: Listeners) -> None:
    """Close the sockets."""
    for listener in listeners:
        listener.close()


def url_of(host: str, listeners: Listeners) -> str:
    """Return the URL at which a host is reached on its port."""
    port = listeners[0].getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _addresses(host: str, port: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _bind_all(addresses: Sequence[Address], *, is_shared: bool = False) -> Listeners:
    with contextlib.ExitStack() as undo:
        listeners = [undo.enter_context(_bind(*address, is_shared)) for address in addresses]
        undo.pop_all()
    return listeners


def _bind(family: socket.AddressFamily, address: Any, is_shared: bool) -> socket.socket:
    with contextlib.ExitStack() as undo:
        listener = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            listener.bind(address)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OSError(
                error.errno, f"cannot listen on {address[0]}, port {address[1]}: {reason}"
            ) from None
        undo.pop_all()
    return listener
