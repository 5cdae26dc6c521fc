"""What webhooks may call: nothing inside unless it is listed, neither when it is made nor when it is called."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from gateway.alerts.delivery import WebhookSender
from gateway.alerts.destinations import Destinations, is_internal, parse_address
from gateway.errors import BadInput
from gateway.models.webhooks import Delivery, EventType, Webhook, new_secret
from tests.alerts.receiver import Receiver

INTERNAL = (
    *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
    *("224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:127.0.0.1"),
    *("::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:1::", "2002:a00:1::", "2001:db8::1"),
)


@pytest.mark.parametrize("text", INTERNAL)
def test_internal_addresses_in_every_spelling(text: str) -> None:
    address = parse_address(text)
    assert address is not None
    assert is_internal(address)
    assert not Destinations().allows("example.com", text)


def test_public_and_listed_addresses() -> None:
    for text in ("93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34", "64:ff9b::93.184.216.34"):
        assert Destinations().allows("example.com", text)
    listed = Destinations(["10.1.0.0/16", "receiver.internal", "fd00::/8"])
    assert listed.allows("x", "10.1.2.3")
    assert listed.allows("x", "::ffff:10.1.2.3")
    assert listed.allows("x", "fd12::1")
    assert listed.allows("Receiver.Internal", "192.168.0.1")
    assert not listed.allows("other.internal", "192.168.0.1")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://127.0.0.1/", "internal address"),
        ("https://2130706433/", "internal address"),
        ("https://0x7f.1/", "internal address"),
        ("https://[::ffff:127.0.0.1]/", "internal address"),
        ("https://localhost/", "internal address"),
        ("http://93.184.216.34/", "must begin with https://"),
        ("ftp://example.com/", "must begin with https://"),
        ("https://user:secret@example.com/", "no user name"),
        ("https:///hook", "name a host"),
        ("https://example.com:99999/", "is not a URL"),
        ("https://example.com:0/", "port 0"),
        ("https://exa mple.com/", "without spaces"),
        ("https://no-such-name.invalid/", "does not resolve"),
    ],
)
async def test_urls_that_are_refused(url: str, problem: str) -> None:
    with pytest.raises(BadInput, match=problem) as refusal:
        await Destinations().check(url)
    assert refusal.value.field == "url"
    assert "secret" not in str(refusal.value)


async def test_a_name_that_moves_inside_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ["93.184.216.34", "127.0.0.1"]

    async def resolve(host: str, port: int | None, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers.pop(0), port or 0))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    with Receiver() as receiver:
        port = receiver.url.rpartition(":")[2]
        url = f"https://rebinding.example:{port}/"
        await Destinations().check(url)
        webhook = Webhook(tenant=None, name="x", url=url, events=("feedback.created",), secret=new_secret())
        delivery = Delivery(webhook_id="x", tenant=None, type=EventType.WEBHOOK_TEST, body="{}")
        sender = WebhookSender(Destinations())
        attempt = await sender.send(webhook, delivery)
        await sender.close()
        assert attempt.status is None
        assert attempt.error == "rebinding.example has no address that may be called."
        assert receiver.messages == []
