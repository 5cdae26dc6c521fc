"""Formats of exports: which one a row is of, what it is, and the request or feedback that it becomes."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self

import orjson

from gateway.api.helicone import imported as helicone
from gateway.api.langfuse import imported as langfuse
from gateway.api.langsmith import imported as langsmith
from gateway.api.portkey import imported as portkey
from gateway.api.tensorzero import imported as tensorzero
from gateway.cli.row_reader import FileRow
from gateway.errors import BadInput
from gateway.feedback.imported import ImportedFeedback, RowKind
from gateway.feedback.payloads import Scale
from gateway.models.principal import Principal
from gateway.models.request import ImportedRequest

AUTO = "auto"
HELICONE, PORTKEY = "helicone", "portkey"
LANGFUSE, LANGSMITH, TENSORZERO = "langfuse", "langsmith", "tensorzero"

Row = Mapping[str, object]
# What rows of another table say of a request. Each format has a type of its own.
Context = Any


@dataclass(frozen=True, slots=True)
class ImportFormat:
    """How rows of one product are read.

    Args:
        read_context: the id and the content of a row that adds to requests; None: there are no such rows.
        context_id: the id of what adds to a request.
        nested_rows: rows inside a row.
    """

    row_kind: Callable[[Row], RowKind | None]
    to_request: Callable[[Row, Principal, Scale, Context | None], ImportedRequest]
    to_feedback: Callable[[Row, Principal], ImportedFeedback] | None = None
    read_context: Callable[[Row], tuple[str, Context]] | None = None
    context_id: Callable[[Row], object] | None = None
    nested_rows: Callable[[Row], Sequence[Row]] = lambda row: ()


def _request_if(is_row: Callable[[Row], bool]) -> Callable[[Row], RowKind | None]:
    return lambda row: RowKind.REQUEST if is_row(row) else None


# In the order in which a row is tried: what is a line of Portkey's is least certain.
FORMATS: Mapping[str, ImportFormat] = {
    HELICONE: ImportFormat(
        _request_if(helicone.is_helicone_row),
        lambda row, importer, scale, context: helicone.to_imported_request(row, importer),
    ),
    TENSORZERO: ImportFormat(
        tensorzero.row_kind,
        lambda row, importer, scale, context: tensorzero.to_imported_request(row, importer, context),
        tensorzero.to_imported_feedback,
        tensorzero.read_context,
        tensorzero.context_id,
        tensorzero.nested_rows,
    ),
    LANGSMITH: ImportFormat(
        langsmith.row_kind,
        lambda row, importer, scale, context: langsmith.to_imported_request(row, importer),
        langsmith.to_imported_feedback,
    ),
    LANGFUSE: ImportFormat(
        langfuse.row_kind,
        lambda row, importer, scale, context: langfuse.to_imported_request(
            row, importer, context or langfuse.NO_CONTEXT
        ),
        langfuse.to_imported_feedback,
        langfuse.read_context,
        langfuse.context_id,
        langfuse.nested_rows,
    ),
    PORTKEY: ImportFormat(
        _request_if(portkey.is_portkey_row),
        lambda row, importer, scale, context: portkey.to_imported_request(row, importer, scale),
    ),
}


@dataclass(frozen=True, slots=True)
class Translator:
    """Turns rows of an export into requests and feedback."""

    dialect: str
    tenant: str | None
    scale: Scale
    # Our names of providers by those in the rows, in lower case.
    renames: Mapping[str, str]
    _contexts: dict[tuple[str, str], Context] = field(default_factory=dict)

    def recognise(self, row: Row) -> tuple[ImportFormat, RowKind]:
        """Return the format of a row, and what the row is. Raises BadInput."""
        name, kind = self._name_and_kind(row)
        return FORMATS[name], kind

    def expand(self, row: FileRow) -> list[FileRow]:
        """Return a row with the rows inside it, or these alone where it is only their list."""
        names = FORMATS if self.dialect == AUTO else [self.dialect]
        nested = [each for name in names for each in FORMATS[name].nested_rows(row.row)]
        is_row = not nested or any(FORMATS[name].row_kind(row.row) for name in names)
        return [*([row] if is_row else []), *(FileRow(row.line, dict(each)) for each in nested)]

    def add_context(self, row: Row) -> None:
        """Keep what a row adds to requests. Raises BadInput."""
        name, _ = self._name_and_kind(row)
        if (read := FORMATS[name].read_context) is None:
            return
        own_id, context = read(row)
        known = self._contexts.get((name, own_id))
        self._contexts[name, own_id] = context if known is None else known.plus(context)

    def translate(self, row: Row) -> ImportedRequest:
        """Return the request of a row. Raises BadInput for a row without its required fields."""
        name, _ = self._name_and_kind(row)
        found = FORMATS[name]
        own_id = found.context_id(row) if found.context_id else None
        # What is no id is refused below, by the name of its field.
        context = self._contexts.get((name, own_id)) if isinstance(own_id, str) else None
        request = found.to_request(row, self._importer(name), self.scale, context)
        provider = self.renames.get(request.exchange.provider.lower())
        if provider is None:
            return request
        return replace(request, exchange=replace(request.exchange, provider=provider))

    def translate_feedback(self, row: Row) -> ImportedFeedback:
        """Return the feedback of a row. Raises BadInput."""
        name, _ = self._name_and_kind(row)
        read = FORMATS[name].to_feedback
        if read is None:
            raise BadInput("is no feedback.", field="row")
        return read(row, self._importer(name))

    def _importer(self, name: str) -> Principal:
        return Principal(f"import:{name}", frozenset(), self.tenant)

    def _name_and_kind(self, row: Row) -> tuple[str, RowKind]:
        names = list(FORMATS) if self.dialect == AUTO else [self.dialect]
        for name in names:
            if kind := FORMATS[name].row_kind(row):
                return name, kind
        if self.dialect in (HELICONE, PORTKEY):
            # These have one kind of row, whose missing fields have names.
            return self.dialect, RowKind.REQUEST
        raise BadInput(
            f"has not the fields of any row of {', '.join(names)}.",
            field="row",
            hint="A request needs its id and time, feedback the id of what it is on.",
        )


class RowSpool:
    """Rows that wait on disk."""

    def __init__(self) -> None:
        # It is closed by `__exit__`, and has no name that could stay behind.
        self._file = tempfile.TemporaryFile()  # noqa: SIM115

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, name: str, row: FileRow) -> None:
        """Keep a row. Raises BadInput for one that is nested too deeply."""
        try:
            self._file.write(orjson.dumps([name, row.line, row.row]) + b"\n")
        except orjson.JSONEncodeError:
            raise BadInput("is nested too deeply to be kept.", field="row") from None

    def rows(self) -> Iterator[tuple[str, FileRow]]:
        self._file.seek(0)
        for line in self._file:
            name, number, row = orjson.loads(line)
            yield name, FileRow(number, row)
