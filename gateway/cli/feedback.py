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
from gateway.feedback import SCALES, FeedbackCore, NewFeedback, note_of_waiting

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
    """Give feedback, and list what was given.

    Works on the store itself, whether or not a gateway runs on it.
    """


@command.command("add", context_settings={"ignore_unknown_options": True})
@click.argument("id")
@click.argument("value", type=int, required=False)
@click.option("--thumb", type=click.Choice(["up", "down"]), help="Good or bad.")
@click.option("--rating", type=float, help="Stars, from 1 to 5.")
@click.option("--label", help="A word for what is right or wrong.")
@click.option("--comment", help="What is to be said in words.")
@click.option("--author", help="Who judges.")
@click.option("--weight", type=float, help="How much it counts, from 0 to 1.  [default: 1]")
@click.option("--metadata", metavar="JSON", help='An object, such as \'{"_user": "ann"}\'.')
@config_option
@storage_option
def add(config_file: Path | None, storage: str | None, **given: object) -> None:
    """Give feedback on ID, and print the id of the entry.

    ID is that of a trace, a request, a provider's response, or a session. Nothing needs to be logged under it
    yet. Say what you think by --thumb, by --rating or by VALUE, a grade from -10 to 10; or only by --label or
    --comment.
    """
    from gateway.api.native.bodies import to_votes
    from gateway.config import load_config

    body = {name: value for name, value in given.items() if value is not None}
    config = load_config(find_file(config_file), os.environ, {"storage.url": storage})
    votes = to_votes(body, SCALES[config.feedback.portkey_scale])
    entry = asyncio.run(_give(config.storage.url, votes))
    click.echo(entry.feedback_id)
    if entry.joined_at_us is None:
        click.echo(note_of_waiting([entry]), err=True)


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
        [entry] = await FeedbackCore(store).give(votes, OPEN, dialect=DIALECT)
        return entry


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
