"""Ingestion: rows of the journal with their facts, and how far it is read, in one transaction."""

from collections.abc import Sequence
from dataclasses import replace

from gateway.errors import Conflict
from gateway.models.exchange import Exchange
from gateway.models.quota import QuotaUsage
from gateway.models.request import Facts
from gateway.store.base import JournalPosition, UsageOf
from gateway.store.database import Database
from gateway.store.dialect import Connection
from gateway.store.keys import add_quota_usage
from gateway.store.requests import exchange_size_bytes, ingest_exchanges

_POSITIONS = "SELECT segment, position FROM journal_positions"
_BEGIN = "INSERT INTO journal_positions (segment, position) VALUES (?, 0) ON CONFLICT DO NOTHING"
_ADVANCE = "UPDATE journal_positions SET position = ? WHERE segment = ? AND position = ?"
_TOUCH = "UPDATE heartbeat SET beats = beats + 1"
_FORGET = "DELETE FROM journal_positions WHERE segment = ?"


class SqlIngestion(Database):
    """Rows of the journal, and its positions."""

    async def ingest(
        self,
        rows: Sequence[tuple[Exchange, Facts]],
        position: JournalPosition | None,
        at_us: int,
        usage_of: UsageOf | None = None,
    ) -> list[tuple[int, Facts]]:
        def ingest(connection: Connection) -> list[tuple[int, Facts]]:
            if position is not None:
                _advance(connection, position)
            counted = ingest_exchanges(connection, self._packer, rows, at_us) if rows else []
            if usage_of is not None:
                used = (
                    usage_of(exchange, facts) for (exchange, _), (_, facts) in zip(rows, counted, strict=True)
                )
                add_usage(connection, [one for usage in used for one in usage])
            return counted

        return await self._writer.write(
            ingest,
            size_bytes=sum(exchange_size_bytes(exchange) for exchange, _ in rows),
            # The answer that one continues may be being stored by another node.
            is_exclusive=any(facts.previous_response_id is not None for _, facts in rows),
        )

    async def journal_positions(self) -> dict[str, int]:
        return dict(await self._primary.fetch_all(_POSITIONS))

    async def sync_positions(self, forgotten: Sequence[str] = ()) -> None:
        def forget(connection: Connection) -> None:
            # SQLite syncs only a transaction that has changed something.
            connection.execute(_TOUCH)
            connection.executemany(_FORGET, [(segment,) for segment in forgotten])

        await self._writer.write(forget, is_synced=True)


def _advance(connection: Connection, position: JournalPosition) -> None:
    for segment, after in position.after.items():
        before = position.before.get(segment, 0)
        if before == 0:
            connection.execute(_BEGIN, (segment,))
        if connection.execute(_ADVANCE, (after, segment, before)).rowcount != 1:
            raise Conflict(f"the segment {segment} of the journal was read by another process.")


def add_usage(connection: Connection, usage: Sequence[QuotaUsage]) -> None:
    """Add the usage of several rows, with one statement for each window."""
    sums: dict[tuple[str, str, str, int], QuotaUsage] = {}
    for one in usage:
        key = (one.key_name, one.unit, one.window, one.starts_at_us)
        earlier = sums.get(key)
        sums[key] = one if earlier is None else replace(one, amount=earlier.amount + one.amount)
    if sums:
        add_quota_usage(
            connection,
            sorted(
                sums.values(), key=lambda each: (each.key_name, each.unit, each.window, each.starts_at_us)
            ),
        )
