#!/usr/bin/env bash
# An error that a server sends as JSON under status 200, as several OpenAI-compatible servers do.
#
# Versions: openai==3.57.0, anthropic==2.14.0; CPython 3.11.7 on Linux
# Guessed: the SDKs raise, or fail to validate the answer, since no required field is there
# Seen: nothing is raised. OpenAI's unstreamed call returns a ChatCompletion whose id, model and choices are
#   None; its stream is empty; Anthropic's call returns a Message of type 'error' without content
# Output:
#   openai, plain   ChatCompletion id None choices None
#   openai, stream  []
#   anthropic       Message type error content None
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'openai==3.57.0' 'anthropic==2.14.0'
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

import anthropic, openai

QUESTION = [{"role": "user", "content": "x"}]
gpt = openai.OpenAI(api_key="k", base_url=URL + "/v1", max_retries=0)
claude = anthropic.Anthropic(api_key="k", base_url=URL, max_retries=0)

error = {"error": {"message": "The engine died", "type": "server_error", "param": None, "code": None}}
Provider.answer = (200, "application/json", json.dumps(error).encode(), False)
plain = gpt.chat.completions.create(model="m", messages=QUESTION)
stream = list(gpt.chat.completions.create(model="m", messages=QUESTION, stream=True))
print("openai, plain  ", type(plain).__name__, "id", plain.id, "choices", plain.choices)
print("openai, stream ", stream)

error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
Provider.answer = (200, "application/json", json.dumps(error).encode(), False)
message = claude.messages.create(model="m", max_tokens=9, messages=QUESTION)
print("anthropic      ", type(message).__name__, "type", message.type, "content", message.content)

assert (plain.id, plain.choices, stream) == (None, None, [])
assert (message.type, message.content) == ("error", None)
PY
