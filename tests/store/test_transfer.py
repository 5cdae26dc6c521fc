"""Everything of one store is brought into another, each thing once, whatever ends it in between."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.models.audit import AuditChannel, AuditEntry
from gateway.models.exchange import LoggingOptOut, PayloadPolicy
from gateway.models.feedback import Feedback, Receipt
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.models.metrics import END_OF_TIME_US, MetricsQuery
from gateway.models.quota import QuotaUsage, Unit, Window
from gateway.models.request import RequestRecord, StoreTotals
from gateway.models.reviews import ReviewChange, ReviewState
from gateway.store import open_store
from gateway.store.base import Store, StoredKey
from gateway.store.transfer import MigrationCheck, StoreMigration
from tests.store.random_data import LATER_US, fill, world_of
from tests.store.samples import FACTS, exchange, feedback, requests_of
from tests.store.test_alerts import EVENT, RULE, STATE

ALL_WELL = MigrationCheck([], [])


@pytest.fixture(params=["sqlite to sqlite", "sqlite to postgres", "postgres to sqlite"])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Where two new and empty databases are."""
    source, _, target = request.param.partition(" to ")
    urls = {"source": f"sqlite:///{tmp_path}/source.db", "target": f"sqlite:///{tmp_path}/target.db"}
    for role, engine in (("source", source), ("target", target)):
        if engine == "postgres":
            urls[role] = request.getfixturevalue("postgres_url")
    return urls["source"], urls["target"]


@pytest.fixture
async def source(urls: tuple[str, str]) -> AsyncIterator[Store]:
    store = await open_store(urls[0])
    yield store
    await store.close()


@pytest.fixture
async def target(urls: tuple[str, str]) -> AsyncIterator[Store]:
    store = await open_store(urls[1])
    yield store
    await store.close()


def quietly(_: object) -> None:
    """Tell nobody."""


async def move(source: Store, target: Store) -> StoreMigration:
    mover = StoreMigration(source, target, quietly)
    assert await mover.run() == ALL_WELL
    return mover


def nameless(records: list[RequestRecord]) -> list[RequestRecord]:
    """Records without what may differ between stores, in an order that does not."""
    return sorted((replace(record, seq=0) for record in records), key=repr)


async def entries_of(store: Store) -> dict[str, list[Feedback]]:
    world = await world_of(store)
    return {entry.feedback_id: await store.history(entry.feedback_id) for entry in world.feedback}


@pytest.mark.parametrize("seed", range(3))
async def test_requests_and_feedback_arrive_as_they_were(source: Store, target: Store, seed: int) -> None:
    await fill(source, random.Random(seed), requests=700, entries=300)
    await source.put_feedback(
        [replace(entry, version=2, comment="again") for entry in (await world_of(source)).feedback[:50]]
    )
    mover = await move(source, target)
    assert nameless(await requests_of(target)) == nameless(await requests_of(source))
    assert await entries_of(target) == await entries_of(source)
    for held in (mover.progress.added, await source.store_totals(), await target.store_totals()):
        assert held.differs_from(mover.progress.source_totals) == []
    for group_by in (None, "user", "provider"):
        question = MetricsQuery(0, END_OF_TIME_US, group_by=group_by)
        assert await target.usage(question) == await source.usage(question)
        assert (await target.feedback_sums(question)).keys() == (await source.feedback_sums(question)).keys()


async def test_bodies_arrive_byte_for_byte_and_what_was_not_kept_stays_away(
    source: Store, target: Store
) -> None:
    body = bytes(range(256)) * 40
    await source.append(
        [
            exchange("whole", request_body=body, request_size=len(body)),
            exchange("cut", started_at_us=1, response_body=body, response_size=len(body) + 1),
            exchange("half", started_at_us=2, opt_out=LoggingOptOut(request=True)),
            exchange(
                "none", started_at_us=3, payloads=PayloadPolicy.OFF,
                response_headers=((b"content-type", b"text/event-stream"),),
            ),
        ]
    )  # fmt: skip
    await move(source, target)
    before, after = await requests_of(source), await requests_of(target)
    assert [record.request_id for record in after] == ["whole", "cut", "half", "none"]
    assert after[3].is_stream
    for old, new in zip(before, after, strict=True):
        assert await target.payload(new.seq) == await source.payload(old.seq)


async def test_what_was_not_interpreted_is_left_to_be(source: Store, target: Store) -> None:
    first, second = await source.append([exchange("a"), exchange("b", started_at_us=1)])
    await source.annotate([(first, FACTS)], LATER_US)
    await move(source, target)
    assert [found.identity.request_id for _, found in await target.uninterpreted(9)] == ["b"]
    assert second


async def test_keys_receipts_spendings_and_the_audit_log_come_along(source: Store, target: Store) -> None:
    key = StoredKey("app", "ab" * 32, ("proxy",), None, 5)
    revoked = StoredKey("old", "cd" * 32, ("proxy",), None, 4, revoked_at_us=5)
    receipt = Receipt("s", "k", "d", ("f",))
    spending = QuotaUsage("app", Unit.REQUESTS, Window.DAY, 60, 7)
    entry = AuditEntry(actor="ops", via=AuditChannel.API, action="DELETE /x", outcome="200")
    await source.add_key(key)
    await source.add_key(revoked)
    await source.put_feedback([feedback("f")], receipt)
    await source.spend([spending])
    await source.begin_audit(entry)
    for _ in range(2):
        await move(source, target)
        assert await target.keys() == [key, revoked]
        assert await target.receipt("s", "k") == receipt
        assert await target.spendings() == [spending]
        assert await target.find_audit(NO_FILTER, Sort(), Page(9), None) == [entry]


