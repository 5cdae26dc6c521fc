"""Keys on their way: the gateway's stays here, the provider's takes its place, the caller's own goes through."""

from __future__ import annotations

import json

import pytest

from tests.gateway_fixtures import APP_KEY, FEEDBACK_KEY, PROVIDER_KEY, QUIET_KEY, READ_KEY
from tests.gateway_process import RunningGateway
from tests.log_reader import row
from tests.raw_http import Fields, Response, call, request
from tests.scripted_upstream import Received, UpstreamProcess

APP = APP_KEY.encode()
OWN = b"sk-own-of-the-caller"

WAYS_IN = [
    b"x-portkey-api-key: " + APP,
    b"Helicone-Auth: Bearer " + APP,
    b"Authorization: Bearer " + APP,
    b"authorization: bearer  " + APP,
    b"x-api-key: " + APP,
]
"""Every field in which a gateway key may come."""

SENT = {
    b"/plain": [],
    b"/keyed": [(b"authorization", b"Bearer " + PROVIDER_KEY.encode())],
    b"/keyed-x": [(b"x-api-key", PROVIDER_KEY.encode())],
}
"""The credentials that each provider gets for a caller that sends none."""


def arrive(
    guarded: RunningGateway, upstream: UpstreamProcess, *fields: bytes, provider: bytes = b"/plain"
) -> Received:
    """Send a request that must get through, and return it as it arrives."""
    upstream.take()
    answer = call(guarded.port, request(b"POST", provider + b"/chat/completions", *fields, body=b"{}"))
    assert answer.status == 200, answer.body
    [received] = upstream.take()
    return received


def credentials(received: Received) -> Fields:
    return [
        (name, value) for name, value in received.fields if name.lower() in (b"authorization", b"x-api-key")
    ]


def refused(guarded: RunningGateway, *fields: bytes, path: bytes = b"/v1/chat/completions") -> Response:
    return call(guarded.port, request(b"POST", path, *fields, body=b"{}"))


@pytest.mark.parametrize("provider", SENT)
@pytest.mark.parametrize("way_in", WAYS_IN)
def test_the_provider_s_key_takes_the_place_of_the_gateway_s(
    guarded: RunningGateway, upstream: UpstreamProcess, way_in: bytes, provider: bytes
) -> None:
    received = arrive(guarded, upstream, way_in, provider=provider)
    assert credentials(received) == SENT[provider]
    assert not any(APP in value for _, value in received.fields)


@pytest.mark.parametrize("provider", SENT)
@pytest.mark.parametrize(
    "own", [b"Authorization: Bearer " + OWN, b"x-api-key: " + OWN, b"Authorization: Basic dTpw"]
)
def test_the_caller_s_own_key_goes_through_untouched(
    guarded: RunningGateway, upstream: UpstreamProcess, own: bytes, provider: bytes
) -> None:
    received = arrive(guarded, upstream, b"x-portkey-api-key: " + APP, own, provider=provider)
    name, _, value = own.partition(b": ")
    assert credentials(received) == [(name, value)]


@pytest.mark.parametrize("provider", SENT)
@pytest.mark.parametrize(
    "fields",
    [
        WAYS_IN,
        [b"Authorization: Bearer " + APP, b"Authorization: Bearer " + APP],
        [b"x-portkey-api-key: " + APP, b"x-api-key: " + APP, b"x-api-key: Bearer " + APP],
        [b"Authorization: Bearer " + APP, b"x-api-key: " + QUIET_KEY.encode()],
        [b"x-portkey-api-key: " + APP, b"Authorization: " + READ_KEY.encode()],
    ],
)
def test_a_gateway_key_never_leaves_however_often_it_comes(
    guarded: RunningGateway, upstream: UpstreamProcess, fields: list[bytes], provider: bytes
) -> None:
    assert credentials(arrive(guarded, upstream, *fields, provider=provider)) == SENT[provider]


@pytest.mark.parametrize(
    "fields",
    [
        [b"Authorization: Bearer " + APP, b"Authorization: Bearer " + OWN],
        [b"x-portkey-api-key: " + APP, b"Authorization: Bearer " + OWN, b"Authorization: Bearer " + APP],
        [b"Authorization: Bearer " + OWN, b"x-api-key: " + APP],
    ],
)
def test_the_caller_s_own_key_goes_through_beside_a_gateway_key(
    guarded: RunningGateway, upstream: UpstreamProcess, fields: list[bytes]
) -> None:
    received = arrive(guarded, upstream, *fields, provider=b"/keyed")
    assert credentials(received) == [(b"Authorization", b"Bearer " + OWN)]


def test_the_first_gateway_key_in_the_documented_order_is_who_calls(
    guarded: RunningGateway, upstream: UpstreamProcess
) -> None:
    trace = b"x-portkey-trace-id: order"
    arrive(guarded, upstream, trace, b"x-api-key: " + QUIET_KEY.encode(), b"Helicone-Auth: Bearer " + APP)
    assert row(guarded.database, "order")["key_name"] == "app"


def test_fields_of_the_configuration_are_added(guarded: RunningGateway, upstream: UpstreamProcess) -> None:
    received = arrive(guarded, upstream, b"x-portkey-api-key: " + APP, provider=b"/dressed")
    assert received.values(b"x-team") == [b"blue"]
    assert received.values(b"openai-organization") == [b"org-1"]


@pytest.mark.parametrize(
    "fields", [[], [b"Authorization: Bearer " + OWN], [b"x-api-key: gw-wrong"], [b"x-api-key:"]]
)
def test_without_a_gateway_key_nobody_gets_in(
    guarded: RunningGateway, upstream: UpstreamProcess, fields: list[bytes]
) -> None:
    upstream.take()
    answer = refused(guarded, *fields)
    assert answer.status == 401
    assert json.loads(answer.body)["error"]["type"] == "authentication_error"
    assert answer.value(b"www-authenticate").startswith(b"Bearer")
    assert upstream.take() == []


@pytest.mark.parametrize("key", [READ_KEY, FEEDBACK_KEY])
def test_a_key_without_the_role_is_told_which_it_takes(
    guarded: RunningGateway, upstream: UpstreamProcess, key: str
) -> None:
    upstream.take()
    answer = refused(guarded, b"Authorization: Bearer " + key.encode(), path=b"/v1/messages")
    assert answer.status == 403
    shown = json.loads(answer.body)
    assert shown["type"] == "error"
    assert shown["error"]["type"] == "permission_error"
    assert "proxy" in shown["error"]["message"]
    assert key not in answer.body.decode()
    assert upstream.take() == []


def test_an_open_gateway_lets_the_caller_s_own_key_through(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    upstream.take()
    call(gateway.port, request(b"POST", b"/v1/chat/completions", b"Authorization: Bearer " + OWN, body=b"{}"))
    [received] = upstream.take()
    assert credentials(received) == [(b"Authorization", b"Bearer " + OWN)]
