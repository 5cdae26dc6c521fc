"""A chat with OpenAI's SDK through the gateway, and a thumb up for the answer."""

import os
import secrets

import httpx
from openai import OpenAI

GATEWAY_URL = os.environ.get("GATEWAY_URL", "http://127.0.0.1:8787")
GATEWAY_KEY = os.environ.get("GATEWAY_KEY", "none")
MODEL = os.environ.get("MODEL", "demo-chat")

trace_id = f"chat-{secrets.token_hex(8)}"

with OpenAI(base_url=f"{GATEWAY_URL}/v1", api_key=GATEWAY_KEY) as client:
    completion = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "What is a gateway?"}],
        extra_headers={"x-portkey-trace-id": trace_id},
    )
print("answer  ", completion.choices[0].message.content)

reply = httpx.post(
    f"{GATEWAY_URL}/v1/feedback",
    headers={"x-portkey-api-key": GATEWAY_KEY},
    json={"trace_id": trace_id, "value": 10, "metadata": {"_user": "ann", "reason": "short and right"}},
)
reply.raise_for_status()
print("feedback", reply.json()["feedback_ids"][0])
print("trace   ", trace_id)
