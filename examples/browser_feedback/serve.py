"""Serve the page, and ask the gateway for it. The page gives feedback itself, with the token of each answer.

The gateway must have a secret to sign tokens with, and must know the page's origin:

    feedback: {tokens: {keys: ["${FEEDBACK_TOKEN_KEY}"], allow_origins: [http://127.0.0.1:8788]}}
"""

import http.client
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

GATEWAY_URL = os.environ.get("GATEWAY_URL", "http://127.0.0.1:8787")
GATEWAY_KEY = os.environ.get("GATEWAY_KEY", "none")
MODEL = os.environ.get("MODEL", "demo-chat")
PORT = int(os.environ.get("PORT", "8788"))

FOLDER = Path(__file__).parent
PAGES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/feedback.js": ("feedback.js", "text/javascript; charset=utf-8"),
}
MAX_QUESTION_BYTES = 10_000
POLICY = f"default-src 'self'; img-src data:; connect-src 'self' {GATEWAY_URL}"


def ask(question: str) -> dict[str, str]:
    """Ask the gateway, with the key that stays here; return what the page needs to show and to judge the answer."""
    url = urlsplit(GATEWAY_URL)
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": question}]})
    headers = {"Authorization": f"Bearer {GATEWAY_KEY}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=60)
    try:
        connection.request("POST", "/v1/chat/completions", body, headers)
        answer = connection.getresponse()
        completion = json.load(answer)
        return {
            "text": completion["choices"][0]["message"]["content"],
            "gateway": GATEWAY_URL,
            "traceId": answer.headers["x-portkey-trace-id"],
            "token": answer.headers["x-gateway-feedback-token"],
        }
    finally:
        connection.close()


class Handler(BaseHTTPRequestHandler):
    """Answers with the page's files, and with answers."""

    def do_GET(self) -> None:
        """Send a file of the page."""
        if self.path not in PAGES:
            self.send_error(404)
            return
        name, content_type = PAGES[self.path]
        self._reply((FOLDER / name).read_bytes(), content_type)

    def do_POST(self) -> None:
        """Answer a question."""
        length = self.headers.get("Content-Length", "")
        if self.path != "/ask" or not length.isdecimal() or int(length) > MAX_QUESTION_BYTES:
            self.send_error(400)
            return
        try:
            answer = ask(self.rfile.read(int(length)).decode())
        except (OSError, ValueError, LookupError) as error:
            self.send_error(502, explain=f"the gateway gave no answer: {error}")
            return
        self._reply(json.dumps(answer).encode(), "application/json")

    def _reply(self, body: bytes, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    with ThreadingHTTPServer(("127.0.0.1", PORT), Handler) as server:
        print(f"open http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()
