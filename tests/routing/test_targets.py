"""Joining a caller's path to a provider's base URL."""

from __future__ import annotations

import ssl

import pytest

from gateway.routing.providers import build_provider
from gateway.routing.targets import target_of

TLS = ssl.create_default_context()

ROOT, V1, DEEP = "https://llm.test", "https://llm.test/v1", "https://llm.test/a/b/"


@pytest.mark.parametrize(
    ("base_url", "rest", "target"),
    [
        (V1, "/chat/completions", "/v1/chat/completions"),
        (V1, "/v1/chat/completions", "/v1/chat/completions"),
        (V1, "/v1", "/v1"),
        (V1, "/v1/", "/v1/"),
        (V1, "/v1?a=1", "/v1?a=1"),
        (V1, "", "/v1"),
        (V1, "/", "/v1/"),
        (V1, "?a=1", "/v1?a=1"),
        (V1, "/?a=/v1/", "/v1/?a=/v1/"),
        (V1, "/v1x/chat", "/v1/v1x/chat"),
        (V1, "/v1/v1/chat", "/v1/v1/chat"),
        (V1, "/V1/chat", "/v1/V1/chat"),
        (V1, "//chat", "/v1//chat"),
        (V1, "/a%2Fb?c=%20", "/v1/a%2Fb?c=%20"),
        (V1, "/a/../b/.", "/v1/a/../b/."),
        (ROOT, "/chat", "/chat"),
        (ROOT, "/v1/chat", "/chat"),
        (ROOT, "/v1", "/"),
        (ROOT, "", "/"),
        (ROOT, "?a", "/?a"),
        (DEEP, "/chat", "/a/b/chat"),
        (DEEP, "/v1/chat", "/a/b/chat"),
        (DEEP, "", "/a/b"),
    ],
)
def test_the_join(base_url: str, rest: str, target: str) -> None:
    assert target_of(build_provider("up", base_url, tls=TLS), rest).request_target == target
