#!/usr/bin/env bash
# boto3's Bedrock client against a server of one's own: an API key over http, errors of other shapes, an overload.
#
# Versions: boto3==1.44.8; CPython 3.11.7 on Linux
# Guessed: an API key (AWS_BEARER_TOKEN_BEDROCK) is sent to an http endpoint on loopback, as access keys' signatures are; of an
#   error in another JSON shape, `response` keeps the body; 529 is tried again like 503
# Seen: with the API key the call raises InvalidEndpointConfigurationError before anything is sent, on loopback too; of an
#   error {"error": {"message": …}} neither message nor body is left, only the status; 529 is tried once, 503 three times
# Output:
#   API key over http     InvalidEndpointConfigurationError, requests 0
#   signature over http   answered, requests 1
#   OpenAI's shape, 400   ClientError {'Message': '', 'Code': '400'}, requests 1
#   AWS' shape, 400       ValidationException {'Message': 'no such model', 'Code': 'ValidationException'}, requests 1
#   503                   ClientError {'Message': 'overloaded', 'Code': '503'}, requests 3
#   529                   ClientError {'Message': 'overloaded', 'Code': '529'}, requests 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'boto3==1.44.8'
venv/bin/python - <<'PY'
import http.server, json, os, threading
import boto3
from botocore.config import Config

class Server(http.server.BaseHTTPRequestHandler):
    """Answers each question with `answer`: status, body, error type."""
    protocol_version = "HTTP/1.1"
    asked = []
    answer = None

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.asked.append(self.path)
        status, body, kind = self.answer
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if kind:
            self.send_header("x-amzn-ErrorType", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
URL = f"http://127.0.0.1:{server.server_address[1]}"

def outcome(name, status, body, kind=None):
    """What is raised, with its error, and the number of requests."""
    Server.asked.clear()
    Server.answer = status, body, kind
    retries = Config(retries={"mode": "standard", "total_max_attempts": 3})
    client = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=URL, config=retries)
    try:
        client.converse(modelId="m", messages=[{"role": "user", "content": [{"text": "x"}]}])
        raised, error = "answered", None
    except Exception as failure:
        raised, error = type(failure).__name__, getattr(failure, "response", {}).get("Error")
    print(f"{name:21} {raised}{f' {error}' if error else ''}, requests {len(Server.asked)}")
    return raised, error, len(Server.asked)

for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
message = {"role": "assistant", "content": [{"text": "Hi"}]}
usage, metrics = {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}, {"latencyMs": 1}
answer = {"output": {"message": message}, "stopReason": "end_turn", "usage": usage, "metrics": metrics}
os.environ["AWS_BEARER_TOKEN_BEDROCK"] = "k"
by_key = outcome("API key over http", 200, answer)
del os.environ["AWS_BEARER_TOKEN_BEDROCK"]
os.environ |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}
signed = outcome("signature over http", 200, answer)
shaped = outcome("OpenAI's shape, 400", 400, {"error": {"message": "no such model", "type": "invalid_request_error"}})
native = outcome("AWS' shape, 400", 400, {"message": "no such model"}, "ValidationException")
busy = outcome("503", 503, {"message": "overloaded"})
overloaded = outcome("529", 529, {"message": "overloaded"})
assert by_key == ("InvalidEndpointConfigurationError", None, 0) and signed == ("answered", None, 1)
assert shaped == ("ClientError", {"Message": "", "Code": "400"}, 1)
assert native == ("ValidationException", {"Message": "no such model", "Code": "ValidationException"}, 1)
assert (busy[2], overloaded[2]) == (3, 1)
PY
