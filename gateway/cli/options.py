"""Options that commands share: the configuration file and the store, found and opened."""

import asyncio
import functools
import getpass
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.auth.audit import AuditLog
from gateway.errors import BadInput, NotFound
from gateway.models.addresses import SQLITE_PREFIX
from gateway.models.audit import AuditChannel, AuditEntry
from gateway.models.principal import Principal, Role
from gateway.recording.freshness import Freshness
from gateway.store import READ_ONCE_CACHE_KIB, journal_root, open_store
from gateway.store.base import Store

# Used where no file is named.
LOCAL_CONFIG_FILE = Path("gateway.yaml")

_PACKAGED_CONFIGS = Path(__file__).parent.parent / "config"
DEFAULT_FILE = _PACKAGED_CONFIGS / "default.yaml"
DEMO_FILE = _PACKAGED_CONFIGS / "demo.yaml"
DEMO_STORE = "gateway-demo.db"

# Where commands find the journals of gateways that store in a server.
_LOCAL_DIR = "gateway.local_dir"

# How long a command waits for rows that a gateway is storing.
_READ_WAIT_SECONDS = 2.0

# In characters; as in `gateway.config.models.KeyConfig`.
MAX_NAME = 128

Command = Callable[..., Any]
T = TypeVar("T")

# A process that may open the store may do everything.
OPERATOR = Principal(None, frozenset({Role.ADMIN}))


config_option = click.option(
    "-c",
    "--config",
    "config_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="GATEWAY_CONFIG",
    help="Configuration file; GATEWAY_CONFIG in the environment names it, too.  [default: gateway.yaml here if"
    " there is one, else a built-in one]",
)
storage_option = click.option(
    "--storage", metavar="URL", help="Where the data is, such as sqlite:///gateway.db; over the file's."
)


def pass_store_url(function: Command) -> Command:
    """Add `-c` and `--storage` to a command, and pass it the store's URL as `url`."""

    @functools.wraps(function)
    def command(*args: Any, config_file: Path | None, storage: str | None, **options: Any) -> Any:
        return function(*args, url=storage_url(config_file, storage), **options)

    return config_option(storage_option(command))


def pass_config(function: Command) -> Command:
    """Add `-c` and `--storage` to a command, and pass it the configuration as `config`."""

    @functools.wraps(function)
    def command(*args: Any, config_file: Path | None, storage: str | None, **options: Any) -> Any:
        from gateway.config import load_config

        config = load_config(find_config_file(config_file), os.environ, {"storage.url": storage})
        return function(*args, config=config, **options)

    return config_option(storage_option(command))


def find_config_file(named: Path | None, default: Path = DEFAULT_FILE) -> Path:
    """Return the named file, else the one here, else a packaged one."""
    if named is not None:
        return named
    return LOCAL_CONFIG_FILE if LOCAL_CONFIG_FILE.exists() else default


def storage_url(config_file: Path | None, storage: str | None) -> str:
    """Return `storage`, or else the URL in the configuration."""
    if storage is not None:
        return storage
    # Costs as much time as everything else that such a command imports.
    from gateway.config import load_config

    stored = load_config(find_config_file(config_file), os.environ).storage
    click.get_current_context().meta[_LOCAL_DIR] = stored.local_dir
    return stored.url


def check_name(field: str, text: str | None) -> None:
    """Raise BadInput for a name of a key or tenant that cannot be read."""
    if text is not None and not (0 < len(text) <= MAX_NAME and text.isprintable()):
        raise BadInput(f"must be 1 to {MAX_NAME} printable characters.", field=field)


@asynccontextmanager
async def open_or_create_store(url: str, *, is_read_once: bool = False) -> AsyncIterator[Store]:
    """Open the store, with a new file if there is none."""
    store = await (open_store(url, cache_kib=READ_ONCE_CACHE_KIB) if is_read_once else open_store(url))
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def open_existing_store(url: str, *, is_read_once: bool = False) -> AsyncIterator[Store]:
    """Open the store, once it has what gateways here journaled; raise NotFound where its file does not exist."""
    require_store(url)
    async with open_or_create_store(url, is_read_once=is_read_once) as store:
        await _wait_for_journals(url)
        yield store


async def _wait_for_journals(url: str) -> None:
    context = click.get_current_context(silent=True)
    local_dir = "." if context is None else context.meta.get(_LOCAL_DIR, ".")
    freshness = Freshness(journal_root(url, Path(local_dir)), None, _READ_WAIT_SECONDS)
    try:
        behind_ms = await freshness.wait()
    finally:
        freshness.close()
    if behind_ms:
        lacking = f"requests wait in the journal, the oldest for {behind_ms / 1000:,.0f} s"
        click.echo(f"note: {lacking}; they are in no answer until a gateway has stored them.", err=True)


def run_on_store(
    url: str,
    ask: Callable[[Store], Coroutine[Any, Any, T]],
    action: str | None = None,
    target: str | None = None,
) -> T:
    """Return what `ask` does with the store, with an audit entry where it is an action."""

    async def run() -> T:
        async with open_existing_store(url) as store:
            if action is None:
                return await ask(store)
            async with audited(store, action, target):
                return await ask(store)

    return asyncio.run(run())


def require_store(url: str) -> None:
    """Raise NotFound where the store is a file that does not exist."""
    if is_store_missing(url):
        raise NotFound(f"there is no database {_sqlite_file(url)}.", hint=_missing_store_hint())


def _missing_store_hint() -> str:
    if Path(DEMO_STORE).exists():
        return f"That of the demo is here: --storage sqlite:///{DEMO_STORE}"
    return "Name the configuration with -c, or the database with --storage."


def is_store_missing(url: str) -> bool:
    """Tell whether the store is a file that does not exist."""
    return url.startswith(SQLITE_PREFIX) and not _sqlite_file(url).exists()


def _sqlite_file(url: str) -> Path:
    return Path(url.removeprefix(SQLITE_PREFIX)).absolute()


@asynccontextmanager
async def audited(store: Store, action: str, target: str | None = None) -> AsyncIterator[None]:
    """Write an audit entry around what a command does to the store."""
    entry = AuditEntry(actor=_current_user(), via=AuditChannel.COMMAND, action=action, target=target)
    async with AuditLog(store).record(entry):
        yield


def _current_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # In some containers the user has only a number.
        return str(os.getuid())
