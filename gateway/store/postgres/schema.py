"""The tables of a database: created when there are none, upgraded when they are old, refused when not ours."""

from __future__ import annotations

from gateway.errors import StoreEmpty, StoreUnavailable
from gateway.store.migrate import Migration, apply, lacking, read_migrations
from gateway.store.postgres.connection import PostgresConnection
from gateway.store.postgres.locks import MIGRATING

_PACKAGE = "gateway.store.postgres"
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
_ENCODING = "SELECT getdatabaseencoding()"


def bring_up_to_date(connection: PostgresConnection, name: str) -> None:
    """Apply the migrations that a database lacks, all or none; other processes that open it meanwhile wait.

    Raises:
        StoreUnavailable: it is of a newer version, belongs to another program, or is not in UTF-8.
    """
    migrations = read_migrations(_PACKAGE)
    if not _lacking(connection, name, migrations):
        return
    _refuse_other_encodings(connection, name)
    connection.begin(MIGRATING)
    try:
        for migration in _lacking(connection, name, migrations):
            apply(connection, migration)
        connection.commit()
    except BaseException:
        connection.roll_back()
        raise


def refuse_foreign(connection: PostgresConnection, name: str) -> list[Migration]:
    """Return the migrations that a database of ours lacks. Raises StoreUnavailable if it is of a newer version or
    none of ours, StoreEmpty if there is nothing in it."""
    migrations = read_migrations(_PACKAGE)
    if (missing := _lacking(connection, name, migrations)) == migrations:
        raise StoreEmpty(f"the database {name} is empty.", hint="`gateway serve` makes its tables.")
    return missing


def _lacking(connection: PostgresConnection, name: str, migrations: list[Migration]) -> list[Migration]:
    tables = frozenset(row[0] for row in connection.execute(_TABLES))
    return lacking(connection, migrations, tables, name, "Choose another database or schema.")


def _refuse_other_encodings(connection: PostgresConnection, name: str) -> None:
    encoding = connection.execute(_ENCODING).fetchone()[0]
    if encoding != "UTF8":
        raise StoreUnavailable(
            f"the database {name} is in {encoding}, which does not hold every text.",
            hint="Create one with ENCODING 'UTF8'.",
        )
