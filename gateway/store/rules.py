"""Rules: how far each has gone, and its actions on requests, in one transaction with its position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from gateway.models.feedback import Feedback, Kind, Source, Target
from gateway.models.ids import content_id
from gateway.models.rules import Rule, RuleCursor, RuleMatch
from gateway.models.webhooks import Delivery, EventType
from gateway.store.database import Database
from gateway.store.dialect import Connection, Dialect
from gateway.store.feedback import put_feedback
from gateway.store.named_settings import LAST_CHANGE, LAST_REQUEST, NamedSettings, place_at_end
from gateway.store.rows import RULE_ROWS, clean_text, numbers_to_json
from gateway.store.webhooks import insert_deliveries

DIALECT = "rule"

RULES = NamedSettings("rules", "rule", RULE_ROWS, owned=["rule_matches"])
_BUSY = f"""
{RULES.select} WHERE disabled_at_us IS NULL AND (
    feedback_position < {LAST_CHANGE} OR request_position < {LAST_REQUEST} OR backfill_position IS NOT NULL
)
"""
_INSERT_MATCH = """
INSERT INTO rule_matches (
    rule_id, rule_version, request_seq, rule, is_review, matched_at_us, delete_at_us, keep_until_us
) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_INSERT_ADDITION = """
INSERT INTO dataset_additions (dataset_id, request_seq, added_at_us)
SELECT dataset_id, ?, ? FROM datasets WHERE dataset_id = ? ON CONFLICT DO NOTHING
"""
_COUNT_MATCHES = "SELECT rule_id, count(*) FROM rule_matches GROUP BY rule_id"
_CHANGED_REQUESTS = """
SELECT DISTINCT request_seq FROM feedback
WHERE change_seq > ? AND change_seq <= ? AND request_seq IS NOT NULL ORDER BY request_seq
"""
_HAS_WEBHOOK = "SELECT 1 FROM webhooks WHERE webhook_id = ?"


@cache
def _select_present(dialect: Dialect) -> str:
    return f"SELECT seq, request_id FROM requests WHERE seq {dialect.in_numbers('?')}"


def put_rule(connection: Connection, rule: Rule) -> Rule:
    """Store a new rule, which acts on what comes from now on. Raises Conflict where its name is taken."""
    placed = place_at_end(connection, rule)
    RULES.insert(connection, placed)
    return placed


def change_rule(
    connection: Connection, rule_id: str, tenant: str | None, change: Callable[[Rule], Rule]
) -> Rule:
    """Store a rule as changed. Raises NotFound, Conflict."""
    before, after = RULES.changed(connection, rule_id, tenant, change)
    if before.disabled_at_us is not None and after.disabled_at_us is None:
        # What came while it was disabled is for a backfill.
        after = place_at_end(connection, after)
    RULES.write(connection, after)
    return after


def apply_rule(
    connection: Connection,
    read: Rule,
    cursor: RuleCursor,
    position: int,
    matches: Sequence[RuleMatch],
    at_us: int,
) -> bool:
    """Act on the requests up to a position, unless another process did, or the rule is another by now."""
    rule = RULES.find(connection, read.rule_id)
    was_at, is_at = getattr(read, cursor.value), getattr(rule, cursor.value)
    if rule.disabled_at_us is not None or rule.version != read.version or is_at != was_at:
        return False
    _act(connection, rule, _new_matches(connection, rule, matches, at_us), at_us)
    is_over = cursor is RuleCursor.BACKFILL and position >= (rule.backfill_end or 0)
    moved: dict[str, Any] = {cursor.value: None if is_over else position}
    RULES.write(connection, replace(rule, **moved))
    return True


