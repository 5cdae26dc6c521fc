"""What must not reach the disk is replaced; what is useful stays readable."""

from __future__ import annotations

import pytest

from gateway.models.principal import CREDENTIAL_HEADERS, CREDENTIAL_PARAMETERS
from gateway.store.rows import redact_headers, redact_path


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "Proxy-Authorization",
        "X-Forwarded-Authorization",
        "Cookie",
        "Set-Cookie",
        "x-api-key",
        "api-key",
        "API_KEY",
        "X-ApiKey",
        "x-goog-api-key",
        "x-portkey-api-key",
        "x-portkey-virtual-key",
        "x-portkey-aws-secret-access-key",
        "x-portkey-aws-access-key-id",
        "x-portkey-aws-session-token",
        "x-portkey-vertex-service-account-json",
        "Helicone-Auth",
        "Ocp-Apim-Subscription-Key",
        "X-Amz-Security-Token",
        "X-Auth-Token",
        "X-Access-Tokens",
        "X-CSRF",
        "X-User-Password",
        "X-Client-Secret",
        "X-Hub-Signature",
        "Cf-Access-Jwt-Assertion",
        "token",
    ],
)
def test_the_value_of_a_secret_header_is_replaced(name: str) -> None:
    header = name.encode()
    assert redact_headers(((header, b"opens something"),)) == [(header, b"[redacted]")]


@pytest.mark.parametrize(
    "name",
    [
        "Idempotency-Key",
        "X-Idempotency-Key",
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-tokens",
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-ratelimit-tokens-limit",
        "x-portkey-trace-id",
        "x-portkey-metadata",
        "x-portkey-provider",
        "Helicone-Session-Id",
        "Helicone-Request-Id",
        "WWW-Authenticate",
        "Content-Type",
        "openai-organization",
        "x-request-id",
        "traceparent",
        "X-Author",
        "X-Monkey",
        "X-Design",
        "Surrogate-Key",
    ],
)
def test_the_value_of_a_useful_header_stays(name: str) -> None:
    header = name.encode()
    assert redact_headers(((header, b"a value"),)) == [(header, b"a value")]


def test_all_fields_in_which_a_credential_may_come_are_replaced() -> None:
    for name in CREDENTIAL_HEADERS:
        assert redact_headers(((name.encode(), b"opens"),)) == [(name.encode(), b"[redacted]")]
    for name in CREDENTIAL_PARAMETERS:
        assert redact_path(f"/v1?{name}=opens") == f"/v1?{name}=[redacted]"


def test_a_credential_under_any_name_is_replaced() -> None:
    headers = (
        (b"X-Odd", b"Bearer sk-1"),
        (b"X-Odd", b"basic dTpw"),
        (b"X-Odd", b"Bear with me"),
        (b"X-Odd", b""),
    )
    assert [value for _, value in redact_headers(headers)] == [
        b"[redacted]", b"[redacted]", b"Bear with me", b"",
    ]  # fmt: skip


def test_a_routing_config_is_replaced_unless_it_is_a_name() -> None:
    inline = (b"X-Portkey-Config", b'{"api_key":"sk-1"}')
    named = (b"x-portkey-config", b"fast-and-cheap")
    other = (b"x-portkey-metadata", b'{"_user":"ann"}')
    assert redact_headers((inline, named, other)) == [(b"X-Portkey-Config", b"[redacted]"), named, other]


@pytest.mark.parametrize(
    "parameter",
    [
        "key",
        "api_key",
        "api-key",
        "API-KEY",
        "access_token",
        "token",
        "sig",
        "signature",
        "X-Amz-Signature",
        "%6bey",
    ],
)
def test_the_value_of_a_secret_parameter_is_replaced(parameter: str) -> None:
    path = f"/v1/models?a=1&{parameter}=opens%20it=&b=2"
    assert redact_path(path) == f"/v1/models?a=1&{parameter}=[redacted]&b=2"


@pytest.mark.parametrize(
    "path",
    ["/v1/models", "/v1/key=1/models", "/v1/models?", "/v1?max_tokens=5&api-version=2024&key", "/v1?a=b?c=d"],
)
def test_a_path_without_secrets_stays_as_it_is(path: str) -> None:
    assert redact_path(path) == path


def test_header_names_beyond_any_length_are_judged_by_their_beginning() -> None:
    name = b"x-api-key-" + b"a" * 100_000
    assert redact_headers(((name, b"sk-1"),)) == [(name, b"[redacted]")]


def test_secret_parameters_in_fields_that_hold_a_url_are_replaced() -> None:
    url = b"https://app.example.com/page?key=opens&tab=2"
    headers = ((b"Referer", url), (b"location", url), (b"X-Question", url))
    shown = url.replace(b"opens", b"[redacted]")
    assert [value for _, value in redact_headers(headers)] == [shown, shown, url]
