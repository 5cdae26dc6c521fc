"""Options of commands that search: a flag for each criterion, --where for any, --limit and output formats."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from gateway.models.filters import Filter
from gateway.query.filters import FEEDBACK_METADATA_PREFIX, METADATA_PREFIX, FilterSchema

_ALIASES = {"from": "--since", "to": "--until"}

Command = Callable[..., Any]

json_option = click.option("--json", "is_json", is_flag=True, help="Print JSON lines with all fields.")
csv_option = click.option("--csv", "is_csv", is_flag=True, help="Print CSV with all fields.")
limit_option = click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Most entries."
)


def filter_options(searchable: FilterSchema) -> Callable[[Command], Command]:
    """Return a decorator that adds a flag for each criterion, and `--where`; see `parse_filter`."""

    def decorate(function: Command) -> Command:
        if searchable.prefixes:
            function = click.option(
                "--where",
                metavar="NAME=VALUE",
                multiple=True,
                help=f"Any criterion by its name, {METADATA_PREFIX}KEY for the request's metadata,"
                f" {FEEDBACK_METADATA_PREFIX}KEY for the feedback's. May be given several times.",
            )(function)
        for name, criterion in reversed(list(searchable.criteria.items())):
            flags = [f"--{name.replace('_', '-')}", *filter(None, [_ALIASES.get(name)])]
            help_text = criterion.description.replace("`", "")
            # Prefixed, since `from` is no name of a Python argument.
            function = click.option(*flags, f"by_{name}", help=help_text)(function)
        return function

    return decorate


def parse_filter(schema: FilterSchema, given: Mapping[str, str | None], where: Sequence[str] = ()) -> Filter:
    """Return the condition of a command. Raises BadInput or click.BadParameter."""
    return schema.to_filter((*given_flags(given), *map(split_pair, where)))


def given_flags(given: Mapping[str, str | None]) -> list[tuple[str, str]]:
    """Return the criteria that were given as flags, by name."""
    return [(name.removeprefix("by_"), text) for name, text in given.items() if text is not None]


def split_pair(text: str, flag: str = "--where", form: str = "NAME=VALUE") -> tuple[str, str]:
    """Split a text of a form such as NAME=VALUE. Raises click.BadParameter for anything else."""
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise click.BadParameter(f"{text!r} is not {form}.", param_hint=flag)
    return name, value


def pairs_by_name(where: Sequence[str]) -> dict[str, str]:
    """Return filters that are stored, by name. Raises click.BadParameter for one that is given twice."""
    given: dict[str, str] = {}
    for name, value in map(split_pair, where):
        if name in given:
            raise click.BadParameter(f"{name} is given twice.", param_hint="--where")
        given[name] = value
    return given


def warn_of_unknown_keys(names: tuple[str, ...]) -> None:
    # A search without results may be a typing error.
    for name in names:
        click.echo(f"Nothing of that time has {name}.", err=True)


def output_format(is_json: bool, is_csv: bool) -> str:
    """Return `json`, `csv` or `table`. Raises click.UsageError for both."""
    if is_json and is_csv:
        raise click.UsageError("--json and --csv exclude each other.")
    return "json" if is_json else "csv" if is_csv else "table"
