"""Webhooks: endpoints and their leases, and deliveries made from changes, requests and rare events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache

from gateway.errors import Conflict, NotFound
from gateway.models.clock import format_rfc3339
from gateway.models.feedback import Feedback
from gateway.models.filters import Filter, Page, Sort
from gateway.models.request import RequestRecord
from gateway.models.webhooks import (
    FEEDBACK_EVENTS,
    MIN_FAILURES_TO_WAKE,
    Attempt,
    Delivery,
    DeliveryState,
    Event,
    EventType,
    Webhook,
    after_attempt,
)
from gateway.store.database import Database
from gateway.store.dialect import Connection, Dialect
from gateway.store.filters import select_rows
from gateway.store.named_settings import LAST_CHANGE, LAST_REQUEST, OF_TENANT, NamedSettings, place_at_end
from gateway.store.rows import (
    DELIVERY_ROWS,
    FEEDBACK_ROWS,
    REQUEST_ROWS,
    WEBHOOK_ROWS,
    clean_text,
    clean_text_or_none,
    list_to_json,
    numbers_to_json,
    to_json,
)
from gateway.store.schema import DELIVERIES, FEEDBACK, REQUESTS, quote_columns

# Returns the body of a message.
RenderFeedback = Callable[[EventType, Feedback], str]

_IN_ORDER = Sort("seq", descending=False)
# Clocks of several machines differ by less.
_CLOCK_MARGIN_US = 60_000_000
# How long a request is waited for whose facts are not read yet.
_SETTLE_US = 30_000_000

WEBHOOKS = NamedSettings("webhooks", "webhook", WEBHOOK_ROWS, owned=["webhook_deliveries"])
_LEASE = (
    "UPDATE webhooks SET owner = :owner, lease_until_us = :until WHERE webhook_id = :id"
    " AND disabled_at_us IS NULL AND (owner = :owner OR lease_until_us IS NULL OR lease_until_us < :at)"
)
_RELEASE = "UPDATE webhooks SET owner = NULL, lease_until_us = NULL WHERE webhook_id = ? AND owner = ?"
_BUSY = f"""
{WEBHOOKS.select} AS webhook
WHERE disabled_at_us IS NULL AND (lease_until_us IS NULL OR lease_until_us < :at)
    AND (paused_until_us IS NULL OR paused_until_us <= :at)
    AND (
        EXISTS (
            SELECT 1 FROM webhook_deliveries AS due
            WHERE due.webhook_id = webhook.webhook_id AND due.state = 'waiting' AND due.next_at_us <= :at
        )
        OR (events LIKE '%"feedback.%' AND feedback_position < {LAST_CHANGE})
        OR (events LIKE '%"request.%' AND request_position < {LAST_REQUEST})
    )
