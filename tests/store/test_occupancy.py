"""A database that somebody has open is not replaced, and one that is being replaced is not opened."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import Conflict, StoreUnavailable
from gateway.store import open_store
from gateway.store.occupancy import occupy, vacated


def test_any_number_may_have_it_open(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    with closing(occupy(path)), closing(occupy(path)), pytest.raises(Conflict, match="open"), vacated(path):
        pass
    with vacated(path):
        pass


async def test_a_store_has_it_open_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    store = await open_store(f"sqlite:///{path}")
    with pytest.raises(Conflict), vacated(path):
        pass
    await store.close()
    with vacated(path), pytest.raises(StoreUnavailable, match=r"gateway\.db is being replaced"):
        await open_store(f"sqlite:///{path}")
    await (await open_store(f"sqlite:///{path}")).close()


async def test_a_store_that_cannot_be_opened_does_not_have_it_open(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    path.write_text("not a database " * 1000)
    with pytest.raises(StoreUnavailable, match="not a SQLite database"):
        await open_store(f"sqlite:///{path}")
    with vacated(path):
        pass
