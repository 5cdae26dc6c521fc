"""`gateway feedback`: add, list and rescale feedback directly in the store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from gateway.cli import filters, output
from gateway.cli.options import audited, open_existing_store, pass_config, pass_store_url
from gateway.feedback.identifiers import waiting_note
from gateway.feedback.payloads import SCALES, NewFeedback
from gateway.feedback.rescale import rescale_grades
from gateway.feedback.service import FeedbackService
from gateway.models.feedback import Feedback
from gateway.models.filters import AllOf, Comparison, Filter, Op
from gateway.models.principal import OPEN_ACCESS
from gateway.query.feedback import FeedbackReader, FeedbackSlice
from gateway.query.filters import FEEDBACK_FILTERS
from gateway.query.requests import RequestTexts, TextReader

if TYPE_CHECKING:
    from gateway.config import Config

# Stored with feedback that is given here.
DIALECT = "cli"

FEEDBACK_COLUMNS = (
    output.Column("CREATED (UTC)", 19),
    output.Column("SCORE", 5),
    output.Column("VALUE:WEIGHT", 12),
    output.Column("AUTHOR", 6, min_width=6),
    output.Column("ABOUT", 12, min_width=12),
    output.Column("FEEDBACK ID", 36),
)

# How much of a text is looked at, in characters.
_MAX_TEXT_CHARS = 4 * output.MAX_WIDTH

_TIME_FILTERS = replace(
    FEEDBACK_FILTERS, criteria={name: FEEDBACK_FILTERS.criteria[name] for name in ("from", "to")}, prefixes={}
)


@click.group("feedback")
def feedback_command() -> None:
    """Add, list and rescale feedback.

    Works on the store itself, whether or not a gateway runs on it.
    """


@feedback_command.command("add", context_settings={"ignore_unknown_options": True})
@click.argument("id")
@click.argument("value", type=int, required=False)
@click.option("--thumb", type=click.Choice(["up", "down"]), help="Good or bad.")
@click.option("--rating", type=float, help="Stars, from 1 to 5.")
@click.option("--label", help="A word for what is right or wrong.")
@click.option("--comment", help="Free text.")
@click.option("--author", help="Who gives the feedback.")
@click.option("--weight", type=float, help="How much it counts, from 0 to 1.  [default: 1]")
@click.option("--metadata", metavar="JSON", help='An object, such as \'{"_user": "ann"}\'.')
@pass_config
def add(config: Config, **given: object) -> None:
    """Add feedback on ID, and print the id of the feedback.

    ID is that of a trace, a request, a provider's response, or a session. Nothing needs to be logged under it
    yet. Give --thumb, --rating or VALUE, a grade from -10 to 10; or only --label or --comment.
    """
    from gateway.api.native.feedback_input import to_new_feedback

    body = {name: value for name, value in given.items() if value is not None}
    new_feedback = to_new_feedback(body, SCALES[config.feedback.portkey_scale])
    entry = asyncio.run(_add_feedback(config.storage.url, new_feedback))
    click.echo(entry.feedback_id)
    if entry.joined_at_us is None:
        click.echo(waiting_note([entry]), err=True)


async def _add_feedback(url: str, new_feedback: list[NewFeedback]) -> Feedback:
    async with open_existing_store(url) as store:
        [entry] = await FeedbackService(store).give(new_feedback, OPEN_ACCESS, dialect=DIALECT)
        return entry


@feedback_command.command("list")
@click.option("--bad", "rating", flag_value="bad", help="Those with a score below 0.")
@click.option("--good", "rating", flag_value="good", help="Those with a score above 0.")
@filters.filter_options(FEEDBACK_FILTERS)
@filters.limit_option
@filters.json_option
@filters.csv_option
@pass_store_url
def list_(
    rating: str | None,
    where: tuple[str, ...],
    limit: int,
    is_json: bool,
    is_csv: bool,
    url: str,
    **criteria: str | None,
) -> None:
    """List feedback of every dialect, the newest first; all conditions must hold.

    The same search as GET /api/v1/feedback. Below each entry are the question, the answer and the texts of the
    feedback, shortened; --json and --csv have them whole.
    """
    signs = () if rating is None else (f"rating={rating}",)
    condition = filters.parse_filter(FEEDBACK_FILTERS, criteria, (*where, *signs))
    form = filters.output_format(is_json, is_csv)
    found, texts = asyncio.run(_find_feedback(url, condition, limit))
    if form == "table":
        output.print_lines(feedback_table_lines(found.entries, texts))
    else:
        from gateway.cli.serializers import feedback_csv, feedback_lines

        output.print_lines((feedback_csv if form == "csv" else feedback_lines)(found.entries, texts))
    filters.warn_of_unknown_keys(found.unknown_keys)


async def _find_feedback(
    url: str, where: Filter, limit: int
) -> tuple[FeedbackSlice, Mapping[str, RequestTexts]]:
    async with open_existing_store(url) as store:
        found = await FeedbackReader(store).find(where, limit, None, None)
        return found, await TextReader(store).list_texts(found.entries)


@feedback_command.command("rescale")
@click.option("--scale", type=click.Choice(list(SCALES)), required=True, help="What the grades are.")
@click.option("--key", help="Only grades by the key of this name.")
@filters.filter_options(_TIME_FILTERS)
@click.option("--dry-run", is_flag=True, help="Only print how many would change.")
@pass_store_url
def rescale_(scale: str, key: str | None, dry_run: bool, url: str, **criteria: str | None) -> None:
    """Recompute the scores of stored grades from -10 to 10 on another scale.

    With --scale thumbs, 1 becomes a thumb up and 0 a thumb down, as portkey_scale: thumbs does with new feedback;
    set that first. Values stay, earlier scores stay in the history, and metrics follow.
    """
    where = filters.parse_filter(_TIME_FILTERS, criteria)
    if key is not None:
        where = AllOf((where, Comparison("key_name", Op.EQ, key)))
    seen, changed = asyncio.run(_rescale(url, where, scale, key, is_dry=dry_run))
    click.echo(f"{changed:,} of {seen:,} grades {'would have' if dry_run else 'have'} another score")


async def _rescale(url: str, where: Filter, scale: str, key: str | None, *, is_dry: bool) -> tuple[int, int]:
    async with open_existing_store(url) as store:
        if is_dry:
            return await rescale_grades(store, where, SCALES[scale], is_dry=True)
        async with audited(store, f"feedback rescale --scale {scale}", key):
            return await rescale_grades(store, where, SCALES[scale])


def feedback_table_lines(entries: Sequence[Feedback], texts: Mapping[str, RequestTexts]) -> Iterator[str]:
    """Return the table of entries, each with its texts below it; `texts` are by `feedback_id`."""
    titles, *rows = output.Table(FEEDBACK_COLUMNS).lines(map(_entry_cells, entries))
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
                words = " ".join(text[:_MAX_TEXT_CHARS].split())
                yield output.truncate(f"  {name:<9} {output.escape_unprintable(words)}", output.MAX_WIDTH)


def _entry_cells(entry: Feedback) -> tuple[str, ...]:
    # An edit or a comment has no value; its kind is more useful than a dash.
    value = entry.kind.value if entry.value is None else f"{entry.value:g}:{entry.weight:g}"
    score = "-" if entry.score is None else f"{entry.score:+.2f}"
    created = output.format_time(entry.created_at_us)
    return created, score, value, entry.author or "-", entry.subject_id, entry.feedback_id
