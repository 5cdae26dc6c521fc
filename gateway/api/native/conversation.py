"""`/api/v1/requests/{id}/conversation`, `/receipt` and `/curl`, and a session as one conversation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal
from urllib.parse import quote

from aiohttp import web
from pydantic import Field

from gateway.api.native.filters import OneRequestParams, TurnListCursor
from gateway.api.native.http_responses import NO_STORE_HEADERS, NextCursor
from gateway.api.native.schemas import Time, format_time
from gateway.errors import NotFound
from gateway.models import conversation
from gateway.models.ids import path_segment
from gateway.models.principal import Principal, Role
from gateway.models.request import NANOUSD_PER_USD, RequestRecord
from gateway.query.conversation import ConversationReader, SessionStep, SessionSteps
from gateway.query.receipt import Receipt, ReceiptItem, ReceiptReader
from gateway.query.requests import LoggedRequest, RequestReader
from gateway.web.endpoint import Endpoint, Schema
from gateway.web.query_params import DIGITS, QueryParams
from gateway.wire.curl import curl_command, is_inline

# Ids may contain slashes; a request whose id ends in such a name has it sent with %2F.
_CONVERSATION_PATH = "/api/v1/requests/{request_id:.*[^/]}/conversation"
_RECEIPT_PATH = "/api/v1/requests/{request_id:.*[^/]}/receipt"
_CURL_PATH = "/api/v1/requests/{request_id:.*[^/]}/curl"
_SESSION_PATH = "/api/v1/sessions/{session:.*[^/]}/conversation"

DEFAULT_STEPS = 50
MAX_STEPS = 200


class TextPart(Schema):
    type: Literal["text", "reasoning", "refusal"]
    content: str = Field(description="Empty where a provider hides its model's reasoning.")


class MediaPart(Schema):
    """An image or the like, as a reference; its content is in the raw body."""

    type: Literal["media"] = "media"
    modality: str = Field(description="`image`, `audio`, `video`, `document` or `file`.")
    media_type: str | None
    uri: str | None
    file_id: str | None
    size_bytes: int | None = Field(description="Of content that was sent in the message.")


class ToolCallPart(Schema):
    type: Literal["tool_call"] = "tool_call"
    id: str | None
    name: str
    arguments: str = Field(description="JSON text, cut where the stream was.")


class OtherPart(Schema):
    type: Literal["other"] = "other"
    name: str = Field(description="Type of the part, as the provider spells it.")


class ToolResultPart(Schema):
    type: Literal["tool_result"] = "tool_result"
    id: str | None = Field(description="Id of the call.")
    name: str | None
    content: list[TextPart | MediaPart | OtherPart]


PartShape = Annotated[
    TextPart | MediaPart | ToolCallPart | ToolResultPart | OtherPart, Field(discriminator="type")
]


class MessageShape(Schema):
    role: str = Field(
        description="`system`, `user`, `assistant` or `tool`; another as the provider spells it."
    )
    parts: list[PartShape]
    finish_reason: str | None = Field(description="Of an answer, as the provider spells it.")

    @classmethod
    def of(cls, message: conversation.Message) -> MessageShape:
        shown = [_part(part) for part in message.parts]
        return cls(role=message.role, parts=shown, finish_reason=message.finish_reason)


class ToolShape(Schema):
    name: str
    description: str | None
    parameters: str | None = Field(description="JSON schema, as text.")


class ConversationReply(Schema):
    """What both sides say, in one form for every provider, as far as it was kept."""

    request_id: str
    trace_id: str
    input: list[MessageShape]
    output: list[MessageShape] = Field(description="One message for each choice.")
    tools: list[ToolShape] = Field(description="Tools that the model might call.")
    is_truncated: bool = Field(description="Whether a body was stored in part, or not at all.")

    @classmethod
    def of(cls, logged: LoggedRequest, said: conversation.Conversation) -> ConversationReply:
        kept = (logged.request, logged.response)
        return cls(
            request_id=logged.record.request_id,
            trace_id=logged.record.trace_id,
            input=_messages(said.input),
            output=_messages(said.output),
            tools=[
                ToolShape(name=tool.name, description=tool.description, parameters=tool.parameters)
                for tool in said.tools
            ],
            is_truncated=any(message is None or message.is_truncated for message in kept),
        )


def _messages(messages: Iterable[conversation.Message]) -> list[MessageShape]:
    return [MessageShape.of(message) for message in messages]


def _part(part: conversation.Part) -> TextPart | MediaPart | ToolCallPart | ToolResultPart | OtherPart:
    match part:
        case conversation.ToolCall(call_id, name, arguments):
            return ToolCallPart(id=call_id, name=name, arguments=arguments)
        case conversation.ToolResult(call_id, content, name):
            return ToolResultPart(id=call_id, name=name, content=[_content(each) for each in content])
        case _:
            return _content(part)


def _content(part: conversation.Part) -> TextPart | MediaPart | OtherPart:
    match part:
        case conversation.Text(content):
            return TextPart(type="text", content=content)
        case conversation.Reasoning(content):
            return TextPart(type="reasoning", content=content)
        case conversation.Refusal(content):
            return TextPart(type="refusal", content=content)
        case conversation.Media(modality, media_type, uri, file_id, size_bytes):
            return MediaPart(
                modality=modality, media_type=media_type, uri=uri, file_id=file_id, size_bytes=size_bytes
            )
        case conversation.OtherPart(name):
            return OtherPart(name=name)
        case conversation.ToolCall(_, name) | conversation.ToolResult(_, _, name):
            return OtherPart(name=name or "tool_result")


class ReceiptLineShape(Schema):
    item: ReceiptItem = Field(
        description="`input`: neither cached nor written to a cache; `output`: without reasoning; `request`: a "
        "price of the call itself; `other`: what is not billed by the token, or what a service tier changes."
    )
    count: int | None = Field(description="Tokens; null where the item has none.")
    usd_per_million: float | None = Field(description="Price of a million tokens; null where it is unknown.")
    nanousd: int | None = Field(description="Cost in billionths of a US dollar; null where it is unknown.")


class Timing(Schema):
    """Milliseconds from the request's arrival."""

    latency_ms: float
    time_to_first_byte_ms: float | None
    stream_ms: float | None = Field(description="From the first byte of a stream to its end.")
    tokens_per_second: float | None = Field(description="Tokens of the answer over `stream_ms`.")

    @classmethod
    def of(cls, record: RequestRecord) -> Timing:
        first_us, latency_us = record.first_byte_at_us, record.ended_at_us - record.started_at_us
        stream_us = record.ended_at_us - first_us if record.is_stream and first_us is not None else None
        tokens = record.completion_tokens
        return cls(
            latency_ms=latency_us / 1000,
            time_to_first_byte_ms=None if first_us is None else (first_us - record.started_at_us) / 1000,
            stream_ms=None if stream_us is None else stream_us / 1000,
            tokens_per_second=tokens * 1_000_000 / stream_us if tokens and stream_us else None,
        )


