"""The connection between a supervisor and a worker."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.config.models import Config
from gateway.errors import BadInput
from gateway.server.channel import Channel, CoverSlot, Failed, MetricsReport, Reload, Serving, open_channel

CONFIG = Config.model_validate(
    {
        "providers": {"up": {"base_url": "http://127.0.0.1:1/v1", "api_key": "sk-secret"}},
        "keys": [{"name": "app", "key": "gw-secret", "role": ["proxy", "read"]}],
    }
)

Ends = tuple[Channel, Channel]


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    """Both ends of a channel."""
    one, other = socket.socketpair()
    channels = await open_channel(one), await open_channel(other)
    yield channels
    for channel in channels:
        await channel.close()


async def test_messages_come_whole_and_in_order_both_ways(ends: Ends) -> None:
    one, other = ends
    for number in range(100):
        one.send(CoverSlot(number))
    other.send(Serving())
    assert [await other.receive() for _ in range(100)] == [CoverSlot(number) for number in range(100)]
    assert await one.receive() == Serving()


async def test_a_configuration_keeps_its_secrets(ends: Ends) -> None:
    one, other = ends
    one.send(Reload(CONFIG))
    received = await other.receive()
    assert isinstance(received, Reload)
    assert received.config == CONFIG
    assert received.config.keys[0].key.get_secret_value() == "gw-secret"


@pytest.mark.parametrize(
    "error", [BadInput("is wrong.", field="server.host", hint="Mend it."), OSError(98, "address in use")]
)
async def test_an_error_says_the_same_at_the_other_end(ends: Ends, error: Exception) -> None:
    one, other = ends
    one.send(Failed(error))
    received = await other.receive()
    assert isinstance(received, Failed)
    assert type(received.error) is type(error)
    assert str(received.error) == str(error)


async def test_the_end_of_one_is_the_end_for_the_other(ends: Ends) -> None:
    one, other = ends
    one.send(Serving())
    await one.close()
    assert [message async for message in other] == [Serving()]
    assert await other.receive() is None
    one.send(Serving())
    other.send(Serving())


async def test_a_message_that_was_cut_off_is_none() -> None:
    one, other = socket.socketpair()
    channel = await open_channel(other)
    one.sendall(b"\x10\x00\x00\x00half")
    one.close()
    assert await channel.receive() is None
    await channel.close()


async def test_who_flushes_waits_for_a_reader_that_is_slow(ends: Ends) -> None:
    one, other = ends
    for _ in range(2000):
        one.send(Reload(CONFIG))
    flush = asyncio.create_task(one.flush())
    await asyncio.sleep(0.05)
    assert not flush.done()
    for _ in range(2000):
        await other.receive()
    await flush


async def test_who_flushes_does_not_wait_for_one_that_is_gone(ends: Ends) -> None:
    one, other = ends
    for _ in range(2000):
        one.send(MetricsReport({}))
    await other.close()
    await one.flush()
