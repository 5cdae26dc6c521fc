"""The store in a PostgreSQL database. Imported only when a URL needs it, since the driver is optional."""

from __future__ import annotations

from gateway.store.postgres.store import PostgresStore, open_postgres

__all__ = ["PostgresStore", "open_postgres"]
