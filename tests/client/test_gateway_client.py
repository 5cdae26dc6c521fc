from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.client import (
    Conflict,
    FeedbackEntry,
    Forbidden,
    GatewayClient,
    InvalidRequest,
    NotFound,
    Unauthorized,
)
from tests.client.chat_calls import ask
from tests.gateway_process import RunningGateway


def test_feedback_is_found_on_its_trace(gateway: RunningGateway, client: GatewayClient) -> None:
    ask(gateway.url, "judged")
    receipt = client.feedback.create(trace_id="judged", value=5, weight=0.5, metadata={"_user": "ann"})

    trace = client.traces.get("judged")

    assert [request.trace_id for request in trace.requests] == ["judged"]
    (entry,) = trace.feedback
    assert entry.feedback_id == receipt.feedback_id
    assert (entry.value, entry.weight, entry.author) == (5, 0.5, "ann")
    assert entry.metadata == {"_user": "ann"}
    assert abs(datetime.now(UTC) - entry.created_at) < timedelta(minutes=1)
    assert (trace.score.count, trace.score.weighted_mean) == (1, 0.5)


def test_what_became_of_feedback_is_told(gateway: RunningGateway, client: GatewayClient) -> None:
    ask(gateway.url, "said")

    given = client.feedback.give("said", thumb="down", comment="Too long", author="bob", metadata={"page": 1})
    early, late = client.feedback.give_many([{"id": "said", "rating": 4}, {"id": "typo", "label": "odd"}])

    assert (given.joined, given.target, given.trace_id, given.note) == (True, "trace", "said", None)
    assert (early.joined, late.joined, late.target) == (True, False, None)
    assert "waits" in (late.note or "")
    (entry, _) = client.traces.get("said").feedback
    assert (entry.score, entry.comment, entry.author, entry.metadata) == (-1, "Too long", "bob", {"page": 1})
    again = client.feedback.give("said", rating=1, idempotency_key="once")
    assert client.feedback.give("said", rating=1, idempotency_key="once") == again
    with pytest.raises(InvalidRequest, match="one score"):
        client.feedback.give("said", thumb="up", rating=1)


def test_a_trace_id_may_hold_what_has_a_meaning_in_urls(client: GatewayClient) -> None:
    trace_id = "team/a b?c#d%2F&ü"
    client.feedback.create(trace_id=trace_id, value=1)
    assert client.traces.get(trace_id).feedback[0].subject_id == trace_id


def test_many_entries_are_stored_in_their_order(client: GatewayClient) -> None:
    entries = [FeedbackEntry(trace_id="many", value=value) for value in (3, -3, 0)]
    receipt = client.feedback.create_many(entries)
    stored = {entry.feedback_id: entry.value for entry in client.traces.get("many").feedback}
    assert [stored[feedback_id] for feedback_id in receipt.feedback_ids] == [3, -3, 0]


def test_of_many_entries_with_a_bad_one_none_is_stored(client: GatewayClient) -> None:
    entries = [FeedbackEntry(trace_id="none", value=1), FeedbackEntry(trace_id="none", value=11)]
    with pytest.raises(InvalidRequest, match=r"\[1\]\.value") as refusal:
        client.feedback.create_many(entries)
    assert refusal.value.status == 400
    with pytest.raises(NotFound):
        client.traces.get("none")


def test_an_update_changes_only_what_it_names(client: GatewayClient) -> None:
    created = client.feedback.create(trace_id="changed", value=5, weight=0.5, metadata={"a": 1})
    client.feedback.update(created.feedback_id, value=-5)
    (entry,) = client.traces.get("changed").feedback
    assert (entry.value, entry.weight, entry.metadata, entry.version) == (-5, 0.5, {"a": 1}, 2)


def test_the_same_idempotency_key_stores_once(client: GatewayClient) -> None:
    receipts = [client.feedback.create(trace_id="once", value=1, idempotency_key="my key") for _ in range(2)]
    assert receipts[0] == receipts[1]
    assert len(client.traces.get("once").feedback) == 1
    with pytest.raises(Conflict, match="Idempotency-Key"):
        client.feedback.create(trace_id="once", value=2, idempotency_key="my key")


def test_two_equal_calls_without_a_key_are_two_entries(client: GatewayClient) -> None:
    for _ in range(2):
        client.feedback.create(trace_id="twice", value=1)
    assert len(client.traces.get("twice").feedback) == 2


def test_a_request_is_read_back_with_its_bodies(gateway: RunningGateway, client: GatewayClient) -> None:
    reply = ask(gateway.url, "read back")
    detail = client.requests.get(reply.headers["helicone-id"])
    assert detail.request is not None
    assert detail.response is not None
    assert detail.request.body.content == {
        "model": "demo",
        "messages": [{"role": "user", "content": "Hello"}],
    }
    assert detail.response.body.content == reply.json()
    assert detail.response.reassembled is None
    assert ("content-type", "application/json") in {
        (header.name.lower(), header.value) for header in detail.request.headers
    }


