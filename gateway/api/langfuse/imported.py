"""Read rows of Langfuse's exports: observations with what their traces say, and scores."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from pydantic import Field

from gateway.api.langfuse.scores import DIALECT, ScoreBody
from gateway.errors import BadInput
from gateway.feedback.imported import ImportedFeedback, RowKind
from gateway.models.exchange import Exchange, Identity, Outcome, PayloadPolicy
from gateway.models.ids import is_valid_id
from gateway.models.principal import Principal
from gateway.models.request import Cost, Facts, ImportedRequest, Usage
from gateway.web import imported
from gateway.web.bodies import validate_body
from gateway.web.imported_chats import chat_bodies

# Observations that are calls of models.
_MODEL_CALLS = ("GENERATION", "EMBEDDING")
_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_DOLLAR = Decimal(1)
# Names of counts in `usage_details`, which SDKs pass on as providers call them.
_CACHED = ("input_cached_tokens", "input_cache_read", "cache_read_input_tokens")
_CACHE_WRITES = ("input_cache_creation", "cache_creation_input_tokens")
_REASONING = ("output_reasoning", "reasoning_tokens")


def snake_case(row: Mapping[str, object]) -> dict[str, object]:
    """Return a row of the API with the names that files have."""
    return {
        name if name.islower() else _CAPITAL.sub(r"_\1", name).lower(): value for name, value in row.items()
    }


@dataclass(frozen=True, slots=True)
class TraceContext:
    """What older exports say of a trace, in a table of its own."""

    user_id: str | None = None
    session_id: str | None = None
    name: str | None = None
    release: str | None = None
    tags: tuple[str, ...] = ()

    def plus(self, other: Self) -> Self:
        """Return what the later of two rows says, which are of one trace."""
        return other


NO_CONTEXT = TraceContext()


class TraceRow(imported.ImportedRow):
    """A row of `traces/`."""

    id: imported.Id
    user_id: str | None = None
    session_id: str | None = None
    name: str | None = None
    release: str | None = None
    tags: imported.Texts = Field(default_factory=list)


class ObservationRow(imported.ImportedRow):
    """A row of `observations_v2/` or `observations/`, or an observation of the API."""

    id: imported.Id
    trace_id: imported.Id
    type: str
    start_time: imported.TimeUs
    end_time: imported.TimeUs | None = None
    completion_start_time: imported.TimeUs | None = None
    parent_observation_id: imported.Id | None = None
    name: str | None = None
    environment: str | None = None
    level: str = "DEFAULT"
    status_message: str | None = None
    metadata: imported.Object = Field(default_factory=dict)
    input: imported.Json = None
    output: imported.Json = None
    provided_model_name: str | None = None
    model: str | None = None
    model_parameters: imported.Object = Field(default_factory=dict)
    usage_details: imported.Counts = Field(default_factory=dict)
    cost_details: imported.Counts = Field(default_factory=dict)
    total_cost: imported.Amount | None = None
    calculated_total_cost: imported.Amount | None = None
    prompt_name: str | None = None
    prompt_version: str | int | None = None
    user_id: str | None = None
    session_id: str | None = None
    trace_name: str | None = None
    release: str | None = None
    tags: imported.Texts = Field(default_factory=list)


class ScoreTime(imported.ImportedRow):
    """The time of a score."""

    timestamp: imported.TimeUs


def row_kind(row: Mapping[str, object]) -> RowKind | None:
    """Tell what a row is; None for one that is not Langfuse's."""
    names = set(snake_case(row))
    if {"trace_id", "start_time", "type"} <= names:
        return RowKind.REQUEST if row.get("type") in _MODEL_CALLS else RowKind.OTHER
    if {"timestamp", "name", "data_type"} <= names and {"trace_id", "session_id", "dataset_run_id"} & names:
        return RowKind.FEEDBACK
    is_trace = {"id", "timestamp", "tags"} <= names or {"id", "timestamp", "session_id"} <= names
    return RowKind.CONTEXT if is_trace else None