"""
_MOVE = {
    "feedback": "UPDATE webhooks SET feedback_position = ? WHERE webhook_id = ?",
    "requests": "UPDATE webhooks SET request_position = ? WHERE webhook_id = ?",
}
_WAITING = "SELECT count(*) FROM webhook_deliveries WHERE webhook_id = ? AND state = 'waiting'"
_DUE = f"""
SELECT {DELIVERIES.column_list} FROM webhook_deliveries
WHERE webhook_id = ? AND state = 'waiting' AND next_at_us <= ? ORDER BY next_at_us, seq LIMIT ?
"""
_WAKE = "UPDATE webhook_deliveries SET next_at_us = ? WHERE webhook_id = ? AND state = 'waiting' AND next_at_us > ?"
_ONE_DELIVERY = (
    f"SELECT {DELIVERIES.column_list} FROM webhook_deliveries WHERE delivery_id = :id AND {OF_TENANT}"
)
_UPDATE_DELIVERY = (
    "UPDATE webhook_deliveries SET state = ?, attempts = ?, next_at_us = ?, last_at_us = ?, status = ?, error = ?"
    " WHERE delivery_id = ?"
)
# Without what it was about, a message cannot be sent.
_DROP = (
    "UPDATE webhook_deliveries SET body = NULL, next_at_us = NULL,"
    f" state = CASE state WHEN '{DeliveryState.WAITING}' THEN '{DeliveryState.DROPPED}' ELSE state END WHERE"
)
EXPIRE_DELIVERIES = "DELETE FROM webhook_deliveries WHERE created_at_us < ?"
_EXPIRE_DONE = f"{EXPIRE_DELIVERIES} AND state <> '{DeliveryState.WAITING}'"
_FRONTIER = """
SELECT max(seq), count(*), min(CASE WHEN interpreted_at_us IS NULL AND ended_at_us > ? THEN seq END)
FROM (SELECT seq, interpreted_at_us, ended_at_us FROM requests WHERE seq > ? ORDER BY seq LIMIT ?) AS following
"""


@cache
def _select_subscribed(dialect: Dialect) -> str:
    return f"{WEBHOOKS.select} WHERE {dialect.json_has_element('events', '= ?')} AND (tenant IS NULL OR tenant = ?)"


@cache
def _select_changes(dialect: Dialect) -> str:
    columns, within = quote_columns(FEEDBACK.columns), "change_seq > :after AND change_seq <= :last"
    return (
        f"SELECT {columns}, change_seq FROM feedback WHERE {within} UNION ALL"
        f" SELECT {columns}, change_seq FROM feedback_versions WHERE {within} ORDER BY change_seq"
    )


def event_body(event: Event) -> str:
    """Return the payload of an event, as JSON."""
    return to_json({"type": event.type.value, "timestamp": format_rfc3339(event.at_us), "data": event.data})


def add_event(connection: Connection, event: Event) -> None:
    """Make deliveries of an event to all endpoints that subscribe to it, in the transaction of its cause."""
    values = (event.type.value, clean_text_or_none(event.tenant))
    rows = connection.execute(_select_subscribed(connection.dialect), values).fetchall()
    webhooks = [WEBHOOK_ROWS.from_row(row) for row in rows]
    insert_deliveries(connection, [_event_delivery(each, event) for each in webhooks])


def _event_delivery(webhook: Webhook, event: Event) -> Delivery:
    return Delivery(
        webhook_id=webhook.webhook_id,
        tenant=webhook.tenant,
        type=event.type,
        body=event_body(event),
        next_at_us=event.at_us,
        created_at_us=event.at_us,
    )


def add_deletions(connection: Connection, feedback_ids: Sequence[str], at_us: int) -> None:
    """Notify of entries that are about to be deleted for good; their ids are all that is sent."""
    sql = f"SELECT feedback_id, tenant FROM feedback WHERE feedback_id {connection.dialect.in_texts('?')}"
    for feedback_id, tenant in connection.execute(sql, (list_to_json(feedback_ids),)).fetchall():
        data = {"feedback_id": feedback_id, "tenant": tenant, "deleted_at": format_rfc3339(at_us)}
        add_event(connection, Event(type=EventType.FEEDBACK_DELETED, tenant=tenant, data=data, at_us=at_us))


def drop_deliveries(connection: Connection, feedback_ids: Sequence[str]) -> None:
    """Take what entries said out of all messages; those that wait are not sent."""
    names = f"feedback_id {connection.dialect.in_texts('?')}"
    connection.execute(f"{_DROP} {names}", (list_to_json(feedback_ids),))


def drop_request_deliveries(connection: Connection, seqs: Sequence[int]) -> None:
    names = f"request_seq {connection.dialect.in_numbers('?')}"
    connection.execute(f"{_DROP} {names}", (numbers_to_json(seqs),))


def insert_deliveries(connection: Connection, deliveries: Sequence[Delivery]) -> None:
    """Store new messages."""
    rows = [DELIVERY_ROWS.to_row(each)[1:] for each in deliveries]
    if rows:
        connection.insert("webhook_deliveries", DELIVERY_ROWS.columns[1:], rows)


def put_webhook(connection: Connection, webhook: Webhook) -> Webhook:
    """Store a new endpoint, which gets what happens from now on. Raises Conflict where its name is taken."""
    placed = place_at_end(connection, webhook)
    WEBHOOKS.insert(connection, placed)
    return placed


def change_webhook(
    connection: Connection, webhook_id: str, tenant: str | None, change: Callable[[Webhook], Webhook]
) -> Webhook:
    """Store an endpoint as changed; what it newly subscribes to begins now. Raises NotFound, Conflict."""
    before, after = WEBHOOKS.changed(connection, webhook_id, tenant, change)
    if not before.subscribes(*FEEDBACK_EVENTS):
        after = place_at_end(connection, after, "feedback_position")
    if not before.subscribes(EventType.REQUEST_LOGGED):
        after = place_at_end(connection, after, "request_position")
    WEBHOOKS.write(connection, after)
    return after


def queue_feedback(connection: Connection, webhook_id: str, limit: int, render: RenderFeedback) -> int:
    """Make deliveries of the next changes of feedback; return how many changes were looked at."""
    webhook = WEBHOOKS.find(connection, webhook_id)
    after = webhook.feedback_position
    last: int = min(connection.execute(f"SELECT {LAST_CHANGE}").fetchone()[0], after + limit)
    if last <= after:
        return 0
    found = connection.execute(_select_changes(connection.dialect), {"after": after, "last": last}).fetchall()
    versions = [FEEDBACK_ROWS.from_row(row[:-1]) for row in found]
    withdrawn = _withdrawn(connection, versions)
    wanted = [
        (kind, entry)
        for entry in versions
        if _is_due_to(webhook, entry)
        # What was said is not sent any more once it was withdrawn.
        if webhook.subscribes(kind := _change_type(entry))
        and (kind is EventType.FEEDBACK_DELETED or entry.feedback_id not in withdrawn)
    ]
    insert_deliveries(connection, [_feedback_delivery(webhook, *each, render) for each in wanted])
    connection.execute(_MOVE["feedback"], (last, webhook_id))
    return last - after


def _withdrawn(connection: Connection, versions: Sequence[Feedback]) -> set[str]:
    ids = list_to_json([entry.feedback_id for entry in versions])
    given = f"feedback_id {connection.dialect.in_texts('?')} AND deleted_at_us IS NOT NULL"
    return {row[0] for row in connection.execute(f"SELECT feedback_id FROM feedback WHERE {given}", (ids,))}


def _is_due_to(webhook: Webhook, entry: Feedback) -> bool:
    # What was imported from before the endpoint was made is no news.
    is_new = entry.updated_at_us >= webhook.created_at_us - _CLOCK_MARGIN_US
    return is_new and webhook.tenant in (None, entry.tenant)


def _change_type(entry: Feedback) -> EventType:
    if entry.deleted_at_us is not None:
        return EventType.FEEDBACK_DELETED
    return EventType.FEEDBACK_CREATED if entry.version == 1 else EventType.FEEDBACK_UPDATED


def _feedback_delivery(
    webhook: Webhook, kind: EventType, entry: Feedback, render: RenderFeedback
) -> Delivery:
    return Delivery(
        webhook_id=webhook.webhook_id,
        tenant=webhook.tenant,
        type=kind,
        feedback_id=entry.feedback_id,
        body=render(kind, entry),
    )


def queue_requests(
    connection: Connection, webhook_id: str, deliveries: Mapping[tuple[int, str], Delivery], position: int
) -> None:
    """Add deliveries by `seq` and `request_id` of their requests, and go on behind a position.

    A request that was erased since it was read has another id by now.
    """
    WEBHOOKS.find(connection, webhook_id)
    sql = f"SELECT seq, request_id FROM requests WHERE seq {connection.dialect.in_numbers('?')}"
    rows = connection.execute(sql, (numbers_to_json([seq for seq, _ in deliveries]),)).fetchall()
    stored = {(seq, request_id) for seq, request_id in rows}
    insert_deliveries(connection, [each for request, each in deliveries.items() if request in stored])
    connection.execute(_MOVE["requests"], (position, webhook_id))


def record_attempts(
    connection: Connection, webhook_id: str, attempts: Sequence[Attempt], jitter: float
) -> Webhook:
    """Store what attempts mean for an endpoint and its deliveries. Raises NotFound."""
    before = webhook = WEBHOOKS.find(connection, webhook_id)
    for attempt in attempts:
        values = {"id": attempt.delivery_id, "tenant": None}
        row = connection.execute(_ONE_DELIVERY, values).fetchone()
        if row is not None and row[DELIVERIES.columns.index("state")] == DeliveryState.WAITING:
            webhook, tried = after_attempt(webhook, DELIVERY_ROWS.from_row(row), attempt, jitter)
            _update_delivery(connection, tried)
    WEBHOOKS.write(connection, webhook)
    if before.failures >= MIN_FAILURES_TO_WAKE and not webhook.failures:
        at_us = max(attempt.at_us for attempt in attempts)
        connection.execute(_WAKE, (at_us, webhook_id, at_us))
    return webhook


def _update_delivery(connection: Connection, tried: Delivery) -> None:
    error = clean_text_or_none(tried.error)
    outcome = (tried.state.value, tried.attempts, tried.next_at_us, tried.last_at_us, tried.status, error)
    connection.execute(_UPDATE_DELIVERY, (*outcome, tried.delivery_id))


def resend_delivery(connection: Connection, delivery_id: str, tenant: str | None, at_us: int) -> Delivery:
    """Let a message wait again, under its id. Raises NotFound, Conflict."""
    values = {"id": clean_text(delivery_id), "tenant": clean_text_or_none(tenant)}
    row = connection.execute(_ONE_DELIVERY, values).fetchone()
    if row is None:
        raise NotFound(f"no delivery has the id {delivery_id!r}.", field="delivery_id")
    delivery = DELIVERY_ROWS.from_row(row)
    if delivery.body is None:
        raise Conflict("what the message was about was withdrawn or erased.", field="delivery_id")
    again = replace(delivery, state=DeliveryState.WAITING, attempts=0, next_at_us=at_us)
    _update_delivery(connection, again)
    return again


class SqlWebhooks(Database):
    """Endpoints and deliveries."""

    async def webhooks(self, tenant: str | None) -> list[Webhook]:
        return await WEBHOOKS.read_all(self._primary, tenant)

    async def webhook(self, webhook_id: str, tenant: str | None) -> Webhook:
        return await WEBHOOKS.read(self._primary, webhook_id, tenant)

    async def busy_webhooks(self, at_us: int) -> list[Webhook]:
        rows = await self._primary.fetch_all(_BUSY, {"at": at_us})
        return [WEBHOOK_ROWS.from_row(row) for row in rows]

    async def put_webhook(self, webhook: Webhook) -> Webhook:
        return await self._write_exclusively(put_webhook, webhook)

    async def change_webhook(
        self, webhook_id: str, tenant: str | None, change: Callable[[Webhook], Webhook]
    ) -> Webhook:
        return await self._write_exclusively(change_webhook, webhook_id, tenant, change)

    async def remove_webhook(self, webhook_id: str, tenant: str | None) -> None:
        await self._write_exclusively(WEBHOOKS.remove, webhook_id, tenant)

    async def lease_webhook(self, webhook_id: str, owner: str, at_us: int, until_us: int) -> bool:
        values = {"id": webhook_id, "owner": owner, "at": at_us, "until": until_us}
        return await self._writer.write(lambda connection: connection.execute(_LEASE, values).rowcount > 0)

    async def release_webhook(self, webhook_id: str, owner: str) -> None:
        await self._writer.write(lambda connection: connection.execute(_RELEASE, (webhook_id, owner)))

    async def queue_feedback(self, webhook_id: str, limit: int, render: RenderFeedback) -> int:
        return await self._write_exclusively(queue_feedback, webhook_id, limit, render)

    async def settled_requests(self, after: int, limit: int, at_us: int) -> int:
        values = (at_us - _SETTLE_US, after, limit)
        last, number, unread = await self._primary.fetch_one(_FRONTIER, values)
        if last is None:
            return after
        if last - after != number:
            # A number that is missing may belong to a transaction that is not committed yet; none is, in this one.
            last, _, unread = await self._write_exclusively(
                lambda connection: connection.execute(_FRONTIER, values).fetchone()
            )
        return last if unread is None else int(unread) - 1

    async def read_requests(self, where: Filter, limit: int, tenant: str | None) -> list[RequestRecord]:
        # Not from a replica, which may lack rows below the position that was found to be settled.
        query = select_rows(REQUESTS, where, _IN_ORDER, Page(limit), tenant, self._dialect)
        rows = await self._primary.read(lambda connection: connection.fetch_all(query.sql, query.values))
        return [REQUEST_ROWS.from_row(row) for row in rows]

    async def queue_requests(
        self, webhook_id: str, deliveries: Mapping[tuple[int, str], Delivery], position: int
    ) -> None:
        await self._write_exclusively(queue_requests, webhook_id, deliveries, position)

    async def waiting_deliveries(self, webhook_id: str) -> int:
        number: int = (await self._primary.fetch_one(_WAITING, (webhook_id,)))[0]
        return number

    async def due_deliveries(self, webhook_id: str, at_us: int, limit: int) -> list[Delivery]:
        rows = await self._primary.fetch_all(_DUE, (webhook_id, at_us, limit))
        return [DELIVERY_ROWS.from_row(row) for row in rows]

    async def record_attempts(self, webhook_id: str, attempts: Sequence[Attempt], jitter: float) -> Webhook:
        # A lost record only means that a message is sent twice, so it need not be on the disk.
        return await self._writer.write(
            lambda connection: record_attempts(connection, webhook_id, attempts, jitter), is_exclusive=True
        )

    async def find_deliveries(
        self, where: Filter, sort: Sort, page: Page, tenant: str | None
    ) -> list[Delivery]:
        query = select_rows(DELIVERIES, where, sort, page, tenant, self._dialect)
        rows = await self._primary.query(lambda connection: connection.fetch_all(query.sql, query.values))
        return [DELIVERY_ROWS.from_row(row) for row in rows]

    async def add_delivery(self, delivery: Delivery) -> None:
        await self._write_exclusively(insert_deliveries, [delivery])

    async def add_event(self, event: Event) -> None:
        await self._write_exclusively(add_event, event)

    async def resend_delivery(self, delivery_id: str, tenant: str | None, at_us: int) -> Delivery:
        return await self._write_exclusively(resend_delivery, delivery_id, tenant, at_us)

    async def expire_deliveries(self, before_us: int) -> None:
        await self._writer.write(lambda connection: connection.execute(_EXPIRE_DONE, (before_us,)))
