"""What belongs to a store, by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.store.locks import is_part_of_store


@pytest.mark.parametrize(
    "name",
    ["gateway.db", "gateway.db-wal", "gateway.db-shm", "gateway.db.lock", "gateway.db.lock.3",
     "gateway.db.spill", "gateway.db.spill.1", "gateway.db.exports", "gateway.db-journal", "./gateway.db"],
)  # fmt: skip
def test_names_that_are_taken_for_a_part_of_the_store(tmp_path: Path, name: str) -> None:
    assert is_part_of_store(tmp_path / "gateway.db", tmp_path / name)


@pytest.mark.parametrize(
    "name", ["gateway.db.bak", "gateway.db-2026", "backup.db", "gateway", "elsewhere/gateway.db"]
)
def test_names_that_are_not(tmp_path: Path, name: str) -> None:
    assert not is_part_of_store(tmp_path / "gateway.db", tmp_path / name)


def test_a_link_to_the_database_is_the_database(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").touch()
    (tmp_path / "link").symlink_to("gateway.db")
    assert is_part_of_store(tmp_path / "gateway.db", tmp_path / "link")
