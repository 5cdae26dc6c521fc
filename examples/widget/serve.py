"""Serve a page with the feedback widget, and ask the gateway for it. No key reaches the page.

    python examples/widget/serve.py                        # this folder
    python examples/widget/serve.py examples/react/public  # or another

The gateway must have a secret to sign tokens with, and must know the page's origin:

    feedback: {tokens: {keys: ["${FEEDBACK_TOKEN_KEY}"], allow_origins: [http://127.0.0.1:8788]}}
"""

import http.client
import json
import mimetypes
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

GATEWAY_URL = os.environ.get("GATEWAY_URL", "http://127.0.0.1:8787")
GATEWAY_KEY = os.environ.get("GATEWAY_KEY", "none")
MODEL = os.environ.get("MODEL", "demo-chat")
PORT = int(os.environ.get("PORT", "8788"))

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
PAGES = {f"/{file.name}": file for file in FOLDER.iterdir() if file.suffix in (".html", ".css", ".js")}
MAX_QUESTION_BYTES = 10_000
# The widget needs its script and its calls allowed, and no inline styles.
POLICY = (
    f"default-src 'self'; img-src data:; script-src 'self' {GATEWAY_URL}; connect-src 'self' {GATEWAY_URL}"
)


def ask(question: str) -> dict[str, str]:
    """Ask the gateway, with the key that stays here; return what the page shows, and the token for feedback."""
    url = urlsplit(GATEWAY_URL)
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": question}]})
    headers = {"Authorization": f"Bearer {GATEWAY_KEY}", "Content-Type": "application/json"}
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=60)
    try:
        connection.request("POST", "/v1/chat/completions", body, headers)
        answer = connection.getresponse()
        completion = json.load(answer)
        text = completion["choices"][0]["message"]["content"]
        return {"text": text, "gateway": GATEWAY_URL, "token": answer.headers["x-gateway-feedback-token"]}
    finally:
        connection.close()


class Handler(BaseHTTPRequestHandler):
    """Answers with the page's files, and with answers."""

    def do_GET(self) -> None:
        """Send a file of the page."""
        file = PAGES.get("/index.html" if self.path == "/" else self.path)
        if file is None:
            self.send_error(404)
            return
        self._reply(file.read_bytes(), mimetypes.guess_type(file.name)[0] or "text/plain")

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
