"""Datasets: filters saved under a name, and their versions, which hold requests with the feedback they had."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_DATASET_ROWS = 1_000_000

MAX_NAME_CHARS = 64

# Filter of the requests that rules added to a dataset, by its id or name.
ADDED_TO = "added_to"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A saved filter of requests. Times are microseconds since the epoch."""

    # Position in this store; 0 of one that is not stored yet.
    seq: int = 0
    dataset_id: str
    # None: of callers without a tenant, who see the rows of all.
    tenant: str | None = None
    # Unique within the tenant.
    name: str
    description: str = ""
    # By name, as the request list takes them; `7d` means other days in each version.
    filters: Mapping[str, str] = field(default_factory=dict)
    # Name of the key.
    created_by: str | None = None
    created_at_us: int
    updated_at_us: int

    @property
    def is_collecting(self) -> bool:
        """Whether it holds what rules add to it."""
        return self.filters.get(ADDED_TO) == self.dataset_id


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetVersion:
    """What a dataset held at one time; it never gains a request or an entry of feedback."""

    seq: int = 0
    version_id: str
    dataset_id: str
    # From 1.
    number: int
    # As they were then, with absolute times.
    filters: Mapping[str, str] = field(default_factory=dict)
    rows: int
    feedback: int
    created_by: str | None = None
    frozen_at_us: int


@dataclass(frozen=True, slots=True)
class FrozenFeedback:
    """One version of an entry, and whether it counts for the request in figures."""

    feedback_id: str
    version: int
    is_counted: bool


@dataclass(frozen=True, slots=True)
class FrozenRequest:
    """A request of a dataset's version, by its position in the store, and the feedback it had."""

    seq: int
    feedback: tuple[FrozenFeedback, ...] = ()


@dataclass(frozen=True, slots=True)
class DatasetChunk:
    """Requests of a version that follow each other, as JSON; `last_seq` is the position of the last one."""

    last_seq: int
    requests: str


@dataclass(frozen=True, slots=True)
class DatasetDiff:
    """How a version differs from another: positions of requests; `changed` ones have other feedback."""

    added: list[int]
    removed: list[int]
    changed: list[int]
    unchanged: int


def split_dataset_name(text: str) -> tuple[str, int | None]:
    """Return name and version of `NAME` or `NAME@VERSION`; None means the latest. Raises ValueError."""
    name, at, number = text.partition("@")
    if not at:
        return name, None
    if not (number.isascii() and number.isdigit() and 0 < len(number) <= 9 and int(number) > 0):
        raise ValueError(f"must be NAME or NAME@VERSION, such as support@2; got {text!r}.")
    return name, int(number)