def test_a_stream_is_read_back_whole(gateway: RunningGateway, client: GatewayClient) -> None:
    reply = ask(gateway.url, "streamed", stream=True)
    detail = client.requests.get(reply.headers["helicone-id"])
    assert detail.is_stream
    assert detail.response is not None
    assert detail.response.body.content == reply.text
    assert isinstance(detail.response.reassembled, dict)
    assert detail.response.reassembled["object"] == "chat.completion"


def test_find_walks_through_all_pages(gateway: RunningGateway, client: GatewayClient) -> None:
    received = [ask(gateway.url, "paged").headers["helicone-id"] for _ in range(5)]
    found = [request.request_id for request in client.requests.find(trace_id="paged", page_size=2)]
    assert found == received[::-1]


def test_find_takes_every_filter(gateway: RunningGateway, client: GatewayClient) -> None:
    since = datetime.now(UTC)
    received = ask(gateway.url, "filtered").headers["helicone-id"]
    fitting = client.requests.find(
        trace_id="filtered", request_id=received, provider="demo", status=200, outcome="complete", user="ann",
        endpoint="chat.completions", since=since, until=since + timedelta(hours=1), metadata={"plan": "gold"},
    )  # fmt: skip
    assert [request.request_id for request in fitting] == [received]
    assert not list(client.requests.find(trace_id="filtered", status="4xx"))
    assert not list(client.requests.find(trace_id="filtered", until=since))
    client.feedback.give(received, thumb="down", label="long", comment="Too long")
    judged = client.requests.find(
        trace_id="filtered", rating="bad", min_score=-1, max_score=-0.5, has_feedback=True, label="long",
        comment="too",
    )  # fmt: skip
    assert [request.mean_score for request in judged] == [-1]
    assert not list(client.requests.find(trace_id="filtered", rating="good"))
    assert not list(client.requests.find(trace_id="filtered", metadata={"plan": "free"}))


def test_a_time_without_a_zone_is_refused_before_anything_is_sent(client: GatewayClient) -> None:
    with pytest.raises(ValueError, match="time zone"):
        next(client.requests.find(since=datetime(2026, 1, 1)))


def test_an_unknown_trace_is_not_found(client: GatewayClient) -> None:
    with pytest.raises(NotFound, match="unheard of") as refusal:
        client.traces.get("unheard of")
    assert refusal.value.status == 404


def test_the_key_decides_what_may_be_done(tmp_path: Path) -> None:
    config = {"keys": [{"name": "voter", "key": "gw-voter-key-of-this-test", "role": "feedback"}]}
    with RunningGateway(tmp_path, config, arguments=("--demo",)) as gateway:
        with GatewayClient(gateway.url) as stranger, pytest.raises(Unauthorized):
            stranger.feedback.create(trace_id="t", value=1)
        with GatewayClient(gateway.url, api_key="gw-voter-key-of-this-test") as voter:
            assert voter.feedback.create(trace_id="t", value=1).feedback_id
            with pytest.raises(Forbidden, match="read"):
                voter.traces.get("t")


def test_groups_of_requests_are_compared(gateway: RunningGateway, client: GatewayClient) -> None:
    for name, score in (("one", 1.0), ("two", -1.0)):
        ask(gateway.url, name)
        client.feedback.give(name, score=score, author=f"author of {name}")

    found = client.compare("provider", since=datetime.now(UTC) - timedelta(hours=1))

    (arm,) = found.arms
    # Other tests use this gateway too.
    assert (arm.people >= 2, arm.mean_score is not None, found.pairs) == (True, True, ())
    assert found.summary.endswith("there is nothing to compare.")
    assert len(client.compare("status", [200, 500]).arms) == 2
    with pytest.raises(InvalidRequest, match="colour"):
        client.compare("colour")


def test_an_overview_has_numbers_and_a_series(gateway: RunningGateway, client: GatewayClient) -> None:
    ask(gateway.url, "seen")
    found = client.overview()
    assert found.total.requests >= 1
    assert sum(point.requests for point in found.series) == found.total.requests
    assert found.interval_seconds == 6 * 3600


def test_reviews_are_made_found_and_compared(gateway: RunningGateway, client: GatewayClient) -> None:
    ask(gateway.url, "reviewed")
    [request] = client.requests.find(trace_id="reviewed")
    taken = client.reviews.reserve_next(trace_id="reviewed")
    assert taken is not None
    assert (taken.request.request_id, taken.review.state) == (request.request_id, "reserved")
    assert client.reviews.reserve_next(trace_id="reviewed") is None
    done = client.reviews.change(request.request_id, "reviewed", note="fine")
    assert done is not None
    assert client.requests.get(request.request_id).review == done
    assert [each.request_id for each in client.requests.find(reviewed=True)] == [request.request_id]
    assert list(client.reviews.find(page_size=1, reviewer=done.reviewer)) == [done]
    with pytest.raises(Conflict, match="was reviewed by"):
        client.reviews.change(request.request_id, "reserved")
    for author, score in (("ann", 1), ("ben", 0.5)):
        client.feedback.give("reviewed", score=score, author=author)
    people = client.reviews.compare_scores(trace_id="reviewed").people
    assert [(pair.people, pair.same_sign.value) for pair in people.pairs] == [(("ann", "ben"), 1.0)]
    assert client.reviews.change(request.request_id, "open") is None
