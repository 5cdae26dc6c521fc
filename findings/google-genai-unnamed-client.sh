#!/usr/bin/env bash
# A client of Google's SDK that is used in the same expression that makes it.
#
# Versions: google-genai==3.6.1; CPython 3.11.7 on Linux
# Guessed: `Client(…).models.generate_content(…)` works as with a variable, as it does with the clients of
#   OpenAI and Anthropic
# Seen: the call fails before anything is sent: `models` does not keep the client, whose end closes the
#   connections below them
# Output:
#   in a variable   Hi
#   in one line     RuntimeError: Cannot send a request, as the client has been closed.
#   requests sent   1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'google-genai==3.6.1'
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

from google import genai

answer = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]}
Provider.answer = (200, "application/json", json.dumps(answer).encode(), False)
client = genai.Client(api_key="k", http_options={"base_url": URL})
text = client.models.generate_content(model="m", contents="x").text
print("in a variable  ", text)
try:
    genai.Client(api_key="k", http_options={"base_url": URL}).models.generate_content(model="m", contents="x")
    raised = None
except RuntimeError as error:
    raised = error
print("in one line    ", f"{type(raised).__name__}: {raised}")
print("requests sent  ", len(Provider.asked))
assert (text, len(Provider.asked)) == ("Hi", 1) and "client has been closed" in str(raised)
PY
