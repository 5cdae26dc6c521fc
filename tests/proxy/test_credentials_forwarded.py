"""Every field in which a credential may come, against every way in which a provider's key is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.leak_scan import find_leaks, unpacked_bodies, written_files
from tests.raw_http import call, request
from tests.scripted_upstream import Received, UpstreamProcess, answer

KEY = "canary-gateway-key-0123456789"
OWN = "canary-own-key-0123456789"
PROVIDER = "canary-provider-key-0123456789"
PLACEHOLDER = "OPENAI_API_KEY"

AUTH: dict[str, tuple[object, tuple[bytes, bytes]]] = {
    "bearer": ("bearer", (b"authorization", b"Bearer " + PROVIDER.encode())),
    "x-api-key": ("x-api-key", (b"x-api-key", PROVIDER.encode())),
    "api-key": ("api-key", (b"api-key", PROVIDER.encode())),
    "x-goog-api-key": ("x-goog-api-key", (b"x-goog-api-key", PROVIDER.encode())),
    "elevenlabs": ({"header": "xi-api-key"}, (b"xi-api-key", PROVIDER.encode())),
    "odd": ({"header": "X-Team-Pass"}, (b"x-team-pass", PROVIDER.encode())),
}
"""By provider: `auth`, and the field that carries its key."""

OURS = ["x-portkey-api-key: {}", "Helicone-Auth: Bearer {}"]
HEADERS = [
    "Authorization: Bearer {}",
    "authorization: Token {}",
    "authorization: {}",
    "x-api-key: {}",
    "api-key: {}",
    "Api-Key: Bearer {}",
    "x-goog-api-key: {}",
    "xi-api-key: {}",
]
QUERIES = ["key={}", "a=1&api_key={}&b=2"]
FIELDS = [*OURS, *HEADERS, *QUERIES]


def config(upstream: UpstreamProcess, auth: str) -> dict[str, Any]:
    base_url = f"{upstream.url}/v1"
    providers: dict[str, Any] = {
        name: {"base_url": base_url, "api_key": PROVIDER, "auth": kind} for name, (kind, _) in AUTH.items()
    }
    providers["configured"] = {
        "base_url": base_url,
        "headers": {"Xi-Api-Key": PROVIDER, "anthropic-version": "2023-06-01"},
    }
    return {
        "server": {"auth": auth},
        "logging": {"level": "debug"},
        "providers": providers,
        "keys": [{"name": "app", "key": KEY, "role": "proxy"}],
    }


@pytest.fixture(params=["keys", "off"])
def own_gateway(
    request: pytest.FixtureRequest, start_gateway: StartGateway, upstream: UpstreamProcess
) -> RunningGateway:
    return start_gateway(config(upstream, request.param))


def needs_key(own_gateway: RunningGateway) -> bool:
    return (
        "auth: keys" in own_gateway.config_file.read_text()
        or '"auth": "keys"' in own_gateway.config_file.read_text()
    )


def arrive(
    own_gateway: RunningGateway,
    upstream: UpstreamProcess,
    provider: str,
    *came: str,
    script: bytes | None = None,
) -> Received:
    """Send what came, each as a header or in the query; return what arrives at the provider."""
    upstream.take()
    fields = [each.encode() for each in came if ": " in each]
    query = "&".join(each for each in came if ": " not in each)
    target = f"/{provider}/chat/completions" + (f"?{query}" if query else "")
    # By default the scripted provider tells all that it received, which is logged as any answer.
    fields.append(script or upstream.script(*answer(b"{}")))
    answered = call(own_gateway.port, request(b"POST", target.encode(), *fields, body=b"{}"))
    assert script is not None or answered.status == 200, (came, answered.body)
    [received] = upstream.take()
    return received


def credentials(received: Received) -> list[tuple[bytes, bytes]]:
    """Fields at the provider that are no other's: with a canary or a placeholder."""
    words = (b"canary", PLACEHOLDER.encode())
    return [(name, value) for name, value in received.fields if any(word in value for word in words)]


def query_of(received: Received) -> str:
    return received.target.partition("?")[2]


def kept(own_gateway: RunningGateway) -> dict[str, bytes]:
    own_gateway.stop()
    return {**written_files(own_gateway), **unpacked_bodies(own_gateway)}