def _new_matches(
    connection: Connection, rule: Rule, matches: Sequence[RuleMatch], at_us: int
) -> list[RuleMatch]:
    seqs = numbers_to_json([match.record.seq for match in matches])
    # A request that was erased since it was read has another id by now.
    stored = {(seq, name) for seq, name in connection.execute(_select_present(connection.dialect), (seqs,))}
    new = []
    for match in matches:
        record = match.record
        if (record.seq, record.request_id) not in stored:
            continue
        identity = (rule.rule_id, rule.version, record.seq, clean_text(rule.name), rule.review)
        row = (*identity, at_us, rule.delete_at_us(record), rule.keep_until_us(record))
        if connection.execute(_INSERT_MATCH, row).rowcount > 0:
            new.append(match)
    return new


def _act(connection: Connection, rule: Rule, matches: Sequence[RuleMatch], at_us: int) -> None:
    if rule.label is not None and matches:
        put_feedback(connection, [_label(rule, match, at_us) for match in matches], None)
    if rule.dataset_id is not None:
        rows = [(match.record.seq, at_us, rule.dataset_id) for match in matches]
        connection.executemany(_INSERT_ADDITION, rows)
    if rule.webhook_id is not None and connection.execute(_HAS_WEBHOOK, (rule.webhook_id,)).fetchone():
        insert_deliveries(connection, [_message(rule, rule.webhook_id, match, at_us) for match in matches])


def _label(rule: Rule, match: RuleMatch, at_us: int) -> Feedback:
    record = match.record
    return Feedback(
        feedback_id=content_id(f"{rule.rule_id}.{rule.version}.{record.seq}".encode()),
        tenant=record.tenant,
        subject_id=record.request_id,
        target=Target.REQUEST,
        trace_id=record.trace_id,
        request_id=record.request_id,
        joined_at_us=at_us,
        kind=Kind.CUSTOM,
        label=rule.label,
        source=Source.CODE,
        metadata={"rule": rule.name, "rule_version": rule.version},
        dialect=DIALECT,
        raw="{}",
        created_at_us=at_us,
        updated_at_us=at_us,
    )


def _message(rule: Rule, webhook_id: str, match: RuleMatch, at_us: int) -> Delivery:
    return Delivery(
        webhook_id=webhook_id,
        tenant=rule.tenant,
        type=EventType.RULE_MATCHED,
        request_seq=match.record.seq,
        body=match.body,
        next_at_us=at_us,
        created_at_us=at_us,
    )


class SqlRules(Database):
    """Rules and what they matched."""

    async def rules(self, tenant: str | None) -> list[Rule]:
        return await RULES.read_all(self._primary, tenant)

    async def rule(self, rule_id: str, tenant: str | None) -> Rule:
        return await RULES.read(self._primary, rule_id, tenant)

    async def busy_rules(self) -> list[Rule]:
        return [RULE_ROWS.from_row(row) for row in await self._primary.fetch_all(_BUSY)]

    async def count_matches(self) -> dict[str, int]:
        return dict(await self._primary.fetch_all(_COUNT_MATCHES))

    async def put_rule(self, rule: Rule) -> Rule:
        return await self._write_exclusively(put_rule, rule)

    async def change_rule(self, rule_id: str, tenant: str | None, change: Callable[[Rule], Rule]) -> Rule:
        return await self._write_exclusively(change_rule, rule_id, tenant, change)

    async def remove_rule(self, rule_id: str, tenant: str | None) -> None:
        await self._write_exclusively(RULES.remove, rule_id, tenant)

    async def changed_requests(self, after: int, limit: int) -> tuple[int, list[int]]:
        # Numbers are given in the order of commits, so none below the last can still appear.
        last: int = (await self._primary.fetch_one(f"SELECT {LAST_CHANGE}"))[0]
        position = max(after, min(last, after + limit))
        rows = await self._primary.fetch_all(_CHANGED_REQUESTS, (after, position))
        return position, [row[0] for row in rows]

    async def apply_rule(
        self, rule: Rule, cursor: RuleCursor, position: int, matches: Sequence[RuleMatch], at_us: int
    ) -> bool:
        return await self._write_exclusively(apply_rule, rule, cursor, position, matches, at_us)
