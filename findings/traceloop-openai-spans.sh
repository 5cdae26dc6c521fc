#!/usr/bin/env bash
# Which calls of openai's SDK get a span, and with token counts, from two OpenTelemetry instrumentations of it.
#
# Versions: openai==3.57.0, opentelemetry-instrumentation-openai==0.62.4 (traceloop), openinference-instrumentation-openai==0.1.66,
#   opentelemetry-sdk==1.45.2; CPython 3.11.7 on Linux
# Guessed: each call is traced alike, whether it is made by `create`, `parse` or `with_raw_response`; a stream that ends in an
#   exception has a span of status ERROR
# Seen: so it is with openinference. With traceloop's, `responses.parse` and `responses.with_raw_response.create` have no span
#   at all (those of chat completions have); a raw chat stream has a span without counts, although it is read to its end;
#   and an error event in a stream, which raises APIError in the caller, leaves a span whose status is OK
# Output:
#                               traceloop           openinference
#   chat                        10 and 3, UNSET     10 and 3, OK
#   chat, raw                   10 and 3, UNSET     10 and 3, OK
#   chat stream                 10 and 3, OK        10 and 3, OK
#   chat stream, raw            no counts, UNSET    10 and 3, OK
#   chat stream, error event    no counts, OK       no counts, ERROR
#   responses                   10 and 3, UNSET     10 and 3, OK
#   responses, raw              no span             10 and 3, OK
#   responses.parse             no span             10 and 3, OK
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'openai==3.57.0' 'opentelemetry-instrumentation-openai==0.62.4' \
  'openinference-instrumentation-openai==0.1.66' 'opentelemetry-sdk==1.45.2'
cat >finding.py <<'PY'
import http.server, json, logging, sys, threading

class Provider(http.server.BaseHTTPRequestHandler):
    """Answers every POST with `answer`: content type and body."""
    protocol_version = "HTTP/1.1"
    answer = ("application/json", b"{}")

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        kind, body = self.answer
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
logging.disable()

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

if sys.argv[1] == "traceloop":
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor
else:
    from openinference.instrumentation.openai import OpenAIInstrumentor
import openai

spans, tracing = InMemorySpanExporter(), TracerProvider()
tracing.add_span_processor(SimpleSpanProcessor(spans))
OpenAIInstrumentor().instrument(tracer_provider=tracing)
COUNTS = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"), ("llm.token_count.prompt", "llm.token_count.completion")

usage = {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}
message = {"role": "assistant", "content": "Hi"}
chat = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
part = chat | {"object": "chat.completion.chunk", "usage": None,
               "choices": [{"index": 0, "delta": message, "finish_reason": "stop"}]}
last = part | {"usage": usage, "choices": []}
details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
text = {"type": "output_text", "text": "Hi", "annotations": []}
response = {"id": "r1", "object": "response", "created_at": 1, "model": "m", "status": "completed", "tools": [],
            "tool_choice": "auto", "parallel_tool_calls": False,
            "output": [{"type": "message", "id": "m1", "status": "completed", "role": "assistant", "content": [text]}],
            "usage": {"input_tokens": 10, "output_tokens": 3, "total_tokens": 13, **details}}

def plain(answer):
    return "application/json", json.dumps(answer).encode()

def stream(*events):
    return "text/event-stream", b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)

client = openai.OpenAI(api_key="k", base_url=URL, max_retries=0)
completions, responses = client.chat.completions, client.responses
ASKED = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
STREAMED = ASKED | {"stream": True, "stream_options": {"include_usage": True}}
QUESTION = {"model": "m", "input": "x"}
whole, failed = stream(part, last), stream(part, {"error": {"message": "engine died", "type": "server_error"}})
CALLS = {
    "chat": (plain(chat), lambda: completions.create(**ASKED)),
    "chat, raw": (plain(chat), lambda: completions.with_raw_response.create(**ASKED).parse()),
    "chat stream": (whole, lambda: list(completions.create(**STREAMED))),
    "chat stream, raw": (whole, lambda: list(completions.with_raw_response.create(**STREAMED).parse())),
    "chat stream, error event": (failed, lambda: list(completions.create(**STREAMED))),
    "responses": (plain(response), lambda: responses.create(**QUESTION)),
    "responses, raw": (plain(response), lambda: responses.with_raw_response.create(**QUESTION).parse()),
    "responses.parse": (plain(response), lambda: responses.parse(**QUESTION)),
}
seen = {}
for name, (Provider.answer, call) in CALLS.items():
    spans.clear()
    try:
        call()
        assert "error" not in name
    except openai.APIError:
        assert "error" in name
    seen[name] = "no span"
    for span in spans.get_finished_spans():
        found = [tuple(span.attributes[key] for key in keys) for keys in COUNTS if keys[0] in span.attributes]
        seen[name] = f"{'%d and %d' % found[0] if found else 'no counts'}, {span.status.status_code.name}"
print(json.dumps(seen))
PY
cat >compare.py <<'PY'
import json, subprocess, sys

def run(name):
    return json.loads(subprocess.run([sys.executable, "finding.py", name], check=True, stdout=subprocess.PIPE).stdout)

traceloop, openinference = run("traceloop"), run("openinference")
print(f"{'':<27} {'traceloop':<19} openinference")
for name in traceloop:
    print(f"{name:<27} {traceloop[name]:<19} {openinference[name]}")
assert list(traceloop.values()) == ["10 and 3, UNSET", "10 and 3, UNSET", "10 and 3, OK", "no counts, UNSET", "no counts, OK",
                                    "10 and 3, UNSET", "no span", "no span"]
assert openinference == dict.fromkeys(traceloop, "10 and 3, OK") | {"chat stream, error event": "no counts, ERROR"}
PY
venv/bin/python compare.py
