"""What has to be read of bodies to search them: only those of rows that nothing else decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.models.filters import AllOf, AnyOf, Comparison, Filter, Not, Op
from gateway.store import open_store
from tests.store.samples import exchange
from tests.store.test_body_search import Decoder, found, says

IS_NORTH = Comparison("tenant", Op.EQ, "north")
FAILED = Comparison("status", Op.EQ, 500)
NOT_TAGGED = Comparison("metadata.k", Op.EQ, None)
NO_THUMB = Comparison("feedback.rating", Op.EQ, None)


@pytest.mark.parametrize(
    ("where", "tenant", "bodies"),
    [
        (says("hay"), None, 4),
        (AllOf((says("hay"), IS_NORTH)), None, 2),
        (AllOf((IS_NORTH, AllOf((says("hay"), FAILED)))), None, 1),
        (AllOf((says("hay"), Not(NOT_TAGGED))), None, 1),
        (AllOf((says("hay"), Not(NO_THUMB))), None, 0),
        (AnyOf((says("hay"), IS_NORTH)), None, 2),
        (AllOf((AnyOf((says("hay"), FAILED)), IS_NORTH)), None, 1),
        (Not(AllOf((Not(AnyOf((says("hay"), IS_NORTH))), FAILED))), None, 1),
        (says("hay"), "south", 2),
        (AllOf((says("hay"), FAILED)), "south", 1),
    ],
)
async def test_only_the_bodies_of_rows_that_nothing_else_decides_are_read(
    tmp_path: Path, where: Filter, tenant: str | None, bodies: int
) -> None:
    decoder = Decoder()
    decoding = await open_store(f"sqlite:///{tmp_path}/gateway.db", decoder)
    await decoding.append(
        [
            exchange("1", tenant="north", status=500, metadata={"k": "v"}),
            exchange("2", tenant="north"),
            exchange("3", tenant="south", status=500),
            exchange("4", tenant="south"),
        ]
    )

    await found(decoding, where, tenant)

    await decoding.close()
    assert decoder.count == bodies


async def test_a_body_is_unpacked_once_for_all_conditions_on_it(tmp_path: Path) -> None:
    decoder = Decoder()
    decoding = await open_store(f"sqlite:///{tmp_path}/gateway.db", decoder)
    await decoding.append([exchange(str(number), response_body=b"needle") for number in range(3)])

    said = [says(text) for text in ("hay", "straw", "needle")]
    assert await found(decoding, AnyOf((*said, Not(says("thread"))))) == ["0", "1", "2"]
    assert decoder.count == 3
    assert await found(decoding, AllOf(tuple(said))) == []

    await decoding.close()
    assert decoder.count == 6


async def test_what_was_unpacked_for_one_question_is_not_taken_for_the_next(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path}/gateway.db")
    await store.append([exchange("1", response_body=b"needle", metadata={"_user": "ann"})])
    assert await found(store, says("needle")) == ["1"]
    await store.erase(await store.find_user_scope("ann", None), 0)
    for _ in range(5):
        assert await found(store, says("needle")) == []
    await store.close()
