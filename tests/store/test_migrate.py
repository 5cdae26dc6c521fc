"""Migrations: each applied once, all or none, and none skipped in silence."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.migrate import (
    Migration,
    applied_numbers,
    apply_migration,
    pending_migrations,
    read_migrations,
)

FIRST = Migration(1, "0001_first", ("CREATE TABLE migrations (number, name, applied_at)",))
SECOND = Migration(2, "0002_second", ("CREATE TABLE a (x)", "INSERT INTO a VALUES ('one; two')"))


def test_the_packaged_files_are_numbered_without_gaps() -> None:
    migrations = read_migrations("gateway.store.sqlite")
    assert [migration.number for migration in migrations] == list(range(1, len(migrations) + 1))
    assert len(migrations) >= 4


def test_each_statement_of_the_packaged_files_is_one_statement() -> None:
    for migration in read_migrations("gateway.store.sqlite"):
        for statement in migration.statements:
            assert sqlite3.complete_statement(f"{statement};")
            assert ";" not in statement


def test_a_migration_is_recorded_with_its_effect(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "some.db", isolation_level=None)
    apply_migration(connection, FIRST)
    apply_migration(connection, SECOND)
    assert applied_numbers(connection) == [1, 2]
    assert connection.execute("SELECT x FROM a").fetchall() == [("one; two",)]
    assert connection.execute("SELECT name FROM migrations").fetchall() == [("0001_first",), ("0002_second",)]
    connection.close()


def test_what_was_applied_is_not_pending() -> None:
    assert pending_migrations([FIRST, SECOND], []) == [FIRST, SECOND]
    assert pending_migrations([FIRST, SECOND], [1]) == [SECOND]
    assert pending_migrations([FIRST, SECOND], [1, 2]) == []


def test_a_database_of_a_newer_version_is_refused() -> None:
    with pytest.raises(StoreUnavailable, match="newer version: its migration 0003"):
        pending_migrations([FIRST, SECOND], [1, 2, 3])
