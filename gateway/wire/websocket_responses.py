"""Responses among the messages of a WebSocket connection: OpenAI's Realtime, and Responses over WebSocket."""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from dataclasses import dataclass, field

import orjson

from gateway.wire.json_fields import JsonObject, object_in, objects_in, parse_object, text_in
from gateway.wire.openai_realtime import SESSION_EVENTS

# Audio is passed over: messages that begin so are not looked into.
_AUDIO = re.compile(rb'"(?:input_audio_buffer\.append|response\.(?:output_)?audio\.delta)"')
_LOOKED_AT_BYTES = 512

_ENDS = frozenset(
    {
        "response.done", "response.completed", "response.incomplete", "response.failed", "response.cancelled",
    }
)  # fmt: skip
_NEW_ITEMS = frozenset({"conversation.item.created", "conversation.item.added", "conversation.item.done"})
_TRANSCRIBED = "conversation.item.input_audio_transcription.completed"
_AUDIO_FIELDS = frozenset({"audio", "data"})
# Of a session, in the request that a response answers.
_SESSION_FIELDS = ("model", "instructions", "tools", "tool_choice")

# Bounds for each connection.
MAX_OPEN_RESPONSES = 8
MAX_PENDING_REQUESTS = 8
MAX_ITEMS = 256
MAX_ITEM_BYTES = 256 * 1024
# Of the events of a response before its last one, which has the whole of it.
MAX_EVENT_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class SocketResponse:
    """A response with its request, as bodies of a call over HTTP would be.

    Args:
        request: JSON; what the client sent, of Realtime with the conversation so far.
        events: server-sent events.
        is_ended: whether its last event came.
    """

    request: bytes
    events: bytes
    started_at_us: int
    first_event_at_us: int
    is_ended: bool


@dataclass(slots=True)
class _Request:
    message: bytes
    event: JsonObject
    at_us: int


@dataclass(slots=True)
class _OpenResponse:
    request: _Request | None
    created_at_us: int
    events: list[bytes] = field(default_factory=list)
    size_bytes: int = 0

    def add(self, message: bytes) -> None:
        self.size_bytes += len(message)
        if self.size_bytes <= MAX_EVENT_BYTES:
            self.events.append(message)


