"""Format: what turns logged requests with their feedback into the bytes of a file, and what it counts."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.errors import BadInput
from gateway.models.feedback import Feedback
from gateway.models.request import RequestRecord
from gateway.query.requests import LoggedRequest


@dataclass(frozen=True, slots=True)
class ExportRow:
    """A request with its bodies and all feedback on it, its trace and its session, oldest first.

    Args:
        logged: without the stream as one object; `conversation` reads it all the same.
        counted: entries that count for this request in figures; a trace's count for one of its requests.
    """

    logged: LoggedRequest
    counted: tuple[Feedback, ...] = ()

    @property
    def record(self) -> RequestRecord:
        return self.logged.record

    @property
    def feedback(self) -> tuple[Feedback, ...]:
        return self.logged.feedback

    @property
    def is_judged(self) -> bool:
        return bool(self.counted)


@dataclass(slots=True)
class ExportCounts:
    """Items written and rows left out, by reason in words; kept over the restarts of a job."""

    written: int = 0
    left_out: dict[str, int] = field(default_factory=dict)

    def leave_out(self, reason: str, number: int = 1) -> None:
        self.left_out[reason] = self.left_out.get(reason, 0) + number


_MOST_SHOWN = 60

# What callers give beside filters and options; no option has such a name.
RESERVED_NAMES = frozenset({"format", "of", "dataset", "limit", "min_weight", "min_people", "all_in_trace"})


ARCHIVE_TYPE = "application/zip"


def abbreviate(value: object) -> str:
    """Return a value for a message."""
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 1]}…"


class FormatOptions(BaseModel):
    """Options of a format, each a field with its description; values may come as text.

    No option is named as a filter of requests is, or as in `RESERVED_NAMES`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def needs_bodies(self) -> bool:
        """Whether headers and bodies are read; without them a conversation is empty."""
        return True

    @property
    def takes_unjudged(self) -> bool:
        """Whether training data may hold requests without any feedback."""
        return False

    @classmethod
    def read(cls, given: Mapping[str, str]) -> Self:
        """Return the options that a caller gave. Raises BadInput; names the option."""
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0])
            if first["type"] == "extra_forbidden":
                allowed = ", ".join(cls.model_fields) or "none"
                raise BadInput("is not an option here.", field=name, hint=f"Allowed: {allowed}.") from None
            problem = first["msg"][0].lower() + first["msg"][1:]
            raise BadInput(f"{problem}; got {abbreviate(first['input'])}.", field=name) from None


class PreparedRow(NamedTuple):
    """What a writer is given of a row; tuples are sent between processes at a third of a dataclass's cost.

    Args:
        item: as the format has it; None where nothing of the row is written.
        left_out: reasons to be counted.
    """

    item: Any
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RowSetup:
    """What turns rows into what is written of them.

    Args:
        pseudonym: the same text for the same person in every file of this store.
        is_all_in_trace: feedback on a trace or session is taken for each of its requests.
    """

    options: FormatOptions
    pseudonym: Callable[[str], str]
    is_all_in_trace: bool = False

    def entries_of(self, row: ExportRow) -> tuple[Feedback, ...]:
        """Return the feedback that counts for a row of training data."""
        return row.feedback if self.is_all_in_trace else row.counted


class RowPreparer(Protocol):
    """Does for a row what needs no other row, so that several processes share it; called on any thread."""

    def prepare(self, row: ExportRow) -> PreparedRow: ...


@dataclass(frozen=True, slots=True)
class FormatRun:
    """What a writer has for one file.

    Args:
        folder: temporary, for what does not fit in memory; removed with the run.
        filters: what the caller asked for, by name, to be shown in a card.
        counts: of the whole file; those of before where a job goes on (`Format.is_resumable`).
        is_resumed: the file has its first bytes already.
        resources: closed with the run.
    """

    options: FormatOptions
    folder: Path
    filters: Mapping[str, str] = field(default_factory=dict)
    counts: ExportCounts = field(default_factory=ExportCounts)
    is_resumed: bool = False
    resources: ExitStack = field(default_factory=ExitStack)


class FormatWriter(Protocol):
    """Writes one file; called on one thread at a time, outside the event loop. Counts in `FormatRun.counts`."""

    def add(self, item: Any) -> Iterable[bytes]:
        """Return the bytes that follow what was prepared of a row, perhaps none yet."""

    def finish(self) -> Iterable[bytes]:
        """Return the last bytes, after the last row."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format by name.

    Args:
        suffix: of file names, without a dot.
        is_training: only requests with feedback unless the options take others; an empty file is refused.
        is_resumable: what was written holds no state: a killed job goes on behind it.
        can_follow: rows may be added to a file for ever.
        is_archive: whether these options make a zip file of several.
        missing_package: returns why it cannot be used here, with the extra to install; None if it can.
    """

    name: str
    description: str
    media_type: str
    suffix: str
    preparer: Callable[[RowSetup], RowPreparer]
    open: Callable[[FormatRun], FormatWriter]
    options: type[FormatOptions] = FormatOptions
    is_training: bool = False
    is_resumable: bool = False
    can_follow: bool = False
    is_archive: Callable[[FormatOptions], bool] = lambda _: False
    missing_package: Callable[[], str | None] = lambda: None

    def suffix_of(self, options: FormatOptions) -> str:
        return "zip" if self.is_archive(options) else self.suffix

    def media_type_of(self, options: FormatOptions) -> str:
        return ARCHIVE_TYPE if self.is_archive(options) else self.media_type
