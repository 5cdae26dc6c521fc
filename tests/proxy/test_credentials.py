"""Which values are the gateway's own credentials, wherever they stand."""

from __future__ import annotations

from typing import cast

import pytest

from gateway.auth.api_keys import ApiKeys, hash_token
from gateway.auth.feedback_tokens import FeedbackTokens
from gateway.models.principal import FeedbackScope, Principal, Role
from gateway.proxy.credentials import GatewayCredentials
from gateway.store.base import Admin
from tests.factories import token_keys

NO_STORE = cast(Admin, None)
"""The keys below are never refreshed, so they ask no store."""

CALLER = Principal("app", frozenset({Role.PROXY}))


def api_keys(*tokens: str, is_disabled: bool = False) -> ApiKeys:
    return ApiKeys({hash_token(token): CALLER for token in tokens}, NO_STORE, is_disabled=is_disabled)


@pytest.mark.parametrize("is_disabled", [False, True])
def test_gateway_keys_are_found_whether_or_not_one_is_needed(is_disabled: bool) -> None:
    find = GatewayCredentials(api_keys("gw-1", "gw-2", is_disabled=is_disabled), FeedbackTokens()).find
    ours = [b"gw-1", b"Bearer gw-1", b"bearer  gw-2", b"Token gw-1", b"Key gw-1"]
    others = [b"sk-own", b"Bearer sk-own", b"", b"\xff", b"Basic gw-1", b"gw-3"]
    for _ in range(2):
        assert list(find([*ours, *others])) == ours


def test_feedback_tokens_are_found_valid_or_not_once_there_are_any() -> None:
    tokens = FeedbackTokens()
    find = GatewayCredentials(api_keys("gw-1"), tokens).find
    tried = [b"gf1.expired", b"Bearer gf1.expired"]
    assert list(find([*tried, b"sk-own"])) == []
    tokens.keys = token_keys(["a-secret-of-at-least-32-characters"], 60)
    issued = tokens.issue(FeedbackScope("trace-1", "request-1"), None, "app")
    assert list(find([*tried, b"sk-own", issued])) == [*tried, issued]


def test_a_key_that_is_made_later_is_found_then() -> None:
    keys = api_keys("gw-1")
    find = GatewayCredentials(keys, FeedbackTokens()).find
    assert list(find([b"gw-1", b"gw-new"])) == [b"gw-1"]
    keys.configured = {hash_token("gw-new"): CALLER}
    assert list(find([b"gw-1", b"gw-new"])) == [b"gw-new"]


def test_no_number_of_other_values_changes_what_is_found() -> None:
    find = GatewayCredentials(api_keys("gw-1"), FeedbackTokens()).find
    for start in range(0, 10_000, 1000):
        values = [b"%d" % number for number in range(start, start + 1000)]
        assert list(find([*values, b"gw-1"])) == [b"gw-1"]
