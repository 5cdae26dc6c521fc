"""The way back: from the provider to the caller, noted on the way; the end is held back until it is safe."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from gateway.access.tokens import FeedbackTokens
from gateway.domain.exchange import Outcome, declares_stream
from gateway.domain.principal import Scope
from gateway.proxy.answer import Answer
from gateway.proxy.headers import REQUEST_ID_FIELDS, TOKEN_FIELD, TRACE_ID_FIELDS, response_headers
from gateway.recording.capture import Capture
from gateway.recording.recorder import Recorder
from gateway.upstream import UpstreamResponse
from gateway.wire.stream_usage import UsageChunkFilter


async def relay(
    response: UpstreamResponse,
    answer: Answer,
    capture: Capture,
    recorder: Recorder,
    tokens: FeedbackTokens,
    limit_fields: Sequence[tuple[bytes, bytes]] = (),
    usage_filter: UsageChunkFilter | None = None,
) -> None:
    """Bring a provider's answer to the caller.

    Every piece goes out when it comes, but the end of the answer (the last piece of a body of known length, the
    last chunk of any other) only after the exchange is recorded. A caller therefore has everything at once, and
    knows that it has everything only when it is logged.

    Args:
        limit_fields: what the caller is told of its limits.
        usage_filter: takes out what the caller did not ask for; what is noted is what the provider sent.

    Raises:
        UpstreamError: the provider broke off, or took too long.
        ConnectionResetError: the caller has gone.
    """
    fields = response_headers(response.headers)
    fields += _own_fields(capture)
    fields += limit_fields
    if tokens.is_on:
        fields.append((TOKEN_FIELD, _issue(tokens, capture)))
    if usage_filter is not None:
        fields = [field for field in fields if field[0].lower() != b"content-length"]
    unframed = response.has_body and (response.content_length is None or usage_filter is not None)
    if unframed or declares_stream(response.headers):
        fields.append((b"X-Accel-Buffering", b"no"))
    unsent = answer.head(response.reason, fields, needs_framing=unframed)
    if response.has_body and not response.is_unread and not response.is_finished():
        # The provider has answered but is still thinking: the caller should know the one without the other.
        answer.send(unsent)
        unsent = b""
    while piece := await response.read():
        capture.response_body.add(piece)
        unsent += answer.framed(piece if usage_filter is None else usage_filter.feed(piece))
        if response.is_finished() and not (unframed and answer.has_begun):
            break
        answer.send(unsent)
        unsent = b""
        if unframed:
            await response.pour(partial(_forward, answer, capture, usage_filter))
        if answer.is_backed_up:
            await answer.drained()
    await recorder.record(capture.close(Outcome.COMPLETE))
    if usage_filter is not None:
        unsent += answer.framed(usage_filter.flush())
    if end := unsent + answer.terminator:
        answer.send(end)


def _forward(answer: Answer, capture: Capture, usage_filter: UsageChunkFilter | None, piece: bytes) -> bool:
    """Pass a piece on at once; tell whether the caller can take more."""
    capture.response_body.add(piece)
    if usage_filter is not None:
        piece = usage_filter.feed(piece)
    answer.send(answer.framed(piece))
    return not answer.is_backed_up


def _own_fields(capture: Capture) -> list[tuple[bytes, bytes]]:
    trace_id, request_id = capture.identity.trace_id.encode(), capture.identity.request_id.encode()
    return [
        *((name, trace_id) for name in TRACE_ID_FIELDS),
        *((name, request_id) for name in REQUEST_ID_FIELDS),
        (b"x-portkey-provider", capture.provider.encode()),
    ]


def _issue(tokens: FeedbackTokens, capture: Capture) -> bytes:
    scope = Scope(capture.identity.trace_id, capture.identity.request_id)
    return tokens.issue(scope, capture.tenant, capture.key_name)
