"""Feedback tokens: what they hold, who can make them, and when they are no longer taken."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from base64 import urlsafe_b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth import feedback_tokens as module
from gateway.auth.feedback_tokens import FeedbackTokens
from gateway.errors import Unauthorized
from gateway.models.ids import is_valid_id
from gateway.models.principal import FeedbackScope, Principal, Role
from tests.factories import token_keys

FIRST = "first-secret-of-at-least-32-letters"
SECOND = "second-secret-of-at-least-32-letters"
DAY_SECONDS = 24 * 3600
SCOPE = FeedbackScope("trace-1", "request-1")

ids = st.text(min_size=1, max_size=512).filter(is_valid_id)
names = st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128)


def signed_by(*secrets: str, ttl_seconds: int = DAY_SECONDS) -> FeedbackTokens:
    tokens = FeedbackTokens()
    tokens.keys = token_keys(secrets, ttl_seconds)
    return tokens


def issue(*secrets: str, scope: FeedbackScope = SCOPE) -> str:
    return signed_by(*secrets).issue(scope, "north", "app").decode()


def refuse(tokens: FeedbackTokens, token: str) -> str:
    with pytest.raises(Unauthorized) as refused:
        tokens.read(token)
    return str(refused.value)


@given(ids, ids, names, names)
def test_a_token_stands_for_the_request_that_it_was_issued_for(
    trace_id: str, request_id: str, tenant: str | None, key_name: str | None
) -> None:
    tokens, scope = signed_by(FIRST), FeedbackScope(trace_id, request_id)
    token = tokens.issue(scope, tenant, key_name).decode()
    assert tokens.read(token) == Principal(key_name, frozenset(), tenant, scope)
    assert re.fullmatch(r"[A-Za-z0-9._-]+", token), "not fit for a URL"


def test_whom_a_token_stands_for_may_do_nothing_that_takes_a_role() -> None:
    bearer = signed_by(FIRST).read(issue(FIRST))
    assert not any(bearer.has_role(role) for role in Role)


def test_a_token_is_what_its_description_says() -> None:
    token = issue(FIRST)
    version, key_id, claims, mac = token.split(".")
    assert (version, len(key_id)) == ("gf1", 4)
    expires_at, *others = json.loads(decoded(claims))
    assert others == ["trace-1", "request-1", "north", "app"]
    assert 0 <= time.time() + DAY_SECONDS - expires_at < 60
    signed = token.rpartition(".")[0]
    assert decoded(mac) == hmac.digest(FIRST.encode(), signed.encode(), hashlib.sha256)


def decoded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_a_token_with_the_longest_ids_still_fits_into_a_header() -> None:
    longest = signed_by(FIRST).issue(FeedbackScope('"' * 512, "\\" * 512), '"' * 128, '"' * 128)
    assert len(issue(FIRST, scope=FeedbackScope("a" * 36, "b" * 36))) == 192
    assert len(issue(FIRST, scope=FeedbackScope("a" * 512, "b" * 512))) < 1500
    assert len(longest) < 3600


@given(st.data())
def test_no_changed_token_is_valid(data: st.DataObject) -> None:
    token = issue(FIRST)
    start = data.draw(st.integers(0, len(token)))
    end = data.draw(st.integers(start, len(token)))
    changed = token[:start] + data.draw(st.text(max_size=4) | st.just(token[:4])) + token[end:]
    if changed != token:
        assert "not valid" in refuse(signed_by(FIRST), changed)


@given(st.text())
def test_no_other_text_is_a_valid_token(text: str) -> None:
    for candidate in (text, f"gf1.{text}", issue(FIRST) + text + " ", "\udcff" + text):
        assert "not valid" in refuse(signed_by(FIRST), candidate)


def test_the_last_letter_of_a_signature_counts_with_all_its_bits() -> None:
    token = issue(FIRST)
    twins = [token[:-1] + letter for letter in "AEIMQUYcgkosw048" if letter != token[-1]]
    assert len(twins) == 15
    for twin in (*twins, token + "=", token + "\n", token.swapcase()):
        assert "not valid" in refuse(signed_by(FIRST), twin)


def test_the_parts_of_two_tokens_do_not_make_a_third() -> None:
    one, other = (
        issue(FIRST).rpartition("."),
        issue(FIRST, scope=FeedbackScope("trace-2", "request-2")).rpartition("."),
    )
    assert "not valid" in refuse(signed_by(FIRST), one[0] + "." + other[2])
    key_id = issue(SECOND).split(".")[1]
    relabelled = re.sub(r"(?<=^gf1\.)[^.]+", key_id, issue(FIRST))
    assert "not valid" in refuse(signed_by(FIRST, SECOND), relabelled)


def test_secrets_are_changed_by_adding_one_in_front_and_taking_the_old_one_away_later() -> None:
    tokens = signed_by(FIRST)
    before = tokens.issue(SCOPE, None, None).decode()

    tokens.keys = token_keys([SECOND, FIRST], DAY_SECONDS)
    between = tokens.issue(SCOPE, None, None).decode()
    assert tokens.read(before).scope == tokens.read(between).scope == SCOPE

    tokens.keys = token_keys([SECOND], DAY_SECONDS)
    assert tokens.read(between).scope == SCOPE
    assert "not valid" in refuse(tokens, before)


def test_secrets_whose_key_ids_are_the_same_are_told_apart_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_KEY_ID_BYTES", 0)
    both = signed_by(FIRST, SECOND)
    for secret in (FIRST, SECOND):
        assert both.read(issue(secret)).scope == SCOPE
    assert "not valid" in refuse(both, issue("another-secret-of-at-least-32-letters"))


def test_a_token_is_taken_until_it_expires_and_then_says_when_it_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_800_000_000.9)
    tokens = signed_by(FIRST, ttl_seconds=60)
    token = tokens.issue(SCOPE, None, None).decode()
    monkeypatch.setattr(time, "time", lambda: 1_800_000_059.9)
    assert tokens.read(token).scope == SCOPE
    monkeypatch.setattr(time, "time", lambda: 1_800_000_060.0)
    assert refuse(tokens, token) == "the feedback token expired on 15 January 2027 at 08:01 UTC."
    assert "not valid" in refuse(signed_by(SECOND), token)


def test_without_secrets_there_are_no_tokens() -> None:
    tokens = FeedbackTokens()
    assert tokens.keys is None
    assert not tokens.is_token(issue(FIRST))
    assert "not valid" in refuse(tokens, issue(FIRST))


def test_what_has_the_form_of_a_token_is_known_for_one_valid_or_not() -> None:
    tokens = signed_by(FIRST)
    assert all(map(tokens.is_token, (issue(FIRST), issue(SECOND), "gf1.", "gf1.cut-off")))
    assert not any(map(tokens.is_token, ("", "gf1", "gf2.x", "sk-own", " gf1.", "GF1.x")))
