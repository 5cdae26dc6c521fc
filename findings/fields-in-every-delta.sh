#!/usr/bin/env bash
# A chat stream whose every delta has the role, as Ollama sends it, and whose deltas of one call of a tool each have its id and
# name, in the helpers that put a stream together.
#
# Versions: openai==3.57.0, langchain-openai==1.7.4; openai 7.59.0; CPython 3.11.7, Node 20.20.2 on Linux
# Guessed: content and arguments are joined, as they come in pieces; a role, an id or a name is what it is
# Seen: openai in Python joins all of them, and so the role of an answer in two chunks is `assistantassistant`, which
#   its own type does not allow; langchain-openai joins the name of the tool, and a call of `weatherweather` is one of no tool at
#   all; openai in JavaScript joins none of them
# Output:
#   openai, Python      role assistantassistant  id aa  name weatherweather
#   langchain-openai    role ai                  id a   name weatherweather
#   openai, JavaScript  role assistant           id a   name weather
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'openai==3.57.0' 'langchain-openai==1.7.4'
echo '{"private": true, "type": "module"}' >package.json
npm install --silent --no-audit --no-fund openai@7.59.0
cat >finding.mjs <<'JS'
import OpenAI from "openai";

const client = new OpenAI({ apiKey: "k", baseURL: process.argv[2], maxRetries: 0 });
const stream = client.chat.completions.stream({ model: "m", messages: [{ role: "user", content: "x" }] });
const { message } = (await stream.finalChatCompletion()).choices[0];
const [call] = message.tool_calls;
console.log(JSON.stringify([message.role, call.id, call.function.name]));
JS
cat >finding.py <<'PY'
import http.server, json, subprocess, threading

def chunk(arguments, reason=None):
    """A chunk with a piece of the arguments of one call."""
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "weather", "arguments": arguments}}
    choice = {"index": 0, "delta": {"role": "assistant", "content": None, "tool_calls": [call]}, "finish_reason": reason}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}

CHUNKS = [chunk('{"city":'), chunk(' "Rome"}', "tool_calls")]
STREAM = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in CHUNKS) + b"data: [DONE]\n\n"

class Provider(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(STREAM)))
        self.end_headers()
        self.wfile.write(STREAM)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
URL = f"http://127.0.0.1:{server.server_address[1]}/v1"

import openai
from langchain_openai import ChatOpenAI

def by_openai():
    ask = openai.OpenAI(api_key="k", base_url=URL).chat.completions.stream
    with ask(model="m", messages=[{"role": "user", "content": "x"}]) as stream:
        message = stream.get_final_completion().choices[0].message
    call = message.tool_calls[0]
    return message.role, call.id, call.function.name

def by_langchain():
    first, *rest = ChatOpenAI(model="m", api_key="k", base_url=URL).stream("x")
    for piece in rest:
        first += piece
    call = first.tool_calls[0]
    return "ai" if first.type == "AIMessageChunk" else first.type, call["id"], call["name"]

def by_javascript():
    return tuple(json.loads(subprocess.run(["node", "finding.mjs", URL], check=True, stdout=subprocess.PIPE).stdout))

seen = {"openai, Python": by_openai(), "langchain-openai": by_langchain(), "openai, JavaScript": by_javascript()}
for name, (role, call_id, tool) in seen.items():
    print(f"{name:<19} role {role:<19} id {call_id:<3} name {tool}")
assert list(seen.values()) == [
    ("assistantassistant", "aa", "weatherweather"), ("ai", "a", "weatherweather"), ("assistant", "a", "weather")
]
PY
venv/bin/python finding.py
