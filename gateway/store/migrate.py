"""Numbered .sql files, applied once each and recorded in the table `migrations`."""

# yoyo-migrations records a migration in another transaction than the one that applies it, its lock must be removed
# by hand after a kill, and it does not notice a database of a newer version. Here all pending files and their
# records are one transaction, under the database's own write lock.

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.resources import files

from gateway.errors import StoreUnavailable
from gateway.store.dialect import SupportsExecute


@dataclass(frozen=True, slots=True)
class Migration:
    """A file: its number, name and statements."""

    number: int
    name: str
    statements: tuple[str, ...]


def read_migrations(package: str) -> list[Migration]:
    """Return the migrations in the folder `migrations` of a package, by number."""
    folder = files(package) / "migrations"
    statements = (file for file in folder.iterdir() if file.name.endswith(".sql"))
    migrations = (_parse(file.name, file.read_text("utf-8")) for file in statements)
    return sorted(migrations, key=lambda migration: migration.number)


def pending_migrations(migrations: Sequence[Migration], applied: Iterable[int]) -> list[Migration]:
    """Return the migrations that were not applied. Raises StoreUnavailable for a newer version."""
    done = set(applied)
    if unknown := done - {migration.number for migration in migrations}:
        raise StoreUnavailable(
            f"the database was written by a newer version: its migration {max(unknown):04} is unknown here.",
            hint="Run that version, or restore a backup made with this one.",
        )
    return [migration for migration in migrations if migration.number not in done]


def applied_numbers(connection: SupportsExecute) -> list[int]:
    """Return the numbers of the recorded migrations."""
    return [row[0] for row in connection.execute("SELECT number FROM migrations ORDER BY number")]


@dataclass(frozen=True, slots=True)
class Database:
    """A database to migrate: package with migrations, query for tables, and texts for messages."""

    package: str
    table_names: str
    name: str
    hint: str


def missing_migrations(connection: SupportsExecute, database: Database) -> list[Migration]:
    """Return the migrations that a database lacks. Raises StoreUnavailable for other programs and newer
    versions."""
    migrations = read_migrations(database.package)
    tables = {row[0] for row in connection.execute(database.table_names)}
    if {"migrations", "requests"} <= tables:
        return pending_migrations(migrations, applied_numbers(connection))
    if tables:
        raise StoreUnavailable(
            f"the database {database.name} belongs to another program.", hint=database.hint
        )
    return migrations


def is_empty(missing: Sequence[Migration], database: Database) -> bool:
    """Tell whether a database that lacks these migrations has no tables."""
    return len(missing) == len(read_migrations(database.package))


def apply_missing(
    connection: SupportsExecute, database: Database, transaction: AbstractContextManager[None]
) -> None:
    """Apply the missing migrations in an exclusive transaction."""
    if missing_migrations(connection, database):
        with transaction:
            for migration in missing_migrations(connection, database):
                apply_migration(connection, migration)


def apply_migration(connection: SupportsExecute, migration: Migration) -> None:
    """Run a migration's statements and record it, in the caller's transaction."""
    for statement in migration.statements:
        connection.execute(statement)
    connection.execute(
        "INSERT INTO migrations (number, name, applied_at) VALUES (?, ?, CURRENT_TIMESTAMP)",
        (migration.number, migration.name),
    )


def _parse(file_name: str, text: str) -> Migration:
    name = file_name.removesuffix(".sql")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("--")]
    # A statement ends with a semicolon at the end of a line.
    parts = "\n".join(lines).split(";\n")
    return Migration(int(name.split("_")[0]), name, tuple(one.rstrip(";") for one in parts if one.strip()))
