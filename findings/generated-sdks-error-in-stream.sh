#!/usr/bin/env bash
# An error object inside a stream of status 200, in SDKs that one generator has made (Stainless) for three providers.
#
# Versions: together==3.1.1, fireworks-ai==1.2.30, writer-sdk==3.0.0; CPython 3.11.7 on Linux
# Guessed: all three raise APIError with the message, as OpenAI's SDK does, which is made by the same generator
# Seen: together does; fireworks-ai and writer-sdk hand the error object on as one more chunk, whose `choices` is None: a
#   loop over the text ends in a TypeError of its own or, if it skips chunks without choices, as if all were well
# Output:
#   together      APIError: engine died
#   fireworks-ai  chunks 2, choices of the last None, its error {'message': 'engine died', 'type': 'server_error'}
#   writer-sdk    chunks 2, choices of the last None, its error {'message': 'engine died', 'type': 'server_error'}
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'together==3.1.1' 'fireworks-ai==1.2.30' 'writer-sdk==3.0.0'
venv/bin/python - <<'PY'
import http.server, json, threading

class Provider(http.server.BaseHTTPRequestHandler):
    """Answers every POST with `answer`: status, content type, body; and counts them."""
    protocol_version = "HTTP/1.1"
    answer = (200, "text/event-stream", b"")
    asked = []

    def do_POST(self):
        self.asked.append(self.path)
        self.rfile.read(int(self.headers["content-length"]))
        status, kind, body = self.answer
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
URL = f"http://127.0.0.1:{server.server_address[1]}"
CHUNK = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
         "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}]}
QUESTION = [{"role": "user", "content": "x"}]

from fireworks import Fireworks
from together import Together
from writerai import Writer

failure = {"error": {"message": "engine died", "type": "server_error"}}
events = (json.dumps(CHUNK), json.dumps(failure), "[DONE]")
Provider.answer = (200, "text/event-stream", "".join(f"data: {event}\n\n" for event in events).encode())
asking = {
    "together": lambda: Together(api_key="k", base_url=URL).chat.completions.create,
    "fireworks-ai": lambda: Fireworks(api_key="k", base_url=URL).chat.completions.create,
    "writer-sdk": lambda: Writer(api_key="k", base_url=URL).chat.chat,
}
seen = {}
for name, ask in asking.items():
    try:
        chunks = list(ask()(model="m", messages=QUESTION, stream=True))
        last = chunks[-1]
        seen[name] = f"chunks {len(chunks)}, choices of the last {last.choices}, its error {last.error}"
    except Exception as error:
        seen[name] = f"{type(error).__name__}: {error}"
    print(f"{name:13}", seen[name])
assert seen["together"] == "APIError: engine died"
assert seen["fireworks-ai"] == seen["writer-sdk"]
assert seen["writer-sdk"].startswith("chunks 2, choices of the last None, its error {'message': 'engine died'")
PY
