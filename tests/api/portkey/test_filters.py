"""Portkey's filters of requests: what each name means, in JSON and in query strings alike."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.api.portkey.filters import ExportFilters
from gateway.models.exchange import Identity
from gateway.models.feedback import Target
from gateway.models.filters import NO_FILTER, Page
from gateway.models.request import Cost, Facts, Usage
from gateway.store.base import Store
from tests.store.samples import exchange, feedback, requests_of

CENT = 10_000_000
NOON_US = 1_735_732_800_000_000
"""2025-01-01T12:00:00Z"""


@pytest.fixture
async def filled(store: Store) -> Store:
    """Three requests: `a` is small and early, `b` large and late, and of `c` nothing is known."""
    tags_of_a = {"_user": "ann", "_prompt": "greet", "n": 2, "ok": True}
    tags_of_b = {"_user": "ben", "team": "blue", "n": "2"}
    seqs = await store.append(
        [
            exchange(
                identity=Identity("a", "trace-a", "span-a", metadata=tags_of_a),
                provider="openai", key_name="app", status=200, started_at_us=NOON_US,
            ),
            exchange(
                identity=Identity("b", "trace-b", "span-b", metadata=tags_of_b),
                provider="azure-openai", key_name="ops", status=429, started_at_us=NOON_US + 1_000_000,
            ),
            exchange(
                identity=Identity("c", "trace-c"),
                provider="other", status=None, started_at_us=NOON_US + 2_000_000,
            ),
        ]
    )  # fmt: skip
    small = Facts(model="gpt-4o", usage=Usage(10, 5), cost=Cost(CENT // 2, "test"))
    large = Facts(requested_model="gpt__5", usage=Usage(100, 50), cost=Cost(3 * CENT, "test"))
    await store.annotate(list(zip(seqs, (small, large, Facts()), strict=True)), 1)
    await store.put_feedback(
        [
            feedback("up", "a", value=10.0, score=1.0, grade=10.0, weight=0.5, target=Target.REQUEST),
            feedback("down", "b", value=-3.0, score=-0.3, grade=-3.0, target=Target.REQUEST),
        ]
    )
    return store


async def found(store: Store, **filters: object) -> str:
    """The ids of the requests that filters find, one after the other."""
    return "".join(
        row.request_id for row in await requests_of(store, ExportFilters.of(filters, "filters").where())
    )


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({}, "abc"),
        ({"time_of_generation_min": "2025-01-01T12:00:01Z"}, "bc"),
        ({"time_of_generation_max": "2025-01-01T17:30:01+05:30"}, "ab"),
        ({"time_of_generation_min": "2025-01-01T12:00:02"}, "c"),
        ({"time_of_generation_max": "2024-12-31"}, ""),
        ({"time_of_generation_max": "2025-01-01"}, "abc"),
        ({"time_of_generation_min": "2025-01-02"}, ""),
        ({"time_of_generation_max": "7d"}, "abc"),
        ({"time_of_generation_min": "yesterday"}, ""),
        ({"total_units_min": 15, "total_units_max": 149}, "a"),
        ({"total_units_min": "16"}, "b"),
        ({"prompt_token_min": 100}, "b"),
        ({"prompt_token_max": 99.0}, "a"),
        ({"completion_token_min": 5, "completion_token_max": 5}, "a"),
        ({"cost_min": 0.5}, "ab"),
        ({"cost_min": "0.51", "cost_max": 3}, "b"),
        ({"cost_max": 0.1}, ""),
        ({"weighted_feedback_min": 5}, "a"),
        ({"weighted_feedback_max": "-2.5"}, "b"),
        ({"weighted_feedback_min": -10, "weighted_feedback_max": 10}, "ab"),
        ({"status_code": "429, 500"}, "b"),
        ({"status_code": 200}, "a"),
        ({"ai_model": "gpt-4o"}, "a"),
        ({"ai_model": "gpt-4o,gpt__5"}, "ab"),
        ({"ai_org_model": "openai__gpt-4o, anthropic__claude-2.1"}, "a"),
        ({"ai_org_model": "azure-openai__gpt__5"}, "b"),
        ({"ai_org_model": "openai__gpt__5"}, ""),
        ({"virtual_keys": "openai,other"}, "ac"),
        ({"api_key_ids": "ops"}, "b"),
        ({"trace_id": "trace-a , trace-c"}, "ac"),
        ({"span_id": "span-b"}, "b"),
        ({"prompt_slug": "greet"}, "a"),
        ({"metadata": {"_user": "ann"}}, "a"),
        ({"metadata": '{"_user": "ben", "team": "blue"}'}, "b"),
        ({"metadata": {"n": "2"}}, "ab"),
        ({"metadata": {"n": 2}}, "ab"),
        ({"metadata": {"ok": True}}, "a"),
        ({"metadata": {"_user": "ann", "team": "blue"}}, ""),
        ({"metadata": {}}, "abc"),
        ({"configs": "pc-1"}, ""),
        ({"workspace_slug": "main"}, "abc"),
        ({"page_size": 1, "current_page": 5}, "abc"),
        ({name: None for name in ExportFilters.model_fields}, "abc"),
        ({"status_code": "200", "ai_model": "gpt__5"}, ""),
    ],
)  # fmt: skip
async def test_a_filter_finds_what_its_name_says(filled: Store, filters: dict[str, object], ids: str) -> None:
    assert await found(filled, **filters) == ids


@pytest.mark.parametrize(
    ("given", "page"),
    [
        ({}, Page(50_000, 0)),
        ({"page_size": 100}, Page(100, 0)),
        ({"page_size": "100", "current_page": "3"}, Page(100, 300)),
        ({"page_size": None, "current_page": 1.0}, Page(50_000, 50_000)),
    ],
)
def test_pages_are_counted_from_nought(given: dict[str, Any], page: Page) -> None:
    assert ExportFilters.of(given, "filters").page() == page


async def test_all_filters_together_are_no_more_than_the_store_takes(filled: Store) -> None:
    filters = {
        "time_of_generation_min": "2025-01-01T00:00:00Z", "time_of_generation_max": "2026-01-01T00:00:00Z",
        "total_units_min": 0, "total_units_max": 10**6, "prompt_token_min": 0, "prompt_token_max": 10**6,
        "completion_token_min": 0, "completion_token_max": 10**6, "cost_min": 0, "cost_max": 100,
        "weighted_feedback_min": -10, "weighted_feedback_max": 10, "status_code": "200,429",
        "ai_model": "gpt-4o", "ai_org_model": "openai__gpt-4o", "virtual_keys": "openai", "api_key_ids": "app",
        "trace_id": "trace-a", "span_id": "span-a", "prompt_slug": "greet", "metadata": {"_user": "ann", "n": 2},
        "workspace_slug": "main",
    }  # fmt: skip
    assert await found(filled, **filters) == "a"
    assert ExportFilters.of({}, "filters").where() == NO_FILTER
