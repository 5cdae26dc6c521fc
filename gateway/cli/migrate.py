"""`gateway migrate`: bring everything from one store into another."""

from __future__ import annotations

import asyncio

import click

from gateway.cli.moving import move


@click.command("migrate")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
def command(source: str, target: str) -> None:
    """Bring everything that the store FROM holds into the store TO, which is made if it is not there.

    Both are URLs such as sqlite:///gateway.db. FROM stays as it is. What has arrived is recognised, so a migration
    that was broken off is run again, and one beside a running gateway once more after that was stopped.
    """
    asyncio.run(move(source, target))
