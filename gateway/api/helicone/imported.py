"""Read a row of a Helicone export as an imported request with its feedback."""

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator

from gateway.api.helicone.feedback import DIALECT, score_feedback
from gateway.feedback.payloads import NewFeedback, thumb_feedback
from gateway.feedback.rules import imported_feedback
from gateway.models.exchange import Exchange, Identity, Outcome, PayloadPolicy
from gateway.models.feedback import Feedback
from gateway.models.ids import is_valid_id
from gateway.models.principal import Principal
from gateway.models.request import Cost, Facts, ImportedRequest, Usage
from gateway.web import imported
from gateway.web.bodies import abbreviate
from gateway.wire.endpoints import endpoint_of_logged_answer

# Some of Helicone's tables store this where there is no id.
NIL_UUID = str(UUID(int=0))


def _read_score(value: object) -> bool | float:
    is_truth = isinstance(value, dict) and value.get("valueType") == "boolean"
    number = value.get("value") if isinstance(value, dict) else value
    if isinstance(number, bool):
        return number
    try:
        found = float(number) if isinstance(number, str | int | float) else math.nan
    except (ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(f"must be a number, true or false; got {abbreviate(value)}")
    return found > 0 if is_truth else found


# A number, or an object with `value` and `valueType`.
Score = Annotated[bool | float, BeforeValidator(_read_score)]


class ImportedHeliconeRow(imported.ImportedRow):
    """A row of an export; which fields it has depends on the query that made it."""

    request_id: imported.Id | None = None
    request_created_at: imported.TimeUs
    request_path: str | None = None
    target_url: str | None = None
    request_user_id: str | None = None
    request_properties: imported.Object | None = None
    properties: imported.Object | None = None
    prompt_id: str | None = None
    request_model: str | None = None
    model_override: str | None = None
    model: str | None = None
    request_body: object = None
    provider: str = "unknown"
    response_id: str | None = None
    response_created_at: imported.TimeUs | None = None
    response_status: imported.Status = 0
    response_model: str | None = None
    response_body: object = None
    delay_ms: imported.Millis | None = None
    time_to_first_token: imported.Millis | None = None
    prompt_tokens: imported.Count | None = None
    completion_tokens: imported.Count | None = None
    prompt_cache_read_tokens: imported.Count | None = None
    prompt_cache_write_tokens: imported.Count | None = None
    costUSD: imported.Amount | None = None
    cost: imported.Amount | None = None
    cache_reference_id: str = NIL_UUID
    cache_enabled: bool = False
    feedback_rating: bool | None = None
    feedback_created_at: imported.TimeUs | None = None
    scores: dict[imported.Id, Score] | None = None


DOLLAR = Decimal(1)

# Stands for a body that Helicone stores elsewhere, or not at all.
_BODY_PLACEHOLDER = b'{"helicone_message"'
# The score that is the rating.
_RATING_SCORE = "helicone-score-feedback"
# Ends the names of boolean scores.
_BOOLEAN_SUFFIX = "-hcone-bool"

# How requests ended, by Helicone's values for a missing status.
_FAILURE_OUTCOMES: Mapping[int, tuple[Outcome, str]] = {
    0: (Outcome.UPSTREAM_ERROR, "no answer was logged"),
    -1: (Outcome.TIMEOUT, "it took too long"),
    -2: (Outcome.TIMEOUT, "it took too long"),
    -3: (Outcome.CLIENT_CLOSED, "the caller left"),
    -4: (Outcome.GATEWAY_ERROR, "it was refused as a threat"),
}


def is_helicone_row(row: Mapping[str, object]) -> bool:
    """Tell whether a row looks like one of Helicone's exports."""
    return "request_created_at" in row


def to_imported_request(row: Mapping[str, object], importer: Principal) -> ImportedRequest:
    """Return a row as an imported request with its rating and scores.

    Args:
        importer: whose tenant and key name the request gets.

    Raises:
        BadInput: a field has a bad value; names it.
    """
    given = imported.read_row(ImportedHeliconeRow, row)
    exchange = _to_exchange(given, given.request_id or imported.row_id(row), importer)
    feedback = tuple(_imported_feedback(given, row, exchange, importer))
    return ImportedRequest(exchange, _facts(given, row), feedback)


def _to_exchange(given: ImportedHeliconeRow, request_id: str, importer: Principal) -> Exchange:
    properties = given.properties or given.request_properties or {}
    metadata = properties if given.model_override is None else {"_model": given.model_override, **properties}
    path = imported.path_of_url(given.request_path or given.target_url or "")
    request_body = _body(given.request_body, "request_body")
    response_body = _body(given.response_body, "response_body")
    is_answered = given.response_status > 0
    failure = _FAILURE_OUTCOMES.get(given.response_status, _FAILURE_OUTCOMES[0])
    outcome, error = (Outcome.COMPLETE, None) if is_answered else failure
    return Exchange(
        identity=_identity(request_id, metadata, given.prompt_id),
        tenant=importer.tenant,
        key_name=importer.name,
        provider=given.provider.lower(),
        endpoint=endpoint_of_logged_answer(given.response_body, path),
        method="POST",
        path=path,
        started_at_us=given.request_created_at,
        first_byte_at_us=_first_byte_at_us(given),
        ended_at_us=_ended_at_us(given),
        status=given.response_status if is_answered else None,
        outcome=outcome,
        error=error,
        cache_status=_cache_status(given),
        payloads=PayloadPolicy.FULL if request_body or response_body else PayloadPolicy.OFF,
        request_body=request_body,
        request_size=len(request_body),
        response_body=response_body,
        response_size=len(response_body),
    )


def _identity(request_id: str, metadata: Mapping[str, object], prompt: str | None) -> Identity:
    return Identity(
        request_id=request_id,
        trace_id=_session_field("Id", metadata) or request_id,
        span_id=_session_field("Path", metadata),
        span_name=_session_field("Name", metadata),
        metadata=metadata if prompt is None else {"_prompt": prompt, **metadata},
    )


def _session_field(name: str, metadata: Mapping[str, object]) -> str | None:
    value = metadata.get(f"Helicone-Session-{name}")
    return value if isinstance(value, str) and is_valid_id(value) else None


def _body(value: object, field: str) -> bytes:
    body = imported.body_bytes(value, field)
    return b"" if body.startswith(_BODY_PLACEHOLDER) else body


def _ended_at_us(given: ImportedHeliconeRow) -> int:
    started_us, response_us = given.request_created_at, given.response_created_at
    if given.delay_ms is None:
        return max(started_us, response_us or started_us)
    ended_us = started_us + round(given.delay_ms * 1000)
    # The latency is in whole milliseconds; the time of the response may be more exact.
    return response_us if response_us is not None and 0 <= response_us - ended_us < 1000 else ended_us


def _first_byte_at_us(given: ImportedHeliconeRow) -> int | None:
    # Helicone writes 0 where it was not measured.
    wait_ms = given.time_to_first_token
    return given.request_created_at + round(wait_ms * 1000) if wait_ms else None


def _cache_status(given: ImportedHeliconeRow) -> str | None:
    if given.cache_reference_id != NIL_UUID:
        return "HIT"
    return "MISS" if given.cache_enabled else None


def _facts(given: ImportedHeliconeRow, row: Mapping[str, object]) -> Facts:
    # Rows without a model of the response have the one that answered as that of the request.
    has_both = "response_model" in row
    answered = given.response_model if has_both else given.request_model or given.model
    return Facts(
        requested_model=given.request_model if has_both else None,
        model=answered,
        usage=Usage(
            prompt_tokens=given.prompt_tokens,
            completion_tokens=given.completion_tokens,
            cached_tokens=given.prompt_cache_read_tokens,
            cache_write_tokens=given.prompt_cache_write_tokens,
        ),
        cost=_cost(given),
        response_id=_response_id(given),
        user=given.request_user_id,
    )


def _cost(given: ImportedHeliconeRow) -> Cost | None:
    amount = given.cost if given.costUSD is None else given.costUSD
    has_tokens = bool(given.prompt_tokens or given.completion_tokens)
    if amount is None or (amount == 0 and has_tokens and given.cache_reference_id == NIL_UUID):
        # Helicone writes 0 for a model without a price.
        return None
    return Cost(imported.to_nanousd(amount, dollars=DOLLAR), DIALECT)


def _response_id(given: ImportedHeliconeRow) -> str | None:
    # Clients know the id in the body; the one in the row may be Helicone's own.
    body = given.response_body
    return None if isinstance(body, dict) and isinstance(body.get("id"), str) else given.response_id


def _imported_feedback(
    given: ImportedHeliconeRow, row: Mapping[str, object], exchange: Exchange, importer: Principal
) -> Iterator[Feedback]:
    request_id = exchange.identity.request_id
    scores = dict(given.scores or {})
    rated = scores.pop(_RATING_SCORE, None)
    rating = given.feedback_rating if given.feedback_rating is not None else rated
    if rating is not None:
        kept = {name: value for name, value in row.items() if name.startswith("feedback_")}
        raw = imported.encode_json({"rating": rating > 0, **kept}, "feedback").decode()
        rated_at_us = given.feedback_created_at or exchange.ended_at_us
        item = thumb_feedback(request_id, is_up=rating > 0, raw=raw)
        yield _imported_entry(item, exchange, importer, rated_at_us)
    for name, value in scores.items():
        plain = name.removesuffix(_BOOLEAN_SUFFIX) or name
        item = score_feedback(request_id, plain, value if plain == name else value > 0)
        yield _imported_entry(item, exchange, importer, exchange.ended_at_us)


def _imported_entry(item: NewFeedback, exchange: Exchange, importer: Principal, given_at_us: int) -> Feedback:
    return imported_feedback(item, importer, DIALECT, given_at_us, upsert_in=exchange.identity.trace_id)
