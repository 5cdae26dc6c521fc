"""`gateway feedback`: give a verdict and read verdicts, straight on the store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from gateway.cli.criteria import criteria_options, filter_of, given_format, warn_of_unknown_keys
from gateway.cli.feedback_rows import Excerpt, entry_lines, read_excerpts
from gateway.cli.sources import config_option, find_file, storage_option, storage_url
from gateway.cli.stores import open_existing
from gateway.domain.feedback import Feedback
from gateway.domain.filter import Filter, Page, Sort
from gateway.domain.principal import OPEN
from gateway.feedback import SCALES, FeedbackCore, NewFeedback
from gateway.query.metadata_keys import unknown_keys
from gateway.query.search import FEEDBACK

DIALECT = "cli"
"""What feedback that was given here is marked with."""

NEWEST_FIRST = Sort("created_at_us", descending=True)


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
    was said of it.
    """
    signs = () if rating is None else (f"rating={rating}",)
    asked = filter_of(FEEDBACK, criteria, (*where, *signs))
    output = given_format(is_json, is_csv)
    found = asyncio.run(_list(storage_url(config_file, storage), asked, limit, output == "table"))
    for line in _lines(found, output):
        click.echo(line)
    warn_of_unknown_keys(found.unknown_keys)


@dataclass(frozen=True, slots=True)
class _Found:
    entries: list[Feedback]
    excerpts: dict[str, Excerpt]
    unknown_keys: tuple[str, ...]


async def _give(url: str, votes: list[NewFeedback]) -> Feedback:
    async with open_existing(url) as store:
        ids = await FeedbackCore(store).give(votes, OPEN, dialect=DIALECT)
        return (await store.feedback_by_ids(ids))[0]


async def _list(url: str, where: Filter, limit: int, has_excerpts: bool) -> _Found:
    async with open_existing(url) as store:

        async def exists(condition: Filter) -> bool:
            return bool(await store.find_feedback(condition, NEWEST_FIRST, Page(1), None))

        entries = await store.find_feedback(where, NEWEST_FIRST, Page(limit), None)
        return _Found(
            entries,
            await read_excerpts(store, entries) if has_excerpts else {},
            () if entries else await unknown_keys(FEEDBACK, where, exists),
        )


def _lines(found: _Found, output: str) -> Iterable[str]:
    if output == "table":
        return entry_lines(found.entries, found.excerpts)
    from gateway.cli.json_lines import feedback_csv, feedback_lines

    return feedback_csv(found.entries) if output == "csv" else feedback_lines(found.entries)
