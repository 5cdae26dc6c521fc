"""The input and the results of checks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
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
    """One result of a check: what was checked, what was found, and the fix."""

    level: Level
    about: str
    says: str
    do: str | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is checked; `inspection` is the store's state, the reason why it cannot be read, or None without one."""

    config: Config
    config_file: Path
    # With a database server, the base name of local files.
    database: Path
    inspection: StoreInfo | StoreUnavailable | None


Check = Callable[[Deployment], Iterator[Finding]]


ok, warning, problem = (partial(Finding, level) for level in Level)
