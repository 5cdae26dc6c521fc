"""Read a line of a Portkey log export as an imported request with its feedback."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Annotated, Literal

import orjson
from pydantic import AliasChoices, BeforeValidator, Field

from gateway.api.portkey.feedback import DIALECT
from gateway.api.portkey.schemas import to_new_feedback
from gateway.errors import BadInput
from gateway.feedback.payloads import NewFeedback, Scale
from gateway.feedback.rules import imported_feedback
from gateway.models.exchange import Exchange, Identity, Outcome, PayloadPolicy, RawHeaders
from gateway.models.feedback import Feedback
from gateway.models.ids import content_id, is_valid_id
from gateway.models.principal import Principal
from gateway.models.request import Cost, Facts, ImportedRequest, Usage
from gateway.web import imported
from gateway.web.bodies import abbreviate
from gateway.wire.endpoints import endpoint_of_logged_answer


def _read_metadata(value: object) -> dict[str, object]:
    try:
        found = orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"must be an object, or a string that holds one as JSON; got {abbreviate(value)}")
    if set(found) == {"key", "value"} and all(isinstance(part, list) for part in found.values()):
        return metadata_of_lists(found["key"], found["value"])
    return found


def metadata_of_lists(keys: list[object], values: list[object]) -> dict[str, object]:
    """Return metadata that is written as a list of keys and a list of values."""
    return {str(key): value for key, value in zip(keys, values, strict=False)}


Metadata = Annotated[dict[str, object], BeforeValidator(_read_metadata)]


class ImportedPortkeyRow(imported.ImportedRow):
    """A line of an export; which fields it has depends on the export job."""

    id: imported.Id | None = None
    trace_id: imported.Id | None = None
    created_at: imported.TimeUs
    request: object = Field(None, validation_alias=AliasChoices("request", "request.body"))
    response: object = Field(None, validation_alias=AliasChoices("response", "response.body"))
    is_success: bool = True
    ai_org: str = "unknown"
    ai_model: str | None = None
    req_units: imported.Count | None = None
    res_units: imported.Count | None = None
    request_url: str | None = None
    request_method: str = "POST"
    cost: imported.Amount | None = None
    cost_currency: Literal["USD"] = Field("USD", validation_alias=AliasChoices("cost_currency", "currency"))
    response_time: imported.Millis | None = None
    response_status_code: imported.Status | None = None
    cache_status: str | None = None
    config: str | None = None
    prompt_slug: str | None = None
    metadata: Metadata | None = None
    metadata_keys: list[object] = Field([], validation_alias="metadata.key")
    metadata_values: list[object] = Field([], validation_alias="metadata.value")
    portkeyHeaders: dict[str, object] | None = None
    feedback: object = None


# A field that holds a whole message has at least one of these beside the body.
_MESSAGE_KEYS = {"headers", "url", "status", "portkeyHeaders"}
# Logged bodies are decoded already, so this header would be wrong.
_CONTENT_ENCODING = "content-encoding"


@dataclass(frozen=True, slots=True)
class ImportedMessage:
    """The request or the response of a line."""

    body: object
    headers: RawHeaders = ()
    status: int | None = None
    url: str | None = None


def read_message(value: object) -> ImportedMessage:
    """Return the message in a field. Raises BadInput for a header that is nested too deeply."""
    if not isinstance(value, dict) or "body" not in value or _MESSAGE_KEYS.isdisjoint(value):
        return ImportedMessage(value)
    status, url = value.get("status"), value.get("url")
    return ImportedMessage(
        body=value["body"],
        headers=read_headers(value.get("headers")) + read_headers(value.get("portkeyHeaders")),
        status=status if isinstance(status, int) and 0 < status <= 999 else None,
        url=url if isinstance(url, str) else None,
    )


def read_headers(fields: object) -> RawHeaders:
    """Return the header fields in an object, values that are not text as JSON."""
    if not isinstance(fields, dict):
        return ()
    return tuple(
        (name.encode(), imported.body_bytes(value, "headers"))
        for name, value in fields.items()
        if name.lower() != _CONTENT_ENCODING
    )


class FeedbackTime(imported.ImportedRow):
    """The time of a feedback entry."""

    created_at: imported.TimeUs | None = None


def read_imported_feedback(
    feedback: object, exchange: Exchange, importer: Principal, scale: Scale
) -> tuple[Feedback, ...]:
    """Return the entries in the `feedback` of a line: one or a list, on its trace unless they name another.

    Raises:
        BadInput: an entry is not valid feedback; names the field.
    """
    listed = feedback if isinstance(feedback, list) else [] if feedback is None else [feedback]
    entries = [_with_trace_id(entry, exchange.identity.trace_id, place) for place, entry in enumerate(listed)]
    try:
        items = to_new_feedback(entries, scale) if entries else []
    except BadInput as error:
        within = (error.field or "").removeprefix("body")
        raise BadInput(error.message, field=f"feedback{within}", hint=error.hint) from None
    times_us = [_feedback_time_us(entry, place, exchange) for place, entry in enumerate(entries)]
    items = [_with_feedback_id(item, place, exchange) for place, item in enumerate(items)]
    return tuple(
        imported_feedback(item, importer, DIALECT, time_us)
        for item, time_us in zip(items, times_us, strict=True)
    )


def _with_trace_id(entry: object, trace_id: str, place: int) -> dict[str, object]:
    if not isinstance(entry, dict):
        raise BadInput(f"must be an object; got {abbreviate(entry)}.", field=f"feedback[{place}]")
    return {"trace_id": trace_id, **entry}


def _with_feedback_id(item: NewFeedback, place: int, exchange: Exchange) -> NewFeedback:
    if item.feedback_id is not None:
        return item
    # The same line imported again must make no second entry.
    content = [exchange.tenant, exchange.identity.request_id, place, item.raw]
    return replace(item, feedback_id=content_id(imported.encode_json(content, "feedback")))


def _feedback_time_us(entry: Mapping[str, object], place: int, exchange: Exchange) -> int:
    return imported.read_row(FeedbackTime, entry, f"feedback[{place}]").created_at or exchange.ended_at_us


CENT = Decimal("0.01")

_CACHE_HITS = ("hit", "semantic hit")


def is_portkey_row(row: Mapping[str, object]) -> bool:
    """Tell whether a line looks like one of Portkey's exports."""
    return "created_at" in row


