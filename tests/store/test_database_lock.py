"""A database that somebody has open is not replaced, and one that is being replaced is not opened."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import Conflict, StoreUnavailable
from gateway.store import open_store
from gateway.store.locks import database_locked_exclusively, lock_database


def test_any_number_may_have_it_open(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    with (
        closing(lock_database(path)),
        closing(lock_database(path)),
        pytest.raises(Conflict, match="open"),
        database_locked_exclusively(path),
    ):
        pass
    with database_locked_exclusively(path):
        pass


async def test_a_store_has_it_open_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    store = await open_store(f"sqlite:///{path}")
    with pytest.raises(Conflict), database_locked_exclusively(path):
        pass
    await store.close()
    with (
        database_locked_exclusively(path),
        pytest.raises(StoreUnavailable, match=r"gateway\.db is being replaced"),
    ):
        await open_store(f"sqlite:///{path}")
    await (await open_store(f"sqlite:///{path}")).close()


async def test_a_store_that_cannot_be_opened_does_not_have_it_open(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    path.write_text("not a database " * 1000)
    with pytest.raises(StoreUnavailable, match="not a SQLite database"):
        await open_store(f"sqlite:///{path}")
    with database_locked_exclusively(path):
        pass
