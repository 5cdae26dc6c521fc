"""`gateway feedback`: give a verdict and read verdicts, straight on the store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import click

from gateway.cli.criteria import criteria_options, filter_of, given_format, warn_of_unknown_keys
from gateway.cli.feedback_rows import entry_lines
from gateway.cli.sources import config_option, find_file, storage_option, storage_url
from gateway.cli.stores import audited, open_existing
from gateway.domain.feedback import Feedback
from gateway.domain.filter import All, Filter, Is, Op, Page, Sort
from gateway.domain.principal import OPEN
from gateway.feedback import SCALES, FeedbackCore, NewFeedback, note_of_waiting, rescale
from gateway.query import TextReader, Texts
from gateway.query.metadata_keys import unknown_keys
from gateway.query.search import FEEDBACK

DIALECT = "cli"
"""What feedback that was given here is marked with."""

NEWEST_FIRST = Sort("created_at_us", descending=True)

_TIMES = replace(FEEDBACK, criteria={name: FEEDBACK.criteria[name] for name in ("from", "to")}, prefixes={})
"""What may be said of the entries to rescale."""


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
@click.option("--bad", "rating", flag_value="bad", help="Those with a score below 0.")
@click.option("--good", "rating", flag_value="good", help="Those with a score above 0.")
@criteria_options(FEEDBACK)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Most entries.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON lines with all fields.")
@click.option("--csv", "is_csv", is_flag=True, help="Print CSV with all fields.")
@config_option
@storage_option
def list_(
    rating: str | None,
    where: tuple[str, ...],
    limit: int,
    is_json: bool,
    is_csv: bool,
    config_file: Path | None,
    storage: str | None,
    **criteria: str | None,
) -> None:
    """List feedback of every dialect, the newest first; all conditions must hold.

    The same search as that of GET /api/v1/feedback. Below each entry stands what was asked and answered, and what
    was said of it; --json and --csv have it whole.
    """
    signs = () if rating is None else (f"rating={rating}",)
    asked = filter_of(FEEDBACK, criteria, (*where, *signs))
    output = given_format(is_json, is_csv)
    found = asyncio.run(_list(storage_url(config_file, storage), asked, limit))
    for line in _lines(found, output):
        click.echo(line)
    warn_of_unknown_keys(found.unknown_keys)


@dataclass(frozen=True, slots=True)
class _Found:
    entries: list[Feedback]
    texts: dict[str, Texts]
    unknown_keys: tuple[str, ...]


@command.command("rescale")
@click.option("--scale", type=click.Choice(list(SCALES)), required=True, help="What the grades are.")
@click.option("--key", help="Only grades by the key of this name.")
@criteria_options(_TIMES)
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
    where = filter_of(_TIMES, criteria)
    if key is not None:
        where = All((where, Is("key_name", Op.EQ, key)))
    url = storage_url(config_file, storage)
    seen, changed = asyncio.run(_rescale(url, where, scale, key, is_dry=dry_run))
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


async def _list(url: str, where: Filter, limit: int) -> _Found:
    async with open_existing(url) as store:

        async def exists(condition: Filter) -> bool:
            return bool(await store.find_feedback(condition, NEWEST_FIRST, Page(1), None))

        entries = await store.find_feedback(where, NEWEST_FIRST, Page(limit), None)
        return _Found(
            entries,
            await TextReader(store).texts_of(entries),
            () if entries else await unknown_keys(FEEDBACK, where, exists),
        )


def _lines(found: _Found, output: str) -> Iterable[str]:
    if output == "table":
        return entry_lines(found.entries, found.texts)
    from gateway.cli.json_lines import feedback_csv, feedback_lines

    write = feedback_csv if output == "csv" else feedback_lines
    return write(found.entries, found.texts)
