"""Read rows of TensorZero's tables and API: inferences, with what models were called for them, and feedback."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Self
from uuid import UUID

from pydantic import AliasChoices, BeforeValidator, Field

from gateway.api.tensorzero.feedback import COMMENT, DEMONSTRATION, DIALECT, FeedbackBody
from gateway.errors import BadInput
from gateway.feedback.imported import ImportedFeedback, RowKind
from gateway.feedback.named_values import author_in
from gateway.models.exchange import Exchange, Identity, Outcome, PayloadPolicy
from gateway.models.principal import Principal
from gateway.models.request import Facts, ImportedRequest, Usage
from gateway.web import imported
from gateway.web.bodies import abbreviate, validate_body
from gateway.web.imported_chats import chat_bodies

_DEFAULT_FUNCTION = "tensorzero::default"


def _uuid7_us(value: object) -> tuple[str, int]:
    try:
        found = UUID(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.version != 7:
        raise ValueError(f"must be a UUIDv7, which holds the time; got {abbreviate(value)}")
    return str(found), (found.int >> 80) * 1000


# The id, and the time in it: the column `timestamp` is computed from it, to the second, and `SELECT *` omits it.
TimedId = Annotated[tuple[str, int], BeforeValidator(_uuid7_us)]


@dataclass(frozen=True, slots=True)
class ModelCalls:
    """What calls of models were made for one inference.

    Args:
        ids: of the calls, the latest last.
    """

    ids: tuple[str, ...]
    model: str
    provider: str
    input_tokens: int | None
    output_tokens: int | None
    finish_reason: str | None

    def plus(self, other: Self) -> Self:
        """Add the tokens of another call; the latest one says model, provider and why it stopped."""
        if set(other.ids) <= set(self.ids):
            # The same row again.
            return self
        latest = max(self, other, key=lambda calls: calls.ids[-1])
        return replace(
            latest,
            ids=tuple(sorted({*self.ids, *other.ids})),
            input_tokens=_add(self.input_tokens, other.input_tokens),
            output_tokens=_add(self.output_tokens, other.output_tokens),
        )


def _add(one: int | None, other: int | None) -> int | None:
    return other if one is None else one + (other or 0)


class ModelInferenceRow(imported.ImportedRow):
    """A row of `ModelInference`."""

    id: imported.Id
    inference_id: imported.Id
    model_name: str
    model_provider_name: str = "unknown"
    input_tokens: imported.Count | None = None
    output_tokens: imported.Count | None = None
    finish_reason: str | None = None


class InferenceRow(imported.ImportedRow):
    """A row of `ChatInference` or `JsonInference`, or an inference of the API."""

    id: TimedId = Field(validation_alias=AliasChoices("inference_id", "id"))
    episode_id: imported.Id | None = None
    function_name: imported.Id
    variant_name: imported.Id
    input: imported.Json = None
    output: imported.Json = None
    inference_params: imported.Object = Field(default_factory=dict)
    tool_params: imported.Json = None
    processing_time_ms: imported.Millis = 0
    ttft_ms: imported.Millis | None = None
    tags: imported.Object = Field(default_factory=dict)


class FeedbackRow(imported.ImportedRow):
    """A row of one of the four tables of feedback."""

    id: TimedId
    target_id: imported.Id | None = None
    target_type: str | None = None
    inference_id: imported.Id | None = None
    metric_name: imported.Id | None = None
    value: object
    tags: imported.Object = Field(default_factory=dict)


def row_kind(row: Mapping[str, object]) -> RowKind | None:
    """Tell what a row is; None for one that is not TensorZero's."""
    if "function_name" in row and "variant_name" in row:
        return RowKind.REQUEST
    if "inference_id" in row and "model_name" in row:
        return RowKind.CONTEXT
    is_feedback = "value" in row and ("target_id" in row or "inference_id" in row)
    return RowKind.FEEDBACK if is_feedback else None


def nested_rows(row: Mapping[str, object]) -> list[Mapping[str, object]]:
    """Return the inferences of a reply of the API."""
    found = row.get("inferences")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def read_context(row: Mapping[str, object]) -> tuple[str, ModelCalls]:
    """Return the id of an inference, and the call of a model that was made for it. Raises BadInput."""
    given = imported.read_row(ModelInferenceRow, row)
    return given.inference_id, ModelCalls(
        (given.id,),
        given.model_name,
        given.model_provider_name,
        given.input_tokens,
        given.output_tokens,
        given.finish_reason,
    )


