"""Requests that Helicone has logged, as requests that happened before: from a row to what it means here.

Source: as of `exported.py`; what statuses below 1 mean, from its worker and its web pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType

from gateway.api.helicone.exported import NOBODY, HeliconeRow
from gateway.api.helicone.feedback import DIALECT, to_score
from gateway.domain.exchange import Exchange, Identity, Outcome, PayloadPolicy
from gateway.domain.feedback import Feedback
from gateway.domain.ids import is_valid_id
from gateway.domain.past import PastRequest
from gateway.domain.principal import Principal
from gateway.domain.request import Cost, Facts, Usage
from gateway.feedback.past import past_standing_entry
from gateway.feedback.standing import StandingVote, thumb
from gateway.web.exported import body_of, nanousd, path_of, read_row, row_id, written
from gateway.wire.endpoint import endpoint_of_answer

DOLLAR = Decimal(1)

_PLACEHOLDER = b'{"helicone_message"'
"""What is in the place of a body that is kept elsewhere, or not at all, begins with this."""

_RATING = "helicone-score-feedback"
"""The score that is the rating."""
_TRUTH = "-hcone-bool"
"""What the names of scores end with that are true or false."""

_UNANSWERED: Mapping[int, tuple[Outcome, str]] = MappingProxyType(
    {
        0: (Outcome.UPSTREAM_ERROR, "no answer was logged"),
        -1: (Outcome.TIMEOUT, "it took too long"),
        -2: (Outcome.TIMEOUT, "it took too long"),
        -3: (Outcome.CLIENT_CLOSED, "the caller left"),
        -4: (Outcome.GATEWAY_ERROR, "it was refused as a threat"),
    }
)
"""How requests ended whose status is none."""


def is_row(row: Mapping[str, object]) -> bool:
    """Tell whether a row looks like one of Helicone's."""
    return "request_created_at" in row


def to_past_request(row: Mapping[str, object], importer: Principal) -> PastRequest:
    """Return what a row tells: the exchange, what is stated of it, and the rating and scores that stand.

    Args:
        importer: whose rows they become, and the key name that they get.

    Raises:
        BadInput: a field holds what it may not; names it.
    """
    given = read_row(HeliconeRow, row)
    exchange = _exchange(given, given.request_id or row_id(row), importer)
    return PastRequest(exchange, _facts(given, row), tuple(_entries(given, row, exchange, importer)))


def _exchange(given: HeliconeRow, request_id: str, importer: Principal) -> Exchange:
    properties = given.properties or given.request_properties or {}
    metadata = properties if given.model_override is None else {"_model": given.model_override, **properties}
    path = path_of(given.request_path or given.target_url or "")
    request_body = _body(given.request_body, "request_body")
    response_body = _body(given.response_body, "response_body")
    is_answered = given.response_status > 0
    outcome, error = (Outcome.COMPLETE, None) if is_answered else _unanswered(given.response_status)
    return Exchange(
        identity=_identity(request_id, metadata, given.prompt_id),
        tenant=importer.tenant,
        key_name=importer.name,
        provider=given.provider.lower(),
        endpoint=endpoint_of_answer(given.response_body, path),
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
        trace_id=_of_session("Id", metadata) or request_id,
        span_id=_of_session("Path", metadata),
        span_name=_of_session("Name", metadata),
        metadata=metadata if prompt is None else {"_prompt": prompt, **metadata},
    )


def _of_session(name: str, metadata: Mapping[str, object]) -> str | None:
    value = metadata.get(f"Helicone-Session-{name}")
    return value if isinstance(value, str) and is_valid_id(value) else None


def _body(value: object, field: str) -> bytes:
    body = body_of(value, field)
    return b"" if body.startswith(_PLACEHOLDER) else body


def _unanswered(status: int) -> tuple[Outcome, str]:
    return _UNANSWERED.get(status, _UNANSWERED[0])


def _ended_at_us(given: HeliconeRow) -> int:
    """The start and the latency; the time of the response only tells what is below a millisecond."""
    started_us, response_us = given.request_created_at, given.response_created_at
    if given.delay_ms is None:
        return max(started_us, response_us or started_us)
    ended_us = started_us + round(given.delay_ms * 1000)
    return response_us if response_us is not None and 0 <= response_us - ended_us < 1000 else ended_us


def _first_byte_at_us(given: HeliconeRow) -> int | None:
    # 0 is what is written where it was not measured.
    wait_ms = given.time_to_first_token
    return given.request_created_at + round(wait_ms * 1000) if wait_ms else None


def _cache_status(given: HeliconeRow) -> str | None:
    if given.cache_reference_id != NOBODY:
        return "HIT"
    return "MISS" if given.cache_enabled else None


def _facts(given: HeliconeRow, row: Mapping[str, object]) -> Facts:
    # Where there is no model of the response, that of the request is the one that answered.
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


def _cost(given: HeliconeRow) -> Cost | None:
    amount = given.cost if given.costUSD is None else given.costUSD
    has_tokens = bool(given.prompt_tokens or given.completion_tokens)
    if amount is None or (amount == 0 and has_tokens and given.cache_reference_id == NOBODY):
        return None  # 0 is what is written of a model that has no price
    return Cost(nanousd(amount, dollars=DOLLAR), DIALECT)


def _response_id(given: HeliconeRow) -> str | None:
    """The id in the body is the one that clients hold; the other may be Helicone's own."""
    body = given.response_body
    return None if isinstance(body, dict) and isinstance(body.get("id"), str) else given.response_id


def _entries(
    given: HeliconeRow, row: Mapping[str, object], exchange: Exchange, importer: Principal
) -> Iterator[Feedback]:
    request_id = exchange.identity.request_id
    scores = dict(given.scores or {})
    rated = scores.pop(_RATING, None)
    rating = given.feedback_rating if given.feedback_rating is not None else rated
    if rating is not None:
        kept = {name: value for name, value in row.items() if name.startswith("feedback_")}
        raw = written({"rating": rating > 0, **kept}, "feedback").decode()
        rated_at_us = given.feedback_created_at or exchange.ended_at_us
        vote = thumb(request_id, is_up=rating > 0, raw=raw)
        yield _entry(vote, exchange, importer, rated_at_us)
    for name, value in scores.items():
        plain = name.removesuffix(_TRUTH) or name
        vote = to_score(request_id, plain, value if plain == name else value > 0)
        yield _entry(vote, exchange, importer, exchange.ended_at_us)


def _entry(vote: StandingVote, exchange: Exchange, importer: Principal, given_at_us: int) -> Feedback:
    return past_standing_entry(vote, exchange.identity.trace_id, importer, DIALECT, given_at_us)
