from __future__ import annotations

import gzip
import os
from collections.abc import Sequence

import pytest

from gateway.errors import Ambiguous, NotFound, TooLarge
from gateway.models.exchange import LoggingOptOut, PayloadPolicy
from gateway.models.feedback import Target
from gateway.models.filters import NO_FILTER, Comparison, Op, Page, Sort
from gateway.models.request import Facts, Payload
from gateway.query.feedback import MAX_FEEDBACK
from gateway.query.requests import LoggedRequest, RequestReader, batches
from gateway.store.base import Store

from .conftest import MakeExchange, MakeFeedback

GZIPPED = ((b"Content-Type", b"application/json"), (b"Content-Encoding", b"gzip"))

STREAM = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model":"m",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"}}]}\n\n'
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model":"m",'
    b'"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)


async def show(store: Store, request_id: str, tenant: str | None = None) -> LoggedRequest:
    return await RequestReader(store).show(request_id, tenant)


async def test_paging_meets_each_row_once_newest_first_while_rows_are_added(
    store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange(f"r{number}") for number in range(7)])
    reader = RequestReader(store)
    seen: list[str] = []
    cursor: int | None = None
    while True:
        found = await reader.find(NO_FILTER, 2, cursor, None)
        seen += [record.request_id for record in found.records]
        await store.append([make_exchange(f"late{len(seen)}")])
        cursor = found.next_cursor
        if cursor is None:
            break
    assert seen == ["r6", "r5", "r4", "r3", "r2", "r1", "r0"]


async def test_the_last_slice_has_no_cursor_even_when_it_is_full(
    store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange() for _ in range(4)])
    reader = RequestReader(store)
    first = await reader.find(NO_FILTER, 2, None, None)
    assert first.next_cursor is not None
    second = await reader.find(NO_FILTER, 2, first.next_cursor, None)
    assert len(second.records) == 2
    assert second.next_cursor is None


async def test_a_cursor_goes_on_within_the_same_conditions(store: Store, make_exchange: MakeExchange) -> None:
    await store.append([make_exchange(f"{name}{n}", provider=name) for n in range(3) for name in ("a", "b")])
    reader = RequestReader(store)
    where = Comparison("provider", Op.EQ, "a")
    first = await reader.find(where, 2, None, None)
    second = await reader.find(where, 2, first.next_cursor, None)
    assert [record.request_id for record in first.records] == ["a2", "a1"]
    assert [record.request_id for record in second.records] == ["a0"]


async def test_a_tenant_finds_and_reads_its_own_rows_alone(store: Store, make_exchange: MakeExchange) -> None:
    await store.append([make_exchange("mine", tenant="a"), make_exchange("theirs", tenant="b")])
    found = await RequestReader(store).find(NO_FILTER, 10, None, "a")
    assert [record.request_id for record in found.records] == ["mine"]
    with pytest.raises(NotFound):
        await show(store, "theirs", "a")
    assert (await show(store, "theirs", "b")).record.tenant == "b"


async def test_of_the_tries_of_a_request_the_latest_is_shown(
    store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange("twice", "t", status=500), make_exchange("twice", "t")])
    assert (await show(store, "twice")).record.status == 200


async def test_an_id_of_several_requests_is_refused_until_the_trace_says_which(
    store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    await store.append([make_exchange("twice", "older"), make_exchange("twice", "newer")])
    ids = {"trace_id": "older", "request_id": "twice"}
    await store.put_feedback([make_feedback("twice", target=Target.REQUEST, joined_at_us=1, **ids)])
    with pytest.raises(Ambiguous) as refused:
        await show(store, "twice")
    assert [candidate["trace_id"] for candidate in refused.value.candidates] == ["newer", "older"]
    reader = RequestReader(store)
    older, newer = [await reader.show("twice", None, trace_id) for trace_id in ("older", "newer")]
    assert (older.record.trace_id, newer.record.trace_id) == ("older", "newer")
    assert [len(logged.feedback) for logged in (older, newer)] == [1, 0]
    with pytest.raises(NotFound):
        await reader.show("twice", None, "elsewhere")


async def test_a_request_is_found_by_its_providers_response_id(
    store: Store, make_exchange: MakeExchange
) -> None:
    seqs = await store.append([make_exchange("ours", tenant="a")])
    await store.annotate([(seqs[0], Facts(response_id="chatcmpl-7"))], at_us=1)
    assert (await show(store, "chatcmpl-7", "a")).record.request_id == "ours"
    with pytest.raises(NotFound):
        await show(store, "chatcmpl-7", "b")


async def test_our_own_id_comes_before_anothers_response_id(
    store: Store, make_exchange: MakeExchange
) -> None:
    seqs = await store.append([make_exchange("same"), make_exchange("other")])
    await store.annotate([(seqs[1], Facts(response_id="same"))], at_us=1)
    assert (await show(store, "same")).record.request_id == "same"


async def test_a_compressed_body_is_readable_and_its_wire_bytes_are_kept(
    store: Store, make_exchange: MakeExchange
) -> None:
    packed = gzip.compress(b'{"answer":42}')
    await store.append([make_exchange("r", response_headers=GZIPPED, response_body=packed)])
    response = (await show(store, "r")).response
    assert response is not None
    assert (response.body, response.wire_body) == (b'{"answer":42}', packed)
    assert (response.size_bytes, response.is_truncated) == (len(packed), False)


async def test_a_body_that_does_not_decode_is_shown_as_it_is(
    store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange("r", response_headers=GZIPPED, response_body=b'{"not":"gzip"}')])
    response = (await show(store, "r")).response
    assert response is not None
    assert (response.body, response.is_truncated) == (b'{"not":"gzip"}', False)


