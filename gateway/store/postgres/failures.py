"""What goes wrong with the server, in words: the only place that names its codes. A password is in none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from gateway.errors import StoreUnavailable

_REASONS = {
    "25006": "it is read-only; is it a standby?",
    "28000": "access was refused",
    "28P01": "the user name or the password is wrong",
    "3D000": "there is no database of that name",
    "42501": "the user may not do this there",
    "53000": "the server lacks resources",
    "53100": "its disk is full",
    "53200": "the server has not enough memory",
    "53300": "it has too many connections already",
    "55P03": "others have kept it locked for too long",
    "57014": "the operation was interrupted",
    "57P01": "the server is being shut down",
    "57P02": "the server has crashed",
    "57P03": "the server is starting up or shutting down",
    "57P05": "the connection was idle for too long",
    "25P03": "the connection was idle for too long",
    "58030": "reading or writing its disk failed",
    "XX001": "it is damaged",
    "XX002": "it is damaged",
    "40001": "others have changed the same rows at the same time",
    "40P01": "others have changed the same rows at the same time",
}
"""Reasons by SQLSTATE."""

_CONNECTING_AGAIN_HELPS = (psycopg.OperationalError, psycopg.InterfaceError)


@contextmanager
def translated_errors(name: str) -> Iterator[None]:
    """Raise StoreUnavailable, with the reason, for what goes wrong with the database of this name; let mistakes in
    our own statements pass."""
    try:
        yield
    except psycopg.Error as error:
        reason = _REASONS.get(error.sqlstate or "") or _unnamed(error)
        if reason is None:
            raise
        raise StoreUnavailable(f"the database {name} cannot be used: {reason}.") from error


def _unnamed(error: psycopg.Error) -> str | None:
    if not isinstance(error, _CONNECTING_AGAIN_HELPS):
        return None
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        return "the server does not answer"
    # The driver says where it tried to connect before a colon, and why that failed behind the last one; where a
    # host has several addresses, in a line for each.
    lines = str(error).strip().splitlines() or [""]
    telling = next((line for line in reversed(lines) if "failed: " in line), lines[0])
    reason = telling.rpartition(": ")[2].strip().rstrip(".?!")
    return reason[:1].lower() + reason[1:] or "the connection was lost"
