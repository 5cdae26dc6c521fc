"""Deliveries in a store of each kind: what is sent to whom, and what becomes of it when the receiver fails."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest

from gateway.alerts.declared import Declared
from gateway.alerts.webhooks import WebhookSettings
from gateway.errors import StoreUnavailable
from gateway.models.clock import now_us
from gateway.models.feedback import Kind, Source
from gateway.models.filters import NO_FILTER, Page
from gateway.models.request import ErasureScope
from gateway.models.webhooks import DeliveryState, Event, EventType, Webhook
from gateway.store.base import Store
from tests.alerts.receiver import OK, Answer, Message, Receiver
from tests.alerts.webhook_fixtures import (
    Webhooks,
    admin,
    delivery_of,
    receiver,
    store,
    store_url,
    switch,
    webhooks,
)
from tests.store.samples import FACTS, OLDEST_FIRST, exchange, feedback

__all__ = ["receiver", "store", "store_url", "webhooks"]

CREATED, UPDATED, DELETED = "feedback.created", "feedback.updated", "feedback.deleted"
WAITING, DELIVERED, DROPPED = DeliveryState.WAITING, DeliveryState.DELIVERED, DeliveryState.DROPPED


async def give(store: Store, feedback_id: str = "feedback-1", **given: Any) -> None:
    at_us = now_us()
    entry = feedback(feedback_id, created_at_us=at_us, updated_at_us=at_us, **given)
    await store.put_feedback([entry])


async def log_request(store: Store, request_id: str, **given: Any) -> int:
    [seq] = await store.append([exchange(request_id, **given)])
    await store.annotate([(seq, FACTS)], now_us())
    return seq


async def test_feedback_is_sent_with_each_of_its_versions_and_without_its_texts(
    store: Store, webhooks: Webhooks, receiver: Receiver
) -> None:
    await give(store, "before")
    made = await webhooks.create(f"{receiver.url}/hook?a=1", CREATED, UPDATED, DELETED)
    await give(store, comment="a secret comment", kind=Kind.COMMENT, source=Source.HUMAN, author="ann")
    await give(store, version=2, score=-1.0, value=-10, comment="another", metadata={"team": "x"})
    await webhooks.deliver()
    sent = sorted(receiver.messages, key=lambda each: int(each.json["data"]["version"]))
    assert [(each.type, each.path) for each in sent] == [(CREATED, "/hook?a=1"), (UPDATED, "/hook?a=1")]
    first, second = (each.verified_by(made.secret)["data"] for each in sent)
    assert (first["feedback_id"], first["version"], first["author"]) == ("feedback-1", 1, "ann")
    assert (second["version"], second["score"], second["metadata"]) == (2, -1.0, {"team": "x"})
    assert not {"comment", "raw", "edited_text"} & {*first, *second}
    assert [each.state for each in await webhooks.deliveries()] == [DELIVERED, DELIVERED]
    await give(store, version=3, deleted_at_us=now_us(), comment="another")
    await webhooks.deliver()
    assert receiver.messages[2].json["data"].keys() == {
        "feedback_id", "tenant", "subject_id", "trace_id", "request_id", "session", "version", "deleted_at",
    }  # fmt: skip
    # Nothing is left that could be sent again.
    assert [each.body for each in await webhooks.deliveries()][:2] == [None, None]


async def test_what_was_withdrawn_or_erased_while_it_waited_is_not_sent(
    store: Store, webhooks: Webhooks, receiver: Receiver
) -> None:
    receiver.script = lambda message, before: Answer(500) if before == 0 else OK
    made = await webhooks.create(receiver.url, CREATED, "request.logged", DELETED)
    await give(store, "tried")
    await webhooks.deliver()
    assert [each.state for each in await webhooks.deliveries()] == [WAITING]
    await give(store, "tried", version=2, deleted_at_us=now_us())
    # This one is withdrawn before anything was made of it.
    await give(store, "withdrawn")
    await give(store, "withdrawn", version=2, deleted_at_us=now_us())
    await give(store, "gone for good")
    await store.remove_feedback("gone for good")
    seq = await log_request(store, "r-1")
    await webhooks.service.change(made.webhook_id, switch(True), admin())
    await store.queue_requests(made.webhook_id, {(seq, "another by now"): delivery_of(made, seq)}, seq)
    await webhooks.deliver()
    sent = [(each.type, each.json["data"]["feedback_id"]) for each in receiver.messages[1:]]
    assert sorted(sent) == [(DELETED, "gone for good"), (DELETED, "tried"), (DELETED, "withdrawn")]
    assert (await webhooks.deliveries())[0].state is DROPPED


async def test_requests_are_sent_once_they_are_read_and_of_the_endpoints_tenant(
    store: Store, webhooks: Webhooks, receiver: Receiver
) -> None:
    wanted = {"metadata.team": "red", "model": "gpt-4o-2024-08-06"}
    await webhooks.create(f"{receiver.url}/north", "request.logged", tenant="north", filters=wanted)
    await webhooks.create(f"{receiver.url}/all", "request.logged", CREATED, include=["texts"])
    red = {"team": "red"}
    at_us = now_us()
    for request_id, tenant, tags in (("a", "north", red), ("b", "south", red), ("c", "north", {})):
        await log_request(store, request_id, tenant=tenant, metadata=tags, started_at_us=at_us)
    await store.append([exchange("unread", started_at_us=at_us)])
    await webhooks.deliver()
    north = [each.json["data"] for each in receiver.messages if each.path == "/north"]
    assert [(row["request_id"], row["tenant"], row["cost_usd"]) for row in north] == [("a", "north", 0.00125)]
    assert "question" not in north[0]
    everything = [each.json["data"] for each in receiver.messages if each.path == "/all"]
    assert sorted(row["request_id"] for row in everything) == ["a", "b", "c"]
    assert everything[0]["question"] == ""
    await give(store, tenant="south")
    await webhooks.deliver()
    assert [each.path for each in receiver.messages[4:]] == ["/all"]


async def test_a_rare_event_becomes_messages_with_its_cause(
    store: Store, webhooks: Webhooks, receiver: Receiver
) -> None:
    for path, tenant in (("/all", None), ("/north", "north"), ("/south", "south")):
        await webhooks.create(receiver.url + path, "alert.fired", tenant=tenant)
    at_us = now_us()
    await store.add_event(
        Event(type=EventType.ALERT_FIRED, tenant="north", data={"alert": "slow", "value": 2.5}, at_us=at_us)
    )
    await webhooks.deliver()
    assert sorted(each.path for each in receiver.messages) == ["/all", "/north"]
    assert receiver.messages[0].json["data"] == {"alert": "slow", "value": 2.5}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(500), "the receiver answered 500."),
        (Answer(302, {"location": "http://127.0.0.1:9/"}), "redirects are not followed"),
        (Answer(503, {"retry-after": "7200"}), "the receiver answered 503."),
        (None, "within 0.3 s"),
    ],
)
async def test_a_failure_is_retried_later_under_the_same_id(
    store: Store, receiver: Receiver, answer: Answer | None, error: str
) -> None:
    webhooks = Webhooks(store, seconds=20.0 if answer else 0.3)
    over = threading.Event()

    def script(message: Message, before: int) -> Answer:
        if before:
            return OK
        if answer is None:
            over.wait(5)
        return answer or OK

    receiver.script = script
    made = await webhooks.create(receiver.url, CREATED)
    await give(store)
    await webhooks.deliver()
    over.set()
    [failed] = await webhooks.deliveries()
    assert failed.state is WAITING
    assert error in str(failed.error)
    pause_us = (failed.next_at_us or 0) - (failed.last_at_us or 0)
    least = 7200 if answer is not None and answer.headers.get("retry-after") else 5
    assert least * 1_000_000 <= pause_us <= least * 1_100_000
    shown = await webhooks.service.show(made.webhook_id, admin())
    assert shown.failing_since_us == failed.last_at_us
    # Somebody does not want to wait.
    await webhooks.service.resend(failed.delivery_id, admin())
    await webhooks.service.change(made.webhook_id, switch(True), admin())
    await webhooks.deliver()
    assert [each.id for each in receiver.messages] == [failed.delivery_id] * 2
    assert receiver.messages[0].body == receiver.messages[1].body
    assert (await webhooks.deliveries())[0].state is DELIVERED
    await webhooks.runner.close()


async def test_gone_disables_and_what_comes_meanwhile_is_sent_once_it_is_enabled(
    webhooks: Webhooks, store: Store, receiver: Receiver
) -> None:
    receiver.script = lambda message, before: Answer(410) if before == 0 else OK
    made = await webhooks.create(receiver.url, CREATED)
    await give(store, "first")
    await webhooks.deliver()
    shown = await webhooks.service.show(made.webhook_id, admin())
    assert shown.disabled_reason == "the receiver answered 410 Gone."
    await give(store, "second")
    await webhooks.deliver()
    assert len(receiver.messages) == 1
    # It has moved.
    await webhooks.service.change(made.webhook_id, replace(switch(True), url=f"{receiver.url}/new"), admin())
    [first] = await webhooks.deliveries()
    await webhooks.service.resend(first.delivery_id, admin())
    await webhooks.deliver()
    sent = [(each.path, each.json["data"]["feedback_id"]) for each in receiver.messages[1:]]
    assert sorted(sent) == [("/new", "first"), ("/new", "second")]


async def test_a_new_secret_signs_beside_the_old_one(
    webhooks: Webhooks, store: Store, receiver: Receiver
) -> None:
    made = await webhooks.create(receiver.url, CREATED)
    rotated = await webhooks.service.rotate(made.webhook_id, admin())
    await webhooks.service.test(made.webhook_id, admin())
    await webhooks.deliver()
    [message] = receiver.messages
    for secret in (made.secret, rotated.secret):
        assert message.verified_by(secret)["type"] == "webhook.test"
    assert rotated.secrets((rotated.old_secret_until_us or 0) + 1) == (rotated.secret,)


async def test_erasure_of_a_request_takes_it_out_of_messages(
    webhooks: Webhooks, store: Store, receiver: Receiver
) -> None:
    await webhooks.create(receiver.url, "request.logged")
    seq = await log_request(store, "r-1", metadata={"_user": "ann"}, started_at_us=now_us())
    await webhooks.deliver()
    assert '"ann"' in str((await webhooks.deliveries())[0].body)
    await store.erase(ErasureScope((seq,)), now_us())
    assert [(each.state, each.body) for each in await webhooks.deliveries()] == [(DELIVERED, None)]


async def test_two_processes_do_not_serve_one_endpoint(
    webhooks: Webhooks, store: Store, receiver: Receiver
) -> None:
    other = Webhooks(store)
    await webhooks.create(receiver.url, CREATED)
    for number in range(30):
        await give(store, f"feedback-{number}")
    await webhooks.runner.look()
    await other.runner.look()
    await webhooks.runner.settle()
    await other.runner.settle()
    await other.runner.close()
    ids = [each.json["data"]["feedback_id"] for each in receiver.messages]
    assert sorted(ids) == sorted(f"feedback-{number}" for number in range(30))


async def test_numbers_of_deleted_entries_are_not_given_again(
    webhooks: Webhooks, store: Store, receiver: Receiver
) -> None:
    await webhooks.create(receiver.url, CREATED)
    await give(store, "first")
    await webhooks.deliver()
    await store.remove_feedback("first")
    await give(store, "second")
    await webhooks.deliver()
    assert [each.json["data"]["feedback_id"] for each in receiver.messages] == ["first", "second"]
    assert len(await store.find_feedback(NO_FILTER, OLDEST_FIRST, Page(10), None)) == 1


async def test_an_endpoint_of_the_file_is_stored_once_the_database_is_back(
    store: Store, webhooks: Webhooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    settings = WebhookSettings(url="https://93.184.216.34/", events=["export.done"], secret=secret)
    webhooks.runner.declared = {"crm": Declared(None, settings)}

    async def fail(webhook: Webhook) -> Webhook:
        raise StoreUnavailable("the database is away.")

    with monkeypatch.context() as patched:
        patched.setattr(store, "put_webhook", fail)
        with pytest.raises(StoreUnavailable):
            await webhooks.runner.look()
    await webhooks.runner.look()
    assert [each.name for each in await store.webhooks(None)] == ["crm"]
    assert webhooks.runner.declared is None
