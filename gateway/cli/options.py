"""Options that commands share: the configuration file and the store, found and opened."""

from __future__ import annotations

import getpass
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.auth.audit import SqlAudit
from gateway.errors import NotFound
from gateway.models.addresses import SQLITE_PREFIX
from gateway.models.audit import AuditChannel, AuditEntry
from gateway.store import open_store
from gateway.store.base import Store

LOCAL_CONFIG_FILE = Path("gateway.yaml")
"""Used where no file is named."""

_PACKAGED_CONFIGS = Path(__file__).parent.parent / "config"
DEFAULT_FILE = _PACKAGED_CONFIGS / "default.yaml"
DEMO_FILE = _PACKAGED_CONFIGS / "demo.yaml"

Function = TypeVar("Function", bound=Callable[..., Any])


def config_option(function: Function) -> Function:
    """Add `-c FILE` to a command."""
    return click.option(
        "-c",
        "--config",
        "config_file",
        metavar="FILE",
        type=click.Path(path_type=Path),
        envvar="GATEWAY_CONFIG",
        help="Configuration file; GATEWAY_CONFIG in the environment names it, too.  [default: gateway.yaml here if"
        " there is one, else a built-in one]",
    )(function)


def storage_option(function: Function) -> Function:
    """Add `--storage URL` to a command."""
    return click.option(
        "--storage", metavar="URL", help="Where the data is, such as sqlite:///gateway.db; over the file's."
    )(function)


def find_config_file(named: Path | None, default: Path = DEFAULT_FILE) -> Path:
    """Return the configuration file to use: the named one, else the one here, else a packaged one."""
    if named is not None:
        return named
    return LOCAL_CONFIG_FILE if LOCAL_CONFIG_FILE.exists() else default


def sqlite_file(url: str) -> Path:
    """Return the absolute path of the file that a storage URL names."""
    return Path(url.removeprefix("sqlite:///")).absolute()


def storage_url(config_file: Path | None, storage: str | None) -> str:
    """Return where the data is. The configuration is read, and must be good, only if `storage` is None."""
    if storage is not None:
        return storage
    # Costs as much time as all else that such a command imports.
    from gateway.config import load_config

    return load_config(find_config_file(config_file), os.environ).storage.url


DEMO_STORE = "gateway-demo.db"


@asynccontextmanager
async def open_or_create_store(url: str) -> AsyncIterator[Store]:
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
async def open_existing_store(url: str) -> AsyncIterator[Store]:
    """Open the store as `open_or_create` does, but raise NotFound where there is no file yet."""
    if is_store_missing(url):
        raise NotFound(f"there is no database {sqlite_file(url)}.", hint=_missing_store_hint())
    async with open_or_create_store(url) as store:
        yield store


def is_store_missing(url: str) -> bool:
    """Tell whether the store is a file that is not there. What a server has shows when it is opened."""
    return url.startswith(SQLITE_PREFIX) and not sqlite_file(url).exists()


@asynccontextmanager
async def audited(store: Store, action: str, target: str | None = None) -> AsyncIterator[None]:
    """Surround what a command does to the store with its entry in the audit log.

    Args:
        action: the command.
        target: what it is done to.
    """
    entry = AuditEntry(actor=_current_user(), via=AuditChannel.COMMAND, action=action, target=target)
    async with SqlAudit(store).record(entry):
        yield


def _current_user() -> str:
    """Name of the operating system's user; its number where it has no name, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _missing_store_hint() -> str:
    if Path(DEMO_STORE).exists():
        return f"That of the demo is here: --storage sqlite:///{DEMO_STORE}"
    return "Name the configuration with -c, or the database with --storage."