def test_a_gateway_key_opens_the_gateway_from_every_field_and_ends_there(
    own_gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    for provider, (_, sent) in AUTH.items():
        for field in FIELDS:
            received = arrive(own_gateway, upstream, provider, field.format(KEY))
            assert credentials(received) == [sent], (provider, field)
            assert query_of(received) == ("a=1&b=2" if "a=1" in field else ""), (provider, field)
    assert find_leaks([KEY, PROVIDER], kept(own_gateway)) == []


def test_a_callers_own_key_goes_as_it_came_and_is_joined_by_none(
    own_gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    opening = [OURS[0].format(KEY)] if needs_key(own_gateway) else []
    for provider in AUTH:
        for field in [*HEADERS, *(["X-Team-Pass: {}"] if provider == "odd" else [])]:
            name, _, value = field.format(OWN).partition(": ")
            received = arrive(own_gateway, upstream, provider, *opening, field.format(OWN))
            assert credentials(received) == [(name.encode(), value.encode())], (provider, field)
        for field in QUERIES:
            received = arrive(own_gateway, upstream, provider, *opening, field.format(OWN))
            assert credentials(received) == [], (provider, field)
            assert query_of(received) == field.format(OWN), (provider, field)
    assert find_leaks([KEY, OWN, PROVIDER], kept(own_gateway)) == []


def test_a_word_that_stands_for_no_key_never_arrives(
    own_gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    opening = [OURS[0].format(KEY)] if needs_key(own_gateway) else []
    for provider, (_, sent) in AUTH.items():
        for field in (*HEADERS[:1], *HEADERS[3:], *QUERIES):
            received = arrive(own_gateway, upstream, provider, *opening, field.format(PLACEHOLDER))
            assert credentials(received) == [sent], (provider, field)
            assert PLACEHOLDER not in received.target
        for field in ("Authorization: Bearer ", "Authorization:  ", "x-api-key:  "):
            received = arrive(own_gateway, upstream, provider, *opening, field)
            assert credentials(received) == [sent], (provider, field)
            assert len(received.values(field.partition(":")[0].lower().encode())) <= 1


def test_a_gateway_key_ends_here_in_fields_and_parameters_of_any_name(
    own_gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    encoded = "%" + f"{ord(KEY[0]):x}" + KEY[1:]
    odd = ["X-Anything: {}", "X-Anything: Bearer {}", "X-Anything: Token {}", "Cookie: {}", "q={}", "{}"]
    for field in odd:
        for value in (KEY, encoded) if ": " not in field else (KEY,):
            received = arrive(own_gateway, upstream, "api-key", OURS[0].format(KEY), field.format(value))
            assert credentials(received) == [AUTH["api-key"][1]], field
            assert query_of(received) == "", field
    received = arrive(own_gateway, upstream, "api-key", HEADERS[0].format(KEY), f"q=Bearer+{KEY}")
    assert query_of(received) == ""
    assert find_leaks([KEY], kept(own_gateway)) == []


def test_the_same_key_in_many_fields_ends_in_each(
    own_gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    for provider, (_, sent) in AUTH.items():
        received = arrive(own_gateway, upstream, provider, *(field.format(KEY) for field in FIELDS))
        assert credentials(received) == [sent]
        assert query_of(received) == "a=1&b=2"


def test_a_configured_field_takes_the_place_of_the_callers(
    own_gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    opening = [OURS[0].format(KEY)] if needs_key(own_gateway) else []
    came = [f"xi-api-key: {OWN}", "XI-API-KEY: dummy", "Anthropic-Version: 2020-01-01"]
    received = arrive(own_gateway, upstream, "configured", *opening, *came)
    assert received.values(b"xi-api-key") == [PROVIDER.encode()]
    assert received.values(b"anthropic-version") == [b"2023-06-01"]
    assert find_leaks([KEY, OWN, PROVIDER], kept(own_gateway)) == []


def errors(upstream: UpstreamProcess, *repeated: str) -> Iterator[bytes]:
    for secret in repeated:
        yield upstream.script(*answer(f'{{"error": "wrong key: {secret}"}}'.encode(), status=b"401 No"))


def test_an_error_that_repeats_a_key_is_kept_without_it_however_it_was_sent(
    own_gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    for provider in (*AUTH, "configured"):
        [script] = errors(upstream, PROVIDER)
        arrive(own_gateway, upstream, provider, HEADERS[0].format(KEY), script=script)
    for field in (*HEADERS, *QUERIES, "X-Team-Pass: {}"):
        [script] = errors(upstream, OWN)
        arrive(own_gateway, upstream, "odd", OURS[0].format(KEY), field.format(OWN), script=script)
    assert find_leaks([KEY, OWN, PROVIDER], kept(own_gateway)) == []