@pytest.mark.parametrize("response_size", [3000, 4000], ids=["by the provider", "by the log"])
async def test_a_compressed_body_that_was_cut_gives_its_beginning(
    store: Store, make_exchange: MakeExchange, response_size: int
) -> None:
    text = os.urandom(4000).hex().encode()
    cut = gzip.compress(text)[:3000]
    await store.append(
        [make_exchange("r", response_headers=GZIPPED, response_body=cut, response_size=response_size)]
    )
    response = (await show(store, "r")).response
    assert response is not None
    assert response.body
    assert text.startswith(response.body)
    assert response.is_truncated


async def test_a_compressed_stream_is_put_together(store: Store, make_exchange: MakeExchange) -> None:
    headers = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"content-encoding", b"gzip"))
    await store.append([make_exchange("r", response_headers=headers, response_body=gzip.compress(STREAM))])
    reassembled = (await show(store, "r")).reassembled
    assert isinstance(reassembled, dict)
    assert reassembled["choices"][0]["message"]["content"] == "Hello"


async def test_without_a_payload_the_messages_are_missing_and_the_feedback_is_there(
    store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    await store.append([make_exchange("r", "t", payloads=PayloadPolicy.OFF, request_body=b"secret")])
    await store.put_feedback([make_feedback("r", target=Target.REQUEST, trace_id="t", request_id="r")])
    logged = await show(store, "r")
    assert (logged.request, logged.response, logged.reassembled) == (None, None, None)
    assert len(logged.feedback) == 1


async def test_of_an_omitted_side_the_message_is_missing_and_the_other_is_whole(
    store: Store, make_exchange: MakeExchange
) -> None:
    headers = ((b"content-type", b"text/event-stream"),)
    given = {"request_body": b"asked", "response_headers": headers, "response_body": STREAM}
    await store.append([make_exchange("question", opt_out=LoggingOptOut(request=True), **given)])
    await store.append([make_exchange("answer", opt_out=LoggingOptOut(response=True), **given)])
    question, answer = await show(store, "question"), await show(store, "answer")
    assert (question.request, answer.response, answer.reassembled) == (None, None, None)
    assert question.response is not None
    assert question.reassembled is not None
    assert answer.request is not None
    assert (answer.request.body, answer.request.is_truncated) == (b"asked", False)


async def test_feedback_on_the_trace_or_the_session_is_the_requests_and_that_of_other_tenants_is_not(
    store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    on_request = {"target": Target.REQUEST, "trace_id": "t", "request_id": "r"}
    in_chat = {"metadata": {"_session": "chat"}}
    await store.append([make_exchange("r", "t", tenant="a", **in_chat), make_exchange("s", "t", tenant="a")])
    await store.append([make_exchange("r", "t", tenant="b", **in_chat)])
    await store.put_feedback(
        [
            make_feedback("r", feedback_id="mine", tenant="a", **on_request),
            make_feedback("r", feedback_id="theirs", tenant="b", **on_request),
            make_feedback("s", feedback_id="beside", tenant="a", target=Target.REQUEST),
            make_feedback("t", feedback_id="on trace", tenant="a", trace_id="t"),
            make_feedback("chat", feedback_id="on session", tenant="a"),
            make_feedback("chat", feedback_id="on theirs", tenant="b"),
        ]
    )
    shown = (await show(store, "r", "a")).feedback
    assert {entry.feedback_id: entry.target for entry in shown} == {
        "mine": Target.REQUEST,
        "on trace": Target.TRACE,
        "on session": Target.SESSION,
    }
    assert [entry.feedback_id for entry in (await show(store, "s", "a")).feedback] == ["beside", "on trace"]


async def test_more_feedback_than_can_be_shown_is_refused_and_not_cut(
    store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    on_request = {"target": Target.REQUEST, "trace_id": "t", "request_id": "r"}
    await store.append([make_exchange("r", "t")])
    await store.put_feedback([make_feedback("r", **on_request) for _ in range(MAX_FEEDBACK)])
    assert len((await show(store, "r")).feedback) == MAX_FEEDBACK
    await store.put_feedback([make_feedback("r", **on_request)])
    with pytest.raises(TooLarge, match="10,000"):
        await show(store, "r")


async def test_the_payloads_of_a_page_are_read_in_one_call(
    store: Store, make_exchange: MakeExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.append([make_exchange(f"r{number}", request_body=b"%d" % number) for number in range(5)])
    calls: list[Sequence[int]] = []
    read = store.payloads

    async def payloads(seqs: Sequence[int]) -> dict[int, Payload]:
        calls.append(seqs)
        return await read(seqs)

    monkeypatch.setattr(store, "payloads", payloads)
    reader = RequestReader(store)
    rated = await reader.list_rated(NO_FILTER, Sort("seq"), Page(5), None)
    logged = await reader.read_payloads([each.record for each in rated])

    assert len(calls) == 1
    assert [each.record.seq for each in logged] == list(calls[0])
    assert sorted(each.request.body for each in logged if each.request) == [b"0", b"1", b"2", b"3", b"4"]


async def test_the_payloads_of_a_page_are_read_in_parts_where_they_are_long(
    store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange(f"r{number}", request_body=b"12345") for number in range(5)])
    records = await store.find_requests(NO_FILTER, Sort("seq"), Page(5), None)
    sizes = [each.request_size + each.response_size for each in records]

    assert [len(part) for part in batches(records, sum(sizes[:2]))] == [2, 2, 1]
    assert [len(part) for part in batches(records, 1)] == [1, 1, 1, 1, 1]
    assert [len(part) for part in batches(records, None)] == [5]
    assert list(batches([], None)) == []
