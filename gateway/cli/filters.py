"""Search filters as command-line options: one for each criterion, and --where for any."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from gateway.models.filters import Filter
from gateway.query.filters import FEEDBACK_METADATA_PREFIX, METADATA_PREFIX, FilterSchema

_ALIASES = {"from": "--since", "to": "--until"}

Command = Callable[..., Any]


def filter_options(searchable: FilterSchema) -> Callable[[Command], Command]:
    """Return a decorator that gives a command a flag for each criterion, and one for all of them and for keys of
    metadata; `filter_of` tells what they mean."""

    def decorate(function: Command) -> Command:
        if searchable.prefixes:
            function = click.option(
                "--where",
                "where",
                metavar="NAME=VALUE",
                multiple=True,
                help=f"Any criterion by its name, {METADATA_PREFIX}KEY for the request's metadata,"
                f" {FEEDBACK_METADATA_PREFIX}KEY "
                "for the feedback's. May be given several times.",
            )(function)
        for name, criterion in reversed(list(searchable.criteria.items())):
            flags = [f"--{name.replace('_', '-')}", *filter(None, [_ALIASES.get(name)])]
            help_text = criterion.description.replace("`", "")
            function = click.option(*flags, f"by_{name}", help=help_text)(function)
        return function

    return decorate


def parse_filter(
    searchable: FilterSchema, options: Mapping[str, str | None], where: tuple[str, ...] = ()
) -> Filter:
    """Return the condition that a command was called with.

    Raises:
        BadInput: one of the criteria does not exist, or is given a value that it does not take.
        click.BadParameter: something in `where` is no NAME=VALUE.
    """
    flags = ((name.removeprefix("by_"), text) for name, text in options.items() if text is not None)
    return searchable.to_filter((*flags, *map(split_pair, where)))


def split_pair(text: str, flag: str = "--where", form: str = "NAME=VALUE") -> tuple[str, str]:
    """Split a text of a form such as NAME=VALUE. Raises click.BadParameter for what is none."""
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise click.BadParameter(f"{text!r} is not {form}.", param_hint=flag)
    return name, value


def warn_of_unknown_keys(names: tuple[str, ...]) -> None:
    """Tell why nothing was found, where that may be a slip of the pen."""
    for name in names:
        click.echo(f"Nothing of that time has {name}.", err=True)


def output_format(is_json: bool, is_csv: bool) -> str:
    """Return `json`, `csv` or `table`. Raises click.UsageError where two of them are asked for."""
    if is_json and is_csv:
        raise click.UsageError("--json and --csv exclude each other.")
    return "json" if is_json else "csv" if is_csv else "table"
