#!/usr/bin/env bash
# What seven SDKs do about a 429 that asks them to wait for more than a minute (`Retry-After` in seconds).
#
# Versions: openai==3.57.0, anthropic==2.14.0, groq==1.7.0, cohere==7.3.1; openai 7.59.0, @anthropic-ai/sdk 1.14.0, ai 7.0.173,
#   @ai-sdk/openai 4.0.118; CPython 3.11.7, Node 20.20.2 on Linux
# Guessed: one generator made the SDKs of OpenAI, Anthropic and Groq, so they do the same in both languages: a wait that is too
#   long to sit through raises the error at once
# Seen: only openai in Python does that, above two minutes. groq, openai in JavaScript and the AI SDK take a wait that they will
#   not sit through as no wait at all, and ask again in half a second to two; cohere asks again after a minute, however much
#   longer was asked for; anthropic waits as long as it is told, ten hours too
# Output (a wait before the second request, in seconds; none: there is no second request):
#   Python      Retry-After 30       90       300      36000
#   openai                  30       90       none     none
#   anthropic               30       90       300      36000
#   groq                    30       below 1  below 1  below 1
#   cohere                  30       60       60       60
#   JavaScript, asked again within 5 seconds, Retry-After 90
#   openai      true
#   anthropic   false
#   ai          true
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'openai==3.57.0' 'anthropic==2.14.0' 'groq==1.7.0' 'cohere==7.3.1'
echo '{"private": true, "type": "module"}' >package.json
npm install --silent --no-audit --no-fund openai@7.59.0 @anthropic-ai/sdk@1.14.0 ai@7.0.173 @ai-sdk/openai@4.0.118
venv/bin/python - <<'PY'
import http.server, threading, time

class Provider(http.server.BaseHTTPRequestHandler):
    """Is busy, for as many seconds as `after` says."""
    protocol_version = "HTTP/1.1"
    after = "1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = b'{"error": {"message": "busy", "type": "rate_limit_error"}}'
        self.send_response(429)
        self.send_header("content-type", "application/json")
        self.send_header("retry-after", self.after)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
URL = f"http://127.0.0.1:{server.server_address[1]}"
ASKED = {"model": "m", "messages": [{"role": "user", "content": "x"}]}

import anthropic, cohere, groq, openai

options = {"api_key": "k", "base_url": URL, "max_retries": 1}
gpt, claude, llama = openai.OpenAI(**options), anthropic.Anthropic(**options), groq.Groq(**options)
command = cohere.ClientV2(api_key="k", base_url=URL)
CLIENTS = {
    "openai": lambda: gpt.chat.completions.create(**ASKED),
    "anthropic": lambda: claude.messages.create(max_tokens=9, **ASKED),
    "groq": lambda: llama.chat.completions.create(**ASKED),
    "cohere": lambda: command.chat(**ASKED, request_options={"max_retries": 1}),
}
AFTER = ("30", "90", "300", "36000")
waits = []
time.sleep = waits.append

def waited(ask, after):
    """How long a client would have waited before its second request."""
    Provider.after = after
    waits.clear()
    try:
        ask()
    except Exception as error:
        assert "429" in str(error) or "busy" in str(error), error
    if not waits:
        return "none"
    return "below 1" if waits[0] < 1 else str(round(waits[0]))

print(f"{'Python':<11} Retry-After", "".join(f"{after:<9}" for after in AFTER).rstrip())
seen = {}
for name, ask in CLIENTS.items():
    seen[name] = [waited(ask, after) for after in AFTER]
    print(f"{name:<23}", "".join(f"{wait:<9}" for wait in seen[name]).rstrip())
assert seen == {
    "openai": ["30", "90", "none", "none"],
    "anthropic": list(AFTER),
    "groq": ["30", "below 1", "below 1", "below 1"],
    "cohere": ["30", "60", "60", "60"],
}
PY
cat >finding.mjs <<'JS'
import assert from "node:assert";
import http from "node:http";
import Anthropic from "@anthropic-ai/sdk";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText } from "ai";
import OpenAI from "openai";

const requests = { openai: 0, anthropic: 0, ai: 0 };
const server = http.createServer((request, response) => {
  requests[request.url.split("/")[1]] += 1;
  response.writeHead(429, { "content-type": "application/json", "retry-after": "90" });
  response.end(JSON.stringify({ error: { message: "busy", type: "rate_limit_error" } }));
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const options = (name) => ({ apiKey: "k", baseURL: `http://127.0.0.1:${server.address().port}/${name}` });
const asked = { model: "m", max_tokens: 9, messages: [{ role: "user", content: "x" }] };
const quiet = () => {};
new OpenAI(options("openai")).chat.completions.create(asked).catch(quiet);
new Anthropic(options("anthropic")).messages.create(asked).catch(quiet);
generateText({ model: createOpenAI(options("ai")).chat("m"), prompt: "x" }).catch(quiet);
setTimeout(() => {
  console.log("JavaScript, asked again within 5 seconds, Retry-After 90");
  for (const [name, count] of Object.entries(requests)) console.log(name.padEnd(11), count > 1);
  assert(requests.openai > 1 && requests.anthropic === 1 && requests.ai > 1);
  process.exit(0);
}, 5000);
JS
node finding.mjs
