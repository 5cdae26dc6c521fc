"""What every store promises of exports: their jobs, reading much for them, and the key of their links."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gateway.errors import BadInput, Conflict
from gateway.models.exchange import PayloadPolicy
from gateway.models.export import Export, ExportStatus
from gateway.models.filters import NO_FILTER, Comparison, Op, Page, Sort
from gateway.store import open_store
from gateway.store.base import Store
from tests.store.samples import OLDEST_FIRST, exchange

WHOLE = Export(
    export_id="whole",
    tenant="north",
    key_name="app",
    exporter="anybody",
    description="für\nalle",
    filters={"a": [1, {"b": None}], "c": "ü"},
    columns=("id", "request"),
    status=ExportStatus.FAILED,
    last_seq=7,
    rows_total=5,
    rows_done=3,
    file="whole.jsonl",
    error="the disk is full",
    owner="runner",
    lease_until_us=9,
    created_at_us=1,
    updated_at_us=2,
)


def export(export_id: str = "export-1", **others: Any) -> Export:
    given: dict[str, Any] = {"exporter": "anybody", "filters": {}, "columns": ("id",)}
    return Export(export_id=export_id, created_at_us=1, updated_at_us=1, **{**given, **others})


async def exports_of(store: Store, tenant: str | None = None, **equal: Any) -> list[Export]:
    [(name, value)] = equal.items() or [("exporter", "anybody")]
    return await store.find_exports(Comparison(name, Op.EQ, value), OLDEST_FIRST, Page(), tenant)


async def test_a_job_comes_back_as_it_was_given(store: Store) -> None:
    await store.put_export(WHOLE)
    assert await exports_of(store) == [WHOLE]


async def test_a_version_takes_the_place_of_the_one_that_it_follows(store: Store) -> None:
    await store.put_export(WHOLE)
    later = replace(WHOLE, version=2, status=ExportStatus.DRAFT, filters={}, error=None, lease_until_us=None)
    await store.put_export(later)
    assert await exports_of(store) == [later]


async def test_a_version_that_does_not_follow_the_stored_one_changes_nothing(store: Store) -> None:
    await store.put_export(WHOLE)
    for version in (1, 3):
        with pytest.raises(Conflict):
            await store.put_export(replace(WHOLE, version=version, description="other"))
    with pytest.raises(Conflict):
        await store.put_export(export("unknown", version=2))
    assert await exports_of(store) == [WHOLE]


async def test_of_versions_put_at_the_same_time_one_is_stored(store: Store) -> None:
    await store.put_export(export())
    rivals = [export(version=2, owner=str(number)) for number in range(10)]
    outcomes = await asyncio.gather(*map(store.put_export, rivals), return_exceptions=True)
    [winner] = [rival for rival, outcome in zip(rivals, outcomes, strict=True) if outcome is None]
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 9
    assert await exports_of(store) == [winner]


async def test_jobs_are_searched_sorted_and_counted_within_their_tenant(store: Store) -> None:
    for name, tenant in (("a", "north"), ("b", None), ("c", "north")):
        await store.put_export(export(name, tenant=tenant))
    newest_first = Sort("seq", descending=True)
    found = await store.find_exports(NO_FILTER, newest_first, Page(2), None)
    assert [job.export_id for job in found] == ["c", "b"]
    assert [job.export_id for job in await exports_of(store, "north")] == ["a", "c"]
    assert await exports_of(store, "north", export_id="b") == []
    assert [await store.count_exports(NO_FILTER, tenant) for tenant in (None, "north", "south")] == [3, 2, 0]
    assert [job.export_id for job in await exports_of(store, status="draft", tenant="north")] == ["a", "c"]


async def test_requests_are_counted_page_by_page(store: Store) -> None:
    await store.append([exchange(str(number), tenant="north" if number else None) for number in range(5)])
    counted = [
        await store.count_requests(NO_FILTER, page, None)
        for page in (Page(10), Page(3), Page(3, 3), Page(3, 9))
    ]
    assert counted == [5, 3, 2, 0]
    assert await store.count_requests(NO_FILTER, Page(10), "north") == 4
    assert await store.count_requests(Comparison("request_id", Op.EQ, "3"), Page(10), None) == 1
    with pytest.raises(BadInput, match="nonsense"):
        await store.count_requests(Comparison("nonsense", Op.EQ, 1), Page(10), None)


async def test_payloads_are_read_by_seq_and_those_not_kept_are_left_out(store: Store) -> None:
    seqs = await store.append(
        [exchange("a", request_body=b"A"), exchange("b", payloads=PayloadPolicy.OFF), exchange("c")]
    )
    found = await store.payloads([*seqs, 404])
    assert sorted(found) == [seqs[0], seqs[2]]
    assert found[seqs[0]] == await store.payload(seqs[0])
    assert found[seqs[0]].request_body == b"A"


async def test_the_key_of_links_is_the_first_that_was_offered_for_ever(store: Store, store_url: str) -> None:
    offered = [bytes([number]) * 32 for number in range(5)]
    [key] = set(await asyncio.gather(*map(store.link_key, offered)))
    assert key in offered
    again = await open_store(store_url)
    assert await again.link_key(b"other") == key
    await again.close()
