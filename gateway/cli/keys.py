"""`gateway keys`: the gateway keys that are kept in the store, beside those of the configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import click

from gateway.access.keys import create_key, revoke_key
from gateway.cli.sources import config_option, storage_option, storage_url
from gateway.cli.stores import audited, open_existing, open_or_create
from gateway.cli.table import Column, Table, clock
from gateway.domain.limit import Limit
from gateway.domain.principal import Role
from gateway.errors import BadInput
from gateway.store.administration import StoredKey

MAX_NAME = 128
"""Longest name of a key or tenant, in characters; the same as in the configuration."""

COLUMNS = (
    Column("NAME", 12, least=12),
    Column("ROLES", 14),
    Column("TENANT", 10, least=10),
    Column("CREATED (UTC)", 19),
    Column("LIMITS", 6, least=20),
    Column("STATE", 7),
)


class WrittenLimit(click.ParamType[Limit]):
    """A limit as it is written in the configuration."""

    name = "limit"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Limit:
        """Read it; a mistake is the caller's."""
        try:
            return value if isinstance(value, Limit) else Limit.parse(str(value))
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


@click.group("keys")
def command() -> None:
    """Make, list and revoke gateway keys.

    They are kept in the store, as hashes; the configuration may hold others. A running gateway knows of a
    change within a few seconds. As soon as one key exists, every caller needs one.
    """


@command.command("create")
@click.argument("name")
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=click.Choice([role.value for role in Role]),
    help="What it is for; may be given several times.",
)
@click.option("--tenant", help="Whose rows alone it sees and makes.  [default: it sees all]")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    type=WrittenLimit(),
    help="How much it may use, such as '600 requests/minute', '1000000 tokens/day' or '25 usd/month'; may be given "
    "several times.",
)
@config_option
@storage_option
def create(
    name: str,
    roles: tuple[str, ...],
    tenant: str | None,
    limits: tuple[Limit, ...],
    config_file: Path | None,
    storage: str | None,
) -> None:
    """Make a key called NAME and print it, this once.

    Nothing but the key goes to standard output: KEY=$(gateway keys create app --role proxy)
    """
    refuse_odd("name", name)
    refuse_odd("tenant", tenant)
    url = storage_url(config_file, storage)
    click.echo(asyncio.run(_create(url, name, sorted({Role(role) for role in roles}), tenant, limits)))
    click.echo("Keep it safe: only its hash is stored, so it cannot be shown again.", err=True)


@command.command("list")
@config_option
@storage_option
def list_(config_file: Path | None, storage: str | None) -> None:
    """List the keys in the store, revoked ones too; never the keys themselves."""
    keys = asyncio.run(_list(storage_url(config_file, storage)))
    for line in Table(COLUMNS).lines(map(_row, keys)):
        click.echo(line)


@command.command("revoke")
@click.argument("name")
@config_option
@storage_option
def revoke(name: str, config_file: Path | None, storage: str | None) -> None:
    """Make the key called NAME useless, for ever."""
    asyncio.run(_revoke(storage_url(config_file, storage), name))
    click.echo(f"The key {name!r} is revoked.", err=True)


async def _create(
    url: str, name: str, roles: Sequence[Role], tenant: str | None, limits: Sequence[Limit]
) -> str:
    # A gateway on a public address does not start without a key, so the first key may come before the store.
    async with open_or_create(url) as store, audited(store, "keys create", name):
        return await create_key(store, name, roles, tenant, limits)


async def _list(url: str) -> list[StoredKey]:
    async with open_existing(url) as store:
        return await store.keys()


async def _revoke(url: str, name: str) -> None:
    async with open_existing(url) as store, audited(store, "keys revoke", name):
        await revoke_key(store, name)


def _row(key: StoredKey) -> tuple[str, ...]:
    state = "live" if key.revoked_at_us is None else f"revoked {clock(key.revoked_at_us)}"
    limits = ", ".join(map(str, key.limits)) or "-"
    return key.name, ", ".join(key.roles), key.tenant or "-", clock(key.created_at_us), limits, state


def refuse_odd(field: str, text: str | None) -> None:
    """Raise BadInput for a name that nobody could read."""
    if text is not None and not (0 < len(text) <= MAX_NAME and text.isprintable()):
        raise BadInput(f"must be 1 to {MAX_NAME} printable characters.", field=field)
