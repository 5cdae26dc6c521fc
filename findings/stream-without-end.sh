#!/usr/bin/env bash
# A stream that ends before its finish reason and before its last event, as a proxy or a server that is shut
# down leaves it: the chunked body is complete, the answer is not.
#
# Versions: openai==3.57.0, anthropic==2.14.0, litellm==1.110.2; CPython 3.11.7 on Linux
# Guessed: helpers that put a stream together notice that its end never came, and raise
# Seen: the helpers of openai and anthropic return half an answer as the final one, with a finish reason of
#   None; litellm raises MidStreamFallbackError, a ServiceUnavailableError (503) whose status_code is 500
# Output:
#   openai     Hi, finish_reason None
#   anthropic  Hi, stop_reason None
#   litellm    MidStreamFallbackError 500, a ServiceUnavailableError: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'openai==3.57.0' 'anthropic==2.14.0' 'litellm==1.110.2'
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

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import anthropic, litellm, openai

START = {"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
         "model": "claude-haiku-4-5", "content": [], "stop_reason": None, "stop_sequence": None,
         "usage": {"input_tokens": 9, "output_tokens": 1}}}
BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
DELTA = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}
QUESTION = [{"role": "user", "content": "x"}]
CHUNK = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
         "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}]}
QUESTION = [{"role": "user", "content": "x"}]
litellm.suppress_debug_info = True

Provider.answer = (200, "text/event-stream", sse(CHUNK), False)
gpt = openai.OpenAI(api_key="k", base_url=URL + "/v1", max_retries=0)
with gpt.chat.completions.stream(model="m", messages=QUESTION) as stream:
    stream.until_done()
    choice = stream.get_final_completion().choices[0]
print("openai    ", choice.message.content + ", finish_reason", choice.finish_reason)

try:
    list(litellm.completion("openai/m", messages=QUESTION, api_base=URL + "/v1", api_key="k", max_retries=0, stream=True))
    raised = None
except Exception as error:
    raised = error

Provider.answer = (200, "text/event-stream", named(START, BLOCK, DELTA), False)
claude = anthropic.Anthropic(api_key="k", base_url=URL, max_retries=0)
with claude.messages.stream(model="m", max_tokens=9, messages=QUESTION) as stream:
    message = stream.get_final_message()
print("anthropic ", message.content[0].text + ", stop_reason", message.stop_reason)
unavailable = isinstance(raised, litellm.ServiceUnavailableError)
print("litellm   ", type(raised).__name__, f"{raised.status_code}, a ServiceUnavailableError:", unavailable)

assert (choice.message.content, choice.finish_reason) == ("Hi", None)
assert (message.content[0].text, message.stop_reason) == ("Hi", None)
assert (type(raised).__name__, raised.status_code, unavailable) == ("MidStreamFallbackError", 500, True)
PY
