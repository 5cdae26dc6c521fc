"""`gateway feedback`: give a verdict and read verdicts, straight on the store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

import click

from gateway.cli.criteria import criteria_options, given
from gateway.cli.sources import config_option, find_file, storage_option, storage_url
from gateway.cli.stores import audited, open_existing
from gateway.cli.table import Column, Table, clock
from gateway.domain.feedback import Feedback
from gateway.domain.filter import EVERYTHING, All, Filter, Is, Op, Page, Sort
from gateway.domain.principal import OPEN
from gateway.feedback import SCALES, FeedbackCore, NewFeedback, note_of_waiting, rescale
from gateway.query.search import FEEDBACK_CRITERIA, to_condition

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
def add(config_file: Path | None, storage: str | None, **said: object) -> None:
    """Give feedback on ID, and print the id of the entry.

    ID is that of a trace, a request, a provider's response, or a session. Nothing needs to be logged under it
    yet. Say what you think by --thumb, by --rating or by VALUE, a grade from -10 to 10; or only by --label or
    --comment.
    """
    from gateway.api.native.bodies import to_votes
    from gateway.config import load_config

    body = {name: value for name, value in said.items() if value is not None}
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


@command.command("rescale")
@click.option("--scale", type=click.Choice(list(SCALES)), required=True, help="What the grades are.")
@click.option("--key", help="Only grades by the key of this name.")
@criteria_options({name: FEEDBACK_CRITERIA[name] for name in ("from", "to")})
@click.option("--dry-run", is_flag=True, help="Only say how many would change.")
@config_option
@storage_option
def rescale_(
    scale: str,
    key: str | None,
    dry_run: bool,
    config_file: Path | None,
    storage: str | None,
    **criteria: str | None,
) -> None:
    """Give grades from -10 to 10 that are stored the scores of another scale.

    With --scale thumbs, 1 becomes a thumb up and 0 a thumb down, as portkey_scale: thumbs does with what comes in;
    set that first. Values stay, the earlier scores are in the entries' history, and figures follow.
    """
    conditions = [to_condition(name, text, FEEDBACK_CRITERIA) for name, text in given(criteria)]
    if key is not None:
        conditions.append(Is("key_name", Op.EQ, key))
    url = storage_url(config_file, storage)
    seen, changed = asyncio.run(_rescale(url, All(tuple(conditions)), scale, key, is_dry=dry_run))
    click.echo(f"{changed:,} of {seen:,} grades {'would have' if dry_run else 'have'} another score")


async def _rescale(url: str, where: Filter, scale: str, key: str | None, *, is_dry: bool) -> tuple[int, int]:
    async with open_existing(url) as store:
        if is_dry:
            return await rescale(store, where, SCALES[scale], is_dry=True)
        async with audited(store, f"feedback rescale --scale {scale}", key):
            return await rescale(store, where, SCALES[scale])


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
