"""Guardrails of an attempt: the request is checked before it is sent, its answer before or after it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus

import orjson
import structlog

from gateway.errors import BadInput, TooLarge
from gateway.models.exchange import Exchange, Outcome, RawHeaders, declares_stream, first_value, is_model_call
from gateway.models.guardrails import (
    FAILED_REASON,
    FAILED_STATUS,
    CheckedMessage,
    Guardrail,
    GuardrailReport,
    GuardrailStage,
)
from gateway.models.route import RouteSettings
from gateway.proxy import body as bodies
from gateway.proxy.call import Call, GuardedAttempt
from gateway.proxy.held_response import HeldResponse
from gateway.proxy.response import RelayedResponse
from gateway.routing.guardrails import (
    GuardedRequest,
    GuardrailDenied,
    may_take_long,
    render_results,
    run_guardrails,
)
from gateway.upstream.request import LAST_CHUNK
from gateway.upstream.response import Response
from gateway.wire.json_members import edit_members

log = structlog.get_logger("gateway.proxy")

_TOO_LONG = f"it is longer than {bodies.MAX_ROUTED_BYTES:,} bytes"
_STRICT = b"x-portkey-strict-open-ai-compliance"

_INPUT, _OUTPUT = GuardrailStage.INPUT, GuardrailStage.OUTPUT


@dataclass(slots=True, eq=False)
class ProxyGuardrails:
    """Runs the guardrails of attempts, and reports the results on what the caller got.

    Args:
        report: takes a result; must not raise.
    """

    report: Callable[[GuardrailReport], None] = lambda report: None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    def start(self) -> None: ...

    async def close(self) -> None:
        """Wait for the checks under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def check_request(self, call: Call, settings: RouteSettings) -> None:
        """Check what an attempt sends, and edit it as its guardrails say. Raises GuardrailDenied, BadInput."""
        call.guarded = None
        has_checks = settings.input_checks or settings.output_checks
        if not has_checks or not is_model_call(call.request.method, call.capture.endpoint):
            return
        if not isinstance(call.content, bytes):
            raise TooLarge(f"the body cannot be checked: {_TOO_LONG}.", field="body")
        capture = call.capture
        request = GuardedRequest(
            capture.endpoint,
            call.request.raw_path,
            call.request.raw_headers,
            call.content,
            capture.identity.metadata,
        )
        is_lenient = call.head.gateway_values.get(_STRICT, b"").lower() == b"false"
        shows_results = settings.shows_hook_results or is_lenient
        guarded = call.guarded = GuardedAttempt(request, request.input(), settings, shows_results)
        edited = await self._run(guarded, _INPUT, _awaited(settings.input_checks), guarded.input)
        _refuse_denied(guarded, "the request")
        if edited.body is not guarded.input.body:
            if first_value(call.request.raw_headers, b"content-encoding"):
                fault = "may not be encoded, as a guardrail edits the body."
                raise BadInput(fault, field="Content-Encoding", hint="Send the body as it is.")
            call.content, call.is_edited = edited.body, True

    async def check_answer(self, call: Call, response: HeldResponse | Response) -> HeldResponse | Response:
        """Return an answer as its guardrails leave it. Raises GuardrailDenied, and UpstreamError if it is cut."""
        guarded = call.guarded
        if guarded is None or not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            return response
        held = response if isinstance(response, HeldResponse) else HeldResponse(response)
        awaited = _awaited(guarded.settings.output_checks)
        if not declares_stream(response.headers) and (awaited or guarded.shows_results):
            try:
                await self._check_whole(call, guarded, held, awaited)
            except BaseException:
                call.capture.response_body.add(held.held)
                held.close()
                raise
        if guarded.has_failed:
            held.status, held.reason = FAILED_STATUS, FAILED_REASON.encode()
            call.capture.status = FAILED_STATUS
        return held

    async def end_stream(self, call: Call, relayed: RelayedResponse, end: bytes) -> bytes:
        """Return the end of an answer, with what its guardrails say behind the last event if they are shown."""
        guarded, headers = call.guarded, call.capture.response_headers
        kind = first_value(headers, b"content-type").lower()
        is_plain = first_value(headers, b"content-encoding").lower() in (b"", b"identity")
        is_events = kind.startswith(b"text/event-stream") and is_plain
        if guarded is None or not (guarded.shows_results and is_events and relayed.is_chunked):
            return end
        message = guarded.request.output(headers, call.capture.response_body.content())
        await self._run(guarded, _OUTPUT, _awaited(guarded.settings.output_checks), message, headers)
        event = b"data: " + orjson.dumps({"hook_results": render_results(guarded.results)}) + b"\n\n"
        return end.removesuffix(LAST_CHUNK) + relayed.encode_piece(event) + LAST_CHUNK

    def finish(self, call: Call, exchange: Exchange | None) -> None:
        """Run what nothing waits for, and report all results; without an exchange there is no whole answer."""
        guarded, call.guarded = call.guarded, None
        if guarded is not None:
            task = asyncio.create_task(self._finish(call, guarded, exchange), name="guardrails")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _finish(self, call: Call, guarded: GuardedAttempt, exchange: Exchange | None) -> None:
        settings, capture = guarded.settings, call.capture
        request_id = capture.identity.request_id
        try:
            await self._run(guarded, _INPUT, _unawaited(settings.input_checks), guarded.input)
            if exchange is not None and exchange.outcome is Outcome.COMPLETE and _is_good(exchange):
                # The awaited checks of a stream come here if nobody is shown what they say.
                left = settings.output_checks if _OUTPUT not in guarded.results else None
                message = guarded.request.output(exchange.response_headers, exchange.response_body)
                checks = _unawaited(settings.output_checks) if left is None else left
                await self._run(guarded, _OUTPUT, checks, message, exchange.response_headers)
        except Exception:
            log.exception("guardrails could not be run", request_id=request_id)
        for results in guarded.results.values():
            for result in results:
                self.report(GuardrailReport(request_id, capture.tenant, capture.key_name, result))

    async def _check_whole(
        self, call: Call, guarded: GuardedAttempt, held: HeldResponse, guardrails: Sequence[Guardrail]
    ) -> None:
        is_whole = await held.read_all(bodies.MAX_ROUTED_BYTES)
        message = guarded.request.output(held.headers, held.held)
        if not is_whole:
            message = replace(message, texts=(), fault=_TOO_LONG)
        edited = await self._run(guarded, _OUTPUT, guardrails, message, held.headers)
        _refuse_denied(guarded, "the answer")
        body = edited.body
        if guarded.shows_results and is_whole and message.fault is None:
            body = edit_members(body, overrides={"hook_results": render_results(guarded.results)})
        if body is not message.body:
            held.replace_body(body)
            call.capture.response_headers = held.headers

    async def _run(
        self,
        guarded: GuardedAttempt,
        stage: GuardrailStage,
        guardrails: Sequence[Guardrail],
        message: CheckedMessage,
        answer_headers: RawHeaders = (),
    ) -> CheckedMessage:
        """Note what guardrails say of a message, and return it as they have edited it."""
        if not guardrails:
            return message
        headers = guarded.request.headers if stage is _INPUT else answer_headers
        reread = partial(guarded.request.reread, headers=headers)
        if may_take_long(guardrails, len(message.body)):
            results, message = await asyncio.to_thread(run_guardrails, guardrails, message, reread)
        else:
            results, message = run_guardrails(guardrails, message, reread)
        guarded.results.setdefault(stage, []).extend(results)
        return message


def _awaited(guardrails: Sequence[Guardrail]) -> list[Guardrail]:
    return [each for each in guardrails if not each.is_async]


def _unawaited(guardrails: Sequence[Guardrail]) -> list[Guardrail]:
    return [each for each in guardrails if each.is_async]


def _is_good(exchange: Exchange) -> bool:
    return exchange.status is not None and HTTPStatus.OK <= exchange.status < HTTPStatus.MULTIPLE_CHOICES


def _refuse_denied(guarded: GuardedAttempt, what: str) -> None:
    results = [result for each in guarded.results.values() for result in each]
    denied = next((result for result in results if result.is_denied), None)
    if denied is not None:
        named = f"{denied.guardrail.id!r} ({', '.join(denied.failures)} failed)"
        raise GuardrailDenied(f"the guardrail {named} denied {what}.", render_results(guarded.results))
