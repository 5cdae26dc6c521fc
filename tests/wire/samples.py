"""Recorded bodies with what is expected of them, and exchanges around bodies.

A case is a body, `cases/<endpoint>/<name>.sse`, `.ndjson` (an object a line), `.array` (a stream that is one JSON
array) or `.json`, beside `<name>.facts.json` (the facts that are not
empty, `source`: who answers so, and `cost`: what it costs at a provider), `<name>.whole.json` if it is a stream
that can be reassembled, `<name>.request.json` if the request matters, and `<name>.call.json` if the `path` or the
response's `headers` do. `<name>.conversation.json` is what both sides say, where that is compared. A `.frames` is
written as lines `TYPE JSON` and sent as Amazon's binary events. A new case is new files and no code.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from gateway.models.conversation import Conversation, Message, Part, ToolResult
from gateway.models.exchange import Exchange, Identity, Outcome, RawHeaders
from gateway.models.request import Facts
from tests.wire.frames import encode_lines

SOMEWHERE = "/v1/somewhere"
CASES = Path(__file__).parent / "cases"
CONTENT_TYPES = {
    ".sse": "text/event-stream; charset=utf-8",
    ".ndjson": "application/x-ndjson",
    ".array": "application/json; charset=UTF-8",
    ".frames": "application/vnd.amazon.eventstream",
    ".json": "application/json",
}


@dataclass(frozen=True)
class Case:
    path: Path

    @property
    def endpoint(self) -> str:
        return self.path.parent.name

    @property
    def content_type(self) -> str:
        return CONTENT_TYPES[self.path.suffix]

    @property
    def body(self) -> bytes:
        written = self.path.read_bytes()
        return encode_lines(written) if self.is_binary else written

    @property
    def is_stream(self) -> bool:
        return self.path.suffix != ".json"

    @property
    def is_binary(self) -> bool:
        return self.path.suffix == ".frames"

    def beside(self, kind: str) -> Path:
        return self.path.with_name(f"{self.path.stem}.{kind}.json")

    @property
    def expected_facts(self) -> dict[str, Any]:
        return {key: found for key, found in self._known.items() if key not in ("source", "cost")}

    @property
    def expected_cost(self) -> dict[str, Any] | None:
        """`provider`, by its configured name, and `nanousd`, where the case says what is right."""
        return self._known.get("cost")

    @property
    def _known(self) -> dict[str, Any]:
        path = self.beside("facts")
        return dict(orjson.loads(path.read_bytes())) if path.exists() else {}

    @property
    def expected_whole(self) -> Any:
        path = self.beside("whole")
        return orjson.loads(path.read_bytes()) if path.exists() else None

    @property
    def expected_conversation(self) -> Any:
        path = self.beside("conversation")
        return orjson.loads(path.read_bytes()) if path.exists() else None

    def exchange(self, body: bytes | None = None) -> Exchange:
        request, call = self.beside("request"), self.beside("call")
        around = orjson.loads(call.read_bytes()) if call.exists() else {}
        headers = around.get("headers", {}).items()
        return exchange(
            self.endpoint,
            self.body if body is None else body,
            content_type=self.content_type,
            request_body=request.read_bytes() if request.exists() else b"",
            response_headers=tuple((name.encode(), value.encode()) for name, value in headers),
            path=around.get("path", SOMEWHERE),
        )

    def __str__(self) -> str:
        return f"{self.endpoint}/{self.path.name}"


ALL = [Case(path) for path in sorted(CASES.glob("*/*")) if path.name.count(".") == 1]
STREAMS = [case for case in ALL if case.is_stream]


def exchange(
    endpoint: str,
    response_body: bytes,
    *,
    content_type: str = "application/json",
    request_body: bytes = b"",
    response_headers: RawHeaders = (),
    response_size: int | None = None,
    path: str = SOMEWHERE,
) -> Exchange:
    """An exchange that ended well, around these bodies."""
    return Exchange(
        identity=Identity("request-1", "trace-1"),
        provider="some-provider",
        endpoint=endpoint,
        method="POST",
        path=path,
        started_at_us=1_753_000_000_000_000,
        ended_at_us=1_753_000_001_000_000,
        status=200,
        outcome=Outcome.COMPLETE,
        request_body=request_body,
        request_size=len(request_body),
        response_headers=((b"Content-Type", content_type.encode()), *response_headers),
        response_body=response_body,
        response_size=len(response_body) if response_size is None else response_size,
    )


def plain_conversation(conversation: Conversation) -> dict[str, Any]:
    """A conversation as the case files have it: each part with what it is, and without what is not known."""
    return {
        side: [
            {"role": said.role, "parts": _plain_parts(said.parts)} | _finish_reason(said) for said in messages
        ]
        for side, messages in (("input", conversation.input), ("output", conversation.output))
        if messages
    } | (
        {"tools": [_without_none(asdict(tool)) for tool in conversation.tools]} if conversation.tools else {}
    )


def _plain_parts(parts: tuple[Part, ...]) -> list[dict[str, Any]]:
    return [
        {"part": type(part).__name__}
        | _without_none(asdict(part))
        | ({"content": _plain_parts(part.content)} if isinstance(part, ToolResult) else {})
        for part in parts
    ]


def _finish_reason(message: Message) -> dict[str, str]:
    return {} if message.finish_reason is None else {"finish_reason": message.finish_reason}


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def known(facts: Facts) -> dict[str, Any]:
    """The facts that are not empty, as the case files have them."""
    return _without_empty(asdict(facts))


def _without_empty(fields: dict[str, Any]) -> dict[str, Any]:
    known = {key: _plain(value) for key, value in fields.items()}
    return {key: value for key, value in known.items() if value is not False and value not in (None, {}, [])}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return _without_empty(value)
    return [_plain(member) for member in value] if isinstance(value, tuple | list) else value
