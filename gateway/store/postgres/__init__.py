"""The store in a PostgreSQL database, which gateways on several machines can share.

Here belongs all that knows the driver `psycopg` or PostgreSQL's ways (advisory locks, COPY, sequences). What it has
in common with other databases is in `store/relational`. Used by `open_store` alone, and imported only when a URL
asks for it, since the driver need not be installed.
"""

from __future__ import annotations

from gateway.store.postgres.store import PostgresStore, open_postgres

__all__ = ["PostgresStore", "open_postgres"]
