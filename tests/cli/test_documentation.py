from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from gateway.cli import commands

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()


def parameters(command: click.Command, path: str) -> Iterator[tuple[str, click.Parameter]]:
    for parameter in command.params:
        yield path, parameter
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            below = command.get_command(ctx, name)
            assert below is not None
            yield from parameters(below, f"{path} {name}".strip())


def test_each_command_and_flag_is_documented() -> None:
    missing = [
        f"{path} {flag}"
        for path, parameter in parameters(commands, "")
        for flag in parameter.opts
        if isinstance(parameter, click.Option) and flag != "--version" and flag not in PAGE
    ]
    assert missing == []
    assert all(path.split()[0] in PAGE for path, _ in parameters(commands, "") if path)


def test_each_flag_says_what_it_is_for() -> None:
    silent = [
        f"{path} {parameter.name}"
        for path, parameter in parameters(commands, "")
        if isinstance(parameter, click.Option) and not parameter.help
    ]
    assert silent == []
