"""`gateway feedback`: add, list and rescale feedback directly in the store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from gateway.cli.filters import filter_options, output_format, parse_filter, warn_of_unknown_keys
from gateway.cli.options import (
    audited,
    config_option,
    find_config_file,
    open_existing_store,
    storage_option,
    storage_url,
)
from gateway.cli.output import MAX_WIDTH, Column, Table, escape_unprintable, format_time, truncate
from gateway.feedback.identifiers import waiting_note
from gateway.feedback.payloads import SCALES, NewFeedback
from gateway.feedback.rescale import rescale_grades
from gateway.feedback.service import FeedbackService
from gateway.models.feedback import Feedback
from gateway.models.filters import AllOf, Comparison, Filter, Op
from gateway.models.principal import OPEN_ACCESS
from gateway.query.feedback import FeedbackReader
from gateway.query.filters import FEEDBACK_FILTERS
from gateway.query.requests import RequestTexts, TextReader

FEEDBACK_COLUMNS = (
    Column("CREATED (UTC)", 19),
    Column("SCORE", 5),
    Column("VALUE:WEIGHT", 12),
    Column("AUTHOR", 6, min_width=6),
    Column("ABOUT", 12, min_width=12),
    Column("FEEDBACK ID", 36),
)

_MAX_TEXT_CHARS = 4 * MAX_WIDTH
"""How much of a text is looked at, in characters."""


def feedback_table_lines(entries: Sequence[Feedback], texts: Mapping[str, RequestTexts]) -> Iterator[str]:
    """Return the lines of entries, given what they were said of by `feedback_id`."""
    titles, *rows = Table(FEEDBACK_COLUMNS).lines(map(_entry_cells, entries))
    yield titles
    for entry, row in zip(entries, rows, strict=True):
        yield row
        known = texts.get(entry.feedback_id, RequestTexts())
        details = {
            "question": known.question,
            "answer": known.answer,
            "no answer": known.no_answer,
            "edited": entry.edited_text,
            "label": entry.label,
            "comment": entry.comment,
        }
        for name, text in details.items():
            if text:
                yield truncate(
                    f"  {name:<9} {escape_unprintable(' '.join(text[:_MAX_TEXT_CHARS].split()))}", MAX_WIDTH
                )


def _entry_cells(entry: Feedback) -> tuple[str, ...]:
    # An edit or a comment has no value; then its kind says more than a dash.
    value = entry.kind.value if entry.value is None else f"{entry.value:g}:{entry.weight:g}"
    score = "-" if entry.score is None else f"{entry.score:+.2f}"
    return (
        format_time(entry.created_at_us),
        score,
        value,
        entry.author or "-",
        entry.subject_id,
        entry.feedback_id,
    )


DIALECT = "cli"
"""What feedback that was given here is marked with."""

_TIME_CRITERIA = replace(
    FEEDBACK_FILTERS, criteria={name: FEEDBACK_FILTERS.criteria[name] for name in ("from", "to")}, prefixes={}
)
"""What may be said of the entries to rescale."""


@click.group("feedback")
def feedback_command() -> None:
    """Give feedback, and list what was given.

    Works on the store itself, whether or not a gateway runs on it.
    """


@feedback_command.command("add", context_settings={"ignore_unknown_options": True})
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
    from gateway.api.native.feedback import to_new_feedback
    from gateway.config import load_config

    body = {name: value for name, value in given.items() if value is not None}
    config = load_config(find_config_file(config_file), os.environ, {"storage.url": storage})
    new_feedback = to_new_feedback(body, SCALES[config.feedback.portkey_scale])
    entry = asyncio.run(_add_feedback(config.storage.url, new_feedback))
    click.echo(entry.feedback_id)
    if entry.joined_at_us is None:
        click.echo(waiting_note([entry]), err=True)


@feedback_command.command("list")
@click.option("--bad", "rating", flag_value="bad", help="Those with a score below 0.")
@click.option("--good", "rating", flag_value="good", help="Those with a score above 0.")
@filter_options(FEEDBACK_FILTERS)
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
    condition = parse_filter(FEEDBACK_FILTERS, criteria, (*where, *signs))
    output = output_format(is_json, is_csv)
    found = asyncio.run(_find_feedback(storage_url(config_file, storage), condition, limit))
    for line in _output_lines(found, output):
        click.echo(line)
    warn_of_unknown_keys(found.unknown_keys)


@dataclass(frozen=True, slots=True)
class _FoundFeedback:
    entries: list[Feedback]
    texts: dict[str, RequestTexts]
    unknown_keys: tuple[str, ...]


@feedback_command.command("rescale")
@click.option("--scale", type=click.Choice(list(SCALES)), required=True, help="What the grades are.")
@click.option("--key", help="Only grades by the key of this name.")
@filter_options(_TIME_CRITERIA)
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
    where = parse_filter(_TIME_CRITERIA, criteria)
    if key is not None:
        where = AllOf((where, Comparison("key_name", Op.EQ, key)))
    url = storage_url(config_file, storage)
    seen, changed = asyncio.run(_rescale_feedback(url, where, scale, key, is_dry=dry_run))
    click.echo(f"{changed:,} of {seen:,} grades {'would have' if dry_run else 'have'} another score")


async def _rescale_feedback(
    url: str, where: Filter, scale: str, key: str | None, *, is_dry: bool
) -> tuple[int, int]:
    async with open_existing_store(url) as store:
        if is_dry:
            return await rescale_grades(store, where, SCALES[scale], is_dry=True)
        async with audited(store, f"feedback rescale --scale {scale}", key):
            return await rescale_grades(store, where, SCALES[scale])


async def _add_feedback(url: str, new_feedback: list[NewFeedback]) -> Feedback:
    async with open_existing_store(url) as store:
        [entry] = await FeedbackService(store).give(new_feedback, OPEN_ACCESS, dialect=DIALECT)
        return entry


async def _find_feedback(url: str, where: Filter, limit: int) -> _FoundFeedback:
    async with open_existing_store(url) as store:
        found = await FeedbackReader(store).find(where, limit, None, None)
        texts = await TextReader(store).list_texts(found.entries)
        return _FoundFeedback(found.entries, texts, found.unknown_keys)


def _output_lines(found: _FoundFeedback, output: str) -> Iterable[str]:
    if output == "table":
        return feedback_table_lines(found.entries, found.texts)
    from gateway.cli.serializers import feedback_csv, feedback_lines

    write = feedback_csv if output == "csv" else feedback_lines
    return write(found.entries, found.texts)
