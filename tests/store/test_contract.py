"""What every store promises of the request log and its own life."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import StoreUnavailable
from gateway.models.exchange import Identity, LoggingOptOut, Outcome, PayloadPolicy
from gateway.models.filters import NO_FILTER, Comparison, Op, Page, Sort
from gateway.models.request import Facts, Usage
from gateway.store import open_store
from gateway.store.base import Health, NewRows, Store
from tests.store.samples import FACTS, OLDEST_FIRST, exchange, feedback, request_of, requests_of


async def test_append_returns_growing_seqs_in_the_order_given(store: Store) -> None:
    first = await store.append([exchange("a"), exchange("b")])
    second = await store.append([exchange("c")])
    assert first + second == sorted({*first, *second})
    assert [(record.seq, record.request_id) for record in await requests_of(store)] == list(
        zip(first + second, ["a", "b", "c"], strict=True)
    )


async def test_new_rows_are_counted_from_a_position(store: Store) -> None:
    assert await store.new_rows(0) is None
    first, second, third = await store.append([exchange(name) for name in "abc"])
    assert await store.new_rows(0) == NewRows(third, 3, first)
    await store.annotate([(first, Facts()), (third, Facts())], 1)
    assert await store.new_rows(first - 1) == NewRows(third, 3, second)
    await store.annotate([(second, Facts())], 1)
    assert await store.new_rows(second) == NewRows(third, 1, None)
    assert await store.new_rows(third) is None


async def test_appending_nothing_stores_nothing(store: Store) -> None:
    assert await store.append([]) == []
    assert await requests_of(store) == []


async def test_every_field_of_an_exchange_is_found_in_its_row(store: Store) -> None:
    tags = {
        "_user": "ann", "_organisation": "acme", "_prompt": "greet", "_environment": "test", "_session": "chat",
        "_prompt_version": 3, "n": 1,
    }  # fmt: skip
    [seq] = await store.append(
        [
            exchange(
                identity=Identity("r", "t", "span", "parent", "plan", tags),
                tenant="north",
                key_name="app",
                first_byte_at_us=1_700_000_000_100_000,
                status=502,
                outcome=Outcome.UPSTREAM_TRUNCATED,
                error="the upstream broke off",
                attempt=2,
                cache_status="MISS",
                response_headers=((b"Content-Type", b"text/event-stream; charset=utf-8"),),
            )
        ]
    )
    record = await request_of(store, seq)
    assert (record.request_id, record.trace_id, record.tenant, record.key_name) == ("r", "t", "north", "app")
    assert (record.span_id, record.parent_span_id, record.span_name) == ("span", "parent", "plan")
    assert (record.user, record.organisation, record.prompt, record.environment, record.session) == (
        "ann", "acme", "greet", "test", "chat",
    )  # fmt: skip
    assert record.prompt_version == "3"
    assert record.metadata == tags
    assert (record.status, record.outcome, record.error) == (
        502, Outcome.UPSTREAM_TRUNCATED, "the upstream broke off",
    )  # fmt: skip
    assert (record.provider, record.endpoint, record.method) == ("openai", "chat.completions", "POST")
    assert record.path == "/v1/chat/completions"
    assert record.first_byte_at_us == 1_700_000_000_100_000
    assert record.ended_at_us - record.started_at_us == 250_000
    assert (record.attempt, record.cache_status, record.is_stream) == (2, "MISS", True)
    assert (record.request_size, record.response_size) == (18, 19)
    assert record.interpreted_at_us is None


async def test_the_same_request_id_twice_gives_two_rows(store: Store) -> None:
    await store.append([exchange("r"), exchange("r")])
    await store.append([exchange("r", tenant="other")])
    assert len(await requests_of(store)) == 3


async def test_a_payload_comes_back_as_it_was_with_secrets_replaced(store: Store) -> None:
    body = bytes(range(256)) * 10
    [seq] = await store.append(
        [
            exchange(
                request_headers=(
                    (b"Authorization", b"Bearer sk-1"),
                    (b"X-Odd", b"\xff\xfe"),
                    (b"X-Odd", b""),
                ),
                request_body=body,
                request_size=len(body),
                response_body=b"cut",
                response_size=1000,
            )
        ]
    )
    payload = await store.payload(seq)
    assert payload is not None
    assert payload.request_headers == (
        (b"Authorization", b"[redacted]"), (b"X-Odd", b"\xff\xfe"), (b"X-Odd", b""),
    )  # fmt: skip
    assert (payload.request_body, payload.request_truncated) == (body, False)
    assert (payload.response_body, payload.response_truncated) == (b"cut", True)


async def test_no_payload_is_kept_where_the_policy_is_off(store: Store) -> None:
    [seq] = await store.append([exchange(payloads=PayloadPolicy.OFF)])
    assert await store.payload(seq) is None
    [(_, kept)] = await store.uninterpreted(10)
    assert (kept.request_body, kept.request_headers, kept.payloads) == (b"", (), PayloadPolicy.OFF)


async def test_of_an_omitted_side_nothing_is_kept_and_of_the_other_all(store: Store) -> None:
    request, response = await store.append(
        [exchange(opt_out=LoggingOptOut(request=True)), exchange(opt_out=LoggingOptOut(response=True))]
    )
    first, second = await store.payload(request), await store.payload(response)
    assert first is not None
    assert second is not None
    assert (first.opt_out, second.opt_out) == (LoggingOptOut(request=True), LoggingOptOut(response=True))
    assert (first.request_headers, first.request_body, first.request_truncated) == ((), b"", False)
    assert (second.response_headers, second.response_body, second.response_truncated) == ((), b"", False)
    assert first.response_body == exchange().response_body
    assert second.request_body == exchange().request_body


async def test_a_redacted_body_that_became_shorter_does_not_count_as_cut(store: Store) -> None:
    [seq] = await store.append(
        [exchange(payloads=PayloadPolicy.REDACTED, request_body=b"{}", request_size=900)]
    )
    payload = await store.payload(seq)
    assert payload is not None
    assert (payload.request_body, payload.request_truncated) == (b"{}", False)


async def test_there_is_no_payload_of_an_unknown_row(store: Store) -> None:
    assert await store.payload(404) is None


async def test_annotate_fills_in_the_facts(store: Store) -> None:
    [seq] = await store.append([exchange()])
    await store.annotate([(seq, FACTS)], at_us=5)
    record = await request_of(store, seq)
    assert (record.requested_model, record.model) == ("gpt-4o", "gpt-4o-2024-08-06")
    assert (record.prompt_tokens, record.completion_tokens, record.cached_tokens) == (12, 34, 5)
    assert (record.cache_write_tokens, record.reasoning_tokens) == (0, 7)
    assert (record.cost_nanousd, record.price_version) == (1_250_000, "2025-01")
    assert (record.response_id, record.finish_reason, record.note) == ("chatcmpl-1", "stop", "a note")
    assert record.interpreted_at_us == 5


async def test_annotating_again_changes_nothing(store: Store) -> None:
    [seq] = await store.append([exchange()])
    await store.annotate([(seq, FACTS)], at_us=5)
    before = await request_of(store, seq)
    await store.annotate([(seq, FACTS)], at_us=6)
    await store.annotate([(seq, Facts(user="someone"))], at_us=7)
    assert await request_of(store, seq) == before


async def test_facts_name_the_user_only_where_the_caller_did_not(store: Store) -> None:
    named, unnamed = await store.append([exchange(metadata={"_user": "ann"}), exchange(metadata={"k": "v"})])
    await store.annotate([(named, Facts(user="bob")), (unnamed, Facts(user="bob"))], at_us=5)
    record = await request_of(store, named)
    assert (record.user, record.metadata) == ("ann", {"_user": "ann"})
    record = await request_of(store, unnamed)
    assert (record.user, record.metadata) == ("bob", {"k": "v", "_user": "bob"})


async def test_numbers_beyond_64_bits_do_not_stop_an_annotation(store: Store) -> None:
    [seq] = await store.append([exchange()])
    await store.annotate([(seq, Facts(usage=Usage(prompt_tokens=2**80)))], at_us=5)
    assert (await request_of(store, seq)).prompt_tokens == 2**63 - 1


async def test_uninterpreted_returns_the_oldest_rows_without_facts(store: Store) -> None:
    whole = exchange(
        identity=Identity("r", "t", "span", "parent", "plan", {"_user": "ann"}),
        tenant="north",
        key_name="app",
        first_byte_at_us=1_700_000_000_100_000,
        error="odd",
        attempt=1,
        cache_status="HIT",
    )
    seqs = await store.append([exchange("a"), whole, exchange("c"), exchange("d")])
    await store.annotate([(seqs[0], Facts())], at_us=5)
    assert await store.uninterpreted(2) == [(seqs[1], whole), (seqs[2], exchange("c"))]


async def test_a_tenant_sees_its_own_rows_alone(store: Store) -> None:
    await store.append([exchange("a"), exchange("b", tenant="north"), exchange("c", tenant="south")])
    await store.put_feedback([feedback("x", "a"), feedback("y", "b", tenant="north")])
    assert [record.request_id for record in await requests_of(store, tenant="north")] == ["b"]
    assert [record.request_id for record in await requests_of(store)] == ["a", "b", "c"]
    votes = await store.find_feedback(NO_FILTER, OLDEST_FIRST, Page(), "north")
    assert [entry.feedback_id for entry in votes] == ["y"]
    assert len(await store.find_feedback(NO_FILTER, OLDEST_FIRST, Page(), None)) == 2


async def test_pages_are_windows_on_one_order(store: Store) -> None:
    await store.append([exchange(str(number), started_at_us=number % 3) for number in range(10)])
    sort = Sort("started_at_us", descending=True)
    whole = await store.find_requests(NO_FILTER, sort, Page(100), None)
    assert [record.request_id for record in whole] == ["2", "5", "8", "1", "4", "7", "0", "3", "6", "9"]
    pages = [await store.find_requests(NO_FILTER, sort, Page(4, offset), None) for offset in (0, 4, 8, 12)]
    assert [record for page in pages for record in page] == whole
    assert await store.find_requests(NO_FILTER, sort, Page(0), None) == []


async def test_a_read_sees_what_was_acknowledged_before_it(store: Store) -> None:
    for number in range(50):
        [seq] = await store.append([exchange(str(number))])
        found = await asyncio.gather(*(requests_of(store, Comparison("seq", Op.EQ, seq)) for _ in range(4)))
        assert [len(rows) for rows in found] == [1, 1, 1, 1]


async def test_many_writers_and_readers_at_once_lose_nothing(store: Store) -> None:
    async def one(number: int) -> int:
        [seq] = await store.append([exchange(f"r{number}", f"t{number % 7}")])
        await asyncio.gather(
            store.annotate([(seq, Facts(response_id=f"resp-{number}"))], at_us=5),
            store.put_feedback([feedback(f"f{number}", f"resp-{number}")]),
            store.find_requests(NO_FILTER, Sort(), Page(5), None),
        )
        return seq

    seqs = await asyncio.gather(*(one(number) for number in range(200)))
    records = {record.seq: record for record in await requests_of(store)}
    assert {seq: f"r{number}" for number, seq in enumerate(seqs)} == {
        seq: record.request_id for seq, record in records.items()
    }
    votes = await store.find_feedback(NO_FILTER, OLDEST_FIRST, Page(1000), None)
    assert {(vote.feedback_id, vote.request_id) for vote in votes} == {
        (f"f{number}", f"r{number}") for number in range(200)
    }


async def test_all_that_was_stored_is_there_after_reopening(store_url: str) -> None:
    store = await open_store(store_url)
    [seq] = await store.append([exchange()])
    await store.put_feedback([feedback()])
    await store.close()
    again = await open_store(store_url)
    assert [record.seq for record in await requests_of(again)] == [seq]
    assert len(await again.feedback_by_ids(["feedback-1"])) == 1
    assert await again.append([exchange("later")]) > [seq]
    await again.close()


async def test_closing_finishes_what_is_queued(store_url: str) -> None:
    store = await open_store(store_url)
    writes = [asyncio.ensure_future(store.append([exchange(str(number))])) for number in range(100)]
    await asyncio.sleep(0)
    await store.close()
    assert all(write.done() for write in writes)
    again = await open_store(store_url)
    assert len(await requests_of(again)) == 100
    await again.close()


async def test_a_closed_store_says_so(store_url: str) -> None:
    store = await open_store(store_url)
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.append([exchange()])
    with pytest.raises(StoreUnavailable, match="closed"):
        await requests_of(store)


async def test_an_append_whose_caller_left_is_stored(store: Store) -> None:
    leaving = asyncio.ensure_future(store.append([exchange("left")]))
    await asyncio.sleep(0)
    leaving.cancel()
    await store.append([exchange("stayed")])
    assert [record.request_id for record in await requests_of(store)] == ["left", "stayed"]


async def test_a_store_that_takes_writes_is_healthy(store: Store) -> None:
    assert await store.check() == Health(is_writable=True)
