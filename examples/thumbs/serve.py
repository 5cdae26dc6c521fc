"""Serve the page, and forward its calls to the gateway, so that browser and gateway share one origin.

The gateway's key stays here: the browser never sees it, and can reach the two paths that the page needs only.
"""

import http.client
import os
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

GATEWAY = urlsplit(os.environ.get("GATEWAY_URL", "http://127.0.0.1:8787"))
GATEWAY_KEY = os.environ.get("GATEWAY_KEY", "none")
PORT = int(os.environ.get("PORT", "8788"))

FOLDER = Path(__file__).parent
PAGES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/thumbs.js": ("thumbs.js", "text/javascript; charset=utf-8"),
    "/thumbs.css": ("thumbs.css", "text/css; charset=utf-8"),
}
FORWARDED = re.compile(r"POST /v1/chat/completions|POST /v1/feedback|PUT /v1/feedback/[0-9a-f-]{36}")
RETURNED_HEADERS = ("Content-Type", "x-portkey-trace-id")
MAX_BODY_BYTES = 1024 * 1024
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src data:",
    "X-Content-Type-Options": "nosniff",
}


class Handler(BaseHTTPRequestHandler):
    """Answers the page's files itself, and passes its calls on."""

    def do_GET(self) -> None:
        """Send a file of the page."""
        if self.path not in PAGES:
            self.send_error(404)
            return
        name, content_type = PAGES[self.path]
        self._reply(200, (FOLDER / name).read_bytes(), {"Content-Type": content_type, **PAGE_HEADERS})

    def do_POST(self) -> None:
        """Forward a call to the gateway and return its answer."""
        length = self.headers.get("Content-Length", "")
        if not FORWARDED.fullmatch(f"{self.command} {self.path}"):
            self.send_error(403)
            return
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.send_error(413)
            return
        body = self.rfile.read(int(length))
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {GATEWAY_KEY}"}
        connection = http.client.HTTPConnection(GATEWAY.hostname or "", GATEWAY.port, timeout=60)
        try:
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            returned = {name: value for name in RETURNED_HEADERS if (value := answer.headers[name])}
            self._reply(answer.status, answer.read(), returned)
        except OSError as error:
            self.send_error(502, explain=f"the gateway could not be reached: {error}")
        finally:
            connection.close()

    do_PUT = do_POST

    def _reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", PORT), Handler) as server:
        print(f"open http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()
