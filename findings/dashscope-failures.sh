#!/usr/bin/env bash
# What Alibaba's SDK for Qwen makes of failures, unstreamed and in a stream.
#
# Versions: dashscope==2.0.2; CPython 3.11.7 on Linux
# Guessed: a status of 4xx or 5xx raises; an error event in a stream has the status that it names (`:HTTP_STATUS/500`, as the
#   service sends it), with or without a space after the colon of `event:`
# Seen: no status raises: the answer has `status_code`, `code` and no output, and is one chunk where a stream was asked for; an
#   error event always has 400, as the SDK looks for a line `status:500`; written `event: error` it is taken for an answer,
#   whose missing output is a TypeError inside the SDK. A lost connection raises an exception of requests'.
# Output:
#   429               [(429, 'Throttling', 'slow', False)]
#   429, streamed     [(429, 'Throttling', 'slow', False)]
#   event:error 500   [(200, '', '', True), (400, 'InternalError', 'engine died', False)]
#   event: error 500  builtins.TypeError
#   lost connection   requests.exceptions.ChunkedEncodingError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'dashscope==2.0.2'
venv/bin/python - <<'PY'
import http.server, json, logging, threading
import dashscope

class Provider(http.server.BaseHTTPRequestHandler):
    """Answers every POST with `answer`: status, content type, body, and whether the connection is lost after it."""
    protocol_version = "HTTP/1.1"
    answer = None

    def do_POST(self):
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
dashscope.base_http_api_url = f"http://127.0.0.1:{server.server_address[1]}"
logging.disable()

def outcome(name, answer, **options):
    """Per answer or chunk: status, code, message, and whether there is an output; or what is raised."""
    Provider.answer = answer
    of = {"model": "qwen-plus", "api_key": "k", "result_format": "message", "messages": [{"role": "user", "content": "x"}]}
    try:
        answers = dashscope.Generation.call(**of, **options)
        answers = answers if options else [answers]
        seen = [(int(a.status_code), a.code, a.message, a.output is not None) for a in answers]
    except Exception as error:
        seen = f"{type(error).__module__}.{type(error).__name__}"
    print(f"{name:17}", seen)
    return seen

def event(name, status, data):
    return f"id:1\nevent:{name}\n:HTTP_STATUS/{status}\ndata:{json.dumps(data)}\n\n".encode()

busy = (429, "application/json", json.dumps({"code": "Throttling", "message": "slow", "request_id": "r"}).encode(), False)
choices = [{"finish_reason": "null", "message": {"role": "assistant", "content": "Hi"}}]
first = event("result", 200, {"output": {"choices": choices}, "usage": {}, "request_id": "r"})
failure = {"code": "InternalError", "message": "engine died", "request_id": "r"}
SSE = "text/event-stream"
whole = outcome("429", busy)
streamed = outcome("429, streamed", busy, stream=True)
tight = outcome("event:error 500", (200, SSE, first + event("error", 500, failure), False), stream=True)
spaced = outcome("event: error 500", (200, SSE, first + event(" error", 500, failure), False), stream=True)
lost = outcome("lost connection", (200, SSE, first, True), stream=True)
assert whole == streamed == [(429, "Throttling", "slow", False)]
assert tight == [(200, "", "", True), (400, "InternalError", "engine died", False)]
assert spaced == "builtins.TypeError"
assert lost == "requests.exceptions.ChunkedEncodingError"
PY
