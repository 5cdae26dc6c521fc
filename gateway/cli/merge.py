"""`gateway merge`: bring what other stores hold into this one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from gateway.cli.moving import move
from gateway.cli.sources import config_option, storage_option, storage_url


@click.command("merge")
@click.argument("sources", metavar="FROM...", nargs=-1, required=True)
@config_option
@storage_option
def command(sources: tuple[str, ...], config_file: Path | None, storage: str | None) -> None:
    """Bring everything that the stores FROM hold into the store of the configuration, or of --storage.

    FROM is a URL such as sqlite:///other.db, or the name of a file. What is there already stays as it is, so a
    merge that was broken off is run again. Gateways may work on either.
    """
    target = storage_url(config_file, storage)
    for source in sources:
        asyncio.run(move(source if ":" in source else f"sqlite:///{source}", target))
