"""Sign-ins: cookies that end with their time or their key, and tokens of forms."""

from __future__ import annotations

import pytest

from gateway.auth.api_keys import ApiKeys, create_key, hash_token, revoke_key
from gateway.auth.sign_ins import SIGN_IN_SECONDS, SignIns, refuse_foreign_forms
from gateway.errors import Forbidden, Unauthorized
from gateway.models.clock import now_us
from gateway.models.principal import Principal, Role
from gateway.store import open_store
from gateway.store.base import Store

READER = Principal("ann", frozenset({Role.READ}), "acme")
PROXY = Principal("app", frozenset({Role.PROXY}))
CONFIGURED = {hash_token("gw-reader"): READER, hash_token("gw-app"): PROXY}


@pytest.fixture
async def store(sqlite_url: str):  # type: ignore[no-untyped-def]
    store = await open_store(sqlite_url)
    yield store
    await store.close()


@pytest.fixture
def keys(store: Store) -> ApiKeys:
    return ApiKeys(CONFIGURED, store)


async def test_the_cookie_stands_for_the_key_and_holds_nothing_of_it(keys: ApiKeys, store: Store) -> None:
    sign_ins = SignIns(keys, store)
    first, second = await sign_ins.sign_in("gw-reader"), await sign_ins.sign_in(" Bearer gw-reader ")
    assert first.token != second.token
    assert "reader" not in first.token
    assert await sign_ins.find(first.token) == READER
    # Another process knows it as well.
    assert await SignIns(keys, store).find(second.token) == READER


@pytest.mark.parametrize("token", [None, "", "gw-reader", "made-up"])
async def test_no_other_text_stands_for_a_key(keys: ApiKeys, store: Store, token: str | None) -> None:
    await SignIns(keys, store).sign_in("gw-reader")
    assert await SignIns(keys, store).find(token) is None


async def test_a_key_that_is_unknown_or_may_not_read_signs_nobody_in(keys: ApiKeys, store: Store) -> None:
    with pytest.raises(Unauthorized):
        await SignIns(keys, store).sign_in("gw-other")
    with pytest.raises(Forbidden, match="role read"):
        await SignIns(keys, store).sign_in("gw-app")


async def test_signing_out_ends_one_sign_in(keys: ApiKeys, store: Store) -> None:
    sign_ins = SignIns(keys, store)
    first, second = await sign_ins.sign_in("gw-reader"), await sign_ins.sign_in("gw-reader")
    await sign_ins.sign_out(first.token)
    assert await sign_ins.find(first.token) is None
    assert await sign_ins.find(second.token) == READER


async def test_a_revoked_key_ends_its_sign_ins(keys: ApiKeys, store: Store) -> None:
    token = await create_key(store, "bob", [Role.READ], None)
    await keys.refresh()
    sign_ins = SignIns(keys, store)
    signed_in = await sign_ins.sign_in(token)
    assert (found := await sign_ins.find(signed_in.token)) is not None
    assert found.name == "bob"
    await revoke_key(store, "bob")
    await keys.refresh()
    assert await sign_ins.find(signed_in.token) is None


async def test_a_sign_in_ends_with_its_time(
    keys: ApiKeys, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_ins = SignIns(keys, store)
    signed_in = await sign_ins.sign_in("gw-reader")
    end_us = now_us() + SIGN_IN_SECONDS * 1_000_000
    monkeypatch.setattr("gateway.auth.sign_ins.now_us", lambda: end_us)
    assert await sign_ins.find(signed_in.token) is None


async def test_a_form_token_is_good_for_the_pages_of_its_sign_in_alone(keys: ApiKeys, store: Store) -> None:
    sign_ins = SignIns(keys, store)
    one, other = (await sign_ins.sign_in("gw-reader")).token, (await sign_ins.sign_in("gw-reader")).token
    token = await sign_ins.form_token(one)
    await SignIns(keys, store).check_form(one, token)
    assert token != await sign_ins.form_token(one)
    for cookie, given in ((other, token), (None, token), (one, ""), (one, token[:-1]), (one, "é.ü")):
        with pytest.raises(Forbidden):
            await sign_ins.check_form(cookie, given)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.test", "Host": "gateway.test"},
        {"Origin": "null", "Host": "gateway.test"},
    ],
)
def test_forms_of_other_sites_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(Forbidden):
        refuse_foreign_forms(headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://gateway.test", "Host": "127.0.0.1"},
        {"Origin": "http://gateway.test:8787", "Host": "gateway.test:8787"},
    ],
)
def test_forms_of_our_own_pages_are_taken(headers: dict[str, str]) -> None:
    refuse_foreign_forms(headers)
