from __future__ import annotations

import random
from dataclasses import replace

import pytest

from gateway.errors import NotFound
from gateway.models.feedback import Target
from gateway.models.filters import Comparison, Op, Page
from gateway.models.metrics import END_OF_TIME_US, MetricsQuery
from gateway.query.metrics import MetricsOrder, MetricsReader
from gateway.query.users import UserReader
from gateway.store.base import Store
from tests.store.random_data import fill

from .conftest import MakeExchange, MakeFeedback

ALWAYS = MetricsQuery(0, END_OF_TIME_US)


async def names(
    store: Store, prefix: str = "", order: MetricsOrder | None = None, metrics_query: MetricsQuery = ALWAYS
) -> list[str]:
    found = await UserReader(store).find(metrics_query, prefix, order or MetricsOrder("last_seen"), Page(100))
    assert found.next_offset is None
    return [user.name for user in found.users]


def of(user: str) -> dict[str, str]:
    return {"_user": user}


async def test_users_come_in_the_order_asked_for_and_nobody_is_none_of_them(
    store: Store, make_exchange: MakeExchange
) -> None:
    await store.append(
        [
            make_exchange(metadata=of("ann"), started_at_us=3),
            make_exchange(metadata=of("bob"), started_at_us=1),
            make_exchange(metadata=of("bob"), started_at_us=2),
            make_exchange(started_at_us=4),
        ]
    )
    assert await names(store) == ["ann", "bob"]
    assert await names(store, order=MetricsOrder("last_seen", descending=False)) == ["bob", "ann"]
    assert await names(store, order=MetricsOrder("requests")) == ["bob", "ann"]


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("a", ["a", "ab", "a%b", "a\U0010fffe"]),
        ("ab", ["ab"]),
        ("a%", ["a%b"]),
        ("A", ["Ab"]),
        ("é", ["éa"]),
        ("b", []),
        ("_", []),
    ],
)
async def test_a_prefix_is_taken_as_it_is(
    store: Store, make_exchange: MakeExchange, prefix: str, expected: list[str]
) -> None:
    everybody = ["a", "ab", "a%b", "a\U0010fffe", "Ab", "éa", "c"]
    await store.append([make_exchange(metadata=of(user)) for user in everybody])
    assert sorted(await names(store, prefix)) == sorted(expected)


async def test_figures_are_those_of_the_requests_that_are_asked_about(
    store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange(metadata=of("ann"), provider=name) for name in ("x", "y", "y")])
    metrics_query = MetricsQuery(0, END_OF_TIME_US, where=Comparison("provider", Op.EQ, "y"))
    found = await UserReader(store).find(metrics_query, "", MetricsOrder("cost"), Page(10))
    assert [user.figures.usage.requests for user in found.users] == [2]


async def test_a_user_gives_feedback_and_gets_it(
    store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    await store.append([make_exchange("r", metadata=of("ann"))])
    await store.put_feedback(
        [
            make_feedback("r", target=Target.REQUEST, author="bob", score=1.0),
            make_feedback("elsewhere", author="ann"),
            make_feedback("elsewhere", author="ann", deleted_at_us=5),
        ]
    )
    ann = (await UserReader(store).show("ann", None)).user
    assert (ann.given, ann.figures.feedback_sums.entries) == (1, 1)
    [listed] = (await UserReader(store).find(ALWAYS, "", MetricsOrder("cost"), Page(10))).users
    assert (listed.name, listed.given) == ("ann", 1)


async def test_one_that_gave_feedback_only_is_shown_and_not_listed(
    store: Store, make_feedback: MakeFeedback
) -> None:
    await store.put_feedback([make_feedback("t", author="bob")])
    bob = (await UserReader(store).show("bob", None)).user
    assert (bob.given, bob.figures.usage.requests) == (1, 0)
    assert await names(store) == []


async def test_a_tenant_sees_what_users_did_with_it_alone(
    store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    await store.append([make_exchange(metadata=of("ann"), tenant=name) for name in ("a", "b", "b")])
    await store.put_feedback([make_feedback("t", author="ann", tenant="b")])
    mine = (await UserReader(store).show("ann", "a")).user
    assert (mine.figures.usage.requests, mine.given) == (1, 0)
    theirs = MetricsQuery(0, END_OF_TIME_US, tenant="a")
    assert await names(store, metrics_query=theirs) == ["ann"]
    with pytest.raises(NotFound, match="no user 'ann'"):
        await UserReader(store).show("ann", "c")


async def test_users_are_paged_through(store: Store, make_exchange: MakeExchange) -> None:
    await store.append([make_exchange(metadata=of(f"u{number}")) for number in range(5)])
    seen: list[str] = []
    offset: int | None = 0
    while offset is not None:
        found = await UserReader(store).find(ALWAYS, "", MetricsOrder("requests"), Page(2, offset))
        seen += [user.name for user in found.users]
        offset = found.next_offset
    assert seen == [f"u{number}" for number in range(5)]


@pytest.mark.parametrize("by", ["score", "feedback", "cost"])
@pytest.mark.parametrize("descending", [True, False])
async def test_pages_of_users_are_parts_of_one_order(store: Store, by: str, descending: bool) -> None:
    await fill(store, random.Random(3), requests=30, entries=12)
    order, asked = MetricsOrder(by, descending), replace(ALWAYS, group_by="user")
    whole = await MetricsReader(store).find(asked, order, Page(100))
    ranked = [str(group.cell.value) for group in whole.figures if group.cell.value is not None]
    assert len(ranked) > 1
    pages = [
        await UserReader(store).find(ALWAYS, "", order, Page(1, place)) for place in range(len(ranked) + 1)
    ]
    assert [[user.name for user in page.users] for page in pages] == [[name] for name in ranked] + [[]]
    assert [page.next_offset for page in pages] == [*range(1, len(ranked)), None, None]
