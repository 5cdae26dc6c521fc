"""`gateway feedback`: give a verdict and read verdicts, straight on the store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

import click

from gateway.cli.sources import config_option, find_file, storage_option, storage_url
from gateway.cli.stores import open_existing
from gateway.cli.table import Column, Table, clock
from gateway.domain.feedback import Feedback
from gateway.domain.filter import EVERYTHING, Is, Op, Page, Sort
from gateway.domain.principal import OPEN
from gateway.feedback import SCALES, FeedbackCore, NewFeedback

DIALECT = "cli"
"""What feedback that was given here is marked with."""

NEWEST_FIRST = Sort("created_at_us", descending=True)

COLUMNS = (
    Column("CREATED (UTC)", 19),
    Column("VALUE", 5),
    Column("WEIGHT", 6),
    Column("DIALECT", 7),
    Column("ABOUT", 12, least=12),
    Column("FEEDBACK ID", 36),
)


@click.group("feedback")
def command() -> None:
    """Give feedback on a trace, and list what was given.

    Works on the store itself, whether or not a gateway runs on it.
    """


@command.command("add", context_settings={"ignore_unknown_options": True})
@click.argument("trace_id")
@click.argument("value", type=int)
@click.option("--weight", type=float, help="How much it counts, from 0 to 1.  [default: 1]")
@click.option("--metadata", metavar="JSON", help='An object, such as \'{"_user": "ann"}\'.')
@config_option
@storage_option
def add(
    trace_id: str,
    value: int,
    weight: float | None,
    metadata: str | None,
    config_file: Path | None,
    storage: str | None,
) -> None:
    """Give VALUE, from -10 to 10, to TRACE_ID, and print the id of the entry.

    TRACE_ID may also be a request id, the response id that a provider gave, or a session. Nothing needs to
    be logged under it yet.
    """
    from gateway.api.portkey.shapes import to_votes
    from gateway.config import load_config

    given = {"trace_id": trace_id, "value": value, "weight": weight, "metadata": metadata}
    body = {name: value for name, value in given.items() if value is not None}
    config = load_config(find_file(config_file), os.environ, {"storage.url": storage})
    votes = to_votes(body, SCALES[config.feedback.portkey_scale])
    entry = asyncio.run(_give(config.storage.url, votes))
    click.echo(entry.feedback_id)
    if entry.joined_at_us is None:
        click.echo(f"Nothing is logged under {trace_id!r} yet; the entry waits for it.", err=True)


@command.command("list")
@click.option("--trace-id", help="Only feedback on this trace and its requests.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Most entries.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON lines with all fields.")
@config_option
@storage_option
def list_(
    trace_id: str | None, limit: int, is_json: bool, config_file: Path | None, storage: str | None
) -> None:
    """List feedback of every dialect, the newest first."""
    entries = asyncio.run(_list(storage_url(config_file, storage), trace_id, limit))
    for line in _json_lines(entries) if is_json else Table(COLUMNS).lines(map(_row, entries)):
        click.echo(line)


async def _give(url: str, votes: list[NewFeedback]) -> Feedback:
    async with open_existing(url) as store:
        ids = await FeedbackCore(store).give(votes, OPEN, dialect=DIALECT)
        return (await store.feedback_by_ids(ids))[0]


async def _list(url: str, trace_id: str | None, limit: int) -> list[Feedback]:
    where = EVERYTHING if trace_id is None else Is("trace_id", Op.EQ, trace_id)
    async with open_existing(url) as store:
        return await store.find_feedback(where, NEWEST_FIRST, Page(limit), None)


def _row(entry: Feedback) -> tuple[str, ...]:
    # An edit or a comment has no value; then its kind says more than a dash.
    value = entry.kind.value if entry.value is None else f"{entry.value:g}"
    weight = f"{entry.weight:g}"
    return clock(entry.created_at_us), value, weight, entry.dialect, entry.subject_id, entry.feedback_id


def _json_lines(entries: Iterable[Feedback]) -> Iterable[str]:
    from gateway.cli.json_lines import feedback_lines

    return feedback_lines(entries)
