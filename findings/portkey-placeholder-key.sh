#!/usr/bin/env bash
# Portkey's SDK for Python, as a client of a gateway of one's own: where the base URL comes from, and which Authorization is sent.
#
# Versions: portkey-ai==2.3.4; CPython 3.11.7 on Linux
# Guessed: the variable PORTKEY_BASE_URL sets the base URL, as OPENAI_BASE_URL does for the SDK that it wraps, besides its own
#   PORTKEY_API_KEY; without a provider's key no Authorization is sent, or that of the variable OPENAI_API_KEY
# Seen: PORTKEY_BASE_URL is ignored, and questions go to api.portkey.ai: the variable that is read has the name
#   "https://api.portkey.ai/v1" (PORTKEY_PROXY works). The Authorization is the literal text "Bearer OPENAI_API_KEY", also when
#   that variable is set, when a virtual key or a provider is named
# Output:
#   PORTKEY_BASE_URL                   https://api.portkey.ai/v1
#   variable named as the default URL  http://127.0.0.1:1/v1
#   PORTKEY_PROXY                      http://127.0.0.1:1/v1
#   no key of a provider               Bearer OPENAI_API_KEY
#   OPENAI_API_KEY=sk-1, provider      Bearer OPENAI_API_KEY
#   Authorization="Bearer sk-2"        Bearer sk-2
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'portkey-ai==2.3.4'
env -u PORTKEY_PROXY -u PORTKEY_BASE_URL -u OPENAI_API_KEY venv/bin/python - <<'PY'
import http.server, json, os, threading
from portkey_ai import Portkey

class Gateway(http.server.BaseHTTPRequestHandler):
    """Answers each question, and keeps its Authorization."""
    sent = []

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.sent.append(self.headers["authorization"])
        message = {"role": "assistant", "content": "Hi"}
        choices = [{"index": 0, "finish_reason": "stop", "message": message}]
        answer = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
threading.Thread(target=server.serve_forever, daemon=True).start()
URL, OTHER, DEFAULT = f"http://127.0.0.1:{server.server_address[1]}/v1", "http://127.0.0.1:1/v1", "https://api.portkey.ai/v1"

def by_variable(name):
    os.environ[name] = OTHER
    try:
        return Portkey(api_key="k").base_url
    finally:
        del os.environ[name]

def authorization(**options):
    client = Portkey(api_key="k", base_url=URL, **options)
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    return Gateway.sent[-1]

urls = [by_variable(name) for name in ("PORTKEY_BASE_URL", DEFAULT, "PORTKEY_PROXY")]
for name, url in zip(("PORTKEY_BASE_URL", "variable named as the default URL", "PORTKEY_PROXY"), urls):
    print(f"{name:34}", url)
without = authorization()
print(f"{'no key of a provider':34}", without)
os.environ["OPENAI_API_KEY"] = "sk-1"
with_variable = authorization(provider="openai")
print(f"{'OPENAI_API_KEY=sk-1, provider':34}", with_variable)
given = authorization(Authorization="Bearer sk-2")
print('Authorization="Bearer sk-2"       ', given)
assert urls == [DEFAULT, OTHER, OTHER]
assert (without, with_variable, given) == ("Bearer OPENAI_API_KEY", "Bearer OPENAI_API_KEY", "Bearer sk-2")
PY
