#!/usr/bin/env bash
# What four SDKs make of an error object inside a stream of status 200, in the shape that their provider uses
# for errors.
#
# Versions: groq==1.7.0, mistralai==3.7.0, ollama==0.6.3, google-genai==3.6.1; CPython 3.11.7 on Linux
# Guessed: each raises its usual API error, with the provider's message as its text
# Seen: groq and google-genai do; ollama does with the status -1, but lets pydantic's ValidationError out
#   where the same object comes unstreamed; mistralai raises ResponseValidationError with status 200, whose
#   text is about missing fields
# Output:
#   groq           APIError: engine died
#   google-genai   ServerError 503
#   ollama         ResponseError -1, unstreamed ValidationError
#   mistralai      ResponseValidationError 200, names the message only in its body: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'groq==1.7.0' 'mistralai==3.7.0' 'ollama==0.6.3' 'google-genai==3.6.1'
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

import groq, ollama
from google import genai
from mistralai.client import Mistral

CHUNK = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
         "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}]}
QUESTION = [{"role": "user", "content": "x"}]

def raised(call):
    try:
        call()
    except Exception as error:
        return error

lines = lambda *objects: b"".join(json.dumps(o).encode() + b"\n" for o in objects)
Provider.answer = (200, "text/event-stream", sse(CHUNK, {"error": {"message": "engine died", "type": "server_error"}}), False)
fast = groq.Groq(api_key="k", base_url=URL, max_retries=0)
by_groq = raised(lambda: list(fast.chat.completions.create(model="m", messages=QUESTION, stream=True)))
print("groq          ", f"{type(by_groq).__name__}: {by_groq}")

failure = {"error": {"code": 503, "message": "engine died", "status": "UNAVAILABLE"}}
Provider.answer = (200, "text/event-stream", sse(failure), False)
google = genai.Client(api_key="k", http_options={"base_url": URL})
by_google = raised(lambda: list(google.models.generate_content_stream(model="m", contents="x")))
print("google-genai  ", type(by_google).__name__, by_google.code)

local = ollama.Client(host=URL)
Provider.answer = (200, "application/x-ndjson", lines({"error": "engine died"}), False)
by_ollama = raised(lambda: list(local.chat(model="m", messages=QUESTION, stream=True)))
plain = raised(lambda: local.chat(model="m", messages=QUESTION))
print("ollama        ", type(by_ollama).__name__, f"{by_ollama.status_code}, unstreamed", type(plain).__name__)

failure = {"object": "error", "message": "engine died", "type": "internal_server_error", "param": None, "code": "3000"}
Provider.answer = (200, "text/event-stream", sse(CHUNK, failure), False)
mistral = Mistral(api_key="k", server_url=URL)
by_mistral = raised(lambda: list(mistral.chat.stream(model="m", messages=QUESTION)))
only = "engine died" in by_mistral.body and "field required" in str(by_mistral).lower()
print("mistralai     ", type(by_mistral).__name__, f"{by_mistral.status_code}, names the message only in its body:", only)

assert (type(by_groq).__name__, str(by_groq)) == ("APIError", "engine died")
assert (type(by_google).__name__, by_google.code) == ("ServerError", 503)
assert (type(by_ollama).__name__, by_ollama.status_code, type(plain).__name__) == ("ResponseError", -1, "ValidationError")
assert (type(by_mistral).__name__, by_mistral.status_code, only) == ("ResponseValidationError", 200, True)
PY
