"""Sockets to listen on."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from gateway.server.listeners import Listeners, bind, bind_per_worker, close_all, listener_url

Keep = Callable[[Listeners], Listeners]


@pytest.fixture
def keep() -> Iterator[Keep]:
    """Close sockets with the test."""
    kept: list[Listeners] = []

    def keep(listeners: Listeners) -> Listeners:
        kept.append(listeners)
        return listeners

    yield keep
    for listeners in kept:
        close_all(listeners)


def port_of(listeners: Listeners) -> int:
    port: int = listeners[0].getsockname()[1]
    return port


def test_port_0_takes_a_free_one(keep: Keep) -> None:
    listeners = keep(bind("127.0.0.1", 0))
    assert listener_url("127.0.0.1", listeners) == f"http://127.0.0.1:{port_of(listeners)}"


def test_an_address_of_version_6_stands_in_brackets_in_the_url(keep: Keep) -> None:
    listeners = keep(bind("127.0.0.1", 0))
    assert listener_url("::1", listeners) == f"http://[::1]:{port_of(listeners)}"


def test_each_worker_has_sockets_of_its_own_on_the_same_port(keep: Keep) -> None:
    workers = [keep(listeners) for listeners in bind_per_worker("127.0.0.1", 0, 3)]
    assert len({listener.fileno() for listeners in workers for listener in listeners}) == 3
    assert len({port_of(listeners) for listeners in workers}) == 1


def test_connections_are_spread_over_the_workers(keep: Keep) -> None:
    workers = [keep(listeners)[0] for listeners in bind_per_worker("127.0.0.1", 0, 2)]
    for listener in workers:
        listener.listen(200)
        listener.setblocking(False)
    callers = [socket.create_connection(workers[0].getsockname()) for _ in range(200)]
    shares = [_accepted(listener) for listener in workers]
    for caller in callers:
        caller.close()
    assert sum(shares) == 200
    assert min(shares) > 50


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_port_that_is_listened_on_is_refused_with_its_name(keep: Keep, is_shared: bool) -> None:
    taken = bind_per_worker("127.0.0.1", 0, 2) if is_shared else [bind("127.0.0.1", 0)]
    for listeners in taken:
        keep(listeners)[0].listen()
    port = port_of(taken[0])
    message = f"cannot listen on 127.0.0.1, port {port}: address already in use"
    with pytest.raises(OSError, match=message):
        bind("127.0.0.1", port)
    with pytest.raises(OSError, match=message):
        bind_per_worker("127.0.0.1", port, 2)


def test_a_name_that_stands_for_nothing_is_refused() -> None:
    with pytest.raises(OSError, match=r"cannot listen on name.invalid: "):
        bind("name.invalid", 0)


def _accepted(listener: socket.socket) -> int:
    """How many connections wait on a socket."""
    count = 0
    while True:
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1
