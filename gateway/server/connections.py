"""Callers' connections: aiohttp's, but for what they say and log where what came is no request.

aiohttp answers with the line that it could not read, and logs it with a traceback. It may hold a key.
"""

from __future__ import annotations

import structlog
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError, InvalidURLError, LineTooLong

from gateway.errors import BadInput, HeadTooLarge

log = structlog.get_logger("gateway.server")

_TOO_MANY_FIELDS = "Too many headers received"
"""What aiohttp says, in an exception without a class of its own."""


class Connection(web.RequestHandler):
    """A caller's connection."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to what could not be read, and log that it came without any of it."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        error = self._explain(exc)
        log.info("unreadable request refused", status=error.status, reason=str(error), remote=request.remote)
        if request.writer.output_size:
            raise ConnectionError("an answer has been begun already")
        drawn = {"error": {"code": error.code, "message": str(error)}}
        response = web.json_response(drawn, status=error.status)
        response.force_close()
        return response

    def _explain(self, error: HttpProcessingError) -> BadInput:
        if isinstance(error, LineTooLong):
            return HeadTooLarge(
                f"the request line or a header field is longer than {self.max_field_size:,} bytes.",
                hint="server.max_head_bytes says how long they may be.",
            )
        if error.message == _TOO_MANY_FIELDS:
            return HeadTooLarge(f"there are more than {self.max_headers} header fields.")
        if isinstance(error, BadHttpMethod):
            return BadInput("this is not HTTP/1.1; HTTP/2 and TLS are not supported on this port.")
        if isinstance(error, InvalidURLError):
            return BadInput(
                "the request line has no valid URL.", hint="Percent-encode all that is not ASCII in it."
            )
        return BadInput("the request is not valid HTTP/1.1.")


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application on such connections."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        usual = await super()._make_server()
        return _Server(
            usual.request_handler,
            request_factory=usual.request_factory,
            handler_cancellation=usual.handler_cancellation,
            **usual._kwargs,
        )
