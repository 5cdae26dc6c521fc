#!/usr/bin/env bash
# A stream whose connection is lost: Anthropic's SDK raises an exception that is not its own, OpenAI's wraps
# it.
#
# Versions: anthropic==2.14.0, openai==3.57.0; CPython 3.11.7 on Linux
# Guessed: both wrap what their HTTP client raises, so that `except anthropic.APIConnectionError` or at least
#   `except httpx.HTTPError` is enough
# Seen: openai.APIConnectionError, but a bare httpx2.RemoteProtocolError from anthropic: neither
#   anthropic.APIError nor any class of httpx catches it
# Output:
#   openai    APIConnectionError, an openai.APIError: True
#   anthropic httpx2.RemoteProtocolError, an anthropic.APIError: False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'anthropic==2.14.0' 'openai==3.57.0'
venv/bin/python - <<'PY'
import http.server, json, threading

class Provider(http.server.BaseHTTPRequestHandler):
    """Answers every POST with `answer`: status, content type, body, and whether the connection is lost after it."""
    protocol_version = "HTTP/1.1"
    answer = (200, "application/json", b"{}", False)
    asked = []

    def do_POST(self):
        self.asked.append(self.path)
        self.rfile.read(int(self.headers["content-length"]))
        status, kind, body, is_lost = self.answer
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
        if is_lost:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
URL = f"http://127.0.0.1:{server.server_address[1]}"
sse = lambda *events: b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
named = lambda *events: b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)

def outcome(call):
    """What a call returns, or the class of what it raises."""
    try:
        return call()
    except Exception as error:
        return type(error)

import anthropic, httpx2, openai

START = {"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
         "model": "claude-haiku-4-5", "content": [], "stop_reason": None, "stop_sequence": None,
         "usage": {"input_tokens": 9, "output_tokens": 1}}}
BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}
QUESTION = [{"role": "user", "content": "x"}]
CHUNK = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
         "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}]}
QUESTION = [{"role": "user", "content": "x"}]

Provider.answer = (200, "text/event-stream", sse(CHUNK), True)
gpt = openai.OpenAI(api_key="k", base_url=URL + "/v1", max_retries=0)
theirs = outcome(lambda: list(gpt.chat.completions.create(model="m", messages=QUESTION, stream=True)))
print("openai   ", theirs.__name__ + ", an openai.APIError:", issubclass(theirs, openai.APIError))

Provider.answer = (200, "text/event-stream", named(START, BLOCK, DELTA), True)
claude = anthropic.Anthropic(api_key="k", base_url=URL, max_retries=0)
other = outcome(lambda: list(claude.messages.create(model="m", max_tokens=9, messages=QUESTION, stream=True)))
print("anthropic", f"httpx2.{other.__name__}, an anthropic.APIError:", issubclass(other, anthropic.APIError))

assert theirs is openai.APIConnectionError
assert other is httpx2.RemoteProtocolError and not issubclass(other, anthropic.APIError)
PY
