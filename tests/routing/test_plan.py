"""Which provider a request goes to."""

from __future__ import annotations

import ssl

import pytest

from gateway.errors import BadInput, Forbidden, NotFound
from gateway.routing.plan import Router
from gateway.routing.providers import build_provider

TLS = ssl.create_default_context()


def router(default: str | None = "first", hosts: tuple[str, ...] = ()) -> Router:
    providers = {
        name: build_provider(name, f"http://{name}.test/v1", tls=TLS) for name in ("first", "second")
    }
    return Router(providers, default, hosts, lambda url: build_provider("custom", url, tls=TLS))


def chosen(path: str, name: str | None = None, host: str | None = None, **options: object) -> tuple[str, str]:
    """Name of the provider, and the target it is asked for."""
    [target] = router(**options).plan(path, name, host).targets  # type: ignore[arg-type]
    return target.provider.name, target.request_target


@pytest.mark.parametrize(
    ("path", "name", "expected"),
    [
        ("/v1/chat", None, ("first", "/v1/chat")),
        ("/v1/chat", "second", ("second", "/v1/chat")),
        ("/v1/chat", "@second", ("second", "/v1/chat")),
        ("/v1/chat", "", ("first", "/v1/chat")),
        ("/second/chat", "first", ("second", "/v1/chat")),
        ("/second/v1/chat?a=/x", None, ("second", "/v1/chat?a=/x")),
        ("/second/v1/v1/chat", None, ("second", "/v1/chat")),
        ("/v1/v1/chat", None, ("first", "/v1/chat")),
        ("/second", None, ("second", "/v1")),
        ("/v1", None, ("first", "/v1")),
        ("/second?a=/x", None, ("second", "/v1?a=/x")),
        ("/v1?a=/second/x", None, ("first", "/v1?a=/second/x")),
    ],
)
def test_the_choice(path: str, name: str | None, expected: tuple[str, str]) -> None:
    assert chosen(path, name) == expected


@pytest.mark.parametrize(
    "path", ["/third/chat", "/", "/First/chat", "/v1x/chat", "/third?a=/first/b", "/first;a/b"]
)
def test_a_path_of_nobody_s_is_not_found_and_says_who_there_is(path: str) -> None:
    with pytest.raises(NotFound, match="first, second"):
        chosen(path)


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BadInput, match=r"'third'.*first, second"):
        chosen("/v1/chat", "third")


def test_without_a_default_the_caller_must_name_one() -> None:
    with pytest.raises(BadInput, match="first, second"):
        chosen("/v1/chat", default=None)
    assert chosen("/v1/chat", "second", default=None) == ("second", "/v1/chat")


def test_a_custom_host_is_called_only_if_its_origin_is_allowed() -> None:
    hosts = ("https://llm.test", "http://127.0.0.1:9")
    assert chosen("/v1/chat?a", host="HTTPS://LLM.test/base", hosts=hosts) == ("custom", "/base/chat?a")
    assert chosen("/v1/chat", host="http://127.0.0.1:9", hosts=hosts) == ("custom", "/v1/chat")
    for host in (
        "https://llm.test:444",
        "http://llm.test",
        "https://llm.test@evil.test",
        "https://llm.test.evil",
        "",
    ):
        with pytest.raises(Forbidden):
            chosen("/v1/chat", host=host, hosts=hosts)


def test_a_path_that_names_a_provider_stands_over_a_custom_host() -> None:
    assert chosen("/second/chat", host="https://evil.test") == ("second", "/v1/chat")


@pytest.mark.parametrize(
    ("provider", "path", "url"),
    [
        ("second", "/v1/chat?a=/x", "http://second.test/v1/chat?a=/x"),
        ("second", "/second/chat", "http://second.test/v1/chat"),
        ("second", "/second/v1/chat", "http://second.test/v1/chat"),
        ("second", "/second?a=/x", "http://second.test/v1?a=/x"),
        ("second", "/secondary/chat", "http://second.test/v1/secondary/chat"),
        ("second", "/v1/v1/chat", "http://second.test/v1/chat"),
        ("first", "/v1", "http://first.test/v1"),
        ("custom", "/v1/chat", None),
        ("gone", "/v1/chat", None),
    ],
)
def test_where_a_provider_was_asked_is_told_of_a_callers_path(
    provider: str, path: str, url: str | None
) -> None:
    assert router().url_of(provider, path) == url
