"""A provider that speaks OpenAI's Realtime and Responses over WebSocket, in a thread of the test's process."""

from __future__ import annotations

import asyncio
import json
import threading
from http import HTTPStatus
from types import TracebackType
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

FLOOD_PIECE = b"\0" * 64 * 1024
USAGE = {
    "total_tokens": 150, "input_tokens": 100, "output_tokens": 50,
    "input_token_details": {
        "text_tokens": 60, "audio_tokens": 40, "cached_tokens": 32,
        "cached_tokens_details": {"text_tokens": 22, "audio_tokens": 10},
    },
    "output_token_details": {"text_tokens": 20, "audio_tokens": 30},
}  # fmt: skip


class WebSocketProvider:
    """Answers each `response.create`; a message of another type may ask for something else."""

    def __init__(self) -> None:
        self.port = 0
        # Heads of the requests for a WebSocket, and codes of the Close frames that came.
        self.requests: list[Request] = []
        self.close_codes: list[int | None] = []
        self.flooded_bytes = 0
        self._count = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> WebSocketProvider:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        async with serve(
            self._answer, "127.0.0.1", 0, process_request=self._check, select_subprotocol=_select, max_size=None,
            ping_interval=None, close_timeout=0.2,
        ) as server:  # fmt: skip
            self.port = next(iter(server.sockets)).getsockname()[1]
            self._ready.set()
            await self._stop.wait()

    def _check(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        if "refused" not in request.path:
            return None
        body = b'{"error":{"message":"no such model"}}'
        fields = Headers({"Content-Type": "application/json", "Content-Length": str(len(body))})
        return Response(HTTPStatus.NOT_FOUND, "Not Found", fields, body)

    async def _answer(self, socket: ServerConnection) -> None:
        is_realtime = "/realtime" in self.requests[-1].path
        try:
            if is_realtime:
                session = {"id": "sess_1", "model": "gpt-realtime", "instructions": "Be brief."}
                await _send(socket, type="session.created", session=session)
            async for message in socket:
                event = json.loads(message)
                if event["type"] == "response.create":
                    self._count += 1
                    await (_speak if is_realtime else _write)(socket, f"resp_{self._count}", event)
                elif event["type"] == "conversation.item.create":
                    await _send(socket, type="conversation.item.added", item=event["item"])
                elif event["type"] == "flood":
                    await self._flood(socket, event["pieces"])
                elif event["type"] == "fail":
                    await _send(socket, type="error", status=400, error={"code": "x", "message": "it failed"})
                elif event["type"] == "close":
                    await socket.close(event["code"], event["reason"])
                else:
                    await _send(socket, type="echo", of=event)
        except ConnectionClosed:
            pass
        finally:
            self.close_codes.append(socket.close_code)

    async def _flood(self, socket: ServerConnection, pieces: int) -> None:
        for _ in range(pieces):
            await socket.send(FLOOD_PIECE)
            self.flooded_bytes += len(FLOOD_PIECE)


def _select(connection: ServerConnection, offered: Any) -> Any:
    return "realtime" if "realtime" in offered else None


async def _send(socket: ServerConnection, **event: Any) -> None:
    await socket.send(json.dumps(event))


async def _write(socket: ServerConnection, response_id: str, asked: Any) -> None:
    shell = {"id": response_id, "object": "response", "model": asked["model"], "created_at": 1, "output": []}
    begun = shell | {"status": "in_progress"}
    await _send(socket, type="response.created", sequence_number=0, response=begun)
    place = {"item_id": "m", "output_index": 0, "content_index": 0, "logprobs": []}
    await _send(socket, type="response.output_text.delta", sequence_number=1, delta="Hello", **place)
    if asked.get("metadata") == {"cut": "yes"}:
        await socket.close(1011, "broken")
        return
    text = {"type": "output_text", "text": f"Hello to {asked['input']}", "annotations": []}
    said = {"id": "m", "type": "message", "role": "assistant", "status": "completed", "content": [text]}
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    done = shell | {"status": "completed", "output": [said], "usage": usage}
    await _send(socket, type="response.completed", sequence_number=2, response=done)


async def _speak(socket: ServerConnection, response_id: str, asked: Any) -> None:
    shell = {"id": response_id, "object": "realtime.response", "conversation_id": "conv_1", "output": []}
    await _send(socket, type="response.created", event_id="e", response=shell | {"status": "in_progress"})
    place = {
        "event_id": "e",
        "response_id": response_id,
        "item_id": "m",
        "output_index": 0,
        "content_index": 0,
    }
    await _send(socket, type="response.output_audio.delta", delta="UklGRg" * 1000, **place)
    await _send(socket, type="response.output_audio_transcript.delta", delta="Good day", **place)
    item = {
        "id": f"item_{response_id}", "type": "message", "role": "assistant", "status": "completed",
        "content": [{"type": "output_audio", "transcript": "Good day."}],
    }  # fmt: skip
    await _send(socket, type="conversation.item.done", event_id="e", item=item)
    done = shell | {"status": "completed", "output": [item], "usage": USAGE}
    await _send(socket, type="response.done", event_id="e", response=done)
