"""ConfigError: all problems of a configuration, each with its location and key."""

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.errors import GatewayError

# From the top of the configuration to a value: keys of mappings and indexes of lists.
KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Location:
    """The location of a key or value; line and column count from 1."""

    # A file's name, `environment variable X` or `command line`.
    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem; `key` is dotted (`providers.local.base_url`), empty for the whole file."""

    location: Location
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.location), self.key, self.message) if part)


class ConfigError(GatewayError, code="bad_config"):
    """The configuration cannot be used; its text has a line for each problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def problem_at(location: Location, path: KeyPath, message: str) -> Problem:
    """Return a problem of the value at `path`, such as `keys[0].role`."""
    key = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return Problem(location, key.lstrip("."), message)
