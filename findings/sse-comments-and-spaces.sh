#!/usr/bin/env bash
# Two things that the standard of server-sent events allows in a stream: a comment to keep the connection open, and `data:`
# without the space after it.
#
# Versions: ai21==4.3.0, huggingface_hub==2.4.0, zai-sdk==0.2.3, writer-sdk==3.0.0; CPython 3.11.7 on Linux
# Guessed: every SDK reads both, as OpenAI's does
# Seen: ai21 raises StreamingDecodeError on a comment and on `data:{`; huggingface_hub skips comments, but cuts six
#   characters off each line, and raises JSONDecodeError on `data:{`; the other two read both
# Output:
#   huggingface_hub  plain Hi   comment Hi                   no space JSONDecodeError
#   ai21             plain Hi   comment StreamingDecodeError no space StreamingDecodeError
#   zai-sdk          plain Hi   comment Hi                   no space Hi
#   writer-sdk       plain Hi   comment Hi                   no space Hi
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'ai21==4.3.0' 'huggingface_hub==2.4.0' 'zai-sdk==0.2.3' 'writer-sdk==3.0.0'
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

from ai21 import AI21Client
from ai21.models.chat import ChatMessage
from huggingface_hub import InferenceClient
from writerai import Writer
from zai import ZaiClient

PLAIN = b"data: " + json.dumps(CHUNK).encode() + b"\n\ndata: [DONE]\n\n"
bodies = {"plain": PLAIN, "comment": b": keep-alive\n\n" + PLAIN, "no space": PLAIN.replace(b"data: ", b"data:")}
hub = InferenceClient(base_url=URL, api_key="k").chat.completions
jamba = AI21Client(api_key="k", api_host=URL).chat.completions
glm = ZaiClient(api_key="k.s", base_url=URL).chat.completions
palmyra = Writer(api_key="k", base_url=URL).chat
asking = {
    "huggingface_hub": lambda: hub.create(model="m", messages=QUESTION, stream=True),
    "ai21": lambda: jamba.create(model="m", messages=[ChatMessage(role="user", content="x")], stream=True),
    "zai-sdk": lambda: glm.create(model="m", messages=QUESTION, stream=True),
    "writer-sdk": lambda: palmyra.chat(model="m", messages=QUESTION, stream=True),
}

def read(ask, body):
    """The text of a stream, or what reading it raises."""
    Provider.answer = (200, "text/event-stream", body)
    try:
        return "".join(chunk.choices[0].delta.content for chunk in ask())
    except Exception as error:
        return type(error).__name__

seen = {name: [read(ask, body) for body in bodies.values()] for name, ask in asking.items()}
for name, (plain, comment, no_space) in seen.items():
    print(f"{name:16} plain {plain}   comment {comment:20} no space {no_space}")
assert seen["huggingface_hub"] == ["Hi", "Hi", "JSONDecodeError"]
assert seen["ai21"] == ["Hi", "StreamingDecodeError", "StreamingDecodeError"]
assert seen["zai-sdk"] == seen["writer-sdk"] == ["Hi", "Hi", "Hi"]
PY
