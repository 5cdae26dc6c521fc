"""Commands that repeat a request, run by a real shell against a real server."""

from __future__ import annotations

import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from gateway.models.exchange import RawHeaders
from gateway.models.principal import REDACTED
from gateway.wire.curl import MAX_INLINE_BYTES, curl_command

NASTY = """it's "$HOME" `id` $(id) \\ ! @file 'x' \n ü; rm -rf / & | > < * ? [a] {b} ~ #"""


class Echo(BaseHTTPRequestHandler):
    seen: list[tuple[str, str, dict[str, str], bytes]] = []  # noqa: RUF012  # one for the test

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((self.command, self.path, dict(self.headers.items()), body))
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"\0" * 20_000)

    do_DELETE = do_POST

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def url() -> object:
    server = HTTPServer(("127.0.0.1", 0), Echo)
    Thread(target=server.serve_forever, daemon=True).start()
    Echo.seen.clear()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def run(command: str) -> tuple[str, str, dict[str, str], bytes]:
    environment = {"GATEWAY_KEY": "gw-$1'key", "X_SECRET": "s", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        ["sh", "-c", command], env=environment, capture_output=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr
    return Echo.seen[-1]


def test_a_command_sends_what_was_sent(url: str) -> None:
    headers: RawHeaders = (
        (b"Host", b"elsewhere"),
        (b"Authorization", REDACTED.encode()),
        (b"X-Secret", REDACTED.encode()),
        (b"X-Nasty", NASTY.replace("\n", " ").encode()),
        (b"X-Empty", b""),
        (b"Content-Length", b"3"),
        (b"x-request-id", b"r1"),
        (b"Content-Type", b"application/json"),
    )
    command = curl_command("POST", f"{url}/v1/a%20b?q='x'&key={REDACTED}", headers, f"@{NASTY}".encode())
    method, path, sent, body = run(command)
    assert (method, path) == ("POST", "/v1/a%20b?q='x'&key=gw-$1'key")
    assert body == f"@{NASTY}".encode()
    assert sent["Authorization"] == "Bearer gw-$1'key"
    assert (sent["X-Secret"], sent["X-Empty"]) == ("s", "")
    assert sent["X-Nasty"].encode("latin-1").decode() == NASTY.replace("\n", " ")
    assert "x-request-id" not in sent
    assert sent["Host"] != "elsewhere"
    assert '"${GATEWAY_KEY}"' in command
    assert REDACTED not in command


def test_a_long_body_or_one_that_is_no_text_is_piped_in(url: str) -> None:
    for body in (b"x" * (MAX_INLINE_BYTES + 1), b"\0"):
        command = curl_command("POST", f"{url}/v1/x", (), body, body_url=f"{url}/body")
        assert run(command)[3] == b"\0" * 20_000
    assert curl_command("POST", url, (), b"\0").endswith("--data-binary @-")
    assert run(curl_command("DELETE", f"{url}/v1/x", (), b""))[::3] == ("DELETE", b"")
