"""Who may do what, and whose entries a key sees."""

from __future__ import annotations

import pytest

from .served import GOOD, Served, details, exchange

ROUTES: list[tuple[str, str, object]] = [
    ("POST", "", GOOD),
    ("GET", "", None),
    ("PATCH", "/{id}", {"app_id": "x"}),
    ("DELETE", "/{id}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_a_caller_without_a_good_key_is_told_so(
    served: Served, method: str, path: str, body: object
) -> None:
    feedback_id = await served.give()

    reply = await served.call(method, path.format(id=feedback_id), body, by="stranger")

    assert reply.status_code == 401
    assert details(reply) == [(["header", "Authorization"], "unauthorized")]
    assert reply.headers["www-authenticate"]
    assert (await served.stored(feedback_id)).version == 1
    assert len(await served.find()) == 1


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
async def test_any_key_gives_and_changes_feedback_and_only_admins_list_and_delete(
    served: Served, method: str, path: str, body: object
) -> None:
    feedback_id = await served.give()
    is_for_all = method in ("POST", "PATCH")

    replies = {
        by: await served.call(method, path.format(id=feedback_id), body, by=by)
        for by in ("reader", "app", "admin")
    }

    of_others = 200 if is_for_all else 403
    assert {by: reply.status_code for by, reply in replies.items()} == {
        "reader": of_others,
        "app": of_others,
        "admin": 200,
    }
    if not is_for_all:
        assert details(replies["reader"]) == [(["header", "Authorization"], "forbidden")]


async def test_a_tenants_entry_is_listed_changed_and_deleted_by_its_own_alone(served: Served) -> None:
    feedback_id = await served.give(by="north")
    path = f"/{feedback_id}"

    assert (await served.stored(feedback_id)).tenant == "north"
    assert await served.find(by="south-admin") == []
    assert await served.find(f"feedback_id={feedback_id}", by="south-admin") == []
    for method, body in (("PATCH", {"app_id": "x"}), ("DELETE", None)):
        foreign = await served.call(method, path, body, by="south-admin")
        assert foreign.status_code == 404
        assert details(foreign) == [(["path", "feedback_id"], "not_found")]
    assert (await served.stored(feedback_id)).version == 1

    assert len(await served.find(by="north-admin")) == 1
    assert len(await served.find(by="admin")) == 1
    assert (await served.call("PATCH", path, {"app_id": "x"}, by="north")).status_code == 200
    assert (await served.call("DELETE", path, by="north-admin")).status_code == 200


async def test_an_entry_of_no_tenant_is_not_for_tenants(served: Served) -> None:
    feedback_id = await served.give()

    assert await served.find(by="north-admin") == []
    assert (await served.call("DELETE", f"/{feedback_id}", by="north-admin")).status_code == 404


async def test_feedback_of_a_tenant_is_not_joined_to_anothers_trace(served: Served) -> None:
    await served.store.append([exchange("request-1", "trace-1", tenant="south")])

    assert (await served.stored(await served.give(by="north"))).joined_at_us is None
    assert (await served.stored(await served.give(by="south-admin"))).joined_at_us is not None


async def test_an_idempotency_key_is_each_callers_own(served: Served) -> None:
    replies = [
        await served.call("POST", "", GOOD, by=by, Idempotency_Key="k") for by in ("north", "south-admin")
    ]

    assert replies[0].json() != replies[1].json()