def context_id(row: Mapping[str, object]) -> object:
    """Return the id of an inference."""
    return row.get("inference_id") or row.get("id")


def to_imported_request(
    row: Mapping[str, object], importer: Principal, calls: ModelCalls | None = None
) -> ImportedRequest:
    """Return an inference; its id is the request's, its episode the trace. Raises BadInput."""
    given = imported.read_row(InferenceRow, row)
    inference_id, started_at_us = given.id
    model = _model(given, calls)
    bodies = chat_bodies(given.input, given.output, model, _parameters(given))
    exchange = Exchange(
        identity=Identity(
            request_id=inference_id,
            trace_id=given.episode_id or inference_id,
            span_name=given.function_name,
            metadata=_metadata(given),
        ),
        tenant=importer.tenant,
        key_name=importer.name,
        provider=_provider(given, calls),
        endpoint=bodies.endpoint,
        method="POST",
        path="",
        started_at_us=started_at_us,
        first_byte_at_us=None if given.ttft_ms is None else started_at_us + round(given.ttft_ms * 1000),
        ended_at_us=started_at_us + round(given.processing_time_ms * 1000),
        # Inferences that failed are not in the table.
        status=200,
        outcome=Outcome.COMPLETE,
        payloads=PayloadPolicy.FULL if bodies.request or bodies.response else PayloadPolicy.OFF,
        request_body=bodies.request,
        request_size=len(bodies.request),
        response_body=bodies.response,
        response_size=len(bodies.response),
    )
    usage = Usage(calls.input_tokens, calls.output_tokens) if calls else Usage()
    finish = calls.finish_reason if calls else None
    return ImportedRequest(
        exchange, Facts(requested_model=model, model=model, usage=usage, finish_reason=finish)
    )


def _model(given: InferenceRow, calls: ModelCalls | None) -> str | None:
    named = calls.model if calls else given.variant_name
    # A model that was called without a function is the variant.
    is_known = calls is not None or given.function_name == _DEFAULT_FUNCTION
    return named.rpartition("::")[2] if is_known else None


def _provider(given: InferenceRow, calls: ModelCalls | None) -> str:
    if calls is not None:
        return calls.provider.lower()
    return given.variant_name.partition("::")[0].lower() if "::" in given.variant_name else "unknown"


def _parameters(given: InferenceRow) -> dict[str, object]:
    found = given.inference_params.get("chat_completion")
    return (
        {name: value for name, value in found.items() if value is not None} if isinstance(found, dict) else {}
    )


def _metadata(given: InferenceRow) -> dict[str, object]:
    user = author_in(given.tags)
    named = {} if user is None else {"_user": user}
    return {**named, "_prompt": given.function_name, "_prompt_version": given.variant_name, **given.tags}


def to_imported_feedback(row: Mapping[str, object], importer: Principal) -> ImportedFeedback:
    """Return feedback under the id that it had. Raises BadInput; names the field."""
    given = imported.read_row(FeedbackRow, row)
    feedback_id, at_us = given.id
    metric = given.metric_name or (COMMENT if given.target_id else DEMONSTRATION)
    subject = given.target_id or given.inference_id
    # A target is an inference or an episode; an id names only one of them.
    body = {
        "inference_id": None if given.target_type == "episode" else subject,
        "episode_id": subject if given.target_type == "episode" else None,
        "metric_name": metric,
        "value": _value(given.value, metric),
        "tags": given.tags,
    }
    raw = imported.encode_json(dict(row), "row").decode()
    return ImportedFeedback(
        validate_body(FeedbackBody, body).named(raw, feedback_id), DIALECT, at_us, importer
    )


def _value(value: object, metric: str) -> object:
    if metric == COMMENT:
        return value
    if metric == DEMONSTRATION:
        found = imported.parse_json(value)
        return found["raw"] if isinstance(found, dict) and isinstance(found.get("raw"), str) else found
    if not isinstance(value, str):
        return value
    try:
        return {"true": True, "false": False}[value] if value in ("true", "false") else float(value)
    except ValueError:
        raise BadInput("must be a number, true or false.", field="value") from None
