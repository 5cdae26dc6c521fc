"""Imported requests: which of them are stored already, and storing the rest."""

from collections.abc import Iterable, Sequence
from typing import Any

from gateway.models.exchange import Exchange
from gateway.models.request import Facts
from gateway.store.body_codecs import Packer
from gateway.store.database import Database
from gateway.store.dialect import Connection, Dialect
from gateway.store.filters import Query
from gateway.store.requests import append_exchanges, exchange_size_bytes, ingest_exchanges
from gateway.store.rows import clean_text, clean_text_or_none, list_to_json, numbers_to_json


def find_missing(connection: Connection, exchanges: Sequence[Exchange]) -> list[int]:
    """Return the positions of exchanges that are not stored; of duplicates only the first."""
    query = _same_requests_query(exchanges, connection.dialect)
    return _missing_positions(exchanges, connection.execute(query.sql, query.values))


def _same_requests_query(exchanges: Sequence[Exchange], dialect: Dialect) -> Query:
    identities = {_identity_of(exchange) for exchange in exchanges}
    # Times are no help to find few rows: all of a batch may be close together.
    started = f"{dialect.without_index('started_at_us')} {dialect.in_numbers('?')}"
    return Query(
        "SELECT request_id, started_at_us, tenant FROM requests"
        f" WHERE request_id {dialect.in_texts('?')} AND {started}",
        (
            list_to_json([request_id for request_id, _, _ in identities]),
            numbers_to_json([start for _, start, _ in identities]),
        ),
    )


def _missing_positions(exchanges: Sequence[Exchange], stored: Iterable[Sequence[Any]]) -> list[int]:
    positions: dict[tuple[str, int, str | None], int] = {}
    for position, exchange in enumerate(exchanges):
        positions.setdefault(_identity_of(exchange), position)
    for request_id, started_at_us, tenant in stored:
        positions.pop((request_id, started_at_us, tenant), None)
    return list(positions.values())


def append_missing(
    connection: Connection,
    packer: Packer,
    imported: Sequence[tuple[Exchange, Facts | None]],
    at_us: int,
) -> int:
    """Store those that are missing, with their facts as far as they are known, and return their number."""
    new = [imported[place] for place in find_missing(connection, [exchange for exchange, _ in imported])]
    ingest_exchanges(connection, packer, [(each, facts) for each, facts in new if facts is not None], at_us)
    append_exchanges(connection, packer, [each for each, facts in new if facts is None])
    return len(new)


def _identity_of(exchange: Exchange) -> tuple[str, int, str | None]:
    tenant = clean_text_or_none(exchange.tenant)
    return clean_text(exchange.identity.request_id), exchange.started_at_us, tenant


class SqlImports(Database):
    """Requests of other logs, each stored once."""

    async def missing(self, exchanges: Sequence[Exchange]) -> list[int]:
        query = _same_requests_query(exchanges, self._dialect)
        return _missing_positions(exchanges, await self._primary.fetch_all(query.sql, query.values))

    async def append_missing(self, imported: Sequence[tuple[Exchange, Facts | None]], at_us: int) -> int:
        if not imported:
            return 0
        size = sum(exchange_size_bytes(exchange) for exchange, _ in imported)
        return await self._writer.write(
            lambda connection: append_missing(connection, self._packer, imported, at_us),
            size_bytes=size,
            is_exclusive=True,
        )
