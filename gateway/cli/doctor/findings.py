"""What a check is given, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gateway.config.models import Config
from gateway.errors import StoreUnavailable
from gateway.store import StoreInfo


class Level(StrEnum):
    """How bad a finding is. A problem loses data, lets strangers in, or keeps the gateway from working."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        about: what it is about, in a word.
        says: what was found.
        do: what to do about it; None where nothing is to be done.
    """

    level: Level
    about: str
    says: str
    do: str | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is looked at.

    Args:
        config_file: the configuration as text, and where it is.
        database: the store's file, which need not be there yet; with a server, what files beside it would be
            called after.
        examined: what was seen in it, or why it cannot be read; None where there is none.
    """

    config: Config
    config_file: Path
    database: Path
    inspection: StoreInfo | StoreUnavailable | None


Check = Callable[[Deployment], Iterator[Finding]]


def ok(about: str, says: str) -> Finding:
    """A thing that is as it should be."""
    return Finding(Level.OK, about, says)


def warning(about: str, says: str, do: str) -> Finding:
    """A thing that may become a problem."""
    return Finding(Level.WARNING, about, says, do)


def problem(about: str, says: str, do: str) -> Finding:
    """A thing that is one."""
    return Finding(Level.PROBLEM, about, says, do)
