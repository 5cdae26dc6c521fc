"""Any filter finds exactly the rows that a plain reading of it finds, in the order asked for, and no other
tenant's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import cycle, permutations
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.api.helicone.filters import to_filter
from gateway.api.helicone.requests import to_sort
from gateway.models.filters import Page
from gateway.store.base import Store

from .filter_trees import ORDERS, TREES
from .reference import in_order, passes
from .samples import Rows
from .served import Served

TENANTS = (None, "north", "south")

# The rows are logged once and never changed.
CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def expected(rows: Rows, tree: Any, order: Any, tenant: str | None) -> list[str]:
    """The ids that a plain reading finds, of those that may be seen."""
    visible = [row for row in rows if tenant is None or row["request_id"].startswith(tenant)]
    found = [row for row in visible if passes(row, tree)]
    return [row["request_id"] for row in in_order(found, order)]


def grown(trees: list[Any]) -> Iterator[Any]:
    """Each of some trees, and each two of them joined."""
    yield from trees
    for (left, right), operator in zip(permutations(trees, 2), cycle(("and", "or")), strict=False):
        yield {"left": left, "operator": operator, "right": right}


@settings(max_examples=80, suppress_health_check=CHECKS)
@given(trees=st.lists(TREES, min_size=5, max_size=5), orders=st.lists(ORDERS, min_size=4, max_size=4))
async def test_thousands_of_filters_find_what_a_plain_reading_of_each_finds(
    store: Store, rows: Rows, trees: list[Any], orders: list[Any]
) -> None:
    searches = list(zip(grown(trees), cycle(orders), cycle(TENANTS), strict=False))
    assert len(searches) == 25

    answers = await asyncio.gather(
        *(
            store.find_requests(to_filter(tree), to_sort(order), Page(limit=1000), tenant)
            for tree, order, tenant in searches
        )
    )

    for (tree, order, tenant), found in zip(searches, answers, strict=True):
        assert [record.request_id for record in found] == expected(rows, tree, order, tenant), tree


@settings(max_examples=150, suppress_health_check=CHECKS)
@given(tree=TREES, order=ORDERS, tenant=st.sampled_from(TENANTS))
async def test_a_filter_finds_the_same_over_http(
    served: Served, rows: Rows, tree: Any, order: Any, tenant: str | None
) -> None:
    found = await served.ids(tree, tenant or "all", sort=order, limit=1000)

    assert found == expected(rows, tree, order, tenant)
