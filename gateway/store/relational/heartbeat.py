"""A write that shows whether writing works.

It must be committed: in WAL mode a transaction that is rolled back need not touch the disk at all.
"""

from __future__ import annotations

import os

from gateway.store.relational.connection import Connection

MAX_PADDING_BYTES = 8 * 1024 * 1024

_BEAT = "UPDATE heartbeat SET beats = beats + 1, padding = ?"


def beat(connection: Connection, padding_bytes: int) -> None:
    """Count one beat up, and put this many bytes in the place of those of the beat before."""
    connection.execute(_BEAT, (os.urandom(padding_bytes),))
