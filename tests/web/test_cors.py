"""What browsers are told of which pages of other origins may call."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.models.principal import CREDENTIAL_HEADERS
from gateway.web.middleware import AllowedOrigins

APP = "https://app.example.com"


def told(allowed: Collection[str], origin: str | None) -> dict[str, str]:
    """What an answer to a page of this origin carries."""
    return AllowedOrigins(allowed).headers(make_mocked_request("POST", "/", headers=_origin(origin)))


async def told_before(allowed: Collection[str], origin: str | None) -> dict[str, str]:
    """What the answer to its browser's question carries, which must have no body."""
    answer = await AllowedOrigins(allowed).preflight(
        make_mocked_request("OPTIONS", "/", headers=_origin(origin))
    )
    assert (answer.status, answer.body) == (204, None)
    return dict(answer.headers)


def _origin(origin: str | None) -> dict[str, str]:
    return {} if origin is None else {"Origin": origin}


@pytest.mark.parametrize("origin", [None, APP, "null", "*"])
async def test_by_default_nothing_is_said_to_anybody(origin: str | None) -> None:
    assert told((), origin) == await told_before((), origin) == {}


async def test_a_page_of_an_allowed_origin_may_read_the_answer() -> None:
    answer = told((APP, "https://other.example.com"), APP)
    assert answer == {
        "Access-Control-Allow-Origin": APP,
        "Access-Control-Expose-Headers": "Retry-After, x-gateway-feedback-joined",
        "Vary": "Origin",
    }  # fmt: skip


async def test_a_browser_is_told_what_such_a_page_may_send() -> None:
    answer = await told_before((APP,), APP)
    assert answer["Access-Control-Allow-Origin"] == APP
    assert answer["Access-Control-Allow-Methods"] == "GET, POST"
    allowed = set(answer["Access-Control-Allow-Headers"].split(", "))
    langfuse = {name for name in allowed if name.startswith("X-Langfuse-")}
    assert len(langfuse) == 5
    own = {"x-gateway-feedback-token", "Content-Type", "Idempotency-Key", *CREDENTIAL_HEADERS}
    assert allowed == own | langfuse
    assert int(answer["Access-Control-Max-Age"]) > 0
    assert "Access-Control-Allow-Credentials" not in answer


@pytest.mark.parametrize(
    "origin",
    [None, "null", "*", "http://app.example.com", APP + ":8443", APP + ".evil.example", APP.upper(), ""],
)
async def test_other_origins_are_told_nothing_but_that_it_depends_on_the_origin(origin: str | None) -> None:
    assert told((APP,), origin) == await told_before((APP,), origin) == {"Vary": "Origin"}


@pytest.mark.parametrize("origin", [None, "null", APP])
async def test_all_origins_may_be_allowed(origin: str | None) -> None:
    for answer in (told(("*",), origin), await told_before((APP, "*"), origin)):
        assert answer["Access-Control-Allow-Origin"] == "*"
