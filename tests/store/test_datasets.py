"""What every store promises of datasets: versions are whole, and exports of one never gain anything."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

import pytest

from gateway.datasets.export_query import ExportQuery
from gateway.datasets.export_rows import ExportReader
from gateway.datasets.versions import DatasetService
from gateway.errors import BadInput, Conflict, NotFound
from gateway.models.exchange import Exchange
from gateway.models.filters import Page
from gateway.models.principal import Principal, Role
from gateway.models.request import Facts
from gateway.store.base import Store
from tests.store.samples import exchange, feedback

ANN = Principal("ann", frozenset({Role.REVIEW}))
NORTH = Principal("north", frozenset({Role.REVIEW}), tenant="north")
SOUTH = Principal("south", frozenset({Role.REVIEW}), tenant="south")
BAD = {"rating": "bad"}


@pytest.fixture
async def datasets(store: Store) -> DatasetService:
    await log(store, [exchange(f"r{n}", f"t{n}") for n in range(4)])
    await store.put_feedback(
        [feedback(f"f{n}", f"t{n}", author="ann", value=-1.0, score=-1.0) for n in range(3)]
    )
    return DatasetService(store)


async def log(store: Store, exchanges: Sequence[Exchange]) -> None:
    """Store requests whose bodies have been read, which exports wait for."""
    seqs = await store.append(exchanges)
    await store.annotate([(seq, Facts(model="m")) for seq in seqs], 1)


async def read(store: Store, tenant: str | None = None, **given: str) -> bytes:
    query = ExportQuery.read({"format": "jsonl", **given})
    async with ExportReader(store).open(query, tenant) as file, aclosing(file.chunks()) as chunks:
        return b"".join([data async for data in chunks])


async def test_a_file_of_a_version_is_the_same_whatever_comes_later(
    store: Store, datasets: DatasetService
) -> None:
    await datasets.create("bad", BAD, "", ANN)
    version = await datasets.freeze("bad", ANN)
    assert (version.number, version.rows, version.feedback) == (1, 3, 3)
    first = await read(store, dataset="bad@1")
    assert first.count(b"\n") == 3

    await log(store, [exchange("later", "t9")])
    [changed] = await store.feedback_by_ids([(await store.history("f0"))[-1].feedback_id])
    await store.put_feedback(
        [
            feedback("f9", "t9", value=-1.0, score=-1.0),
            feedback("more", "t0", author="ben", value=1.0, score=1.0),
            replace(changed, version=2, value=1.0, score=1.0, updated_at_us=changed.updated_at_us + 1),
        ]
    )

    assert await read(store, dataset="bad@1") == first
    assert await read(store, rating="bad") != first


async def test_withdrawn_and_erased_feedback_is_in_no_file(store: Store, datasets: DatasetService) -> None:
    await datasets.create("bad", BAD, "", ANN)
    await datasets.freeze("bad", ANN)
    [entry] = await store.feedback_by_ids(["f0"])
    await store.put_feedback([replace(entry, version=2, deleted_at_us=entry.updated_at_us + 1)])
    await store.remove_feedback("f1")

    text = (await read(store, dataset="bad")).decode()

    assert [name for name in ("f0", "f1", "f2") if f'"feedback_id":"{name}"' in text] == ["f2"]


async def test_versions_are_compared_by_their_requests_and_feedback(
    store: Store, datasets: DatasetService
) -> None:
    dataset = await datasets.create("all", {}, "", ANN)
    await datasets.freeze("all", ANN)
    await log(store, [exchange("r4", "t4")])
    await store.put_feedback([feedback("more", "t3", value=1.0, score=1.0)])
    await datasets.freeze("all", ANN)

    found = await datasets.diff(dataset, 2, 1)

    assert await datasets.request_ids(found.added, None) == ["r4"]
    assert await datasets.request_ids(found.changed, None) == ["r3"]
    assert (found.removed, found.unchanged) == ([], 3)


async def test_versions_frozen_at_the_same_time_have_different_numbers(datasets: DatasetService) -> None:
    dataset = await datasets.create("all", {}, "", ANN)
    versions = await asyncio.gather(*(datasets.freeze("all", ANN) for _ in range(3)))
    assert sorted(version.number for version in versions) == [1, 2, 3]
    assert [version.number for version in await datasets.versions(dataset)] == [3, 2, 1]


async def test_a_tenant_has_datasets_of_its_own(store: Store) -> None:
    await log(store, [exchange(name, f"t-{name}", tenant=name) for name in ("north", "south")])
    datasets = DatasetService(store)
    for principal in (NORTH, SOUTH, ANN):
        await datasets.create("mine", {}, "", principal)
        await datasets.freeze("mine", principal)

    [(own, versions)] = await datasets.find_all(Page(9), "north")
    assert (own.tenant, [each.number for each in versions]) == ("north", [1])
    assert [len(versions) for _, versions in await datasets.find_all(Page(9), None)] == [1, 1, 1]
    assert b'"south"' not in await read(store, "north", dataset="mine")
    assert (await read(store, dataset="mine")).count(b"\n") == 2
    other = await datasets.find("mine", "south")
    with pytest.raises(NotFound, match="there is no dataset"):
        await read(store, "north", dataset=other.dataset_id)


async def test_what_cannot_be_is_refused(store: Store, datasets: DatasetService) -> None:
    await datasets.create("bad", BAD, "", ANN)
    with pytest.raises(Conflict, match="is taken by another dataset"):
        await datasets.create("bad", {}, "", ANN)
    for name, filters in (("../x", {}), ("", {}), ("a", {"colour": "red"}), ("b", {"from": "whenever"})):
        await refuse(datasets, name, filters)
    with pytest.raises(NotFound, match="has no version yet"):
        await read(store, dataset="bad")
    with pytest.raises(BadInput, match="cannot be given with a dataset"):
        await read(store, dataset="bad", rating="bad")
    await datasets.create("none", {"model": "no-such-model"}, "", ANN)
    with pytest.raises(NotFound, match="no request matches"):
        await datasets.freeze("none", ANN)
    await datasets.delete("bad", ANN)
    with pytest.raises(NotFound):
        await datasets.find("bad", None)


async def refuse(datasets: DatasetService, name: str, filters: Mapping[str, str]) -> None:
    with pytest.raises(BadInput):
        await datasets.create(name, filters, "", ANN)
