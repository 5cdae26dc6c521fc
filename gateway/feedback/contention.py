"""What happens to a version that others were quicker to write."""

from __future__ import annotations

from gateway.errors import StoreUnavailable

MAX_ATTEMPTS = 100
"""How often a write is tried when others come in between. Each time, one of the rivals got through."""


def too_busy() -> StoreUnavailable:
    """Return the error for a write that was tried so often in vain."""
    return StoreUnavailable("too many changes to the same entry came at once.", hint="Send it again.")
