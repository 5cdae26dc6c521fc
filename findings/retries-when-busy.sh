#!/usr/bin/env bash
# How often three SDKs send one question to a server that is busy (429 with Retry-After), and how long they wait.
#
# Versions: writer-sdk==3.0.0, zai-sdk==0.2.3, ai21==4.3.0; CPython 3.11.7 on Linux
# Guessed: three requests as a default, as OpenAI's SDK sends, whose generator made writer-sdk; Retry-After is heeded; a
#   number of retries is the number of requests after the first
# Seen: writer-sdk sends eight; zai-sdk waits about a second where the server asks for four; ai21's `num_retries` counts the
#   first request too: 1 is no retry, as is its default
# Output:
#   writer-sdk                requests 8
#   zai-sdk, max_retries=1    requests 2, waited the 4 seconds asked for: False
#   ai21                      requests 1
#   ai21, num_retries=1       requests 1
#   ai21, num_retries=2       requests 2
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'writer-sdk==3.0.0' 'zai-sdk==0.2.3' 'ai21==4.3.0'
venv/bin/python - <<'PY'
import http.server, json, threading

class Provider(http.server.BaseHTTPRequestHandler):
    """Answers every POST with `answer`: status, content type, body, and Retry-After; counts them."""
    protocol_version = "HTTP/1.1"
    answer = (200, "text/event-stream", b"")
    after = "1"
    asked = []

    def do_POST(self):
        self.asked.append(self.path)
        self.rfile.read(int(self.headers["content-length"]))
        status, kind, body = self.answer
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("retry-after", self.after)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
URL = f"http://127.0.0.1:{server.server_address[1]}"
QUESTION = [{"role": "user", "content": "x"}]

import logging, time
from ai21 import AI21Client
from ai21.models.chat import ChatMessage
from writerai import Writer
from zai import ZaiClient

logging.disable()
Provider.answer = (429, "application/json", json.dumps({"error": {"message": "busy", "type": "rate_limit"}}).encode())

def requests(ask):
    """How many requests a question costs until it fails, and how many seconds."""
    Provider.asked.clear()
    start = time.monotonic()
    try:
        ask()
    except Exception as error:
        assert "429" in str(error), error
    return len(Provider.asked), time.monotonic() - start

def jamba(**options):
    client = AI21Client(api_key="k", api_host=URL, **options).chat.completions
    return requests(lambda: client.create(model="m", messages=[ChatMessage(role="user", content="x")]))[0]

palmyra, _ = requests(lambda: Writer(api_key="k", base_url=URL).chat.chat(model="m", messages=QUESTION))
print("writer-sdk                requests", palmyra)
Provider.after = "4"
client = ZaiClient(api_key="k.s", base_url=URL, max_retries=1)
glm, seconds = requests(lambda: client.chat.completions.create(model="m", messages=QUESTION))
print("zai-sdk, max_retries=1    requests", f"{glm}, waited the 4 seconds asked for: {seconds >= 4}")
by_default, one, two = jamba(), jamba(num_retries=1), jamba(num_retries=2)
print("ai21                      requests", by_default)
print("ai21, num_retries=1       requests", one)
print("ai21, num_retries=2       requests", two)
assert palmyra == 8 and glm == 2 and seconds < 4 and (by_default, one, two) == (1, 1, 2)
PY
