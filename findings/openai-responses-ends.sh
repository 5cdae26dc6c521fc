#!/usr/bin/env bash
# How a response ends that is not completed, in openai's SDKs: `responses.create`, with and without stream, and the helper
# `responses.stream`, whose final response is asked for after the last event.
#
# Versions: openai==3.57.0; openai 7.59.0; CPython 3.11.7, Node 20.20.2 on Linux
# Guessed: a failure raises in each, as an error event does in a chat stream; an incomplete response is a final one, with what there
#   is of it, as a chat completion is that ended by its length; both languages do the same; an event that is new has a type of
#   its own or none
# Seen: a failed response raises nothing in `create`; an error event does in JavaScript only. Python's helper raises a plain
#   RuntimeError ("Didn't receive a `response.completed` event.") for all three, the incomplete one too, and loses what was written;
#   JavaScript's returns the failed and the incomplete one alike. In Python an event of an unknown type is an instance of
#   ResponseAudioDeltaEvent
# Output:
#   Python      failed       create failed      stream response.failed      helper RuntimeError
#   Python      incomplete   create incomplete  stream response.incomplete  helper RuntimeError
#   Python      error event  create -           stream error                helper RuntimeError
#   JavaScript  failed       create failed      stream response.failed      helper failed
#   JavaScript  incomplete   create incomplete  stream response.incomplete  helper incomplete
#   JavaScript  error event  create -           stream APIError             helper APIError
#   Python      unknown event is a ResponseAudioDeltaEvent
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'openai==3.57.0'
echo '{"private": true, "type": "module"}' >package.json
npm install --silent --no-audit --no-fund openai@7.59.0
cat >finding.mjs <<'JS'
import OpenAI from "openai";

const responses = new OpenAI({ apiKey: "k", baseURL: process.argv[2], maxRetries: 0 }).responses;
const asked = { model: "m", input: "x" };
const outcome = (call) => call().catch((error) => error.constructor.name);
async function streamed() {
  let last;
  for await (const event of await responses.create({ ...asked, stream: true })) last = event.type;
  return last;
}
const created = await outcome(async () => (await responses.create(asked)).status);
const helped = await outcome(async () => (await responses.stream(asked).finalResponse()).status);
console.log(JSON.stringify([created, await outcome(streamed), helped]));
JS
cat >finding.py <<'PY'
import http.server, json, subprocess, threading

class Provider(http.server.BaseHTTPRequestHandler):
    """Answers every POST with its events, or with the last one's response if no stream is asked for."""
    protocol_version = "HTTP/1.1"
    events = []

    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if question.get("stream"):
            kind = "text/event-stream"
            body = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in self.events).encode()
        else:
            kind, body = "application/json", json.dumps(self.events[-1].get("response", {})).encode()
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()

URL = f"http://127.0.0.1:{server.server_address[1]}/v1"

import openai

responses = openai.OpenAI(api_key="k", base_url=URL, max_retries=0).responses
ASKED = {"model": "m", "input": "x"}
text = {"type": "output_text", "text": "Hi", "annotations": []}
item = {"type": "message", "id": "m1", "status": "incomplete", "role": "assistant", "content": [text]}

def response(status, output=(), **more):
    return {"id": "r1", "object": "response", "created_at": 1, "model": "m", "status": status, "output": list(output),
            "error": None, "incomplete_details": None, "tools": [], "tool_choice": "auto", "parallel_tool_calls": False, **more}

created = {"type": "response.created", "sequence_number": 0, "response": response("in_progress")}
failed = response("failed", error={"code": "server_error", "message": "engine died"})
cut = response("incomplete", [item], incomplete_details={"reason": "max_output_tokens"})
error = {"type": "error", "sequence_number": 1, "code": "server_error", "message": "engine died", "param": None}
LAST = {
    "failed": {"type": "response.failed", "sequence_number": 1, "response": failed},
    "incomplete": {"type": "response.incomplete", "sequence_number": 1, "response": cut},
    "error event": error,
}

def outcome(call):
    """What a call returns, or the class of what it raises."""
    try:
        return call()
    except Exception as error:
        return type(error).__name__

def helper():
    with responses.stream(**ASKED) as stream:
        return stream.get_final_response().status

def streamed():
    return list(responses.create(**ASKED, stream=True))[-1].type

def by_python():
    return [outcome(lambda: responses.create(**ASKED).status), outcome(streamed), outcome(helper)]

def by_javascript():
    return json.loads(subprocess.run(["node", "finding.mjs", URL], check=True, stdout=subprocess.PIPE).stdout)

seen = []
for language, ask in (("Python", by_python), ("JavaScript", by_javascript)):
    for name, last in LAST.items():
        Provider.events = [created, last]
        plain, stream, final = ask()
        seen.append((plain if "response" in last else "-", stream, final))
        print(f"{language:<11} {name:<12} create {seen[-1][0]:<11} stream {stream:<20} helper {final}")
Provider.events = [{"type": "response.new_thing", "sequence_number": 0}]
unknown = type(list(responses.create(**ASKED, stream=True))[0]).__name__
print("Python      unknown event is a", unknown)
assert seen == [
    ("failed", "response.failed", "RuntimeError"),
    ("incomplete", "response.incomplete", "RuntimeError"),
    ("-", "error", "RuntimeError"),
    ("failed", "response.failed", "failed"),
    ("incomplete", "response.incomplete", "incomplete"),
    ("-", "APIError", "APIError"),
]
assert unknown == "ResponseAudioDeltaEvent"
PY
venv/bin/python finding.py
