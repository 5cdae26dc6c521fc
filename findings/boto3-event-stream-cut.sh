#!/usr/bin/env bash
# Bedrock's binary streams in AWS's SDK, cut in two ways.
#
# Versions: boto3==1.44.8; CPython 3.11.7 on Linux
# Guessed: a stream that ends in the middle of a message is an error, whose class is one of botocore's
# Seen: where the HTTP body ends properly, half a message at its end is dropped in silence, and so are the
#   missing messageStop and metadata; where the connection is lost, what is raised is urllib3's ProtocolError,
#   which is no BotoCoreError
# Output:
#   body ends inside a message   ['messageStart', 'contentBlockDelta']
#   connection is lost           urllib3.exceptions.ProtocolError, a BotoCoreError: False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'boto3==1.44.8'
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

import struct, zlib

import boto3, botocore, botocore.config, botocore.exceptions

def message(kind, payload):
    """One message of an event stream: lengths, their CRC, headers, payload, CRC of all."""
    pairs = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    heads = b"".join(bytes([len(k)]) + k.encode() + b"\x07" + struct.pack(">H", len(v)) + v.encode() for k, v in pairs.items())
    body = json.dumps(payload).encode()
    start = struct.pack(">II", 16 + len(heads) + len(body), len(heads))
    whole = start + struct.pack(">I", zlib.crc32(start)) + heads + body
    return whole + struct.pack(">I", zlib.crc32(whole))

begun = message("messageStart", {"role": "assistant"})
begun += message("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hi"}})
half = message("messageStop", {"stopReason": "end_turn"})[:40]
config = botocore.config.Config(signature_version=botocore.UNSIGNED, retries={"total_max_attempts": 1})
client = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=URL, config=config)
question = [{"role": "user", "content": [{"text": "x"}]}]
events = lambda: [kind for event in client.converse_stream(modelId="m", messages=question)["stream"] for kind in event]

kind = "application/vnd.amazon.eventstream"
Provider.answer = (200, kind, begun + half, False)
inside = outcome(events)
Provider.answer = (200, kind, begun, True)
lost = outcome(events)
ours = issubclass(lost, botocore.exceptions.BotoCoreError)
print("body ends inside a message  ", inside)
print("connection is lost          ", f"{lost.__module__}.{lost.__name__}, a BotoCoreError:", ours)
assert inside == ["messageStart", "contentBlockDelta"]
assert (lost.__module__, lost.__name__, ours) == ("urllib3.exceptions", "ProtocolError", False)
PY
