"""Alerts: rules, turns to look at them, states by group, and events, each look in one transaction."""

from collections.abc import Sequence
from dataclasses import replace

from gateway.errors import Conflict
from gateway.models.alerts import FILE_PREFIX, AlertCheck, AlertEvent, AlertRule, AlertState, EventKind
from gateway.models.filters import Filter, Page, Sort
from gateway.models.webhooks import Event, EventType
from gateway.store.database import Database
from gateway.store.dialect import Connection
from gateway.store.filters import select_rows
from gateway.store.named_settings import NamedSettings
from gateway.store.rows import (
    ALERT_CHECK_ROWS,
    ALERT_EVENT_ROWS,
    ALERT_ROWS,
    ALERT_STATE_ROWS,
    list_to_json,
)
from gateway.store.schema import ALERT_EVENTS, ALERTS, quote_columns
from gateway.store.webhooks import add_event

# A reminder is sent as what it reminds of; its `kind` tells it apart.
_NOTIFIED = {
    EventKind.FIRED: EventType.ALERT_FIRED,
    EventKind.RENOTIFIED: EventType.ALERT_FIRED,
    EventKind.RESOLVED: EventType.ALERT_RESOLVED,
}
_EVENT_COLUMNS = ALERT_EVENT_ROWS.columns[1:]


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({quote_columns(tuple(columns))}) VALUES ({', '.join('?' * len(columns))})"


_RULES = NamedSettings("alerts", "alert", ALERT_ROWS, owned=["alert_checks", "alert_states"])
# A look that is under way must not be stored after its rule was changed.
_INTERRUPT = "UPDATE alert_checks SET run = run + 1, next_at_us = 0, lease_until_us = 0 WHERE alert_id = ?"
_IS_STORED = "SELECT 1 FROM alerts WHERE alert_id = ?"
_CLAIM = """
INSERT INTO alert_checks (alert_id, run, next_at_us, lease_until_us, groups_left_out)
VALUES (:alert_id, 1, 0, :until_us, 0)
ON CONFLICT (alert_id) DO UPDATE SET run = alert_checks.run + 1, lease_until_us = excluded.lease_until_us
WHERE alert_checks.next_at_us <= :at_us AND alert_checks.lease_until_us <= :at_us
"""
_CHECK = f"SELECT {quote_columns(ALERT_CHECK_ROWS.columns)} FROM alert_checks"
_FINISH = """
UPDATE alert_checks SET next_at_us = ?, lease_until_us = 0, groups_left_out = ?, error = ?
WHERE alert_id = ? AND run = ?
"""
_DELETE_STATES = "DELETE FROM alert_states WHERE alert_id = ?"
_INSERT_STATE = f"{_insert('alert_states', ALERT_STATE_ROWS.columns)} ON CONFLICT DO NOTHING"
_INSERT_EVENT = f"{_insert('alert_events', _EVENT_COLUMNS)} ON CONFLICT (event_id) DO NOTHING"
_SEQ_OF_EVENT = "SELECT seq FROM alert_events WHERE event_id = ?"
_EVENTS_AFTER = (
    f"SELECT {quote_columns(ALERT_EVENT_ROWS.columns)} FROM alert_events WHERE seq > ? ORDER BY seq LIMIT ?"
)


def put_alert(connection: Connection, rule: AlertRule) -> None:
    """Store a version of a rule. Raises Conflict where it does not follow the stored one, or the name is taken."""
    if rule.version == 1:
        _RULES.insert(connection, rule)
    else:
        before, _ = _RULES.changed(connection, rule.alert_id, rule.tenant, lambda _: rule)
        if before.version != rule.version - 1:
            raise Conflict("the alert was changed meanwhile.", hint="Read it again.")
        _RULES.write(connection, rule)
    connection.execute(_INTERRUPT, (rule.alert_id,))


def claim_alert_check(connection: Connection, alert_id: str, at_us: int, until_us: int) -> AlertCheck | None:
    """Take the turn to look at a rule; None where none is due, or another process has it."""
    # A rule may be deleted after it was read; those of the file are not stored.
    if not (alert_id.startswith(FILE_PREFIX) or connection.execute(_IS_STORED, (alert_id,)).fetchone()):
        return None
    values = {"alert_id": alert_id, "at_us": at_us, "until_us": until_us}
    if not connection.execute(_CLAIM, values).rowcount:
        return None
    row = connection.execute(f"{_CHECK} WHERE alert_id = ?", (alert_id,)).fetchone()
    return ALERT_CHECK_ROWS.from_row(row)


