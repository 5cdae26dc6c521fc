from __future__ import annotations

import pytest

from .conftest import PROVIDER, Refuse


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            "serve: {}",
            "2:1: serve: not a key here; did you mean server? allowed: server, storage, providers, "
            "default_provider, routes, cache, keys, prices, feedback, logging, telemetry, alerts, webhooks, rules",
        ),
        ("logging: {zzz: 1}", "2:11: logging.zzz: not a key here; allowed: level, format, requests"),
        (
            "logging: {level: loud}",
            "2:18: logging.level: found 'loud'; must be 'debug', 'info', 'warning' or 'error'",
        ),
        (
            "storage: {payloads: some}",
            "2:21: storage.payloads: found 'some'; must be 'full', 'redacted' or 'off'",
        ),
        ("server: {port: 1.5}", "2:16: server.port: found 1.5; must be a whole number"),
        ("server: {port: -1}", "2:16: server.port: found -1; must be greater than or equal to 0"),
        (
            "server: {host: 5}",
            "2:16: server.host: found 5; must be text; put numbers, yes, no and null in quotes",
        ),
        ("server: {host: ''}", "2:16: server.host: found an empty text; must not be empty"),
        (
            "server: {host: {a: 1}}",
            "2:16: server.host: found a mapping; must be text; put numbers, yes, no and null in quotes",
        ),
        (
            "logging: [1]",
            "2:10: logging: found a list; must be a mapping with keys of: level, format, requests",
        ),
        (
            "storage: {retention_days: 0}",
            "2:27: storage.retention_days: found 0; must be greater than or equal to 1",
        ),
        (
            "keys: [{name: a, key: k, role: proxy, limits: [lots]}]",
            "2:48: keys[0].limits[0]: found 'lots'; must be a number of requests, tokens or usd per minute, hour, "
            "day, week or month, such as 600 requests/minute or 25 usd/month",
        ),
        (
            "prices: {m: {output: 1}}",
            "2:13: prices.m.input: missing; must be given: US dollars a million prompt tokens",
        ),
        (
            "server: {allow_custom_hosts: 'https://a'}",
            "2:30: server.allow_custom_hosts: found a single value; must be a list",
        ),
    ],
)
def test_a_problem_says_what_was_found_and_what_is_allowed(
    refuse: Refuse, written: str, expected: str
) -> None:
    assert refuse(PROVIDER + written) == [f"gateway.yaml:{expected}"]


def test_no_providers_at_all_is_told_at_the_key(refuse: Refuse) -> None:
    assert refuse("server: {}\nproviders: {}") == [
        "gateway.yaml:2:12: providers: found an empty mapping; must not be empty"
    ]
    assert refuse("server: {}\nproviders:\n") == [
        "gateway.yaml:2:11: providers: missing; must be given: Providers by name; at least one"
    ]


def test_a_long_value_is_shown_in_part(refuse: Refuse) -> None:
    (line,) = refuse(PROVIDER + f"logging: {{level: {'x' * 10_000}}}")
    assert len(line) < 250
    assert "…; must be 'debug'" in line