def to_imported_request(row: Mapping[str, object], importer: Principal, scale: Scale) -> ImportedRequest:
    """Return a line as an imported request with its feedback.

    Args:
        importer: whose tenant and key name the request gets.

    Raises:
        BadInput: a field has a bad value; names it.
    """
    given = imported.read_row(ImportedPortkeyRow, row)
    exchange = _to_exchange(given, given.id or imported.row_id(row), importer)
    feedback = read_imported_feedback(given.feedback, exchange, importer, scale)
    return ImportedRequest(exchange, _facts(given), feedback)


def _to_exchange(given: ImportedPortkeyRow, request_id: str, importer: Principal) -> Exchange:
    request, response = read_message(given.request), read_message(given.response)
    headers = request.headers + read_headers(given.portkeyHeaders)
    request_body = imported.body_bytes(request.body, "request")
    response_body = imported.body_bytes(response.body, "response")
    path = imported.path_of_url(given.request_url or request.url or "")
    status = given.response_status_code or response.status
    return Exchange(
        identity=_identity(given, request_id, headers),
        tenant=importer.tenant,
        key_name=importer.name,
        provider=given.ai_org,
        endpoint=endpoint_of_logged_answer(response.body, path),
        method=given.request_method,
        path=path,
        started_at_us=given.created_at,
        ended_at_us=given.created_at + round((given.response_time or 0) * 1000),
        status=status,
        outcome=Outcome.COMPLETE if status or given.is_success else Outcome.UPSTREAM_ERROR,
        cache_status=given.cache_status,
        payloads=PayloadPolicy.FULL if request_body or response_body else PayloadPolicy.OFF,
        request_headers=headers,
        request_body=request_body,
        request_size=len(request_body),
        response_headers=response.headers,
        response_body=response_body,
        response_size=len(response_body),
    )


def _identity(given: ImportedPortkeyRow, request_id: str, headers: RawHeaders) -> Identity:
    ours = {"_prompt": given.prompt_slug, "_config": given.config}
    named = {name: value for name, value in ours.items() if value is not None}
    metadata = given.metadata or metadata_of_lists(given.metadata_keys, given.metadata_values)
    return Identity(
        request_id=request_id,
        trace_id=given.trace_id or request_id,
        span_id=_id_in(headers, b"x-portkey-span-id"),
        parent_span_id=_id_in(headers, b"x-portkey-parent-span-id"),
        span_name=_id_in(headers, b"x-portkey-span-name"),
        metadata={**named, **metadata},
    )


def _id_in(headers: RawHeaders, name: bytes) -> str | None:
    ids = (value.decode() for key, value in headers if key.lower() == name)
    return next((found for found in ids if is_valid_id(found)), None)


def _facts(given: ImportedPortkeyRow) -> Facts:
    usage = Usage(prompt_tokens=given.req_units, completion_tokens=given.res_units)
    return Facts(model=given.ai_model, usage=usage, cost=_cost(given))


def _cost(given: ImportedPortkeyRow) -> Cost | None:
    has_tokens = bool(given.req_units or given.res_units)
    is_hit = given.cache_status is not None and given.cache_status.lower() in _CACHE_HITS
    if given.cost is None or (given.cost == 0 and has_tokens and not is_hit):
        # Portkey writes 0 for a model without a price.
        return None
    return Cost(imported.to_nanousd(given.cost, dollars=CENT), DIALECT)