class ReceiptReply(Schema):
    request_id: str
    trace_id: str
    lines: list[ReceiptLineShape] = Field(description="Those with a cost add up to `total_nanousd`.")
    total_nanousd: int | None = Field(description="What the request cost; null where no price is known.")
    total_usd: float | None
    price_version: str | None
    note: str | None = Field(description="What could not be itemised, and why.")
    timing: Timing

    @classmethod
    def of(cls, record: RequestRecord, receipt: Receipt) -> ReceiptReply:
        total = receipt.total_nanousd
        return cls(
            request_id=record.request_id,
            trace_id=record.trace_id,
            lines=[
                ReceiptLineShape(
                    item=line.item,
                    count=line.count,
                    usd_per_million=None if line.usd_per_million is None else float(line.usd_per_million),
                    nanousd=line.nanousd,
                )
                for line in receipt.lines
            ],
            total_nanousd=total,
            total_usd=None if total is None else total / NANOUSD_PER_USD,
            price_version=receipt.price_version,
            note=receipt.note,
            timing=Timing.of(record),
        )


class SessionStepShape(Schema):
    """A request of a session with what is new in it."""

    request_id: str
    trace_id: str
    started_at: Time
    provider: str
    model: str | None
    status: int | None
    outcome: str
    asked: list[MessageShape]
    answered: list[MessageShape] = Field(description="One message for each choice.")
    repeated_parts: int = Field(
        description="Parts that repeat what an earlier request said, and are left out."
    )

    @classmethod
    def of(cls, step: SessionStep) -> SessionStepShape:
        record = step.record
        return cls(
            request_id=record.request_id,
            trace_id=record.trace_id,
            started_at=str(format_time(record.started_at_us)),
            provider=record.provider,
            model=record.any_model,
            status=record.status,
            outcome=record.outcome,
            asked=_messages(step.asked),
            answered=_messages(step.answered),
            repeated_parts=step.repeated,
        )


