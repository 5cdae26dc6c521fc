#!/usr/bin/env bash
# Streams that fail, in Cohere's SDK.
#
# Versions: cohere==7.3.1; CPython 3.11.7 on Linux
# Guessed: a `message-end` with the finish reason ERROR raises; an object that is no event is skipped or
#   raises; version 1 reads server-sent events as version 2 does
# Seen: ERROR is one more event; an object without a type becomes a `message-start`; version 1, whose streams
#   are lines of JSON, yields nothing at all from server-sent events, without an exception
# Output:
#   v2, finish reason ERROR    ['message-start', 'message-end'] ERROR engine died
#   v2, an error for an event  ['message-start', 'message-start']
#   v1, lines                  ['stream-start', 'text-generation']
#   v1, server-sent events     []
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'cohere==7.3.1'
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

import cohere

question = [{"role": "user", "content": "x"}]
start = {"id": "c1", "type": "message-start", "delta": {"message": {"role": "assistant", "content": []}}}
end = {"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "engine died"}}
new, old = cohere.ClientV2(api_key="k", base_url=URL), cohere.Client(api_key="k", base_url=URL)
stream = lambda: list(new.chat_stream(model="m", messages=question))

Provider.answer = (200, "text/event-stream", named(start, end), False)
ended = stream()
print("v2, finish reason ERROR   ", [e.type for e in ended], ended[-1].delta.finish_reason, ended[-1].delta.error)
Provider.answer = (200, "text/event-stream", named(start) + sse({"message": "engine died"}), False)
odd = [event.type for event in stream()]
print("v2, an error for an event ", odd)

pieces = [{"is_finished": False, "event_type": "stream-start", "generation_id": "g1"},
          {"is_finished": False, "event_type": "text-generation", "text": "Hi"}]
old_stream = lambda: [event.event_type for event in old.chat_stream(model="m", message="x")]
Provider.answer = (200, "application/stream+json", b"".join(json.dumps(p).encode() + b"\n" for p in pieces), False)
by_line = old_stream()
Provider.answer = (200, "text/event-stream", sse(*pieces), False)
by_event = old_stream()
print("v1, lines                 ", by_line)
print("v1, server-sent events    ", by_event)

assert [e.type for e in ended] == ["message-start", "message-end"] and ended[-1].delta.finish_reason == "ERROR"
assert odd == ["message-start", "message-start"]
assert (by_line, by_event) == (["stream-start", "text-generation"], [])
PY
