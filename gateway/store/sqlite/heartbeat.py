"""A write that shows whether writing works.

It must be committed: in WAL mode a transaction that is rolled back need not touch the disk at all.
"""

from __future__ import annotations

import sqlite3

MAX_PADDING_BYTES = 8 * 1024 * 1024

_BEAT = "UPDATE heartbeat SET beats = beats + 1, padding = randomblob(?)"
_BEAT_BARE = "UPDATE heartbeat SET beats = beats + 1, padding = x''"


def beat(connection: sqlite3.Connection, padding_bytes: int) -> None:
    """Count one beat up, and put this many bytes in the place of those of the beat before."""
    if padding_bytes:
        connection.execute(_BEAT, (padding_bytes,))
    else:
        connection.execute(_BEAT_BARE)
