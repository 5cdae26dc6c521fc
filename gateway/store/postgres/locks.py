"""How transactions begin, and the locks that keep those of several gateways in order.

All are advisory locks of a transaction, so that they end with it, however it ends: also when the connection is
lost, and for a COMMIT whose answer was lost not before it is done.

Whoever logs requests shares a lock with all who do; whoever looks at what is there before he writes has it alone.
READ COMMITTED gives each statement a new snapshot, so he sees all that was committed before he had the lock, and
nobody commits more until he is done. So a vote and its request cannot miss each other, nor can two votes under one
idempotency key, or a row that is brought back from a file and the one that it was all along.
"""

from __future__ import annotations

import math

_WRITING_KEY = 0x6677_0001
_MIGRATING_KEY = 0x6677_0002
_HOUSE_KEY = 0x6677_0003

LOCK_SECONDS = 5
"""How long to wait for others that write."""

IDLE_SECONDS = 60
"""After how long the server ends a transaction in which nothing happens: that of a process that hangs."""


def _begin(lock: str) -> str:
    return (
        f"BEGIN; SET LOCAL lock_timeout = '{LOCK_SECONDS}s';"
        f" SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'; SELECT {lock}"
    )


TOGETHER = _begin(f"pg_advisory_xact_lock_shared({_WRITING_KEY})")
"""Write together with others that do so."""

ALONE = _begin(f"pg_advisory_xact_lock({_WRITING_KEY})")
"""Write while nobody else does."""

MIGRATING = f"BEGIN; SELECT pg_advisory_xact_lock({_MIGRATING_KEY})"

HOUSE_SECONDS = 2
"""How long those who write and read wait, at most, for one who changes a table while he waits for others."""

KEEPING_HOUSE = (
    f"BEGIN; SET LOCAL lock_timeout = '{HOUSE_SECONDS}s'; SELECT pg_advisory_xact_lock({_HOUSE_KEY})"
)
"""Make and drop parts of tables."""

SPARE_SECONDS = 5
"""How much later than the gateway the server itself ends a statement: it does so where the gateway cannot."""

_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


def reading_for(seconds: float | None) -> str:
    """Return what begins to read in one snapshot, in statements that take no longer than this by much."""
    if seconds is None:
        return _READING
    return f"{_READING}; SET LOCAL statement_timeout = {math.ceil(seconds + SPARE_SECONDS) * 1000}"
