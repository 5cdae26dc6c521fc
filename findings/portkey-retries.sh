#!/usr/bin/env bash
# When portkey-ai's SDKs repeat a request by themselves, and what the second one looks like.
#
# Versions: portkey-ai==2.3.4; portkey-ai 3.1.0; CPython 3.11.7, Node 20.20.2 on Linux
# Guessed: a 429 is repeated after its Retry-After, as OpenAI's SDK does which the Python one brings along; a POST whose reply
#   was lost is not repeated without an idempotency key; `max_retries` is the number of retries
# Seen: a 429 is never repeated; a POST whose reply was lost is, once and at once, with nothing in it that tells it from a second
#   question or a second rating (chat completions from Python wait half a second and count in x-stainless-retry-count);
#   a 500 is repeated once too, unless it has x-portkey-trace-id. Python's `max_retries=5` is taken and changes nothing
# Output (requests):
#                          chat  feedback  chat, max_retries=5
#   Python      lost       2     2         2
#   Python      500        2     2         2
#   Python      500 trace  1     1         1
#   Python      429        1     1         1
#   JavaScript  lost       2     2
#   JavaScript  500        2     2
#   JavaScript  500 trace  1     1
#   JavaScript  429        1     1
#   the second rating is like the first: Python true, JavaScript true
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'portkey-ai==2.3.4'
echo '{"private": true}' >package.json
npm install --silent --no-audit --no-fund portkey-ai@3.1.0
cat >finding.py <<'PY'
import http.server, json, subprocess, threading

class Provider(http.server.BaseHTTPRequestHandler):
    """Fails as the first segment of the path says; keeps what it was asked."""
    protocol_version = "HTTP/1.1"
    asked = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        way = self.path.split("/")[1]
        self.asked.append((sorted(self.headers.items()), body))
        if way == "lost":
            self.close_connection = True
            return
        self.send_response(429 if way == "429" else 500)
        if way == "500-trace":
            self.send_header("x-portkey-trace-id", "t")
        self.send_header("retry-after", "1")
        self.send_header("content-type", "application/json")
        reply = b'{"error": {"message": "no", "type": "t"}}'
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
URL = f"http://127.0.0.1:{server.server_address[1]}"

from portkey_ai import Portkey

def by_python(way, call, **options):
    client = Portkey(api_key="k", virtual_key="v", base_url=f"{URL}/{way}/v1", **options)
    try:
        if call == "chat":
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
        else:
            client.feedback.create(trace_id="t", value=1)
    except Exception:
        return
    raise AssertionError("no error")

def by_javascript(way, call):
    subprocess.run(["node", "finding.js", f"{URL}/{way}/v1", call], check=True)

def requests(ask, *args, **options):
    """How many requests a call makes, and whether the last is like the first."""
    Provider.asked.clear()
    ask(*args, **options)
    return len(Provider.asked), Provider.asked[0] == Provider.asked[-1]

EXPECTED = {"lost": 2, "500": 2, "500-trace": 1, "429": 1}
alike = []
print(f"{'':<23}chat  feedback  chat, max_retries=5")
for language, ask in (("Python", by_python), ("JavaScript", by_javascript)):
    for way, expected in EXPECTED.items():
        (chat, _), (feedback, same) = requests(ask, way, "chat"), requests(ask, way, "feedback")
        counts = [chat, feedback]
        if ask is by_python:
            counts.append(requests(ask, way, "chat", max_retries=5)[0])
        if way == "lost":
            alike.append(same)
        row = f"{language:<12}{way.replace('-', ' '):<11}{chat:<6}{feedback:<10}"
        print((row + str(counts[2]) if len(counts) > 2 else row).rstrip())
        assert counts == [expected] * len(counts), counts
print("the second rating is like the first: Python %s, JavaScript %s" % tuple(str(each).lower() for each in alike))
assert alike == [True, True]
PY
cat >finding.js <<'JS'
const { Portkey } = require("portkey-ai");

const [baseURL, call] = process.argv.slice(2);
const client = new Portkey({ apiKey: "k", virtualKey: "v", baseURL });
const asked =
  call === "chat"
    ? client.chat.completions.create({ model: "m", messages: [{ role: "user", content: "x" }] })
    : client.feedback.create({ traceID: "t", value: 1 });
asked.then(() => process.exit(1), () => {});
JS
venv/bin/python finding.py
