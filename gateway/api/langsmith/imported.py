"""Read rows of LangSmith's exports: runs of models, and feedback."""

from collections.abc import Mapping
from decimal import Decimal

from pydantic import Field

from gateway.api.langsmith.feedback import DIALECT, FeedbackBody
from gateway.errors import BadInput
from gateway.feedback.imported import ImportedFeedback, RowKind
from gateway.models.exchange import Exchange, Identity, Outcome, PayloadPolicy
from gateway.models.ids import is_valid_id
from gateway.models.principal import Principal
from gateway.models.request import Cost, Facts, ImportedRequest, Usage
from gateway.web import imported
from gateway.web.bodies import validate_body
from gateway.web.imported_chats import chat_bodies

_MODEL_CALLS = ("llm", "embedding")
# Where metadata names the conversation; a run's own `session_id` is its project.
_SESSION_KEYS = ("session_id", "thread_id", "conversation_id")
_USER_KEYS = ("user_id", "userId", "user")
_DOLLAR = Decimal(1)


class RunRow(imported.ImportedRow):
    """A row of a bulk export, or a run of the API."""

    id: imported.Id
    trace_id: imported.Id | None = None
    parent_run_id: imported.Id | None = None
    name: str | None = None
    run_type: str
    start_time: imported.TimeUs
    end_time: imported.TimeUs | None = None
    first_token_time: imported.TimeUs | None = None
    inputs: imported.Json = None
    outputs: imported.Json = None
    extra: imported.Object = Field(default_factory=dict)
    error: str | None = None
    tags: imported.Texts = Field(default_factory=list)
    prompt_tokens: imported.Count | None = None
    completion_tokens: imported.Count | None = None
    prompt_token_details: imported.Counts = Field(default_factory=dict)
    completion_token_details: imported.Counts = Field(default_factory=dict)
    total_cost: imported.Amount | None = None

    @property
    def metadata(self) -> dict[str, object]:
        found = imported.parse_json(self.extra.get("metadata"))
        return found if isinstance(found, dict) else {}


class FeedbackTime(imported.ImportedRow):
    """The time of an entry."""

    created_at: imported.TimeUs


def row_kind(row: Mapping[str, object]) -> RowKind | None:
    """Tell what a row is; None for one that is not LangSmith's."""
    if "run_type" in row and "start_time" in row:
        return RowKind.REQUEST if row["run_type"] in _MODEL_CALLS else RowKind.OTHER
    return RowKind.FEEDBACK if "key" in row and {"run_id", "trace_id"} & set(row) else None


def to_imported_request(row: Mapping[str, object], importer: Principal) -> ImportedRequest:
    """Return a run of a model. Raises BadInput."""
    given = imported.read_row(RunRow, row)
    model = _text(given, "ls_model_name") or _invoked_model(given)
    bodies = chat_bodies(given.inputs, given.outputs, model, _parameters(given))
    exchange = Exchange(
        identity=Identity(
            request_id=given.id,
            trace_id=given.trace_id or given.id,
            parent_span_id=given.parent_run_id,
            span_name=given.name if given.name and is_valid_id(given.name) else None,
            metadata=_metadata(given),
        ),
        tenant=importer.tenant,
        key_name=importer.name,
        provider=(_text(given, "ls_provider") or "unknown").lower(),
        endpoint="embeddings" if given.run_type == "embedding" else bodies.endpoint,
        method="POST",
        path="",
        started_at_us=given.start_time,
        first_byte_at_us=given.first_token_time,
        ended_at_us=max(given.start_time, given.end_time or given.start_time),
        status=200 if given.error is None else None,
        outcome=Outcome.COMPLETE if given.error is None else Outcome.UPSTREAM_ERROR,
        error=given.error,
        payloads=PayloadPolicy.FULL if bodies.request or bodies.response else PayloadPolicy.OFF,
        request_body=bodies.request,
        request_size=len(bodies.request),
        response_body=bodies.response,
        response_size=len(bodies.response),
    )
    return ImportedRequest(exchange, _facts(given, model))


def _facts(given: RunRow, model: str | None) -> Facts:
    usage = Usage(
        prompt_tokens=given.prompt_tokens,
        completion_tokens=given.completion_tokens,
        cached_tokens=imported.total_of(given.prompt_token_details, "cache_read"),
        cache_write_tokens=imported.total_of(given.prompt_token_details, "cache_creation"),
        reasoning_tokens=imported.total_of(given.completion_token_details, "reasoning"),
    )
    # It is 0 for a model without a price.
    has_cost = given.total_cost is not None and given.total_cost > 0
    cost = Cost(imported.to_nanousd(given.total_cost or Decimal(0), dollars=_DOLLAR), DIALECT)
    return Facts(requested_model=model, model=model, usage=usage, cost=cost if has_cost else None)


def _text(given: RunRow, *names: str) -> str | None:
    found = (given.metadata.get(name) for name in names)
    return next((text for text in found if isinstance(text, str) and text), None)


def _parameters(given: RunRow) -> dict[str, object]:
    found = imported.parse_json(given.extra.get("invocation_params"))
    return (
        {name: value for name, value in found.items() if name[:1] != "_"} if isinstance(found, dict) else {}
    )


def _invoked_model(given: RunRow) -> str | None:
    stated = given.inputs.get("model") if isinstance(given.inputs, dict) else None
    parameters = _parameters(given)
    names = (parameters.get("model"), parameters.get("model_name"), stated)
    return next((name for name in names if isinstance(name, str) and name), None)


def _metadata(given: RunRow) -> dict[str, object]:
    named = {
        "_user": _text(given, *_USER_KEYS),
        "_session": _text(given, *_SESSION_KEYS),
        "tags": given.tags,
    }
    return {**{name: value for name, value in named.items() if value}, **given.metadata}


def to_imported_feedback(row: Mapping[str, object], importer: Principal) -> ImportedFeedback:
    """Return an entry. Raises BadInput; names the field."""
    at_us = imported.read_row(FeedbackTime, row).created_at
    stated = {name: value for name, value in row.items() if value not in (None, "")}
    stated |= {name: imported.parse_json(stated[name]) for name in _NESTED if name in stated}
    if "score" in stated:
        stated["score"] = _score(stated["score"])
    body = {"id": imported.row_id(row), **stated}
    item = validate_body(FeedbackBody, body).named(_plain(body))
    return ImportedFeedback(item, DIALECT, at_us, importer)


_NESTED = ("value", "correction", "feedback_source", "extra")


def _score(value: object) -> object:
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        raise BadInput("must be a number.", field="score") from None


def _plain(body: Mapping[str, object]) -> dict[str, object]:
    imported.encode_json(dict(body), "row")
    return dict(body)
