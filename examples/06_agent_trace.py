"""An agent's run: one trace, a span for each step, metadata to find it by, and a verdict on the whole."""

import json
import os
import secrets
import time
from typing import Any

import httpx
from openai import OpenAI

GATEWAY_URL = os.environ.get("GATEWAY_URL", "http://127.0.0.1:8787")
GATEWAY_KEY = os.environ.get("GATEWAY_KEY", "none")
MODEL = os.environ.get("MODEL", "demo-chat")

trace_id = f"agent-{secrets.token_hex(8)}"
METADATA = json.dumps({"_user": "ann", "_environment": "staging", "task": "holiday"})


def step(client: OpenAI, name: str, question: str, *, span_id: str, parent: str | None = None) -> str:
    """Ask the model as one step of the run, and return its answer."""
    headers = {
        "x-portkey-trace-id": trace_id,
        "x-portkey-span-id": span_id,
        "x-portkey-span-name": name,
        "x-portkey-metadata": METADATA,
    }
    if parent is not None:
        headers["x-portkey-parent-span-id"] = parent
    completion = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": question}], extra_headers=headers
    )
    return completion.choices[0].message.content or ""


def read_trace() -> dict[str, Any]:
    """Return the trace once the gateway has understood all of its requests, some milliseconds after they ended."""
    while True:
        reply = httpx.get(
            f"{GATEWAY_URL}/api/v1/traces/{trace_id}", headers={"x-portkey-api-key": GATEWAY_KEY}
        )
        reply.raise_for_status()
        trace: dict[str, Any] = reply.json()
        if all(request["interpreted_at"] for request in trace["requests"]):
            return trace
        time.sleep(0.05)


with OpenAI(base_url=f"{GATEWAY_URL}/v1", api_key=GATEWAY_KEY) as client:
    plan = step(client, "plan", "Plan three days by the sea.", span_id="1")
    sights = step(client, "search", f"Which sights fit this plan? {plan}", span_id="2", parent="1")
    step(client, "write", f"Write it up: {sights}", span_id="3", parent="1")

httpx.post(
    f"{GATEWAY_URL}/v1/feedback",
    headers={"x-portkey-api-key": GATEWAY_KEY},
    json={"trace_id": trace_id, "value": 8, "metadata": {"_user": "ann"}},
).raise_for_status()

trace = read_trace()
for request in trace["requests"]:
    indent = "  " if request["parent_span_id"] else ""
    tokens = f"{request['prompt_tokens']} tokens in, {request['completion_tokens']} out"
    print(f"{indent}{request['span_name']}: {tokens}, {request['latency_ms']:.0f} ms")
print("score", trace["score"]["weighted_mean"])
print("trace", trace_id)
