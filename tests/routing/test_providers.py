"""From what the configuration says of a provider to what calls it."""

from __future__ import annotations

import ssl

import pytest

from gateway.errors import BadInput
from gateway.models.principal import KeyPlacement
from gateway.routing.providers import build_provider

TLS = ssl.create_default_context()


@pytest.mark.parametrize(
    ("base_url", "host", "port", "is_tls", "host_header", "base_path"),
    [
        ("https://api.test/v1", "api.test", 443, True, b"api.test", "/v1"),
        ("http://api.test", "api.test", 80, False, b"api.test", ""),
        ("http://127.0.0.1:8000/v1/", "127.0.0.1", 8000, False, b"127.0.0.1:8000", "/v1"),
        ("https://[::1]:8443/a/b", "::1", 8443, True, b"[::1]:8443", "/a/b"),
    ],
)
def test_a_base_url_becomes_an_origin_a_host_and_a_path(
    base_url: str, host: str, port: int, is_tls: bool, host_header: bytes, base_path: str
) -> None:
    provider = build_provider("up", base_url, tls=TLS)
    assert (provider.origin.host, provider.origin.port) == (host, port)
    assert (provider.origin.tls is TLS) == is_tls
    assert (provider.host_header, provider.base_path.path) == (host_header, base_path)


@pytest.mark.parametrize(
    "base_url",
    [
        "ftp://x",
        "api.test/v1",
        "",
        "https://",
        "https://u:p@x/v1",
        "https://x/?a=1",
        "https://x/#a",
        "http://x:99999",
        "http://[::1",
    ],
)
def test_a_base_url_that_cannot_be_called_is_refused_by_name(base_url: str) -> None:
    with pytest.raises(BadInput) as refused:
        build_provider("up", base_url, tls=TLS)
    assert refused.value.field == "up.base_url"


def test_a_key_is_sent_the_way_that_is_configured() -> None:
    def key_header(auth: KeyPlacement) -> tuple[bytes, bytes] | None:
        return build_provider("up", "http://x", tls=TLS, api_keys=["k"], auth=auth).key_header

    assert key_header("bearer") == (b"authorization", b"Bearer k")
    assert key_header("x-api-key") == (b"x-api-key", b"k")
    assert key_header("x-goog-api-key") == (b"x-goog-api-key", b"k")
    assert key_header({"header": "X-Team-Pass"}) == (b"x-team-pass", b"k")
    assert build_provider("up", "http://x", tls=TLS).key_header is None
