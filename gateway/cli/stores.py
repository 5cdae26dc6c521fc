"""Opening the store for the length of a command, whether or not a gateway works on it meanwhile."""

from __future__ import annotations

import getpass
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.access.auditing import Auditor
from gateway.cli.sources import file_of
from gateway.domain.audit import AuditEntry, Via
from gateway.domain.database_url import SQLITE_PREFIX
from gateway.errors import NotFound
from gateway.store import open_store
from gateway.store.base import Store

DEMO_STORE = "gateway-demo.db"


@asynccontextmanager
async def open_or_create(url: str) -> AsyncIterator[Store]:
    """Open the store, with a new file if there is none.

    Raises:
        BadInput: the URL names no store.
        StoreUnavailable: the file cannot be used.
    """
    store = await open_store(url)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def open_existing(url: str) -> AsyncIterator[Store]:
    """Open the store as `open_or_create` does, but raise NotFound where there is no file yet."""
    if is_missing(url):
        raise NotFound(f"there is no database {file_of(url)}.", hint=_hint())
    async with open_or_create(url) as store:
        yield store


def is_missing(url: str) -> bool:
    """Tell whether the store is a file that is not there. What a server has shows when it is opened."""
    return url.startswith(SQLITE_PREFIX) and not file_of(url).exists()


@asynccontextmanager
async def audited(store: Store, action: str, target: str | None = None) -> AsyncIterator[None]:
    """Surround what a command does to the store with its entry in the audit log.

    Args:
        action: the command.
        target: what it is done to.
    """
    entry = AuditEntry(actor=_user(), via=Via.COMMAND, action=action, target=target)
    async with Auditor(store).auditing(entry):
        yield


def _user() -> str:
    """Name of the operating system's user; its number where it has no name, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _hint() -> str:
    if Path(DEMO_STORE).exists():
        return f"That of the demo is here: --storage sqlite:///{DEMO_STORE}"
    return "Name the configuration with -c, or the database with --storage."
