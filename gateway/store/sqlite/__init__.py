"""The store in one SQLite file."""

from __future__ import annotations

from gateway.store.sqlite.store import SqliteStore, open_sqlite

__all__ = ["SqliteStore", "open_sqlite"]
