"""The demo's HTTP server."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from aiohttp import web

from gateway.demo import anthropic, openai, responses
from gateway.demo.replies import Body, make_id
from gateway.errors import BadInput, GatewayError, MethodNotAllowed, NotFound

# Between two events of a stream, so that it is seen as a stream.
CHUNK_PAUSE_SECONDS = 0.02

MAX_BODY_BYTES = 64 * 1024 * 1024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class DemoUpstream:
    """A demo that is listening; `base_url` is for OpenAI's SDK."""

    base_url: str
    _runner: web.AppRunner

    async def close(self) -> None:
        await self._runner.cleanup()


async def start_demo(
    host: str = "127.0.0.1", port: int = 0, *, pause_seconds: float = CHUNK_PAUSE_SECONDS
) -> DemoUpstream:
    """Start the demo; port 0 takes a free one. Raises OSError where it cannot listen."""
    runner = web.AppRunner(build_demo(pause_seconds=pause_seconds), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError:
        await runner.cleanup()
        raise
    address = f"[{host}]" if ":" in host else host
    return DemoUpstream(f"http://{address}:{runner.addresses[0][1]}/v1", runner)


def build_demo(*, pause_seconds: float = CHUNK_PAUSE_SECONDS) -> web.Application:
    app = web.Application(middlewares=[_render_errors], client_max_size=MAX_BODY_BYTES)
    streamed = (
        ("/v1/chat/completions", openai.answer_chat, openai.stream_chat),
        ("/v1/completions", openai.answer_text, openai.stream_text),
        ("/v1/responses", responses.answer_response, responses.stream_response),
        ("/v1/messages", anthropic.answer_message, anthropic.stream_message),
    )
    for path, answer, stream in streamed:
        app.router.add_post(path, _completion_handler(answer, stream, pause_seconds))
    app.router.add_post("/v1/embeddings", _json_handler(openai.answer_embeddings))
    app.router.add_post("/v1/messages/count_tokens", _json_handler(anthropic.answer_count))
    app.router.add_get("/v1/models", _models)
    app.router.add_get("/v1/models/{model:.+}", _model)
    return app


def _json_handler(answer: Callable[[Body], Body]) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return _reply(answer(await _read_object(request)))

    return handle


def _completion_handler(
    answer: Callable[[Body], Body], stream: Callable[[Body], Iterator[bytes]], pause_seconds: float
) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        body = await _read_object(request)
        if body.get("stream") is True:
            return await _send_stream(request, stream(body), pause_seconds)
        return _reply(answer(body))

    return handle


async def _models(_: web.Request) -> web.Response:
    return _reply(openai.list_models())


async def _model(request: web.Request) -> web.Response:
    return _reply(openai.show_model(request.match_info["model"]))


async def _read_object(request: web.Request) -> Body:
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError):
        raise BadInput("We could not parse the JSON body of your request.") from None
    if not isinstance(body, dict):
        raise BadInput("The JSON body of your request must be an object.")
    return body


async def _send_stream(request: web.Request, pieces: Iterator[bytes], seconds: float) -> web.StreamResponse:
    headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
    response = web.StreamResponse(headers={**headers, **_request_id_headers()})
    await response.prepare(request)
    for piece in pieces:
        await asyncio.sleep(seconds)
        await response.write(piece)
    await response.write_eof()
    return response


def _reply(body: Body, status: int = 200) -> web.Response:
    return web.json_response(body, status=status, headers=_request_id_headers())


def _request_id_headers() -> dict[str, str]:
    # OpenAI's name and Anthropic's.
    request_id = make_id("req_")
    return {"x-request-id": request_id, "request-id": request_id}


@web.middleware
async def _render_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPNotFound:
        error: GatewayError = NotFound(f"Invalid URL ({request.method} {request.path})")
    except web.HTTPMethodNotAllowed:
        error = MethodNotAllowed(f"Not allowed to {request.method} on {request.path}.")
    except GatewayError as caught:
        error = caught
    render = anthropic.render_error if request.path.startswith("/v1/messages") else openai.render_error
    return _reply(render(error), error.status)