async def test_a_key_whose_name_is_taken_is_left_out_and_named(source: Store, target: Store) -> None:
    await source.add_key(StoredKey("app", "ab" * 32, ("proxy",), None, 5))
    theirs = StoredKey("app", "cd" * 32, ("proxy",), None, 5)
    await target.add_key(theirs)
    mover = await move(source, target)
    assert (mover.progress.refused_keys, await target.keys()) == (["app"], [theirs])


async def test_a_second_time_adds_what_has_come_since(source: Store, target: Store) -> None:
    await fill(source, random.Random(1))
    await move(source, target)
    assert (await move(source, target)).progress.added == StoreTotals()
    await source.append([exchange("new", started_at_us=5)])
    await source.put_feedback([feedback("new", weight=0.5)])
    newer = replace((await world_of(source)).feedback[0], version=2, weight=0.25)
    await source.put_feedback([newer])
    added = (await move(source, target)).progress.added
    assert (added.requests, added.feedback, added.versions) == (1, 1, 2)
    assert (await target.feedback_by_ids([newer.feedback_id]))[0].weight == 0.25


async def test_two_stores_are_merged_and_keep_what_they_had(source: Store, target: Store) -> None:
    await fill(source, random.Random(1))
    await target.append([exchange("own", "own-trace")])
    await target.put_feedback([feedback("own", "own-trace")])
    await move(source, target)
    ids = {record.request_id for record in await requests_of(target)}
    assert ids == {"own"} | {record.request_id for record in await requests_of(source)}
    assert (await target.feedback_by_ids(["own"]))[0].trace_id == "own-trace"


async def test_feedback_that_waited_in_one_finds_its_request_from_the_other(
    source: Store, target: Store
) -> None:
    await target.put_feedback([feedback("f", "r")])
    await source.append([exchange("r", "t")])
    await move(source, target)
    [entry] = await target.feedback_by_ids(["f"])
    assert (entry.trace_id, entry.request_id) == ("t", "r")


class _BreaksOff:
    """A store that fails at the nth batch of requests, or of feedback."""

    def __init__(self, store: Store, name: str, times: int) -> None:
        self._store, self._name, self._left = store, name, times

    def __getattr__(self, name: str) -> Any:
        if name == self._name:
            self._left -= 1
            if self._left < 0:
                raise StoreUnavailable("the disk is full.")
        return getattr(self._store, name)


@pytest.mark.parametrize(
    ("name", "times"), [("put_requests", 0), ("put_requests", 1), ("put_feedback", 0), ("add_key", 0)]
)
async def test_a_move_that_broke_off_goes_on_where_it_was(
    source: Store, target: Store, name: str, times: int
) -> None:
    await fill(source, random.Random(2), requests=700)
    await source.add_key(StoredKey("app", "ab" * 32, ("proxy",), None, 5))
    with pytest.raises(StoreUnavailable):
        await StoreMigration(source, _BreaksOff(target, name, times), quietly).run()
    await move(source, target)
    assert nameless(await requests_of(target)) == nameless(await requests_of(source))
    held, expected = await target.store_totals(), await source.store_totals()
    # Databases add weights up in different orders.
    assert replace(held, weight=expected.weight) == expected
    assert held.weight == pytest.approx(expected.weight)


async def test_a_target_that_others_write_to_is_told_apart_from_one_that_is_whole(
    source: Store, target: Store
) -> None:
    await source.append([exchange("a")])

    class _Meddled(_BreaksOff):
        async def spend(self, spendings: Any) -> None:
            await target.append([exchange("b")])

    mover = StoreMigration(source, _Meddled(target, "", 1), quietly)
    assert (await mover.run()).wrong == ["requests", "body_bytes"]


async def test_alerts_come_along_once_with_their_history(source: Store, target: Store) -> None:
    await source.put_alert(replace(RULE, version=1))
    await source.put_alert(replace(RULE, version=2, threshold=0.5))
    check = await source.claim_alert_check(RULE.alert_id, 1, 2)
    assert check is not None
    await source.finish_alert_check(check, [STATE], [EVENT])
    await move(source, target)
    await move(source, target)
    rules = await target.find_alerts(NO_FILTER, Sort(), Page(9), None)
    assert rules == [replace(RULE, threshold=0.5)]
    assert await target.alert_states([RULE.alert_id]) == [STATE]
    assert [replace(each, seq=0) for each in await target.alert_events_after(0, 9)] == [EVENT]


async def test_reviews_come_along(source: Store, target: Store) -> None:
    seqs = await source.append([exchange(f"r{number}", f"t{number}") for number in range(3)])
    for seq, state in zip(seqs, (ReviewState.REVIEWED, ReviewState.RESERVED), strict=False):
        await source.change_review(seq, ReviewChange(state, "ann", 5, "a note"))
    await move(source, target)
    await move(source, target)
    there = {each.request_id: replace(each, seq=0) for each in await target.reviews_after(0, 9)}
    assert there == {each.request_id: replace(each, seq=0) for each in await source.reviews_after(0, 9)}
    assert len(there) == 2
