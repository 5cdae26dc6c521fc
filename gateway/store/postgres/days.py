"""Partitions of `payloads`: one for each day, in UTC, made before it begins, and dropped as a whole when too old.

The rows of requests are narrow and lie in one table: to look an id up in partitions by day takes ten times as long
with thirty of them, and thirty times with ninety, and each vote looks up ids. Bodies are found by way of their
request, whose time tells the partition.

A day is its number, counted from the epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from datetime import date, timedelta

from psycopg.errors import CheckViolation

from gateway.domain.aggregate import DAY_US
from gateway.domain.database_url import name_of
from gateway.store.postgres.connection import PostgresConnection
from gateway.store.postgres.failures import translated_errors
from gateway.store.postgres.locks import KEEPING_HOUSE

DAYS_AHEAD = 2
"""For how many days after the one at hand there are partitions beforehand."""

_PARTITIONS = """
SELECT child.relname FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = 'payloads'::regclass
"""
_EPOCH = date(1970, 1, 1)


def make_room(url: str, at_us: int) -> None:
    """Make the partitions of the day at hand and those after it, as far as they are missing. Blocks.

    Raises:
        StoreUnavailable: the server cannot be reached, or somebody has the table to himself.
    """
    with translated_errors(name_of(url)), closing(PostgresConnection(url)) as connection:
        there = set(_days(connection))
        for day in range(at_us // DAY_US, at_us // DAY_US + DAYS_AHEAD + 1):
            if day not in there:
                _make(connection, day)


def drop_before(url: str, before_us: int) -> None:
    """Drop the partitions of days that were over by then. Blocks.

    Raises:
        StoreUnavailable: the server cannot be reached, or somebody reads in the table for too long.
    """
    with translated_errors(name_of(url)), closing(PostgresConnection(url)) as connection:
        for day in _days(connection):
            if (day + 1) * DAY_US <= before_us:
                connection.begin(KEEPING_HOUSE)
                connection.execute(f"DROP TABLE IF EXISTS {_name(day)}")
                connection.commit()


def _make(connection: PostgresConnection, day: int) -> None:
    name, span = _name(day), f"FROM ({day * DAY_US}) TO ({(day + 1) * DAY_US})"
    # Made by itself and attached, since CREATE … PARTITION OF would keep everybody from the whole table.
    statements = (
        f"CREATE TABLE IF NOT EXISTS {name} (LIKE payloads INCLUDING ALL)",
        f"ALTER TABLE payloads ATTACH PARTITION {name} FOR VALUES {span}",
    )
    connection.begin(KEEPING_HOUSE)
    try:
        if day not in _days(connection):
            # What is of this day already and lies with the rest keeps the day there.
            with suppress(CheckViolation):
                for statement in statements:
                    connection.execute(statement)
                connection.commit()
    finally:
        connection.roll_back()


def _days(connection: PostgresConnection) -> Sequence[int]:
    names = [row[0] for row in connection.execute(_PARTITIONS)]
    digits = [name.rpartition("_")[2] for name in names]
    return [(date.fromisoformat(each) - _EPOCH).days for each in digits if each.isdecimal()]


def _name(day: int) -> str:
    return f"payloads_{_EPOCH + timedelta(day):%Y%m%d}"
