"""Criteria of a search as flags: each under its name, with what it says of itself as help."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from gateway.domain.filter import Filter
from gateway.query.search import FEEDBACK_METADATA, METADATA, Searchable

_OTHER_NAMES = {"from": "--since", "to": "--until"}

Command = Callable[..., Any]


def criteria_options(searchable: Searchable) -> Callable[[Command], Command]:
    """Return a decorator that gives a command a flag for each criterion, and one for all of them and for keys of
    metadata; `filter_of` tells what they mean."""

    def decorate(function: Command) -> Command:
        if searchable.prefixes:
            function = click.option(
                "--where",
                "where",
                metavar="NAME=VALUE",
                multiple=True,
                help=f"Any criterion by its name, {METADATA}KEY for the request's metadata, {FEEDBACK_METADATA}KEY "
                "for the feedback's. May be given several times.",
            )(function)
        for name, criterion in reversed(list(searchable.criteria.items())):
            flags = [f"--{name.replace('_', '-')}", *filter(None, [_OTHER_NAMES.get(name)])]
            help_text = criterion.description.replace("`", "")
            function = click.option(*flags, f"by_{name}", help=help_text)(function)
        return function

    return decorate


def filter_of(
    searchable: Searchable, options: Mapping[str, str | None], where: tuple[str, ...] = ()
) -> Filter:
    """Return the condition that a command was called with.

    Raises:
        BadInput: one of the criteria does not exist, or is given a value that it does not take.
        click.BadParameter: something in `where` is no NAME=VALUE.
    """
    flags = ((name.removeprefix("by_"), text) for name, text in options.items() if text is not None)
    return searchable.to_filter((*flags, *map(pair_of, where)))


def pair_of(text: str, flag: str = "--where", form: str = "NAME=VALUE") -> tuple[str, str]:
    """Split a text of a form such as NAME=VALUE. Raises click.BadParameter for what is none."""
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise click.BadParameter(f"{text!r} is not {form}.", param_hint=flag)
    return name, value


def warn_of_unknown_keys(names: tuple[str, ...]) -> None:
    """Tell why nothing was found, where that may be a slip of the pen."""
    for name in names:
        click.echo(f"Nothing of that time has {name}.", err=True)


def given_format(is_json: bool, is_csv: bool) -> str:
    """Return `json`, `csv` or `table`. Raises click.UsageError where two of them are asked for."""
    if is_json and is_csv:
        raise click.UsageError("--json and --csv exclude each other.")
    return "json" if is_json else "csv" if is_csv else "table"
