"""`gateway reviews`: list reviews, and compare the scores of people and models."""

import asyncio
from collections.abc import Iterator, Sequence

import click

from gateway.cli.filters import filter_options, json_option, limit_option, parse_filter
from gateway.cli.options import open_existing_store, pass_store_url
from gateway.cli.output import Column, Table, format_time, print_lines
from gateway.models.filters import Filter
from gateway.models.reviews import Review
from gateway.query.filters import REQUEST_FILTERS, REVIEW_FILTERS
from gateway.query.statistics import Estimate
from gateway.reviews.agreement import Agreement, AgreementReader
from gateway.reviews.queue import ReviewQueue

COLUMNS = (
    Column("AT (UTC)", 19),
    Column("STATE", 8),
    Column("REVIEWER", 8, min_width=8),
    Column("REQUEST ID", 12, min_width=12),
    Column("NOTE", 4, min_width=12),
)
PAIR_COLUMNS = (
    Column("PEOPLE", 6, min_width=20),
    Column("REQUESTS", 8),
    Column("SAME SIGN", 20),
    Column("KAPPA", 20),
)


@click.group("reviews")
def reviews_command() -> None:
    """List reviews, and compare the scores of people and models."""


@reviews_command.command("list")
@filter_options(REVIEW_FILTERS)
@limit_option
@json_option
@pass_store_url
def list_(limit: int, is_json: bool, url: str, **criteria: str | None) -> None:
    """List reviews and live reservations, the newest first; all conditions must hold.

    The same as GET /api/v1/reviews.
    """
    reviews = asyncio.run(_find_reviews(url, parse_filter(REVIEW_FILTERS, criteria), limit))
    if is_json:
        from gateway.cli.serializers import review_lines

        print_lines(review_lines(reviews))
    else:
        print_lines(Table(COLUMNS).lines(map(_review_cells, reviews)))


@reviews_command.command("agreement")
@filter_options(REQUEST_FILTERS)
@json_option
@pass_store_url
def agreement(where: tuple[str, ...], is_json: bool, url: str, **criteria: str | None) -> None:
    """Compare the scores of people, and of people and models, on matching requests.

    The same as GET /api/v1/reviews/agreement. Intervals are of 95 %.
    """
    found = asyncio.run(_read_agreement(url, parse_filter(REQUEST_FILTERS, criteria, where)))
    if is_json:
        from gateway.cli.serializers import agreement_lines

        print_lines(agreement_lines(found))
    else:
        print_lines(_agreement_lines(found))


async def _find_reviews(url: str, where: Filter, limit: int) -> Sequence[Review]:
    async with open_existing_store(url) as store:
        return (await ReviewQueue(store).find(where, limit, None, None)).reviews


async def _read_agreement(url: str, where: Filter) -> Agreement:
    async with open_existing_store(url) as store:
        return await AgreementReader(store).read(where, None)


def _review_cells(review: Review) -> Sequence[str]:
    return format_time(review.at_us), review.state, review.reviewer, review.request_id, review.note or "-"


def _agreement_lines(found: Agreement) -> Iterator[str]:
    people, models = found.people, found.models
    if found.read_back_to_us is not None:
        yield f"requests since        {format_time(found.read_back_to_us)}; there are too many for more"
    yield f"scores                {found.scores:,}"
    yield f"by several people     {people.requests:,} requests, {people.people:,} people"
    yield f"  same sign           {_format(people.same_sign)}"
    yield f"  Krippendorff's alpha {_format(people.alpha)}"
    yield f"by people and models  {models.requests:,} requests"
    yield f"  same sign           {_format(models.same_sign)}"
    yield f"  correlation         {_format(models.correlation)}"
    if people.pairs:
        yield ""
        rows = (
            (" and ".join(pair.people), f"{pair.requests:,}", _format(pair.same_sign), _format(pair.kappa))
            for pair in people.pairs
        )
        yield from Table(PAIR_COLUMNS).lines(rows)


def _format(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"
