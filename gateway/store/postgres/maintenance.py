"""PostgreSQL maintenance: migrations, inspection, vacuum, daily partitions of bodies."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import date, timedelta

from psycopg.errors import CheckViolation

from gateway.errors import StoreEmpty, StoreUnavailable
from gateway.models.addresses import database_name
from gateway.models.metrics import DAY_US
from gateway.store.base import FeedbackInfo, StoreInfo
from gateway.store.feedback import inspect_feedback
from gateway.store.migrate import Database, Migration, apply_missing, is_empty, missing_migrations
from gateway.store.postgres.connection import MAINTENANCE, MIGRATING, PostgresConnection, translated_errors
from gateway.store.rows import list_from_json

_ENCODING = "SELECT getdatabaseencoding()"


def migrate_schema(connection: PostgresConnection, name: str) -> None:
    """Apply the migrations that a database lacks, all or none. Raises StoreUnavailable."""
    apply_missing(connection, _database(name), _migration_transaction(connection, name))


def require_gateway_database(connection: PostgresConnection, name: str) -> list[Migration]:
    """Return the migrations that a gateway's database lacks. Raises StoreEmpty or StoreUnavailable."""
    missing = missing_migrations(connection, _database(name))
    if is_empty(missing, _database(name)):
        raise StoreEmpty(f"the database {name} is empty.", hint="`gateway serve` makes its tables.")
    return missing


def _database(name: str) -> Database:
    table_names = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
    return Database("gateway.store.postgres", table_names, name, "Choose another database or schema.")


@contextmanager
def _migration_transaction(connection: PostgresConnection, name: str) -> Iterator[None]:
    _refuse_other_encodings(connection, name)
    connection.begin(MIGRATING)
    try:
        yield
        connection.commit()
    except BaseException:
        connection.roll_back()
        raise


def _refuse_other_encodings(connection: PostgresConnection, name: str) -> None:
    encoding = connection.execute(_ENCODING).fetchone()[0]
    if encoding != "UTF8":
        raise StoreUnavailable(
            f"the database {name} is in {encoding}, which does not hold every text.",
            hint="Create one with ENCODING 'UTF8'.",
        )


_NEWEST = "SELECT max(started_at_us) FROM requests"
_SIZE = "SELECT pg_database_size(current_database())"
_LIVE_KEYS = "SELECT roles FROM keys WHERE revoked_at_us IS NULL"


def inspect_server(url: str) -> StoreInfo:
    """Inspect a database that may be in use. Raises StoreUnavailable."""
    name = database_name(url)
    with translated_errors(name), closing(PostgresConnection(url)) as connection:
        lacking = require_gateway_database(connection, name)
        return StoreInfo(
            lacking=len(lacking),
            newest_at_us=connection.execute(_NEWEST).fetchone()[0],
            key_roles=tuple(frozenset(list_from_json(row[0])) for row in connection.execute(_LIVE_KEYS)),
            feedback=FeedbackInfo() if lacking else inspect_feedback(connection),
        )


def measure_server(url: str) -> int:
    """Return the size of a database on the server's disk in bytes. Raises StoreUnavailable."""
    with translated_errors(database_name(url)), closing(PostgresConnection(url)) as connection:
        size: int = connection.execute(_SIZE).fetchone()[0]
    return size


# Tables with personal data.
_PERSONAL_TABLES = (
    "requests", "payloads", "feedback", "feedback_versions", "receipts", "usage_rollups", "latency_rollups",
    "verdict_rollups", "people_rollups", "user_rollups", "reviews", "webhook_deliveries", "rule_matches",
    "dataset_additions",
)  # fmt: skip


def vacuum_tables(url: str) -> None:
    """Remove older versions of rows. Blocks. Raises StoreUnavailable."""
    _vacuum(url, "VACUUM")


def rewrite_tables(url: str) -> None:
    """Rewrite tables with nothing but rows. Blocks, locks each table. Raises StoreUnavailable."""
    _vacuum(url, "VACUUM FULL")


def _vacuum(url: str, command: str) -> None:
    with translated_errors(database_name(url)), closing(PostgresConnection(url)) as connection:
        for table in _PERSONAL_TABLES:
            connection.execute(f"{command} {table}")


# Partitions are created for so many days after today.
DAYS_AHEAD = 2

_SELECT_PARTITIONS = """
SELECT child.relname FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = 'payloads'::regclass
"""
_EPOCH = date(1970, 1, 1)


def create_partitions(url: str, at_us: int) -> None:
    """Create the missing partitions of today and the days after. Blocks."""
    with translated_errors(database_name(url)), closing(PostgresConnection(url)) as connection:
        existing = set(_partition_days(connection))
        for day in range(at_us // DAY_US, at_us // DAY_US + DAYS_AHEAD + 1):
            if day not in existing:
                _create_partition(connection, day)


_HAS_KEPT = """
SELECT EXISTS (
    SELECT 1 FROM rule_matches JOIN requests ON seq = request_seq
    WHERE keep_until_us > ? AND started_at_us >= ? AND started_at_us < ?
)
"""


def drop_partitions_before(url: str, before_us: int, at_us: int) -> None:
    """Drop the partitions of days that were over by then, but for those of which a rule keeps a row. Blocks."""
    with translated_errors(database_name(url)), closing(PostgresConnection(url)) as connection:
        for day in _partition_days(connection):
            start_us, end_us = day * DAY_US, (day + 1) * DAY_US
            if end_us > before_us:
                continue
            connection.begin(MAINTENANCE)
            if not connection.execute(_HAS_KEPT, (at_us, start_us, end_us)).fetchone()[0]:
                connection.execute(f"DROP TABLE IF EXISTS {_partition_name(day)}")
            connection.commit()


def _create_partition(connection: PostgresConnection, day: int) -> None:
    name, span = _partition_name(day), f"FROM ({day * DAY_US}) TO ({(day + 1) * DAY_US})"
    # Made by itself and attached, since CREATE … PARTITION OF would keep everybody from the whole table.
    statements = (
        f"CREATE TABLE IF NOT EXISTS {name} (LIKE payloads INCLUDING ALL)",
        f"ALTER TABLE payloads ATTACH PARTITION {name} FOR VALUES {span}",
    )
    connection.begin(MAINTENANCE)
    try:
        if day not in _partition_days(connection):
            # What is of this day already and lies with the rest keeps the day there.
            with suppress(CheckViolation):
                for statement in statements:
                    connection.execute(statement)
                connection.commit()
    finally:
        connection.roll_back()


def _partition_days(connection: PostgresConnection) -> Sequence[int]:
    names = [row[0] for row in connection.execute(_SELECT_PARTITIONS)]
    digits = [name.rpartition("_")[2] for name in names]
    return [(date.fromisoformat(each) - _EPOCH).days for each in digits if each.isdecimal()]


def _partition_name(day: int) -> str:
    return f"payloads_{_EPOCH + timedelta(day):%Y%m%d}"
