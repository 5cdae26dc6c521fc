"""What every store promises of providers' ids that change within an answer, and of those that come again."""

from __future__ import annotations

from pathlib import Path

from gateway.models.feedback import RESPONSE_ID_REUSE_US, Target
from gateway.models.request import Facts
from gateway.store import open_store
from gateway.store.base import Store
from tests.store.samples import entry, exchange, feedback

CHANGING = Facts(response_id="chunk-1", other_response_ids=("chunk-2", "chunk-3"))
NOON_US = 1_700_000_000_000_000


async def named(store: Store, any_id: str, target: Target = Target.REQUEST) -> list[str | None]:
    found = await store.resolve([any_id], None, target)
    return [subject.request_id for subject in found.get(any_id, [])]


async def test_every_id_that_an_answer_showed_names_its_request(store: Store) -> None:
    [seq] = await store.append([exchange("a")])
    await store.annotate([(seq, CHANGING)], 1)
    await store.annotate([(seq, CHANGING)], 1)
    for any_id in ("chunk-1", "chunk-2", "chunk-3"):
        assert await named(store, any_id) == ["a"]
        assert await named(store, any_id, Target.TRACE) == ["a"]
    assert await named(store, "chunk-4") == []


async def test_feedback_that_waited_for_another_id_of_an_answer_is_joined(store: Store) -> None:
    await store.put_feedback([feedback(subject_id="chunk-3")])
    [seq] = await store.append([exchange("a")])
    await store.annotate([(seq, CHANGING)], 1)
    assert (await entry(store)).request_id == "a"


async def test_of_an_id_that_comes_again_much_later_the_latest_answer_is_meant(store: Store) -> None:
    times = {"old": NOON_US - RESPONSE_ID_REUSE_US - 1, "new": NOON_US}
    seqs = await store.append([exchange(name, name, started_at_us=at_us) for name, at_us in times.items()])
    await store.annotate([(seq, Facts(response_id="chatcmpl-1")) for seq in seqs], 1)
    assert await named(store, "chatcmpl-1") == ["new"]


async def test_an_id_that_comes_again_soon_is_ambiguous(store: Store) -> None:
    times = {"a": NOON_US - RESPONSE_ID_REUSE_US + 1, "b": NOON_US}
    seqs = await store.append([exchange(name, name, started_at_us=at_us) for name, at_us in times.items()])
    await store.annotate([(seq, Facts(response_id="chatcmpl-1")) for seq in seqs], 1)
    assert sorted(filter(None, await named(store, "chatcmpl-1"))) == ["a", "b"]


async def test_the_ids_of_a_request_go_with_it(store: Store) -> None:
    [seq] = await store.append([exchange("a", metadata={"_user": "ann"}, started_at_us=NOON_US)])
    await store.annotate([(seq, CHANGING)], 1)
    await store.expire(NOON_US + 1)
    assert await named(store, "chunk-2") == []


async def test_ids_are_carried_to_another_store(store: Store, tmp_path: Path) -> None:
    [seq] = await store.append([exchange("a")])
    await store.annotate([(seq, CHANGING)], 1)
    carried = await store.requests_after(0)
    assert [one.other_response_ids for one in carried] == [("chunk-2", "chunk-3")]
    other = await open_store(f"sqlite:///{tmp_path}/other.db")
    try:
        await other.put_requests(carried)
        assert await named(other, "chunk-3") == ["a"]
    finally:
        await other.close()
