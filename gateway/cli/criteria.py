"""Criteria of a search as flags: each under its name, with what it says of itself as help."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click

from gateway.query.search import Criterion


def criteria_options(criteria: Mapping[str, Criterion]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that gives a command a flag for each criterion; `given` tells which were used."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for name, criterion in reversed(list(criteria.items())):
            flag, parameter = f"--{name.replace('_', '-')}", f"by_{name}"
            function = click.option(flag, parameter, help=criterion.description.replace("`", ""))(function)
        return function

    return decorate


def given(options: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """Return name and text of each criterion that a command was called with."""
    return ((name.removeprefix("by_"), text) for name, text in options.items() if text is not None)
