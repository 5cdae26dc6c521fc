"""The input and the results of checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gateway.config.models import Config
from gateway.errors import StoreUnavailable
from gateway.store import StoreInfo


class Level(StrEnum):
    """Severity. A problem loses data, lets strangers in, or keeps the gateway from working."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check.

    Args:
        about: what was checked, in a word.
        says: what was found.
        do: the fix, if one is needed.
    """

    level: Level
    about: str
    says: str
    do: str | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is checked.

    Args:
        database: the store's file, which may not exist yet; with a database server, the base name of local files.
        inspection: the store's state, or why it cannot be read; None where there is none.
    """

    config: Config
    config_file: Path
    database: Path
    inspection: StoreInfo | StoreUnavailable | None


Check = Callable[[Deployment], Iterator[Finding]]


def ok(about: str, says: str) -> Finding:
    """Return a finding without a fault."""
    return Finding(Level.OK, about, says)


def warning(about: str, says: str, do: str) -> Finding:
    """Return a finding that may become a problem."""
    return Finding(Level.WARNING, about, says, do)


def problem(about: str, says: str, do: str) -> Finding:
    """Return a finding that needs a fix now."""
    return Finding(Level.PROBLEM, about, says, do)
