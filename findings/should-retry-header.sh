#!/usr/bin/env bash
# A 429 for a quota that is used up, with the header `x-should-retry: false`, which OpenAI's and Anthropic's SDKs obey.
#
# Versions: openai==3.57.0, anthropic==2.14.0, cohere==7.3.1; ai 7.0.173, @ai-sdk/openai 4.0.118; CPython 3.11.7, Node 20.20.2 on
#   Linux
# Guessed: cohere obeys it too, and Vercel's AI SDK, as both heed `retry-after-ms`, another header that is no standard and comes
#   from the same SDKs
# Seen: both ask three times: they know the one header and not the other
# Output (requests):
#   openai     1
#   anthropic  1
#   cohere     3
#   ai         3
#   cohere and ai wait for retry-after-ms: True True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'openai==3.57.0' 'anthropic==2.14.0' 'cohere==7.3.1'
echo '{"private": true, "type": "module"}' >package.json
npm install --silent --no-audit --no-fund ai@7.0.173 @ai-sdk/openai@4.0.118
cat >finding.mjs <<'JS'
import { createOpenAI } from "@ai-sdk/openai";
import { generateText } from "ai";

const openai = createOpenAI({ apiKey: "k", baseURL: process.argv[2] });
await generateText({ model: openai.chat("m"), prompt: "x" }).then(() => process.exit(1), () => {});
JS
cat >finding.py <<'PY'
import http.server, subprocess, threading, time

class Provider(http.server.BaseHTTPRequestHandler):
    """Answers every POST with a 429 and the headers `more`; keeps when it was asked."""
    protocol_version = "HTTP/1.1"
    more = {}
    asked = []

    def do_POST(self):
        self.asked.append(time.monotonic())
        self.rfile.read(int(self.headers["content-length"]))
        body = b'{"error": {"message": "the quota is used up", "type": "insufficient_quota"}}'
        self.send_response(429)
        for name, value in self.more.items():
            self.send_header(name, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
URL = f"http://127.0.0.1:{server.server_address[1]}"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "x"}]}

import anthropic, cohere, openai

CLIENTS = {
    "openai": lambda: openai.OpenAI(api_key="k", base_url=URL).chat.completions.create(**ASKED),
    "anthropic": lambda: anthropic.Anthropic(api_key="k", base_url=URL).messages.create(max_tokens=9, **ASKED),
    "cohere": lambda: cohere.ClientV2(api_key="k", base_url=URL).chat(**ASKED),
    "ai": lambda: subprocess.run(["node", "finding.mjs", URL], check=True),
}

def times(name, **more):
    """When each request of a question came, which is refused with the headers given."""
    Provider.more = {key.replace("_", "-"): value for key, value in more.items()}
    Provider.asked.clear()
    try:
        CLIENTS[name]()
    except Exception as error:
        assert "the quota is used up" in str(error), error
    return list(Provider.asked)

seen = {name: len(times(name, x_should_retry="false")) for name in CLIENTS}
for name, requests in seen.items():
    print(f"{name:<10} {requests}")
waited = []
for name in ("cohere", "ai"):
    first, second, *_ = times(name, retry_after_ms="3500")
    waited.append(second - first >= 3.5)
print("cohere and ai wait for retry-after-ms:", *waited)
assert list(seen.values()) == [1, 1, 3, 3] and waited == [True, True]
PY
venv/bin/python finding.py