def finish_alert_check(
    connection: Connection,
    check: AlertCheck,
    states: Sequence[AlertState] | None,
    events: Sequence[AlertEvent],
) -> list[AlertEvent] | None:
    """Store what a look found; None where the turn was lost."""
    found = (check.next_at_us, check.groups_left_out, check.error)
    if not connection.execute(_FINISH, (*found, check.alert_id, check.run)).rowcount:
        return None
    if states is not None:
        connection.execute(_DELETE_STATES, (check.alert_id,))
        connection.executemany(_INSERT_STATE, [ALERT_STATE_ROWS.to_row(state) for state in states])
    return [_add_event(connection, event) for event in events]


def _add_event(connection: Connection, event: AlertEvent) -> AlertEvent:
    is_new = connection.execute(_INSERT_EVENT, ALERT_EVENT_ROWS.to_row(event)[1:]).rowcount > 0
    if is_new:
        kind, data = _NOTIFIED[event.kind], _event_data(event)
        add_event(connection, Event(type=kind, tenant=event.tenant, data=data, at_us=event.at_us))
    return replace(event, seq=connection.execute(_SEQ_OF_EVENT, (event.event_id,)).fetchone()[0])


def _event_data(event: AlertEvent) -> dict[str, object]:
    names = (
        "event_id",
        "alert_id",
        "name",
        "severity",
        "kind",
        "group_by",
        "group_value",
        "measure",
        "direction",
    )
    numbers = ("threshold", "value", "low", "high", "sample")
    data = {name: getattr(event, name) for name in (*names, *numbers, "message", "description", "tenant")}
    return {**data, "window_seconds": event.window_us / 1_000_000}


def _copy_states(connection: Connection, states: Sequence[AlertState], events: Sequence[AlertEvent]) -> None:
    connection.executemany(_INSERT_STATE, [ALERT_STATE_ROWS.to_row(state) for state in states])
    connection.executemany(_INSERT_EVENT, [ALERT_EVENT_ROWS.to_row(event)[1:] for event in events])


class SqlAlerts(Database):
    """Rules of alerts, their states and events."""

    async def put_alert(self, rule: AlertRule) -> None:
        await self._write_exclusively(put_alert, rule)

    async def delete_alert(self, alert_id: str) -> bool:
        return await self._write_exclusively(_RULES.delete, alert_id)

    async def find_alerts(self, where: Filter, sort: Sort, page: Page, tenant: str | None) -> list[AlertRule]:
        query = select_rows(ALERTS, where, sort, page, tenant, self._dialect)
        return [ALERT_ROWS.from_row(row) for row in await self._primary.fetch_all(query.sql, query.values)]

    async def alert_checks(self) -> dict[str, AlertCheck]:
        checks = map(ALERT_CHECK_ROWS.from_row, await self._primary.fetch_all(_CHECK))
        return {check.alert_id: check for check in checks}

    async def alert_states(self, alert_ids: Sequence[str]) -> list[AlertState]:
        sql = (
            f"SELECT {quote_columns(ALERT_STATE_ROWS.columns)} FROM alert_states"
            f" WHERE alert_id {self._dialect.in_texts('?')} ORDER BY alert_id, group_value"
        )
        rows = await self._primary.fetch_all(sql, (list_to_json(alert_ids),))
        return [ALERT_STATE_ROWS.from_row(row) for row in rows]

    async def find_alert_events(
        self, where: Filter, sort: Sort, page: Page, tenant: str | None
    ) -> list[AlertEvent]:
        query = select_rows(ALERT_EVENTS, where, sort, page, tenant, self._dialect)
        rows = await self._primary.fetch_all(query.sql, query.values)
        return [ALERT_EVENT_ROWS.from_row(row) for row in rows]

    async def alert_events_after(self, seq: int, limit: int) -> list[AlertEvent]:
        rows = await self._primary.fetch_all(_EVENTS_AFTER, (seq, limit))
        return [ALERT_EVENT_ROWS.from_row(row) for row in rows]

    async def claim_alert_check(self, alert_id: str, at_us: int, until_us: int) -> AlertCheck | None:
        return await self._write_exclusively(claim_alert_check, alert_id, at_us, until_us)

    async def finish_alert_check(
        self, check: AlertCheck, states: Sequence[AlertState] | None, events: Sequence[AlertEvent]
    ) -> list[AlertEvent] | None:
        return await self._write_exclusively(finish_alert_check, check, states, events)

    async def copy_alert_history(self, states: Sequence[AlertState], events: Sequence[AlertEvent]) -> None:
        await self._write_exclusively(_copy_states, states, events)
