"""Requests that Portkey has logged, as requests that happened before: from a line of an export to what it means.

Source: as of `exported.py`. Costs are in cents.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from gateway.api.portkey.feedback import DIALECT
from gateway.api.portkey.history.lines import PortkeyRow, paired
from gateway.api.portkey.history.messages import read_headers, read_message
from gateway.api.portkey.history.votes import read_votes
from gateway.domain.exchange import Exchange, Identity, Outcome, PayloadPolicy, RawHeaders
from gateway.domain.ids import is_valid_id
from gateway.domain.past import PastRequest
from gateway.domain.principal import Principal
from gateway.domain.request import Cost, Facts, Usage
from gateway.feedback import Scale
from gateway.web.exported import body_of, nanousd, path_of, read_row, row_id
from gateway.wire.endpoint import endpoint_of_answer

CENT = Decimal("0.01")

_HITS = ("hit", "semantic hit")


def is_row(row: Mapping[str, object]) -> bool:
    """Tell whether a row looks like one of Portkey's."""
    return "created_at" in row


def to_past_request(row: Mapping[str, object], importer: Principal, scale: Scale) -> PastRequest:
    """Return what a line tells: the exchange, what is stated of it, and the feedback if there is any.

    Args:
        importer: whose rows they become, and the key name that they get.
        scale: how feedback becomes scores.

    Raises:
        BadInput: a field holds what it may not; names it.
    """
    given = read_row(PortkeyRow, row)
    exchange = _exchange(given, given.id or row_id(row), importer)
    return PastRequest(exchange, _facts(given), read_votes(given.feedback, exchange, importer, scale))


def _exchange(given: PortkeyRow, request_id: str, importer: Principal) -> Exchange:
    asked, answered = read_message(given.request), read_message(given.response)
    headers = asked.headers + read_headers(given.portkeyHeaders)
    request_body, response_body = body_of(asked.body, "request"), body_of(answered.body, "response")
    path = path_of(given.request_url or asked.url or "")
    status = given.response_status_code or answered.status
    return Exchange(
        identity=_identity(given, request_id, headers),
        tenant=importer.tenant,
        key_name=importer.name,
        provider=given.ai_org,
        endpoint=endpoint_of_answer(answered.body, path),
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
        response_headers=answered.headers,
        response_body=response_body,
        response_size=len(response_body),
    )


def _identity(given: PortkeyRow, request_id: str, headers: RawHeaders) -> Identity:
    named = {
        f"_{name}": value
        for name, value in (("prompt", given.prompt_slug), ("config", given.config))
        if value is not None
    }
    metadata = given.metadata or paired(given.metadata_keys, given.metadata_values)
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


def _facts(given: PortkeyRow) -> Facts:
    return Facts(
        model=given.ai_model,
        usage=Usage(prompt_tokens=given.req_units, completion_tokens=given.res_units),
        cost=_cost(given),
    )


def _cost(given: PortkeyRow) -> Cost | None:
    has_tokens = bool(given.req_units or given.res_units)
    is_hit = given.cache_status is not None and given.cache_status.lower() in _HITS
    if given.cost is None or (given.cost == 0 and has_tokens and not is_hit):
        return None  # 0 is what is written of a model that has no price
    return Cost(nanousd(given.cost, dollars=CENT), DIALECT)