def nested_rows(row: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Return the observations and scores of a whole trace, as it is downloaded alone."""
    lists = (row.get(name) for name in ("observations", "scores"))
    return [each for found in lists if isinstance(found, list) for each in found if isinstance(each, dict)]


def read_context(row: Mapping[str, object]) -> tuple[str, TraceContext]:
    """Return the id of a trace, and what is said of it. Raises BadInput."""
    given = imported.read_row(TraceRow, snake_case(row))
    named = (given.user_id, given.session_id, given.name, given.release)
    return given.id, TraceContext(*named, tuple(given.tags))


def context_id(row: Mapping[str, object]) -> object:
    """Return the id of the trace that an observation is in."""
    return row.get("trace_id", row.get("traceId"))


def to_imported_request(
    row: Mapping[str, object], importer: Principal, context: TraceContext = NO_CONTEXT
) -> ImportedRequest:
    """Return a call of a model with what its trace says. Raises BadInput."""
    given = imported.read_row(ObservationRow, snake_case(row))
    model = given.provided_model_name or given.model
    bodies = chat_bodies(given.input, given.output, model, given.model_parameters)
    is_failed = given.level == "ERROR"
    exchange = Exchange(
        identity=Identity(
            request_id=given.id,
            trace_id=given.trace_id,
            parent_span_id=given.parent_observation_id,
            span_name=given.name if given.name and is_valid_id(given.name) else None,
            metadata=_metadata(given, context),
        ),
        tenant=importer.tenant,
        key_name=importer.name,
        provider=_provider(given),
        endpoint="embeddings" if given.type == "EMBEDDING" else bodies.endpoint,
        method="POST",
        path="",
        started_at_us=given.start_time,
        first_byte_at_us=given.completion_start_time,
        ended_at_us=max(given.start_time, given.end_time or given.start_time),
        status=None if is_failed else 200,
        outcome=Outcome.UPSTREAM_ERROR if is_failed else Outcome.COMPLETE,
        error=given.status_message if is_failed else None,
        payloads=PayloadPolicy.FULL if bodies.request or bodies.response else PayloadPolicy.OFF,
        request_body=bodies.request,
        request_size=len(bodies.request),
        response_body=bodies.response,
        response_size=len(bodies.response),
    )
    facts = Facts(requested_model=model, model=model, usage=_usage(given.usage_details), cost=_cost(given))
    return ImportedRequest(exchange, facts)


def _provider(given: ObservationRow) -> str:
    named = given.metadata.get("ls_provider")
    return named.lower() if isinstance(named, str) and named else "unknown"


def _metadata(given: ObservationRow, context: TraceContext) -> dict[str, object]:
    version = None if given.prompt_version is None else str(given.prompt_version)
    named: dict[str, object] = {
        "_user": given.user_id or context.user_id,
        "_session": given.session_id or context.session_id,
        "_environment": given.environment,
        "_prompt": given.prompt_name,
        "_prompt_version": version,
        "trace_name": given.trace_name or context.name,
        "release": given.release or context.release,
        "tags": given.tags or list(context.tags),
    }
    return {**{name: value for name, value in named.items() if value}, **given.metadata}


def _usage(counts: Mapping[str, float]) -> Usage:
    # Each category is a count of its own, as `input` and `input_cached_tokens`; they add up to the whole.
    prompt = imported.total_of(counts, "input", "prompt_tokens", "cache_")
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=imported.total_of(counts, "output", "completion_tokens"),
        cached_tokens=imported.total_of(counts, *_CACHED),
        cache_write_tokens=imported.total_of(counts, *_CACHE_WRITES),
        reasoning_tokens=imported.total_of(counts, *_REASONING),
    )


def _cost(given: ObservationRow) -> Cost | None:
    amount = given.calculated_total_cost if given.total_cost is None else given.total_cost
    if amount is None and "total" in given.cost_details:
        amount = Decimal(str(given.cost_details["total"]))
    # Langfuse writes 0 for a model without a price.
    return Cost(imported.to_nanousd(amount, dollars=_DOLLAR), DIALECT) if amount else None


def to_imported_feedback(row: Mapping[str, object], importer: Principal) -> ImportedFeedback:
    """Return a score. Raises BadInput for a value that its type does not have, or a subject not known here."""
    named = snake_case(row)
    at_us = imported.read_row(ScoreTime, named).timestamp
    body = {
        "id": named.get("id") or imported.row_id(row),
        "traceId": named.get("trace_id") or None,
        "observationId": named.get("observation_id") or None,
        "sessionId": None if named.get("trace_id") else named.get("session_id") or None,
        "datasetRunId": named.get("dataset_run_id") if not named.get("trace_id") else None,
        "name": named.get("name"),
        "value": _value(named),
        "dataType": named.get("data_type"),
        "comment": named.get("comment") or None,
        "source": named.get("source") or None,
        "metadata": _score_metadata(named),
    }
    raw = imported.encode_json(dict(row), "row").decode()
    return ImportedFeedback(validate_body(ScoreBody, body).named(raw), DIALECT, at_us, importer)


def _value(row: Mapping[str, object]) -> object:
    if row.get("data_type") in ("CATEGORICAL", "TEXT", "CORRECTION"):
        text = row.get("string_value")
        return text if text not in (None, "") else row.get("value")
    value = row.get("value")
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        raise BadInput("must be a number.", field="value") from None


def _score_metadata(row: Mapping[str, object]) -> object:
    metadata = imported.parse_json(row.get("metadata")) or None
    author = row.get("author_user_id")
    if not author:
        return metadata
    return {"user_id": author, **(metadata if isinstance(metadata, dict) else {})}
