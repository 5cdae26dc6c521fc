"""`gateway keys`: lists the keys of the configuration file and the store; makes and revokes those of the store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.auth.api_keys import KeySource, create_key, revoke_key
from gateway.cli import options
from gateway.cli.output import Column, Table, format_time, print_lines
from gateway.errors import BadInput, NotFound
from gateway.models.clock import now_us
from gateway.models.principal import Role
from gateway.models.quota import Quota, QuotaStatus, QuotaUsage, quota_statuses, refuse_duplicate_quotas
from gateway.store.base import StoredKey

if TYPE_CHECKING:
    from gateway.config.models import KeyConfig

COLUMNS = (
    Column("NAME", 12, min_width=12),
    Column("SOURCE", 6),
    Column("ROLES", 14),
    Column("TENANT", 6, min_width=6),
    Column("CREATED", 10),
    Column("USED OF LIMIT", 13),
    Column("STATE", 7),
)


class LimitParam(click.ParamType[Quota]):
    name = "limit"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Quota:
        try:
            return value if isinstance(value, Quota) else Quota.parse(str(value))
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


@click.group("keys")
def keys_command() -> None:
    """Create, list and revoke gateway keys.

    Keys created here are stored as hashes; the configuration file may hold others. A running gateway sees a change
    within a few seconds. Once a key exists, every caller needs one.
    """


@keys_command.command("create")
@click.argument("name")
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=click.Choice([role.value for role in Role]),
    help="What it may do; may be given several times.",
)
@click.option("--tenant", help="Restricts it to the rows of a tenant.  [default: all rows]")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    type=LimitParam(),
    help="How much it may use, such as '600 requests/minute', '1000000 tokens/day' or '25 usd/month'; may be given "
    "several times.",
)
@options.pass_store_url
def create(
    name: str, roles: tuple[str, ...], tenant: str | None, limits: tuple[Quota, ...], url: str
) -> None:
    """Create a key called NAME and print it. It cannot be shown again.

    Only the key goes to standard output: KEY=$(gateway keys create app --role proxy)
    """
    options.check_name("name", name)
    options.check_name("tenant", tenant)
    try:
        refuse_duplicate_quotas(limits)
    except ValueError as error:
        raise BadInput(f"{error}.", field="limit") from None
    click.echo(asyncio.run(_create(url, name, sorted({Role(role) for role in roles}), tenant, limits)))
    click.echo("Keep it safe: only its hash is stored, so it cannot be shown again.", err=True)


@keys_command.command("list")
@options.config_option
@options.storage_option
def list_(config_file: Path | None, storage: str | None) -> None:
    """List keys by name with their usage, never the keys themselves.

    Those of the configuration file and of the store, revoked ones too; with --storage and without -c only those
    of the store.
    """
    url, configured = _url_and_configured(config_file, storage)
    print_lines(Table(COLUMNS).lines(asyncio.run(_list_keys(url, configured))))


@keys_command.command("revoke")
@click.argument("name")
@options.config_option
@options.storage_option
def revoke(name: str, config_file: Path | None, storage: str | None) -> None:
    """Revoke the stored key called NAME for ever."""
    url, configured = _url_and_configured(config_file, storage)
    in_file = any(key.name == name for key in configured)
    file = options.find_config_file(config_file) if in_file else None
    asyncio.run(_revoke_key(url, name, file))
    click.echo(f"The key {name!r} is revoked.", err=True)
    if file is not None:
        click.echo(f"{file} has another of that name, which stays valid.", err=True)


async def _create(url: str, name: str, roles: list[Role], tenant: str | None, limits: Sequence[Quota]) -> str:
    # A gateway on a public address does not start without a key, so the first key may come before the store.
    async with options.open_or_create_store(url) as store, options.audited(store, "keys create", name):
        return await create_key(store, name, roles, tenant, limits)


def _url_and_configured(config_file: Path | None, storage: str | None) -> tuple[str, Sequence[KeyConfig]]:
    """Return the store's URL and the configured keys: none where only a store is named."""
    if storage is not None and config_file is None:
        return storage, ()
    # Costs as much time as everything else that such a command imports.
    from gateway.config import load_config

    config = load_config(options.find_config_file(config_file), os.environ)
    return storage or config.storage.url, config.keys


async def _list_keys(url: str, configured: Sequence[KeyConfig]) -> list[tuple[str, ...]]:
    stored: Sequence[StoredKey] = ()
    spendings: Sequence[QuotaUsage] = ()
    # The file has its keys before the first start, and so before there is a store.
    if not (configured and options.is_store_missing(url)):
        async with options.open_existing_store(url) as store:
            stored, spendings = await store.keys(), await store.spendings()
    at_us = now_us()
    rows: list[tuple[str, ...]] = []
    for key in configured:
        columns = key.name, KeySource.FILE, ", ".join(sorted(key.roles)), key.tenant or "-", "-"
        rows += _key_rows(columns, quota_statuses(key.limits, key.name, spendings, at_us), "live")
    for each in stored:
        created = format_time(each.created_at_us)[: len("2026-01-31")]
        columns = each.name, KeySource.STORE, ", ".join(each.roles), each.tenant or "-", created
        if each.revoked_at_us is None:
            rows += _key_rows(columns, quota_statuses(each.limits, each.name, spendings, at_us), "live")
        else:
            rows += _key_rows(columns, each.limits, f"revoked {format_time(each.revoked_at_us)}")
    return rows


def _key_rows(
    columns: tuple[str, ...], limits: Sequence[QuotaStatus | Quota], state: str
) -> Iterator[tuple[str, ...]]:
    first, *others = [*map(str, limits)] or ["-"]
    yield (*columns, first, state)
    for other in others:
        yield (*("" for _ in columns), other, "")


async def _revoke_key(url: str, name: str, file: Path | None) -> None:
    """Revoke a stored key; `file` is the configuration if it has a key of that name."""
    try:
        async with options.open_existing_store(url) as store, options.audited(store, "keys revoke", name):
            await revoke_key(store, name)
    except NotFound as error:
        if file is None:
            raise
        fix = "Remove it from the file, and have a running gateway reload it (SIGHUP)."
        raise NotFound(f"the key {name!r} is in {file}, not in the store.", hint=fix) from error
