"""Who is calling: the gateway key, or the feedback token, among a request's headers."""

from __future__ import annotations

from typing import cast

import pytest
from multidict import CIMultiDict

from gateway.auth.api_keys import ApiKeys, hash_token
from gateway.auth.feedback_tokens import FeedbackTokens
from gateway.errors import Forbidden, Unauthorized
from gateway.models.principal import CREDENTIAL_HEADERS, OPEN_ACCESS, FeedbackScope, Principal, Role
from gateway.store.base import Admin
from gateway.web.middleware import TOKEN_HEADER, authenticate, principal_of_feedback_token, require_role
from tests.factories import token_keys

NO_STORE = cast(Admin, None)
"""The ring below is never refreshed, so it asks no store."""

FIRST = Principal("first", frozenset({Role.PROXY}))
SECOND = Principal("second", frozenset({Role.ADMIN}))


def ring(*, is_disabled: bool = False) -> ApiKeys:
    keys = {hash_token("gw-1"): FIRST, hash_token("gw-2"): SECOND}
    return ApiKeys(keys, NO_STORE, is_disabled=is_disabled)


def caller(*headers: tuple[str, str]) -> Principal:
    return authenticate(CIMultiDict(headers), ring())


@pytest.mark.parametrize(
    "header",
    [
        ("x-portkey-api-key", "gw-1"),
        ("X-Portkey-Api-Key", "Bearer gw-1"),
        ("Helicone-Auth", "Bearer gw-1"),
        ("Authorization", "Bearer gw-1"),
        ("authorization", "bearer   gw-1"),
        ("Authorization", "gw-1"),
        ("Authorization", "Token gw-1"),
        ("x-api-key", "gw-1"),
        ("api-key", "gw-1"),
        ("x-goog-api-key", "gw-1"),
        ("xi-api-key", "gw-1"),
    ],
)
def test_a_key_is_found_in_each_of_its_headers(header: tuple[str, str]) -> None:
    assert caller(header) == FIRST


@pytest.mark.parametrize(
    "header",
    [
        ("x-portkey-api-key", "gw-3"),
        ("Authorization", "Basic gw-1"),
        ("Authorization", "Bearer"),
        ("Authorization", ""),
        ("X-Other-Api-Key", "gw-1"),
        ("Authorization", "Bearer GW-1"),
        ("Authorization", "Bearer gw-1 gw-2"),
    ],
)
def test_anything_else_is_no_key(header: tuple[str, str]) -> None:
    with pytest.raises(Unauthorized) as refused:
        caller(header)
    assert "gw-1" not in str(refused.value)


def test_the_headers_are_looked_at_in_the_documented_order() -> None:
    for count, name in enumerate(CREDENTIAL_HEADERS[:-1]):
        for later in CREDENTIAL_HEADERS[count + 1 :]:
            assert caller((later, "gw-2"), (name, "gw-1")) == FIRST


@pytest.mark.parametrize("query", ["key=gw-2", "a=1&api_key=gw%2D2", "key=AIza&key=gw-2"])
def test_a_key_is_found_in_the_query_after_all_headers(query: str) -> None:
    assert authenticate(CIMultiDict({"Authorization": "Bearer own"}), ring(), query=query) == SECOND
    assert authenticate(CIMultiDict({"xi-api-key": "gw-1"}), ring(), query=query) == FIRST


@pytest.mark.parametrize("query", ["", "key", "key=", "q=gw-2", "key=gw-3", "&=gw-2"])
def test_other_parameters_are_no_key(query: str) -> None:
    with pytest.raises(Unauthorized):
        authenticate(CIMultiDict(), ring(), query=query)


def test_a_provider_s_own_key_in_front_does_not_hide_the_gateway_s() -> None:
    assert caller(("Authorization", "Bearer sk-own"), ("x-api-key", "gw-2")) == SECOND


def test_an_open_gateway_asks_nobody() -> None:
    assert authenticate(CIMultiDict(), ApiKeys({}, NO_STORE)) == OPEN_ACCESS
    assert authenticate(CIMultiDict({"Authorization": "Bearer gw-1"}), ring(is_disabled=True)) == OPEN_ACCESS


def test_a_role_is_required_and_an_admin_has_every_one() -> None:
    assert require_role(FIRST, Role.PROXY) is FIRST
    assert all(require_role(SECOND, role) is SECOND for role in Role)
    with pytest.raises(Forbidden, match="read"):
        require_role(FIRST, Role.READ)


SCOPE = FeedbackScope("trace-1", "request-1")


@pytest.fixture
def tokens() -> FeedbackTokens:
    tokens = FeedbackTokens()
    tokens.keys = token_keys(["a-secret-of-at-least-32-characters"], 60)
    return tokens


@pytest.fixture
def token(tokens: FeedbackTokens) -> str:
    return tokens.issue(SCOPE, None, "app").decode()


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        (TOKEN_HEADER, ""),
        ("X-Gateway-Feedback-Token", ""),
        ("Authorization", "Bearer "),
        ("authorization", "bearer  "),
        ("Helicone-Auth", "Bearer "),
        ("x-portkey-api-key", ""),
        ("x-api-key", ""),
    ],
)
def test_a_feedback_token_is_found_in_its_own_header_and_where_keys_are(
    tokens: FeedbackTokens, token: str, name: str, scheme: str
) -> None:
    headers = CIMultiDict({"x-portkey-trace-id": "t", name: scheme + token})
    bearer = principal_of_feedback_token(headers, tokens)
    assert bearer is not None
    assert bearer.scope == SCOPE


def test_a_feedback_token_behind_a_key_is_found_and_keys_alone_are_none(
    tokens: FeedbackTokens, token: str
) -> None:
    keys = {"x-portkey-api-key": "gw-1", "Authorization": "Bearer sk-own"}
    assert principal_of_feedback_token(CIMultiDict(keys), tokens) is None
    assert principal_of_feedback_token(CIMultiDict({**keys, "x-api-key": token}), tokens) is not None


@pytest.mark.parametrize("header", [(TOKEN_HEADER, ""), (TOKEN_HEADER, "gw-1"), ("x-api-key", "gf1.cut.off")])
def test_a_token_that_is_not_valid_is_no_reason_to_look_for_another(
    tokens: FeedbackTokens, token: str, header: tuple[str, str]
) -> None:
    headers = CIMultiDict([header, ("Authorization", f"Bearer {token}" if header[0] == TOKEN_HEADER else "")])
    with pytest.raises(Unauthorized, match="not valid"):
        principal_of_feedback_token(headers, tokens)


def test_while_there_are_no_tokens_their_header_says_nothing(token: str) -> None:
    headers = CIMultiDict({TOKEN_HEADER: token, "Authorization": f"Bearer {token}"})
    assert principal_of_feedback_token(headers, FeedbackTokens()) is None
    with pytest.raises(Unauthorized, match="no valid gateway key"):
        authenticate(headers, ring())


def test_the_bearer_of_a_token_has_no_role(tokens: FeedbackTokens, token: str) -> None:
    for role in Role:
        with pytest.raises(Forbidden, match=f"a feedback token .* only. This takes .* {role}"):
            require_role(tokens.read(token), role)
