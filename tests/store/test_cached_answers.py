"""What every store promises of cached answers: one a key, none while it rests, bounded, gone with requests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gateway.models.cached_answer import CachedAnswer
from gateway.models.feedback import Target
from gateway.store.base import Store
from tests.store.samples import exchange, feedback

AT_US = 1_700_000_000_000_000
HOUR_US = 3_600_000_000
ANSWER = CachedAnswer(
    key="k",
    tenant="north",
    trace_id="trace-1",
    request_id="request-1",
    headers=((b"Content-Type", b"text/plain"), (b"x-odd", b"\xff\x80")),
    body=b"\x00answer" * 100,
    created_at_us=AT_US,
    expires_at_us=AT_US + HOUR_US,
)


def answer(key: str, **others: Any) -> CachedAnswer:
    return replace(ANSWER, key=key, **others)


async def test_an_answer_comes_back_as_it_was_given_and_without_the_body_that_is_known(store: Store) -> None:
    empty = answer("empty", tenant=None, body=b"", headers=())
    await store.put_answers([ANSWER, empty])
    assert await store.find_answer("k") == ANSWER
    assert await store.find_answer("empty") == empty
    assert await store.find_answer("k", AT_US) == replace(ANSWER, body=b"")
    assert await store.find_answer("other") is None


async def test_the_latest_answer_of_a_key_stays(store: Store) -> None:
    later = replace(ANSWER, body=b"later", created_at_us=AT_US + 1)
    await store.put_answers([later])
    await store.put_answers([ANSWER])
    assert await store.find_answer("k") == later
    await store.delete_answers(["k", "other"])
    assert await store.find_answer("k") is None


async def give(store: Store, name: str, **others: Any) -> None:
    given: dict[str, Any] = {"tenant": "north", "joined_at_us": AT_US, "score": -0.1, "trace_id": "trace-1"}
    await store.put_feedback([feedback(name, **{**given, **others})])


async def rest(store: Store, *names: str, min_score: float = 0.0) -> list[str]:
    return await store.rest_answers(names, min_score, AT_US + HOUR_US)


async def test_bad_feedback_on_a_request_its_trace_or_a_repetition_drops_the_answer(store: Store) -> None:
    again: dict[str, Any] = {"tenant": "north", "cache_status": "hit", "cache_source_request_id": "request-1"}
    await store.append(
        [exchange(tenant="north"), exchange("request-2", "trace-2", **again), exchange(tenant="south")]
    )
    await store.put_answers([ANSWER, answer("south", tenant="south")])
    await give(store, "good", score=0.0)
    await give(store, "session", target=Target.SESSION, session="s")
    await give(store, "other request", target=Target.REQUEST, request_id="request-9")
    await give(store, "other tenant", tenant="west")
    await give(store, "waiting", joined_at_us=None, trace_id=None, subject_id="unknown")
    assert await rest(store, "good", "session", "other request", "other tenant", "waiting") == []
    await give(store, "on the repetition", target=Target.REQUEST, request_id="request-2", trace_id="trace-2")
    assert await rest(store, "on the repetition") == ["k"]
    assert await rest(store, "on the repetition") == []
    await give(store, "on the trace")
    resting = await store.find_answer("k")
    assert resting is not None
    assert (resting.body, resting.headers, resting.rests_until_us) == (b"", (), AT_US + HOUR_US)
    # Nothing is kept until the rest is over, whatever happens in between.
    await store.delete_answers(["k"])
    await store.put_answers([replace(ANSWER, created_at_us=AT_US + HOUR_US - 1)])
    assert await store.find_answer("k") == resting
    fresh = replace(ANSWER, created_at_us=AT_US + HOUR_US, expires_at_us=AT_US + 2 * HOUR_US)
    await store.put_answers([fresh])
    assert await store.find_answer("k") == fresh
    assert await rest(store, "good", min_score=0.1) == ["k"]
    assert await store.find_answer("south") == answer("south", tenant="south")


async def test_answers_are_bounded_in_time_and_size(store: Store) -> None:
    kept = [answer(f"k{place}", created_at_us=AT_US + place) for place in range(10)]
    await store.put_answers([*kept, answer("over", expires_at_us=AT_US - 1)])
    assert await store.trim_answers(4 * ANSWER.size_bytes, AT_US) == 7
    found = [await store.find_answer(f"k{place}") for place in range(10)]
    assert [place for place, each in enumerate(found) if each is not None] == [6, 7, 8, 9]
    await store.expire(AT_US + 8)
    assert await store.find_answer("k7") is None
    assert await store.find_answer("k8") is not None


async def test_a_person_s_answers_are_erased_with_their_requests(store: Store) -> None:
    await store.append(
        [
            exchange(metadata={"_user": "jo"}),
            exchange("request-2", metadata={"_user": "jo"}, cache_source_request_id="request-3"),
            exchange("request-4", metadata={"_user": "al"}),
        ]
    )
    names = ("request-1", "request-3", "request-4")
    await store.put_answers([answer(name, request_id=name) for name in names])
    await store.erase(await store.find_user_scope("jo", None), AT_US)
    assert [await store.find_answer(name) is None for name in names] == [True, True, False]
