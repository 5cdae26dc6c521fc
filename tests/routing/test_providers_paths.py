"""Joining a caller's path to a provider's base URL."""

from __future__ import annotations

import pytest

from gateway.routing.providers import BasePath

ROOT, V1, DEEP = "", "/v1", "/a/b/"


@pytest.mark.parametrize(
    ("path", "asked", "target"),
    [
        (V1, "/chat/completions", "/v1/chat/completions"),
        (V1, "/v1/chat/completions", "/v1/chat/completions"),
        (V1, "/v1", "/v1"),
        (V1, "/v1/", "/v1/"),
        (V1, "/v1?a=1", "/v1?a=1"),
        (V1, "", "/v1"),
        (V1, "/", "/v1/"),
        (V1, "?a=1", "/v1?a=1"),
        (V1, "?a=/v1/", "/v1?a=/v1/"),
        (V1, "/?a=/v1/", "/v1/?a=/v1/"),
        (V1, "/v1x/chat", "/v1/v1x/chat"),
        (V1, "/v1/vector_stores", "/v1/vector_stores"),
        (V1, "/v1/v1x/chat", "/v1/v1x/chat"),
        (V1, "/V1/chat", "/v1/V1/chat"),
        (V1, "/%76%31/chat", "/v1/%76%31/chat"),
        (V1, "//chat", "/v1//chat"),
        (V1, "/v1//v1/chat", "/v1//v1/chat"),
        (V1, "/a%2Fb?c=%20", "/v1/a%2Fb?c=%20"),
        (V1, "/a/../b/.", "/v1/a/../b/."),
        (V1, "/v2/chat", "/v1/v2/chat"),
        ("/v1/", "/v1/chat", "/v1/chat"),
        (ROOT, "/chat", "/chat"),
        (ROOT, "/v1/chat", "/v1/chat"),
        (ROOT, "/v1beta/models/m:generateContent?alt=sse", "/v1beta/models/m:generateContent?alt=sse"),
        (ROOT, "/v1", "/v1"),
        (ROOT, "/v1/", "/v1/"),
        (ROOT, "/v1?a=/v1/", "/v1?a=/v1/"),
        (ROOT, "", "/"),
        (ROOT, "?a", "/?a"),
        (ROOT, "?a=/v1/v1/", "/?a=/v1/v1/"),
        ("/", "/v1/chat", "/v1/chat"),
        (DEEP, "/chat", "/a/b/chat"),
        (DEEP, "/v1/chat", "/a/b/chat"),
        (DEEP, "/v1", "/a/b"),
        (DEEP, "/v1?a", "/a/b?a"),
        (DEEP, "/v2/chat", "/a/b/v2/chat"),
        (DEEP, "/a/b/chat", "/a/b/a/b/chat"),
        (DEEP, "", "/a/b"),
    ],
)
def test_the_join(path: str, asked: str, target: str) -> None:
    assert BasePath.of(path).join(asked) == target


@pytest.mark.parametrize(
    "version", ["v1", "v2", "v10", "v1.1", "v1beta", "v1beta1", "v1alpha", "v2alpha3", "v1p1beta1", "v24.0"]
)
def test_a_version_is_sent_once_whether_the_base_url_or_the_caller_names_it(version: str) -> None:
    target = f"/{version}/models?a=/b"
    assert BasePath.of("").join(target) == target
    assert BasePath.of(f"/{version}").join(target) == target
    assert BasePath.of(f"/{version}").join("/models?a=/b") == target
    assert BasePath.of(f"/api/{version}").join(target) == f"/api{target}"


@pytest.mark.parametrize("name", ["v", "vv1", "v1x", "v1-beta", "V1", "beta", "v1beta1x", "v1..2", "v1:x"])
def test_what_only_looks_like_a_version_is_appended_like_any_other_name(name: str) -> None:
    assert BasePath.of(f"/{name}").join(f"/{name}/models") == f"/{name}/{name}/models"


@pytest.mark.parametrize(
    ("path", "asked", "target"),
    [
        (ROOT, "/v1/v1/messages", "/v1/messages"),
        (ROOT, "/v1/v1?a=/v1", "/v1?a=/v1"),
        (ROOT, "/v1/v2/chat", "/v2/chat"),
        (ROOT, "/v2/v1/rerank", "/v1/rerank"),
        (ROOT, "/v1/v1beta/models", "/v1beta/models"),
        (V1, "/v1/v1/chat", "/v1/chat"),
        (V1, "/v1/v1/v1", "/v1"),
        ("/v1beta", "/v1/v1beta/models", "/v1beta/models"),
        ("/api/paas/v4", "/v1/v4/chat", "/api/paas/v4/chat"),
    ],
)
def test_of_versions_in_a_row_the_last_is_what_was_asked_for(path: str, asked: str, target: str) -> None:
    assert BasePath.of(path).join(asked) == target


@pytest.mark.parametrize("path", ["/api/paas/v4", "/v1beta/openai", "/v1/openai", "/openai/v1"])
@pytest.mark.parametrize("rest", ["", "/chat/completions", "?a=1", "/files?a=/v1/"])
def test_a_path_that_has_all_of_the_base_urls_is_complete(path: str, rest: str) -> None:
    joined = BasePath.of(path)
    assert joined.join(path + rest) == path + rest
    assert joined.join(rest) == path + rest


def test_a_path_that_goes_on_where_the_base_urls_ends_is_not() -> None:
    assert BasePath.of("/api/paas/v4").join("/api/paas/v4x/chat") == "/api/paas/v4/api/paas/v4x/chat"
    assert BasePath.of("/v1/openai").join("/v1/openaix/chat") == "/v1/openai/openaix/chat"


@pytest.mark.parametrize(
    ("path", "asked", "kept", "left_out"),
    [
        (ROOT, "/v1/chat", "/v1/chat", "/chat"),
        (ROOT, "/v1", "/v1", "/"),
        (ROOT, "/v2?a", "/v2?a", "/?a"),
        (ROOT, "/v1/v2/chat", "/v1/v2/chat", "/chat"),
        (ROOT, "/chat", "/chat", "/chat"),
        (ROOT, "?a", "/?a", "/?a"),
        (V1, "/v1/chat", "/v1/v1/chat", "/v1/chat"),
        (DEEP, "/v1/chat", "/a/b/v1/chat", "/a/b/chat"),
        (DEEP, "/v1/v1x", "/a/b/v1/v1x", "/a/b/v1x"),
        (DEEP, "/v3/chat", "/a/b/v3/chat", "/a/b/chat"),
        ("/api/v4", "/api/v4/chat", "/api/v4/api/v4/chat", "/api/v4/chat"),
    ],
)
def test_version_path_stands_over_what_the_base_url_says(
    path: str, asked: str, kept: str, left_out: str
) -> None:
    assert BasePath.of(path, "keep").join(asked) == kept
    assert BasePath.of(path, "strip").join(asked) == left_out
