#!/usr/bin/env bash
# A stream whose every chunk has the usage so far, as vLLM sends it with `continuous_usage_stats`, and servers that repeat
# the usage of the finish chunk in one more.
#
# Versions: openai==3.57.0, langchain-openai==1.7.4, pydantic-ai-slim==2.68.0; CPython 3.11.7 on Linux
# Guessed: a usage is the sum until then, so the last one is that of the answer: 10 and 3 tokens
# Seen: only openai's own helper takes the last. langchain-openai adds up the usage of all chunks, and so does pydantic-ai,
#   which makes a cost of it, unless it is told by a setting that no server's answer turns on
# Output:
#   openai                                       input 10  output 3
#   langchain-openai                             input 40  output 9
#   pydantic-ai                                  input 40  output 9
#   pydantic-ai, openai_continuous_usage_stats   input 10  output 3
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check 'openai==3.57.0' 'langchain-openai==1.7.4' 'pydantic-ai-slim[openai]==2.68.0'
venv/bin/python - <<'PY'
import asyncio, http.server, json, threading

def chunk(usage, *choices):
    """A chunk with so many tokens of output until now."""
    counts = {"prompt_tokens": 10, "completion_tokens": usage, "total_tokens": 10 + usage}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, "usage": counts}

def choice(text, reason=None):
    return {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": reason}

CHUNKS = [chunk(1, choice("a")), chunk(2, choice("b")), chunk(3, choice("c", "stop")), chunk(3)]
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
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

def by_openai():
    ask = openai.OpenAI(api_key="k", base_url=URL).chat.completions.stream
    with ask(model="m", messages=[{"role": "user", "content": "x"}]) as stream:
        usage = stream.get_final_completion().usage
    return usage.prompt_tokens, usage.completion_tokens

def by_langchain():
    first, *rest = ChatOpenAI(model="m", api_key="k", base_url=URL, stream_usage=True).stream("x")
    for piece in rest:
        first += piece
    return first.usage_metadata["input_tokens"], first.usage_metadata["output_tokens"]

async def by_pydantic(**settings):
    agent = Agent(OpenAIChatModel("m", provider=OpenAIProvider(base_url=URL, api_key="k")))
    async with agent.run_stream("x", model_settings=settings) as answer:
        await answer.get_output()
        return answer.usage.input_tokens, answer.usage.output_tokens

seen = {
    "openai": by_openai(),
    "langchain-openai": by_langchain(),
    "pydantic-ai": asyncio.run(by_pydantic()),
    "pydantic-ai, openai_continuous_usage_stats": asyncio.run(by_pydantic(openai_continuous_usage_stats=True)),
}
for name, (read, written) in seen.items():
    print(f"{name:<44} input {read}  output {written}")
assert list(seen.values()) == [(10, 3), (40, 9), (40, 9), (10, 3)]
PY
