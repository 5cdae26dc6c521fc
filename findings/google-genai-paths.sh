#!/usr/bin/env bash
# Which paths Google's SDK asks of a base URL that is not Google's.
#
# Versions: google-genai==3.6.1; CPython 3.11.7 on Linux
# Guessed: the Gemini API is asked under /v1beta; one text is embedded by :embedContent; Vertex AI with a base
#   URL is asked under /v1beta1/projects/…
# Seen: the Gemini API under /v1; one text by :batchEmbedContents; Vertex AI with a base URL alone is asked at
#   exactly that URL, which names no model, and with project and location under /v1beta1
# Output:
#   gemini             /v1/models/m:generateContent
#   gemini, embedding  /v1/models/m:batchEmbedContents
#   vertex, URL alone  /gateway
#   vertex, project    /gateway/v1beta1/projects/p/locations/l/publishers/google/models/m:generateContent
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
from google.oauth2.credentials import Credentials

answer = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]}
Provider.answer = (200, "application/json", json.dumps(answer).encode(), False)
gemini = genai.Client(api_key="k", http_options={"base_url": URL})
gemini.models.generate_content(model="m", contents="x")
Provider.answer = (200, "application/json", b'{"embeddings": [{"values": [0.5]}]}', False)
gemini.models.embed_content(model="m", contents="x")
Provider.answer = (200, "application/json", json.dumps(answer).encode(), False)
options = {"base_url": URL + "/gateway", "headers": {"Authorization": "Bearer k"}}
bare = genai.Client(vertexai=True, http_options=options)
bare.models.generate_content(model="m", contents="x")
vertex = genai.Client(vertexai=True, project="p", location="l", credentials=Credentials("k"), http_options=options)
vertex.models.generate_content(model="m", contents="x")

for label, path in zip(("gemini", "gemini, embedding", "vertex, URL alone", "vertex, project"), Provider.asked, strict=True):
    print(f"{label:<18}", path)
assert Provider.asked == [
    "/v1/models/m:generateContent",
    "/v1/models/m:batchEmbedContents",
    "/gateway",
    "/gateway/v1beta1/projects/p/locations/l/publishers/google/models/m:generateContent",
]
PY
