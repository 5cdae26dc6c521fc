"""Versions: what follows the latest version of an entry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.domain.clock import now_us
from gateway.domain.feedback import Feedback
from gateway.domain.principal import Principal


def next_version(current: Feedback, changed: Feedback, principal: Principal, dialect: str) -> Feedback:
    """Return `changed` as the version that follows `current`, made now by this caller in this dialect."""
    return replace(
        changed,
        version=current.version + 1,
        dialect=dialect,
        key_name=principal.name,
        updated_at_us=max(now_us(), current.updated_at_us),
    )


def withdrawn(entry: Feedback) -> Feedback:
    """Return `entry` as it is once it no longer counts; version and origin stay to be set."""
    return replace(entry, raw="{}", deleted_at_us=max(now_us(), entry.updated_at_us))


Tell = Callable[[Sequence[Feedback]], None]
"""Told of versions of entries once they are stored. Must not raise."""


def tell_nobody(versions: Sequence[Feedback]) -> None:
    """Tell nobody."""
