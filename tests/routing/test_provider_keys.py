"""Of several keys the first that does not rest is used."""

from __future__ import annotations

import ssl

import pytest

from gateway.routing.provider_keys import LIMITED_SECONDS, REFUSED_SECONDS, ProviderKeys
from gateway.routing.providers import Provider, build_provider

TLS = ssl.create_default_context()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def provider() -> Provider:
    return build_provider("up", "https://up.test/v1", tls=TLS, api_keys=["first", "second"])


def used(keys: ProviderKeys, provider: Provider) -> bytes:
    header = keys.choose(provider).key_header
    assert header is not None
    return header[1]


@pytest.mark.parametrize(
    ("status", "asked", "rests_seconds"),
    [
        (401, None, REFUSED_SECONDS),
        (402, None, REFUSED_SECONDS),
        (403, None, REFUSED_SECONDS),
        (429, None, LIMITED_SECONDS),
        (429, 20.0, 20.0),
    ],
)
def test_a_key_that_is_refused_or_limited_rests(
    provider: Provider, status: int, asked: float | None, rests_seconds: float
) -> None:
    clock = Clock()
    keys = ProviderKeys(clock)
    assert used(keys, provider) == b"Bearer first"
    keys.record(keys.choose(provider), status, asked)
    assert (used(keys, provider), keys.resting(provider)) == (b"Bearer second", 1)
    clock.now += rests_seconds - 0.01
    assert used(keys, provider) == b"Bearer second"
    clock.now += 0.02
    assert (used(keys, provider), keys.resting(provider)) == (b"Bearer first", 0)


@pytest.mark.parametrize("status", [200, 404, 500, 503])
def test_other_answers_are_not_about_the_key(provider: Provider, status: int) -> None:
    keys = ProviderKeys()
    keys.record(keys.choose(provider), status, None)
    assert used(keys, provider) == b"Bearer first"


def test_where_all_rest_the_one_that_rests_the_shortest_is_used(provider: Provider) -> None:
    keys = ProviderKeys(Clock())
    keys.record(keys.choose(provider), 401, None)
    keys.record(keys.choose(provider), 429, 9.0)
    assert used(keys, provider) == b"Bearer second"