class SessionConversationReply(Schema):
    session: str
    data: list[SessionStepShape] = Field(description="In the order in which the requests started.")
    next_cursor: NextCursor

    @classmethod
    def of(cls, session: str, found: SessionSteps) -> SessionConversationReply:
        cursor = found.next_cursor
        return cls(
            session=session,
            data=[SessionStepShape.of(step) for step in found.steps],
            next_cursor=None if cursor is None else f"{cursor[0]}.{cursor[1]}",
        )


class SessionConversationParams(QueryParams):
    limit: Annotated[int, Field(ge=1, le=MAX_STEPS, description="Most requests to return."), DIGITS] = (
        DEFAULT_STEPS
    )
    cursor: TurnListCursor = None


class ConversationEndpoints:
    def __init__(
        self, conversations: ConversationReader, requests: RequestReader, receipts: ReceiptReader
    ) -> None:
        self._conversations = conversations
        self._requests = requests
        self._receipts = receipts

    @Endpoint(
        "GET",
        _CONVERSATION_PATH,
        Role.READ,
        "Read a request as a conversation",
        failures=(400, 404, 409, 503, 504),
    )
    async def _show(
        self, request: web.Request, principal: Principal, params: OneRequestParams
    ) -> ConversationReply:
        """Roles, texts, tool calls and results, reasoning, refusals and references to images, in one form for
        every provider."""
        request_id = request.match_info["request_id"]
        found = await self._conversations.show(request_id, principal.tenant, params.trace_id, params.row)
        return ConversationReply.of(*found)

    @Endpoint(
        "GET",
        _RECEIPT_PATH,
        Role.READ,
        "Tokens, cost and timing of a request",
        failures=(400, 404, 409, 503, 504),
    )
    async def _show_receipt(
        self, request: web.Request, principal: Principal, params: OneRequestParams
    ) -> ReceiptReply:
        """Each kind of token with its price and cost."""
        logged = await self._read(request, principal, params)
        return ReceiptReply.of(logged.record, self._receipts.read(logged.record))

    @Endpoint(
        "GET",
        _CURL_PATH,
        Role.READ,
        "A command that sends a request again",
        reply_types=("text/plain",),
        failures=(400, 404, 409, 503, 504),
    )
    async def _show_curl(
        self, request: web.Request, principal: Principal, params: OneRequestParams
    ) -> web.Response:
        """For a POSIX shell, through this gateway. Put your key into the variable `GATEWAY_KEY`; other secrets
        become variables named like their header. A long body is read from the log."""
        logged = await self._read(request, principal, params)
        return web.Response(text=repeat_command(logged, str(request.url.origin())), headers=NO_STORE_HEADERS)

    @Endpoint(
        "GET", _SESSION_PATH, Role.READ, "Read a session as a conversation", failures=(400, 404, 503, 504)
    )
    async def _show_session(
        self, request: web.Request, principal: Principal, params: SessionConversationParams
    ) -> SessionConversationReply:
        """Its requests in order, each with what is new in it: of the history that a request repeats, nothing
        is shown twice."""
        session = request.match_info["session"]
        found = await self._conversations.show_session(session, params.limit, params.cursor, principal.tenant)
        return SessionConversationReply.of(session, found)

    async def _read(
        self, request: web.Request, principal: Principal, params: OneRequestParams
    ) -> LoggedRequest:
        request_id = request.match_info["request_id"]
        return await self._requests.show(request_id, principal.tenant, params.trace_id, params.row)


def repeat_command(logged: LoggedRequest, origin: str) -> str:
    """Return a command that sends a request through the gateway again. Raises NotFound without its body.

    Args:
        origin: of the gateway, such as `http://127.0.0.1:8787`.
    """
    record, sent = logged.record, logged.request
    if sent is None or sent.is_truncated:
        raise NotFound("the body of this request was not kept as a whole.", field="request_id")
    url = record.path if "://" in record.path else origin + record.path
    headers = sent.headers
    if is_inline(sent.body):
        headers = tuple(field for field in headers if field[0].lower() != b"content-encoding")
    request_id, trace_id = path_segment(record.request_id), quote(record.trace_id, safe="")
    body_url = f"{origin}/api/v1/requests/{request_id}?raw=request&trace_id={trace_id}"
    return curl_command(record.method, url, headers, sent.body, body_url=body_url) + "\n"
