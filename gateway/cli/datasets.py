"""`gateway datasets`: filters saved under a name, and their versions."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import click
import orjson

from gateway.cli.filters import json_option, pairs_by_name
from gateway.cli.options import OPERATOR, pass_store_url, run_on_store
from gateway.cli.output import Column, Table, format_time, print_lines
from gateway.datasets.versions import DatasetService
from gateway.models.datasets import Dataset, DatasetVersion
from gateway.models.filters import Page

MAX_LISTED = 10_000
# Ids of each kind that a comparison prints.
MAX_IDS = 1_000

T = TypeVar("T")

COLUMNS = (
    Column("NAME", 8, min_width=12),
    Column("VERSION", 7),
    Column("REQUESTS", 9),
    Column("FEEDBACK", 9),
    Column("FROZEN (UTC)", 19),
    Column("FILTERS", 12, min_width=12),
)


@click.group("datasets")
def datasets_command() -> None:
    """Save filters under a name, and freeze what they find."""


@datasets_command.command("list")
@json_option
@pass_store_url
def list_(is_json: bool, url: str) -> None:
    """List datasets by name, with their latest version."""
    found = run_on_store(url, lambda store: DatasetService(store).find_all(Page(MAX_LISTED), None))
    if is_json:
        print_lines(orjson.dumps({**asdict(each), "versions": list(map(asdict, versions))}).decode()
                    for each, versions in found)  # fmt: skip
    else:
        print_lines(
            Table(COLUMNS).lines(_cells(each, versions[0] if versions else None) for each, versions in found)
        )


@datasets_command.command("create")
@click.argument("name")
@click.option("--where", metavar="NAME=VALUE", multiple=True, help="Condition, as lists have them.")
@click.option("--collect", is_flag=True, help="Hold what rules add to it; conditions narrow that.")
@click.option("--description", default="", help="For people.")
@pass_store_url
def create(name: str, where: tuple[str, ...], collect: bool, description: str, url: str) -> None:
    """Save a filter of requests under a name.

    For example: gateway datasets create disliked --where rating=bad --where from=30d
    """
    filters = pairs_by_name(where)
    _change(
        url,
        "create",
        name,
        lambda service: service.create(name, filters, description, OPERATOR, is_collecting=collect),
    )
    click.echo(f"{name}: freeze a version with gateway datasets freeze {name}")


@datasets_command.command("freeze")
@click.argument("name")
@pass_store_url
def freeze(name: str, url: str) -> None:
    """Make a version of the requests that match now, with their feedback."""
    version = _change(url, "freeze", name, lambda service: service.freeze(name, OPERATOR))
    click.echo(
        f"{name}@{version.number}: {version.rows:,} requests, {version.feedback:,} entries of feedback"
    )


@datasets_command.command("show")
@click.argument("name")
@pass_store_url
def show(name: str, url: str) -> None:
    """List the versions of a dataset, the latest first."""
    dataset, versions = run_on_store(url, lambda store: _show(DatasetService(store), name))
    print_lines(Table(COLUMNS).lines(_cells(dataset, each) for each in versions or (None,)))


@datasets_command.command("diff")
@click.argument("name")
@click.argument("version", type=click.IntRange(min=1))
@click.argument("against", type=click.IntRange(min=1))
@pass_store_url
def diff(name: str, version: int, against: int, url: str) -> None:
    """Compare a version with another one, by request ids."""
    print_lines(run_on_store(url, lambda store: _diff(DatasetService(store), name, version, against)))


@datasets_command.command("delete")
@click.argument("name")
@pass_store_url
def delete(name: str, url: str) -> None:
    """Delete a dataset with its versions; requests and feedback stay."""
    _change(url, "delete", name, lambda service: service.delete(name, OPERATOR))


def _change(url: str, name: str, target: str, apply: Callable[[DatasetService], Coroutine[Any, Any, T]]) -> T:
    return run_on_store(url, lambda store: apply(DatasetService(store)), f"datasets {name}", target)


async def _show(datasets: DatasetService, name: str) -> tuple[Dataset, list[DatasetVersion]]:
    dataset = await datasets.find(name, None)
    return dataset, await datasets.versions(dataset)


async def _diff(datasets: DatasetService, name: str, version: int, against: int) -> list[str]:
    found = await datasets.diff(await datasets.find(name, None), version, against)
    lines = [f"{found.unchanged:,} the same"]
    for what, seqs in (("added", found.added), ("removed", found.removed), ("changed", found.changed)):
        ids = await datasets.request_ids(seqs[:MAX_IDS], None)
        lines += [f"{len(seqs):,} {what}", *(f"  {each}" for each in ids)]
    return lines


def _cells(dataset: Dataset, version: DatasetVersion | None) -> Sequence[str]:
    filters = " ".join(f"{name}={text}" for name, text in dataset.filters.items()) or "-"
    if version is None:
        return dataset.name, "-", "-", "-", "-", filters
    counts = f"{version.rows:,}", f"{version.feedback:,}"
    return dataset.name, str(version.number), *counts, format_time(version.frozen_at_us), filters
