"""Erasing a person over HTTP: who may, whose, and what is said about it."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import pytest

from gateway.models.feedback import Target
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.store.base import Store

from .conftest import MakeExchange, MakeFeedback, key

ERASING = ["/api/v1/users/ann", "/api/v1/feedback?author=ann"]


async def erase(client: httpx.AsyncClient, path: str, name: str = "admin") -> dict[str, object]:
    answer = await client.delete(path, headers=key(name))
    assert answer.status_code == 200, answer.text
    erased: dict[str, object] = answer.json()
    return erased


async def left(store: Store) -> tuple[list[str], list[str]]:
    """Ids of all requests and subjects of all entries."""
    requests = await store.find_requests(NO_FILTER, Sort(descending=False), Page(100), None)
    entries = await store.find_feedback(NO_FILTER, Sort(descending=False), Page(100), None)
    return [record.request_id for record in requests], [entry.subject_id for entry in entries]


@pytest.fixture
async def ann(store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback) -> None:
    """A request of Ann's that Bob judged, one of Bob's that Ann judged, and Bob's word on his own."""
    await store.append(
        [
            make_exchange("of-ann", metadata={"_user": "ann"}),
            make_exchange("of-bob", metadata={"_user": "bob"}),
        ]
    )
    await store.put_feedback(
        [
            make_feedback("of-ann", target=Target.REQUEST, author="bob"),
            make_feedback("of-bob", target=Target.REQUEST, author="ann"),
            make_feedback("of-bob", target=Target.REQUEST, author="bob"),
        ]
    )


@pytest.mark.usefixtures("ann")
async def test_a_user_is_erased_with_all_feedback_on_and_by_them(
    client: httpx.AsyncClient, store: Store
) -> None:
    assert await erase(client, "/api/v1/users/ann") == {"requests": 1, "feedback": 2, "dry_run": False}
    assert await left(store) == (["erased-1", "of-bob"], ["of-bob"])
    for path in ("/api/v1/users/ann", "/api/v1/requests/of-ann"):
        assert (await client.get(path)).status_code == 404
    assert (await client.get("/api/v1/users")).json()["data"][0]["user"] == "bob"


@pytest.mark.usefixtures("ann")
async def test_an_author_s_feedback_is_erased_and_nothing_else(
    client: httpx.AsyncClient, store: Store
) -> None:
    erased = await erase(client, "/api/v1/feedback?author=ann")
    assert erased == {"requests": 0, "feedback": 1, "dry_run": False}
    assert await left(store) == (["of-ann", "of-bob"], ["of-ann", "of-bob"])


@pytest.mark.usefixtures("ann")
async def test_a_dry_run_counts_and_erases_nothing(client: httpx.AsyncClient, store: Store) -> None:
    before = await left(store)
    counted = await erase(client, "/api/v1/users/ann?dry_run=true")
    assert counted == {"requests": 1, "feedback": 2, "dry_run": True}
    counted = await erase(client, "/api/v1/feedback?author=ann&dry_run=true")
    assert counted == {"requests": 0, "feedback": 1, "dry_run": True}
    assert await left(store) == before


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("path", ERASING)
async def test_erasing_again_finds_nothing(client: httpx.AsyncClient, path: str) -> None:
    await erase(client, path)
    assert await erase(client, path) == {"requests": 0, "feedback": 0, "dry_run": False}


async def test_figures_of_the_past_stay_what_they_were(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange(metadata={"_user": name}) for name in ("ann", "ann", "bob")])
    await erase(client, "/api/v1/users/ann")
    [row] = (await client.get("/api/v1/aggregates")).json()["data"]
    by_user = (await client.get("/api/v1/aggregates?group_by=user")).json()["data"]
    assert row["requests"] == 3
    assert [(part["group"], part["requests"]) for part in by_user] == [(None, 2), ("bob", 1)]


@pytest.mark.usefixtures("ann")
@pytest.mark.parametrize("path", ERASING)
async def test_only_admins_may_erase(client: httpx.AsyncClient, store: Store, path: str) -> None:
    before = await left(store)
    for name, status in (("reader", 403), ("app", 403), ("stranger", 401)):
        assert (await client.delete(path, headers=key(name))).status_code == status
    assert await left(store) == before


@pytest.mark.parametrize("path", ERASING)
async def test_a_tenant_s_admin_erases_what_is_its_own(
    client: httpx.AsyncClient,
    store: Store,
    make_exchange: MakeExchange,
    make_feedback: MakeFeedback,
    path: str,
) -> None:
    await store.append(
        [make_exchange(f"of-{name}", tenant=name, metadata={"_user": "ann"}) for name in ("a", "b")]
    )
    await store.put_feedback(
        [make_feedback(f"of-{name}", target=Target.REQUEST, tenant=name, author="ann") for name in ("a", "b")]
    )
    await erase(client, path, "admin-b")
    requests, entries = await left(store)
    assert "of-a" in requests
    assert entries == ["of-a"]


@pytest.mark.parametrize("name", ["ann@example.org", "a/b", "日本", "a?b#c"])
async def test_a_name_may_be_any_text(
    client: httpx.AsyncClient, store: Store, make_exchange: MakeExchange, name: str
) -> None:
    await store.append([make_exchange(metadata={"_user": name})])
    assert (await erase(client, f"/api/v1/users/{quote(name, safe='')}"))["requests"] == 1


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/v1/users/ann?dry_run=yes", "dry_run"),
        ("/api/v1/users/ann?dry_run=", "dry_run"),
        ("/api/v1/users/ann?force=true", "force"),
        ("/api/v1/feedback", "author"),
        ("/api/v1/feedback?author=", "author"),
        ("/api/v1/feedback?author=a&author=b", "author"),
        ("/api/v1/feedback?author=ann&dry_run=1", "dry_run"),
        ("/api/v1/feedback?author=ann&kind=thumb", "kind"),
    ],
)
@pytest.mark.usefixtures("ann")
async def test_a_call_that_is_not_understood_erases_nothing(
    client: httpx.AsyncClient, store: Store, path: str, field: str
) -> None:
    before = await left(store)
    answer = await client.delete(path, headers=key("admin"))
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, field)
    assert await left(store) == before
