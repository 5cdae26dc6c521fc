"""Numbered .sql files, applied once each and recorded in the table `migrations`.

yoyo-migrations was tried first and left out: it records a migration in another transaction than the one that
applies it, so a process killed in between leaves a database on which it fails ever after; its lock is a row
that outlives a killed process and must be removed by hand; and a database newer than the code passes
unnoticed. Here the database's own write lock is the lock, and all pending files and their records are one
transaction.

A file is named `0001_what_it_does.sql`. A statement ends with a semicolon at the end of a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Protocol

from gateway.errors import StoreUnavailable


class MigrationConnection(Protocol):
    """What a migration needs of a database driver's connection."""

    def execute(self, sql: str, parameters: tuple[Any, ...] = (), /) -> Iterable[Any]:
        """Run one statement."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, its name, and the statements in it."""

    number: int
    name: str
    statements: tuple[str, ...]


def read_migrations(package: str) -> list[Migration]:
    """Return the migrations that lie in the folder `migrations` of a package, by number."""
    folder = files(package) / "migrations"
    return sorted(
        (
            _parse(file.name, file.read_text("utf-8"))
            for file in folder.iterdir()
            if file.name.endswith(".sql")
        ),
        key=lambda migration: migration.number,
    )


def pending_migrations(migrations: Sequence[Migration], applied: Iterable[int]) -> list[Migration]:
    """Return the migrations whose numbers are not among those applied.

    Raises:
        StoreUnavailable: one was applied that is not known here, so the database is newer than this program.
    """
    done = set(applied)
    if unknown := done - {migration.number for migration in migrations}:
        raise StoreUnavailable(
            f"the database was written by a newer version: its migration {max(unknown):04} is unknown here.",
            hint="Run that version, or restore a backup made with this one.",
        )
    return [migration for migration in migrations if migration.number not in done]


def applied_numbers(connection: MigrationConnection) -> list[int]:
    """Return the numbers of the migrations recorded in a database that has the table for them."""
    return [row[0] for row in connection.execute("SELECT number FROM migrations ORDER BY number")]


def missing_migrations(
    connection: MigrationConnection, migrations: list[Migration], tables: frozenset[str], name: str, hint: str
) -> list[Migration]:
    """Return those of the migrations that a database lacks: all of them where it has no tables.

    Args:
        tables: names of those that it has.
        name: what the database is called in messages.
        hint: what to do where it is another program's.

    Raises:
        StoreUnavailable: it belongs to another program, or is of a newer version.
    """
    if "migrations" in tables and "requests" in tables:
        return pending_migrations(migrations, applied_numbers(connection))
    if tables:
        raise StoreUnavailable(f"the database {name} belongs to another program.", hint=hint)
    return migrations


def apply_migration(connection: MigrationConnection, migration: Migration) -> None:
    """Run a migration's statements and record it, as part of the caller's transaction."""
    for statement in migration.statements:
        connection.execute(statement)
    connection.execute(
        "INSERT INTO migrations (number, name, applied_at) VALUES (?, ?, CURRENT_TIMESTAMP)",
        (migration.number, migration.name),
    )


def _parse(file_name: str, text: str) -> Migration:
    name = file_name.removesuffix(".sql")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("--")]
    statements = "\n".join(lines).split(";\n")
    return Migration(
        int(name.split("_")[0]), name, tuple(part.rstrip(";") for part in statements if part.strip())
    )
