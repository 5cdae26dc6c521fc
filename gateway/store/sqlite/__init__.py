"""The store in one SQLite file: a writer thread that commits in groups, and reader threads beside it.

Here belongs all that knows the driver `sqlite3` or SQLite's ways (WAL, busy, synchronous). What a table holds
is known one floor up, in `tables.py` and `rows.py`. Used by `open_store` alone.
"""

from __future__ import annotations

from gateway.store.sqlite.store import SqliteStore, open_sqlite

__all__ = ["SqliteStore", "open_sqlite"]