class SocketResponses:
    """Puts the messages of a connection together to responses."""

    def __init__(self, *, is_realtime: bool) -> None:
        self._is_realtime = is_realtime
        self._requests: deque[_Request] = deque(maxlen=MAX_PENDING_REQUESTS)
        self._open: OrderedDict[str, _OpenResponse] = OrderedDict()
        self._session: JsonObject = {}
        self._session_message = b""
        self._items: OrderedDict[str, tuple[JsonObject, int]] = OrderedDict()
        self._item_bytes = 0

    def take_from_client(self, message: bytes, at_us: int) -> None:
        if b'"response.create"' not in message:
            return
        event = parse_object(message)
        if event is not None and event.get("type") == "response.create":
            self._requests.append(_Request(message, event, at_us))

    def take_from_server(self, message: bytes, at_us: int) -> SocketResponse | None:
        """Return the response that a message ends."""
        if _AUDIO.search(message, 0, _LOOKED_AT_BYTES):
            return None
        event = parse_object(message)
        kind = None if event is None else text_in(event, "type")
        if event is None or kind is None:
            return None
        if kind.startswith("response."):
            return self._take_response_event(kind, event, message, at_us)
        if kind == "error":
            return self._take_error(event, message, at_us)
        if self._is_realtime:
            self._take_context(kind, event, message)
        return None

    def close(self) -> list[SocketResponse]:
        """Return the responses that were cut."""
        cut = [self._build(each, is_ended=False) for each in self._open.values()]
        self._open.clear()
        return cut

    def _take_response_event(
        self, kind: str, event: JsonObject, message: bytes, at_us: int
    ) -> SocketResponse | None:
        response = object_in(event, "response")
        response_id = text_in(event, "response_id") or text_in(response, "id")
        if response_id is None:
            # Over a WebSocket Responses gives one answer at a time.
            response_id = next(reversed(self._open), None)
        if response_id is None:
            return None
        found = self._open.get(response_id)
        if found is None:
            if kind != "response.created" and kind not in _ENDS:
                return None
            found = self._open[response_id] = _OpenResponse(self._request_of(response), at_us)
            if len(self._open) > MAX_OPEN_RESPONSES:
                self._open.popitem(last=False)
        if kind not in _ENDS:
            found.add(message)
            return None
        del self._open[response_id]
        own = {text_in(item, "id") for item in objects_in(response, "output")}
        # The last event has the whole answer, and most of what came before would be there twice.
        found.events = [*found.events[:1], message] if found.events else [message]
        return self._build(found, own_items=own, conversation=text_in(response, "conversation_id"))

    def _request_of(self, response: JsonObject) -> _Request | None:
        """The client's request for a response; of Realtime it may have begun by itself, when somebody spoke."""
        if not self._requests:
            return None
        wanted = object_in(response, "metadata")
        for request in self._requests:
            asked = object_in(request.event, "response") if self._is_realtime else request.event
            if object_in(asked, "metadata") == wanted:
                self._requests.remove(request)
                return request
        return self._requests.popleft()

    def _take_error(self, event: JsonObject, message: bytes, at_us: int) -> SocketResponse | None:
        # Of several requests the error says by its id which one it is about, where they have any.
        about = text_in(object_in(event, "error"), "event_id")
        for request in self._requests:
            if about is None or text_in(request.event, "event_id") == about:
                self._requests.remove(request)
                return self._build(_OpenResponse(request, at_us, [message]))
        if self._is_realtime or not self._open:
            return None
        _, found = self._open.popitem()
        found.events.append(message)
        return self._build(found)

    def _build(
        self,
        found: _OpenResponse,
        *,
        own_items: set[str | None] | None = None,
        conversation: str | None = None,
        is_ended: bool = True,
    ) -> SocketResponse:
        request = found.request
        events = [self._session_message, *found.events] if self._session_message else found.events
        return SocketResponse(
            self._request_body(request, own_items or set(), conversation),
            b"".join(map(_encode_event, events)),
            found.created_at_us if request is None else request.at_us,
            found.created_at_us,
            is_ended,
        )

    # Realtime: the session and its conversation

    def _take_context(self, kind: str, event: JsonObject, message: bytes) -> None:
        if kind in SESSION_EVENTS:
            self._session = object_in(event, "session")
            self._session_message = message if len(message) <= MAX_EVENT_BYTES else b""
        elif kind in _NEW_ITEMS:
            self._put_item(object_in(event, "item"))
        elif kind == _TRANSCRIBED:
            item, _ = self._items.get(text_in(event, "item_id") or "", ({}, 0))
            parts = [part for part in objects_in(item, "content") if part.get("type") == "input_audio"]
            self._put_item(
                item | {"content": [part | {"transcript": event.get("transcript")} for part in parts]}
            )
        elif kind == "conversation.item.deleted":
            self._drop_item(text_in(event, "item_id") or "")

    def _put_item(self, item: JsonObject) -> None:
        item_id = text_in(item, "id")
        if item_id is None:
            return
        item = _without_audio(item)
        size = len(orjson.dumps(item))
        _, before = self._items.get(item_id, ({}, 0))
        self._items[item_id] = item, size
        self._item_bytes += size - before
        while len(self._items) > MAX_ITEMS or self._item_bytes > MAX_ITEM_BYTES:
            self._drop_item(next(iter(self._items)))

    def _drop_item(self, item_id: str) -> None:
        _, size = self._items.pop(item_id, ({}, 0))
        self._item_bytes -= size

    def _request_body(
        self, request: _Request | None, own_items: set[str | None], conversation: str | None
    ) -> bytes:
        if not self._is_realtime:
            return b"" if request is None else request.message
        asked = {} if request is None else object_in(request.event, "response")
        session = {name: self._session[name] for name in _SESSION_FIELDS if name in self._session}
        items = [item for item_id, (item, _) in self._items.items() if item_id not in own_items]
        known = {
            "type": "response.create",
            "conversation": conversation or text_in(self._session, "id"),
            "input": items,
        }
        # What the client asks for goes before the session's, `input` in place of the conversation too.
        return orjson.dumps(
            known | session | {name: value for name, value in asked.items() if name != "conversation"}
        )


def _without_audio(item: JsonObject) -> JsonObject:
    if not objects_in(item, "content"):
        return item
    parts = [
        {name: value for name, value in part.items() if name not in _AUDIO_FIELDS}
        for part in objects_in(item, "content")
    ]
    return item | {"content": parts}


def _encode_event(message: bytes) -> bytes:
    # A line break is JSON's white space, never part of a string.
    return b"".join(b"data: %b\n" % line for line in message.splitlines()) + b"\n"
