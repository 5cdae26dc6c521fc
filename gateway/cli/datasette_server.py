"""Datasette in this process: what it shows of the store, and that only the holder of a token sees it."""

# Needs the extra `datasette`. Works with the interface that 0.65 and 1.0 share.

import hmac
import socket
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlencode

import uvicorn
from datasette import hookimpl
from datasette.app import Datasette
from datasette.plugins import pm

from gateway.store import AnalystFile

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

SETTINGS = {
    # The whole file would be sent.
    "allow_download": False,
    # Each suggestion reads every row.
    "suggest_facets": False,
    "sql_time_limit_ms": 5_000,
    "facet_time_limit_ms": 2_000,
    "default_cache_ttl": 0,
}
COOKIE = "gateway_datasette"


class TokenGate:
    """Lets in who has the token: in the URL, which sets a cookie, in the cookie, or as a bearer."""

    # Other accounts of the machine reach the port, and so do web pages, by a name of their own for the address.

    def __init__(self, app: App, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if self._is_token(query.pop("token", [""])[0]):
            await self._redirect(scope, query, send)
        elif self._is_let_in(scope):
            await self._app(scope, receive, send)
        else:
            body = b"Open the address that `gateway open` printed, or send its token as a bearer.\n"
            await _respond(send, 403, [(b"content-type", b"text/plain")], body)

    def _is_let_in(self, scope: Scope) -> bool:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        bearer = headers.get(b"authorization", "").removeprefix("Bearer ")
        try:
            morsel = SimpleCookie(headers.get(b"cookie", "")).get(COOKIE)
        except CookieError:
            morsel = None
        return self._is_token(bearer) or (morsel is not None and self._is_token(morsel.value))

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self._token.encode())

    async def _redirect(self, scope: Scope, query: Mapping[str, list[str]], send: Send) -> None:
        # Otherwise the token would be in the browser's history, and in links.
        target = scope.get("raw_path", b"/") + (f"?{urlencode(query, doseq=True)}" if query else "").encode()
        cookie = f"{COOKIE}={self._token}; Path=/; HttpOnly; SameSite=Strict".encode()
        # A path that begins with two slashes would name another host.
        location = b"/" + target.lstrip(b"/")
        await _respond(send, 303, [(b"location", location), (b"set-cookie", cookie)], b"")


async def _respond(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class GatewayPlugin:
    """Restricts each connection to the store, and who may come in."""

    # Datasette takes a plugin for a module.
    __name__ = "gateway"

    def __init__(self, file: AnalystFile, token: str) -> None:
        self._file = file
        self._token = token

    @hookimpl  # type: ignore[untyped-decorator]
    def prepare_connection(self, conn: sqlite3.Connection) -> None:
        # Datasette's own are in memory. By the file and not by the name: what is not known is restricted.
        if any(file for _, _, file in conn.execute("PRAGMA database_list")):
            self._file.prepare(conn)

    @hookimpl  # type: ignore[untyped-decorator]
    def asgi_wrapper(self) -> Callable[[App], App]:
        return lambda app: TokenGate(app, self._token)


def build_app(file: AnalystFile, tables: Mapping[str, object], token: str) -> App:
    """Return Datasette's application; its plugins are those of the process, so there is one at a time."""
    pm.register(GatewayPlugin(file, token), name="gateway")
    metadata = {
        "title": "Requests and feedback",
        "source": str(file.path),
        "databases": {file.path.stem: {"tables": dict(tables)}},
    }
    app: App = Datasette(files=[str(file.path)], metadata=metadata, settings=SETTINGS).app()
    return app


def serve_datasette(
    file: AnalystFile, tables: Mapping[str, object], listener: socket.socket, token: str
) -> None:
    """Serve until a signal ends it."""
    # Without the access log, which would print the token.
    config = uvicorn.Config(build_app(file, tables, token), log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])
