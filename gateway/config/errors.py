"""ConfigError: every problem found in a configuration, each with its location and key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.errors import GatewayError

KeyPath = tuple[str | int, ...]
"""Steps from the top of the configuration to a value: keys of mappings and indexes of lists."""


@dataclass(frozen=True, slots=True)
class Location:
    """Where a key or value stands.

    Args:
        source: a file's name, or what else said it: `environment variable X`, `command line`.
        line: counted from 1; None where the source has no lines.
        column: counted from 1, in characters.
    """

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `key` is dotted (`providers.local.base_url`); empty: the file as a whole."""

    file: str
    line: int | None
    column: int | None
    key: str
    message: str

    def __str__(self) -> str:
        location = str(Location(self.file, self.line, self.column))
        return ": ".join(part for part in (location, self.key, self.message) if part)


class ConfigError(GatewayError):
    """The configuration cannot be used. Holds every problem that was found; its text has a line for each."""

    code = "bad_config"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def problem_at(location: Location, path: KeyPath, message: str) -> Problem:
    """Return the problem that `message` tells of the value at `path`, which stands at `place`."""
    return Problem(location.source, location.line, location.column, format_path(path), message)


def format_path(path: KeyPath) -> str:
    """Return a path as people write it: `keys[0].role`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")
