"""The row of a request for analysts: its fields with their types, and the feedback on it, whole and summed up."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal

import orjson
from pydantic import Field

from gateway.datasets.export_format import ExportRow, FormatOptions, RowSetup
from gateway.models.clock import format_rfc3339
from gateway.models.columns import Column
from gateway.models.feedback import Feedback, summarise_scores
from gateway.models.request import REQUEST_COLUMNS

# More digits are noise of binary fractions, and some loaders round to ten anyway.
SCORE_DECIMALS = 6
_USER_KEY = "_user"

Value = str | int | float | bool | None
FieldType = Literal["text", "integer", "number", "flag", "time"]


class RowOptions(FormatOptions):
    people: Literal["pseudonyms", "names"] = Field(
        "pseudonyms",
        description="Authors and users by pseudonyms, the same for a person in every file of a store, or by name.",
    )
    texts: bool = Field(True, description="With question and answer; without, no body is read.")

    @property
    def needs_bodies(self) -> bool:
        return self.texts


@dataclass(frozen=True, slots=True)
class RowField:
    """A column of a file; times are microseconds since the epoch until a format writes them."""

    name: str
    type: FieldType


_TYPES: Mapping[object, FieldType] = {int: "integer", bool: "flag", float: "number"}


def _request_field(column: Column) -> RowField:
    if column.name.endswith("_at_us"):
        return RowField(column.name.removesuffix("_us"), "time")
    return RowField(column.name, _TYPES.get(column.value_type, "text"))


_COLUMN_NAMES = tuple(column.name for column in REQUEST_COLUMNS)
_USER, _METADATA = _COLUMN_NAMES.index("user"), _COLUMN_NAMES.index("metadata")
# One call for all of a row: a call for each column takes several times as long.
_read_columns: Callable[[object], tuple[Value, ...]] = attrgetter(*_COLUMN_NAMES)

REQUEST_FIELDS = tuple(map(_request_field, REQUEST_COLUMNS))
TEXT_FIELDS = (RowField("question", "text"), RowField("answer", "text"))
SCORE_FIELDS = (
    RowField("is_judged", "flag"),
    RowField("score", "number"),
    RowField("feedback_count", "integer"),
    RowField("feedback_weight", "number"),
)
# What the feedback says, where a file has no nested values.
FLAT_FIELDS = tuple(
    RowField(name, "text")
    for name in ("values", "labels", "comments", "edited_text", "authors", "via", "feedback")
)


def row_fields(options: FormatOptions) -> tuple[RowField, ...]:
    """Return the fields of a row without the feedback on it."""
    assert isinstance(options, RowOptions)
    return (*REQUEST_FIELDS, *(TEXT_FIELDS if options.texts else ()), *SCORE_FIELDS)


def flat_fields(options: FormatOptions) -> tuple[RowField, ...]:
    """Return the fields of a row where a file has no nested values."""
    return (*row_fields(options), *FLAT_FIELDS)


class RowReader:
    """Reads rows as the options say."""

    def __init__(self, setup: RowSetup) -> None:
        options = setup.options
        assert isinstance(options, RowOptions)
        self._pseudonym = setup.pseudonym if options.people == "pseudonyms" else None
        self._has_texts = options.texts

    def values(self, row: ExportRow) -> list[Value]:
        """Return the values of `row_fields`."""
        values = list(_read_columns(row.record))
        values[_USER] = self._name(row.record.user)
        values[_METADATA] = self._metadata(row.record.metadata)
        if self._has_texts:
            values += _texts(row)
        if not row.feedback:
            values += _UNJUDGED
            return values
        summary = summarise_scores(row.feedback)
        weight = round(float(summary.total_weight), SCORE_DECIMALS)
        values += (row.is_judged, _rounded(summary.weighted_mean), summary.count, weight)
        return values

    def flat_values(self, row: ExportRow) -> list[Value]:
        """Return the values of `flat_fields`."""
        values = self.values(row)
        values += _flatten(self.entries(row)) if row.feedback else _NO_ENTRIES
        return values

    def entries(self, row: ExportRow) -> list[Mapping[str, Value]]:
        """Return the feedback on a request, its trace and its session, oldest first."""
        counted = {entry.feedback_id for entry in row.counted}
        return [self._entry(each, is_counted=each.feedback_id in counted) for each in row.feedback]

    def _name(self, name: str | None) -> str | None:
        return name if name is None or self._pseudonym is None else self._pseudonym(name)

    def _metadata(self, metadata: Mapping[str, object]) -> str:
        user = metadata.get(_USER_KEY)
        if isinstance(user, str | int | float):
            metadata = {**metadata, _USER_KEY: self._name(str(user))}
        # As text, since loaders take the keys of the first rows for those of all.
        return json_text(metadata)

    def _entry(self, entry: Feedback, *, is_counted: bool) -> dict[str, Value]:
        return {
            "feedback_id": entry.feedback_id,
            "kind": entry.kind.value,
            "metric": entry.metric,
            # What it was given on: this request, or its whole trace or session.
            "via": entry.target.value,
            "counts_here": is_counted,
            "value": entry.value,
            "weight": entry.weight,
            "score": _rounded(entry.score),
            "label": entry.label,
            "comment": entry.comment,
            "original_text": entry.original_text,
            "edited_text": entry.edited_text,
            "author": self._name(entry.author),
            "source": entry.source.value,
            "metadata": json_text(entry.metadata),
            "created_at": format_rfc3339(entry.created_at_us),
        }


def json_text(value: object) -> str:
    return orjson.dumps(value).decode()


def clean_text(text: str) -> str:
    """Return a text that can be written as UTF-8."""
    # JSON may escape half of a surrogate pair, which no encoding of text holds.
    return text if text.isascii() else text.encode(errors="replace").decode()


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, SCORE_DECIMALS)


def _texts(row: ExportRow) -> tuple[str | None, str | None]:
    logged = row.logged
    if logged.request is None and logged.response is None:
        return None, None
    said = logged.conversation()
    question = None if logged.request is None else clean_text(said.question)
    return question, None if logged.response is None else clean_text(said.answer)


# Of most rows.
_UNJUDGED: tuple[Value, ...] = (False, None, 0, 0.0)
_NO_ENTRIES: tuple[Value, ...] = (None, None, None, None, None, None, "[]")


def _flatten(entries: Sequence[Mapping[str, Value]]) -> Iterator[Value]:
    """Yield the values of `FLAT_FIELDS`."""
    pairs = (f"{entry['value']:g}:{entry['weight']:g}" for entry in entries if entry["value"] is not None)
    yield " ".join(pairs) or None
    yield _joined(entries, "label", ", ")
    yield _joined(entries, "comment", "\n")
    yield next((each["edited_text"] for each in reversed(entries) if each["edited_text"] is not None), None)
    yield _joined(entries, "author", " ")
    yield _joined(entries, "via", " ")
    yield json_text(entries)


def _joined(entries: Sequence[Mapping[str, Value]], name: str, separator: str) -> str | None:
    values = (each[name] for each in entries)
    return separator.join(dict.fromkeys(str(value) for value in values if value is not None)) or None
